"""The engine as a state machine: whatever providers do, these invariants hold.

`HYPOTHESIS_PROFILE=long` runs 10,000 examples.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import hypothesis.strategies as st
import pytest
from hypothesis import given

import factories
from factories import route
from inference_providers.errors import AllRoutesFailed
from inference_providers.failover.engine import failover
from inference_providers.failover.events import (
    Attempt,
    Cancelled,
    Failure,
    Race,
    RaceResult,
    Success,
    Wait,
    Waited,
)
from inference_providers.failover.state import FailoverState
from inference_providers.failures.classes import Classification, FailureClass, Scope
from inference_providers.settings import DEFAULT_SETTINGS, FailoverSettings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from inference_providers.types import Plan, Route

SETTINGS = st.sampled_from(
    [FailoverSettings(timeout_s=120.0), FailoverSettings(timeout_s=120.0, hedge_after=3.0)]
)
SCOPES = {
    FailureClass.RATE_LIMITED: Scope.ROUTE,
    FailureClass.QUOTA_EXCEEDED: Scope.KEY,
    FailureClass.AUTH_FAILED: Scope.KEY,
    FailureClass.MODEL_NOT_FOUND: Scope.ROUTE,
    FailureClass.OVERLOADED: Scope.MODEL,
    FailureClass.INVALID_RESPONSE: Scope.MODEL,
}
PASSES_SOON = {FailureClass.OVERLOADED, FailureClass.INVALID_RESPONSE}

CLASSIFICATIONS = st.builds(
    lambda failure_class, retry_after_s: Classification(
        failure_class, 500, SCOPES.get(failure_class, Scope.NONE), retry_after_s
    ),
    st.sampled_from([*FailureClass, *[FailureClass.OVERLOADED] * 6, FailureClass.RATE_LIMITED]),
    st.none() | st.floats(0.1, 500.0),
)
REPLIES = st.lists(
    st.tuples(st.none() | CLASSIFICATIONS, st.floats(0.0, 70.0), st.booleans()),
    min_size=1,
    max_size=40,
)
"""For each attempt: its failure or `None`, how long it takes, whether the call is cancelled."""

Reply = tuple[Classification | None, float, bool]


class ProviderError(Exception):
    """Carries the classification that it gets."""

    def __init__(self, classification: Classification) -> None:
        super().__init__(classification.failure_class)
        self.classification = classification


@pytest.fixture(autouse=True)
def _classify_as_carried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "inference_providers.failover.engine.classify", lambda error, _: error.classification
    )


@given(settings=SETTINGS, count=st.integers(1, 6), replies=REPLIES, gap_s=st.floats(0.0, 100.0))
def test_engine_keeps_its_invariants_whatever_happens(
    settings: FailoverSettings, count: int, replies: list[Reply], gap_s: float
) -> None:
    plan = factories.plan(*(route(f"p{n}") for n in range(count)))
    state = FailoverState(jitter=lambda: 0.5)
    now = 0.0
    script = iter(replies)
    while (first := next(script, None)) is not None:
        now = play_call(plan, settings, state, now, first, script) + gap_s


def play_call(  # noqa: C901, PLR0913, PLR0915, PLR0917 - one loop with all invariants in it
    plan: Plan,
    settings: FailoverSettings,
    state: FailoverState,
    now: float,
    first: Reply,
    script: Iterator[Reply],
) -> float:
    """Play one call and check the invariants of each step; return the time when it ended."""
    routes, started_at = list(plan.routes), now
    before = cooldown_ends(state, routes, now)
    engine = failover(plan, state=state, settings=settings, now=now)
    tried: list[Route] = []
    waited_for: Route | None = None
    reply: Reply | None = first
    report: Any = None
    while True:
        cooling = {r: end for r, end in cooldown_ends(state, routes, now).items() if end > now}
        try:
            step = engine.send(report)
        except (StopIteration, AllRoutesFailed, ProviderError):
            break
        if isinstance(step, Wait):
            assert step.seconds <= settings.max_wait_s
            assert now + step.seconds <= started_at + settings.timeout_s
            assert set(tried) == {tried[-1]}, "waited although another route was tried"
            now += step.seconds
            waited_for, report = tried[-1], Waited(at=now)
            continue
        race = step if isinstance(step, Race) else None
        step = step.first if isinstance(step, Race) else step
        assert isinstance(step, Attempt)
        assert step.number == len(tried) + 1 <= settings.max_attempts
        assert step.remaining_s == pytest.approx(started_at + settings.timeout_s - now)
        assert 0 < step.timeout_s <= step.remaining_s
        free = [r for r in routes if r not in cooling and r not in tried]
        if step.route in cooling and step.route is not waited_for:
            assert not free, "probed a route in a cooldown while another one was free"
            check_early_probe(state, step.route, cooling, now, is_first=not tried)
        if step.route not in tried and step.route not in cooling:
            assert step.route == free[0], "did not keep the order of the plan"
        tried.append(step.route)
        if reply is None:
            engine.close()
            break
        classification, seconds, is_cancelled = reply
        second = race.second if race and seconds > race.after_s else None
        if second is not None:
            assert second.number == step.number + 1 <= settings.max_attempts
            assert second.route not in cooling, "raced with a route in a cooldown"
            assert second.route not in tried
            tried.append(second.route)
        now += min(seconds, step.timeout_s)
        if is_cancelled:
            engine.close()
            probes = [c.probe_until for c in state._cooldowns.values()]
            assert all(until <= now for until in probes), "a probe was not given back"
            break
        report = (
            Success(ms=1.0, at=now)
            if classification is None
            else Failure(error=ProviderError(classification), ms=1.0, at=now)
        )
        if second is not None:
            loser = report if isinstance(report, Failure) else Cancelled(ms=1.0)
            report = RaceResult(loser=(step, loser), decisive=(second, report))
        reply = next(script, None)
    assert now <= started_at + settings.timeout_s + 1e-6
    after = cooldown_ends(state, routes, now)
    decisive = report.decisive[1] if isinstance(report, RaceResult) else report
    answered = tried[-1] if tried and isinstance(decisive, Success) else None
    for cooling_route, until in before.items():
        if until > now and cooling_route != answered:
            assert after.get(cooling_route, -math.inf) >= until, "a cooldown got shorter"
    return now


def check_early_probe(
    state: FailoverState,
    probed: Route,
    cooling: dict[Route, float],
    now: float,
    *,
    is_first: bool,
) -> None:
    """Check that a route in a cooldown may be probed."""
    cooldown = state.active_cooldown(probed, now)
    assert cooldown is not None
    classes = {
        c.classification.failure_class for r in cooling if (c := state.active_cooldown(r, now))
    }
    if is_first and classes <= PASSES_SOON:
        assert cooling[probed] == min(cooling.values())
        return
    assert cooldown.classification.retry_after_s is None, "cut short a wait that was asked for"
    passes_soon = cooldown.classification.failure_class in PASSES_SOON
    assert now >= cooldown.failed_at + (
        DEFAULT_SETTINGS.cooldown_base_s if passes_soon else DEFAULT_SETTINGS.early_probe_s
    )


def cooldown_ends(state: FailoverState, routes: list[Route], now: float) -> dict[Route, float]:
    """Return the routes that cool down, each with the end of its cooldown."""
    cooldowns = {route: state.active_cooldown(route, now) for route in routes}
    return {route: cooldown.until for route, cooldown in cooldowns.items() if cooldown}
