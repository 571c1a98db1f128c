"""The engine and cooldowns: who is skipped, who is probed, and when it waits."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pytest
from msgspec import structs

from factories import failure, finish, http_error, plan, route
from inference_providers.errors import AllRoutesFailed
from inference_providers.failover.engine import Engine, failover
from inference_providers.failover.events import Attempt, Success, Wait, Waited
from inference_providers.failover.state import FailoverState
from inference_providers.failures.classes import Classification, FailureClass, Scope
from inference_providers.failures.classifier import classify
from inference_providers.settings import DEFAULT_SETTINGS, FailoverSettings

if TYPE_CHECKING:
    from inference_providers.types import Route

A, B, C = route("a"), route("b"), route("c")
PLAN = plan(A, B, C)
ANSWERED = Success(ms=1.0)
NOW = 1000.0
OVERLOADED = Classification(FailureClass.OVERLOADED, 503, Scope.MODEL)
NO_CREDIT = Classification(FailureClass.QUOTA_EXCEEDED, 402, Scope.KEY)
KEY_REFUSED = Classification(FailureClass.AUTH_FAILED, 401, Scope.KEY)
EARLY_PROBE_S = DEFAULT_SETTINGS.early_probe_s


def cooled_down(*failures: tuple[Route, Classification, float]) -> FailoverState:
    """Return a state in which these failures happened, at these times, without jitter."""
    state = FailoverState(jitter=lambda: 0.5)
    for failed, classification, at in failures:
        state.record_failure(failed, classification, at, DEFAULT_SETTINGS)
    return state


def rate_limited(a_until: float, b_until: float) -> FailoverState:
    state = FailoverState()
    state.mark_rate_limited(A, a_until)
    state.mark_rate_limited(B, b_until)
    return state


def only_route_tried(**settings: object) -> Engine:
    """Return an engine over one route, which is being tried."""
    engine = failover(plan(A), now=NOW, settings=structs.replace(DEFAULT_SETTINGS, **settings))
    assert next(engine).route is A
    return engine


# Skipping and probing


def test_engine_skips_a_route_that_failed_in_another_call() -> None:
    state = FailoverState()
    engine = failover(PLAN, state=state)
    next(engine)
    assert engine.send(failure(http_error(503))).route == B
    finish(engine, ANSWERED)
    assert next(failover(PLAN, state=state, now=0.5)).route == B


def test_engine_lets_one_call_probe_after_a_cooldown() -> None:
    state = cooled_down((A, OVERLOADED, 0.0))
    first, second = (failover(PLAN, state=state, now=2.0) for _ in range(2))
    assert next(first).route == A
    assert next(second).route == B
    finish(first, Success(ms=1.0, at=2.1))
    assert next(failover(PLAN, state=state, now=2.2)).route == A


def test_engine_gives_back_the_probe_of_a_cancelled_call() -> None:
    state = cooled_down((A, OVERLOADED, 0.0))
    engine = failover(plan(A), state=state, now=NOW)
    assert next(engine).route is A
    engine.close()
    assert state.claim(A, NOW, DEFAULT_SETTINGS.probe_timeout_s)


def test_engine_probes_the_soonest_when_all_are_overloaded() -> None:
    state = cooled_down((C, OVERLOADED, 0.0), (B, OVERLOADED, 0.1), (A, OVERLOADED, 0.2))
    assert next(failover(PLAN, state=state, now=0.5)).route == C


def test_engine_fails_at_once_when_no_cooldown_may_be_probed() -> None:
    limited = Classification(FailureClass.RATE_LIMITED, 429, Scope.ROUTE, retry_after_s=42.0)
    state = cooled_down((A, limited, 0.0), (B, KEY_REFUSED, 0.0), (C, KEY_REFUSED, 0.0))
    with pytest.raises(AllRoutesFailed, match="0 attempts: a/m: cooling down for 40 s") as caught:
        next(failover(PLAN, state=state, now=2.0))
    assert caught.value.retry_after == pytest.approx(40.0)
    assert "b/m: its key was refused (HTTP 401); set another" in str(caught.value)


def test_engine_does_not_probe_a_new_overload_at_once() -> None:
    state = cooled_down((A, KEY_REFUSED, NOW), (B, OVERLOADED, NOW))
    with pytest.raises(AllRoutesFailed, match="0 attempts"):
        next(failover(plan(A, B), state=state, now=NOW))


def test_engine_probes_an_older_overload_beside_a_refused_key() -> None:
    state = cooled_down((A, KEY_REFUSED, 0.0), *((B, OVERLOADED, at) for at in (0.0, 1.5, 4.0)))
    assert state.active_cooldown(B, 5.5)
    assert next(failover(plan(A, B), state=state, now=5.5)).route == B


@pytest.mark.parametrize("classification", [NO_CREDIT, KEY_REFUSED], ids=str)
def test_engine_probes_a_guessed_cooldown_early(classification: Classification) -> None:
    state = cooled_down((A, classification, 0.0))
    engine = failover(plan(A, B), state=state, now=EARLY_PROBE_S - 1)
    assert next(engine).route == B
    with pytest.raises(AllRoutesFailed, match="1 attempt"):
        engine.send(failure(http_error(402), at=EARLY_PROBE_S - 0.5))  # too early to probe A
    engine = failover(plan(A, B), state=state, now=EARLY_PROBE_S)
    assert next(engine).route == A
    (record,) = finish(engine, ANSWERED)
    assert record.route == A
    assert state.active_cooldown(A, EARLY_PROBE_S) is None


@pytest.mark.parametrize(
    ("classification", "until"), [(NO_CREDIT, 3600.0), (KEY_REFUSED, math.inf)], ids=str
)
def test_failed_early_probe_delays_the_next_one(
    classification: Classification, until: float
) -> None:
    state = cooled_down((A, classification, 0.0))
    engine = failover(plan(A), state=state, now=61.0)
    next(engine)
    with pytest.raises(AllRoutesFailed):
        engine.send(failure(http_error(classification.status), at=61.0))
    cooldown = state.active_cooldown(A, 61.0)
    assert cooldown is not None
    assert cooldown.until == until
    with pytest.raises(AllRoutesFailed, match="0 attempts"):
        next(failover(plan(A), state=state, now=60.5 + EARLY_PROBE_S))
    assert next(failover(plan(A), state=state, now=61.0 + EARLY_PROBE_S)).route == A


def test_engine_probes_used_up_credit_before_a_refused_key() -> None:
    state = cooled_down((A, KEY_REFUSED, 0.0), (B, NO_CREDIT, 0.0))
    assert next(failover(plan(A, B), state=state, now=61.0)).route == B


@pytest.mark.parametrize(("classification", "now"), [(NO_CREDIT, 61.0), (OVERLOADED, 0.1)])
def test_engine_grants_one_early_probe_at_a_time(
    classification: Classification, now: float
) -> None:
    state = cooled_down((A, classification, 0.0))
    first = failover(plan(A), state=state, now=now)
    assert next(first).route == A
    with pytest.raises(AllRoutesFailed, match="0 attempts"):
        next(failover(plan(A), state=state, now=now))
    first.close()
    assert next(failover(plan(A), state=state, now=now)).route == A


@pytest.mark.parametrize(
    "classification",
    [NO_CREDIT._replace(retry_after_s=7200.0), OVERLOADED._replace(
        failure_class=FailureClass.RATE_LIMITED, scope=Scope.ROUTE, retry_after_s=3600.0
    )],
    ids=str,
)  # fmt: skip
def test_engine_does_not_probe_a_requested_wait_early(classification: Classification) -> None:
    state = cooled_down((A, classification, 0.0))
    with pytest.raises(AllRoutesFailed, match="0 attempts"):
        next(failover(plan(A), state=state, now=3000.0))


def test_refused_key_leaves_other_keys_and_providers_alone() -> None:
    first_key = structs.replace(A, key_fingerprint="one")
    state = cooled_down((first_key, KEY_REFUSED, 0.0))
    assert state.active_cooldown(first_key, 1e9) is not None
    assert state.active_cooldown(structs.replace(A, key_fingerprint="two"), 0.0) is None
    assert state.active_cooldown(B, 0.0) is None


# Waiting for a rate limit


@pytest.mark.parametrize(("a", "b"), [(NOW + 9, NOW + 4), (NOW + 4, NOW + 9)])
def test_engine_waits_for_the_rate_limit_that_ends_first(a: float, b: float) -> None:
    engine = failover(plan(A, B), state=rate_limited(a, b), now=NOW)
    assert next(engine) == Wait(seconds=4.0)


@pytest.mark.parametrize(
    "settings", [FailoverSettings(timeout_s=4.0), FailoverSettings(max_wait_s=4.0)]
)
def test_engine_does_not_wait_too_long_for_a_rate_limit(settings: FailoverSettings) -> None:
    state = rate_limited(NOW + 4, NOW + 5)
    with pytest.raises(AllRoutesFailed):
        next(failover(plan(A, B), state=state, now=NOW, settings=settings))


# Retries of the only route


def test_engine_retries_the_only_route_once() -> None:
    engine = failover(plan(A), state=FailoverState(jitter=lambda: 0.5))
    next(engine)
    assert engine.send(failure(http_error(503), at=1.0)) == Wait(seconds=0.5)
    second = Attempt(number=2, route=A, timeout_s=598.5, remaining_s=598.5)
    assert engine.send(Waited(at=1.5)) == second
    with pytest.raises(AllRoutesFailed, match="2 attempts"):
        engine.send(failure(http_error(503), at=2.0))


@pytest.mark.parametrize(
    ("status", "retry_after_s", "wait_s"),
    [(429, 3.0, 3.0), (429, None, 10.0), (429, 61.0, None), (503, 7.0, 7.0), (401, None, None)],
)
def test_retry_wait_is_what_the_provider_asks_within_limits(
    monkeypatch: pytest.MonkeyPatch,
    status: int,
    retry_after_s: float | None,
    wait_s: float | None,
) -> None:
    classification = classify(http_error(status))._replace(retry_after_s=retry_after_s)
    monkeypatch.setattr("inference_providers.failover.engine.classify", lambda *_: classification)
    engine = failover(plan(A), state=FailoverState(jitter=lambda: 0.5))
    next(engine)
    if wait_s is None:
        with pytest.raises(AllRoutesFailed):
            engine.send(failure(http_error(status)))
    else:
        assert engine.send(failure(http_error(status))).seconds == pytest.approx(wait_s)


@pytest.mark.parametrize("cooldown", [True, False])
def test_retry_wait_is_the_same_without_cooldowns(cooldown: bool) -> None:
    limited = failure(http_error(429, retry_after="5"), at=NOW)
    assert only_route_tried(cooldown=cooldown).send(limited) == Wait(seconds=5.0)


def test_retry_wait_without_cooldowns_or_hint_is_guessed() -> None:
    wait = only_route_tried(cooldown=False).send(failure(http_error(429), at=NOW))
    assert wait == Wait(seconds=DEFAULT_SETTINGS.rate_limit_cooldown_s)


@pytest.mark.parametrize(("seconds", "waits"), [(4, True), (5, False)])
def test_retry_wait_ends_by_the_deadline(seconds: int, waits: bool) -> None:
    engine = only_route_tried(timeout_s=4.0)
    limited = failure(http_error(429, retry_after=str(seconds)), at=NOW)
    if waits:
        assert engine.send(limited) == Wait(seconds=seconds)
    else:
        with pytest.raises(AllRoutesFailed, match="1 attempt"):
            engine.send(limited)


def test_retry_budget_limits_retries_of_the_only_route() -> None:
    settings = FailoverSettings(retry_budget=20.0, retry_cost=14.0)
    state = FailoverState()
    for may_retry in (True, False):
        engine = failover(plan(A), state=state, settings=settings)
        next(engine)
        if may_retry:
            assert isinstance(engine.send(failure(http_error(503))), Wait)
            engine.close()
        else:
            with pytest.raises(AllRoutesFailed):
                engine.send(failure(http_error(503)))
