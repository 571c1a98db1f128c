"""What the engine yields to a driver, and what the driver sends back: plain values.

| the engine yields | the driver sends |
|---|---|
| `Attempt` | `Success` or `Failure` |
| `Race` | `RaceResult`, or the outcome of the first if the second was not started |
| `Wait` | `Waited` |
"""

from __future__ import annotations

import functools
from datetime import datetime  # noqa: TC003 - msgspec reads annotations at run time
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from inference_providers.errors import InferenceProvidersError
from inference_providers.types import Route, Value

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "Attempt",
    "AttemptRecord",
    "Cancelled",
    "Failure",
    "Flaw",
    "Outcome",
    "Race",
    "RaceResult",
    "Success",
    "Wait",
    "Waited",
    "answering_record",
]


class Attempt(Value, frozen=True, kw_only=True):
    """Call this route.

    Attributes:
        number: Counts the attempts of a call from 1.
        route: The route to call.
        timeout_s: Time to answer, or to show output for a stream.
        remaining_s: Time left until the call's deadline, for the rest of a stream.
        without: Request parameters to leave out: the provider has refused them.
    """

    number: int
    route: Route
    timeout_s: float
    remaining_s: float
    without: tuple[str, ...] = ()


class Race(Value, frozen=True, kw_only=True):
    """Call the first route, and the second as well if the first shows no output in time.

    The attempt that shows output first is kept, the other one is cancelled.
    """

    first: Attempt
    second: Attempt
    after_s: float


class Wait(Value, frozen=True, kw_only=True):
    """Sleep, then answer with the time."""

    seconds: float


class Waited(Value, frozen=True, kw_only=True):
    """The answer to a `Wait`. `at` is on the monotonic clock, in seconds."""

    at: float


class Flaw(StrEnum):
    """What is wrong with an answer that is better than none. The values appear in traces."""

    EMPTY_ANSWER = "empty_answer"
    """The answer has no text, tool call, reasoning, refusal or other output."""
    MALFORMED_TOOL_CALL = "malformed_tool_call"
    """The arguments of a tool call are not a JSON object."""
    UNKNOWN_TOOL = "unknown_tool"
    """A tool call without a name, or with a name that the request does not offer."""


class Success(Value, frozen=True, kw_only=True):
    """An answered call, or a stream that reached its end.

    Attributes:
        ms: Duration in milliseconds.
        at: When it ended, on the monotonic clock in seconds.
        first_output_ms: Time to the first output of a stream; `None` for a call, and for a
            stream without output.
        flaw: What is wrong with the answer, if anything. Another route is tried if one is free;
            this answer is kept in case none does better.
    """

    ms: float
    at: float = 0.0
    first_output_ms: float | None = None
    flaw: Flaw | None = None

    @property
    def may_be_replaced(self) -> bool:
        """Whether another route may be tried: the answer has a flaw and was not passed on."""
        return self.flaw is not None and self.first_output_ms is None


class Failure(Value, frozen=True, kw_only=True):
    """A failed attempt.

    Attributes:
        error: The exception, with the route's key scrubbed from it.
        ms: Duration in milliseconds.
        at: When it ended, on the monotonic clock in seconds.
        wall_time: When it ended, as time of day, to read a Retry-After date.
        began: Whether a stream had already shown output.
        partial: That output, joined, in the caller's message type.
    """

    error: Exception
    ms: float
    at: float = 0.0
    wall_time: datetime | None = None
    began: bool = False
    partial: Any = None

    def __reduce__(self) -> tuple[Any, ...]:
        # Few SDK exceptions unpickle, and they hold the request with its key.
        fields = {name: getattr(self, name) for name in self.__struct_fields__}
        fields["error"] = InferenceProvidersError(f"{type(self.error).__name__}: {self.error}")
        return functools.partial(Failure, **fields), ()


class Cancelled(Value, frozen=True, kw_only=True):
    """An attempt that was cancelled because another one was faster."""

    ms: float


Outcome = Success | Failure


class RaceResult(Value, frozen=True, kw_only=True):
    """How a race ended if both attempts were started; the `decisive` outcome counts.

    A loser that is a `Success` has a flaw.
    """

    loser: tuple[Attempt, Success | Failure | Cancelled]
    decisive: tuple[Attempt, Success | Failure]


class AttemptRecord(Value, frozen=True, kw_only=True):
    """One finished attempt, with the meaning of its failure. Prints as one line.

    Attributes:
        route: The route that was called.
        outcome: How it ended.
        without: Request parameters that were left out.
        failure_class: The failure class; `None` if it did not fail.
        status: The HTTP status of the failure, if there is one.
    """

    route: Route
    outcome: Outcome | Cancelled
    without: tuple[str, ...] = ()
    failure_class: str | None = None
    status: int | None = None

    def __str__(self) -> str:
        if isinstance(self.outcome, Success):
            flaw = f" ({self.outcome.flaw})" if self.outcome.flaw else ""
            return f"{self.route}: answered{flaw}"
        if isinstance(self.outcome, Cancelled):
            return f"{self.route}: cancelled, another route was faster"
        cause = f"HTTP {self.status}" if self.status else type(self.outcome.error).__name__
        return f"{self.route}: {self.failure_class} ({cause})"


def answering_record(attempts: Sequence[AttemptRecord]) -> AttemptRecord:
    """Return the record of the attempt whose answer is handed out.

    That is the last one, unless it failed or its answer can be replaced: then it is the first
    one that is not empty, or else the first one that answered.

    Args:
        attempts: All attempts of a call that has an answer.
    """
    last = attempts[-1]
    if isinstance(last.outcome, Success) and (
        last.outcome.flaw is None or not last.outcome.may_be_replaced
    ):
        return last
    answered = [record for record in attempts if isinstance(record.outcome, Success)]
    return min(answered, key=_is_empty)


def _is_empty(record: AttemptRecord) -> bool:
    return isinstance(record.outcome, Success) and record.outcome.flaw is Flaw.EMPTY_ANSWER
