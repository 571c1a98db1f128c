"""What a stream's chunks mean for failover: held back, handed on, or no answer."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, Protocol, TypeVar

from inference_providers.errors import InvalidResponseError
from inference_providers.failover.events import Failure, Success

if TYPE_CHECKING:
    from collections.abc import Sequence

    from inference_providers.failover.events import Attempt, AttemptRecord, Outcome
    from inference_providers.settings import FailoverSettings

__all__ = ["Look", "Reader", "Reading", "failure", "ms_since"]

C = TypeVar("C")


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

    def last(self, tried: tuple[AttemptRecord, ...]) -> C:
        """Make the chunk that ends a stream, which carries the trace."""


class Reading(Generic[C]):
    """One stream as it is read: holds chunks back until the first with real output."""

    def __init__(self, reader: Reader[C], attempt: Attempt, settings: FailoverSettings) -> None:
        self._reader = reader
        self._settings = settings
        self._started = self._last = time.monotonic()
        self._attempt = attempt
        self._first_output_ms: float | None = None
        self._finished = False
        self._received: list[C] = []

    def patience_s(self) -> float:
        """Return how long the next chunk may take: to the first output, or from the last chunk."""
        if self._first_output_ms is None:
            limit = self._settings.first_token_timeout_s
            until = self._started + min(limit, self._attempt.timeout_s)
        else:
            until = min(
                self._last + self._settings.inter_chunk_timeout_s,
                self._started + self._attempt.left_s,
            )
        return max(0.0, until - time.monotonic())

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
                raise TimeoutError(self.too_late())
            return []
        self._last = time.monotonic()
        if self._first_output_ms is not None:
            return [chunk]
        self._first_output_ms = ms_since(self._started)
        return list(self._received)

    def too_late(self) -> str:
        """Say what has not come in time."""
        if self._first_output_ms is not None:
            return f"no further output within {self._settings.inter_chunk_timeout_s:g} s"
        limit = min(self._settings.first_token_timeout_s, self._attempt.timeout_s)
        return f"no output within {limit:.3g} s"

    def end(self) -> tuple[Outcome, list[C]]:
        """The stream came to its end: return what became of it, and chunks still held back."""
        fault = (
            self._reader.fault() if self._finished else "the stream ended without a finish reason"
        )
        if fault:
            return self.fail(InvalidResponseError(fault)), []
        held = self._received if self._first_output_ms is None else []
        success = Success(
            ms=ms_since(self._started),
            at=time.monotonic(),
            first_output_ms=self._first_output_ms,
        )
        return success, held

    def fail(self, error: Exception) -> Failure:
        """The stream broke: return it as a value."""
        began = self._first_output_ms is not None
        partial = self._reader.join(self._received) if began else None
        return failure(error, self._started, began=began, partial=partial)


def failure(
    error: Exception, started: float, *, began: bool = False, partial: Any = None
) -> Failure:
    """Return an exception as a value; `started` is on the monotonic clock."""
    return Failure(
        error=error,
        ms=ms_since(started),
        at=time.monotonic(),
        wall=datetime.now(UTC),
        began=began,
        partial=partial,
    )


def ms_since(started: float) -> float:
    """Return the milliseconds since a time on the monotonic clock."""
    return round((time.monotonic() - started) * 1000, 3)
