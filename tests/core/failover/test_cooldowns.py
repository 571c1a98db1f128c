"""Who rests until when: rests only grow, a burst counts once, one call probes."""

from __future__ import annotations

import math

import pytest
from msgspec import structs

from inference_providers import health, reset_health
from inference_providers.failover.cooldowns import PROCESS_STATE, FailoverState
from inference_providers.failures.classes import Classification, FailureClass, Scope
from inference_providers.settings import DEFAULT_SETTINGS, FailoverSettings
from inference_providers.types import Endpoint, Model, Route

ENDPOINT = Endpoint(protocol="openai-chat", base_url="https://a.test/v1")
A = Route(model="m", provider="a", model_id="a-m", endpoint=ENDPOINT, model_info=Model(id="a-m"))
OTHER_MODEL = structs.replace(A, model_id="a-n")
OTHER_KEY = structs.replace(A, key_fingerprint="k2")
OTHER_HOST = structs.replace(
    A, endpoint=structs.replace(ENDPOINT, base_url="https://b.test/v1"), provider="b"
)
SAME_HOST = structs.replace(A, provider="b")
OVERLOADED = Classification(FailureClass.OVERLOADED, 503, Scope.MODEL)
RATE_LIMITED = Classification(FailureClass.RATE_LIMITED, 429, Scope.ROUTE)
QUOTA_EXCEEDED = Classification(FailureClass.QUOTA_EXCEEDED, 402, Scope.KEY)


def steady() -> FailoverState:
    return FailoverState(jitter=lambda: 0.5)


def cooldown_s(state: FailoverState, classification: Classification, now: float = 0.0) -> float:
    state.failed(A, classification, now, DEFAULT_SETTINGS)
    rest = state.active_cooldown(A, now)
    assert rest
    return rest.until - now


@pytest.mark.parametrize(
    ("scope", "resting"),
    [
        (Scope.ROUTE, {"A"}),
        (Scope.KEY, {"A", "OTHER_MODEL"}),
        (Scope.MODEL, {"A", "OTHER_KEY"}),
        (Scope.HOST, {"A", "OTHER_MODEL", "OTHER_KEY", "SAME_HOST"}),
        (Scope.NONE, set()),
    ],
)
def test_a_rest_lies_on_what_failed(scope: Scope, resting: set[str]) -> None:
    state = steady()
    state.failed(A, OVERLOADED._replace(scope=scope), 0.0, DEFAULT_SETTINGS)
    routes = {
        "A": A, "OTHER_MODEL": OTHER_MODEL, "OTHER_KEY": OTHER_KEY, "OTHER_HOST": OTHER_HOST,
        "SAME_HOST": SAME_HOST,
    }  # fmt: skip
    assert {name for name, route in routes.items() if state.active_cooldown(route, 0.1)} == resting


@pytest.mark.parametrize(
    ("classification", "seconds"),
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
def test_each_class_rests_as_long_as_the_policy_says(
    classification: Classification, seconds: list
) -> None:
    state, now = steady(), 0.0
    for expected in seconds:
        assert cooldown_s(state, classification, now) == pytest.approx(expected)
        now += expected + 0.001


@pytest.mark.parametrize(("random", "expected"), [(0.0, 0.8), (1.0, 1.2)])
def test_a_rest_of_our_own_choosing_varies(random: float, expected: float) -> None:
    assert cooldown_s(FailoverState(jitter=lambda: random), OVERLOADED) == pytest.approx(expected)


def test_a_burst_counts_once() -> None:
    state = steady()
    for n in range(50):
        state.failed(A, OVERLOADED, n / 1000, DEFAULT_SETTINGS)
    rest = state.active_cooldown(A, 0.1)
    assert rest is not None
    assert (rest.until, rest.strikes) == (1.0, 1)


def test_a_rest_never_shrinks() -> None:
    state = steady()
    state.failed(A, RATE_LIMITED._replace(retry_after_s=100.0), 0.0, DEFAULT_SETTINGS)
    state.failed(A, RATE_LIMITED._replace(retry_after_s=5.0), 1.0, DEFAULT_SETTINGS)
    assert state.active_cooldown(A, 99.0) is not None
    state.failed(A, RATE_LIMITED._replace(retry_after_s=300.0), 2.0, DEFAULT_SETTINGS)
    assert state.active_cooldown(A, 301.0) is not None


def test_after_a_rest_one_call_has_the_probe_until_its_lease_ends() -> None:
    state = steady()
    state.failed(A, OVERLOADED, 0.0, DEFAULT_SETTINGS)
    assert not state.claim(A, 0.5, 30.0)
    assert state.claim(A, 1.5, 30.0)
    assert not state.claim(A, 2.0, 30.0)
    assert state.active_cooldown(A, 2.0) is not None
    assert state.claim(A, 31.6, 30.0)
    state.release(A)
    assert state.claim(A, 31.7, 30.0)


def test_an_answer_clears_all_marks() -> None:
    state = steady()
    for scope in (Scope.ROUTE, Scope.KEY, Scope.MODEL, Scope.HOST):
        state.failed(A, OVERLOADED._replace(scope=scope), 0.0, DEFAULT_SETTINGS)
    state.answered(A)
    assert state.active_cooldown(A, 0.1) is None
    assert cooldown_s(state, OVERLOADED, 0.2) == pytest.approx(1.0), "strikes were not forgotten"


def test_without_cooldown_nothing_rests() -> None:
    state = steady()
    state.failed(A, OVERLOADED, 0.0, FailoverSettings(cooldown=False))
    assert state.active_cooldown(A, 0.1) is None


def test_the_retry_budget_refills_with_answers() -> None:
    state = steady()
    assert state.spend(14.0, 20.0)
    assert not state.spend(14.0, 20.0)
    for _ in range(8):
        state.answered(A)
    assert state.spend(14.0, 20.0)


def test_a_refused_parameter_is_news_once() -> None:
    state = steady()
    assert state.refuses_parameter(A, "seed")
    assert not state.refuses_parameter(A, "seed")
    assert state.refused_parameters(OTHER_KEY) == ("seed",)
    assert state.refused_parameters(OTHER_MODEL) == ()
    state.reset()
    assert state.refused_parameters(A) == ()


def test_health_is_a_printable_value() -> None:
    import time

    PROCESS_STATE.failed(
        A, RATE_LIMITED._replace(retry_after_s=40.0), time.monotonic(), DEFAULT_SETTINGS
    )
    report = health()
    assert len(report.rows) == 1
    assert "rate_limited (HTTP 429)" in str(report)
    assert "a-m" in str(report)
    assert report._repr_html_().startswith("<pre")
    reset_health()
    assert health().rows == ()


def test_the_longest_of_several_rests_is_named() -> None:
    state = steady()
    state.failed(A, OVERLOADED, 0.0, DEFAULT_SETTINGS)
    state.failed(A, RATE_LIMITED, 0.0, DEFAULT_SETTINGS)
    rest = state.active_cooldown(A, 0.1)
    assert rest is not None
    assert (rest.until, rest.classification) == (10.0, RATE_LIMITED)


def test_a_rest_is_over_the_moment_it_ends() -> None:
    state = steady()
    state.failed(A, OVERLOADED, 0.0, DEFAULT_SETTINGS)
    assert state.active_cooldown(A, 1.0) is None
    assert state.report(1.0).rows == ()
    assert len(state.report(0.9).rows) == 1


def test_a_probe_before_the_end_keeps_others_away_after_it() -> None:
    state = steady()
    state.failed(A, OVERLOADED, 0.0, DEFAULT_SETTINGS)
    state.probe(A, 0.5, 30.0)
    assert not state.claim(A, 1.5, 30.0)
    state.failed(A, OVERLOADED._replace(scope=Scope.HOST), 2.0, DEFAULT_SETTINGS)
    assert state.active_cooldown(A, 3.0) is None, "a failure gives the probe back"


def test_a_rest_at_a_limit_neither_shrinks_nor_counts_as_a_failure() -> None:
    state = steady()
    state.exhausted(A, 20.0)
    state.exhausted(A, 5.0)
    rest = state.active_cooldown(A, 10.0)
    assert rest is not None
    assert (rest.until, rest.strikes, rest.is_limit) == (20.0, 0, True)
    assert rest.reason(10.0) == "at its limit for 10 s"
    assert rest.reason(30.0) == "at its limit for 0 s"
    state.answered(A)
    assert state.active_cooldown(A, 10.0) is not None, "the limit is not lifted by an answer"
    assert cooldown_s(state, RATE_LIMITED, 21.0) == pytest.approx(10.0), "the first strike"
    state.exhausted(A, 90.0)
    rest = state.active_cooldown(A, 32.0)
    assert rest is not None
    assert rest.strikes == 1


def test_a_budget_that_is_full_does_not_grow() -> None:
    state = steady()
    state.answered(A)
    state.answered(A)
    assert not state.spend(21.0, 20.0)
    assert state.spend(19.5, 20.0)
    state.answered(A)
    assert not state.spend(1.6, 20.0)
    assert state.spend(1.5, 20.0)


def test_latency_is_an_average_that_moves_to_the_newest() -> None:
    state = steady()
    assert state.latency_ms(A) is None
    state.answered(A, 100.0)
    assert state.latency_ms(A) == pytest.approx(100.0)
    state.answered(A, 200.0)
    assert state.latency_ms(A) == pytest.approx(120.0)
    assert state.latency_ms(OTHER_MODEL) is None


def test_reset_forgets_everything() -> None:
    state = steady()
    for _ in range(100):
        state.answered(A, 100.0)
    state.keep("c", A)
    state.failed(A, OVERLOADED, 0.0, DEFAULT_SETTINGS)
    assert state.spend(20.0, 20.0)
    assert state.p95_ms(A) == pytest.approx(100.0)
    state.reset()
    assert (state.latency_ms(A), state.p95_ms(A), state.kept("c")) == (None, None, None)
    assert state.active_cooldown(A, 0.1) is None
    assert state.spend(20.0, 20.0)
