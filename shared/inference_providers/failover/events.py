"""What a policy asks of a driver, and what became of it: values, failures among them."""

from __future__ import annotations

import functools
from datetime import datetime  # noqa: TC003 - msgspec reads annotations at run time
from typing import Any

from inference_providers.errors import InferenceProvidersError
from inference_providers.types import Route, Value

__all__ = [
    "Attempt",
    "AttemptRecord",
    "Cancelled",
    "Failure",
    "Outcome",
    "Race",
    "Raced",
    "Success",
    "Wait",
    "Waited",
]


class Attempt(Value, frozen=True, kw_only=True):
    """Asked of a driver: call this route.

    `n` counts from 1. `timeout_s` is how long it may take to answer, or to show output
    where it streams; `left_s` what is left of the call's deadline, for the rest of a
    stream. `without` are request parameters the provider refused before.
    """

    n: int
    route: Route
    timeout_s: float
    left_s: float
    without: tuple[str, ...] = ()


class Race(Value, frozen=True, kw_only=True):
    """Asked of a driver: call the first, and the second where that shows nothing in time.

    Who shows output first is kept, the other is cancelled. Answered with a `Raced`, or
    with the outcome of the first where the second was not started.
    """

    first: Attempt
    second: Attempt
    after_s: float


class Wait(Value, frozen=True, kw_only=True):
    """Asked of a driver: sleep, then say what time it is."""

    seconds: float


class Waited(Value, frozen=True, kw_only=True):
    """The answer to a `Wait`. `at` is on the monotonic clock, in seconds."""

    at: float


class Success(Value, frozen=True, kw_only=True):
    """A call that was answered, or a stream that came to its end, at `at`."""

    ms: float
    at: float = 0.0
    first_output_ms: float | None = None


class Failure(Value, frozen=True, kw_only=True):
    """A call that was not answered, as a value.

    `at` is the monotonic clock in seconds, `wall` the time of day. `began` tells that a
    stream had already shown output; `partial` is what came.
    """

    error: Exception
    ms: float
    at: float = 0.0
    wall: datetime | None = None
    began: bool = False
    partial: Any = None

    def __reduce__(self) -> tuple[Any, ...]:
        # Of the SDKs' exceptions few can be unpickled, and they hold the request, with its key.
        told = {name: getattr(self, name) for name in self.__struct_fields__}
        told["error"] = InferenceProvidersError(f"{type(self.error).__name__}: {self.error}")
        return functools.partial(Failure, **told), ()


class Cancelled(Value, frozen=True, kw_only=True):
    """A call that was given up since another was faster."""

    ms: float


Outcome = Success | Failure


class Raced(Value, frozen=True, kw_only=True):
    """What became of a race in which both were started; the outcome of `last` decides."""

    behind: tuple[Attempt, Failure | Cancelled]
    last: tuple[Attempt, Success | Failure]


class AttemptRecord(Value, frozen=True, kw_only=True):
    """One finished attempt with what its failure meant.

    `failure_class` and `status` are `None` where it did not fail. `without` are request
    parameters that were left out.
    """

    route: Route
    outcome: Outcome | Cancelled
    without: tuple[str, ...] = ()
    failure_class: str | None = None
    status: int | None = None

    def __str__(self) -> str:
        if isinstance(self.outcome, Success):
            return f"{self.route}: answered"
        if isinstance(self.outcome, Cancelled):
            return f"{self.route}: cancelled, another was faster"
        http = f"HTTP {self.status}" if self.status else type(self.outcome.error).__name__
        return f"{self.route}: {self.failure_class} ({http})"
