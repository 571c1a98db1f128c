"""The trace: who answered, which routes were tried before, and what it cost."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import pytest

import factories
from factories import failure, route
from inference_providers.failover.events import AttemptRecord, Cancelled, Flaw, Success
from inference_providers.failover.state import FailoverState
from inference_providers.failover.trace import build_trace, cost_usd, record_answer
from inference_providers.types import Cost, RateLimits, Skipped

if TYPE_CHECKING:
    from inference_providers.types import Plan, Route

KEYS = {
    "model", "provider", "model_id", "degraded", "attempts", "skipped", "ttft_ms", "cost_usd",
}  # fmt: skip


def answered(on: Route, **fields: Any) -> AttemptRecord:
    return AttemptRecord(route=on, outcome=Success(ms=20.5, **fields))


def rate_limited(on: Route) -> AttemptRecord:
    outcome = failure(ValueError("sk-canary"), ms=10.0)
    return AttemptRecord(route=on, outcome=outcome, failure_class="rate_limited", status=429)


def plan(*models: str) -> Plan:
    skipped = (Skipped(provider="z", model="m", reason="set Z_KEY"),)
    return factories.plan(route("a"), route("b"), models=models, skipped=skipped)


def test_trace_has_exactly_the_documented_keys_and_values() -> None:
    trace = build_trace(plan("m"), [rate_limited(route("a")), answered(route("b"))])
    assert set(trace) == KEYS
    assert trace == {
        "model": "m",
        "provider": "b",
        "model_id": "b-m",
        "degraded": False,
        "attempts": [
            {"provider": "a", "model": "m", "model_id": "a-m", "outcome": "failure",
             "class": "rate_limited", "status": 429, "ms": 10.0},
            {"provider": "b", "model": "m", "model_id": "b-m", "outcome": "success",
             "class": None, "status": None, "ms": 20.5},
        ],
        "skipped": [{"provider": "z", "model": "m", "reason": "set Z_KEY"}],
        "ttft_ms": None,
        "cost_usd": None,
    }  # fmt: skip


def test_trace_is_json_without_error_texts_or_keys() -> None:
    trace = build_trace(plan("m"), [rate_limited(route("a")), answered(route("b"))], (1, 2))
    assert json.loads(json.dumps(trace)) == trace
    assert "sk-canary" not in json.dumps(trace)


@pytest.mark.parametrize(
    ("models", "served", "degraded"),
    [(("m", "n"), "m", False), (("m", "n"), "n", True), ((), "n", False), (("n",), "n", False)],
)
def test_trace_is_degraded_if_a_later_model_answered(
    models: tuple[str, ...],
    served: str,
    degraded: bool,
) -> None:
    trace = build_trace(plan(*models), [answered(route("a", model=served))])
    assert trace["degraded"] is degraded


def test_trace_ttft_ms_is_that_of_the_answer() -> None:
    records = [rate_limited(route("a")), answered(route("b"), first_output_ms=7.25)]
    assert build_trace(plan("m"), records)["ttft_ms"] == 7.25


def test_trace_cost_is_that_of_the_route_that_answered() -> None:
    expensive, cheap = Cost(input=10, output=40), Cost(input=0.5, output=2)
    records = [
        rate_limited(route("a", model_info={"cost": expensive})),
        answered(route("b", model_info={"cost": cheap})),
    ]
    trace = build_trace(plan("m"), records, (1_000_000, 500_000))
    assert trace["cost_usd"] == pytest.approx(1.5)


@pytest.mark.parametrize(
    ("cost", "tokens", "usd"),
    [
        (Cost(input=1, output=2), (1000, 100), 0.0012),
        (Cost(input=0, output=0), (1000, 100), 0.0),
        (Cost(input=1, output=2), (0, 0), 0.0),
        (Cost(input=1, output=2), None, None),
        (None, (1000, 100), None),
    ],
)
def test_cost_usd_is_none_if_price_or_tokens_are_unknown(
    cost: Cost | None, tokens: tuple[int, int] | None, usd: float | None
) -> None:
    assert cost_usd(cost, tokens) == (usd if usd is None else pytest.approx(usd))


def test_trace_attempt_lists_the_parameters_it_left_out() -> None:
    retried = AttemptRecord(route=route("a"), outcome=Success(ms=1.0), without=("seed",))
    first, second = build_trace(plan("m"), [rate_limited(route("a")), retried])["attempts"]
    assert "without" not in first
    assert second["without"] == ["seed"]


def test_trace_attempt_that_lost_a_race_is_cancelled() -> None:
    slow = AttemptRecord(route=route("a"), outcome=Cancelled(ms=7.5))
    first, _ = build_trace(plan("m"), [slow, answered(route("b"))])["attempts"]
    assert (first["outcome"], first["class"], first["status"], first["ms"]) == (
        "cancelled", None, None, 7.5,
    )  # fmt: skip


def test_trace_of_a_flawed_answer_is_that_of_the_kept_attempt() -> None:
    kept = answered(route("a"), flaw=Flaw.EMPTY_ANSWER)
    trace = build_trace(plan("m"), [kept, rate_limited(route("b"))])
    assert trace["provider"] == "a"
    first, second = trace["attempts"]
    assert (first["outcome"], first["flaw"], first["class"]) == ("flawed", "empty_answer", None)
    assert (second["outcome"], "flaw" in second) == ("failure", False)


def test_record_answer_counts_the_tokens_of_the_kept_attempt() -> None:
    limited = route("a", limits=RateLimits(tpm=1000))
    state = FailoverState()
    attempts = [answered(limited, flaw=Flaw.EMPTY_ANSWER), rate_limited(route("b"))]
    record_answer(plan("m"), attempts, (900, 200), state)
    assert not state.claim(limited, time.monotonic(), 30.0, 1)
