"""Every protocol's real class against a server that speaks its wire format."""

from __future__ import annotations

import asyncio
import json
import struct
import zlib
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from langchain_core.exceptions import ContextOverflowError
from langchain_core.messages import HumanMessage, ToolMessage
from pydantic import BaseModel

from inference_providers import AllRoutesFailed, ProviderList, StreamInterrupted
from inference_providers.testing import Reply

if TYPE_CHECKING:
    from collections.abc import Callable

    from factories import Pair
    from inference_providers.testing import Request

WORDS = ("Hello", " from", " the", " wire")
TEXT = "".join(WORDS)
CALL = {"name": "add", "args": {"a": 1, "b": 2}}

TOOLS = [
    {
        "type": "function",
        "function": {
            "name": name,
            "description": "Do it.",
            "parameters": {
                "type": "object",
                "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}},
                "required": ["a", "b"],
            },
        },
    }
    for name in ("add", "other")
]


def sse(events: list[Any]) -> bytes:
    named = ((f"event: {e['type']}\n" if "type" in e else "", json.dumps(e)) for e in events)
    return "".join(f"{name}data: {data}\n\n" for name, data in named).encode()


class Dialect(NamedTuple):
    """How one protocol looks on the wire.

    Attributes:
        suffix: What its base URL has after the host.
        paths: Where an answer, and where a stream is asked for.
        key: The header that carries the key, and what it says.
        answer: The body of an answer with this text, or with `CALL` in its place.
        events: The events of a stream with these words, or with `CALL` in their place.
        after_finish: How many of them come from the finish reason on.
        failure: The body of a failure, by status.
        settings: The request fields of `SETTINGS` as they are on the wire.
        named_choice: Whether the tool `add` is demanded.
        schema: The JSON schema that is asked for, or nothing.
        encode: Makes a stream of events.
    """

    protocol: str
    suffix: str
    paths: tuple[str, str]
    key: tuple[str, str]
    answer: Callable[[bool], Any]
    events: Callable[[bool], list[Any]]
    failures: dict[str, tuple[int, Any]]
    settings: Callable[[Any], Any]
    named_choice: Callable[[Any], Any]
    schema: Callable[[Any], Any]
    encode: Callable[[list[Any]], bytes] = sse
    after_finish: int = 1


SETTINGS: dict[str, Any] = {
    "temperature": 0.5,
    "max_tokens": 77,
    "top_p": 0.25,
    "seed": 7,
    "stop": ["END"],
}


def of_anthropic(*, calls: bool) -> dict[str, Any]:
    tool = {"type": "tool_use", "id": "toolu_1", "name": "add", "input": CALL["args"]}
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "first-id",
        "content": [tool if calls else {"type": "text", "text": TEXT}],
        "stop_reason": "tool_use" if calls else "end_turn",
        "stop_sequence": None,
        "usage": {"input_tokens": 5, "output_tokens": 4},
    }


def anthropic_events(*, calls: bool) -> list[Any]:
    if calls:
        block: dict[str, Any] = {"type": "tool_use", "id": "toolu_1", "name": "add", "input": {}}
        halves = ('{"a": 1,', ' "b": 2}')
        deltas = [{"type": "input_json_delta", "partial_json": half} for half in halves]
    else:
        block = {"type": "text", "text": ""}
        deltas = [{"type": "text_delta", "text": word} for word in WORDS]
    start = {**of_anthropic(calls=calls), "content": [], "stop_reason": None}
    reason = "tool_use" if calls else "end_turn"
    return [
        {"type": "message_start", "message": start},
        {"type": "content_block_start", "index": 0, "content_block": block},
        *({"type": "content_block_delta", "index": 0, "delta": delta} for delta in deltas),
        {"type": "content_block_stop", "index": 0},
        {
            "type": "message_delta",
            "delta": {"stop_reason": reason, "stop_sequence": None},
            "usage": {"output_tokens": 4},
        },
    ]


def anthropic_error(kind: str, message: str) -> dict[str, Any]:
    return {"type": "error", "error": {"type": kind, "message": message}}


ANTHROPIC = Dialect(
    protocol="anthropic",
    suffix="/v1",
    paths=("/v1/messages", "/v1/messages"),
    key=("authorization", "Bearer {key}"),
    answer=of_anthropic,
    events=anthropic_events,
    failures={
        "rate_limited": (
            429,
            anthropic_error("rate_limit_error", "Number of requests has exceeded"),
        ),
        "auth_failed": (401, anthropic_error("authentication_error", "invalid x-api-key")),
        "overloaded": (529, anthropic_error("overloaded_error", "Overloaded")),
        "model_not_found": (404, anthropic_error("not_found_error", "model: first-id")),
        "quota_exceeded": (
            400,
            anthropic_error("invalid_request_error", "Your credit balance is too low"),
        ),
        "context_overflow": (
            400,
            anthropic_error(
                "invalid_request_error", "prompt is too long: 208310 tokens > 200000 maximum"
            ),
        ),
        "bad_request": (
            400,
            anthropic_error("invalid_request_error", "messages.0: unexpected role"),
        ),
    },
    settings=lambda body: {
        "temperature": body["temperature"],
        "max_tokens": body["max_tokens"],
        "top_p": body["top_p"],
        "stop": body["stop_sequences"],
        "seed": 7 if "seed" not in body else "sent, and Anthropic refuses it",
    },
    named_choice=lambda body: (
        (body["tool_choice"], len(body["tools"])) == ({"type": "tool", "name": "add"}, 2)
    ),
    schema=lambda body: body.get("output_config", {}).get("format", {}).get("schema"),
)


def of_gemini(*, calls: bool, text: str = TEXT, finish: str | None = "STOP") -> dict[str, Any]:
    part = {"functionCall": CALL} if calls else {"text": text}
    candidate = {"content": {"role": "model", "parts": [part]}, "index": 0}
    return {
        "candidates": [{**candidate, "finishReason": finish} if finish else candidate],
        "usageMetadata": {
            "promptTokenCount": 5,
            "candidatesTokenCount": 4,
            "totalTokenCount": 9,
        },
        "modelVersion": "first-id",
    }


def gemini_events(*, calls: bool) -> list[Any]:
    if calls:
        return [of_gemini(calls=True)]
    words = [of_gemini(calls=False, text=word, finish=None) for word in WORDS]
    return [*words, of_gemini(calls=False, text="")]


def gemini_error(code: int, status: str, message: str, **detail: Any) -> tuple[int, Any]:
    details = [detail] if detail else []
    return code, {"error": {"code": code, "message": message, "status": status, "details": details}}


GEMINI = Dialect(
    protocol="google-genai",
    suffix="",
    paths=(
        "/v1beta/models/{model}:generateContent",
        "/v1beta/models/{model}:streamGenerateContent?alt=sse",
    ),
    key=("x-goog-api-key", "{key}"),
    answer=of_gemini,
    events=gemini_events,
    failures={
        "rate_limited": gemini_error(
            429,
            "RESOURCE_EXHAUSTED",
            "You exceeded your current quota, please check your plan and billing details.",
            violations=[{"quotaId": "GenerateRequestsPerMinutePerProjectPerModel"}],
        ),
        "auth_failed": gemini_error(400, "INVALID_ARGUMENT", "API key not valid. It is invalid."),
        "overloaded": gemini_error(503, "UNAVAILABLE", "The model is overloaded."),
        "model_not_found": gemini_error(
            404, "NOT_FOUND", "models/first-id is not found for API v1beta"
        ),
        "quota_exceeded": gemini_error(
            400, "FAILED_PRECONDITION", "Please enable billing on project"
        ),
        "context_overflow": gemini_error(
            400,
            "INVALID_ARGUMENT",
            "The input token count (9000) exceeds the maximum number of tokens allowed (8192).",
        ),
        "bad_request": gemini_error(400, "INVALID_ARGUMENT", "Invalid role."),
    },
    settings=lambda body: {
        "temperature": body["generationConfig"]["temperature"],
        "max_tokens": body["generationConfig"]["maxOutputTokens"],
        "top_p": body["generationConfig"]["topP"],
        "stop": body["generationConfig"]["stopSequences"],
        "seed": body["generationConfig"]["seed"],
    },
    named_choice=lambda body: (
        body["toolConfig"]["functionCallingConfig"]
        == {"mode": "ANY", "allowedFunctionNames": ["add"]}
    ),
    schema=lambda body: body.get("generationConfig", {}).get("responseJsonSchema"),
)


def of_mistral(*, calls: bool) -> dict[str, Any]:
    function = {"name": "add", "arguments": json.dumps(CALL["args"])}
    call = {"id": "abcdefgh1", "type": "function", "function": function, "index": 0}
    said = {"content": "", "tool_calls": [call]} if calls else {"content": TEXT}
    reason = "tool_calls" if calls else "stop"
    return {
        "id": "1",
        "object": "chat.completion",
        "model": "first-id",
        "choices": [
            {"index": 0, "message": {"role": "assistant", **said}, "finish_reason": reason}
        ],
        "usage": {"prompt_tokens": 5, "completion_tokens": 4, "total_tokens": 9},
    }


def mistral_events(*, calls: bool) -> list[Any]:
    whole = of_mistral(calls=calls)
    (choice,) = whole["choices"]
    deltas = [choice["message"]] if calls else [{"content": word} for word in WORDS]

    def event(delta: Any, reason: str | None = None) -> dict[str, Any]:
        return {
            "id": "1",
            "model": "first-id",
            "choices": [{"index": 0, "delta": delta, "finish_reason": reason}],
        }

    last = {**event({"content": ""}, choice["finish_reason"]), "usage": whole["usage"]}
    return [*map(event, deltas), last]


def mistral_error(message: str, kind: str, code: str | None = None) -> dict[str, Any]:
    return {"object": "error", "message": message, "type": kind, "param": None, "code": code}


MISTRAL = Dialect(
    protocol="mistral",
    suffix="/v1",
    paths=("/v1/chat/completions", "/v1/chat/completions"),
    key=("authorization", "Bearer {key}"),
    answer=of_mistral,
    events=mistral_events,
    failures={
        "rate_limited": (
            429,
            mistral_error("Requests rate limit exceeded", "rate_limited", "1300"),
        ),
        "auth_failed": (401, {"detail": "Unauthorized: invalid key"}),
        "overloaded": (
            503,
            mistral_error("Service tier capacity exceeded", "service_tier_capacity_exceeded"),
        ),
        "model_not_found": (404, mistral_error("Invalid model: first-id", "invalid_model", "1500")),
        "context_overflow": (
            400,
            mistral_error(
                "Prompt contains 40000 tokens, too large for model with 32768 maximum context"
                " length",
                "invalid_request_message_order",
                "3051",
            ),
        ),
        "bad_request": (422, {"detail": [{"type": "missing", "msg": "Field required"}]}),
    },
    settings=lambda body: {
        "temperature": body["temperature"],
        "max_tokens": body["max_tokens"],
        "top_p": body["top_p"],
        "stop": body["stop"],
        "seed": body["random_seed"],
    },
    named_choice=lambda body: (
        body["tool_choice"] == {"type": "function", "function": {"name": "add"}}
    ),
    schema=lambda body: body.get("response_format", {}).get("json_schema", {}).get("schema"),
)


def of_cohere(*, calls: bool) -> dict[str, Any]:
    function = {"name": "add", "arguments": json.dumps(CALL["args"])}
    call = {"id": "add_1", "type": "function", "function": function}
    said = {"tool_calls": [call]} if calls else {"content": [{"type": "text", "text": TEXT}]}
    return {
        "id": "1",
        "message": {"role": "assistant", **said},
        "finish_reason": "TOOL_CALL" if calls else "COMPLETE",
        "usage": {"tokens": {"input_tokens": 5, "output_tokens": 4}},
    }


def cohere_events(*, calls: bool) -> list[Any]:
    whole = of_cohere(calls=calls)
    if calls:
        call = whole["message"]["tool_calls"][0]
        text = call["function"]["arguments"]
        named = {**call, "function": {"name": "add", "arguments": ""}}
        halves = [{"function": {"arguments": text[:7]}}, {"function": {"arguments": text[7:]}}]
        kinds = ["tool-call-start", "tool-call-delta", "tool-call-delta"]
        events = [
            {"type": kind, "index": 0, "delta": {"message": {"tool_calls": piece}}}
            for kind, piece in zip(kinds, [named, *halves], strict=True)
        ]
        events.append({"type": "tool-call-end", "index": 0})
    else:
        events = [
            {
                "type": "content-delta",
                "index": 0,
                "delta": {"message": {"content": {"text": word}}},
            }
            for word in WORDS
        ]
    end = {"finish_reason": whole["finish_reason"], "usage": whole["usage"]}
    start: dict[str, Any] = {"type": "message-start", "id": "1", "delta": {"message": {}}}
    return [start, *events, {"type": "message-end", "delta": end}]


COHERE = Dialect(
    protocol="cohere",
    suffix="/v2",
    paths=("/v2/chat", "/v2/chat"),
    key=("authorization", "Bearer {key}"),
    answer=of_cohere,
    events=cohere_events,
    failures={
        "rate_limited": (429, {"message": "You are limited to 40 API calls / minute."}),
        "auth_failed": (401, {"message": "invalid api token"}),
        "overloaded": (503, {"message": "the service is overloaded"}),
        "model_not_found": (404, {"message": "model 'first-id' not found"}),
        "quota_exceeded": (402, {"message": "Please add or update your payment method"}),
        "context_overflow": (
            400,
            {"message": "too many tokens: total number of tokens in the prompt cannot exceed 4081"},
        ),
        "bad_request": (400, {"message": "invalid request: message must be at least 1 token long"}),
    },
    settings=lambda body: {
        "temperature": body["temperature"],
        "max_tokens": body["max_tokens"],
        "top_p": body["p"],
        "stop": body["stop_sequences"],
        "seed": body["seed"],
    },
    named_choice=lambda body: (body["tool_choice"], len(body["tools"])) == ("REQUIRED", 1),
    schema=lambda body: body.get("response_format", {}).get("schema"),
)


def of_bedrock(*, calls: bool) -> dict[str, Any]:
    tool = {"toolUse": {"toolUseId": "tooluse_1", "name": "add", "input": CALL["args"]}}
    content = [tool if calls else {"text": TEXT}]
    return {
        "output": {"message": {"role": "assistant", "content": content}},
        "stopReason": "tool_use" if calls else "end_turn",
        "usage": {"inputTokens": 5, "outputTokens": 4, "totalTokens": 9},
        "metrics": {"latencyMs": 1},
    }


def bedrock_events(*, calls: bool) -> list[Any]:
    whole = of_bedrock(calls=calls)
    at: dict[str, Any] = {"contentBlockIndex": 0}
    start: list[dict[str, Any]] = []
    if calls:
        tool = {"toolUseId": "tooluse_1", "name": "add"}
        start = [{"contentBlockStart": {"start": {"toolUse": tool}, **at}}]
        deltas: list[Any] = [{"toolUse": {"input": part}} for part in ('{"a": 1,', ' "b": 2}')]
    else:
        deltas = [{"text": word} for word in WORDS]
    return [
        {"messageStart": {"role": "assistant"}},
        *start,
        *({"contentBlockDelta": {"delta": delta, **at}} for delta in deltas),
        {"contentBlockStop": at},
        {"messageStop": {"stopReason": whole["stopReason"]}},
        {"metadata": {"usage": whole["usage"], "metrics": whole["metrics"]}},
    ]


def eventstream(events: list[Any]) -> bytes:
    """Encode events as AWS does: lengths, a checksum of them, headers, payload, a checksum."""
    encoded = b""
    for event in events:
        ((kind, payload),) = event.items()
        headers = b"".join(
            bytes([len(name)]) + name.encode() + b"\x07" + struct.pack("!H", len(v)) + v.encode()
            for name, v in ((":message-type", "event"), (":event-type", kind))
        )
        data = json.dumps(payload).encode()
        lengths = struct.pack("!II", 16 + len(headers) + len(data), len(headers))
        part = lengths + struct.pack("!I", zlib.crc32(lengths)) + headers + data
        encoded += part + struct.pack("!I", zlib.crc32(part))
    return encoded


BEDROCK = Dialect(
    protocol="bedrock",
    suffix="",
    paths=("/model/{model}/converse", "/model/{model}/converse-stream"),
    key=("authorization", "Bearer {key}"),
    answer=of_bedrock,
    events=bedrock_events,
    encode=eventstream,
    after_finish=2,
    failures={
        "rate_limited": (429, {"message": "Too many requests, please wait before trying again."}),
        "auth_failed": (403, {"message": "The security token included in the request is invalid."}),
        "overloaded": (503, {"message": "Bedrock is unable to process your request."}),
        "model_not_found": (404, {"message": "The model is not found"}),
        "context_overflow": (400, {"message": "Input is too long for requested model."}),
        "bad_request": (400, {"message": "1 validation error detected"}),
    },
    settings=lambda body: {
        "temperature": body["inferenceConfig"]["temperature"],
        "max_tokens": body["inferenceConfig"]["maxTokens"],
        "top_p": body["inferenceConfig"]["topP"],
        "stop": body["inferenceConfig"]["stopSequences"],
        "seed": 7 if "seed" not in str(body) else "sent, and Converse refuses it",
    },
    named_choice=lambda body: (
        "toolChoice" not in body["toolConfig"] and len(body["toolConfig"]["tools"]) == 1
    ),  # of a model it does not know, the vendor's class says that it takes no choice
    schema=lambda body: (
        "outputConfig" in body
        and json.loads(
            body["outputConfig"]["textFormat"]["structure"]["jsonSchema"]["schema"],
        )
    ),
)

DIALECTS = [ANTHROPIC, GEMINI, MISTRAL, COHERE, BEDROCK]


@pytest.fixture(params=DIALECTS, ids=lambda dialect: dialect.protocol)
def dialect(request: pytest.FixtureRequest) -> Dialect:
    return request.param


def stream_of(dialect: Dialect, events: list[Any], **reply: Any) -> Reply:
    body, kind = dialect.encode(events), "text/event-stream"
    return Reply(body=body, headers={"content-type": kind}, **reply)


def plays(pair: Pair, dialect: Dialect, ask: Callable[..., Any], *, calls: bool = False) -> None:
    if "stream" in ask.__name__:
        pair.plays(stream_of(dialect, dialect.events(calls=calls)))
    else:
        pair.plays(Reply(body=dialect.answer(calls=calls)))


def attempts(answer: Any) -> list[tuple[str, str | None]]:
    tried = answer.response_metadata["autoprovider"]["attempts"]
    return [(attempt["provider"], attempt["class"]) for attempt in tried]


def model_over(pair: Pair, dialect: Dialect, **kwargs: Any) -> Any:
    return pair.model_over(dialect.protocol, suffix=dialect.suffix, **kwargs)


def sole(pair: Pair) -> Request:
    (request,) = pair.first.requests
    return request


async def test_it_answers(pair: Pair, dialect: Dialect, ask: Callable[..., Any]) -> None:
    plays(pair, dialect, ask)
    answer = await ask(model_over(pair, dialect), "Hi")
    assert answer.text == TEXT
    assert attempts(answer) == [("first", None)]
    assert answer.usage_metadata["output_tokens"] == 4
    assert not pair.second.requests


async def test_what_goes_over_the_wire(
    pair: Pair, dialect: Dialect, ask: Callable[..., Any]
) -> None:
    plays(pair, dialect, ask)
    await ask(model_over(pair, dialect), "Hi there")
    request = sole(pair)
    assert request.path == dialect.paths["stream" in ask.__name__].format(model="first-id")
    header, said = dialect.key
    assert request.headers[header] == said.format(key="first-key-value")
    others = {name: value for name, value in request.headers.items() if name != header}
    assert "first-key-value" not in json.dumps([others, request.path, request.body])
    assert "Hi there" in json.dumps(request.body)


async def test_request_fields_are_spelled_its_way(
    pair: Pair, dialect: Dialect, ask: Callable[..., Any]
) -> None:
    plays(pair, dialect, ask)
    await ask(model_over(pair, dialect, **SETTINGS), "Hi")
    assert dialect.settings(sole(pair).body) == SETTINGS


async def test_fields_of_openais_that_it_lacks_are_left_out(
    pair: Pair, dialect: Dialect, ask: Callable[..., Any]
) -> None:
    plays(pair, dialect, ask)
    model = model_over(pair, dialect).bind(logit_bias={"1": 2}, user="someone", store=False)
    answer = await ask(model, "Hi")
    assert answer.text == TEXT


async def test_what_a_provider_refuses_is_left_out(
    pair: Pair, dialect: Dialect, ask: Callable[..., Any]
) -> None:
    plays(pair, dialect, ask)
    row = {"quirks": {"drop_params": ["temperature"]}}
    await ask(model_over(pair, dialect, row=row, **SETTINGS), "Hi")
    with pytest.raises(KeyError, match="temperature"):
        dialect.settings(sole(pair).body)


class Answer(BaseModel):
    """An answer."""

    words: list[str]


@pytest.mark.parametrize("method", ["json_schema", "json_mode", None])
def test_a_schema_is_asked_for_its_way(pair: Pair, dialect: Dialect, method: Any) -> None:
    body = json.dumps(dialect.answer(calls=False))
    pair.plays(Reply(body=json.loads(body.replace(TEXT, r"{\"words\": [\"a\"]}"))))
    model = model_over(pair, dialect).with_structured_output(Answer, method=method)
    assert model.invoke("Say a, as JSON") == Answer(words=["a"])
    asked = dialect.schema(sole(pair).body)  # also in JSON mode: each of them knows schemas
    assert asked["properties"]["words"]["items"] == {"type": "string"}


def test_it_has_a_plain_client(pair: Pair, dialect: Dialect) -> None:
    registry = model_over(pair, dialect).registry
    client, model_id = ProviderList(json_merge=registry).connect_to_model("m-1")
    messages: Any = [{"role": "user", "content": "Hi"}]
    pair.plays(Reply(body=dialect.answer(calls=False)))
    whole = client.chat.completions.create(model=model_id, messages=messages, stop=["END"])
    assert whole.choices[0].message.content == TEXT
    assert whole.choices[0].finish_reason == "stop"
    pair.plays(Reply(body=dialect.answer(calls=True)))
    called = client.chat.completions.create(model=model_id, messages=messages, tools=TOOLS)
    assert called.choices[0].message.tool_calls[0].function.name == "add"
    assert called.choices[0].finish_reason == "tool_calls"
    pair.plays(stream_of(dialect, dialect.events(calls=False)))
    chunks = list(client.chat.completions.create(model=model_id, messages=messages, stream=True))
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == TEXT
    assert "stop" in [chunk.choices[0].finish_reason for chunk in chunks]


def test_each_event_loop_has_connections_of_its_own(pair: Pair, dialect: Dialect) -> None:
    model = model_over(pair, dialect)
    for _ in range(3):
        pair.plays(Reply(body=dialect.answer(calls=False)))
        assert asyncio.run(model.ainvoke("Hi")).text == TEXT


@pytest.mark.parametrize("call", ["invoke", "ainvoke"])
@pytest.mark.parametrize(("idle_s", "opened"), [(60.0, 1), (0.0, 2)])
async def test_an_idle_connection_is_kept_for_so_long_only(  # noqa: PLR0913, PLR0917 - fixtures
    pair: Pair,
    dialect: Dialect,
    call: str,
    idle_s: float,
    opened: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("langchain_autoprovider.http.clients.MAX_IDLE_CONNECTION_S", idle_s)
    connections = pair.connections()
    pair.plays(Reply(body=dialect.answer(calls=False)))
    model = model_over(pair, dialect)
    for _ in range(2):
        answer = model.invoke("Hi") if call == "invoke" else await model.ainvoke("Hi")
        assert answer.text == TEXT
    assert len(connections) == opened


async def test_it_calls_tools(pair: Pair, dialect: Dialect, ask: Callable[..., Any]) -> None:
    plays(pair, dialect, ask, calls=True)
    model = model_over(pair, dialect).bind_tools(TOOLS, tool_choice="any")
    answer = await ask(model, "Add 1 and 2")
    (call,) = answer.tool_calls
    assert {name: call[name] for name in CALL} == CALL
    assert attempts(answer) == [("first", None)]


def _went_back(pair: Pair, dialect: Dialect, **kwargs: Any) -> Any:
    """Return the conversation as it was sent with the result of a call."""
    pair.plays(Reply(body=dialect.answer(calls=True)), Reply(body=dialect.answer(calls=False)))
    model = model_over(pair, dialect, **kwargs).bind_tools(TOOLS)
    call = model.invoke("Add 1 and 2")
    result = ToolMessage("3", tool_call_id=call.tool_calls[0]["id"], name="add")
    model.invoke([HumanMessage("Add 1 and 2"), call, result])
    body = pair.first.requests[-1].body
    return body.get("messages") or body["contents"]


def test_a_call_in_langchains_blocks_goes_back_as_it_does_without(
    pair: Pair, dialect: Dialect
) -> None:
    plain = _went_back(pair, dialect)
    assert _went_back(pair, dialect, output_version="v1") == plain


NAMED = {"type": "function", "function": {"name": "add"}}


@pytest.mark.parametrize("choice", ["add", NAMED], ids=["name", "dict"])
def test_one_tool_is_demanded_by_name(pair: Pair, dialect: Dialect, choice: Any) -> None:
    pair.plays(Reply(body=dialect.answer(calls=True)))
    model_over(pair, dialect).bind_tools(TOOLS, tool_choice=choice).invoke("Add")
    assert dialect.named_choice(sole(pair).body)


@pytest.mark.parametrize("choice", [None, "auto", "none", "any", "required", True, "add", NAMED])
def test_every_spelling_of_tool_choice_is_taken(pair: Pair, dialect: Dialect, choice: Any) -> None:
    pair.plays(Reply(body=dialect.answer(calls=False)))
    model = model_over(pair, dialect).bind_tools(TOOLS, tool_choice=choice)
    assert model.invoke("Add").text == TEXT


async def test_a_stream_without_a_finish_reason_is_no_answer(
    pair: Pair, dialect: Dialect, ask: Callable[..., Any]
) -> None:
    pair.plays(stream_of(dialect, dialect.events(calls=False)[: -dialect.after_finish]))
    with pytest.raises(StreamInterrupted, match=r"finish reason|messageStop") as caught:
        await ask(model_over(pair, dialect, streaming=True), "Hi")
    assert caught.value.partial.text == TEXT
    assert not pair.second.requests


async def test_a_stream_cut_after_its_output_began_is_no_answer(
    pair: Pair, dialect: Dialect, ask: Callable[..., Any]
) -> None:
    events = dialect.events(calls=False)
    pair.plays(stream_of(dialect, [*events[:4], *events[:4]], fault="close", cut_after=1))
    with pytest.raises(StreamInterrupted) as caught:
        await ask(model_over(pair, dialect, streaming=True), "Hi")
    assert TEXT.startswith(caught.value.partial.text)
    assert not pair.second.requests


@pytest.mark.parametrize(
    "failure", ["rate_limited", "auth_failed", "overloaded", "model_not_found", "quota_exceeded"]
)
async def test_a_failure_moves_on_to_another_protocol(
    pair: Pair, dialect: Dialect, ask: Callable[..., Any], failure: str
) -> None:
    if failure not in dialect.failures:
        return
    status, body = dialect.failures[failure]
    pair.plays(Reply(status=status, body=body))
    answer = await ask(model_over(pair, dialect), "Hi")
    assert answer.text == "from second"
    assert attempts(answer) == [("first", failure), ("second", None)]
    assert answer.response_metadata["autoprovider"]["attempts"][0]["status"] == status
    assert len(pair.first.requests) == 1, "an SDK tried again on its own"


async def test_a_prompt_that_is_too_long_goes_to_a_larger_window(
    pair: Pair, dialect: Dialect, ask: Callable[..., Any]
) -> None:
    status, body = dialect.failures["context_overflow"]
    pair.plays(Reply(status=status, body=body))
    with pytest.raises(ContextOverflowError):
        await ask(model_over(pair, dialect, facts={"context": 8000}), "Hi")
    assert not pair.second.requests


@pytest.mark.parametrize(
    "body", ["<html>Sorry</html>", {}, {"error": {"code": 500, "message": "no"}}]
)
async def test_a_success_that_is_no_answer_moves_on(
    pair: Pair, dialect: Dialect, ask: Callable[..., Any], body: Any
) -> None:
    pair.plays(Reply(body=body))
    answer = await ask(model_over(pair, dialect), "Hi")
    assert answer.text == "from second"
    assert attempts(answer)[0][1] in {"invalid_response", "overloaded"}


async def test_a_redirect_is_not_followed(
    pair: Pair, dialect: Dialect, ask: Callable[..., Any]
) -> None:
    elsewhere = pair.second.base_url + "/chat/completions"
    pair.plays(Reply(status=307, headers={"location": elsewhere}))
    model = model_over(pair, dialect, only=["first"], max_retries=0)
    with suppress(Exception):  # what is said of it differs
        await ask(model, "Secret prompt")
    assert "Secret prompt" in str(sole(pair).body)
    assert not pair.second.requests


async def test_the_timeout_of_a_call_is_kept(
    pair: Pair, dialect: Dialect, ask: Callable[..., Any]
) -> None:
    pair.plays(Reply(fault="hang"))
    model = model_over(pair, dialect, only=["first"], max_retries=0, timeout=1.0)
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
"""Variables that would have an SDK speak to another service."""


async def test_the_environment_says_nothing_to_an_sdk(
    pair: Pair, dialect: Dialect, ask: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in TRAPS:
        monkeypatch.setenv(name, BAIT)
    for name in URL_TRAPS:
        monkeypatch.setenv(name, pair.second.base_url)
    for name in HEADER_TRAPS:
        monkeypatch.setenv(name, f"X-Bait: {BAIT}")
    for name, value in SWITCH_TRAPS.items():
        monkeypatch.setenv(name, value)
    plays(pair, dialect, ask)
    answer = await ask(model_over(pair, dialect), "Hi")
    assert attempts(answer) == [("first", None)]
    request = sole(pair)
    assert BAIT not in json.dumps([request.headers, request.path, request.body])
    assert request.headers[dialect.key[0]] == dialect.key[1].format(key="first-key-value")
    assert not pair.second.requests


def test_a_key_shows_nowhere(pair: Pair, dialect: Dialect) -> None:
    from langchain_autoprovider.protocols import connections

    status, body = dialect.failures["auth_failed"]
    echo = json.loads(json.dumps(body).replace("invalid", "invalid first-key-value"))
    pair.plays(Reply(status=status, body=echo))
    model = model_over(pair, dialect, only=["first"])
    with pytest.raises(AllRoutesFailed) as caught:
        model.invoke("Hi")
    error: BaseException | None = caught.value
    while error:
        assert "first-key-value" not in f"{error!r} {error} {vars(error)}"
        error = error.__cause__
    connections = [c for k, c in connections._connections.items() if k[0] == "first"]
    assert connections
    for connection in connections:
        assert "first-key-value" not in f"{connection!r} {connection}"
        assert "first-key-value" not in str(connection.model_dump())
