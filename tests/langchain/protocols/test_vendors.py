"""What is special about one vendor's protocol: real models, errors in a stream, details."""

from __future__ import annotations

import json
import struct
import zlib
from typing import TYPE_CHECKING, Any

import pytest
from langchain_core.messages import AIMessageChunk, HumanMessage
from langchain_core.outputs import ChatGenerationChunk
from langchain_core.tools import tool

from inference_providers import AllRoutesFailed, StreamInterrupted
from inference_providers.errors import ContentFilteredError
from inference_providers.failover.state import FailoverState
from inference_providers.local import llama_server
from inference_providers.testing import Reply
from inference_providers.types import Plan
from langchain_autoprovider import AutoChatModel
from langchain_autoprovider.messages.answers import AnswerRules
from langchain_autoprovider.messages.streaming import MessageChunkInspector
from langchain_autoprovider.protocols.table import PROTOCOLS

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from factories import Pair

SSE = {"content-type": "text/event-stream"}


def sse(*events: dict[str, Any]) -> Reply:
    lines = (
        (f"event: {event['type']}\n" if "type" in event else "") + f"data: {json.dumps(event)}\n\n"
        for event in events
    )
    return Reply(body="".join(lines).encode(), headers=SSE)


def classes(answer: Any) -> list[tuple[str, str | None]]:
    records = answer.response_metadata["autoprovider"]["attempts"]
    return [(record["provider"], record["class"]) for record in records]


# Anthropic: the embedded server supports its protocol, so a real model answers


@pytest.fixture
def real_anthropic(weights_file: Path, monkeypatch: pytest.MonkeyPatch) -> AutoChatModel:
    server = llama_server.start(weights_file, model="smollm2-135m")
    monkeypatch.setenv("REAL_KEY", server.key)
    row = {
        "name": "Real",
        "auth": {"any_of": [["REAL_KEY"]]},
        "endpoints": {"default": {"protocol": "anthropic", "base_url": server.base_url}},
        "models": {"m-1": "smollm2-135m"},
    }
    return AutoChatModel(
        "m-1", registry={"providers": {"real": row}}, temperature=0, max_tokens=40, seed=1
    )


async def test_anthropic_with_a_real_model_answers(
    real_anthropic: AutoChatModel, ask: Callable[..., Any]
) -> None:
    answer = await ask(real_anthropic, "Say hello")
    assert len(answer.text) > 3
    assert answer.usage_metadata["output_tokens"] > 1
    assert answer.response_metadata["model_provider"] == "anthropic"
    assert classes(answer) == [("real", None)]


@tool
def get_weather(city: str) -> str:
    """Return the weather."""
    return f"It is sunny in {city}"


async def test_anthropic_with_a_real_model_calls_tools(
    real_anthropic: AutoChatModel, ask: Callable[..., Any]
) -> None:
    model = real_anthropic.bind_tools([get_weather], tool_choice="any")
    answer = await ask(model, "What is the weather in Paris?")
    calls = answer.tool_calls  # the model decides how many
    assert {call["name"] for call in calls} == {"get_weather"}
    history = ["What is the weather in Paris?", answer, *map(get_weather.invoke, calls)]
    again = await ask(real_anthropic.bind_tools([get_weather]), history)
    assert again.text or again.tool_calls


def test_anthropic_with_a_real_server_rejects_a_wrong_key(
    real_anthropic: AutoChatModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REAL_KEY", "not-the-key")
    with pytest.raises(AllRoutesFailed, match="check REAL_KEY") as caught:
        real_anthropic.invoke("Hi")
    assert caught.value.attempts[-1].failure_class == "auth_failed"


MESSAGE = {
    "id": "msg_1", "type": "message", "role": "assistant", "model": "first-id", "content": [],
    "stop_reason": None, "stop_sequence": None, "usage": {"input_tokens": 1, "output_tokens": 1},
}  # fmt: skip
OVERLOADED = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}


async def test_anthropic_stream_error_before_output_moves_on(
    pair: Pair, ask: Callable[..., Any]
) -> None:
    pair.plays(sse({"type": "message_start", "message": MESSAGE}, OVERLOADED))
    answer = await ask(pair.model_over("anthropic", streaming=True), "Hi")
    assert answer.text == "from second"
    assert classes(answer) == [("first", "overloaded"), ("second", None)]


async def test_anthropic_stream_error_after_output_interrupts(
    pair: Pair, ask: Callable[..., Any]
) -> None:
    text = {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "A"}}
    pair.plays(sse({"type": "message_start", "message": MESSAGE}, text, OVERLOADED))
    with pytest.raises(StreamInterrupted) as caught:
        await ask(pair.model_over("anthropic", streaming=True), "Hi")
    assert caught.value.partial.text == "A"
    assert not pair.second.requests


def test_anthropic_max_tokens_come_from_the_registry(pair: Pair) -> None:
    pair.plays(Reply(status=529, body=OVERLOADED))
    pair.model_over("anthropic", model_info={"output": 1234}).invoke("Hi")
    assert pair.first.requests[0].body["max_tokens"] == 1234


# Gemini


def gemini_answer(*parts: dict[str, Any], finish: str | None = "STOP") -> dict[str, Any]:
    candidate: dict[str, Any] = {"content": {"role": "model", "parts": list(parts)}}
    if finish:
        candidate["finishReason"] = finish
    return {"candidates": [candidate], "modelVersion": "first-id"}


async def test_gemini_calls_two_tools_at_once(pair: Pair) -> None:
    calls = [
        {"functionCall": {"name": "get_weather", "args": {"city": city}}} for city in ("A", "B")
    ]
    for body in (gemini_answer(*calls), gemini_answer(calls[0], finish=None)):
        last = [] if body["candidates"][0].get("finishReason") else [gemini_answer(calls[1])]
        pair.plays(sse(body, *last))
        model = pair.model_over("google-genai").bind_tools([get_weather])
        chunks = list(model.stream("Weather?"))
        answer = sum(chunks[1:], start=chunks[0])
        assert [call["args"]["city"] for call in answer.tool_calls] == ["A", "B"]


async def test_gemini_blocking_a_prompt_is_content_filtered(
    pair: Pair, ask: Callable[..., Any]
) -> None:
    blocked = {"promptFeedback": {"blockReason": "SAFETY"}, "modelVersion": "x"}
    pair.plays(sse(blocked) if "stream" in ask.__name__ else Reply(body=blocked))
    with pytest.raises(ContentFilteredError, match="safety"):
        await ask(pair.model_over("google-genai"), "Hi")
    answer = await ask(pair.model_over("google-genai", fallback_on_content_filter=True), "Hi")
    assert classes(answer) == [("first", "content_filtered"), ("second", None)]


@pytest.mark.parametrize("suffix", ["", "/", "/v1beta", "/v1beta/"])
def test_gemini_base_url_may_name_the_api_version(pair: Pair, suffix: str) -> None:
    pair.plays(Reply(body=gemini_answer({"text": "ok"})))
    pair.model_over("google-genai", suffix=suffix).invoke("Hi")
    assert pair.first.requests[0].path == "/v1beta/models/first-id:generateContent"


def test_chunk_inspector_keeps_calls_without_index_apart() -> None:
    calls = [
        {"name": "add", "args": "{}", "id": call_id, "index": None, "type": "tool_call_chunk"}
        for call_id in ("one", "two")
    ]
    inspector = MessageChunkInspector(
        Plan(models=(), routes=(), skipped=()),
        FailoverState(),
        AnswerRules(PROTOCOLS["openai-chat"].finish_reasons, [HumanMessage("add")], {}),
    )
    message = AIMessageChunk(content="", tool_call_chunks=calls)
    inspector.inspect(ChatGenerationChunk(message=message))
    assert inspector.fault() is None


# Bedrock


def aws_event(payload: dict[str, Any], **headers: str) -> bytes:
    packed = b"".join(
        bytes([len(name) + 1]) + b":" + name.encode()
        + b"\x07" + struct.pack("!H", len(value)) + value.encode()
        for name, value in headers.items()
    )  # fmt: skip
    data = json.dumps(payload).encode()
    lengths = struct.pack("!II", 16 + len(packed) + len(data), len(packed))
    part = lengths + struct.pack("!I", zlib.crc32(lengths)) + packed + data
    return part + struct.pack("!I", zlib.crc32(part))


EVENT = {"message-type": "event"}
EXCEPTIONS = {
    "throttlingException": "rate_limited",
    "internalServerException": "overloaded",
    "serviceUnavailableException": "overloaded",
    "modelStreamErrorException": "overloaded",
}


@pytest.mark.parametrize("kind", EXCEPTIONS)
async def test_bedrock_stream_exception_is_classified(pair: Pair, kind: str) -> None:
    start = aws_event({"role": "assistant"}, **EVENT, **{"event-type": "messageStart"})
    named = {"message-type": "exception", "exception-type": kind}
    pair.plays(Reply(body=start + aws_event({"message": "Sorry"}, **named)))
    chunks = list(pair.model_over("bedrock").stream("Hi"))
    assert classes(chunks[-1]) == [("first", EXCEPTIONS[kind]), ("second", None)]


def test_bedrock_encodes_bytes_and_the_model_id_in_the_path(pair: Pair) -> None:
    pair.plays(Reply(status=503, body={"message": "Sorry"}))
    image = {"type": "image", "base64": "aGVsbG8=", "mime_type": "image/png"}
    facts = {"id": "us.anthropic.claude-x:0", "input": ["text", "image"]}
    model = pair.model_over("bedrock", model_info=facts)
    model.invoke([("human", [{"type": "text", "text": "Look"}, image])])
    (request,) = pair.first.requests
    assert request.path == "/model/us.anthropic.claude-x%3A0/converse"
    sent = request.body["messages"][0]["content"][1]["image"]
    assert sent == {"format": "png", "source": {"bytes": "aGVsbG8="}}


@pytest.mark.parametrize(
    ("model_id", "choice", "sent", "tools"),
    [
        ("anthropic.claude-3-5-sonnet-20241022-v2:0", "other", {"tool": {"name": "other"}}, 2),
        ("anthropic.claude-3-5-sonnet-20241022-v2:0", "any", {"any": {}}, 2),
        ("mistral.mistral-large-2402-v1:0", "other", {"any": {}}, 1),
        ("meta.llama3-1-70b-instruct-v1:0", "any", {"auto": {}}, 2),
    ],
)  # fmt: skip
def test_bedrock_tool_choice_is_what_the_model_supports(
    pair: Pair, model_id: str, choice: str, sent: Any, tools: int
) -> None:
    @tool
    def other() -> str:
        """Do another thing."""
        return ""

    pair.plays(Reply(status=503, body={"message": "Sorry"}))
    model = pair.model_over("bedrock", model_info={"id": model_id})
    model.bind_tools([get_weather, other], tool_choice=choice).invoke("Hi")
    config = pair.first.requests[0].body["toolConfig"]
    assert config["toolChoice"] == sent
    assert len(config["tools"]) == tools


async def test_bedrock_model_that_cannot_stream_tool_calls_answers(pair: Pair) -> None:
    call = {"toolUse": {"toolUseId": "t1", "name": "get_weather", "input": {"city": "A"}}}
    body = {
        "output": {"message": {"role": "assistant", "content": [call]}},
        "stopReason": "tool_use",
        "usage": {"inputTokens": 5, "outputTokens": 4, "totalTokens": 9},
        "metrics": {"latencyMs": 1},
    }
    pair.plays(Reply(body=body))
    facts = {"id": "meta.llama3-1-70b-instruct-v1:0"}
    chunks = list(
        pair.model_over("bedrock", model_info=facts).bind_tools([get_weather]).stream("Hi")
    )
    answer = sum(chunks[1:], start=chunks[0])
    assert [call["args"] for call in answer.tool_calls] == [{"city": "A"}]
    assert pair.first.requests[0].path.endswith("/converse")


# Cohere


async def test_cohere_stream_that_ends_with_an_error_is_interrupted(
    pair: Pair, ask: Callable[..., Any]
) -> None:
    delta = {"message": {"content": {"text": "A"}}}
    end = {"finish_reason": "ERROR", "error": "it broke"}
    pair.plays(
        sse(
            {"type": "content-delta", "index": 0, "delta": delta},
            {"type": "message-end", "delta": end},
        )
    )
    with pytest.raises(StreamInterrupted, match="it broke"):
        await ask(pair.model_over("cohere", streaming=True), "Hi")
