"""Vendors' protocols: an odd 2xx raises documented errors only; failed ends are failures."""

from __future__ import annotations

import copy
from itertools import cycle
from typing import TYPE_CHECKING, Any

import pytest

from inference_providers import StreamInterrupted
from inference_providers.errors import ContentFilteredError, InferenceProvidersError
from inference_providers.failover import stream_buffer
from inference_providers.testing import Reply
from wire_formats import ANTHROPIC, BEDROCK, COHERE, GEMINI, MISTRAL, TEXT, WIRE_FORMATS, WORDS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from factories import Pair
    from wire_formats import WireFormat

PROTOCOLS = [wire.protocol for wire in WIRE_FORMATS]
FINISH_KEYS = {
    ANTHROPIC.protocol: "stop_reason",
    GEMINI.protocol: "finishReason",
    MISTRAL.protocol: "finish_reason",
    COHERE.protocol: "finish_reason",
    BEDROCK.protocol: "stopReason",
}
FILTERED = {
    ANTHROPIC.protocol: "refusal",
    GEMINI.protocol: "SAFETY",
    MISTRAL.protocol: "content_filter",
    COHERE.protocol: "ERROR_TOXIC",
    BEDROCK.protocol: "guardrail_intervened",
}
FAILED = {
    ANTHROPIC.protocol: "error",
    GEMINI.protocol: "MALFORMED_FUNCTION_CALL",
    MISTRAL.protocol: "error",
    COHERE.protocol: "ERROR",
    BEDROCK.protocol: "malformed_model_output",
}
LIMITED = {
    ANTHROPIC.protocol: "max_tokens",
    GEMINI.protocol: "MAX_TOKENS",
    MISTRAL.protocol: "length",
    COHERE.protocol: "MAX_TOKENS",
    BEDROCK.protocol: "max_tokens",
}
ODD_VALUES = [None, 7, "x", [], {}, True, [7], {"a": 1}, -1.5]


@pytest.fixture
def streams(ask: Callable[..., Any]) -> bool:
    """Whether the way to call the model is a stream."""
    return "stream" in ask.__name__


@pytest.fixture(params=WIRE_FORMATS, ids=PROTOCOLS)
def wire(request: pytest.FixtureRequest) -> WireFormat:
    return request.param


def model_over(pair: Pair, wire: WireFormat, **arguments: Any) -> Any:
    return pair.model_over(wire.protocol, suffix=wire.suffix, cooldown=False, **arguments)


def stream_of(wire: WireFormat, events: list[Any], **fields: Any) -> Reply:
    is_aws = wire.protocol == "bedrock"
    kind = "application/vnd.amazon.eventstream" if is_aws else "text/event-stream"
    return Reply(body=wire.encode(events), headers={"content-type": kind}, **fields)


def replace_everywhere(value: Any, key: str, new: Any) -> Any:
    """Return a copy in which each value of `key` that is not `None` is `new`."""
    if isinstance(value, dict):
        return {
            k: new if k == key and v is not None else replace_everywhere(v, key, new)
            for k, v in value.items()
        }
    return [replace_everywhere(v, key, new) for v in value] if isinstance(value, list) else value


def without_words(value: Any) -> Any:
    """Return a copy whose texts are empty."""
    if isinstance(value, str):
        return "" if value in {TEXT, *WORDS} else value
    if isinstance(value, dict):
        return {key: without_words(item) for key, item in value.items()}
    return [without_words(item) for item in value] if isinstance(value, list) else value


def reply_ending_with(wire: WireFormat, streams: bool, word: str, *, empty: bool = False) -> Reply:
    """Return an answer or a stream whose finish reason is `word`."""
    body: Any = wire.events(calls=False) if streams else wire.answer(calls=False)
    body = replace_everywhere(body, FINISH_KEYS[wire.protocol], word)
    body = without_words(body) if empty else body
    return stream_of(wire, body) if streams else Reply(body=body)


def first_attempt(answer: Any) -> dict[str, Any]:
    return answer.response_metadata["autoprovider"]["attempts"][0]


# How answers end


@pytest.mark.parametrize("empty", [True, False], ids=["empty", "text"])
async def test_filtered_answer_raises_or_moves_on(
    pair: Pair, wire: WireFormat, streams: bool, ask: Callable[..., Any], empty: bool
) -> None:
    pair.plays(reply_ending_with(wire, streams, FILTERED[wire.protocol], empty=empty))
    is_interrupted = streams and not empty
    with pytest.raises(StreamInterrupted if is_interrupted else ContentFilteredError):
        await ask(model_over(pair, wire), "Hi")
    assert not pair.second.requests
    if not is_interrupted:
        answer = await ask(model_over(pair, wire, fallback_on_content_filter=True), "Hi")
        assert answer.text == "from second"
        assert first_attempt(answer)["class"] == "content_filtered"


@pytest.mark.parametrize("empty", [True, False], ids=["empty", "text"])
async def test_failed_generation_moves_on(
    pair: Pair, wire: WireFormat, streams: bool, ask: Callable[..., Any], empty: bool
) -> None:
    pair.plays(reply_ending_with(wire, streams, FAILED[wire.protocol], empty=empty))
    if streams and not empty:
        with pytest.raises(StreamInterrupted):
            await ask(model_over(pair, wire), "Hi")
        return
    answer = await ask(model_over(pair, wire), "Hi")
    assert answer.text == "from second"
    assert first_attempt(answer)["class"] in {"invalid_response", "overloaded"}


async def test_empty_answer_moves_on_in_every_protocol(
    pair: Pair, wire: WireFormat, streams: bool, ask: Callable[..., Any]
) -> None:
    body: Any = wire.events(calls=False) if streams else wire.answer(calls=False)
    body = without_words(body)
    pair.plays(stream_of(wire, body) if streams else Reply(body=body))
    answer = await ask(model_over(pair, wire), "Hi")
    assert answer.text == "from second"
    assert first_attempt(answer)["flaw"] == "empty_answer"
    pair.second.replies = [Reply(status=503)]
    kept = await ask(model_over(pair, wire), "Hi")
    assert (kept.text, first_attempt(kept)["flaw"]) == ("", "empty_answer")


async def test_answer_at_its_limit_is_accepted(
    pair: Pair, wire: WireFormat, streams: bool, ask: Callable[..., Any]
) -> None:
    pair.plays(reply_ending_with(wire, streams, LIMITED[wire.protocol], empty=True))
    answer = await ask(model_over(pair, wire), "Hi")
    assert answer.text == ""
    assert not pair.second.requests


@pytest.mark.parametrize("fault", ["close", "reset", "hang"])
async def test_stream_cut_after_its_finish_reason_is_whole(
    pair: Pair,
    wire: WireFormat,
    ask: Callable[..., Any],
    fault: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(stream_buffer, "END_GRACE_S", 0.2)
    reply = stream_of(wire, wire.events(calls=False), fault=fault, cut_after=0)
    pair.plays(reply._replace(body=reply.body * 2))  # the fault cuts it in the middle
    answer = await ask(model_over(pair, wire, streaming=True), "Hi")
    assert answer.text == TEXT
    assert not pair.second.requests


# Shapes


def places(value: Any, place: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield place
    if isinstance(value, dict | list):
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from places(item, (*place, key))


def with_odd_value(value: Any, place: tuple[Any, ...], odd: Any) -> Any:
    if not place:
        return odd
    changed = copy.deepcopy(value)
    holder = changed
    for key in place[:-1]:
        holder = holder[key]
    holder[place[-1]] = odd
    return changed


@pytest.mark.filterwarnings("ignore::UserWarning")  # of pydantic, about the odd values
@pytest.mark.parametrize("calls", [False, True], ids=["text", "call"])
@pytest.mark.parametrize("whole", [True, False], ids=["whole", "stream"])
async def test_odd_value_anywhere_raises_documented_errors_only(
    pair: Pair, wire: WireFormat, calls: bool, whole: bool
) -> None:
    model = model_over(pair, wire)
    body: Any = wire.events(calls=calls) if not whole else wire.answer(calls=calls)
    odd_values = cycle(ODD_VALUES)
    for place in [*places(body)][1:]:
        for odd in (next(odd_values), next(odd_values)):
            odd_body = with_odd_value(body, place, odd)
            try:
                pair.plays(Reply(body=odd_body) if whole else stream_of(wire, odd_body))
            except (AttributeError, TypeError, ValueError):
                continue  # cannot be encoded as an event
            try:
                if not whole:
                    [_ async for _ in model.astream("Hi")]
                    list(model.stream("Hi"))
                else:
                    await model.ainvoke("Hi")
                    model.invoke("Hi")
            except InferenceProvidersError:
                pass
            except Exception as error:
                error.add_note(f"{odd!r} at {place}")
                raise
