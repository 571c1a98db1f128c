"""The engine and hedging: when it yields a race, and what it makes of the result."""

from __future__ import annotations

from factories import failure, finish, http_error, plan, route
from inference_providers.failover.engine import failover
from inference_providers.failover.events import Attempt, Cancelled, Race, RaceResult, Success
from inference_providers.failover.state import FailoverState
from inference_providers.failures.classes import Classification, FailureClass, Scope
from inference_providers.settings import DEFAULT_SETTINGS, FailoverSettings

A, B, C = route("a"), route("b"), route("c")
PLAN = plan(A, B, C)
ANSWERED = Success(ms=1.0)
HEDGED = FailoverSettings(hedge_after=2.0)
CANCELLED = Cancelled(ms=3.0)
OVERLOADED = Classification(FailureClass.OVERLOADED, 503, Scope.MODEL)


def test_race_names_the_next_route_as_the_second() -> None:
    assert next(failover(PLAN, settings=HEDGED)) == Race(
        first=Attempt(number=1, route=A, timeout_s=300, remaining_s=600),
        second=Attempt(number=2, route=B, timeout_s=299, remaining_s=598),
        after_s=2.0,
    )


def test_race_loser_is_recorded_and_does_not_cool_down() -> None:
    state = FailoverState()
    engine = failover(PLAN, settings=HEDGED, state=state)
    race = next(engine)
    result = RaceResult(loser=(race.first, CANCELLED), decisive=(race.second, ANSWERED))
    records = finish(engine, result)
    assert [(r.route, r.outcome) for r in records] == [(A, CANCELLED), (B, ANSWERED)]
    assert str(records[0]) == "a/m: cancelled, another route was faster"
    assert state.active_cooldown(A, 0.0) is None


def test_race_loser_gives_its_probe_back() -> None:
    state = FailoverState(jitter=lambda: 0.5)
    state.record_failure(A, OVERLOADED, 0.0, DEFAULT_SETTINGS)
    engine = failover(plan(A, B), state=state, now=10.0, settings=HEDGED)
    race = next(engine)
    assert state.active_cooldown(A, 10.0), "the race does not hold the probe"
    finish(engine, RaceResult(loser=(race.first, CANCELLED), decisive=(race.second, ANSWERED)))
    assert state.active_cooldown(A, 10.0) is None


def test_race_whose_first_fails_early_moves_on() -> None:
    engine = failover(PLAN, settings=HEDGED)
    next(engine)
    race = engine.send(failure(http_error(503)))
    assert (race.first.route, race.second.route, race.first.number) == (B, C, 2)
    last = engine.send(failure(http_error(503)))
    assert last == Attempt(number=3, route=C, timeout_s=600, remaining_s=600), "none left to race"


def test_race_in_which_both_fail_counts_two_attempts() -> None:
    state = FailoverState()
    engine = failover(PLAN, settings=HEDGED, state=state)
    race = next(engine)
    lost = failure(http_error(503), at=3.0)
    after = engine.send(RaceResult(loser=(race.first, lost), decisive=(race.second, lost)))
    assert (after.number, after.route) == (3, C)
    assert state.active_cooldown(A, 3.0)
    assert state.active_cooldown(B, 3.0)


def test_race_needs_a_second_attempt() -> None:
    engine = failover(PLAN, settings=FailoverSettings(hedge_after=2.0, max_attempts=2))
    assert isinstance(next(engine), Race)
    assert isinstance(engine.send(failure(http_error(503))), Attempt)


def test_race_needs_a_second_route() -> None:
    assert isinstance(next(failover(plan(A), settings=HEDGED)), Attempt)


def test_race_needs_time_for_the_second() -> None:
    short = FailoverSettings(hedge_after=2.0, timeout_s=3.0)
    assert isinstance(next(failover(PLAN, settings=short)), Attempt)


def test_race_that_is_cancelled_gives_both_probes_back() -> None:
    state = FailoverState(jitter=lambda: 0.5)
    for overloaded in (A, B):
        state.record_failure(overloaded, OVERLOADED, 0.0, DEFAULT_SETTINGS)
    engine = failover(plan(A, B), settings=HEDGED, state=state, now=10.0)
    assert isinstance(next(engine), Race)
    assert state.active_cooldown(A, 10.0)
    assert state.active_cooldown(B, 10.0), "its probe is not under way"
    engine.close()
    assert state.active_cooldown(A, 10.0) is None
    assert state.active_cooldown(B, 10.0) is None


def test_race_without_need_of_the_second_gives_its_probe_back() -> None:
    state = FailoverState(jitter=lambda: 0.5)
    state.record_failure(B, OVERLOADED, 0.0, DEFAULT_SETTINGS)
    engine = failover(plan(A, B), settings=HEDGED, state=state, now=10.0)
    next(engine)
    finish(engine, ANSWERED)
    assert state.active_cooldown(B, 10.0) is None


def test_race_by_percentile_starts_with_enough_samples() -> None:
    state = FailoverState()
    settings = FailoverSettings(hedge_after="p95")
    assert isinstance(next(failover(PLAN, settings=settings, state=state)), Attempt)
    for ms in range(100, 2100, 100):
        state.record_success(A, ms)
    assert next(failover(PLAN, settings=settings, state=state)).after_s == 2.0
