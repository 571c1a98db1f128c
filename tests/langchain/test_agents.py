"""Agents over `AutoChatModel` whose first provider fails in the middle of the tool loop."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from deepagents import create_deep_agent
from langchain.agents import create_agent
from langchain.agents.middleware import ModelFallbackMiddleware, SummarizationMiddleware
from langchain.agents.middleware.model_refusal import ModelRefusalMiddleware
from langchain.agents.structured_output import ProviderStrategy, ToolStrategy
from langchain_core.exceptions import ModelRefusalError
from langchain_core.messages import AIMessage, ToolMessage
from langchain_core.tools import tool
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode, create_react_agent, tools_condition
from pydantic import BaseModel

from inference_providers.testing import FakeProvider, Reply
from langchain_autoprovider import AutoChatModel

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@tool
def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


class Sum(BaseModel):
    """A sum."""

    total: int


QUESTION = {"messages": [{"role": "user", "content": "What is 2 + 3?"}]}
CALLS_ADD = Reply(
    "", tool_calls=({"name": "add", "arguments": {"a": 2, "b": 3}},), argument_chunks=2
)
OVERLOADED = Reply(status=503)
ANSWERS = Reply("It is 5.")
CALLS_SUM = Reply("", tool_calls=({"name": "Sum", "arguments": {"total": 5}},))
WRITES_JSON = Reply('{"total": 5}')


class ToolLoop:
    """`first` calls a tool, then fails; `second` takes over."""

    def __init__(self, first: FakeProvider, second: FakeProvider) -> None:
        self.first = first
        self.second = second

    def model(self, **model_info: Any) -> AutoChatModel:
        entry = {"id": "m", "context": 8000, "tools": True, **model_info}
        rows = {"first": self.first.row({"m-1": entry}), "second": self.second.row({"m-1": entry})}
        return AutoChatModel("m-1", registry={"providers": rows})


@pytest.fixture
def tool_loop() -> Iterator[ToolLoop]:
    with FakeProvider(CALLS_ADD, OVERLOADED) as first, FakeProvider(ANSWERS) as second:
        yield ToolLoop(first, second)


def served_by(messages: list[Any]) -> list[str]:
    answers = [message for message in messages if isinstance(message, AIMessage)]
    return [answer.response_metadata["autoprovider"]["provider"] for answer in answers]


def assert_second_continued(tool_loop: ToolLoop, state: dict[str, Any]) -> None:
    """Check that the second provider received the first one's tool call and its result."""
    assert served_by(state["messages"])[:2] == ["first", "second"]
    sent = tool_loop.second.requests[0].body["messages"]
    assistant, result = [message for message in sent if message["role"] in {"assistant", "tool"}]
    assert assistant["tool_calls"][0]["function"]["name"] == "add"
    assert result["tool_call_id"] == assistant["tool_calls"][0]["id"]
    assert result["content"] == "5"


def _react(model: AutoChatModel) -> Any:
    return create_react_agent(model, [add])


def _graph(model: AutoChatModel) -> Any:
    bound = model.bind_tools([add])
    graph = StateGraph(MessagesState)
    graph.add_node("model", lambda state: {"messages": [bound.invoke(state["messages"])]})
    graph.add_node("tools", ToolNode([add]))
    graph.add_edge(START, "model")
    graph.add_conditional_edges("model", tools_condition)
    graph.add_edge("tools", "model")
    return graph.compile()


def _create_agent(model: AutoChatModel) -> Any:
    return create_agent(model, [add])


def _deep(model: AutoChatModel) -> Any:
    return create_deep_agent(model=model, tools=[add])


def _summarizing(model: AutoChatModel) -> Any:
    summarizer = SummarizationMiddleware(model, trigger=("fraction", 0.9), keep=("fraction", 0.5))
    return create_agent(model, [add], middleware=[summarizer])


AGENTS = pytest.mark.parametrize(
    "make",
    [_create_agent, _graph, _react, _deep, _summarizing],
    ids=lambda f: f.__name__.strip("_"),
)


@AGENTS
@pytest.mark.filterwarnings("ignore:create_react_agent has been moved")
@pytest.mark.parametrize("how", ["invoke", "ainvoke", "stream"])
async def test_agent_continues_after_a_provider_fails(
    tool_loop: ToolLoop, make: Callable[..., Any], how: str
) -> None:
    agent = make(tool_loop.model())
    if how == "invoke":
        state = agent.invoke(QUESTION)
    elif how == "ainvoke":
        state = await agent.ainvoke(QUESTION)
    else:
        *_, state = agent.stream(QUESTION, stream_mode="values")
    assert_second_continued(tool_loop, state)
    assert state["messages"][-1].text == "It is 5."


@pytest.mark.parametrize("how", ["invoke", "ainvoke"])
@pytest.mark.parametrize(
    ("strategy", "reply"),
    [(ToolStrategy(Sum), CALLS_SUM), (ProviderStrategy(Sum), WRITES_JSON)],
    ids=["tool", "provider"],
)
async def test_agent_returns_structured_output_by_strategy(
    tool_loop: ToolLoop, strategy: Any, reply: Reply, how: str
) -> None:
    tool_loop.second.replies = [reply]
    agent: Any = create_agent(tool_loop.model(structured=True), [add], response_format=strategy)
    state = agent.invoke(QUESTION) if how == "invoke" else await agent.ainvoke(QUESTION)
    assert_second_continued(tool_loop, state)
    assert state["structured_response"] == Sum(total=5)


@pytest.mark.parametrize(
    ("structured", "reply"), [(True, WRITES_JSON), (False, CALLS_SUM), (None, CALLS_SUM)]
)
def test_profile_selects_the_agents_strategy(
    tool_loop: ToolLoop, structured: bool | None, reply: Reply
) -> None:
    tool_loop.second.replies = [reply]
    agent: Any = create_agent(tool_loop.model(structured=structured), [add], response_format=Sum)
    assert agent.invoke(QUESTION)["structured_response"] == Sum(total=5)
    sent = tool_loop.second.requests[0].body
    assert ("response_format" in sent) is bool(structured)


@pytest.mark.filterwarnings("ignore:.*(is in beta|is experimental)")
@pytest.mark.parametrize("how", ["invoke", "ainvoke", "stream", "events"])
def test_refusal_middleware_raises_for_a_refusal(tool_loop: ToolLoop, how: str) -> None:
    tool_loop.first.replies = [Reply(refusal="I cannot help with that.")]
    agent: Any = create_agent(tool_loop.model(), [add], middleware=[ModelRefusalMiddleware()])
    calls = {
        "invoke": agent.invoke,
        "ainvoke": lambda state: asyncio.run(agent.ainvoke(state)),
        "stream": lambda state: list(agent.stream(state, stream_mode="messages")),
        "events": lambda state: agent.stream_events(state, version="v3").output,
    }
    with pytest.raises(ModelRefusalError, match=r"output: I cannot help with that\."):
        calls[how](QUESTION)


def test_fallback_middleware_handles_a_refusal(tool_loop: ToolLoop) -> None:
    tool_loop.first.replies = [Reply(refusal="I cannot help with that.")]
    model = tool_loop.model()
    other = model.model_copy(update={"model": "second/m-1"})
    middleware = [ModelFallbackMiddleware(other), ModelRefusalMiddleware()]
    state: Any = create_agent(model, [add], middleware=middleware).invoke(QUESTION)
    assert state["messages"][-1].text == "It is 5."


def test_agent_streams_each_token_once(tool_loop: ToolLoop) -> None:
    tool_loop.second.replies = [Reply("one two three four")]
    agent: Any = create_agent(tool_loop.model(), [add])
    texts = [
        message.text
        for message, _ in agent.stream(QUESTION, stream_mode="messages")
        if not isinstance(message, ToolMessage)
    ]
    assert "".join(texts) == "one two three four"
    assert len([text for text in texts if text]) == 4


def test_embedded_model_continues_an_agents_loop(tool_loop: ToolLoop) -> None:
    rows = {"first": tool_loop.first.row({"m-1": {"id": "m", "tools": True}})}
    model = AutoChatModel(
        ["first/m-1", "smollm2-135m"], registry={"providers": rows}, temperature=0, max_tokens=40
    )
    state: Any = create_agent(model, [add]).invoke(QUESTION, {"recursion_limit": 8})
    assert served_by(state["messages"])[:2] == ["first", "embedded"]
    assert state["messages"][-1].text


def test_embedded_model_drives_an_agent(embedded: AutoChatModel) -> None:
    state: Any = create_agent(embedded, [add]).invoke(QUESTION, {"recursion_limit": 8})
    kinds = [message.type for message in state["messages"]]
    assert kinds == ["human", "ai", "tool", "ai"]
    assert set(served_by(state["messages"])) == {"embedded"}


@pytest.mark.parametrize("strategy", [ToolStrategy, ProviderStrategy])
def test_embedded_model_returns_structured_output(embedded: AutoChatModel, strategy: Any) -> None:
    agent: Any = create_agent(embedded, [], response_format=strategy(Sum))
    state = agent.invoke(QUESTION, {"recursion_limit": 8})
    assert isinstance(state["structured_response"], Sum)
