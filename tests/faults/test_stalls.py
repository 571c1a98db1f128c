"""Bytes without output keep no stream alive, and cost no stream its life."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from chat_wire import DONE, FINISHED, TEXT, WORDS, chunk, event, stream, words
from factories import eventually
from inference_providers import StreamInterrupted
from raw_server import HOLD, Drip, http

if TYPE_CHECKING:
    from collections.abc import Callable

    from factories import Pair
    from raw_server import RawServer

SHORT_S = 0.7
LIMITS = {"first_token_timeout": SHORT_S, "inter_chunk_timeout": SHORT_S, "timeout": 30.0}
FRAMES = {
    "comments": b": ping\n\n",
    "pings": b"event: ping\ndata: {}\n\n",
    "empty deltas": event(chunk({})),
    "empty text": event(chunk({"role": "assistant", "content": ""})),
    "null deltas": event(chunk(None)),
    "no choices": event(chunk({}, choices=[])),
    "empty calls": event(chunk({"tool_calls": []})),
    "half lines": b"data: ",
}
EVERY_S = 0.02

streams = pytest.mark.parametrize("mode", ["stream", "astream"], indirect=True)
frames = pytest.mark.parametrize("frame", FRAMES.values(), ids=FRAMES)


@streams
@frames
async def test_endless_frames_before_output_move_on(
    faulty_pair: Pair, faulty: RawServer, ask: Callable[..., Any], frame: bytes
) -> None:
    faulty.answer = lambda _: stream(Drip(frame, EVERY_S))
    assert (await ask(faulty_pair.model(**LIMITS), "Hi")).text == "from second"
    await eventually(lambda: not faulty.busy)


@streams
@frames
async def test_endless_frames_after_output_interrupt(
    faulty_pair: Pair, faulty: RawServer, ask: Callable[..., Any], frame: bytes
) -> None:
    faulty.answer = lambda _: stream(*words(*WORDS), Drip(frame, EVERY_S))
    with pytest.raises(StreamInterrupted, match=r"no further output within|deadline") as broken:
        await ask(faulty_pair.model(**LIMITS), "Hi")
    assert broken.value.partial.text == TEXT
    await eventually(lambda: not faulty.busy)


@streams
@pytest.mark.parametrize("name", [name for name in FRAMES if name != "half lines"])
async def test_frames_for_a_while_do_no_harm(
    faulty_pair: Pair, faulty: RawServer, ask: Callable[..., Any], name: str
) -> None:
    frame = Drip(FRAMES[name], EVERY_S, times=5)
    faulty.answer = lambda _: stream(frame, *words(*WORDS), frame, *FINISHED)
    assert (await ask(faulty_pair.model(), "Hi")).text == TEXT
    assert not faulty_pair.second.requests


@streams
@pytest.mark.usefixtures("_short_grace")
@pytest.mark.parametrize("after", [[HOLD], [Drip(b": ping\n\n", EVERY_S)], [DONE, HOLD]], ids=repr)
async def test_silence_after_the_finish_reason_ends_the_stream(
    faulty_pair: Pair, faulty: RawServer, ask: Callable[..., Any], after: list[Any]
) -> None:
    faulty.answer = lambda _: stream(*words(*WORDS), *FINISHED[:2], *after)
    answer = await ask(faulty_pair.model(), "Hi")
    assert answer.text == TEXT
    assert answer.usage_metadata["input_tokens"] == 10
    await eventually(lambda: not faulty.busy)


@pytest.mark.parametrize("body", [b"", b"{", b'{"choices": ['], ids=repr)
async def test_endless_blanks_of_a_whole_answer_move_on(
    faulty_pair: Pair, faulty: RawServer, ask: Callable[..., Any], body: bytes
) -> None:
    """A deadline holds in blocking reads too: each blank restarts their own timeout."""
    faulty.answer = lambda _: http(body, Drip(b" ", EVERY_S), length=10_000)
    model = faulty_pair.model(timeout=2 * SHORT_S, first_token_timeout=SHORT_S)
    assert (await ask(model, "Hi")).text == "from second"
    await eventually(lambda: not faulty.busy)
