"""One attempt under way: a call or a stream, with or without an event loop.

* `run` goes on until there is an answer, or the first output of a stream.
* `outcome` is how the attempt ended; `None` while it is under way.
* The `answer` of a call, or the chunks in `held_back` of a stream, are handed out if the engine
  ends with this attempt.
* `cancel` ends an attempt when another one was faster.

The only `except Exception` in failover is here: it turns a provider's failure into a value,
and the engine decides what that means. Cancellation, Ctrl-C and `GeneratorExit` pass through.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

from msgspec import structs

from inference_providers.failover.events import Failure, Success
from inference_providers.failover.stream_buffer import StreamBuffer
from inference_providers.wire.exchange import Exchange

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Generator

    from inference_providers.failover.events import Attempt, Flaw, Outcome
    from inference_providers.failover.stream_buffer import ChunkInspector
    from inference_providers.settings import FailoverSettings

    Judge = Callable[[Attempt, Any], Flaw | None]
    """Returns the flaw of a whole answer, if it has one; raises an error if it is not usable."""

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

    def __init__(
        self,
        attempt: Attempt,
        send: Callable[[Attempt], A],
        judge: Judge | None,
    ) -> None:
        self.attempt = attempt
        self.outcome: Outcome | None = None
        self.started_at = time.monotonic()
        self._send = send
        self._judge = judge
        self._exchange = Exchange(self.started_at + attempt.timeout_s)

    def run(self) -> None:
        """Send the request and wait for the answer."""
        try:
            with self._exchange:
                answer = self.answer = self._send(self.attempt)
            flaw = self._judge(self.attempt, answer) if self._judge else None
        except Exception as error:  # noqa: BLE001 - the engine decides which ones are raised
            error = self._exchange.scrub_error(error)
            self.outcome = _call_failure(error, self.started_at)
        else:
            self.outcome = _call_success(self.started_at, flaw)

    def cancel(self) -> None:
        """End the call, from another thread."""
        self._exchange.cancel()


class AsyncCallAttempt(Generic[A]):
    """One call of one route for a whole answer, on an event loop."""

    answer: A

    def __init__(
        self,
        attempt: Attempt,
        send: Callable[[Attempt], Awaitable[A]],
        judge: Judge | None,
    ) -> None:
        self.attempt = attempt
        self.outcome: Outcome | None = None
        self.started_at = time.monotonic()
        self._send = send
        self._judge = judge
        self._exchange = Exchange(self.started_at + attempt.timeout_s)

    async def run(self) -> None:
        """Send the request and wait for the answer."""
        timeout_s = self.attempt.timeout_s
        try:
            with self._exchange:
                async with asyncio.timeout(timeout_s):
                    answer = self.answer = await self._send(self.attempt)
            flaw = self._judge(self.attempt, answer) if self._judge else None
        except Exception as error:  # noqa: BLE001 - the engine decides which ones are raised
            error = self._exchange.scrub_error(error)
            error = _with_message(error, f"no answer within {timeout_s:.3g} s")
            self.outcome = _call_failure(error, self.started_at)
        else:
            self.outcome = _call_success(self.started_at, flaw)

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
        self.held_back: list[C] = []
        self.started_at = time.monotonic()
        self._buffer = StreamBuffer(inspector, attempt, settings, self.started_at)
        self._chunks = open_stream(attempt)
        self._exchange = Exchange(self._buffer.deadline)
        self._context = self._exchange.new_context()

    def run(self) -> None:
        """Read up to the first output; `ready` then holds the chunks to pass on."""
        while self.outcome is None and not self.ready:
            self.ready = self.read_chunk()
        if self._exchange.cancelled:
            self._close_if_idle()

    def read_chunk(self) -> list[C]:
        """Read one chunk, and return the chunks that may be passed on now."""
        buffer = self._buffer
        self._exchange.deadline = buffer.deadline
        try:
            chunk = self._context.run(next, self._chunks, _END)
            if chunk is not _END:
                return buffer.add(chunk, time.monotonic())
        except Exception as error:  # noqa: BLE001 - the engine decides which ones are raised
            ended = buffer.fail(error, time.monotonic(), datetime.now(UTC))
        else:
            ended = buffer.end(time.monotonic())
        self.outcome, self.held_back = _scrubbed(ended, self._exchange)
        return []

    def close(self) -> None:
        """Close the stream and its connection."""
        self._context.run(self._chunks.close)

    def cancel(self) -> None:
        """End the stream from another thread; its own thread may just have finished a read."""
        self._exchange.cancel()
        if self.ready:
            self._close_if_idle()

    def _close_if_idle(self) -> None:
        # The other thread runs the generator, or has entered the context, and will close it.
        with suppress(ValueError, RuntimeError):
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
        self.held_back: list[C] = []
        self.started_at = time.monotonic()
        self._buffer = StreamBuffer(inspector, attempt, settings, self.started_at)
        self._chunks = open_stream(attempt)
        self._exchange = Exchange()

    async def run(self) -> None:
        """Read up to the first output; `ready` then holds the chunks to pass on."""
        while self.outcome is None and not self.ready:
            self.ready = await self.read_chunk()

    async def read_chunk(self) -> list[C]:
        """Read one chunk, and return the chunks that may be passed on now.

        Chunks often arrive together, so most are available at once. Only a chunk that is not gets a
        timer, because a timer costs more than everything else here.
        """
        buffer = self._buffer
        self._exchange.deadline = buffer.deadline
        try:
            with self._exchange:
                reading = self._chunks.__anext__()
                try:
                    waits_for = reading.send(None)
                except StopIteration as done:
                    chunk = done.value
                else:
                    async with asyncio.timeout(buffer.deadline - time.monotonic()):
                        chunk = await _Resumed(reading, waits_for)
            return buffer.add(chunk, time.monotonic())
        except StopAsyncIteration:
            ended = buffer.end(time.monotonic())
        except Exception as error:  # noqa: BLE001 - the engine decides which ones are raised
            error = _with_message(error, buffer.timeout_message())
            ended = buffer.fail(error, time.monotonic(), datetime.now(UTC))
        self.outcome, self.held_back = _scrubbed(ended, self._exchange)
        return []

    async def aclose(self) -> None:
        """Close the stream and its connection."""
        await self._chunks.aclose()

    async def cancel(self) -> None:
        """Close the stream: the task that ran it has been cancelled."""
        await self.aclose()


class _Resumed(Generic[C]):
    """Awaits the rest of a coroutine that was started by hand and is now waiting."""

    def __init__(self, started: Coroutine[Any, Any, C], waits_for: Any) -> None:
        self._started = started
        self._waits_for = waits_for

    def __await__(self) -> Generator[Any, Any, C]:
        started, waits_for = self._started, self._waits_for
        while True:
            try:
                sent = yield waits_for
            except BaseException as error:  # noqa: BLE001 - the coroutine gets it
                resume = partial(started.throw, error)
            else:
                resume = partial(started.send, sent)
            try:
                waits_for = resume()
            except StopIteration as done:
                return cast("C", done.value)


def elapsed_ms(started_at: float, now: float) -> float:
    """Return the milliseconds between two times on the monotonic clock, in seconds."""
    return round((now - started_at) * 1000, 3)


def _call_success(started_at: float, flaw: Flaw | None) -> Success:
    now = time.monotonic()
    return Success(ms=elapsed_ms(started_at, now), at=now, flaw=flaw)


def _call_failure(error: Exception, started_at: float) -> Failure:
    now = time.monotonic()
    return Failure(error=error, ms=elapsed_ms(started_at, now), at=now, wall_time=datetime.now(UTC))


def _scrubbed(ended: tuple[Outcome, list[C]], exchange: Exchange) -> tuple[Outcome, list[C]]:
    """Return how a stream ended, without the keys that were sent in the error of a failure."""
    outcome, held_back = ended
    if isinstance(outcome, Failure):
        outcome = structs.replace(outcome, error=exchange.scrub_error(outcome.error))
    return outcome, held_back


def _with_message(error: Exception, message: str) -> Exception:
    """Replace the event loop's own `TimeoutError`, which has no message."""
    is_bare_timeout = isinstance(error, TimeoutError) and not str(error)
    return TimeoutError(message) if is_bare_timeout else error
