"""Failover against aimock: each fault, over each protocol, in each mode."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import anthropic
import openai
import pytest
from langchain_core.exceptions import ContextOverflowError
from langchain_core.tools import tool
from langchain_google_genai._common import GoogleGenerativeAIError

from inference_providers import AllRoutesFailed, StreamInterrupted, health, reset_health

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Peer
    from inference_providers.local import llama_server
    from inference_providers.testing import FakeProvider

    Ask = Callable[..., Any]
    ModelOver = Callable[..., Any]

WRONG_REQUEST_ERROR = {
    "openai-chat": openai.BadRequestError,
    "openai-responses": openai.BadRequestError,
    "anthropic": anthropic.BadRequestError,
    "google-genai": GoogleGenerativeAIError,
}
"""The exception that each protocol's class raises for a wrong request."""
CHUNKED = [protocol for protocol in WRONG_REQUEST_ERROR if protocol != "google-genai"]
"""Protocols whose streams start before there is output, and send tool calls in pieces."""
LONG_ANSWER = "This is a long answer which will be cut in the middle of the stream by the server."


@tool
def get_weather(city: str, days: int) -> str:
    """Return the weather forecast."""
    return f"{city} {days}"


@pytest.fixture
def pair(
    aimock: Peer, second: FakeProvider, protocol: str, model_over: ModelOver
) -> Callable[..., Any]:
    """Build a model over aimock, in each protocol, and a second provider that answers."""

    def make(*, windows: tuple[int | None, int | None] = (None, None), **kwargs: Any) -> Any:
        entries = [{"context": window} if window else {} for window in windows]
        rows = {
            "first": aimock.row(protocol, **entries[0]),
            "second": second.row({"m-1": {"id": "second-id", **entries[1]}}, key="SECOND_KEY"),
        }
        return model_over(rows, **kwargs)

    return make


def attempts(answer: Any) -> list[tuple[str, str | None, int | None]]:
    records = answer.response_metadata["autoprovider"]["attempts"]
    return [(attempt["provider"], attempt["class"], attempt["status"]) for attempt in records]


def classes(answer: Any) -> list[tuple[str, str | None]]:
    return [(provider, failure_class) for provider, failure_class, _ in attempts(answer)]


def cooldowns() -> list[tuple[str, str]]:
    """Return scope and reason of each cooldown; only the first provider may have one."""
    rows = health().rows
    assert all("first at 127.0.0.1" in name or kind == "host" for kind, name, _ in rows)
    assert "key-value" not in str(health())
    return [(kind, reason) for kind, _, reason in rows]


async def test_answer_arrives_whole_without_cooldown(
    aimock: Peer, pair: Ask, ask: Ask, second: FakeProvider
) -> None:
    answer = await ask(pair(), "play an answer")
    assert answer.text == "Hello from aimock, who speaks in several chunks"
    assert attempts(answer) == [("first", None, None)]
    assert cooldowns() == []
    assert len(aimock.journal_of("play an answer")) == 1
    assert not second.requests


async def test_stream_arrives_in_chunks(pair: Ask) -> None:
    texts = [chunk.text for chunk in pair().stream("play an answer")]
    assert len([text for text in texts if text]) == 6
    texts = [chunk.text async for chunk in pair().astream("play an answer")]
    assert len([text for text in texts if text]) == 6


# aimock's word; Gemini ends its calls with STOP
@pytest.mark.filterwarnings("ignore:FUNCTION_CALL is not a valid FinishReason")
async def test_tool_call_arrives_whole(pair: Ask, ask: Ask) -> None:
    answer = await ask(pair().bind_tools([get_weather]), "play a tool call")
    (call,) = answer.tool_calls
    assert call["name"] == "get_weather"
    assert call["args"] == {"city": "Paris", "days": 3}
    assert attempts(answer) == [("first", None, None)]


FAULTS = {
    "429": ("rate_limited", 429, "route"),
    "401": ("auth_failed", 401, "key"),
    "402": ("quota_exceeded", 402, "key"),
    "500": ("overloaded", 500, "model"),
    "503": ("overloaded", 503, "model"),
    "malformed": ("invalid_response", None, None),
    "drop": ("overloaded", None, None),
}
"""Fault → failure class, HTTP status, and the scope of the cooldown."""


@pytest.mark.parametrize("fault", FAULTS)
async def test_fault_moves_on_and_starts_a_cooldown(
    fault: str, aimock: Peer, pair: Ask, ask: Ask
) -> None:
    failure_class, status, scope = FAULTS[fault]
    answer = await ask(pair(), f"play {fault}")
    assert answer.text == "from second"
    assert classes(answer) == [("first", failure_class), ("second", None)]
    ((kind, reason),) = cooldowns()
    if status:
        assert attempts(answer)[0][2] == status
        assert kind == scope
    assert ("key was refused" if failure_class == "auth_failed" else failure_class) in reason
    assert len(aimock.journal_of(f"play {fault}")) == 1, "an SDK retried by itself"

    again = await ask(pair(), f"play {fault}")
    assert again.text == "from second"
    assert attempts(again) == [("second", None, None)]
    assert len(aimock.journal_of(f"play {fault}")) == 1


async def test_retry_after_sets_the_length_of_the_cooldown(pair: Ask, ask: Ask) -> None:
    # aimock also reports that tokens reset in 6 minutes; Retry-After counts.
    await ask(pair(), "play 429")
    ((_, reason),) = cooldowns()
    assert re.fullmatch(r"cooling down for [6-9]\d s: rate_limited \(HTTP 429\)", reason)


async def test_context_overflow_moves_on_to_a_larger_window(pair: Ask, ask: Ask) -> None:
    answer = await ask(pair(windows=(8192, 32768)), "play context")
    assert answer.text == "from second"
    assert attempts(answer) == [("first", "context_overflow", 400), ("second", None, None)]
    assert cooldowns() == []


async def test_context_overflow_everywhere_raises_the_providers_error(
    pair: Ask, ask: Ask, second: FakeProvider, protocol: str
) -> None:
    with pytest.raises(WRONG_REQUEST_ERROR[protocol], match="maximum context length"):
        await ask(pair(windows=(8192, 8192)), "play context")
    assert not second.requests
    assert cooldowns() == []


async def test_context_overflow_everywhere_is_langchains_error(pair: Ask, ask: Ask) -> None:
    with pytest.raises(ContextOverflowError):
        await ask(pair(windows=(8192, 8192)), "play context")


@pytest.mark.parametrize("protocol", CHUNKED)
async def test_stream_cut_before_output_moves_on(pair: Ask, ask: Ask) -> None:
    answer = await ask(pair(streaming=True), "play an early cut")
    assert answer.text == "from second"
    assert attempts(answer) == [("first", "overloaded", None), ("second", None, None)]
    ((_, reason),) = cooldowns()
    assert "overloaded" in reason


@pytest.mark.parametrize("fault", ["a late cut", "a slow disconnect"])
async def test_stream_cut_after_output_is_interrupted(
    fault: str, pair: Ask, ask: Ask, second: FakeProvider
) -> None:
    with pytest.raises(StreamInterrupted) as caught:
        await ask(pair(streaming=True), f"play {fault}")
    partial = caught.value.partial.text
    assert partial
    assert partial != LONG_ANSWER
    assert LONG_ANSWER.startswith(partial)
    assert caught.value.route.provider == "first"
    assert not second.requests
    ((_, reason),) = cooldowns()
    assert "overloaded" in reason


@pytest.mark.parametrize("protocol", CHUNKED)
async def test_truncated_tool_call_interrupts_the_stream(
    pair: Ask, ask: Ask, second: FakeProvider
) -> None:
    with pytest.raises(StreamInterrupted):
        await ask(pair(streaming=True).bind_tools([get_weather]), "play a cut tool call")
    assert not second.requests


@pytest.mark.parametrize("protocol", CHUNKED)
async def test_truncated_tool_call_is_not_in_the_partial_answer(pair: Ask, ask: Ask) -> None:
    with pytest.raises(StreamInterrupted) as caught:
        await ask(pair(streaming=True).bind_tools([get_weather]), "play a cut tool call")
    assert not caught.value.partial.tool_calls


async def test_slow_first_byte_moves_on(pair: Ask, ask: Ask) -> None:
    model = pair(streaming=True, first_token_timeout=1.5, inter_chunk_timeout=1.5)
    answer = await ask(model, "play a slow first byte")
    assert answer.text == "from second"
    assert attempts(answer) == [("first", "overloaded", None), ("second", None, None)]


async def test_deadline_ends_a_slow_call(
    aimock: Peer, protocol: str, model_over: ModelOver, ask: Ask
) -> None:
    model = model_over({"first": aimock.row(protocol)}, timeout=0.2)
    with pytest.raises(AllRoutesFailed, match=r"the deadline of 0\.2 s has passed"):
        await ask(model, "play a slow first byte")


async def test_slow_call_leaves_time_for_the_next_route(pair: Ask, ask: Ask) -> None:
    answer = await ask(pair(timeout=4.0), "play a slow first byte")
    assert answer.text == "from second"


async def test_only_route_is_retried_once(
    aimock: Peer, protocol: str, model_over: ModelOver, ask: Ask
) -> None:
    aimock.fails_once(503)
    answer = await ask(model_over({"first": aimock.row(protocol)}), "play an answer")
    assert answer.text.startswith("Hello from aimock")
    assert attempts(answer) == [("first", "overloaded", 503), ("first", None, None)]
    assert cooldowns() == []


async def test_proxy_returns_the_real_models_answer(
    proxy: Peer, real_protocol: str, model_over: ModelOver, ask: Ask
) -> None:
    model = model_over({"first": proxy.row(real_protocol)}, temperature=0, max_tokens=8)
    answer = await ask(model, "Say hello")
    assert len(answer.text) > 3
    assert answer.usage_metadata["output_tokens"] > 1
    assert attempts(answer) == [("first", None, None)]
    (entry,) = proxy.journal_of("Say hello")
    assert entry["response"]["source"] == "proxy"


@pytest.mark.parametrize("fault", ["503", "malformed"])
async def test_proxy_fault_moves_on_to_the_real_model(  # noqa: PLR0913, PLR0917 - fixtures
    fault: str,
    proxy: Peer,
    real: llama_server.EmbeddedServer,
    real_protocol: str,
    model_over: ModelOver,
    ask: Ask,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("REAL_KEY", real.key)
    real_model = {
        "name": "The real model",
        "auth": {"any_of": [["REAL_KEY"]]},
        "endpoints": {"default": {"protocol": real_protocol, "base_url": real.base_url}},
        "models": {"m-1": "smollm2-135m"},
    }
    rows = {"first": proxy.row(real_protocol), "second": real_model}
    answer = await ask(model_over(rows, temperature=0, max_tokens=8), f"play {fault}")
    assert len(answer.text) > 3
    assert classes(answer) == [("first", FAULTS[fault][0]), ("second", None)]


async def test_proxy_rate_limit_starts_a_cooldown(
    proxy: Peer, real_protocol: str, model_over: ModelOver, ask: Ask
) -> None:
    model = model_over(
        {"first": proxy.row(real_protocol)}, temperature=0, max_tokens=8, max_retries=0
    )
    proxy.plays(rateLimitRate=1.0)
    with pytest.raises(AllRoutesFailed, match="HTTP 429") as caught:
        await ask(model, "Say hello")
    assert caught.value.retry_after is not None
    assert len(proxy.journal_of("Say hello")) == 1
    with pytest.raises(AllRoutesFailed, match="cooling down"):
        await ask(model, "Say hello")
    assert len(proxy.journal_of("Say hello")) == 1
    proxy.reset()
    reset_health()
    answer = await ask(model, "Say hello")
    assert len(answer.text) > 3


async def test_refused_key_cools_down_until_its_value_changes(
    proxy: Peer,
    real_protocol: str,
    model_over: ModelOver,
    ask: Ask,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = model_over({"first": proxy.row(real_protocol)}, temperature=0, max_tokens=8)
    with monkeypatch.context() as wrong:
        wrong.setenv("FIRST_KEY", "wrong-key-value")
        with pytest.raises(AllRoutesFailed, match="check FIRST_KEY") as caught:
            await ask(model, "Say hello")
        assert "wrong-key-value" not in str(caught.value)
        assert [kind for kind, _ in cooldowns()] == ["key"]
    answer = await ask(model, "Say hello")
    assert len(answer.text) > 3
