"""Run the engine four ways: sync and async, whole answers and streams.

A driver carries steps from the engine to attempts, and outcomes back. It is the only code
that sleeps. Cancellation, Ctrl-C and a consumer that stops early are not outcomes: they
propagate, and a half-read stream is closed.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import aclosing, closing
from typing import TYPE_CHECKING, TypeVar, cast

from inference_providers.failover import hedging
from inference_providers.failover.attempts import (
    AsyncCallAttempt,
    AsyncStreamAttempt,
    CallAttempt,
    StreamAttempt,
)
from inference_providers.failover.events import Race, RaceResult, Wait, Waited
from inference_providers.settings import DEFAULT_SETTINGS

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Generator

    from inference_providers.failover.engine import Engine
    from inference_providers.failover.events import Attempt, AttemptRecord, Outcome
    from inference_providers.failover.hedging import Loser, Racer
    from inference_providers.failover.stream_buffer import ChunkInspector
    from inference_providers.settings import FailoverSettings

__all__ = ["acall", "astream", "call", "stream"]

A = TypeVar("A")
C = TypeVar("C")


def call(engine: Engine, send: Callable[[Attempt], A]) -> tuple[A, tuple[AttemptRecord, ...]]:
    """Run `engine` with `send`; return the answer and the records of all attempts."""
    with closing(engine):
        step = next(engine)
        while True:
            if isinstance(step, Wait):
                time.sleep(step.seconds)
                step = engine.send(Waited(at=time.monotonic()))
                continue
            loser = None
            if isinstance(step, Race):
                racing = hedging.race(step, lambda attempt: CallAttempt(attempt, send))
                attempt, loser = racing
            else:
                attempt = CallAttempt(step, send)
                attempt.run()
            try:
                step = engine.send(_report(attempt, loser))
            except StopIteration as done:
                return attempt.answer, done.value


async def acall(
    engine: Engine, send: Callable[[Attempt], Awaitable[A]]
) -> tuple[A, tuple[AttemptRecord, ...]]:
    """Run `engine` with `send`, as `call` does."""
    with closing(engine):
        step = next(engine)
        while True:
            if isinstance(step, Wait):
                await asyncio.sleep(step.seconds)
                step = engine.send(Waited(at=time.monotonic()))
                continue
            loser = None
            if isinstance(step, Race):
                racing = hedging.arace(step, lambda attempt: AsyncCallAttempt(attempt, send))
                attempt, loser = await racing
            else:
                attempt = AsyncCallAttempt(step, send)
                await attempt.run()
            try:
                step = engine.send(_report(attempt, loser))
            except StopIteration as done:
                return attempt.answer, done.value


def stream(
    engine: Engine,
    open_stream: Callable[[Attempt], Generator[C]],
    new_inspector: Callable[[Attempt], ChunkInspector[C]],
    settings: FailoverSettings = DEFAULT_SETTINGS,
) -> Generator[C]:
    """Run `engine`, yielding chunks; the last one is the inspector's `final_chunk`."""

    def start(attempt: Attempt) -> StreamAttempt[C]:
        return StreamAttempt(attempt, open_stream, new_inspector(attempt), settings)

    with closing(engine):
        step = next(engine)
        while True:
            if isinstance(step, Wait):
                time.sleep(step.seconds)
                step = engine.send(Waited(at=time.monotonic()))
                continue
            loser = None
            if isinstance(step, Race):
                attempt, loser = hedging.race(step, start)
            else:
                attempt = start(step)
            with closing(attempt):
                yield from attempt.ready
                while attempt.outcome is None:
                    yield from attempt.read_chunk()
            try:
                step = engine.send(_report(attempt, loser))
            except StopIteration as done:
                yield attempt.inspector.final_chunk(done.value)
                return


async def astream(
    engine: Engine,
    open_stream: Callable[[Attempt], AsyncGenerator[C]],
    new_inspector: Callable[[Attempt], ChunkInspector[C]],
    settings: FailoverSettings = DEFAULT_SETTINGS,
) -> AsyncGenerator[C]:
    """Run `engine`, yielding chunks, as `stream` does."""

    def start(attempt: Attempt) -> AsyncStreamAttempt[C]:
        return AsyncStreamAttempt(attempt, open_stream, new_inspector(attempt), settings)

    with closing(engine):
        step = next(engine)
        while True:
            if isinstance(step, Wait):
                await asyncio.sleep(step.seconds)
                step = engine.send(Waited(at=time.monotonic()))
                continue
            loser = None
            if isinstance(step, Race):
                attempt, loser = await hedging.arace(step, start)
            else:
                attempt = start(step)
            async with aclosing(attempt):
                for chunk in attempt.ready:
                    yield chunk
                while attempt.outcome is None:
                    for chunk in await attempt.read_chunk():
                        yield chunk
            try:
                step = engine.send(_report(attempt, loser))
            except StopIteration as done:
                yield attempt.inspector.final_chunk(done.value)
                return


def _report(attempt: Racer, loser: Loser | None) -> Outcome | RaceResult:
    """Return what the engine is sent once the decisive attempt has ended."""
    outcome = cast("Outcome", attempt.outcome)
    if loser is None:
        return outcome
    return RaceResult(loser=loser, decisive=(attempt.attempt, outcome))
