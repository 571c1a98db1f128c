"""Tools and answers in a shape: neutral when bound, each route's own when it is asked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import pytest
from langchain_anthropic import ChatAnthropic
from langchain_core.exceptions import ModelRefusalError, OutputParserException
from langchain_core.messages import AIMessage
from langchain_core.runnables import RunnableBinding
from langchain_core.tools import BaseTool, tool
from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import BaseModel
from typing_extensions import TypedDict

import factories
from inference_providers import AllRoutesFailed, NoRouteError, StreamInterrupted
from inference_providers.testing import FakeProvider, Reply
from langchain_autoprovider import AutoChatModel
from langchain_autoprovider.requests.tools import fields_for_route

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from factories import Pair


class Person(BaseModel):
    """A person."""

    name: str
    age: int


class PersonDict(TypedDict):
    """A person."""

    name: Annotated[str, ..., "the name"]
    age: Annotated[int, ..., "the age"]


@tool
def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


def multiply(a: int, b: int) -> int:
    """Multiply two numbers."""
    return a * b


ANNA = {"name": "Anna", "age": 31}
CALL = Reply("", tool_calls=({"name": "Person", "arguments": ANNA},), finish_reason="tool_calls")
TEXT = Reply('{"name": "Anna", "age": 31}')
PROSE = Reply("Anna is thirty-one.")
TOOL = {"type": "function", "function": {"name": "add", "parameters": {"type": "object"}}}
ANTHROPICS = {"name": "add", "description": "Add.", "input_schema": {"type": "object"}}
SCHEMA = {"title": "Person", "type": "object", "properties": {"name": {"type": "string"}}}


class Able:
    """`first` and `second` serve `m-1`, with what is said of it there."""

    def __init__(self, first: FakeProvider, second: FakeProvider) -> None:
        self.first = first
        self.second = second

    def model(self, first: Any = None, second: Any = None, **kwargs: Any) -> AutoChatModel:
        rows = {
            "first": self.first.row({"m-1": {"id": "a", **(first or {})}}),
            "second": self.second.row({"m-1": {"id": "b", **(second or {})}}),
        }
        return AutoChatModel("m-1", registry={"providers": rows}, **kwargs)


@pytest.fixture
def able() -> Iterator[Able]:
    with FakeProvider(TEXT) as first, FakeProvider(CALL) as second:
        yield Able(first, second)


async def test_each_route_is_asked_in_the_best_way_it_can(
    able: Able, ask: Callable[..., Any]
) -> None:
    model = able.model({"structured": True, "tools": True}, {"structured": False, "tools": True})
    shaped = model.with_structured_output(Person)
    assert shaped.invoke("Who?") == Person(**ANNA)
    sent = able.first.requests[-1].body
    assert sent["response_format"]["json_schema"]["schema"]["title"] == "Person"
    assert "tools" not in sent
    able.first.replies = [Reply(status=503)]
    assert shaped.invoke("Who?") == Person(**ANNA)
    sent = able.second.requests[-1].body
    assert sent["tool_choice"] == {"type": "function", "function": {"name": "Person"}}
    assert "response_format" not in sent
    assert "answer_schema" not in str(sent)
    raw = await ask(shaped.first, "Who?")
    assert isinstance(raw, AIMessage)


def test_a_quirk_says_what_a_route_can_be_asked(able: Able) -> None:
    able.first.replies = [CALL]
    model = able.model({"structured": True, "tools": True, "quirks": {"response_format": "none"}})
    assert model.with_structured_output(Person).invoke("Who?") == Person(**ANNA)
    assert "tools" in able.first.requests[0].body


def test_a_route_that_offers_neither_is_passed_over(able: Able) -> None:
    model = able.model({"structured": False, "tools": False})
    assert model.with_structured_output(Person).invoke("Who?") == Person(**ANNA)
    assert not able.first.requests
    neither = {"structured": False, "tools": False}
    with pytest.raises(NoRouteError, match="neither structured output nor tools"):
        able.model(neither, neither).with_structured_output(Person).invoke("Who?")


@pytest.mark.parametrize("schema", [Person, PersonDict, Person.model_json_schema()])
@pytest.mark.parametrize("called", [False, True], ids=["as text", "as a call"])
async def test_an_answer_is_parsed_however_it_came(able: Able, schema: Any, called: bool) -> None:
    name = convert_to_openai_tool(schema)["function"]["name"]
    able.first.replies = [Reply("", tool_calls=({"name": name, "arguments": ANNA},))]
    if not called:
        able.first.replies = [TEXT]
    shaped = able.model().with_structured_output(schema)
    wanted = Person(**ANNA) if schema is Person else ANNA
    assert shaped.invoke("Who?") == await shaped.ainvoke("Who?") == wanted
    assert list(shaped.stream("Who?"))[-1] == wanted
    assert [part async for part in shaped.astream("Who?")][-1] == wanted


@pytest.mark.parametrize("strict", [None, False, True])
@pytest.mark.parametrize("method", [None, "json_schema", "function_calling"])
def test_strict_goes_along(able: Able, method: Any, strict: bool | None) -> None:
    facts = {"structured": method != "function_calling", "tools": True}
    able.first.replies = [CALL]
    able.model(facts).with_structured_output(
        Person, method=method, strict=strict, include_raw=True
    ).invoke("Who?")
    sent = able.first.requests[0].body
    asked = sent.get("response_format", {}).get("json_schema") or sent["tools"][0]["function"]
    assert asked.get("strict") is strict


def test_an_unknown_method_is_refused(able: Able) -> None:
    with pytest.raises(ValueError, match="unknown method 'by_hand'; use one of 'function_calling'"):
        able.model().with_structured_output(Person, method="by_hand")  # type: ignore[arg-type]


def test_what_does_not_parse_raises_and_with_include_raw_is_told(able: Able) -> None:
    able.first.replies = [PROSE]
    with pytest.raises(OutputParserException):
        able.model().with_structured_output(Person).invoke("Who?")
    told: Any = able.model().with_structured_output(Person, include_raw=True).invoke("Who?")
    assert told["raw"].text == PROSE.text
    assert told["parsed"] is None
    assert isinstance(told["parsing_error"], OutputParserException)
    assert not able.second.requests


@pytest.mark.parametrize("method", [None, "json_schema", "json_mode", "function_calling"])
@pytest.mark.parametrize("streamed", [False, True], ids=["invoke", "stream"])
async def test_what_does_not_parse_moves_on_where_asked(
    able: Able, method: Any, streamed: bool
) -> None:
    able.first.replies = [PROSE]
    able.second.replies = [CALL if method == "function_calling" else TEXT]
    shaped = able.model().with_structured_output(
        Person, method=method, include_raw=True, fallback_on_parse_error=True
    )
    if streamed:
        told: dict[str, Any] = {}
        for part in shaped.stream("Who?"):
            told |= part  # type: ignore[arg-type] - of raw answers it is a dict
    else:
        told = await shaped.ainvoke("Who?")  # type: ignore[assignment] - as above
    assert told["parsed"] == Person(**ANNA)
    attempts = told["raw"].response_metadata["autoprovider"]["attempts"]
    assert [a["class"] for a in attempts] == ["invalid_response", None]
    assert len(able.first.requests) == len(able.second.requests) == 1


def test_where_no_answer_parses_all_routes_have_failed(able: Able) -> None:
    able.first.replies = able.second.replies = [PROSE]
    shaped = able.model().with_structured_output(Person, fallback_on_parse_error=True)
    with pytest.raises(AllRoutesFailed, match="the answer does not parse") as caught:
        shaped.invoke("Who?")
    assert [attempt.failure_class for attempt in caught.value.attempts] == [
        "invalid_response",
        "invalid_response",
    ]


SORRY = "I cannot help with that."
REFUSED = Reply(refusal=SORRY)


async def test_a_refusal_is_kept(pair: Pair, ask: Callable[..., Any]) -> None:
    pair.plays(REFUSED)
    answer = await ask(pair.model(), "Hi")
    assert answer.additional_kwargs["refusal"] == SORRY
    assert answer.content_blocks == [{"type": "refusal", "refusal": SORRY}]
    assert not pair.second.requests


def test_a_refusal_comes_whole_in_events(pair: Pair) -> None:
    pair.plays(REFUSED)
    stream = pair.model().stream_events("Hi", version="v3")
    told = [event["content"] for event in stream if event["event"] == "content-block-finish"]
    assert told == stream.output.content_blocks == [{"type": "refusal", "refusal": SORRY}]


def test_a_refusal_that_is_cut_is_partial(pair: Pair) -> None:
    pair.plays(REFUSED._replace(cut_after=4))
    with pytest.raises(StreamInterrupted) as caught:
        list(pair.model().stream("Hi"))
    assert caught.value.partial.additional_kwargs["refusal"] == "I cannot help"


@pytest.mark.parametrize("method", [None, "json_schema", "json_mode", "function_calling"])
async def test_a_refusal_to_fill_a_shape_says_what_was_said(
    able: Able, method: Any, ask: Callable[..., Any]
) -> None:
    able.first.replies = [REFUSED]
    with pytest.raises(ModelRefusalError, match=SORRY) as caught:
        await ask(able.model().with_structured_output(Person, method=method), "Who?")
    assert caught.value.raw_message is not None
    assert caught.value.raw_message.response_metadata["model_provider"] == "first"


@pytest.mark.parametrize("moves", [False, True])
async def test_a_refusal_moves_on_only_where_policy_may(able: Able, moves: bool) -> None:
    able.first.replies, able.second.replies = [REFUSED], [TEXT]
    model = able.model(fallback_on_content_filter=moves)
    shaped = model.with_structured_output(Person, fallback_on_parse_error=True)
    if moves:
        assert await shaped.ainvoke("Who?") == Person(**ANNA)
    else:
        with pytest.raises(ModelRefusalError, match=SORRY):
            await shaped.ainvoke("Who?")
    assert bool(able.second.requests) is moves


@pytest.mark.parametrize(
    ("given", "name"),
    [
        (add, "add"),
        (multiply, "multiply"),
        (Person, "Person"),
        (PersonDict, "PersonDict"),
        (TOOL, "add"),
        (Person.model_json_schema(), "Person"),
        (ANTHROPICS, "add"),
        ({"type": "custom", **ANTHROPICS}, "add"),
    ],
    ids=[
        *("tool", "function", "pydantic", "typed dict", "openai", "json schema"),
        *("anthropic", "anthropic custom"),
    ],
)
def test_every_kind_of_tool_is_taken(pair: Pair, given: Any, name: str) -> None:
    bound_to = pair.model().bind_tools([given])
    assert isinstance(bound_to, RunnableBinding)
    bound_to.invoke("Hi")
    (sent,) = pair.first.requests[0].body["tools"]
    assert (sent["type"], sent["function"]["name"]) == ("function", name)


def test_tools_that_are_bound_as_any_field_are_taken(pair: Pair) -> None:
    pair.model().bind(tools=[add, TOOL]).invoke("Hi")
    names = [tool["function"]["name"] for tool in pair.first.requests[0].body["tools"]]
    assert names == ["add", "add"]


@pytest.mark.parametrize(
    ("protocol", "choice"),
    [
        ("anthropic", {"type": "auto", "disable_parallel_tool_use": True}),
        ("openai-chat", "auto"),
    ],
)
def test_anthropics_one_call_at_a_time_is_kept(pair: Pair, protocol: str, choice: Any) -> None:
    pair.plays(Reply(status=503))
    model = pair.model_over(protocol, suffix="/v1", only=["first"], max_retries=0)
    one = {"type": "auto", "disable_parallel_tool_use": True}
    with pytest.raises(AllRoutesFailed):
        model.bind_tools([add], tool_choice=one).invoke("Hi")
    body = pair.first.requests[0].body
    assert body["tool_choice"] == choice
    assert body.get("parallel_tool_calls") is (False if protocol == "openai-chat" else None)


def test_a_vendors_own_tool_stays_as_it_is(pair: Pair) -> None:
    own = {"type": "web_search_20250305", "name": "web_search", "max_uses": 3}
    bound_to: Any = pair.model().bind_tools([own, add])
    assert bound_to.kwargs["tools"][0] == own


MARK = {"cache_control": {"type": "ephemeral"}}


@pytest.mark.parametrize(
    "given",
    [add.model_copy(update={"extras": {**MARK, "unheard_of": 1}}), {**ANTHROPICS, **MARK}],
    ids=["tool", "anthropic"],
)
@pytest.mark.parametrize("protocol", ["anthropic", "openai-chat"])
def test_a_tools_cache_marker_goes_where_it_is_read(pair: Pair, protocol: str, given: Any) -> None:
    pair.plays(Reply(status=503))
    model = pair.model_over(protocol, suffix="/v1", only=["first"], max_retries=0)
    with pytest.raises(AllRoutesFailed):
        model.bind_tools([given]).invoke("Hi")
    (sent,) = pair.first.requests[0].body["tools"]
    beside = set(sent) - {"type", "function", "name", "description", "input_schema"}
    assert beside == ({"cache_control"} if protocol == "anthropic" else set())


@pytest.mark.parametrize(
    ("choice", "sent"),
    [
        ("any", "required"),
        (True, "required"),
        ("required", "required"),
        ("none", "none"),
        ("auto", "auto"),
        ("add", {"type": "function", "function": {"name": "add"}}),
        (
            {"type": "function", "function": {"name": "add"}},
            {"type": "function", "function": {"name": "add"}},
        ),
        ({"type": "any"}, "required"),
        (
            {"type": "tool", "name": "add"},
            {"type": "function", "function": {"name": "add"}},
        ),
    ],
    ids=str,
)
def test_every_choice_of_tools_is_told(pair: Pair, choice: Any, sent: Any) -> None:
    pair.model().bind_tools([add], tool_choice=choice, parallel_tool_calls=False).invoke("Hi")
    body = pair.first.requests[0].body
    assert body["tool_choice"] == sent
    assert body["parallel_tool_calls"] is False


def test_no_tools_are_not_sent_as_an_empty_list(pair: Pair) -> None:
    pair.model().bind_tools([], tool_choice="auto", parallel_tool_calls=False).invoke("Hi")
    assert set(pair.first.requests[0].body) == {"model", "messages", "stream"}


@pytest.mark.parametrize(
    "given",
    [
        Person,
        Person.model_json_schema(),
        {
            "type": "json_schema",
            "json_schema": {"name": "Person", "schema": Person.model_json_schema()},
        },
    ],
    ids=["pydantic", "json schema", "openai"],
)
def test_a_response_format_is_taken_in_each_spelling(pair: Pair, given: Any) -> None:
    pair.model().bind_tools([add], response_format=given).invoke("Hi")
    asked = pair.first.requests[0].body["response_format"]
    assert asked["type"] == "json_schema"
    assert asked["json_schema"]["name"] == "Person"
    assert set(asked["json_schema"]["schema"]["properties"]) == {"name", "age"}


@pytest.mark.parametrize("text", [None, {"type": "text"}])
def test_text_is_no_format_and_no_need(able: Able, text: Any) -> None:
    able.first.replies = [Reply("so")]
    assert able.model({"structured": False}).bind(response_format=text).invoke("Hi").text == "so"
    assert "response_format" not in able.first.requests[0].body


def test_strict_tools_are_strict(pair: Pair) -> None:
    pair.model().bind_tools([add], strict=True).invoke("Hi")
    (sent,) = pair.first.requests[0].body["tools"]
    assert sent["function"]["strict"] is True


@pytest.mark.filterwarnings("ignore")  # what vendors' classes warn of is theirs
def test_a_vendor_without_schemas_is_asked_by_a_tool() -> None:
    claude = ChatAnthropic(model="claude-sonnet-4-5", api_key="k")
    fields = {"answer_schema": {"schema": SCHEMA, "tool": TOOL, "strict": None}}
    route = factories.route(protocol="anthropic", model_info={"structured": False, "tools": True})
    made = fields_for_route(claude, route, fields)
    assert made["tool_choice"] == {"type": "tool", "name": "add"}
    assert isinstance(add, BaseTool)
