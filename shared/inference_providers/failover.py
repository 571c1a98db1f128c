"""The policy: which route next, and when to stop. A generator without I/O.

* It yields an `Attempt` and is sent what became of it, a `Success` or a `Failure`.
* A failure that another route may not have moves on; a request that is itself
  wrong raises the provider's own exception.
* A stream that broke after output began is never restarted silently.

Nothing is read or slept here: drivers do that (`inference_providers.drive`), and
tests drive it by hand with `next()` and `send()`.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING

from inference_providers.errors import AllRoutesFailed, StreamInterrupted
from inference_providers.plan import require_routes
from inference_providers.routes import Attempt, Failure, Outcome, Success, Tried
from inference_providers.verdicts import FailureClass, classify

if TYPE_CHECKING:
    from inference_providers.routes import Plan, Route

__all__ = ["Engine", "failover"]

Engine = Generator[Attempt, Outcome, tuple[Tried, ...]]

_TEXT_LIMIT = 200
"""Characters of a provider's own words that go into our message."""


def failover(plan: Plan, *, max_attempts: int | None = None, trial: bool = False) -> Engine:
    """Try the routes of `plan` in order; return what was tried once one answered.

    Args:
        plan: The routes.
        max_attempts: How many of them to try at most; all unless told.
        trial: The request is our own and right, so any failure is the route's.

    Raises:
        NoRouteError: The plan holds no route.
        AllRoutesFailed: None answered.
        StreamInterrupted: One broke in the middle of its answer.
        Exception: The provider's own, where the request itself is at fault.
    """
    tried: list[Tried] = []
    for n, route in enumerate(require_routes(plan).routes[:max_attempts], 1):
        outcome = yield Attempt(n=n, route=route)
        attempt = _judged(route, outcome)
        tried.append(attempt)
        if isinstance(outcome, Success):
            return tuple(tried)
        if outcome.began:
            msg = f"The stream was interrupted: {_line(attempt, outcome)}"
            raise StreamInterrupted(msg, outcome.partial, route) from outcome.error
        if not (trial or classify(outcome.error).failure_class.moves_on):
            outcome.error.add_note(f"autoprovider: raised by {route} as {route.model_id!r}")
            raise outcome.error
        last = outcome
    lines = "; ".join(_line(t, t.outcome) for t in tried if isinstance(t.outcome, Failure))
    msg = f"No route answered, {len(tried)} tried: {lines}"
    raise AllRoutesFailed(msg, tried) from last.error


def _judged(route: Route, outcome: Outcome) -> Tried:
    if isinstance(outcome, Success):
        return Tried(route=route, outcome=outcome)
    verdict = classify(outcome.error)
    return Tried(
        route=route,
        outcome=outcome,
        failure_class=verdict.failure_class.value,
        status=verdict.status,
    )


def _line(attempt: Tried, failure: Failure) -> str:
    advice = ""
    if attempt.failure_class == FailureClass.AUTH and attempt.route.key_variable:
        advice = f", check {attempt.route.key_variable}"
    words = " ".join(str(failure.error).split())
    return f"{attempt}{advice}: {words[:_TEXT_LIMIT]}{'…' if len(words) > _TEXT_LIMIT else ''}"
