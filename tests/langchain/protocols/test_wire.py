"""Every vendor's class against a server that uses its wire format."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
from langchain_core.exceptions import ContextOverflowError
from langchain_core.messages import HumanMessage, ToolMessage
from pydantic import BaseModel

from inference_providers import AllRoutesFailed, ProviderList, StreamInterrupted
from inference_providers.testing import Reply
from langchain_autoprovider.protocols import connections
from langchain_autoprovider.protocols.table import PROTOCOLS
from wire_formats import CALL, SETTINGS, TEXT, TOOLS, WIRE_FORMATS, WireFormat

if TYPE_CHECKING:
    from collections.abc import Callable

    from factories import Pair
    from inference_providers.testing import Request


@pytest.fixture(params=WIRE_FORMATS, ids=lambda wire: wire.protocol)
def wire(request: pytest.FixtureRequest) -> WireFormat:
    return request.param


def stream_of(wire: WireFormat, events: list[Any], **reply: Any) -> Reply:
    body, kind = wire.encode(events), "text/event-stream"
    return Reply(body=body, headers={"content-type": kind}, **reply)


def play(pair: Pair, wire: WireFormat, ask: Callable[..., Any], *, calls: bool = False) -> None:
    if "stream" in ask.__name__:
        pair.plays(stream_of(wire, wire.events(calls=calls)))
    else:
        pair.plays(Reply(body=wire.answer(calls=calls)))


def attempts(answer: Any) -> list[tuple[str, str | None]]:
    records = answer.response_metadata["autoprovider"]["attempts"]
    return [(record["provider"], record["class"]) for record in records]


def model_over(pair: Pair, wire: WireFormat, **kwargs: Any) -> Any:
    return pair.model_over(wire.protocol, suffix=wire.suffix, **kwargs)


def only_request(pair: Pair) -> Request:
    (request,) = pair.first.requests
    return request


TESTED_ELSEWHERE = frozenset({"azure", "openai-chat", "openai-responses", "replicate", "vertex"})


def test_every_protocol_has_a_wire_format() -> None:
    assert {wire.protocol for wire in WIRE_FORMATS} == set(PROTOCOLS) - TESTED_ELSEWHERE


async def test_each_protocol_answers(pair: Pair, wire: WireFormat, ask: Callable[..., Any]) -> None:
    play(pair, wire, ask)
    answer = await ask(model_over(pair, wire), "Hi")
    assert answer.text == TEXT
    assert attempts(answer) == [("first", None)]
    assert answer.usage_metadata["output_tokens"] == 4
    assert not pair.second.requests


async def test_a_request_has_its_path_key_and_prompt(
    pair: Pair, wire: WireFormat, ask: Callable[..., Any]
) -> None:
    play(pair, wire, ask)
    await ask(model_over(pair, wire), "Hi there")
    request = only_request(pair)
    assert request.path == wire.paths["stream" in ask.__name__].format(model="first-id")
    header, value = wire.key
    assert request.headers[header] == value.format(key="first-key-value")
    others = {name: value for name, value in request.headers.items() if name != header}
    assert "first-key-value" not in json.dumps([others, request.path, request.body])
    assert "Hi there" in json.dumps(request.body)


async def test_request_fields_get_the_protocols_names(
    pair: Pair, wire: WireFormat, ask: Callable[..., Any]
) -> None:
    play(pair, wire, ask)
    await ask(model_over(pair, wire, **SETTINGS), "Hi")
    assert wire.settings(only_request(pair).body) == SETTINGS


async def test_fields_that_the_protocol_lacks_are_left_out(
    pair: Pair, wire: WireFormat, ask: Callable[..., Any]
) -> None:
    play(pair, wire, ask)
    model = model_over(pair, wire).bind(logit_bias={"1": 2}, user="someone", store=False)
    answer = await ask(model, "Hi")
    assert answer.text == TEXT


async def test_drop_params_are_left_out(
    pair: Pair, wire: WireFormat, ask: Callable[..., Any]
) -> None:
    play(pair, wire, ask)
    row = {"quirks": {"drop_params": ["temperature"]}}
    await ask(model_over(pair, wire, row=row, **SETTINGS), "Hi")
    with pytest.raises(KeyError, match="temperature"):
        wire.settings(only_request(pair).body)


class Answer(BaseModel):
    """An answer."""

    words: list[str]


@pytest.mark.parametrize("method", ["json_schema", "json_mode", None])
def test_a_schema_is_sent_in_every_method(pair: Pair, wire: WireFormat, method: Any) -> None:
    body = json.dumps(wire.answer(calls=False))
    pair.plays(Reply(body=json.loads(body.replace(TEXT, r"{\"words\": [\"a\"]}"))))
    model = model_over(pair, wire).with_structured_output(Answer, method=method)
    assert model.invoke("Say a, as JSON") == Answer(words=["a"])
    schema = wire.schema(
        only_request(pair).body
    )  # in JSON mode, too: each of them supports schemas
    assert schema["properties"]["words"]["items"] == {"type": "string"}


def test_plain_client_completes_calls_and_streams(pair: Pair, wire: WireFormat) -> None:
    registry = model_over(pair, wire).registry
    client, model_id = ProviderList(json_merge=registry).connect_to_model("m-1")
    messages: Any = [{"role": "user", "content": "Hi"}]
    pair.plays(Reply(body=wire.answer(calls=False)))
    whole = client.chat.completions.create(model=model_id, messages=messages, stop=["END"])
    assert whole.choices[0].message.content == TEXT
    assert whole.choices[0].finish_reason == "stop"
    pair.plays(Reply(body=wire.answer(calls=True)))
    called = client.chat.completions.create(model=model_id, messages=messages, tools=TOOLS)
    assert called.choices[0].message.tool_calls[0].function.name == "add"
    assert called.choices[0].finish_reason == "tool_calls"
    pair.plays(stream_of(wire, wire.events(calls=False)))
    chunks = list(client.chat.completions.create(model=model_id, messages=messages, stream=True))
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == TEXT
    assert "stop" in [chunk.choices[0].finish_reason for chunk in chunks]


def test_each_event_loop_has_its_own_connections(pair: Pair, wire: WireFormat) -> None:
    model = model_over(pair, wire)
    for _ in range(3):
        pair.plays(Reply(body=wire.answer(calls=False)))
        assert asyncio.run(model.ainvoke("Hi")).text == TEXT


@pytest.mark.parametrize("call", ["invoke", "ainvoke"])
@pytest.mark.parametrize(("idle_s", "opened"), [(60.0, 1), (0.0, 2)])
async def test_an_idle_connection_is_kept_for_a_limited_time(  # noqa: PLR0913, PLR0917 - fixtures
    pair: Pair,
    wire: WireFormat,
    call: str,
    idle_s: float,
    opened: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("langchain_autoprovider.http.clients.MAX_IDLE_CONNECTION_S", idle_s)
    opened_connections = pair.connections()
    pair.plays(Reply(body=wire.answer(calls=False)))
    model = model_over(pair, wire)
    for _ in range(2):
        answer = model.invoke("Hi") if call == "invoke" else await model.ainvoke("Hi")
        assert answer.text == TEXT
    assert len(opened_connections) == opened


async def test_each_protocol_calls_tools(
    pair: Pair, wire: WireFormat, ask: Callable[..., Any]
) -> None:
    play(pair, wire, ask, calls=True)
    model = model_over(pair, wire).bind_tools(TOOLS, tool_choice="any")
    answer = await ask(model, "Add 1 and 2")
    (call,) = answer.tool_calls
    assert {name: call[name] for name in CALL} == CALL
    assert attempts(answer) == [("first", None)]


def conversation_with_result(pair: Pair, wire: WireFormat, **kwargs: Any) -> Any:
    """Return the conversation that is sent with the result of a tool call."""
    pair.plays(Reply(body=wire.answer(calls=True)), Reply(body=wire.answer(calls=False)))
    model = model_over(pair, wire, **kwargs).bind_tools(TOOLS)
    call = model.invoke("Add 1 and 2")
    result = ToolMessage("3", tool_call_id=call.tool_calls[0]["id"], name="add")
    model.invoke([HumanMessage("Add 1 and 2"), call, result])
    body = pair.first.requests[-1].body
    return body.get("messages") or body["contents"]


def test_a_call_in_v1_blocks_is_sent_back_as_any_other(pair: Pair, wire: WireFormat) -> None:
    plain = conversation_with_result(pair, wire)
    assert conversation_with_result(pair, wire, output_version="v1") == plain


NAMED = {"type": "function", "function": {"name": "add"}}


@pytest.mark.parametrize("choice", ["add", NAMED], ids=["name", "dict"])
def test_one_tool_is_demanded_by_name(pair: Pair, wire: WireFormat, choice: Any) -> None:
    pair.plays(Reply(body=wire.answer(calls=True)))
    model_over(pair, wire).bind_tools(TOOLS, tool_choice=choice).invoke("Add")
    assert wire.named_choice(only_request(pair).body)


@pytest.mark.parametrize("choice", [None, "auto", "none", "any", "required", True, "add", NAMED])
def test_every_form_of_tool_choice_is_accepted(pair: Pair, wire: WireFormat, choice: Any) -> None:
    pair.plays(Reply(body=wire.answer(calls=False)))
    model = model_over(pair, wire).bind_tools(TOOLS, tool_choice=choice)
    assert model.invoke("Add").text == TEXT


async def test_a_stream_without_a_finish_reason_is_interrupted(
    pair: Pair, wire: WireFormat, ask: Callable[..., Any]
) -> None:
    pair.plays(stream_of(wire, wire.events(calls=False)[: -wire.after_finish]))
    with pytest.raises(StreamInterrupted, match=r"finish reason|messageStop") as caught:
        await ask(model_over(pair, wire, streaming=True), "Hi")
    assert caught.value.partial.text == TEXT
    assert not pair.second.requests


async def test_a_stream_cut_after_its_first_output_is_interrupted(
    pair: Pair, wire: WireFormat, ask: Callable[..., Any]
) -> None:
    events = wire.events(calls=False)
    pair.plays(stream_of(wire, [*events[:4], *events[:4]], fault="close", cut_after=1))
    with pytest.raises(StreamInterrupted) as caught:
        await ask(model_over(pair, wire, streaming=True), "Hi")
    assert TEXT.startswith(caught.value.partial.text)
    assert not pair.second.requests


@pytest.mark.parametrize(
    "failure", ["rate_limited", "auth_failed", "overloaded", "model_not_found", "quota_exceeded"]
)
async def test_a_failure_moves_on_to_another_protocol(
    pair: Pair, wire: WireFormat, ask: Callable[..., Any], failure: str
) -> None:
    if failure not in wire.failures:
        return
    status, body = wire.failures[failure]
    pair.plays(Reply(status=status, body=body))
    answer = await ask(model_over(pair, wire), "Hi")
    assert answer.text == "from second"
    assert attempts(answer) == [("first", failure), ("second", None)]
    assert answer.response_metadata["autoprovider"]["attempts"][0]["status"] == status
    assert len(pair.first.requests) == 1, "an SDK retried"


async def test_a_prompt_that_is_too_long_is_a_context_overflow(
    pair: Pair, wire: WireFormat, ask: Callable[..., Any]
) -> None:
    status, body = wire.failures["context_overflow"]
    pair.plays(Reply(status=status, body=body))
    with pytest.raises(ContextOverflowError):
        await ask(model_over(pair, wire, model_info={"context": 8000}), "Hi")
    assert not pair.second.requests


@pytest.mark.parametrize(
    "body", ["<html>Sorry</html>", {}, {"error": {"code": 500, "message": "no"}}]
)
async def test_http_200_without_a_usable_answer_moves_on(
    pair: Pair, wire: WireFormat, ask: Callable[..., Any], body: Any
) -> None:
    pair.plays(Reply(body=body))
    answer = await ask(model_over(pair, wire), "Hi")
    assert answer.text == "from second"
    assert attempts(answer)[0][1] in {"invalid_response", "overloaded"}


async def test_a_redirect_is_not_followed(
    pair: Pair, wire: WireFormat, ask: Callable[..., Any]
) -> None:
    elsewhere = pair.second.base_url + "/chat/completions"
    pair.plays(Reply(status=307, headers={"location": elsewhere}))
    model = model_over(pair, wire, only=["first"], max_retries=0)
    with suppress(Exception):  # SDKs raise different errors
        await ask(model, "Secret prompt")
    assert "Secret prompt" in str(only_request(pair).body)
    assert not pair.second.requests


async def test_a_hanging_provider_ends_with_the_calls_timeout(
    pair: Pair, wire: WireFormat, ask: Callable[..., Any]
) -> None:
    pair.plays(Reply(fault="hang"))
    model = model_over(pair, wire, only=["first"], max_retries=0, timeout=1.0)
    with pytest.raises(AllRoutesFailed):
        await ask(model, "Hi")


BAIT = "bait-value-of-the-environment"
TRAPS = (
    "ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "ANTHROPIC_PROFILE", "ANTHROPIC_ORGANIZATION_ID",
    "LANGSMITH_GATEWAY_API_KEY", "OPENAI_API_KEY", "OPENAI_ORG_ID", "GOOGLE_API_KEY",
    "GEMINI_API_KEY", "MISTRAL_API_KEY", "GOOGLE_CLOUD_PROJECT", "GOOGLE_CLOUD_LOCATION",
    "GOOGLE_GENAI_REPLAY_ID", "COHERE_API_KEY", "CO_API_KEY", "AWS_BEARER_TOKEN_BEDROCK",
    "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE", "AWS_REGION",
)  # fmt: skip
"""Variables whose values an SDK would send."""
URL_TRAPS = (
    "ANTHROPIC_BASE_URL", "ANTHROPIC_API_URL", "LANGSMITH_GATEWAY", "OPENAI_BASE_URL",
    "GOOGLE_GEMINI_BASE_URL", "GOOGLE_VERTEX_BASE_URL", "MISTRAL_BASE_URL", "CO_API_URL",
    "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_BEDROCK_RUNTIME",
)  # fmt: skip
"""Variables whose values an SDK would send requests to."""
HEADER_TRAPS = ("ANTHROPIC_CUSTOM_HEADERS", "OPENAI_CUSTOM_HEADERS")
SWITCH_TRAPS = {
    "GOOGLE_GENAI_USE_VERTEXAI": "true",
    "GOOGLE_GENAI_USE_ENTERPRISE": "true",
    "GOOGLE_GENAI_CLIENT_MODE": "replay",
    "GOOGLE_API_USE_MTLS_ENDPOINT": "always",
    "GOOGLE_API_USE_CLIENT_CERTIFICATE": "true",
}
"""Variables that would make an SDK call another service."""


async def test_an_sdk_takes_nothing_from_the_environment(
    pair: Pair, wire: WireFormat, ask: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in TRAPS:
        monkeypatch.setenv(name, BAIT)
    for name in URL_TRAPS:
        monkeypatch.setenv(name, pair.second.base_url)
    for name in HEADER_TRAPS:
        monkeypatch.setenv(name, f"X-Bait: {BAIT}")
    for name, value in SWITCH_TRAPS.items():
        monkeypatch.setenv(name, value)
    play(pair, wire, ask)
    answer = await ask(model_over(pair, wire), "Hi")
    assert attempts(answer) == [("first", None)]
    request = only_request(pair)
    assert BAIT not in json.dumps([request.headers, request.path, request.body])
    assert request.headers[wire.key[0]] == wire.key[1].format(key="first-key-value")
    assert not pair.second.requests


def test_a_key_shows_in_no_error_and_no_model(pair: Pair, wire: WireFormat) -> None:
    status, body = wire.failures["auth_failed"]
    echo = json.loads(json.dumps(body).replace("invalid", "invalid first-key-value"))
    pair.plays(Reply(status=status, body=echo))
    model = model_over(pair, wire, only=["first"])
    with pytest.raises(AllRoutesFailed) as caught:
        model.invoke("Hi")
    error: BaseException | None = caught.value
    while error:
        assert "first-key-value" not in f"{error!r} {error} {vars(error)}"
        error = error.__cause__
    models = [m for key, m in connections._connections.items() if key[0].provider == "first"]
    assert models
    for model in models:
        assert "first-key-value" not in f"{model!r} {model}"
        assert "first-key-value" not in str(model.model_dump())
