"""Runs the policy: sync, async, stream and async stream.

The only place that sleeps, that reads the clock for attempts, and that says
`except Exception`.
What a stream's chunks mean for failover is decided once, in `Reading`; the two
stream drivers only pull. Cancellation, Ctrl-C and a consumer that stops early
are no outcomes: they propagate, and a half-read stream is closed.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import aclosing, closing
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, Protocol, TypeVar

from inference_providers.errors import BrokenAnswerError
from inference_providers.policy import DEFAULT
from inference_providers.routes import Failure, Success, Wait, Waited

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Sequence

    from inference_providers.failover import Engine
    from inference_providers.policy import Policy
    from inference_providers.routes import Attempt, Outcome, Route, Tried

    Scrub = Callable[[Route, Exception], None]
    """Takes the route's key out of an exception's texts, in place."""

__all__ = ["Look", "Reader", "Reading", "acall", "astream", "call", "stream"]

A = TypeVar("A")
C = TypeVar("C")

_END: Any = object()


class Look(NamedTuple):
    """What a chunk shows: text, reasoning or a tool call's name; a finish reason."""

    output: bool
    finish: bool


class Reader(Protocol[C]):
    """What failover must know of chunks of the caller's type."""

    def look(self, chunk: C) -> Look:
        """Say what a chunk shows. Called once for each, in order."""

    def fault(self) -> str | None:
        """Say what is wrong with a stream that ended, such as a tool call cut short."""

    def join(self, chunks: Sequence[C]) -> Any:
        """Make one partial answer of what was received."""

    def last(self, tried: tuple[Tried, ...]) -> C:
        """Make the chunk that ends a stream, which carries the trace."""


class Reading(Generic[C]):
    """One stream as it is read: holds chunks back until the first with real output."""

    def __init__(self, reader: Reader[C], attempt: Attempt, policy: Policy) -> None:
        self._reader = reader
        self._policy = policy
        self._started = self._last = time.monotonic()
        self._deadline = self._started + attempt.timeout_s
        self._first_output_ms: float | None = None
        self._finished = False
        self._received: list[C] = []

    def patience_s(self) -> float:
        """Return how long the next chunk may take: to the first output, or from the last chunk."""
        began = self._first_output_ms is not None
        since = self._last if began else self._started
        limit = self._policy.inter_chunk_timeout_s if began else self._policy.first_token_timeout_s
        now = time.monotonic()
        return max(0.0, min(since + limit, self._deadline) - now)

    def take(self, chunk: C) -> list[C]:
        """Note a chunk; return what may be handed on now.

        Raises:
            TimeoutError: Chunks come, but no output in time.
        """
        look = self._reader.look(chunk)
        self._finished = self._finished or look.finish
        self._received.append(chunk)
        if self._first_output_ms is None and not look.output:
            if not self.patience_s():
                msg = f"no output within {self._policy.first_token_timeout_s:g} s"
                raise TimeoutError(msg)
            return []
        self._last = time.monotonic()
        if self._first_output_ms is not None:
            return [chunk]
        self._first_output_ms = _ms_since(self._started)
        return list(self._received)

    def end(self) -> tuple[Outcome, list[C]]:
        """The stream came to its end: return what became of it, and chunks still held back."""
        fault = (
            self._reader.fault() if self._finished else "the stream ended without a finish reason"
        )
        if fault:
            return self.fail(BrokenAnswerError(fault)), []
        held = self._received if self._first_output_ms is None else []
        success = Success(
            ms=_ms_since(self._started),
            at=time.monotonic(),
            first_output_ms=self._first_output_ms,
        )
        return success, held

    def fail(self, error: Exception) -> Failure:
        """The stream broke: return it as a value."""
        began = self._first_output_ms is not None
        partial = self._reader.join(self._received) if began else None
        return _failure(error, self._started, began=began, partial=partial)


def call(engine: Engine, send: Callable[[Attempt], A], scrub: Scrub) -> tuple[A, tuple[Tried, ...]]:
    """Run `engine` with `send`; return the answer and what was tried."""
    with closing(engine):
        step = next(engine)
        while True:
            result: Outcome | Waited
            if isinstance(step, Wait):
                time.sleep(step.seconds)
                result = Waited(at=time.monotonic())
            else:
                started = time.monotonic()
                try:
                    answer = send(step)
                except Exception as error:  # noqa: BLE001 - the engine says which ones raise
                    scrub(step.route, error)
                    result = _failure(error, started)
                else:
                    result = Success(ms=_ms_since(started), at=time.monotonic())
            try:
                step = engine.send(result)
            except StopIteration as done:
                return answer, done.value


async def acall(
    engine: Engine, send: Callable[[Attempt], Awaitable[A]], scrub: Scrub
) -> tuple[A, tuple[Tried, ...]]:
    """Run `engine` with `send`, as `call` does."""
    with closing(engine):
        step = next(engine)
        while True:
            result: Outcome | Waited
            if isinstance(step, Wait):
                await asyncio.sleep(step.seconds)
                result = Waited(at=time.monotonic())
            else:
                started = time.monotonic()
                try:
                    async with asyncio.timeout(step.timeout_s):
                        answer = await send(step)
                except Exception as error:  # noqa: BLE001 - the engine says which ones raise
                    scrub(step.route, error)
                    result = _failure(error, started)
                else:
                    result = Success(ms=_ms_since(started), at=time.monotonic())
            try:
                step = engine.send(result)
            except StopIteration as done:
                return answer, done.value


def stream(
    engine: Engine,
    open_stream: Callable[[Attempt], Generator[C]],
    reader: Reader[C],
    scrub: Scrub,
    policy: Policy = DEFAULT,
) -> Generator[C]:
    """Run `engine`, yielding chunks; the last one is the reader's, made of what was tried."""
    with closing(engine):
        step = next(engine)
        while True:
            result: Outcome | Waited | None = None
            if isinstance(step, Wait):
                time.sleep(step.seconds)
                result = Waited(at=time.monotonic())
            else:
                reading = Reading(reader, step, policy)
                with closing(open_stream(step)) as chunks:
                    while result is None:
                        try:
                            chunk = next(chunks, _END)
                            held = [] if chunk is _END else reading.take(chunk)
                        except Exception as error:  # noqa: BLE001 - the engine says which ones raise
                            scrub(step.route, error)
                            result = reading.fail(error)
                            break
                        if chunk is _END:
                            result, held = reading.end()
                        yield from held
            try:
                step = engine.send(result)
            except StopIteration as done:
                yield reader.last(done.value)
                return


async def astream(
    engine: Engine,
    open_stream: Callable[[Attempt], AsyncGenerator[C]],
    reader: Reader[C],
    scrub: Scrub,
    policy: Policy = DEFAULT,
) -> AsyncGenerator[C]:
    """Run `engine`, yielding chunks, as `stream` does."""
    with closing(engine):
        step = next(engine)
        while True:
            result: Outcome | Waited | None = None
            if isinstance(step, Wait):
                await asyncio.sleep(step.seconds)
                result = Waited(at=time.monotonic())
            else:
                reading = Reading(reader, step, policy)
                async with aclosing(open_stream(step)) as chunks:
                    while result is None:
                        try:
                            async with asyncio.timeout(reading.patience_s()):
                                chunk = await anext(chunks, _END)
                            held = [] if chunk is _END else reading.take(chunk)
                        except Exception as error:  # noqa: BLE001 - the engine says which ones raise
                            scrub(step.route, error)
                            result = reading.fail(error)
                            break
                        if chunk is _END:
                            result, held = reading.end()
                        for part in held:
                            yield part
            try:
                step = engine.send(result)
            except StopIteration as done:
                yield reader.last(done.value)
                return


def _failure(
    error: Exception, started: float, *, began: bool = False, partial: Any = None
) -> Failure:
    return Failure(
        error=error,
        ms=_ms_since(started),
        at=time.monotonic(),
        wall=datetime.now(UTC),
        began=began,
        partial=partial,
    )


def _ms_since(started: float) -> float:
    return round((time.monotonic() - started) * 1000, 3)
