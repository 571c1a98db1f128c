"""Runs the policy: sync, async, stream and async stream.

The only place that reads the clock for attempts, and the only `except Exception`.
What a stream's chunks mean for failover is decided once, in `Reading`; the two
stream drivers only pull. Cancellation, Ctrl-C and a consumer that stops early
are no outcomes: they propagate, and a half-read stream is closed.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, Protocol, TypeVar

from inference_providers.errors import BrokenAnswerError
from inference_providers.routes import Failure, Success

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Sequence

    from inference_providers.failover import Engine
    from inference_providers.routes import Outcome, Route, Tried

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

    def join(self, chunks: Sequence[C]) -> Any:
        """Make one partial answer of what was received."""

    def last(self, tried: tuple[Tried, ...]) -> C:
        """Make the chunk that ends a stream, which carries the trace."""


class Reading(Generic[C]):
    """One stream as it is read: holds chunks back until the first with real output."""

    def __init__(self, reader: Reader[C]) -> None:
        self._reader = reader
        self._started = time.monotonic()
        self._first_output_ms: float | None = None
        self._finished = False
        self._received: list[C] = []

    def take(self, chunk: C) -> list[C]:
        """Note a chunk; return what may be handed on now."""
        look = self._reader.look(chunk)
        self._finished = self._finished or look.finish
        self._received.append(chunk)
        if self._first_output_ms is not None:
            return [chunk]
        if not look.output:
            return []
        self._first_output_ms = _ms_since(self._started)
        return list(self._received)

    def end(self) -> tuple[Outcome, list[C]]:
        """The stream came to its end: return what became of it, and chunks still held back."""
        if not self._finished:
            return self.fail(BrokenAnswerError("the stream ended without a finish reason")), []
        held = self._received if self._first_output_ms is None else []
        return Success(ms=_ms_since(self._started), first_output_ms=self._first_output_ms), held

    def fail(self, error: Exception) -> Failure:
        """The stream broke: return it as a value."""
        began = self._first_output_ms is not None
        return Failure(
            error=error,
            ms=_ms_since(self._started),
            began=began,
            partial=self._reader.join(self._received) if began else None,
        )


def call(engine: Engine, send: Callable[[Route], A], scrub: Scrub) -> tuple[A, tuple[Tried, ...]]:
    """Run `engine` with `send`; return the answer and what was tried."""
    attempt = next(engine)
    while True:
        started = time.monotonic()
        outcome: Outcome
        try:
            answer = send(attempt.route)
        except Exception as error:  # noqa: BLE001 - the engine says which ones raise
            scrub(attempt.route, error)
            outcome = Failure(error=error, ms=_ms_since(started))
        else:
            outcome = Success(ms=_ms_since(started))
        try:
            attempt = engine.send(outcome)
        except StopIteration as done:
            return answer, done.value


async def acall(
    engine: Engine, send: Callable[[Route], Awaitable[A]], scrub: Scrub
) -> tuple[A, tuple[Tried, ...]]:
    """Run `engine` with `send`, as `call` does."""
    attempt = next(engine)
    while True:
        started = time.monotonic()
        outcome: Outcome
        try:
            answer = await send(attempt.route)
        except Exception as error:  # noqa: BLE001 - the engine says which ones raise
            scrub(attempt.route, error)
            outcome = Failure(error=error, ms=_ms_since(started))
        else:
            outcome = Success(ms=_ms_since(started))
        try:
            attempt = engine.send(outcome)
        except StopIteration as done:
            return answer, done.value


def stream(
    engine: Engine,
    open_stream: Callable[[Route], Generator[C]],
    reader: Reader[C],
    scrub: Scrub,
) -> Generator[C]:
    """Run `engine`, yielding chunks; the last one is the reader's, made of what was tried."""
    attempt = next(engine)
    while True:
        reading = Reading(reader)
        outcome: Outcome | None = None
        chunks = open_stream(attempt.route)
        try:
            while outcome is None:
                try:
                    chunk = next(chunks, _END)
                except Exception as error:  # noqa: BLE001 - the engine says which ones raise
                    scrub(attempt.route, error)
                    outcome = reading.fail(error)
                else:
                    if chunk is _END:
                        outcome, held = reading.end()
                        yield from held
                    else:
                        yield from reading.take(chunk)
        finally:
            chunks.close()
        try:
            attempt = engine.send(outcome)
        except StopIteration as done:
            yield reader.last(done.value)
            return


async def astream(
    engine: Engine,
    open_stream: Callable[[Route], AsyncGenerator[C]],
    reader: Reader[C],
    scrub: Scrub,
) -> AsyncGenerator[C]:
    """Run `engine`, yielding chunks, as `stream` does."""
    attempt = next(engine)
    while True:
        reading = Reading(reader)
        outcome: Outcome | None = None
        chunks = open_stream(attempt.route)
        try:
            while outcome is None:
                try:
                    chunk = await anext(chunks, _END)
                except Exception as error:  # noqa: BLE001 - the engine says which ones raise
                    scrub(attempt.route, error)
                    outcome = reading.fail(error)
                else:
                    if chunk is _END:
                        outcome, held = reading.end()
                    else:
                        held = reading.take(chunk)
                    for part in held:
                        yield part
        finally:
            await chunks.aclose()
        try:
            attempt = engine.send(outcome)
        except StopIteration as done:
            yield reader.last(done.value)
            return


def _ms_since(started: float) -> float:
    return round((time.monotonic() - started) * 1000, 3)
