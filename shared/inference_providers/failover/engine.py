"""The policy: which route next, when to wait, when to stop. A generator without I/O.

* It yields an `Attempt`, a `Race` of two or a `Wait`, and is sent what became of it.
* A failure that another route may not have moves on, and lays a rest on what failed;
  a request that is itself wrong raises the provider's own exception.
* Where nothing else is left, a route is probed before its rest is over, if the length of
  that was our guess and it has lasted a while.
* The same route is tried again only when there is no other, once, within the retry
  budget; or with a parameter left out that the provider does not know.
* One deadline covers the whole call.
* A stream that broke after output began is never restarted silently.

Nothing is read or slept here: drivers do that (`inference_providers.failover.drivers`), and
tests drive it by hand with `next()` and `send()`.
"""

from __future__ import annotations

import math
from collections.abc import Generator, Iterable, Sequence
from typing import TYPE_CHECKING, Any, cast

from inference_providers.errors import AllRoutesFailed, NoRouteError, StreamInterrupted
from inference_providers.failover.events import (
    Attempt,
    AttemptRecord,
    Failure,
    Outcome,
    Race,
    Raced,
    Success,
    Wait,
    Waited,
)
from inference_providers.failover.state import FailoverState
from inference_providers.failures.classes import Classification, FailureClass
from inference_providers.failures.classifier import classify
from inference_providers.settings import DEFAULT_SETTINGS, FailoverSettings

if TYPE_CHECKING:
    from inference_providers.failover.cooldowns import Cooldown
    from inference_providers.failover.events import Cancelled
    from inference_providers.types import Plan, Route

__all__ = ["Engine", "Errors", "failover"]

Engine = Generator[Attempt | Race | Wait, Outcome | Raced | Waited, tuple[AttemptRecord, ...]]

MAX_ON_ONE_ROUTE = 2
_TEXT_LIMIT = 200
"""Characters of a provider's own words that go into our message."""
_ESSENTIAL = frozenset(
    {
        *("functions", "input", "messages", "model", "response_format", "stream", "text"),
        *("tool_choice", "tools"),
    }
)
"""Parameters that are not left out: without them it would be another request."""
_MAY_PASS = frozenset({FailureClass.OVERLOADED, FailureClass.INVALID_RESPONSE})


def failover(  # noqa: PLR0913 - all but the plan are named
    plan: Plan,
    *,
    state: FailoverState | None = None,
    settings: FailoverSettings = DEFAULT_SETTINGS,
    now: float = 0.0,
    trial: bool = False,
    errors: Errors | None = None,
) -> Engine:
    """Try the routes of `plan` in order; return what was tried once one answered.

    Args:
        plan: The routes.
        state: Who rests; what happens is written there.
        settings: The numbers.
        now: The monotonic clock, in seconds; later times come with the outcomes.
        trial: The request is our own and right, so any failure is the route's.
        errors: Makes the exceptions it ends with, in a framework's terms.

    Raises:
        NoRouteError: The plan holds no route.
        AllRoutesFailed: None answered, or all rest.
        StreamInterrupted: One broke in the middle of its answer.
        Exception: The provider's own, where the request itself is at fault.
    """
    errors = errors or Errors()
    try:
        plan.require()
    except NoRouteError as error:
        raise errors.no_route(error) from None
    course = _Course(plan, state or FailoverState(), settings, now)
    route = yield from course.opening()
    while route is not None:
        step = course.step(route)
        try:
            sent = yield step
        except GeneratorExit:
            course.give_back(step)
            raise
        attempt, outcome = course.decisive(step, cast("Outcome | Raced", sent))
        if isinstance(outcome, Success):
            return course.answered(attempt, outcome)
        route, classification = attempt.route, course.failed(attempt, outcome)
        if outcome.began:
            raise course.interrupted(outcome) from outcome.error
        if course.mended(route, classification):
            continue
        if not (trial or course.moves_on(route, classification)):
            raise errors.wrong_request(_noted(outcome.error, route), classification)
        before, route = route, course.next() or course.last_resort()
        if route is None and (seconds := course.wait(before, classification)) is not None:
            course.now = cast("Waited", (yield Wait(seconds=seconds))).at
            route = course.again(before)
    raise errors.none_answered(*course.summary()) from course.last_error


class Errors:
    """The exceptions a call ends with; an adapter's subclass adds its framework's."""

    def no_route(self, error: NoRouteError) -> NoRouteError:
        """Return the error for a plan without routes."""
        return error

    def none_answered(
        self, message: str, attempts: Sequence[AttemptRecord], retry_after: float | None
    ) -> AllRoutesFailed:
        """Return the error for every route having failed, or resting."""
        return AllRoutesFailed(message, attempts, retry_after)

    def wrong_request(self, error: Exception, classification: Classification) -> Exception:  # noqa: ARG002
        """Return the provider's own exception for a request that is itself at fault."""
        return error


class _Course:
    """What one call has done so far, and what it may still do."""

    def __init__(
        self, plan: Plan, state: FailoverState, settings: FailoverSettings, now: float
    ) -> None:
        self.plan = plan
        self.state = state
        self.settings = settings
        self.now = now
        self.tried: list[AttemptRecord] = []
        self.last_error: Exception | None = None
        self._left = [*plan.routes, *plan.cooling_down]
        self._deadline = now + settings.timeout_s
        self._has_mended = False

    def opening(self) -> Generator[Wait, Any, Route | None]:
        """Return the first route to try, after a wait where each is only at its limits."""
        while (route := self._first()) is None and (seconds := self._until_allowed_s()) is not None:
            self.now = (yield Wait(seconds=seconds)).at
        return route

    def _first(self) -> Route | None:
        """Return the first route that may be tried; where all are overloaded, the soonest."""
        if (route := self.next()) is not None:
            return route
        rests = self._rests()
        if any(rest.classification.failure_class not in _MAY_PASS for rest, _ in rests):
            return self.last_resort()
        return self._soonest((rest, r) for rest, r in rests if self.now >= rest.probe_until)

    def last_resort(self) -> Route | None:
        """Return a resting route that may answer all the same, where nothing else is left."""
        if self._is_over():
            return None
        rests = self._rests()
        return self._soonest(
            each for each in rests if each[0].allows_early_probe(self.now, self.settings)
        )

    def _rests(self) -> list[tuple[Cooldown, Route]]:
        return [
            (rest, route)
            for route in self._left
            if (rest := self.state.active_cooldown(route, self.now))
        ]

    def _soonest(self, rests: Iterable[tuple[Cooldown, Route]]) -> Route | None:
        found = min(rests, key=lambda each: each[0].until, default=None)
        if found is None:
            return None
        self._left.remove(found[1])
        return self.again(found[1])

    def _is_over(self) -> bool:
        return len(self.tried) >= self.settings.max_attempts or self.now >= self._deadline

    def _until_allowed_s(self) -> float | None:
        """Return how long to wait for the first limit to allow a call; `None` for too long."""
        limited = (rest.until - self.now for rest, _ in self._rests() if rest.is_rate_limit)
        seconds = min(limited, default=math.inf)
        longest = min(self.settings.max_wait_s, self._deadline - self.now)
        return seconds if seconds < longest else None

    def next(self) -> Route | None:
        """Return the next route that does not rest, if attempts and time are left."""
        if self._is_over():
            return None
        told = (self.now, self.settings.probe_timeout_s, self.plan.tokens)
        free = (route for route in self._left if self.state.claim(route, *told))
        if (route := next(free, None)) is not None:
            self._left.remove(route)
        return route

    def again(self, route: Route) -> Route:
        """Return a route to be tried although it rests."""
        self.state.probe(route, self.now, self.settings.probe_timeout_s)
        return route

    def step(self, route: Route) -> Attempt | Race:
        """Return what the driver is asked to do."""
        first = self._attempt(route, len(self.tried) + 1)
        after_s = self._hedge_after_s(route)
        has_attempts = len(self.tried) + 2 <= self.settings.max_attempts
        if after_s is None or after_s >= first.timeout_s or not has_attempts:
            return first
        if (other := self.next()) is None:
            return first
        return Race(first=first, second=self._attempt(other, first.n + 1, after_s), after_s=after_s)

    def decisive(self, step: Attempt | Race, sent: Outcome | Raced) -> tuple[Attempt, Outcome]:
        """Return the attempt whose outcome decides; notes what became of the other of a race."""
        if isinstance(sent, Raced):
            attempt, outcome = sent.behind
            if isinstance(outcome, Failure):
                self.failed(attempt, outcome)
            else:
                self.state.release(attempt.route)
                self._note(attempt, outcome)
            return sent.last
        if isinstance(step, Race):  # the second was not started
            self.state.release(step.second.route)
            self._left.insert(0, step.second.route)
            return step.first, sent
        return step, sent

    def give_back(self, step: Attempt | Race) -> None:
        """Give back the probes of a call that was cancelled."""
        for attempt in (step,) if isinstance(step, Attempt) else (step.first, step.second):
            self.state.release(attempt.route)

    def answered(self, attempt: Attempt, outcome: Success) -> tuple[AttemptRecord, ...]:
        """Note a success; return all that was tried."""
        self.state.record_success(attempt.route, outcome.first_output_ms or outcome.ms)
        if self.plan.conversation:
            self.state.remember_route(self.plan.conversation, attempt.route)
        self._note(attempt, outcome)
        return tuple(self.tried)

    def failed(self, attempt: Attempt, outcome: Failure) -> Classification:
        """Note a failure; return what it means."""
        self.now = max(self.now, outcome.at)
        self.last_error = outcome.error
        classification = classify(outcome.error, outcome.wall)
        self.state.record_failure(attempt.route, classification, self.now, self.settings)
        self._note(attempt, outcome, classification)
        return classification

    def _note(
        self,
        attempt: Attempt,
        outcome: Outcome | Cancelled,
        classification: Classification | None = None,
    ) -> None:
        self.tried.append(
            AttemptRecord(
                route=attempt.route,
                outcome=outcome,
                without=attempt.without,
                failure_class=classification and classification.failure_class.value,
                status=classification and classification.status,
            )
        )

    def _attempt(self, route: Route, n: int, later_s: float = 0.0) -> Attempt:
        left_s = self._deadline - self.now - later_s
        others = n < self.settings.max_attempts and any(
            self.state.active_cooldown(other, self.now) is None for other in self._left
        )
        return Attempt(
            n=n,
            route=route,
            timeout_s=left_s * self.settings.attempt_share if others else left_s,
            left_s=left_s,
            without=self.state.rejected_parameters(route),
        )

    def _hedge_after_s(self, route: Route) -> float | None:
        if self.settings.hedge_after != "p95":
            return self.settings.hedge_after
        p95_ms = self.state.p95_latency_ms(route)
        return None if p95_ms is None else p95_ms / 1000

    def interrupted(self, outcome: Failure) -> StreamInterrupted:
        """Return the error for a stream that broke after its output began."""
        last = self.tried[-1]
        msg = f"The stream was interrupted: {_line(last, outcome)}"
        return StreamInterrupted(msg, outcome.partial, last.route)

    def mended(self, route: Route, classification: Classification) -> bool:
        """Say whether to ask the same again without a parameter the provider refuses."""
        parameter = (classification.parameter or "").split(".")[0]
        if not parameter or parameter in _ESSENTIAL or self._has_mended or self._is_over():
            return False
        self._has_mended = self.state.reject_parameter(route, parameter)
        return self._has_mended

    def moves_on(self, route: Route, classification: Classification) -> bool:
        """Say whether other routes may do better; keeps only those that may."""
        window = route.model_info.context or 0
        if classification.failure_class is FailureClass.CONTEXT_OVERFLOW:
            self._left = [r for r in self._left if (r.model_info.context or 0) > window]
            return bool(self._left)
        if classification.failure_class is FailureClass.REQUEST_TOO_LARGE:
            self._left = [r for r in self._left if (r.model_info.context or window) >= window]
        if classification.failure_class is FailureClass.CONTENT_FILTERED:
            return self.settings.fallback_on_content_filter
        return classification.failure_class.moves_on

    def wait(self, route: Route, classification: Classification) -> float | None:
        """Return how long to wait before trying the only route again; `None` for not at all."""
        settings = self.settings
        mine = [attempt for attempt in self.tried if attempt.route == route]
        others_were_tried = len(mine) < len(self.tried)
        if others_were_tried or len(mine) >= min(MAX_ON_ONE_ROUTE, settings.max_attempts):
            return None
        if classification.failure_class is FailureClass.RATE_LIMITED:
            rest = self.state.active_cooldown(route, self.now)
            seconds = (
                rest.until - self.now
                if rest
                else classification.retry_after_s or settings.rate_limit_cooldown_s
            )
            cost = settings.rate_limit_retry_cost
        elif classification.failure_class in _MAY_PASS:
            own = (
                min(settings.retry_backoff_max_s, 2 * settings.retry_backoff_s)
                * self.state.jitter()
            )
            seconds, cost = max(own, classification.retry_after_s or 0.0), settings.retry_cost
        else:
            return None
        if seconds > min(settings.max_wait_s, self._deadline - self.now):
            return None
        return seconds if self.state.take_retry_tokens(cost, settings.retry_budget) else None

    def summary(self) -> tuple[str, list[AttemptRecord], float | None]:
        """Return what was tried, in words and as values, and when to try again."""
        routes = {*self.plan.routes, *self.plan.cooling_down}
        rests = {r: rest for r in routes if (rest := self.state.active_cooldown(r, self.now))}
        soonest = min((rest.until - self.now for rest in rests.values()), default=None)
        lines = [_line(t, t.outcome) for t in self.tried if isinstance(t.outcome, Failure)]
        untried = rests.keys() - {attempt.route for attempt in self.tried}
        lines += sorted(f"{route}: {rests[route].reason(self.now)}" for route in untried)
        if self.now >= self._deadline:
            lines.append(f"the deadline of {self.settings.timeout_s:g} s has passed")
        msg = f"No route answered, {len(self.tried)} tried: {'; '.join(lines)}"
        return msg, self.tried, None if soonest in {None, float("inf")} else soonest


def _noted(error: Exception, route: Route) -> Exception:
    error.add_note(f"autoprovider: raised by {route} as {route.model_id!r}")
    return error


def _line(attempt: AttemptRecord, failure: Failure) -> str:
    advice = ""
    if attempt.failure_class == FailureClass.AUTH_FAILED and attempt.route.key_variable:
        advice = f", check {attempt.route.key_variable}"
    elif attempt.failure_class == FailureClass.MODEL_NOT_FOUND and attempt.route.replacement:
        advice = f", use {attempt.route.replacement!r}"
    told = (failure.error, _innermost(failure.error) or "")
    said, inner = (" ".join(str(each).split()) for each in told)
    words = said if inner in said else f"{said} {inner}"  # SDKs wrap errors of the same words
    return f"{attempt}{advice}: {words[:_TEXT_LIMIT]}{'…' if len(words) > _TEXT_LIMIT else ''}"


def _innermost(error: BaseException) -> BaseException | None:
    """Return what an exception came from in the end: "Connection error." says little."""
    cause = error.__cause__
    while cause is not None and cause.__cause__ is not None:
        cause = cause.__cause__
    return cause
