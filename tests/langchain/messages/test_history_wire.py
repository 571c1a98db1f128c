"""Conversations that change their provider while they run, on the wire."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from langchain.agents import create_agent
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.tools import tool

from inference_providers import reset_health
from inference_providers.testing import Reply
from langchain_autoprovider import AutoChatModel

if TYPE_CHECKING:
    from collections.abc import Callable

    from factories import Pair


@tool
def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


CALL = {"name": "add", "arguments": {"a": 1, "b": 2}}


def moving(pair: Pair, *, first: dict[str, Any], second: dict[str, Any]) -> AutoChatModel:
    """Return a model over two providers that differ in their quirks."""
    registry = pair.registry()
    registry["providers"]["first"]["quirks"] = first
    registry["providers"]["second"]["quirks"] = second
    return AutoChatModel("m-1", registry=registry)


async def test_a_tool_loop_goes_on_with_another_provider(
    pair: Pair, ask: Callable[..., Any]
) -> None:
    pair.plays(Reply("", reasoning="Let me add.", tool_calls=(CALL, CALL)), Reply(status=503))
    model = moving(pair, first={"replay_reasoning": True}, second={"tool_call_ids": "alnum9"})
    runnable = model.bind_tools([add])
    said: list[Any] = [SystemMessage("Be brief."), HumanMessage("1 + 2, twice?")]
    said.append(await ask(runnable, said))
    said += [ToolMessage("3", tool_call_id=call["id"]) for call in said[-1].tool_calls]
    answer = await ask(runnable, said)
    assert answer.response_metadata["autoprovider"]["provider"] == "second"
    tried, sent = pair.first.requests[1].body["messages"], pair.second.requests[0].body["messages"]
    assert tried[2]["reasoning_content"] == "Let me add."
    assert [call["id"] for call in tried[2]["tool_calls"]] == ["call_0", "call_1"]
    assert [m["role"] for m in sent] == ["system", "user", "assistant", "tool", "tool"]
    assert sent[2].keys() == {"role", "content", "tool_calls"}
    ids = [call["id"] for call in sent[2]["tool_calls"]]
    assert ids == [m["tool_call_id"] for m in sent[3:]]
    assert all(re.fullmatch("[a-zA-Z0-9]{9}", id_) for id_ in ids)
    assert len(set(ids)) == 2


async def test_it_comes_back_to_the_first_as_if_it_had_stayed(
    pair: Pair, ask: Callable[..., Any]
) -> None:
    pair.plays(Reply("one", reasoning="Hm."), Reply(status=503), Reply("three"))
    pair.second.replies = [Reply("two", reasoning="Aha.")]
    model = moving(pair, first={"replay_reasoning": True}, second={})
    said: list[Any] = []
    for _ in range(2):
        said.append(HumanMessage("And?"))
        said.append(await ask(model, said))
    reset_health()
    await ask(moving(pair, first={"replay_reasoning": True}, second={}), [*said, said[0]])
    sent = pair.first.requests[-1].body["messages"]
    assert [m.get("reasoning_content") for m in sent] == [None, "Hm.", None, "Aha.", None]
    sent = pair.second.requests[-1].body["messages"]
    assert [m["content"] for m in sent] == ["And?", "one", "And?"]


def test_an_agent_goes_on_with_another_provider(pair: Pair) -> None:
    call = Reply("", tool_calls=(CALL,))
    pair.plays(call, Reply(status=503))
    pair.second.replies = [call, Reply("Three and three.")]
    agent: Any = create_agent(
        moving(pair, first={}, second={"tool_call_ids": "alnum9"}), [add], system_prompt="Add."
    )
    done = agent.invoke({"messages": [HumanMessage("1 + 2, twice?")]})
    assert [m.type for m in done["messages"]] == ["human", "ai", "tool", "ai", "tool", "ai"]
    assert done["messages"][-1].text == "Three and three."
    sent = pair.second.requests[-1].body["messages"]
    calls = [call["id"] for m in sent for call in m.get("tool_calls", ())]
    assert calls == [m["tool_call_id"] for m in sent if m["role"] == "tool"]
    assert len(set(calls)) == 2, "both providers called their first call `call_0`"
    assert [m["content"] for m in sent if m["role"] == "tool"] == ["3", "3"]


def test_what_another_vendors_class_said_is_taken_over(pair: Pair) -> None:
    blocks: Any = [
        {"type": "thinking", "thinking": "Hm.", "signature": "s"},
        {"type": "text", "text": "Let me add."},
        {"type": "tool_use", "id": "toolu_1", "name": "add", "input": {"a": 1, "b": 2}},
    ]
    said = AIMessage(
        blocks,
        tool_calls=[{"name": "add", "args": {"a": 1, "b": 2}, "id": "toolu_1"}],
        response_metadata={"model_provider": "anthropic"},
    )
    pair.model().invoke([HumanMessage("1 + 2?"), said, ToolMessage("3", tool_call_id="toolu_1")])
    assert pair.first.requests[0].body["messages"][1] == {
        "role": "assistant",
        "content": "Let me add.",
        "tool_calls": [
            {
                "id": "toolu_1",
                "type": "function",
                "function": {"name": "add", "arguments": '{"a": 1, "b": 2}'},
            }
        ],
    }
