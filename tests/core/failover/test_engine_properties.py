"""The policy as a state machine: whatever providers do, these hold.

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
    from inference_providers.types import Plan, Route

POLICIES = st.sampled_from(
    [FailoverSettings(timeout_s=120.0), FailoverSettings(timeout_s=120.0, hedge_after=3.0)]
)


class ProviderError(Exception):
    """Carries the classification it will be given."""

    def __init__(self, classification: Classification) -> None:
        super().__init__(classification.failure_class)
        self.classification = classification


SCOPE = {
    FailureClass.RATE_LIMITED: Scope.ROUTE,
    FailureClass.QUOTA_EXCEEDED: Scope.KEY,
    FailureClass.AUTH_FAILED: Scope.KEY,
    FailureClass.MODEL_NOT_FOUND: Scope.ROUTE,
    FailureClass.OVERLOADED: Scope.MODEL,
    FailureClass.INVALID_RESPONSE: Scope.MODEL,
}
VERDICTS = st.builds(
    lambda failure_class, cooldown_s: Classification(
        failure_class, 500, SCOPE.get(failure_class, Scope.NONE), cooldown_s
    ),
    st.sampled_from([*FailureClass, *[FailureClass.OVERLOADED] * 6, FailureClass.RATE_LIMITED]),
    st.none() | st.floats(0.1, 500.0),
)
STEPS = st.lists(
    st.tuples(st.none() | VERDICTS, st.floats(0.0, 70.0), st.booleans()), min_size=1, max_size=40
)
"""For each attempt: success or failure, how long it takes, whether it is cancelled."""


@pytest.fixture(autouse=True)
def _verdicts_as_carried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "inference_providers.failover.engine.classify", lambda error, _: error.classification
    )


def ends(health: FailoverState, routes: list[Route], now: float) -> dict[Route, float]:
    rests = {r: health.active_cooldown(r, now) for r in routes}
    return {r: rest.until for r, rest in rests.items() if rest}


@given(settings=POLICIES, count=st.integers(1, 6), steps=STEPS, gap=st.floats(0.0, 100.0))
def test_whatever_happens_the_policy_holds(
    settings: FailoverSettings, count: int, steps: list[Any], gap: float
) -> None:
    routes = [route(f"p{n}") for n in range(count)]
    plan = factories.plan(*routes)
    health = FailoverState(jitter=lambda: 0.5)
    now = 0.0
    script = iter(steps)
    while (first := next(script, None)) is not None:
        now = checked_call(plan, settings, health, now, first, script) + gap


def check_last_resort(
    health: FailoverState, asked: Route, resting: dict[Route, float], now: float, *, is_first: bool
) -> None:
    """Hold what must be true of a route that is asked although it rests."""
    rest = health.active_cooldown(asked, now)
    overloaded = {FailureClass.OVERLOADED, FailureClass.INVALID_RESPONSE}
    if (
        is_first
        and {health.active_cooldown(r, now).classification.failure_class for r in resting}
        <= overloaded
    ):
        assert resting[asked] == min(resting.values())
        return
    assert rest.classification.retry_after_s is None, "a rest the provider asked for was cut short"
    brief = rest.classification.failure_class in overloaded
    assert now >= rest.failed_at + (
        DEFAULT_SETTINGS.cooldown_base_s if brief else DEFAULT_SETTINGS.early_probe_s
    )


def checked_call(  # noqa: C901, PLR0913, PLR0915, PLR0917 - one loop with all that must hold in it
    plan: Plan,
    settings: FailoverSettings,
    health: FailoverState,
    now: float,
    first: Any,
    script: Any,
) -> float:
    """Play one call, holding what must be true of each step; return the time when it ended."""
    routes, begun = list(plan.routes), now
    before = ends(health, routes, now)
    engine = failover(plan, state=health, settings=settings, now=now)
    asked: list[Route] = []
    waited_for: Route | None = None
    current, sent = first, None
    while True:
        resting = {r: until for r, until in ends(health, routes, now).items() if until > now}
        try:
            step = engine.send(sent)
        except StopIteration:
            break
        except (AllRoutesFailed, ProviderError):
            break
        if isinstance(step, Wait):
            assert step.seconds <= settings.max_wait_s
            assert now + step.seconds <= begun + settings.timeout_s
            assert set(asked) == {asked[-1]}, "waited although another route was tried"
            now += step.seconds
            waited_for, sent = asked[-1], Waited(at=now)
            continue
        race = step if isinstance(step, Race) else None
        step = step.first if isinstance(step, Race) else step
        assert isinstance(step, Attempt)
        assert step.number == len(asked) + 1 <= settings.max_attempts
        assert step.remaining_s == pytest.approx(begun + settings.timeout_s - now)
        assert 0 < step.timeout_s <= step.remaining_s
        if step.route in resting and step.route is not waited_for:
            free = [r for r in routes if r not in resting and r not in asked]
            assert not free, "a resting route was tried while another was free"
            check_last_resort(health, step.route, resting, now, is_first=not asked)
        if step.route not in asked and step.route not in resting:
            free = [r for r in routes if r not in resting and r not in asked]
            assert step.route == free[0], "the user's order was not kept"
        asked.append(step.route)
        if current is None:
            engine.close()
            break
        classification, seconds, is_cancelled = current
        second = race.second if race and seconds > race.after_s else None
        if second is not None:
            assert second.number == step.number + 1 <= settings.max_attempts
            assert second.route not in resting, "a resting route was asked as well"
            assert second.route not in asked
            asked.append(second.route)
        now += min(seconds, step.timeout_s)
        if is_cancelled:
            engine.close()
            assert not any(r.probe_until > now for r in health._cooldowns.values()), "a lost lease"
            break
        sent = (
            Success(ms=1.0, at=now)
            if classification is None
            else Failure(error=ProviderError(classification), ms=1.0, at=now)
        )
        if second is not None:
            behind = sent if isinstance(sent, Failure) else Cancelled(ms=1.0)
            sent = RaceResult(loser=(step, behind), decisive=(second, sent))
        current = next(script, None)
    assert now <= begun + settings.timeout_s + 1e-6
    after = ends(health, routes, now)
    answered = isinstance(sent.decisive[1] if isinstance(sent, RaceResult) else sent, Success)
    for resting_route, until in before.items():
        if until > now and not (answered and asked and resting_route == asked[-1]):
            assert after.get(resting_route, -math.inf) >= until, "a rest shrank"
    return now
