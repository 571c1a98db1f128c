"""One attempt under way: a call or a stream, with or without an event loop.

* `run` goes on until there is an answer, or the first output of a stream.
* `outcome` is how the attempt ended; `None` while it is under way.
* `cancel` ends an attempt when another one was faster.

The only `except Exception` in failover is here: it turns a provider's failure into a value,
and the engine decides what that means. Cancellation, Ctrl-C and `GeneratorExit` pass through.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from inference_providers.failover.events import Failure, Success
from inference_providers.failover.stream_buffer import StreamBuffer
from inference_providers.wire.exchange import Exchange

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Generator

    from inference_providers.failover.events import Attempt, Outcome
    from inference_providers.failover.stream_buffer import ChunkInspector
    from inference_providers.settings import FailoverSettings

__all__ = [
    "AsyncCallAttempt",
    "AsyncStreamAttempt",
    "CallAttempt",
    "StreamAttempt",
    "elapsed_ms",
]

A = TypeVar("A")
C = TypeVar("C")

_END: Any = object()


class CallAttempt(Generic[A]):
    """One call of one route for a whole answer."""

    answer: A

    def __init__(self, attempt: Attempt, send: Callable[[Attempt], A]) -> None:
        self.attempt = attempt
        self.outcome: Outcome | None = None
        self.started_at = time.monotonic()
        self._send = send
        self._exchange = Exchange(self.started_at + attempt.timeout_s)

    def run(self) -> None:
        """Send the request and wait for the answer."""
        try:
            with self._exchange:
                self.answer = self._send(self.attempt)
        except Exception as error:  # noqa: BLE001 - the engine decides which ones are raised
            error = self._exchange.scrub_error(error)
            self.outcome = _call_failure(error, self.started_at)
        else:
            self.outcome = _call_success(self.started_at)

    def cancel(self) -> None:
        """End the call, from another thread."""
        self._exchange.cancel()


class AsyncCallAttempt(Generic[A]):
    """One call of one route for a whole answer, on an event loop."""

    answer: A

    def __init__(self, attempt: Attempt, send: Callable[[Attempt], Awaitable[A]]) -> None:
        self.attempt = attempt
        self.outcome: Outcome | None = None
        self.started_at = time.monotonic()
        self._send = send
        self._exchange = Exchange()

    async def run(self) -> None:
        """Send the request and wait for the answer."""
        timeout_s = self.attempt.timeout_s
        try:
            with self._exchange:
                async with asyncio.timeout(timeout_s):
                    self.answer = await self._send(self.attempt)
        except Exception as error:  # noqa: BLE001 - the engine decides which ones are raised
            error = self._exchange.scrub_error(error)
            error = _with_message(error, f"no answer within {timeout_s:.3g} s")
            self.outcome = _call_failure(error, self.started_at)
        else:
            self.outcome = _call_success(self.started_at)

    async def cancel(self) -> None:
        """Do nothing: the task that runs the call has been cancelled."""


class StreamAttempt(Generic[C]):
    """One stream of one route."""

    def __init__(
        self,
        attempt: Attempt,
        open_stream: Callable[[Attempt], Generator[C]],
        inspector: ChunkInspector[C],
        settings: FailoverSettings,
    ) -> None:
        self.attempt = attempt
        self.inspector = inspector
        self.outcome: Outcome | None = None
        self.ready: list[C] = []
        self.started_at = time.monotonic()
        self._buffer = StreamBuffer(inspector, attempt, settings, self.started_at)
        self._chunks = open_stream(attempt)
        self._exchange = Exchange(self._buffer.deadline)

    def run(self) -> None:
        """Read up to the first output; `ready` then holds the chunks to pass on."""
        while self.outcome is None and not self.ready:
            self.ready = self.read_chunk()
        if self._exchange.cancelled:
            self._close_if_idle()

    def read_chunk(self) -> list[C]:
        """Read one chunk, and return the chunks that may be passed on now."""
        self._exchange.deadline = self._buffer.deadline
        try:
            with self._exchange:
                chunk = next(self._chunks, _END)
            if chunk is not _END:
                return self._buffer.add(chunk, time.monotonic())
        except Exception as error:  # noqa: BLE001 - the engine decides which ones are raised
            error = self._exchange.scrub_error(error)
            self.outcome = self._buffer.fail(error, time.monotonic(), datetime.now(UTC))
            return []
        self.outcome, held_back = self._buffer.end(time.monotonic())
        return held_back

    def close(self) -> None:
        """Close the stream and its connection."""
        self._chunks.close()

    def cancel(self) -> None:
        """End the stream from another thread; its own thread may just have finished a read."""
        self._exchange.cancel()
        if self.ready:
            self._close_if_idle()

    def _close_if_idle(self) -> None:
        with suppress(ValueError):  # the other thread runs the generator, and will close it
            self.close()


class AsyncStreamAttempt(Generic[C]):
    """One stream of one route, on an event loop."""

    def __init__(
        self,
        attempt: Attempt,
        open_stream: Callable[[Attempt], AsyncGenerator[C]],
        inspector: ChunkInspector[C],
        settings: FailoverSettings,
    ) -> None:
        self.attempt = attempt
        self.inspector = inspector
        self.outcome: Outcome | None = None
        self.ready: list[C] = []
        self.started_at = time.monotonic()
        self._buffer = StreamBuffer(inspector, attempt, settings, self.started_at)
        self._chunks = open_stream(attempt)
        self._exchange = Exchange()

    async def run(self) -> None:
        """Read up to the first output; `ready` then holds the chunks to pass on."""
        while self.outcome is None and not self.ready:
            self.ready = await self.read_chunk()

    async def read_chunk(self) -> list[C]:
        """Read one chunk, and return the chunks that may be passed on now."""
        self._exchange.deadline = self._buffer.deadline
        try:
            with self._exchange:
                async with asyncio.timeout(self._buffer.deadline - time.monotonic()):
                    chunk = await anext(self._chunks, _END)
            if chunk is not _END:
                return self._buffer.add(chunk, time.monotonic())
        except Exception as error:  # noqa: BLE001 - the engine decides which ones are raised
            error = self._exchange.scrub_error(error)
            error = _with_message(error, self._buffer.timeout_message())
            self.outcome = self._buffer.fail(error, time.monotonic(), datetime.now(UTC))
            return []
        self.outcome, held_back = self._buffer.end(time.monotonic())
        return held_back

    async def aclose(self) -> None:
        """Close the stream and its connection."""
        await self._chunks.aclose()

    async def cancel(self) -> None:
        """Close the stream: the task that ran it has been cancelled."""
        await self.aclose()


def elapsed_ms(started_at: float, now: float) -> float:
    """Return the milliseconds between two times on the monotonic clock, in seconds."""
    return round((now - started_at) * 1000, 3)


def _call_success(started_at: float) -> Success:
    now = time.monotonic()
    return Success(ms=elapsed_ms(started_at, now), at=now)


def _call_failure(error: Exception, started_at: float) -> Failure:
    now = time.monotonic()
    return Failure(error=error, ms=elapsed_ms(started_at, now), at=now, wall_time=datetime.now(UTC))


def _with_message(error: Exception, message: str) -> Exception:
    """Replace the event loop's own `TimeoutError`, which has no message."""
    is_bare_timeout = isinstance(error, TimeoutError) and not str(error)
    return TimeoutError(message) if is_bare_timeout else error
