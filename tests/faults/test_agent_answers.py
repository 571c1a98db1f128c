"""Agents whose model sends odd tool calls: each tool runs once, with the right arguments."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from langchain.agents import create_agent
from langchain_core.messages import AIMessage, ToolMessage
from langchain_core.tools import tool

from chat_wire import FINISHED, TEXT, WORDS, completion, stream, whole, words
from faults.cases import tools as cases
from faults.cases.case import Answers

if TYPE_CHECKING:
    from factories import Pair
    from faults.cases.case import Case
    from raw_server import RawRequest, RawServer, Response

CASES = [
    case
    for case in (*cases.PARALLEL, *cases.FRAGMENTS)
    if isinstance(case.expected_stream, Answers) and case.streamed is not None
]


@tool
def weather(city: str = "", n: int = 0) -> str:
    """Return the weather in a city."""
    return f"sunny in {city}{n}"


class Conversation:
    """Calls tools first, in the way of a case, and answers with text once it has the results."""

    def __init__(self, case: Case) -> None:
        self._case = case
        self.requests: list[Any] = []

    def respond(self, request: RawRequest) -> Response:
        """Return what the model sends."""
        self.requests.append(request.body)
        streams = bool(request.body.get("stream"))
        if any(message["role"] == "tool" for message in request.body["messages"]):
            text = completion({"role": "assistant", "content": TEXT})
            return stream(*words(*WORDS), *FINISHED) if streams else whole(text)
        assert self._case.streamed is not None
        return self._case.streamed


def check_results(conversation: Conversation, expected: Answers) -> None:
    """Check that the model received one result for each of its calls."""
    _, follow_up = conversation.requests
    (assistant,) = [m for m in follow_up["messages"] if m["role"] == "assistant"]
    results = {
        m["tool_call_id"]: m["content"] for m in follow_up["messages"] if m["role"] == "tool"
    }
    ids = [call["id"] for call in assistant["tool_calls"]]
    wanted = [weather.invoke(arguments) for _, arguments in expected.calls]
    assert [results[call_id] for call_id in ids] == wanted
    assert len({*ids}) == len(ids)


def agent_of(pair: Pair, faulty: RawServer, case: Case) -> tuple[Any, Conversation]:
    conversation = Conversation(case)
    faulty.answer = conversation.respond
    return create_agent(pair.model(), [weather]), conversation


QUESTION = {"messages": [{"role": "user", "content": "Hi"}]}
by_case = pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])


@by_case
def test_agent_stream_of_messages(faulty_pair: Pair, faulty: RawServer, case: Case) -> None:
    agent, conversation = agent_of(faulty_pair, faulty, case)
    parts = [part for part, _ in agent.stream(QUESTION, stream_mode="messages")]
    assert "".join(p.text for p in parts if not isinstance(p, ToolMessage)).endswith(TEXT)
    check_results(conversation, case.expected_stream)


@by_case
async def test_agent_event_stream(faulty_pair: Pair, faulty: RawServer, case: Case) -> None:
    agent, conversation = agent_of(faulty_pair, faulty, case)
    events = [event async for event in agent.astream_events(QUESTION, version="v2")]
    ends = [event["data"]["output"] for event in events if event["event"] == "on_chat_model_end"]
    assert [message.text for message in ends][-1] == TEXT
    check_results(conversation, case.expected_stream)


@by_case
async def test_agent_invoke_and_ainvoke(faulty_pair: Pair, faulty: RawServer, case: Case) -> None:
    for is_async in (False, True):
        agent, conversation = agent_of(faulty_pair, faulty, case)
        state = await agent.ainvoke(QUESTION) if is_async else agent.invoke(QUESTION)
        assert isinstance(state["messages"][-1], AIMessage)
        assert state["messages"][-1].text == TEXT
        check_results(conversation, case.expected_stream)
