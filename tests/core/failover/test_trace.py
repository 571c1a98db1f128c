"""The trace says who answered, who was asked before, and what it cost."""

from __future__ import annotations

import json

import pytest

import factories
from factories import route
from inference_providers.failover.events import AttemptRecord, Cancelled, Failure, Success
from inference_providers.failover.trace import build_trace, cost_usd
from inference_providers.types import Cost, Plan, Route, Skipped

KEYS = {
    "model", "provider", "model_id", "degraded", "attempts", "skipped", "ttft_ms", "cost_usd",
}  # fmt: skip


def answered(where: Route, **fields) -> AttemptRecord:
    return AttemptRecord(route=where, outcome=Success(ms=20.5, **fields))


def refused(where: Route) -> AttemptRecord:
    failure = Failure(error=ValueError("sk-canary"), ms=10.0)
    return AttemptRecord(route=where, outcome=failure, failure_class="rate_limited", status=429)


def plan(*models: str) -> Plan:
    skipped = (Skipped(provider="z", model="m", reason="set Z_KEY"),)
    return factories.plan(route("a"), route("b"), models=models, skipped=skipped)


def test_the_trace_has_exactly_the_documented_keys_and_values() -> None:
    made = build_trace(plan("m"), [refused(route("a")), answered(route("b"))])
    assert set(made) == KEYS
    assert made == {
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


def test_the_trace_is_json_and_holds_nothing_of_errors_or_keys() -> None:
    made = build_trace(plan("m"), [refused(route("a")), answered(route("b"))], (1, 2))
    assert json.loads(json.dumps(made)) == made
    assert "sk-canary" not in json.dumps(made)


@pytest.mark.parametrize(
    ("asked", "served", "degraded"),
    [(("m", "n"), "m", False), (("m", "n"), "n", True), ((), "n", False), (("n",), "n", False)],
)
def test_another_model_than_the_first_named_is_a_degraded_answer(
    asked: tuple[str, ...],
    served: str,
    degraded: bool,
) -> None:
    assert build_trace(plan(*asked), [answered(route("a", model=served))])["degraded"] is degraded


def test_the_time_to_the_first_output_is_the_answering_streams() -> None:
    made = build_trace(plan("m"), [refused(route("a")), answered(route("b"), first_output_ms=7.25)])
    assert made["ttft_ms"] == 7.25


def test_the_cost_is_that_of_the_route_that_answered() -> None:
    dear, cheap = Cost(input=10, output=40), Cost(input=0.5, output=2)
    made = build_trace(
        plan("m"),
        [
            refused(route("a", model_info={"cost": dear})),
            answered(route("b", model_info={"cost": cheap})),
        ],
        (1_000_000, 500_000),
    )
    assert made["cost_usd"] == pytest.approx(1.5)


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
def test_no_price_is_better_than_a_wrong_one(
    cost: Cost | None, tokens: tuple[int, int] | None, usd: float | None
) -> None:
    assert cost_usd(cost, tokens) == (usd if usd is None else pytest.approx(usd))


def test_an_attempt_names_the_parameters_it_left_out() -> None:
    mended = AttemptRecord(route=route("a"), outcome=Success(ms=1.0), without=("seed",))
    refused_it = refused(route("a"))
    first, second = build_trace(plan("m"), [refused_it, mended])["attempts"]
    assert "without" not in first
    assert second["without"] == ["seed"]


def test_an_attempt_that_was_too_slow_is_cancelled() -> None:
    slow = AttemptRecord(route=route("a"), outcome=Cancelled(ms=7.5))
    first, _ = build_trace(plan("m"), [slow, answered(route("b"))])["attempts"]
    assert (first["outcome"], first["class"], first["status"], first["ms"]) == (
        "cancelled", None, None, 7.5,
    )  # fmt: skip
