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
from inference_providers.failover.events import (
    Race,
    RaceResult,
    Success,
    Wait,
    Waited,
    answering_record,
)
from inference_providers.settings import DEFAULT_SETTINGS

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Generator

    from inference_providers.failover.attempts import Judge
    from inference_providers.failover.engine import Engine
    from inference_providers.failover.events import Attempt, AttemptRecord, Outcome
    from inference_providers.failover.hedging import Loser, R
    from inference_providers.failover.stream_buffer import ChunkInspector
    from inference_providers.settings import FailoverSettings

__all__ = ["acall", "astream", "call", "stream"]

A = TypeVar("A")
C = TypeVar("C")


def call(
    engine: Engine,
    send: Callable[[Attempt], A],
    judge: Judge | None = None,
) -> tuple[A, tuple[AttemptRecord, ...]]:
    """Run `engine` with `send`; return the answer and the records of all attempts."""

    def start(attempt: Attempt) -> CallAttempt[A]:
        return CallAttempt(attempt, send, judge)

    answered: list[CallAttempt[A]] = []
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
                attempt.run()
            try:
                step = engine.send(_report(attempt, loser, answered))
            except StopIteration as done:
                return _answering(answered, done.value).answer, done.value


async def acall(
    engine: Engine,
    send: Callable[[Attempt], Awaitable[A]],
    judge: Judge | None = None,
) -> tuple[A, tuple[AttemptRecord, ...]]:
    """Run `engine` with `send`, as `call` does."""

    def start(attempt: Attempt) -> AsyncCallAttempt[A]:
        return AsyncCallAttempt(attempt, send, judge)

    answered: list[AsyncCallAttempt[A]] = []
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
                await attempt.run()
            try:
                step = engine.send(_report(attempt, loser, answered))
            except StopIteration as done:
                return _answering(answered, done.value).answer, done.value


def stream(
    engine: Engine,
    open_stream: Callable[[Attempt], Generator[C]],
    new_inspector: Callable[[Attempt], ChunkInspector[C]],
    settings: FailoverSettings = DEFAULT_SETTINGS,
) -> Generator[C]:
    """Run `engine`, yielding chunks; the last one is the inspector's `final_chunk`."""

    def start(attempt: Attempt) -> StreamAttempt[C]:
        return StreamAttempt(attempt, open_stream, new_inspector(attempt), settings)

    answered: list[StreamAttempt[C]] = []
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
                step = engine.send(_report(attempt, loser, answered))
            except StopIteration as done:
                answering = _answering(answered, done.value)
                yield from answering.held_back
                yield answering.inspector.final_chunk(done.value)
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

    answered: list[AsyncStreamAttempt[C]] = []
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
                step = engine.send(_report(attempt, loser, answered))
            except StopIteration as done:
                answering = _answering(answered, done.value)
                for chunk in answering.held_back:
                    yield chunk
                yield answering.inspector.final_chunk(done.value)
                return


def _report(attempt: R, loser: Loser[R] | None, answered: list[R]) -> Outcome | RaceResult:
    """Return what the engine is sent once the decisive attempt has ended.

    Attempts with an answer are added to `answered`: the engine may end with an earlier one.
    """
    outcome = cast("Outcome", attempt.outcome)
    if loser is not None and isinstance(loser.outcome, Success):
        answered.append(loser.racer)
    if isinstance(outcome, Success):
        answered.append(attempt)
    if loser is None:
        return outcome
    return RaceResult(
        loser=(loser.racer.attempt, loser.outcome), decisive=(attempt.attempt, outcome)
    )


def _answering(answered: list[R], records: tuple[AttemptRecord, ...]) -> R:
    """Return the attempt that the engine has ended with."""
    if len(answered) == 1:
        return answered[0]
    outcome = answering_record(records).outcome
    return next(attempt for attempt in answered if attempt.outcome is outcome)
