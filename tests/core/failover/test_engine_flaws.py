"""The engine and flawed answers: another route may do better, and the best answer is kept."""

from __future__ import annotations

from itertools import chain, repeat
from typing import TYPE_CHECKING, Any

import hypothesis.strategies as st
import pytest
from hypothesis import given

from factories import failure, finish, http_error, plan, route
from inference_providers.errors import ContentFilteredError, StreamInterrupted
from inference_providers.failover.engine import failover
from inference_providers.failover.events import (
    Attempt,
    AttemptRecord,
    Cancelled,
    Failure,
    Flaw,
    Race,
    RaceResult,
    Success,
    Wait,
    Waited,
    answering_record,
)
from inference_providers.failover.state import FailoverState
from inference_providers.failures.classes import Classification, FailureClass, Scope
from inference_providers.settings import DEFAULT_SETTINGS, FailoverSettings

if TYPE_CHECKING:
    from inference_providers.failover.engine import Engine
    from inference_providers.types import Plan

A, B, C = route("a"), route("b"), route("c")
PLAN = plan(A, B, C)
ANSWERED = Success(ms=1.0)
EMPTY = Success(ms=1.0, flaw=Flaw.EMPTY_ANSWER)
MALFORMED = Success(ms=1.0, flaw=Flaw.MALFORMED_TOOL_CALL)
OVERLOADED = Classification(FailureClass.OVERLOADED, 503, Scope.MODEL)


def start(on: Plan, **arguments: Any) -> Engine:
    """Return an engine that has yielded its first attempt."""
    engine = failover(on, **arguments)
    assert isinstance(next(engine), Attempt)
    return engine


def answered_by(records: tuple[AttemptRecord, ...]) -> str:
    return answering_record(records).route.provider


def test_flawed_answer_moves_on_and_a_good_one_ends_the_call() -> None:
    engine = failover(PLAN)
    next(engine)
    assert engine.send(EMPTY).route == B
    records = finish(engine, ANSWERED)
    assert answered_by(records) == "b"
    assert list(map(str, records)) == ["a/m: answered (empty_answer)", "b/m: answered"]


def test_flawed_answer_is_handed_out_if_no_route_is_free() -> None:
    assert answered_by(finish(start(plan(A)), EMPTY)) == "a"


@pytest.mark.parametrize(
    "last",
    [
        EMPTY,
        failure(http_error(503)),
        failure(http_error(429, retry_after="1")),
        failure(http_error(400)),
        failure(TypeError("a bug")),
        failure(ContentFilteredError("filtered")),
    ],
    ids=repr,
)
def test_flawed_answer_is_kept_if_the_last_route_is_not_better(last: Success | Failure) -> None:
    engine = start(plan(A, B))
    engine.send(EMPTY)
    assert answered_by(finish(engine, last)) == "a"


def test_flawed_answer_is_kept_over_several_failures() -> None:
    engine = start(PLAN)
    engine.send(failure(http_error(503)))
    engine.send(EMPTY)
    records = finish(engine, failure(http_error(503)))
    assert answered_by(records) == "b"
    assert len(records) == 3


def test_flawed_answer_that_is_not_empty_is_preferred() -> None:
    engine = start(PLAN)
    engine.send(EMPTY)
    engine.send(MALFORMED)
    assert answered_by(finish(engine, EMPTY)) == "b"


def test_flawed_answer_that_is_replaced_changes_no_cooldown() -> None:
    state = FailoverState(jitter=lambda: 0.5)
    state.record_failure(A, OVERLOADED, 0.0, DEFAULT_SETTINGS)
    engine = failover(plan(A, B), state=state, now=10.0)
    assert next(engine).route == A
    assert engine.send(EMPTY).route == B
    assert state.active_cooldown(A, 10.0) is None, "the probe was not given back"
    finish(engine, ANSWERED)
    state.record_failure(A, OVERLOADED, 10.0, DEFAULT_SETTINGS)
    cooldown = state.active_cooldown(A, 10.0)
    assert cooldown is not None
    assert cooldown.failure_count == 2


def test_flawed_answer_that_is_handed_out_clears_the_cooldown() -> None:
    state = FailoverState(jitter=lambda: 0.5)
    state.record_failure(A, OVERLOADED, 0.0, DEFAULT_SETTINGS)
    finish(start(plan(A), state=state, now=10.0), EMPTY)
    state.record_failure(A, OVERLOADED, 10.0, DEFAULT_SETTINGS)
    cooldown = state.active_cooldown(A, 10.0)
    assert cooldown is not None
    assert cooldown.failure_count == 1


def test_flawed_answer_does_not_make_a_conversation_stick() -> None:
    state = FailoverState()
    finish(start(plan(A, conversation="c"), state=state), EMPTY)
    assert state.preferred_route("c") is None


def test_flawed_answer_asks_no_route_in_a_cooldown() -> None:
    state = FailoverState(jitter=lambda: 0.5)
    state.record_failure(B, OVERLOADED, 0.0, DEFAULT_SETTINGS)
    engine = start(plan(A, cooling_down=(B,)), state=state, now=0.5)
    assert answered_by(finish(engine, EMPTY)) == "a"


def test_flawed_answer_does_not_wait_for_a_route() -> None:
    engine = start(plan(A, B))
    engine.send(EMPTY)
    records = finish(engine, failure(http_error(429, retry_after="1")))
    assert answered_by(records) == "a"


def test_flawed_answer_counts_as_an_attempt_within_the_deadline() -> None:
    assert finish(start(PLAN, settings=FailoverSettings(max_attempts=1)), EMPTY)
    engine = start(PLAN, settings=FailoverSettings(timeout_s=5.0))
    assert finish(engine, Success(ms=1.0, at=5.0, flaw=Flaw.EMPTY_ANSWER))


def test_flawed_stream_whose_output_was_passed_on_ends_the_call() -> None:
    passed_on = Success(ms=2.0, first_output_ms=1.0, flaw=Flaw.MALFORMED_TOOL_CALL)
    (record,) = finish(start(PLAN), passed_on)
    assert record.outcome == passed_on


def test_stream_that_breaks_after_a_flawed_answer_is_interrupted() -> None:
    engine = start(PLAN)
    engine.send(EMPTY)
    with pytest.raises(StreamInterrupted):
        engine.send(failure(ConnectionError("cut"), began=True))


def test_flawed_loser_of_a_race_is_kept() -> None:
    engine = failover(plan(A, B), settings=FailoverSettings(hedge_after=2.0))
    race = next(engine)
    assert isinstance(race, Race)
    broken = failure(http_error(503))
    records = finish(engine, RaceResult(loser=(race.first, EMPTY), decisive=(race.second, broken)))
    assert answered_by(records) == "a"


def test_flawed_answers_of_a_race_move_on_to_the_third_route() -> None:
    engine = failover(PLAN, settings=FailoverSettings(hedge_after=2.0))
    race = next(engine)
    assert isinstance(race, Race)
    step = engine.send(RaceResult(loser=(race.first, EMPTY), decisive=(race.second, EMPTY)))
    assert (step.number, step.route) == (3, C)
    assert answered_by(finish(engine, failure(http_error(503)))) == "a"


OUTCOMES = [
    ANSWERED,
    EMPTY,
    MALFORMED,
    *map(failure, map(http_error, (400, 401, 402, 404, 413, 429, 503))),
    failure(http_error(400, {"error": {"code": "context_length_exceeded"}})),
    failure(ContentFilteredError("filtered")),
    failure(TypeError("a bug")),
]


@given(
    count=st.integers(1, 6),
    hedged=st.booleans(),
    outcomes=st.lists(st.tuples(st.sampled_from(OUTCOMES), st.booleans()), max_size=8),
)
def test_call_with_a_usable_answer_never_raises(
    count: int, hedged: bool, outcomes: list[tuple[Success | Failure, bool]]
) -> None:
    settings = FailoverSettings(hedge_after=2.0 if hedged else None)
    engine = failover(plan(*(route(f"p{n}") for n in range(count))), settings=settings)
    script = chain(outcomes, repeat((failure(http_error(503)), False)))
    step, has_answer = next(engine), False
    while True:
        if isinstance(step, Wait):
            assert not has_answer, "waited although there is an answer"
            step = engine.send(Waited(at=step.seconds))
            continue
        outcome, starts_both = next(script)
        report: Any = outcome
        has_answer = has_answer or isinstance(outcome, Success)
        if isinstance(step, Race) and starts_both:
            lost, _ = next(script)
            loser = Cancelled(ms=1.0) if lost == ANSWERED else lost
            has_answer = has_answer or isinstance(loser, Success)
            report = RaceResult(loser=(step.first, loser), decisive=(step.second, outcome))
        try:
            step = engine.send(report)
        except StopIteration as done:
            assert has_answer
            chosen = answering_record(done.value).outcome
            assert isinstance(chosen, Success)
            answers = [r.outcome for r in done.value if isinstance(r.outcome, Success)]
            assert min(answers, key=[ANSWERED, MALFORMED, EMPTY].index) == chosen
            return
        except Exception:  # noqa: BLE001 - whatever it raises
            assert not has_answer, "an answer was thrown away"
            return
