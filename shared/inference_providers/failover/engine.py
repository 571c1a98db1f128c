"""The failover engine: which route next, when to wait, when to stop. A generator without I/O.

* It yields an `Attempt`, a `Race` of two or a `Wait`, and is sent the outcome.
* A failure that other routes may not share starts a cooldown and moves on to the next
  route. If the request itself is wrong, the provider's own exception is raised.
* An answer with a flaw, such as an empty one, moves on only while another route is free, and
  starts no cooldown. It is kept, and handed out if no other route does better.
* When nothing else is left, a route is probed before its cooldown is over, if we guessed
  the length and the cooldown has lasted a minimum time.
* The same route is tried again in two cases: once, within the retry budget, if it is the
  only route; and once without a parameter that the provider refused.
* One deadline covers the whole call.
* A stream that breaks after its output began is never restarted silently.

Nothing is read or slept here. Drivers do that (`inference_providers.failover.drivers`), and
tests drive the engine by hand with `next()` and `send()`.
"""

from __future__ import annotations

import math
from collections.abc import Generator, Iterable, Sequence
from typing import TYPE_CHECKING, cast

from inference_providers.errors import AllRoutesFailed, NoRouteError, StreamInterrupted
from inference_providers.failover.events import (
    Attempt,
    AttemptRecord,
    Failure,
    Outcome,
    Race,
    RaceResult,
    Success,
    Wait,
    Waited,
    answering_record,
)
from inference_providers.failover.state import FailoverState
from inference_providers.failures.classes import PASSES_SOON, Classification, FailureClass
from inference_providers.failures.classifier import classify
from inference_providers.settings import DEFAULT_SETTINGS, FailoverSettings

if TYPE_CHECKING:
    from inference_providers.failover.cooldowns import Cooldown
    from inference_providers.failover.events import Cancelled
    from inference_providers.types import Plan, Route

__all__ = ["Engine", "Errors", "failover"]

Engine = Generator[Attempt | Race | Wait, Outcome | RaceResult | Waited, tuple[AttemptRecord, ...]]

MAX_ATTEMPTS_ON_ONLY_ROUTE = 2
_MESSAGE_CHARS = 200
"""Characters of a provider's message that go into ours."""
_ESSENTIAL_PARAMETERS = frozenset(
    {
        "functions", "input", "messages", "model", "response_format", "stream", "text",
        "tool_choice", "tools",
    }
)  # fmt: skip
"""Parameters that are never left out: without them it would be another request."""


class Errors:
    """Builds the exceptions that end a call. An adapter's subclass adds its framework's types."""

    def no_route(self, error: NoRouteError) -> NoRouteError:
        """Return the error for a plan without a route."""
        return error

    def all_routes_failed(
        self, message: str, attempts: Sequence[AttemptRecord], retry_after: float | None
    ) -> AllRoutesFailed:
        """Return the error for a call on which every route failed or is cooling down."""
        return AllRoutesFailed(message, attempts, retry_after)

    def wrong_request(self, error: Exception, classification: Classification) -> Exception:  # noqa: ARG002
        """Return the error for a request that is itself wrong: the provider's own exception."""
        return error


DEFAULT_ERRORS = Errors()


def failover(  # noqa: PLR0913 - all but the plan are keywords
    plan: Plan,
    *,
    state: FailoverState | None = None,
    settings: FailoverSettings = DEFAULT_SETTINGS,
    now: float = 0.0,
    trial: bool = False,
    errors: Errors = DEFAULT_ERRORS,
) -> Engine:
    """Try the routes of `plan` in order until one answers; return the records of all attempts.

    `answering_record` finds the attempt among them whose answer is handed out.

    Args:
        plan: The routes.
        state: Cooldowns, rate limits and latencies; what happens is recorded there.
        settings: The failover numbers.
        now: The monotonic clock, in seconds; later times come with the outcomes.
        trial: Whether the request is our own and known to be right, so that any failure is
            the route's.
        errors: Builds the exceptions that end the call.

    Raises:
        NoRouteError: The plan has no route.
        AllRoutesFailed: Every route failed or is cooling down.
        StreamInterrupted: A stream broke after its output began.
        Exception: The provider's own, if the request itself is wrong.
    """
    progress = _Progress(plan, state or FailoverState(), settings, now)
    route = progress.first_route()
    while route is None and (wait_s := progress.rate_limit_wait_s()) is not None:
        progress.now = cast("Waited", (yield Wait(seconds=wait_s))).at
        route = progress.first_route()
    while route is not None:
        step = progress.next_step(route)
        try:
            report = yield step
        except GeneratorExit:
            progress.release_probes(step)
            raise
        attempt, outcome = progress.decisive_outcome(step, cast("Outcome | RaceResult", report))
        if isinstance(outcome, Success):
            route = progress.route_after_success(attempt, outcome)
            continue
        failed = attempt.route
        classification = progress.record_failure(attempt, outcome)
        if outcome.began:
            raise progress.stream_interrupted(outcome) from outcome.error
        if progress.leaves_out_parameter(failed, classification):
            route = failed
            continue
        moves_on = trial or progress.may_move_on(failed, classification)
        if not (moves_on or progress.has_answer):
            raise errors.wrong_request(_with_note(outcome.error, failed), classification)
        route = progress.route_after_failure() if moves_on else None
        if route is None and (wait_s := progress.retry_wait_s(failed, classification)) is not None:
            progress.now = cast("Waited", (yield Wait(seconds=wait_s))).at
            route = progress.probe(failed)
    if progress.has_answer:
        return progress.hand_out_answer()
    raise progress.no_answer(errors) from progress.last_error


class _Progress:
    """What one call has done so far, and what it may still do."""

    def __init__(
        self, plan: Plan, state: FailoverState, settings: FailoverSettings, now: float
    ) -> None:
        self.plan = plan
        self.state = state
        self.settings = settings
        self.now = now
        self.attempts: list[AttemptRecord] = []
        self.last_error: Exception | None = None
        self.has_answer = False
        self._untried = [*plan.routes, *plan.cooling_down]
        self._deadline = now + settings.timeout_s
        self._left_out_parameter = False

    # Choosing a route

    def first_route(self) -> Route | None:
        """Return the first route that may be tried.

        If every route is overloaded, that is the one whose cooldown ends first.
        """
        if (route := self.next_route()) is not None:
            return route
        cooldowns = self._cooldowns()
        if any(c.classification.failure_class not in PASSES_SOON for c, _ in cooldowns):
            return self.route_to_probe()
        return self._probe_soonest(
            (cooldown, route) for cooldown, route in cooldowns if self.now >= cooldown.probe_until
        )

    def next_route(self) -> Route | None:
        """Claim the next route that is not cooling down, if attempts and time are left."""
        if self._is_over():
            return None
        for route in self._untried:
            if self.state.claim(route, self.now, self.settings.probe_timeout_s, self.plan.tokens):
                self._untried.remove(route)
                return route
        return None

    def route_after_failure(self) -> Route | None:
        """Return the next route; without an answer yet, that may be an early probe."""
        return self.next_route() or (None if self.has_answer else self.route_to_probe())

    def route_after_success(self, attempt: Attempt, outcome: Success) -> Route | None:
        """Record a success; return another route, if one is free, for an answer with a flaw."""
        self.record_success(attempt, outcome)
        return self.next_route() if outcome.flaw and outcome.may_be_replaced else None

    def route_to_probe(self) -> Route | None:
        """Return a route whose cooldown may be probed early, when no other route is left."""
        if self._is_over():
            return None
        return self._probe_soonest(
            (cooldown, route)
            for cooldown, route in self._cooldowns()
            if cooldown.allows_early_probe(self.now, self.settings)
        )

    def probe(self, route: Route) -> Route:
        """Return `route` for an attempt although it is cooling down."""
        self.state.probe(route, self.now, self.settings.probe_timeout_s)
        return route

    def _probe_soonest(self, cooldowns: Iterable[tuple[Cooldown, Route]]) -> Route | None:
        soonest = min(cooldowns, key=lambda pair: pair[0].until, default=None)
        if soonest is None:
            return None
        _, route = soonest
        self._untried.remove(route)
        return self.probe(route)

    def _cooldowns(self) -> list[tuple[Cooldown, Route]]:
        """Return the untried routes that are cooling down, each with its cooldown."""
        pairs = ((self.state.active_cooldown(route, self.now), route) for route in self._untried)
        return [(cooldown, route) for cooldown, route in pairs if cooldown is not None]

    def _is_over(self) -> bool:
        return len(self.attempts) >= self.settings.max_attempts or self.now >= self._deadline

    # Steps

    def next_step(self, route: Route) -> Attempt | Race:
        """Return what the driver does next: an attempt, or a race if the call is hedged."""
        first = self._new_attempt(route, len(self.attempts) + 1)
        after_s = self._hedge_after_s(route)
        if after_s is None or after_s >= first.timeout_s:
            return first
        has_second_attempt = len(self.attempts) + 2 <= self.settings.max_attempts
        if not has_second_attempt or (other := self.next_route()) is None:
            return first
        second = self._new_attempt(other, first.number + 1, after_s)
        return Race(first=first, second=second, after_s=after_s)

    def _new_attempt(self, route: Route, number: int, starts_in_s: float = 0.0) -> Attempt:
        remaining_s = timeout_s = self._deadline - self.now - starts_in_s
        if number < self.settings.max_attempts and self._has_free_route():
            timeout_s *= self.settings.attempt_share
        return Attempt(
            number=number,
            route=route,
            timeout_s=timeout_s,
            remaining_s=remaining_s,
            without=self.state.rejected_parameters(route),
        )

    def _has_free_route(self) -> bool:
        return bool(self._untried) and any(
            self.state.active_cooldown(route, self.now) is None for route in self._untried
        )

    def _hedge_after_s(self, route: Route) -> float | None:
        if self.settings.hedge_after != "p95":
            return self.settings.hedge_after
        p95_ms = self.state.p95_latency_ms(route)
        return None if p95_ms is None else p95_ms / 1000

    # Waits

    def rate_limit_wait_s(self) -> float | None:
        """Return the seconds until a rate limit allows a call; `None` if that is too long."""
        waits = [c.until - self.now for c, _ in self._cooldowns() if c.is_rate_limit]
        wait_s = min(waits, default=math.inf)
        return wait_s if wait_s < self._max_wait_s() else None

    def retry_wait_s(self, route: Route, classification: Classification) -> float | None:
        """Return how long to wait before the only route is tried again; `None` to give up."""
        settings = self.settings
        on_route = sum(attempt.route == route for attempt in self.attempts)
        other_routes_were_tried = on_route < len(self.attempts)
        limit = min(MAX_ATTEMPTS_ON_ONLY_ROUTE, settings.max_attempts)
        if other_routes_were_tried or on_route >= limit:
            return None
        requested_s = classification.retry_after_s
        if classification.failure_class is FailureClass.RATE_LIMITED:
            cost = settings.rate_limit_retry_cost
            if (cooldown := self.state.active_cooldown(route, self.now)) is not None:
                wait_s = cooldown.until - self.now
            else:
                wait_s = requested_s or settings.rate_limit_cooldown_s
        elif classification.failure_class in PASSES_SOON:
            cost = settings.retry_cost
            longest_s = min(settings.retry_backoff_max_s, 2 * settings.retry_backoff_s)
            wait_s = max(longest_s * self.state.jitter(), requested_s or 0.0)
        else:
            return None
        if wait_s > self._max_wait_s():
            return None
        return wait_s if self.state.take_retry_tokens(cost, settings.retry_budget) else None

    def _max_wait_s(self) -> float:
        return min(self.settings.max_wait_s, self._deadline - self.now)

    # Outcomes

    def decisive_outcome(
        self, step: Attempt | Race, report: Outcome | RaceResult
    ) -> tuple[Attempt, Outcome]:
        """Return the attempt that counts and its outcome; record the loser of a race."""
        if isinstance(report, RaceResult):
            attempt, outcome = report.loser
            if isinstance(outcome, Failure):
                self.record_failure(attempt, outcome)
            elif isinstance(outcome, Success):
                self.record_success(attempt, outcome)
            else:
                self.state.release(attempt.route)
                self._add_record(attempt, outcome)
            return report.decisive
        if isinstance(step, Race):  # the second attempt was not started
            self.state.release(step.second.route)
            self._untried.insert(0, step.second.route)
            return step.first, report
        return step, report

    def release_probes(self, step: Attempt | Race) -> None:
        """Give back the probes of a call that was cancelled."""
        for attempt in (step,) if isinstance(step, Attempt) else (step.first, step.second):
            self.state.release(attempt.route)

    def record_success(self, attempt: Attempt, outcome: Success) -> None:
        """Record a success. What it says about the route counts only if it is handed out."""
        self.now = max(self.now, outcome.at)
        self.has_answer = True
        if outcome.flaw:
            self.state.release(attempt.route)
        self._add_record(attempt, outcome)

    def hand_out_answer(self) -> tuple[AttemptRecord, ...]:
        """Record what the answer says about its route; return the records of all attempts."""
        record = answering_record(self.attempts)
        outcome = cast("Success", record.outcome)
        self.state.record_success(record.route, outcome.first_output_ms or outcome.ms)
        if self.plan.conversation and outcome.flaw is None:
            self.state.remember_route(self.plan.conversation, record.route)
        return tuple(self.attempts)

    def record_failure(self, attempt: Attempt, outcome: Failure) -> Classification:
        """Record a failure; return its classification."""
        self.now = max(self.now, outcome.at)
        self.last_error = outcome.error
        classification = classify(outcome.error, outcome.wall_time)
        self.state.record_failure(attempt.route, classification, self.now, self.settings)
        self._add_record(attempt, outcome, classification)
        return classification

    def _add_record(
        self,
        attempt: Attempt,
        outcome: Outcome | Cancelled,
        classification: Classification | None = None,
    ) -> None:
        self.attempts.append(
            AttemptRecord(
                route=attempt.route,
                outcome=outcome,
                without=attempt.without,
                failure_class=classification and classification.failure_class.value,
                status=classification and classification.status,
            )
        )

    # After a failure

    def leaves_out_parameter(self, route: Route, classification: Classification) -> bool:
        """Whether the same route is tried again without a parameter that it refused.

        Once per call, and only for a parameter that was not known to be refused.
        """
        parameter = (classification.parameter or "").split(".")[0]
        if not parameter or parameter in _ESSENTIAL_PARAMETERS:
            return False
        if self._left_out_parameter or self._is_over():
            return False
        self._left_out_parameter = self.state.reject_parameter(route, parameter)
        return self._left_out_parameter

    def may_move_on(self, route: Route, classification: Classification) -> bool:
        """Whether other routes may do better; drops the untried routes that may not."""
        window = route.model_info.context or 0
        match classification.failure_class:
            case FailureClass.CONTEXT_OVERFLOW:
                self._untried = [r for r in self._untried if (r.model_info.context or 0) > window]
                return bool(self._untried)
            case FailureClass.REQUEST_TOO_LARGE:
                self._untried = [
                    r for r in self._untried if (r.model_info.context or window) >= window
                ]
                return True
            case FailureClass.CONTENT_FILTERED:
                return self.settings.fallback_on_content_filter
            case failure_class:
                return failure_class.moves_on

    # How it ends

    def stream_interrupted(self, outcome: Failure) -> StreamInterrupted:
        """Return the error for a stream that broke after its output began."""
        record = self.attempts[-1]
        msg = f"The stream was interrupted: {_describe(record, outcome)}"
        return StreamInterrupted(msg, outcome.partial, record.route)

    def no_answer(self, errors: Errors) -> Exception:
        """Return the error for a call without an answer."""
        try:
            self.plan.require()
        except NoRouteError as error:
            return errors.no_route(error)
        return errors.all_routes_failed(*self._summary())

    def _summary(self) -> tuple[str, list[AttemptRecord], float | None]:
        """Return the message, the attempts, and the seconds to wait, if every route failed."""
        cooldowns = {
            route: cooldown
            for route in (*self.plan.routes, *self.plan.cooling_down)
            if (cooldown := self.state.active_cooldown(route, self.now)) is not None
        }
        tried = {attempt.route for attempt in self.attempts}
        lines = [_describe(a, a.outcome) for a in self.attempts if isinstance(a.outcome, Failure)]
        lines += sorted(
            f"{route}: {cooldown.reason(self.now)}"
            for route, cooldown in cooldowns.items()
            if route not in tried
        )
        if self.now >= self._deadline:
            lines.append(f"the deadline of {self.settings.timeout_s:g} s has passed")
        count = len(self.attempts)
        attempts = "1 attempt" if count == 1 else f"{count} attempts"
        msg = f"No route answered after {attempts}: {'; '.join(lines)}"
        waits = (c.until - self.now for c in cooldowns.values() if c.until != math.inf)
        return msg, self.attempts, min(waits, default=None)


def _with_note(error: Exception, route: Route) -> Exception:
    error.add_note(f"autoprovider: raised by {route} as {route.model_id!r}")
    return error


def _describe(attempt: AttemptRecord, failure: Failure) -> str:
    """Return one line: the route, the failure, what to do, and the provider's message."""
    advice = ""
    if attempt.failure_class == FailureClass.AUTH_FAILED and attempt.route.key_variable:
        advice = f", check {attempt.route.key_variable}"
    elif attempt.failure_class == FailureClass.MODEL_NOT_FOUND and attempt.route.replacement:
        advice = f", use {attempt.route.replacement!r}"
    message = _join_lines(failure.error)
    cause = _join_lines(_root_cause(failure.error) or "")
    if cause not in message:  # SDKs often wrap an error with the same words
        message = f"{message} {cause}"
    if len(message) > _MESSAGE_CHARS:
        message = f"{message[:_MESSAGE_CHARS]}…"
    return f"{attempt}{advice}: {message}"


def _join_lines(text: object) -> str:
    return " ".join(str(text).split())


def _root_cause(error: BaseException) -> BaseException | None:
    """Return the first exception of a chain: an SDK's "Connection error." says little."""
    cause = error.__cause__
    while cause is not None and cause.__cause__ is not None:
        cause = cause.__cause__
    return cause
