"""Races whose first answer has a flaw: the other attempt gets its time, and the better one wins."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

import factories
from inference_providers.failover import drivers
from inference_providers.failover.engine import failover
from inference_providers.failover.events import AttemptRecord, Flaw, answering_record
from inference_providers.failover.stream_buffer import ChunkSignals
from inference_providers.settings import FailoverSettings

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator, Sequence

    from inference_providers.failover.engine import Engine
    from inference_providers.failover.events import Attempt

PATIENCE_S = 60.0


def hedged() -> Engine:
    settings = FailoverSettings(hedge_after=0.001)
    plan = factories.plan(*map(factories.route, "ab"))
    return failover(plan, settings=settings, now=time.monotonic())


def judge(_: Attempt, answer: str) -> Flaw | None:
    return None if answer else Flaw.EMPTY_ANSWER


async def race(replies: dict[str, Any], *, is_async: bool) -> tuple[str, tuple[AttemptRecord, ...]]:
    """Run a race in which `a` answers once `b` has been called, and `b` answers after that."""
    if is_async:
        called, answered = asyncio.Event(), asyncio.Event()

        async def asend(attempt: Attempt) -> str:
            if attempt.route.provider == "a":
                await called.wait()
                answered.set()
            else:
                called.set()
                await answered.wait()
                await asyncio.sleep(0.01)
            return reply_of(attempt)

        def reply_of(attempt: Attempt) -> str:
            return raise_or_return(replies[attempt.route.provider])

        return await drivers.acall(hedged(), asend, judge)
    b_called, a_answered = threading.Event(), threading.Event()

    def send(attempt: Attempt) -> str:
        if attempt.route.provider == "a":
            assert b_called.wait(PATIENCE_S)
            a_answered.set()
        else:
            b_called.set()
            assert a_answered.wait(PATIENCE_S)
            time.sleep(0.01)
        return raise_or_return(replies[attempt.route.provider])

    return drivers.call(hedged(), send, judge)


def raise_or_return(reply: Any) -> str:
    if isinstance(reply, Exception):
        raise reply
    return str(reply)


@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
@pytest.mark.parametrize(
    ("replies", "answer", "provider"),
    [
        ({"a": "", "b": "good"}, "good", "b"),
        ({"a": "good", "b": ""}, "good", "a"),
        ({"a": "", "b": ConnectionError("no")}, "", "a"),
        ({"a": ConnectionError("no"), "b": ""}, "", "b"),
        ({"a": "", "b": TypeError("a bug")}, "", "a"),
    ],
    ids=str,
)
async def test_race_keeps_the_better_answer(
    replies: dict[str, Any], answer: str, provider: str, is_async: bool
) -> None:
    got, attempts = await race(replies, is_async=is_async)
    assert got == answer
    assert answering_record(attempts).route.provider == provider
    assert len(attempts) == 2


class WordInspector:
    """Chunks are words; `.` is the finish reason, and an answer without words is empty."""

    def __init__(self, _: Attempt) -> None:
        self.words = 0

    def inspect(self, chunk: str) -> ChunkSignals:
        self.words += chunk != "."
        return ChunkSignals(output=chunk != ".", finish=chunk == ".")

    def fault(self) -> Exception | None:
        return None

    def flaw(self) -> Flaw | None:
        return None if self.words else Flaw.EMPTY_ANSWER

    def join(self, chunks: Sequence[str]) -> str:
        return "".join(chunks)

    def final_chunk(self, attempts: tuple[AttemptRecord, ...]) -> str:
        return answering_record(attempts).route.provider


@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
@pytest.mark.parametrize(
    ("streams", "chunks"),
    [
        ({"a": ["."], "b": ["good", "."]}, ["good", ".", "b"]),
        ({"a": ["."], "b": [ConnectionError("no")]}, [".", "a"]),
        ({"a": [ConnectionError("no")], "b": ["."]}, [".", "b"]),
    ],
    ids=str,
)
async def test_race_of_streams_keeps_the_better_answer(
    streams: dict[str, list[Any]], chunks: list[str], is_async: bool
) -> None:
    b_called = threading.Event()
    closed: list[str] = []

    def open_stream(attempt: Attempt) -> Generator[str]:
        name = attempt.route.provider
        try:
            if name == "a":
                assert b_called.wait(PATIENCE_S)
            else:
                b_called.set()
                time.sleep(0.01)
            yield from map(raise_or_return, streams[name])
        finally:
            closed.append(name)

    async def aopen_stream(attempt: Attempt) -> AsyncGenerator[str]:
        name = attempt.route.provider
        try:
            if name == "b":
                b_called.set()
                await asyncio.sleep(0.01)
            else:
                await asyncio.to_thread(b_called.wait, PATIENCE_S)
            for chunk in streams[name]:
                yield raise_or_return(chunk)
        finally:
            closed.append(name)

    if is_async:
        stream = drivers.astream(hedged(), aopen_stream, WordInspector)
        got = [chunk async for chunk in stream]
    else:
        got = [*drivers.stream(hedged(), open_stream, WordInspector)]
    assert got == chunks
    assert sorted(closed) == ["a", "b"]
