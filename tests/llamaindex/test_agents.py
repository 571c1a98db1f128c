"""Agents and workflows: tool loop, handoffs and streams, with failover in the middle."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest
from llama_index.core.agent.workflow import (
    AgentStream,
    AgentWorkflow,
    FunctionAgent,
    ReActAgent,
    ToolCallResult,
)
from llama_index.core.llms import ChatMessage
from llama_index.core.memory import ChatMemoryBuffer
from llama_index.core.workflow import Context, Event, StartEvent, StopEvent, Workflow, step

from inference_providers.testing import Reply

if TYPE_CHECKING:
    from factories import Pair
    from llamaindex_autoprovider import AutoLLM


def multiply(a: int, b: int) -> int:
    """Multiply two numbers."""
    return a * b


def calls(name: str, **arguments: Any) -> Reply:
    return Reply("", tool_calls=({"name": name, "arguments": arguments},))


async def finished(handler: Any) -> tuple[Any, list[Any]]:
    """Return the output of a run, and its events."""
    events = [event async for event in handler.stream_events()]
    return await handler, events


@pytest.mark.parametrize("streaming", [True, False])
async def test_agent_on_the_embedded_model_calls_a_tool(embedded: AutoLLM, streaming: bool) -> None:
    agent = FunctionAgent(tools=[multiply], llm=embedded, streaming=streaming)
    output, events = await finished(agent.run("What is 3 times 4?", max_iterations=5))
    results = [event for event in events if isinstance(event, ToolCallResult)]
    assert [(it.tool_kwargs, it.tool_output.raw_output) for it in results] == [
        ({"a": 3, "b": 4}, 12)
    ]
    assert str(output).strip()
    assert output.raw["autoprovider"]["provider"] == "embedded"
    if streaming:
        assert len([event for event in events if isinstance(event, AgentStream)]) > 2


@pytest.mark.parametrize("streaming", [True, False])
async def test_agent_fails_over_inside_the_tool_loop(pair: Pair, streaming: bool) -> None:
    pair.plays(calls("multiply", a=3, b=4), Reply(status=503))
    pair.second.replies = [calls("multiply", a=12, b=2), Reply("It is 24.")]
    agent = FunctionAgent(tools=[multiply], llm=pair.llm(), streaming=streaming)
    output, events = await finished(agent.run("3 * 4 * 2?"))
    assert str(output) == "It is 24."
    results = [
        event.tool_output.raw_output for event in events if isinstance(event, ToolCallResult)
    ]
    assert results == [12, 24]
    sent = pair.second.requests[-1].body["messages"]
    assert [message["role"] for message in sent] == [
        "user", "assistant", "tool", "assistant", "tool",
    ]  # fmt: skip
    assert [message["content"] for message in sent if message["role"] == "tool"] == ["12", "24"]
    assert output.raw["autoprovider"]["provider"] == "second"


async def slowly(word: str) -> str:
    """Say a word after a while."""
    await asyncio.sleep(0.05)
    return word


async def at_once(word: str) -> str:
    """Say a word."""
    return word


async def test_agent_matches_results_of_calls_without_ids(pair: Pair) -> None:
    called = [
        {"type": "function", "function": {"name": name, "arguments": json.dumps({"word": name})}}
        for name in ("slowly", "at_once")
    ]
    message = {"role": "assistant", "content": None, "tool_calls": called}
    body = {"choices": [{"index": 0, "finish_reason": "tool_calls", "message": message}]}
    pair.plays(Reply(body=body), Reply("Done."))
    agent = FunctionAgent(tools=[slowly, at_once], llm=pair.llm(), streaming=False)
    assert str(await agent.run("Say both.")) == "Done."
    _, answer, *results = pair.first.requests[1].body["messages"]
    names = {call["id"]: call["function"]["name"] for call in answer["tool_calls"]}
    assert {names[it["tool_call_id"]]: it["content"] for it in results} == {
        "slowly": "slowly",
        "at_once": "at_once",
    }


async def test_agent_sees_no_stream_that_fails_before_output(pair: Pair) -> None:
    pair.plays(Reply(cut_after=1))
    agent = FunctionAgent(tools=[multiply], llm=pair.llm())
    output, events = await finished(agent.run("Hi"))
    assert str(output) == "from second"
    deltas = [event.delta for event in events if isinstance(event, AgentStream)]
    assert "".join(deltas) == "from second"


async def test_agent_streams_reasoning(pair: Pair) -> None:
    pair.plays(Reply("so", reasoning="let me see"))
    _, events = await finished(FunctionAgent(llm=pair.llm()).run("Hi"))
    thoughts = [event.thinking_delta for event in events if isinstance(event, AgentStream)]
    assert "".join(thought or "" for thought in thoughts) == "let me see"


async def test_agent_forces_its_initial_tool(pair: Pair) -> None:
    pair.plays(calls("multiply", a=3, b=4), Reply("It is 12."))
    agent = FunctionAgent(tools=[multiply], llm=pair.llm(), initial_tool_choice="multiply")
    assert str(await agent.run("3 * 4?")) == "It is 12."
    choices = [request.body.get("tool_choice") for request in pair.first.requests]
    assert choices == [{"type": "function", "function": {"name": "multiply"}}, None]


# LlamaIndex's ReActAgent calls `is_running` inside a step.
@pytest.mark.filterwarnings("ignore:is_running called from within a step")
async def test_react_agent_fails_over(pair: Pair) -> None:
    pair.plays(
        Reply('Thought: I need a tool.\nAction: multiply\nAction Input: {"a": 3, "b": 4}'),
        Reply(status=429),
    )
    pair.second.replies = [Reply("Thought: I can answer.\nAnswer: It is 12.")]
    agent = ReActAgent(tools=[multiply], llm=pair.llm(), streaming=False)
    output, events = await finished(agent.run("3 * 4?"))
    assert str(output) == "It is 12."
    assert [
        event.tool_output.raw_output for event in events if isinstance(event, ToolCallResult)
    ] == [12]


async def test_agent_workflow_fails_over_after_a_handoff(pair: Pair) -> None:
    """The first agent's provider fails between the handoff and the second agent's answer."""
    pair.plays(calls("handoff", to_agent="writer", reason="it writes"), Reply(status=503))
    pair.second.replies = [calls("multiply", a=3, b=4), Reply("A poem on 12.")]
    llm = pair.llm()
    researcher = FunctionAgent(
        name="researcher", description="looks up", llm=llm, can_handoff_to=["writer"]
    )
    writer = FunctionAgent(name="writer", description="writes", llm=llm, tools=[multiply])
    workflow = AgentWorkflow(agents=[researcher, writer], root_agent="researcher")
    output, events = await finished(workflow.run("Write a poem."))
    assert str(output) == "A poem on 12."
    assert output.current_agent_name == "writer"
    used = [event.tool_name for event in events if isinstance(event, ToolCallResult)]
    assert used == ["handoff", "multiply"]


async def test_agent_memory_survives_a_change_of_provider(pair: Pair) -> None:
    agent = FunctionAgent(llm=pair.llm(cooldown=False))
    memory = ChatMemoryBuffer.from_defaults()
    pair.plays(Reply("I am here.", reasoning="they greet"), Reply(status=503))
    await agent.run("Hello?", memory=memory)
    await agent.run("And now?", memory=memory)
    sent = pair.second.requests[0].body["messages"]
    assert [message["content"] for message in sent] == ["Hello?", "I am here.", "And now?"]


class Delta(Event):
    """A part of an answer."""

    delta: str


class Flow(Workflow):
    """Streams an answer from a step."""

    @step
    async def answer(self, ctx: Context, ev: StartEvent) -> StopEvent:
        parts = await ev.llm.astream_chat([ChatMessage("Hi")])
        async for part in parts:
            ctx.write_event_to_stream(Delta(delta=part.delta or ""))
        return StopEvent(result=part)


async def test_workflow_streams_after_failover(pair: Pair) -> None:
    pair.plays(Reply(status=503))
    last, events = await finished(Flow().run(llm=pair.llm()))
    text = "".join(event.delta for event in events if isinstance(event, Delta))
    assert text == "from second"
    attempts = last.additional_kwargs["autoprovider"]["attempts"]
    assert [attempt["provider"] for attempt in attempts] == ["first", "second"]
