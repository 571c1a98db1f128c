"""Tools and structured output: in OpenAI's form when bound, in each route's form when sent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import pytest
from langchain.agents import create_agent
from langchain.agents.structured_output import ProviderStrategy
from langchain_anthropic import ChatAnthropic
from langchain_core.exceptions import ModelRefusalError, OutputParserException
from langchain_core.messages import AIMessage
from langchain_core.runnables import RunnableBinding
from langchain_core.tools import tool
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


class Scores(BaseModel):
    """Scores by name."""

    scores: dict[str, int]


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
ANTHROPIC_TOOL = {"name": "add", "description": "Add.", "input_schema": {"type": "object"}}
SCHEMA = {"title": "Person", "type": "object", "properties": {"name": {"type": "string"}}}


class CapablePair:
    """`first` and `second` serve `m-1`, each with its own model info."""

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
def capable() -> Iterator[CapablePair]:
    with FakeProvider(TEXT) as first, FakeProvider(CALL) as second:
        yield CapablePair(first, second)


async def test_each_route_gets_its_best_structured_method(
    capable: CapablePair, ask: Callable[..., Any]
) -> None:
    model = capable.model({"structured": True, "tools": True}, {"structured": False, "tools": True})
    structured = model.with_structured_output(Person)
    assert structured.invoke("Who?") == Person(**ANNA)
    sent = capable.first.requests[-1].body
    assert sent["response_format"]["json_schema"]["schema"]["title"] == "Person"
    assert "tools" not in sent
    capable.first.replies = [Reply(status=503)]
    assert structured.invoke("Who?") == Person(**ANNA)
    sent = capable.second.requests[-1].body
    assert sent["tool_choice"] == {"type": "function", "function": {"name": "Person"}}
    assert "response_format" not in sent
    assert "answer_schema" not in str(sent)
    raw = await ask(structured.first, "Who?")
    assert isinstance(raw, AIMessage)


def test_response_format_quirk_decides_the_method(capable: CapablePair) -> None:
    capable.first.replies = [CALL]
    model = capable.model(
        {"structured": True, "tools": True, "quirks": {"response_format": "none"}}
    )
    assert model.with_structured_output(Person).invoke("Who?") == Person(**ANNA)
    assert "tools" in capable.first.requests[0].body


def test_route_without_tools_and_schemas_is_skipped(capable: CapablePair) -> None:
    model = capable.model({"structured": False, "tools": False})
    assert model.with_structured_output(Person).invoke("Who?") == Person(**ANNA)
    assert not capable.first.requests
    neither = {"structured": False, "tools": False}
    with pytest.raises(NoRouteError, match="neither structured output nor tools"):
        capable.model(neither, neither).with_structured_output(Person).invoke("Who?")


@pytest.mark.parametrize("schema", [Person, PersonDict, Person.model_json_schema()])
@pytest.mark.parametrize("is_tool_call", [False, True], ids=["text", "tool call"])
async def test_parser_accepts_a_tool_call_or_text(
    capable: CapablePair, schema: Any, is_tool_call: bool
) -> None:
    name = convert_to_openai_tool(schema)["function"]["name"]
    capable.first.replies = [Reply("", tool_calls=({"name": name, "arguments": ANNA},))]
    if not is_tool_call:
        capable.first.replies = [TEXT]
    structured = capable.model().with_structured_output(schema)
    expected = Person(**ANNA) if schema is Person else ANNA
    assert structured.invoke("Who?") == await structured.ainvoke("Who?") == expected
    assert list(structured.stream("Who?"))[-1] == expected
    assert [part async for part in structured.astream("Who?")][-1] == expected


@pytest.mark.parametrize("strict", [None, False, True])
@pytest.mark.parametrize("method", [None, "json_schema", "function_calling"])
def test_strict_reaches_the_request(capable: CapablePair, method: Any, strict: bool | None) -> None:
    model_info = {"structured": method != "function_calling", "tools": True}
    capable.first.replies = [CALL]
    capable.model(model_info).with_structured_output(
        Person, method=method, strict=strict, include_raw=True
    ).invoke("Who?")
    sent = capable.first.requests[0].body
    requested = sent.get("response_format", {}).get("json_schema") or sent["tools"][0]["function"]
    assert requested.get("strict") is strict


def test_unknown_structured_method_is_refused(capable: CapablePair) -> None:
    with pytest.raises(ValueError, match="unknown method 'by_hand'; use one of 'function_calling'"):
        capable.model().with_structured_output(Person, method="by_hand")  # type: ignore[arg-type]


def test_unparsable_answer_raises_unless_include_raw(capable: CapablePair) -> None:
    capable.first.replies = [PROSE]
    with pytest.raises(OutputParserException):
        capable.model().with_structured_output(Person).invoke("Who?")
    output: Any = capable.model().with_structured_output(Person, include_raw=True).invoke("Who?")
    assert output["raw"].text == PROSE.text
    assert output["parsed"] is None
    assert isinstance(output["parsing_error"], OutputParserException)
    assert not capable.second.requests


@pytest.mark.parametrize("method", [None, "json_schema", "json_mode", "function_calling"])
@pytest.mark.parametrize("streamed", [False, True], ids=["invoke", "stream"])
async def test_fallback_on_parse_error_tries_the_next_route(
    capable: CapablePair, method: Any, streamed: bool
) -> None:
    capable.first.replies = [PROSE]
    capable.second.replies = [CALL if method == "function_calling" else TEXT]
    structured = capable.model().with_structured_output(
        Person, method=method, include_raw=True, fallback_on_parse_error=True
    )
    if streamed:
        output: dict[str, Any] = {}
        for part in structured.stream("Who?"):
            output |= part  # type: ignore[arg-type] - of raw answers it is a dict
    else:
        output = await structured.ainvoke("Who?")  # type: ignore[assignment] - as above
    assert output["parsed"] == Person(**ANNA)
    attempts = output["raw"].response_metadata["autoprovider"]["attempts"]
    assert [a["class"] for a in attempts] == ["invalid_response", None]
    assert len(capable.first.requests) == len(capable.second.requests) == 1


def test_fallback_on_parse_error_can_fail_on_all_routes(capable: CapablePair) -> None:
    capable.first.replies = capable.second.replies = [PROSE]
    structured = capable.model().with_structured_output(Person, fallback_on_parse_error=True)
    with pytest.raises(AllRoutesFailed, match="the answer does not parse") as caught:
        structured.invoke("Who?")
    assert [attempt.failure_class for attempt in caught.value.attempts] == [
        "invalid_response",
        "invalid_response",
    ]


SORRY = "I cannot help with that."
REFUSED = Reply(refusal=SORRY)


async def test_refusal_is_kept_as_a_content_block(pair: Pair, ask: Callable[..., Any]) -> None:
    pair.plays(REFUSED)
    answer = await ask(pair.model(), "Hi")
    assert answer.additional_kwargs["refusal"] == SORRY
    assert answer.content_blocks == [{"type": "refusal", "refusal": SORRY}]
    assert not pair.second.requests


def test_refusal_arrives_whole_in_events(pair: Pair) -> None:
    pair.plays(REFUSED)
    stream = pair.model().stream_events("Hi", version="v3")
    output = [event["content"] for event in stream if event["event"] == "content-block-finish"]
    assert output == stream.output.content_blocks == [{"type": "refusal", "refusal": SORRY}]


def test_refusal_that_is_cut_off_is_partial(pair: Pair) -> None:
    pair.plays(REFUSED._replace(cut_after=4))
    with pytest.raises(StreamInterrupted) as caught:
        list(pair.model().stream("Hi"))
    assert caught.value.partial.additional_kwargs["refusal"] == "I cannot help"


@pytest.mark.parametrize("method", [None, "json_schema", "json_mode", "function_calling"])
async def test_refusal_of_structured_output_keeps_its_text(
    capable: CapablePair, method: Any, ask: Callable[..., Any]
) -> None:
    capable.first.replies = [REFUSED]
    with pytest.raises(ModelRefusalError, match=SORRY) as caught:
        await ask(capable.model().with_structured_output(Person, method=method), "Who?")
    assert caught.value.raw_message is not None
    assert caught.value.raw_message.response_metadata["model_provider"] == "first"


@pytest.mark.parametrize("may_fall_back", [False, True])
async def test_refusal_falls_back_only_on_content_filter(
    capable: CapablePair, may_fall_back: bool
) -> None:
    capable.first.replies, capable.second.replies = [REFUSED], [TEXT]
    model = capable.model(fallback_on_content_filter=may_fall_back)
    structured = model.with_structured_output(Person, fallback_on_parse_error=True)
    if may_fall_back:
        assert await structured.ainvoke("Who?") == Person(**ANNA)
    else:
        with pytest.raises(ModelRefusalError, match=SORRY):
            await structured.ainvoke("Who?")
    assert bool(capable.second.requests) is may_fall_back


@pytest.mark.parametrize(
    ("tool_like", "name"),
    [
        (add, "add"),
        (multiply, "multiply"),
        (Person, "Person"),
        (PersonDict, "PersonDict"),
        (TOOL, "add"),
        (Person.model_json_schema(), "Person"),
        (ANTHROPIC_TOOL, "add"),
        ({"type": "custom", **ANTHROPIC_TOOL}, "add"),
    ],
    ids=[
        *("tool", "function", "pydantic", "typed dict", "openai", "json schema"),
        *("anthropic", "anthropic custom"),
    ],
)
def test_bind_tools_accepts_every_kind_of_tool(pair: Pair, tool_like: Any, name: str) -> None:
    bound = pair.model().bind_tools([tool_like])
    assert isinstance(bound, RunnableBinding)
    bound.invoke("Hi")
    (sent,) = pair.first.requests[0].body["tools"]
    assert (sent["type"], sent["function"]["name"]) == ("function", name)


def test_tools_bound_as_a_plain_field_are_converted(pair: Pair) -> None:
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
def test_disable_parallel_tool_use_is_kept(pair: Pair, protocol: str, choice: Any) -> None:
    pair.plays(Reply(status=503))
    model = pair.model_over(protocol, suffix="/v1", only=["first"], max_retries=0)
    one = {"type": "auto", "disable_parallel_tool_use": True}
    with pytest.raises(AllRoutesFailed):
        model.bind_tools([add], tool_choice=one).invoke("Hi")
    body = pair.first.requests[0].body
    assert body["tool_choice"] == choice
    assert body.get("parallel_tool_calls") is (False if protocol == "openai-chat" else None)


def test_builtin_tool_is_bound_unchanged(pair: Pair) -> None:
    builtin_tool = {"type": "web_search_20250305", "name": "web_search", "max_uses": 3}
    bound: Any = pair.model().bind_tools([builtin_tool, add])
    assert bound.kwargs["tools"][0] == builtin_tool


CACHE_MARKER = {"cache_control": {"type": "ephemeral"}}


@pytest.mark.parametrize(
    "marked_tool",
    [
        add.model_copy(update={"extras": {**CACHE_MARKER, "unheard_of": 1}}),
        {**ANTHROPIC_TOOL, **CACHE_MARKER},
    ],
    ids=["tool", "anthropic"],
)
@pytest.mark.parametrize("protocol", ["anthropic", "openai-chat"])
def test_cache_marker_of_a_tool_reaches_anthropic_only(
    pair: Pair, protocol: str, marked_tool: Any
) -> None:
    pair.plays(Reply(status=503))
    model = pair.model_over(protocol, suffix="/v1", only=["first"], max_retries=0)
    with pytest.raises(AllRoutesFailed):
        model.bind_tools([marked_tool]).invoke("Hi")
    (sent,) = pair.first.requests[0].body["tools"]
    extras = set(sent) - {"type", "function", "name", "description", "input_schema"}
    assert extras == ({"cache_control"} if protocol == "anthropic" else set())


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
def test_tool_choice_is_translated(pair: Pair, choice: Any, sent: Any) -> None:
    pair.model().bind_tools([add], tool_choice=choice, parallel_tool_calls=False).invoke("Hi")
    body = pair.first.requests[0].body
    assert body["tool_choice"] == sent
    assert body["parallel_tool_calls"] is False


def test_empty_tool_list_is_not_sent(pair: Pair) -> None:
    pair.model().bind_tools([], tool_choice="auto", parallel_tool_calls=False).invoke("Hi")
    assert set(pair.first.requests[0].body) == {"model", "messages", "stream"}


@pytest.mark.parametrize(
    "response_format",
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
def test_response_format_accepts_each_form(pair: Pair, response_format: Any) -> None:
    pair.model().bind_tools([add], response_format=response_format).invoke("Hi")
    sent = pair.first.requests[0].body["response_format"]
    assert sent["type"] == "json_schema"
    assert sent["json_schema"]["name"] == "Person"
    assert set(sent["json_schema"]["schema"]["properties"]) == {"name", "age"}


@pytest.mark.parametrize("text", [None, {"type": "text"}])
def test_response_format_text_is_not_sent(capable: CapablePair, text: Any) -> None:
    capable.first.replies = [Reply("so")]
    assert capable.model({"structured": False}).bind(response_format=text).invoke("Hi").text == "so"
    assert "response_format" not in capable.first.requests[0].body


def ask_with_structured_output(model: AutoChatModel, schema: Any) -> None:
    model.with_structured_output(schema).invoke("Who?")


def ask_with_bound_response_format(model: AutoChatModel, schema: Any) -> None:
    model.bind(response_format=schema).invoke("Who?")


def ask_with_an_agent(model: AutoChatModel, schema: Any) -> None:
    agent = create_agent(model, [], response_format=ProviderStrategy(schema))
    agent.invoke({"messages": [("human", "Who?")]})


STRICT = {"structured": True, "tools": True, "quirks": {"strict_schemas": True}}
ROADS = [ask_with_structured_output, ask_with_bound_response_format, ask_with_an_agent]


@pytest.mark.parametrize("ask", ROADS)
def test_schema_is_strict_where_that_is_known(
    capable: CapablePair, ask: Callable[[AutoChatModel, Any], None]
) -> None:
    ask(capable.model(STRICT), Person)
    named = capable.first.requests[0].body["response_format"]["json_schema"]
    assert named["strict"] is True
    assert named["schema"]["additionalProperties"] is False
    assert named["schema"]["required"] == ["name", "age"]
    assert named["name"] == "Person"


@pytest.mark.parametrize("ask", ROADS)
def test_schema_is_not_strict_elsewhere(
    capable: CapablePair, ask: Callable[[AutoChatModel, Any], None]
) -> None:
    ask(capable.model({"structured": True, "tools": True}), Person)
    named = capable.first.requests[0].body["response_format"]["json_schema"]
    assert "strict" not in named
    assert "additionalProperties" not in named["schema"]


@pytest.mark.parametrize("ask", ROADS)
def test_schema_without_a_strict_form_is_sent_as_it_is(
    capable: CapablePair, ask: Callable[[AutoChatModel, Any], None]
) -> None:
    capable.first.replies = [Reply('{"scores": {"Anna": 3}}')]
    ask(capable.model(STRICT), Scores)
    named = capable.first.requests[0].body["response_format"]["json_schema"]
    assert "strict" not in named
    assert named["schema"]["properties"]["scores"]["additionalProperties"] == {"type": "integer"}


@pytest.mark.parametrize("strict", [True, False])
@pytest.mark.parametrize("quirks", [{}, {"strict_schemas": True}])
def test_callers_strict_wins(capable: CapablePair, strict: bool, quirks: dict[str, bool]) -> None:
    model = capable.model({"structured": True, "quirks": quirks})
    assert model.with_structured_output(Person, strict=strict).invoke("Who?") == Person(**ANNA)
    assert capable.first.requests[0].body["response_format"]["json_schema"]["strict"] is strict


def test_strict_is_decided_for_each_route(capable: CapablePair) -> None:
    capable.first.replies = [Reply(status=503)]
    capable.second.replies = [TEXT]
    model = capable.model(STRICT, {"structured": True, "tools": True})
    assert model.with_structured_output(Person).invoke("Who?") == Person(**ANNA)
    assert "strict" in capable.first.requests[0].body["response_format"]["json_schema"]
    assert "strict" not in capable.second.requests[0].body["response_format"]["json_schema"]


@pytest.mark.parametrize(
    ("model", "strict"),
    [
        ("openai/gpt-4.1", True),
        ("groq/gpt-oss-120b", True),
        ("groq/qwen3.8-27b", False),  # Groq enforces no schema for it
        ("azure/anything", True),
        ("openrouter/gpt-oss-120b", True),
        ("xai/grok-4.5", True),
        ("mistral/mistral-small", False),  # unknown
    ],
)
def test_registry_knows_where_schemas_are_strict(
    model: str, strict: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("OPENAI", "GROQ", "AZURE", "OPENROUTER", "XAI", "MISTRAL"):
        monkeypatch.setenv(f"{name}_API_KEY", "k")
    monkeypatch.setenv("AZURE_RESOURCE_NAME", "mine")
    assert AutoChatModel(model).routes[0].quirks.strict_schemas is strict


def test_responses_protocol_gets_a_strict_schema(capable: CapablePair) -> None:
    row = capable.first.row({"m-1": {"id": "a", **STRICT}})
    row["endpoints"]["default"]["protocol"] = "openai-responses"
    model = AutoChatModel("m-1", registry={"providers": {"first": row}})
    text = {"type": "output_text", "text": TEXT.text, "annotations": []}
    output = {"type": "message", "id": "m", "role": "assistant", "content": [text]}
    answer = {"id": "r", "object": "response", "status": "completed", "model": "a"}
    capable.first.replies = [Reply(body={**answer, "output": [output]})]
    assert model.with_structured_output(Person).invoke("Who?") == Person(**ANNA)
    sent = capable.first.requests[0].body["text"]["format"]
    assert sent["strict"] is True
    assert sent["schema"]["additionalProperties"] is False


def test_strict_tools_are_sent_as_strict(pair: Pair) -> None:
    pair.model().bind_tools([add], strict=True).invoke("Hi")
    (sent,) = pair.first.requests[0].body["tools"]
    assert sent["function"]["strict"] is True


@pytest.mark.filterwarnings("ignore")  # of vendors' classes
def test_vendor_without_schemas_gets_a_tool() -> None:
    claude = ChatAnthropic(model="claude-sonnet-4-5", api_key="k")
    fields = {"answer_schema": {"schema": SCHEMA, "tool": TOOL, "strict": None}}
    route = factories.route(protocol="anthropic", model_info={"structured": False, "tools": True})
    bound = fields_for_route(claude, route, fields)
    assert bound["tool_choice"] == {"type": "tool", "name": "add"}
