"""Agents over `AutoChatModel`, each with a provider that dies in the middle of its tool loop."""

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


ASKED = {"messages": [{"role": "user", "content": "What is 2 + 3?"}]}
ADDS = Reply("", tool_calls=({"name": "add", "arguments": {"a": 2, "b": 3}},), argument_chunks=2)
DIES = Reply(status=503)
SAYS = Reply("It is 5.")
SUMS = Reply("", tool_calls=({"name": "Sum", "arguments": {"total": 5}},))
WRITES = Reply('{"total": 5}')


class Loop:
    """`first` calls a tool and dies; `second` goes on."""

    def __init__(self, first: FakeProvider, second: FakeProvider) -> None:
        self.first = first
        self.second = second

    def model(self, **facts: Any) -> AutoChatModel:
        entry = {"id": "m", "context": 8000, "tools": True, **facts}
        rows = {"first": self.first.row({"m-1": entry}), "second": self.second.row({"m-1": entry})}
        return AutoChatModel("m-1", registry={"providers": rows})


@pytest.fixture
def loop() -> Iterator[Loop]:
    with FakeProvider(ADDS, DIES) as first, FakeProvider(SAYS) as second:
        yield Loop(first, second)


def served_by(messages: list[Any]) -> list[str]:
    answers = [message for message in messages if isinstance(message, AIMessage)]
    return [answer.response_metadata["autoprovider"]["provider"] for answer in answers]


def went_on(loop: Loop, state: dict[str, Any]) -> None:
    """Check that the second provider got the call of the first one, with its result."""
    assert served_by(state["messages"])[:2] == ["first", "second"]
    sent = loop.second.requests[0].body["messages"]
    called, result = [message for message in sent if message["role"] in {"assistant", "tool"}]
    assert called["tool_calls"][0]["function"]["name"] == "add"
    assert result["tool_call_id"] == called["tool_calls"][0]["id"]
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


def _agent(model: AutoChatModel) -> Any:
    return create_agent(model, [add])


def _deep(model: AutoChatModel) -> Any:
    return create_deep_agent(model=model, tools=[add])


def _summarizing(model: AutoChatModel) -> Any:
    summarizer = SummarizationMiddleware(model, trigger=("fraction", 0.9), keep=("fraction", 0.5))
    return create_agent(model, [add], middleware=[summarizer])


AGENTS = pytest.mark.parametrize(
    "make", [_agent, _graph, _react, _deep, _summarizing], ids=lambda f: f.__name__.strip("_")
)


@AGENTS
@pytest.mark.filterwarnings("ignore:create_react_agent has been moved")
@pytest.mark.parametrize("how", ["invoke", "ainvoke", "stream"])
async def test_an_agent_goes_on_where_a_provider_dies(
    loop: Loop, make: Callable[..., Any], how: str
) -> None:
    agent = make(loop.model())
    if how == "invoke":
        state = agent.invoke(ASKED)
    elif how == "ainvoke":
        state = await agent.ainvoke(ASKED)
    else:
        *_, state = agent.stream(ASKED, stream_mode="values")
    went_on(loop, state)
    assert state["messages"][-1].text == "It is 5."


@pytest.mark.parametrize("how", ["invoke", "ainvoke"])
@pytest.mark.parametrize(
    ("shape", "reply"),
    [(ToolStrategy(Sum), SUMS), (ProviderStrategy(Sum), WRITES)],
    ids=["tool", "provider"],
)
async def test_an_agent_answers_in_a_shape_in_either_strategy(
    loop: Loop, shape: Any, reply: Reply, how: str
) -> None:
    loop.second.replies = [reply]
    agent: Any = create_agent(loop.model(structured=True), [add], response_format=shape)
    state = agent.invoke(ASKED) if how == "invoke" else await agent.ainvoke(ASKED)
    went_on(loop, state)
    assert state["structured_response"] == Sum(total=5)


@pytest.mark.parametrize(("structured", "reply"), [(True, WRITES), (False, SUMS), (None, SUMS)])
def test_the_profile_tells_an_agent_which_strategy_will_do(
    loop: Loop, structured: bool | None, reply: Reply
) -> None:
    loop.second.replies = [reply]
    agent: Any = create_agent(loop.model(structured=structured), [add], response_format=Sum)
    assert agent.invoke(ASKED)["structured_response"] == Sum(total=5)
    sent = loop.second.requests[0].body
    assert ("response_format" in sent) is bool(structured)


@pytest.mark.filterwarnings("ignore:.*(is in beta|is experimental)")
@pytest.mark.parametrize("how", ["invoke", "ainvoke", "stream", "events"])
def test_a_refusal_is_one_to_an_agents_middleware(loop: Loop, how: str) -> None:
    loop.first.replies = [Reply(refusal="I cannot help with that.")]
    agent: Any = create_agent(loop.model(), [add], middleware=[ModelRefusalMiddleware()])
    asked = {
        "invoke": agent.invoke,
        "ainvoke": lambda state: asyncio.run(agent.ainvoke(state)),
        "stream": lambda state: list(agent.stream(state, stream_mode="messages")),
        "events": lambda state: agent.stream_events(state, version="v3").output,
    }
    with pytest.raises(ModelRefusalError, match=r"output: I cannot help with that\."):
        asked[how](ASKED)


def test_an_agent_falls_back_where_a_model_refused(loop: Loop) -> None:
    loop.first.replies = [Reply(refusal="I cannot help with that.")]
    model = loop.model()
    other = model.model_copy(update={"model": "second/m-1"})
    caught = [ModelFallbackMiddleware(other), ModelRefusalMiddleware()]
    state: Any = create_agent(model, [add], middleware=caught).invoke(ASKED)
    assert state["messages"][-1].text == "It is 5."


def test_each_token_of_an_agent_is_streamed_once(loop: Loop) -> None:
    loop.second.replies = [Reply("one two three four")]
    agent: Any = create_agent(loop.model(), [add])
    told = [
        message.text
        for message, _ in agent.stream(ASKED, stream_mode="messages")
        if not isinstance(message, ToolMessage)
    ]
    assert "".join(told) == "one two three four"
    assert len([text for text in told if text]) == 4


def test_the_embedded_model_goes_on_in_an_agents_loop(loop: Loop) -> None:
    rows = {"first": loop.first.row({"m-1": {"id": "m", "tools": True}})}
    model = AutoChatModel(
        ["first/m-1", "smollm2-135m"], registry={"providers": rows}, temperature=0, max_tokens=40
    )
    state: Any = create_agent(model, [add]).invoke(ASKED, {"recursion_limit": 8})
    assert served_by(state["messages"])[:2] == ["first", "embedded"]
    assert state["messages"][-1].text


def test_the_embedded_model_drives_an_agent(embedded: AutoChatModel) -> None:
    state: Any = create_agent(embedded, [add]).invoke(ASKED, {"recursion_limit": 8})
    kinds = [message.type for message in state["messages"]]
    assert kinds == ["human", "ai", "tool", "ai"]
    assert set(served_by(state["messages"])) == {"embedded"}


@pytest.mark.parametrize("strategy", [ToolStrategy, ProviderStrategy])
def test_the_embedded_model_answers_an_agent_in_a_shape(
    embedded: AutoChatModel, strategy: Any
) -> None:
    agent: Any = create_agent(embedded, [], response_format=strategy(Sum))
    state = agent.invoke(ASKED, {"recursion_limit": 8})
    assert isinstance(state["structured_response"], Sum)
