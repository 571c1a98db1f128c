"""One attempt under way: asked for a whole answer or a stream, with and without an event loop.

`lead` asks until there is an answer or a first output, `outcome` says what became of it,
`drop` ends it when another was faster. The only `except Exception`: a failure of the
provider becomes a value here, and the policy says which ones raise.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from inference_providers.failover.events import Success
from inference_providers.failover.read_deadline import Patience
from inference_providers.failover.stream_buffer import Reading, failure, ms_since

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Generator

    from inference_providers.failover.events import Attempt, Outcome
    from inference_providers.failover.stream_buffer import Reader
    from inference_providers.settings import FailoverSettings
    from inference_providers.types import Route

    Scrub = Callable[[Route, Exception], None]
    """MessageFormat the route's key out of an exception's texts, in place."""

__all__ = ["AsyncCall", "AsyncStream", "Call", "Stream"]

A = TypeVar("A")
C = TypeVar("C")

_END: Any = object()


class _Asked:
    """What is asked, since when, and in the end what became of it."""

    def __init__(self, attempt: Attempt, scrub: Scrub) -> None:
        self.attempt = attempt
        self.outcome: Outcome | None = None
        self.started = time.monotonic()
        self._scrub = scrub


class _Read(_Asked, Generic[C]):
    """A stream that is read, and what of it is held until it counts."""

    def __init__(
        self, attempt: Attempt, reader: Reader[C], scrub: Scrub, settings: FailoverSettings
    ) -> None:
        super().__init__(attempt, scrub)
        self.held: list[C] = []
        self.reader = reader
        self._reading = Reading(reader, attempt, settings)


class Call(_Asked, Generic[A]):
    """One route asked for a whole answer."""

    answer: A

    def __init__(self, attempt: Attempt, send: Callable[[Attempt], A], scrub: Scrub) -> None:
        super().__init__(attempt, scrub)
        self._send = send
        deadline = self.started + attempt.timeout_s
        self._patience = Patience(lambda: deadline - time.monotonic())

    def lead(self) -> None:
        """Ask, and wait for the answer."""
        try:
            with self._patience:
                self.answer = self._send(self.attempt)
        except Exception as error:  # noqa: BLE001 - the engine says which ones raise
            self._scrub(self.attempt.route, error)
            self.outcome = failure(error, self.started)
        else:
            self.outcome = Success(ms=ms_since(self.started), at=time.monotonic())

    def drop(self) -> None:
        """End it from another thread."""
        self._patience.give_up()


class AsyncCall(_Asked, Generic[A]):
    """One route asked for a whole answer, on an event loop."""

    answer: A

    def __init__(
        self, attempt: Attempt, send: Callable[[Attempt], Awaitable[A]], scrub: Scrub
    ) -> None:
        super().__init__(attempt, scrub)
        self._send = send

    async def lead(self) -> None:
        """Ask, and wait for the answer."""
        timeout_s = self.attempt.timeout_s
        try:
            async with asyncio.timeout(timeout_s):
                self.answer = await self._send(self.attempt)
        except Exception as error:  # noqa: BLE001 - the engine says which ones raise
            self._scrub(self.attempt.route, error)
            said = _worded(error, f"no answer within {timeout_s:.3g} s")
            self.outcome = failure(said, self.started)
        else:
            self.outcome = Success(ms=ms_since(self.started), at=time.monotonic())

    async def drop(self) -> None:
        """Do nothing more: its task has been cancelled."""


class Stream(_Read[C]):
    """One route's stream."""

    def __init__(
        self,
        attempt: Attempt,
        open_stream: Callable[[Attempt], Generator[C]],
        reader: Reader[C],
        scrub: Scrub,
        settings: FailoverSettings,
    ) -> None:
        super().__init__(attempt, reader, scrub, settings)
        self._chunks = open_stream(attempt)
        self._patience = Patience(self._reading.patience_s)

    def lead(self) -> None:
        """Read up to the first output, which is then held."""
        while self.outcome is None and not self.held:
            self.held = self.pull()
        if self._patience.gone:
            self._close_if_idle()

    def pull(self) -> list[C]:
        """Read one chunk; return what may be handed on now."""
        try:
            with self._patience:
                chunk = next(self._chunks, _END)
            if chunk is not _END:
                return self._reading.take(chunk)
        except Exception as error:  # noqa: BLE001 - the engine says which ones raise
            self._scrub(self.attempt.route, error)
            self.outcome = self._reading.fail(error)
            return []
        self.outcome, held = self._reading.end()
        return held

    def close(self) -> None:
        """Close its connection."""
        self._chunks.close()

    def drop(self) -> None:
        """End it from another thread, which may be just done with its reading."""
        self._patience.give_up()
        if self.held:
            self._close_if_idle()

    def _close_if_idle(self) -> None:
        with suppress(ValueError):  # the other thread is in it, and about to close it
            self.close()


class AsyncStream(_Read[C]):
    """One route's stream, on an event loop."""

    def __init__(
        self,
        attempt: Attempt,
        open_stream: Callable[[Attempt], AsyncGenerator[C]],
        reader: Reader[C],
        scrub: Scrub,
        settings: FailoverSettings,
    ) -> None:
        super().__init__(attempt, reader, scrub, settings)
        self._chunks = open_stream(attempt)

    async def lead(self) -> None:
        """Read up to the first output, which is then held."""
        while self.outcome is None and not self.held:
            self.held = await self.pull()

    async def pull(self) -> list[C]:
        """Read one chunk; return what may be handed on now."""
        try:
            async with asyncio.timeout(self._reading.patience_s()):
                chunk = await anext(self._chunks, _END)
            if chunk is not _END:
                return self._reading.take(chunk)
        except Exception as error:  # noqa: BLE001 - the engine says which ones raise
            self._scrub(self.attempt.route, error)
            self.outcome = self._reading.fail(_worded(error, self._reading.too_late()))
            return []
        self.outcome, held = self._reading.end()
        return held

    async def aclose(self) -> None:
        """Close its connection."""
        await self._chunks.aclose()

    async def drop(self) -> None:
        """Close it: its task has been cancelled."""
        await self._chunks.aclose()


def _worded(error: Exception, what: str) -> Exception:
    """Give the event loop's own time-out words; it comes without any."""
    return error if str(error) or not isinstance(error, TimeoutError) else TimeoutError(what)
