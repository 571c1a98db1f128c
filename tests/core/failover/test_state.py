"""FailoverState: cooldowns only grow, a burst counts once, one call probes."""

from __future__ import annotations

import math
import os
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from factories import route
from inference_providers import health, reset_health
from inference_providers.failover.cooldowns import cooldown_keys
from inference_providers.failover.state import PROCESS_STATE, FailoverState
from inference_providers.failures.classes import Classification, FailureClass, Scope
from inference_providers.settings import DEFAULT_SETTINGS, FailoverSettings

A = route("a")
OTHER_MODEL = structs.replace(A, model_id="a-n")
OTHER_KEY = structs.replace(A, key_fingerprint="k2")
OTHER_HOST = structs.replace(
    A, endpoint=structs.replace(A.endpoint, base_url="https://b.test/v1"), provider="b"
)
SAME_HOST = structs.replace(A, provider="b")
ROUTES = {
    "A": A,
    "OTHER_MODEL": OTHER_MODEL,
    "OTHER_KEY": OTHER_KEY,
    "OTHER_HOST": OTHER_HOST,
    "SAME_HOST": SAME_HOST,
}
OVERLOADED = Classification(FailureClass.OVERLOADED, 503, Scope.MODEL)
RATE_LIMITED = Classification(FailureClass.RATE_LIMITED, 429, Scope.ROUTE)
QUOTA_EXCEEDED = Classification(FailureClass.QUOTA_EXCEEDED, 402, Scope.KEY)


def state_without_jitter() -> FailoverState:
    return FailoverState(jitter=lambda: 0.5)


def cooldown_s(state: FailoverState, classification: Classification, now: float = 0.0) -> float:
    """Record one failure of A; return how long A then cools down."""
    state.record_failure(A, classification, now, DEFAULT_SETTINGS)
    cooldown = state.active_cooldown(A, now)
    assert cooldown
    return cooldown.until - now


# Cooldowns


@pytest.mark.parametrize(
    ("scope", "cooling_down"),
    [
        (Scope.ROUTE, {"A"}),
        (Scope.KEY, {"A", "OTHER_MODEL"}),
        (Scope.MODEL, {"A", "OTHER_KEY"}),
        (Scope.HOST, {"A", "OTHER_MODEL", "OTHER_KEY", "SAME_HOST"}),
        (Scope.NONE, set()),
    ],
)
def test_active_cooldown_covers_the_scope_of_the_failure(
    scope: Scope, cooling_down: set[str]
) -> None:
    state = state_without_jitter()
    state.record_failure(A, OVERLOADED._replace(scope=scope), 0.0, DEFAULT_SETTINGS)
    active = {name for name, route in ROUTES.items() if state.active_cooldown(route, 0.1)}
    assert active == cooling_down
    keys = state.active_cooldowns(0.1).keys()
    held_back = {n for n, route in ROUTES.items() if keys & set(cooldown_keys(route).values())}
    assert held_back == cooling_down


@pytest.mark.parametrize(
    ("classification", "lengths_s"),
    [
        (OVERLOADED, [1, 2, 4, 8, 16, 32, 60, 60]),
        (OVERLOADED._replace(failure_class=FailureClass.INVALID_RESPONSE), [1, 2, 4]),
        (OVERLOADED._replace(retry_after_s=9.0), [9, 9, 9, 9, 16]),
        (RATE_LIMITED, [10, 20, 40, 80, 120, 120]),
        (RATE_LIMITED._replace(retry_after_s=33.0), [33, 33]),
        (RATE_LIMITED._replace(retry_after_s=0.01), [1, 1]),
        (RATE_LIMITED._replace(retry_after_s=9999.0), [3600]),
        (QUOTA_EXCEEDED, [3600, 7200, 14400, 28800, 57600, 86400, 86400]),
        (QUOTA_EXCEEDED._replace(retry_after_s=50_000.0), [50_000]),
        (Classification(FailureClass.MODEL_NOT_FOUND, 404, Scope.ROUTE), [3600, 3600]),
        (Classification(FailureClass.AUTH_FAILED, 401, Scope.KEY), [math.inf]),
    ],
    ids=lambda value: str(value)[:40],
)
def test_record_failure_sets_the_length_by_failure_class(
    classification: Classification, lengths_s: list[float]
) -> None:
    state, now = state_without_jitter(), 0.0
    for expected_s in lengths_s:
        assert cooldown_s(state, classification, now) == pytest.approx(expected_s)
        now += expected_s + 0.001


@pytest.mark.parametrize(("jitter", "expected_s"), [(0.0, 0.8), (1.0, 1.2)])
def test_record_failure_varies_a_guessed_length(jitter: float, expected_s: float) -> None:
    state = FailoverState(jitter=lambda: jitter)
    assert cooldown_s(state, OVERLOADED) == pytest.approx(expected_s)


def test_record_failure_counts_a_burst_once() -> None:
    state = state_without_jitter()
    for n in range(50):
        state.record_failure(A, OVERLOADED, n / 1000, DEFAULT_SETTINGS)
    cooldown = state.active_cooldown(A, 0.1)
    assert cooldown is not None
    assert (cooldown.until, cooldown.failure_count) == (1.0, 1)


def test_record_failure_never_shortens_a_cooldown() -> None:
    state = state_without_jitter()
    for now, retry_after_s in ((0.0, 100.0), (1.0, 5.0)):
        limited = RATE_LIMITED._replace(retry_after_s=retry_after_s)
        state.record_failure(A, limited, now, DEFAULT_SETTINGS)
    assert state.active_cooldown(A, 99.0) is not None
    limited = RATE_LIMITED._replace(retry_after_s=300.0)
    state.record_failure(A, limited, 2.0, DEFAULT_SETTINGS)
    assert state.active_cooldown(A, 301.0) is not None


def test_record_failure_without_cooldown_starts_none() -> None:
    state = state_without_jitter()
    state.record_failure(A, OVERLOADED, 0.0, FailoverSettings(cooldown=False))
    assert state.active_cooldown(A, 0.1) is None


def test_active_cooldown_returns_the_longest() -> None:
    state = state_without_jitter()
    state.record_failure(A, OVERLOADED, 0.0, DEFAULT_SETTINGS)
    state.record_failure(A, RATE_LIMITED, 0.0, DEFAULT_SETTINGS)
    cooldown = state.active_cooldown(A, 0.1)
    assert cooldown is not None
    assert (cooldown.until, cooldown.classification) == (10.0, RATE_LIMITED)


def test_active_cooldown_is_none_at_the_moment_it_ends() -> None:
    state = state_without_jitter()
    state.record_failure(A, OVERLOADED, 0.0, DEFAULT_SETTINGS)
    assert state.active_cooldown(A, 1.0) is None
    assert state.report(1.0).rows == ()
    assert len(state.report(0.9).rows) == 1


# Claims and probes


def test_claim_grants_one_probe_per_cooldown() -> None:
    state = state_without_jitter()
    state.record_failure(A, OVERLOADED, 0.0, DEFAULT_SETTINGS)
    assert not state.claim(A, 0.5, 30.0)
    assert state.claim(A, 1.5, 30.0)
    assert not state.claim(A, 2.0, 30.0)
    assert state.active_cooldown(A, 2.0) is not None
    assert state.claim(A, 31.6, 30.0), "the first probe's time is over"


def test_release_lets_the_next_call_probe() -> None:
    state = state_without_jitter()
    state.record_failure(A, OVERLOADED, 0.0, DEFAULT_SETTINGS)
    assert state.claim(A, 1.5, 30.0)
    state.release(A)
    assert state.claim(A, 1.6, 30.0)


def test_early_probe_keeps_others_away_past_the_end() -> None:
    state = state_without_jitter()
    state.record_failure(A, OVERLOADED, 0.0, DEFAULT_SETTINGS)
    state.probe(A, 0.5, 30.0)
    assert not state.claim(A, 1.5, 30.0)


def test_record_failure_ends_the_probe() -> None:
    state = state_without_jitter()
    state.record_failure(A, OVERLOADED, 0.0, DEFAULT_SETTINGS)
    state.probe(A, 0.5, 30.0)
    state.record_failure(A, OVERLOADED._replace(scope=Scope.HOST), 2.0, DEFAULT_SETTINGS)
    assert state.active_cooldown(A, 3.0) is None


# Successes


def test_record_success_clears_every_scope_and_the_count() -> None:
    state = state_without_jitter()
    for scope in (Scope.ROUTE, Scope.KEY, Scope.MODEL, Scope.HOST):
        state.record_failure(A, OVERLOADED._replace(scope=scope), 0.0, DEFAULT_SETTINGS)
    state.record_success(A)
    assert state.active_cooldown(A, 0.1) is None
    assert cooldown_s(state, OVERLOADED, 0.2) == pytest.approx(1.0), "the failure count was kept"


def test_latency_ms_is_a_moving_average() -> None:
    state = state_without_jitter()
    assert state.latency_ms(A) is None
    state.record_success(A, 100.0)
    assert state.latency_ms(A) == pytest.approx(100.0)
    state.record_success(A, 200.0)
    assert state.latency_ms(A) == pytest.approx(120.0)
    assert state.latency_ms(OTHER_MODEL) is None


# Rate limits


def test_mark_rate_limited_never_shortens_a_cooldown() -> None:
    state = state_without_jitter()
    state.mark_rate_limited(A, 20.0)
    state.mark_rate_limited(A, 5.0)
    cooldown = state.active_cooldown(A, 10.0)
    assert cooldown is not None
    assert cooldown.until == 20.0
    assert cooldown.reason(10.0) == "at its rate limit for 10 s"
    assert cooldown.reason(30.0) == "at its rate limit for 0 s"


def test_mark_rate_limited_does_not_count_as_a_failure() -> None:
    state = state_without_jitter()
    state.mark_rate_limited(A, 20.0)
    cooldown = state.active_cooldown(A, 10.0)
    assert cooldown is not None
    assert (cooldown.failure_count, cooldown.is_rate_limit) == (0, True)
    state.record_success(A)
    assert state.active_cooldown(A, 10.0) is not None, "a success cleared the rate limit"
    assert cooldown_s(state, RATE_LIMITED, 21.0) == pytest.approx(10.0), "not the first failure"
    state.mark_rate_limited(A, 90.0)
    cooldown = state.active_cooldown(A, 32.0)
    assert cooldown is not None
    assert cooldown.failure_count == 1


# Retry budget


def test_past_rate_limit_lets_every_call_through() -> None:
    state = state_without_jitter()
    state.mark_rate_limited(A, 20.0)
    assert not state.claim(A, 19.9, 60.0)
    assert [state.claim(A, 20.0, 60.0) for _ in range(3)] == [True] * 3


def test_early_probe_of_a_rate_limit_ends_with_its_call() -> None:
    state = state_without_jitter()
    state.mark_rate_limited(A, 20.0)
    state.probe(A, 10.0, 60.0)
    state.record_success(A)
    assert not state.claim(A, 11.0, 60.0)
    assert state.claim(A, 20.0, 60.0)


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["failure", "success", "limit", "claim", "probe", "release", "wait"]),
        st.sampled_from(sorted(ROUTES)),
        st.sampled_from([0.0, 0.5, 1.0, 30.0]),
    )
)


@given(STEPS)
def test_active_cooldowns_is_never_outdated(steps: list[tuple[str, str, float]]) -> None:
    state, now = state_without_jitter(), 0.0
    for step, name, seconds in steps:
        route = ROUTES[name]
        match step:
            case "failure":
                state.record_failure(route, OVERLOADED, now, DEFAULT_SETTINGS)
            case "success":
                state.record_success(route)
            case "limit":
                state.mark_rate_limited(route, now + seconds)
            case "claim":
                state.claim(route, now, seconds)
            case "probe":
                state.probe(route, now, seconds)
            case "release":
                state.release(route)
            case _:
                now += seconds
        active = state.active_cooldowns(now)
        for other in ROUTES.values():
            held_back = not active.keys().isdisjoint(cooldown_keys(other).values())
            assert held_back == (state.active_cooldown(other, now) is not None)


def test_active_cooldowns_stays_the_same_object_until_a_change() -> None:
    state = state_without_jitter()
    state.record_failure(A, OVERLOADED, 0.0, DEFAULT_SETTINGS)
    first = state.active_cooldowns(0.1)
    state.record_success(OTHER_MODEL)
    assert state.active_cooldowns(0.9) is first
    state.record_failure(OTHER_MODEL, OVERLOADED, 0.9, DEFAULT_SETTINGS)
    assert state.active_cooldowns(0.9) is not first


def test_take_retry_tokens_refills_with_successes() -> None:
    state = state_without_jitter()
    assert state.take_retry_tokens(14.0, 20.0)
    assert not state.take_retry_tokens(14.0, 20.0)
    for _ in range(8):
        state.record_success(A)
    assert state.take_retry_tokens(14.0, 20.0)


def test_take_retry_tokens_never_exceeds_the_budget() -> None:
    state = state_without_jitter()
    state.record_success(A)
    state.record_success(A)
    assert not state.take_retry_tokens(21.0, 20.0)
    assert state.take_retry_tokens(19.5, 20.0)
    state.record_success(A)
    assert not state.take_retry_tokens(1.6, 20.0)
    assert state.take_retry_tokens(1.5, 20.0)


# Parameters


def test_reject_parameter_is_new_once_per_model() -> None:
    state = state_without_jitter()
    assert state.reject_parameter(A, "seed")
    assert not state.reject_parameter(A, "seed")
    assert state.rejected_parameters(OTHER_KEY) == ("seed",)
    assert state.rejected_parameters(OTHER_MODEL) == ()
    state.reset()
    assert state.rejected_parameters(A) == ()


# The process


def test_health_prints_the_cooldowns_of_the_process() -> None:
    limited = RATE_LIMITED._replace(retry_after_s=40.0)
    PROCESS_STATE.record_failure(A, limited, time.monotonic(), DEFAULT_SETTINGS)
    report = health()
    assert len(report.rows) == 1
    assert "rate_limited (HTTP 429)" in str(report)
    assert "a-m" in str(report)
    assert report._repr_html_().startswith("<pre")
    reset_health()
    assert health().rows == ()


def test_reset_forgets_everything() -> None:
    state = state_without_jitter()
    for _ in range(100):
        state.record_success(A, 100.0)
    state.remember_route("c", A)
    state.record_failure(A, OVERLOADED, 0.0, DEFAULT_SETTINGS)
    assert state.take_retry_tokens(20.0, 20.0)
    assert state.p95_latency_ms(A) == pytest.approx(100.0)
    state.reset()
    assert state.latency_ms(A) is None
    assert state.p95_latency_ms(A) is None
    assert state.preferred_route("c") is None
    assert state.active_cooldown(A, 0.1) is None
    assert state.take_retry_tokens(20.0, 20.0)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_process_state_lock_is_free_in_a_forked_child() -> None:
    with PROCESS_STATE._lock:
        child = os.fork()
        if child == 0:
            os._exit(0 if PROCESS_STATE._lock.acquire(blocking=False) else 1)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
