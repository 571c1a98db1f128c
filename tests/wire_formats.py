"""What each vendor's protocol looks like on the wire: requests, answers, streams, failures."""

from __future__ import annotations

import json
import struct
import zlib
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

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


class WireFormat(NamedTuple):
    """How one protocol looks on the wire.

    Attributes:
        suffix: What its base URL has after the host.
        paths: The paths of a request for a whole answer, and of one for a stream.
        key: The header that carries the key, and its value.
        answer: The body of an answer with `TEXT`, or with `CALL` instead.
        events: The events of a stream with `WORDS`, or with `CALL` instead.
        failures: Status and body of a failure, by failure class.
        settings: Read `SETTINGS` back from a request body.
        named_choice: Whether a request body demands the tool `add`.
        schema: The JSON schema in a request body, if it has one.
        encode: Encode events as a stream.
        after_finish: How many events come from the finish reason on.
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


def anthropic_answer(*, calls: bool) -> dict[str, Any]:
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
    start = {**anthropic_answer(calls=calls), "content": [], "stop_reason": None}
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


ANTHROPIC = WireFormat(
    protocol="anthropic",
    suffix="/v1",
    paths=("/v1/messages", "/v1/messages"),
    key=("authorization", "Bearer {key}"),
    answer=anthropic_answer,
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
        "seed": 7 if "seed" not in body else "sent, although Anthropic rejects it",
    },
    named_choice=lambda body: (
        (body["tool_choice"], len(body["tools"])) == ({"type": "tool", "name": "add"}, 2)
    ),
    schema=lambda body: body.get("output_config", {}).get("format", {}).get("schema"),
)


def gemini_answer(*, calls: bool, text: str = TEXT, finish: str | None = "STOP") -> dict[str, Any]:
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
        return [gemini_answer(calls=True)]
    words = [gemini_answer(calls=False, text=word, finish=None) for word in WORDS]
    return [*words, gemini_answer(calls=False, text="")]


def gemini_error(code: int, status: str, message: str, **detail: Any) -> tuple[int, Any]:
    details = [detail] if detail else []
    return code, {"error": {"code": code, "message": message, "status": status, "details": details}}


GEMINI = WireFormat(
    protocol="google-genai",
    suffix="",
    paths=(
        "/v1beta/models/{model}:generateContent",
        "/v1beta/models/{model}:streamGenerateContent?alt=sse",
    ),
    key=("x-goog-api-key", "{key}"),
    answer=gemini_answer,
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


def mistral_answer(*, calls: bool) -> dict[str, Any]:
    function = {"name": "add", "arguments": json.dumps(CALL["args"])}
    call = {"id": "abcdefgh1", "type": "function", "function": function, "index": 0}
    message = {"content": "", "tool_calls": [call]} if calls else {"content": TEXT}
    reason = "tool_calls" if calls else "stop"
    return {
        "id": "1",
        "object": "chat.completion",
        "model": "first-id",
        "choices": [
            {"index": 0, "message": {"role": "assistant", **message}, "finish_reason": reason}
        ],
        "usage": {"prompt_tokens": 5, "completion_tokens": 4, "total_tokens": 9},
    }


def mistral_events(*, calls: bool) -> list[Any]:
    whole = mistral_answer(calls=calls)
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


MISTRAL = WireFormat(
    protocol="mistral",
    suffix="/v1",
    paths=("/v1/chat/completions", "/v1/chat/completions"),
    key=("authorization", "Bearer {key}"),
    answer=mistral_answer,
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


def cohere_answer(*, calls: bool) -> dict[str, Any]:
    function = {"name": "add", "arguments": json.dumps(CALL["args"])}
    call = {"id": "add_1", "type": "function", "function": function}
    message = {"tool_calls": [call]} if calls else {"content": [{"type": "text", "text": TEXT}]}
    return {
        "id": "1",
        "message": {"role": "assistant", **message},
        "finish_reason": "TOOL_CALL" if calls else "COMPLETE",
        "usage": {"tokens": {"input_tokens": 5, "output_tokens": 4}},
    }


def cohere_events(*, calls: bool) -> list[Any]:
    whole = cohere_answer(calls=calls)
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


COHERE = WireFormat(
    protocol="cohere",
    suffix="/v2",
    paths=("/v2/chat", "/v2/chat"),
    key=("authorization", "Bearer {key}"),
    answer=cohere_answer,
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


def bedrock_answer(*, calls: bool) -> dict[str, Any]:
    tool = {"toolUse": {"toolUseId": "tooluse_1", "name": "add", "input": CALL["args"]}}
    content = [tool if calls else {"text": TEXT}]
    return {
        "output": {"message": {"role": "assistant", "content": content}},
        "stopReason": "tool_use" if calls else "end_turn",
        "usage": {"inputTokens": 5, "outputTokens": 4, "totalTokens": 9},
        "metrics": {"latencyMs": 1},
    }


def bedrock_events(*, calls: bool) -> list[Any]:
    whole = bedrock_answer(calls=calls)
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
    """Encode events as AWS does: lengths and their checksum, headers, payload, checksum."""
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


BEDROCK = WireFormat(
    protocol="bedrock",
    suffix="",
    paths=("/model/{model}/converse", "/model/{model}/converse-stream"),
    key=("authorization", "Bearer {key}"),
    answer=bedrock_answer,
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
        "seed": 7 if "seed" not in str(body) else "sent, although Converse rejects it",
    },
    named_choice=lambda body: (
        "toolChoice" not in body["toolConfig"] and len(body["toolConfig"]["tools"]) == 1
    ),  # the vendor's class sends no choice to models that it does not know
    schema=lambda body: (
        "outputConfig" in body
        and json.loads(
            body["outputConfig"]["textFormat"]["structure"]["jsonSchema"]["schema"],
        )
    ),
)

WIRE_FORMATS = [ANTHROPIC, GEMINI, MISTRAL, COHERE, BEDROCK]
