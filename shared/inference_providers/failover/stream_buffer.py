"""Holds a stream's chunks back until the first output. No I/O; the time is an argument.

* Until output has been seen, another route may still answer, so nothing is passed on.
* A stream without a finish reason was cut off.
* Chunks without output do not extend the time to the next output.
* After the finish reason, the rest of the stream gets a short grace period. Silence, an error or a
  cut then ends a complete answer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, NamedTuple, Protocol, TypeVar

from inference_providers.errors import InvalidResponseError
from inference_providers.failover.events import Failure, Success
from inference_providers.wire.exchange import END_GRACE_S

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from inference_providers.failover.events import Attempt, AttemptRecord, Flaw, Outcome
    from inference_providers.settings import FailoverSettings

__all__ = ["ChunkInspector", "ChunkSignals", "StreamBuffer"]

C = TypeVar("C")


class ChunkSignals(NamedTuple):
    """What a chunk holds: output (text, reasoning, a tool call's name), a finish reason."""

    output: bool
    finish: bool


class ChunkInspector(Protocol[C]):
    """What failover needs to know about chunks of the caller's type; one inspector per stream."""

    def inspect(self, chunk: C) -> ChunkSignals:
        """Return what a chunk holds. Called once for each chunk, in order."""

    def fault(self) -> Exception | None:
        """Return the error for a stream without a usable answer, such as a truncated tool call."""

    def flaw(self) -> Flaw | None:
        """Return what is wrong with a stream that ended without a fault."""

    def join(self, chunks: Sequence[C]) -> Any:
        """Join the chunks received so far to one partial answer."""

    def final_chunk(self, attempts: tuple[AttemptRecord, ...]) -> C:
        """Return the chunk that ends the stream and carries the trace."""


class StreamBuffer(Generic[C]):
    """The chunks of one stream, held back until the first output.

    Args:
        inspector: Reports what a chunk holds.
        attempt: The attempt that streams, for its time limits.
        settings: The failover numbers.
        started_at: When the attempt started, on the monotonic clock in seconds.
    """

    def __init__(
        self,
        inspector: ChunkInspector[C],
        attempt: Attempt,
        settings: FailoverSettings,
        started_at: float,
    ) -> None:
        self._inspector = inspector
        self._started_at = started_at
        self._first_output_limit_s = min(settings.first_token_timeout_s, attempt.timeout_s)
        self._inter_chunk_limit_s = settings.inter_chunk_timeout_s
        self._end_at = started_at + attempt.remaining_s
        self._first_output_ms: float | None = None
        self._finished = False
        self._is_whole = False
        self._received: list[C] = []
        self.deadline = started_at + self._first_output_limit_s
        """When the next chunk is due, on the monotonic clock in seconds."""

    def add(self, chunk: C, now: float) -> list[C]:
        """Add a chunk, and return the chunks that may be passed on now.

        Raises:
            TimeoutError: Chunks arrived, but no output in time.
        """
        has_output, has_finish = self._inspector.inspect(chunk)
        self._received.append(chunk)
        if has_output:
            self.deadline = min(now + self._inter_chunk_limit_s, self._end_at)
            self._is_whole = False
        elif now >= self.deadline:
            raise TimeoutError(self.timeout_message())
        if has_finish:
            self.deadline = min(now + END_GRACE_S, self._end_at)
            self._finished = self._is_whole = True
        if self._first_output_ms is not None:
            return [chunk]
        if not has_output:
            return []
        self._first_output_ms = self._elapsed_ms(now)
        return list(self._received)

    def end(self, now: float) -> tuple[Outcome, list[C]]:
        """Return the outcome of a stream that ended, and the chunks that were not passed on."""
        if not self._finished:
            no_finish = InvalidResponseError("the stream ended without a finish reason")
            return self._failure(no_finish, now), []
        if fault := self._inspector.fault():
            return self._failure(fault, now), []
        first_output_ms = self._first_output_ms
        success = Success(
            ms=self._elapsed_ms(now),
            at=now,
            first_output_ms=first_output_ms,
            flaw=self._inspector.flaw(),
        )
        return success, self._received if first_output_ms is None else []

    def fail(
        self, error: Exception, now: float, wall_time: datetime | None = None
    ) -> tuple[Outcome, list[C]]:
        """Return what `end` returns, for a stream that broke.

        If nothing but the finish reason came after the last output, the answer is whole.
        """
        return self.end(now) if self._is_whole else (self._failure(error, now, wall_time), [])

    def _failure(self, error: Exception, now: float, wall_time: datetime | None = None) -> Failure:
        began = self._first_output_ms is not None
        return Failure(
            error=error,
            ms=self._elapsed_ms(now),
            at=now,
            wall_time=wall_time,
            began=began,
            partial=self._inspector.join(self._received) if began else None,
        )

    def timeout_message(self) -> str:
        """Return what did not arrive in time."""
        if self._first_output_ms is not None:
            return f"no further output within {self._inter_chunk_limit_s:g} s"
        return f"no output within {self._first_output_limit_s:.3g} s"

    def _elapsed_ms(self, now: float) -> float:
        return round((now - self._started_at) * 1000, 3)
