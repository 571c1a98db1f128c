"""Conversations that change providers, as they are sent over the wire."""

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


def model_with_quirks(
    pair: Pair, *, first: dict[str, Any], second: dict[str, Any]
) -> AutoChatModel:
    """Return a model with two providers that have these quirks."""
    registry = pair.registry()
    registry["providers"]["first"]["quirks"] = first
    registry["providers"]["second"]["quirks"] = second
    return AutoChatModel("m-1", registry=registry)


async def test_tool_loop_continues_with_another_provider(
    pair: Pair, ask: Callable[..., Any]
) -> None:
    pair.plays(Reply("", reasoning="Let me add.", tool_calls=(CALL, CALL)), Reply(status=503))
    model = model_with_quirks(
        pair, first={"replay_reasoning": True}, second={"tool_call_ids": "alnum9"}
    )
    runnable = model.bind_tools([add])
    messages: list[Any] = [SystemMessage("Be brief."), HumanMessage("1 + 2, twice?")]
    messages.append(await ask(runnable, messages))
    messages += [ToolMessage("3", tool_call_id=call["id"]) for call in messages[-1].tool_calls]
    answer = await ask(runnable, messages)
    assert answer.response_metadata["autoprovider"]["provider"] == "second"
    failed = pair.first.requests[1].body["messages"]
    sent = pair.second.requests[0].body["messages"]
    assert failed[2]["reasoning_content"] == "Let me add."
    assert [call["id"] for call in failed[2]["tool_calls"]] == ["call_0", "call_1"]
    assert [m["role"] for m in sent] == ["system", "user", "assistant", "tool", "tool"]
    assert sent[2].keys() == {"role", "content", "tool_calls"}
    ids = [call["id"] for call in sent[2]["tool_calls"]]
    assert ids == [m["tool_call_id"] for m in sent[3:]]
    assert all(re.fullmatch("[a-zA-Z0-9]{9}", id_) for id_ in ids)
    assert len(set(ids)) == 2


async def test_first_provider_gets_its_reasoning_back(pair: Pair, ask: Callable[..., Any]) -> None:
    pair.plays(Reply("one", reasoning="Hm."), Reply(status=503), Reply("three"))
    pair.second.replies = [Reply("two", reasoning="Aha.")]
    model = model_with_quirks(pair, first={"replay_reasoning": True}, second={})
    messages: list[Any] = []
    for _ in range(2):
        messages.append(HumanMessage("And?"))
        messages.append(await ask(model, messages))
    reset_health()
    await ask(
        model_with_quirks(pair, first={"replay_reasoning": True}, second={}),
        [*messages, messages[0]],
    )
    sent = pair.first.requests[-1].body["messages"]
    assert [m.get("reasoning_content") for m in sent] == [None, "Hm.", None, "Aha.", None]
    sent = pair.second.requests[-1].body["messages"]
    assert [m["content"] for m in sent] == ["And?", "one", "And?"]


def test_agent_continues_with_another_provider(pair: Pair) -> None:
    call = Reply("", tool_calls=(CALL,))
    pair.plays(call, Reply(status=503))
    pair.second.replies = [call, Reply("Three and three.")]
    agent: Any = create_agent(
        model_with_quirks(pair, first={}, second={"tool_call_ids": "alnum9"}),
        [add],
        system_prompt="Add.",
    )
    state = agent.invoke({"messages": [HumanMessage("1 + 2, twice?")]})
    assert [m.type for m in state["messages"]] == ["human", "ai", "tool", "ai", "tool", "ai"]
    assert state["messages"][-1].text == "Three and three."
    sent = pair.second.requests[-1].body["messages"]
    calls = [call["id"] for m in sent for call in m.get("tool_calls", ())]
    assert calls == [m["tool_call_id"] for m in sent if m["role"] == "tool"]
    assert len(set(calls)) == 2, "both providers use the id `call_0`"
    assert [m["content"] for m in sent if m["role"] == "tool"] == ["3", "3"]


def test_answer_of_a_vendors_class_is_adapted(pair: Pair) -> None:
    blocks: Any = [
        {"type": "thinking", "thinking": "Hm.", "signature": "s"},
        {"type": "text", "text": "Let me add."},
        {"type": "tool_use", "id": "toolu_1", "name": "add", "input": {"a": 1, "b": 2}},
    ]
    answer = AIMessage(
        blocks,
        tool_calls=[{"name": "add", "args": {"a": 1, "b": 2}, "id": "toolu_1"}],
        response_metadata={"model_provider": "anthropic"},
    )
    pair.model().invoke([HumanMessage("1 + 2?"), answer, ToolMessage("3", tool_call_id="toolu_1")])
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
