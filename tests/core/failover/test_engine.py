"""The policy, driven by hand: which route next, and when to stop."""

from __future__ import annotations

import json
import math
import ssl

import pytest
from msgspec import structs

from factories import HTTPError, http_error, plan, route
from inference_providers.errors import (
    AllRoutesFailed,
    InvalidResponseError,
    LocalServerError,
    NoRouteError,
    StreamInterrupted,
)
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
from inference_providers.failures.classifier import classify
from inference_providers.settings import DEFAULT_SETTINGS, FailoverSettings
from inference_providers.types import Route, Skipped

A, B, C = route("a", key_variable="A_KEY"), route("b"), route("c")
PLAN = plan(A, B, C)
ANSWERED = Success(ms=1.0)


def failed(error: Exception, **fields) -> Failure:
    return Failure(error=error, ms=1.0, **fields)


def ended(engine, outcome) -> tuple:
    """Send the outcome that ends the policy; return what was tried."""
    with pytest.raises(StopIteration) as done:
        engine.send(outcome)
    return done.value.value


def test_the_first_route_is_tried_first_and_an_answer_ends_it() -> None:
    engine = failover(PLAN)
    assert next(engine) == Attempt(number=1, route=A, timeout_s=300, remaining_s=600)
    tried = ended(engine, ANSWERED)
    assert [(t.route, t.outcome, t.failure_class) for t in tried] == [(A, ANSWERED, None)]
    assert str(tried[0]) == "a/m: answered"


@pytest.mark.parametrize(
    "error",
    [
        *map(http_error, [401, 402, 403, 404, 408, 409, 410, 412, 413, 425, 429, 498]),
        *map(http_error, [500, 502, 503, 504, 529, 200, 302]),
        ConnectionRefusedError("refused"),
        ConnectionResetError("reset"),
        TimeoutError("late"),
        ssl.SSLError("bad certificate"),
        InvalidResponseError("HTML"),
        LocalServerError("does not start"),
        json.JSONDecodeError("no", "<html>", 0),
    ],
    ids=repr,
)
def test_a_failure_another_route_may_not_have_moves_on(error: Exception) -> None:
    engine = failover(PLAN)
    next(engine)
    assert engine.send(failed(error)) == Attempt(number=2, route=B, timeout_s=300, remaining_s=600)
    tried = ended(engine, ANSWERED)
    assert [t.route for t in tried] == [A, B]
    assert tried[0].failure_class is not None
    assert tried[0].status == getattr(error, "status_code", None)


@pytest.mark.parametrize(
    "error",
    [
        http_error(400),
        http_error(422),
        http_error(400, message="context_length_exceeded"),
        TypeError("a bug"),
    ],
    ids=repr,
)
def test_a_wrong_request_raises_the_providers_own_exception(error: Exception) -> None:
    engine = failover(PLAN)
    next(engine)
    with pytest.raises(type(error)) as caught:
        engine.send(failed(error))
    assert caught.value is error
    assert caught.value.__notes__ == ["autoprovider: raised by a/m as 'a-m'"]
    with pytest.raises(StopIteration):
        next(engine)


def test_a_wrong_request_of_a_trial_is_the_routes_failure() -> None:
    engine = failover(PLAN, trial=True)
    next(engine)
    assert engine.send(failed(http_error(400))).route == B
    assert [t.failure_class for t in ended(engine, ANSWERED)] == ["bad_request", None]


def test_when_every_route_fails_each_attempt_is_listed() -> None:
    engine = failover(PLAN)
    errors = [
        http_error(401, message="who\n are you?"),
        http_error(503, message="x" * 999),
        ConnectionError("gone"),
    ]
    next(engine)
    engine.send(failed(errors[0]))
    engine.send(failed(errors[1]))
    with pytest.raises(AllRoutesFailed) as caught:
        engine.send(failed(errors[2]))
    message = str(caught.value)
    assert "a/m: auth_failed (HTTP 401), check A_KEY: who are you?" in message
    assert "b/m: overloaded (HTTP 503): xxx" in message
    assert "c/m: overloaded (ConnectionError): gone" in message
    assert "3 tried" in message
    assert "x" * 201 not in message
    assert "\n" not in message
    assert caught.value.__cause__ is errors[2]
    assert [t.route for t in caught.value.attempts] == [A, B, C]
    assert [t.outcome.error for t in caught.value.attempts] == errors


@pytest.mark.parametrize(
    ("outer", "inner", "told"),
    [
        ("Connection error.", "name not known", "Connection error. name not known"),
        ("bad key", "bad key", "bad key"),  # one library's exception in another's
        ("said: bad\n key", "bad key", "said: bad key"),
    ],
)
def test_what_an_exception_came_from_is_told_unless_it_says_the_same(
    outer: str, inner: str, told: str
) -> None:
    engine = failover(PLAN, settings=FailoverSettings(max_attempts=1))
    next(engine)
    error = http_error(503, message=outer)
    error.__cause__ = OSError(inner)
    with pytest.raises(AllRoutesFailed) as caught:
        engine.send(failed(error))
    assert str(caught.value).endswith(f"a/m: overloaded (HTTP 503): {told}")


def test_a_stream_that_broke_after_output_is_interrupted_with_what_came() -> None:
    engine = failover(PLAN)
    next(engine)
    error = ConnectionResetError("reset")
    with pytest.raises(StreamInterrupted, match="a/m: overloaded") as caught:
        engine.send(failed(error, began=True, partial="Once upon"))
    assert caught.value.partial == "Once upon"
    assert caught.value.route is A
    assert caught.value.__cause__ is error


def test_a_stream_that_broke_before_output_moves_on() -> None:
    engine = failover(PLAN)
    next(engine)
    assert engine.send(failed(ConnectionResetError("reset"))).route == B


@pytest.mark.parametrize("most", [1, 2])
def test_no_more_than_max_attempts_are_made(most: int) -> None:
    engine = failover(PLAN, settings=FailoverSettings(max_attempts=most))
    next(engine)
    for _ in range(most - 1):
        engine.send(failed(http_error(503)))
    with pytest.raises(AllRoutesFailed) as caught:
        engine.send(failed(http_error(503)))
    assert len(caught.value.attempts) == most


def test_a_plan_without_routes_raises_before_any_attempt() -> None:
    skipped = (Skipped(provider="a", model="m", reason="set A_KEY"),)
    with pytest.raises(NoRouteError, match="No usable route to 'm': a: set A_KEY"):
        next(failover(plan(skipped=skipped)))


def test_closing_the_policy_is_no_outcome() -> None:
    engine = failover(PLAN)
    next(engine)
    engine.close()
    with pytest.raises(StopIteration):
        engine.send(ANSWERED)


# Who rests, who waits, who is asked again


def wide(provider: str, context: int | None) -> Route:
    return route(provider, model_info={"context": context})


def test_a_route_that_failed_is_not_asked_by_the_next_call() -> None:
    health = FailoverState()
    engine = failover(PLAN, state=health)
    next(engine)
    assert engine.send(failed(http_error(503))).route == B
    ended(engine, ANSWERED)
    assert next(failover(PLAN, state=health, now=0.5)).route == B


def test_after_the_rest_one_call_probes_and_others_keep_away() -> None:
    health = FailoverState()
    health.record_failure(A, classify(http_error(503)), 0.0, DEFAULT_SETTINGS)
    first, second = (failover(PLAN, state=health, now=2.0) for _ in range(2))
    assert next(first).route == A
    assert next(second).route == B
    ended(first, Success(ms=1.0, at=2.1))
    assert next(failover(PLAN, state=health, now=2.2)).route == A


def test_a_cancelled_probe_lets_the_next_call_probe() -> None:
    health = FailoverState()
    health.record_failure(A, classify(http_error(503)), 0.0, DEFAULT_SETTINGS)
    engine = failover(PLAN, state=health, now=2.0)
    assert next(engine).route == A
    engine.close()
    assert next(failover(PLAN, state=health, now=2.1)).route == A


def test_when_all_are_overloaded_the_soonest_is_probed() -> None:
    health = FailoverState(jitter=lambda: 0.5)
    for n, overloaded in enumerate((C, B, A)):
        health.record_failure(overloaded, classify(http_error(503)), n / 10, DEFAULT_SETTINGS)
    assert next(failover(PLAN, state=health, now=0.5)).route == C


def test_when_all_rest_for_other_reasons_it_fails_fast_and_says_when() -> None:
    health = FailoverState()
    limited = Classification(FailureClass.RATE_LIMITED, 429, Scope.ROUTE, retry_after_s=42.0)
    refused = Classification(FailureClass.AUTH_FAILED, 401, Scope.KEY)
    for resting, classification in ((A, limited), (B, refused), (C, refused)):
        health.record_failure(resting, classification, 0.0, DEFAULT_SETTINGS)
    with pytest.raises(AllRoutesFailed, match="0 tried: a/m: cooling down for 40 s") as caught:
        next(failover(PLAN, state=health, now=2.0))
    assert caught.value.retry_after == pytest.approx(40.0)
    assert "b/m: its key was refused (HTTP 401); set another" in str(caught.value)


NO_CREDIT = Classification(FailureClass.QUOTA_EXCEEDED, 402, Scope.KEY)
REFUSED = Classification(FailureClass.AUTH_FAILED, 401, Scope.KEY)
WHILE_S = DEFAULT_SETTINGS.early_probe_s


@pytest.mark.parametrize("classification", [NO_CREDIT, REFUSED], ids=str)
def test_where_nothing_else_is_left_a_guessed_rest_is_probed_after_a_while(
    classification: Classification,
) -> None:
    health = FailoverState(jitter=lambda: 0.5)
    health.record_failure(A, classification, 0.0, DEFAULT_SETTINGS)
    both = plan(A, B)
    engine = failover(both, state=health, now=WHILE_S - 1)
    assert next(engine).route == B
    with pytest.raises(AllRoutesFailed, match="1 tried"):
        engine.send(failed(http_error(402), at=WHILE_S - 0.5))  # A's has not lasted long enough
    engine = failover(both, state=health, now=WHILE_S)
    assert next(engine).route == A
    tried = ended(engine, ANSWERED)
    assert [t.route for t in tried] == [A]
    assert health.active_cooldown(A, WHILE_S) is None


@pytest.mark.parametrize(
    ("classification", "until"), [(NO_CREDIT, 3600.0), (REFUSED, math.inf)], ids=str
)
def test_a_probe_that_fails_keeps_the_rest_and_makes_the_next_one_wait(
    classification: Classification, until: float
) -> None:
    health = FailoverState(jitter=lambda: 0.5)
    health.record_failure(A, classification, 0.0, DEFAULT_SETTINGS)
    engine = failover(plan(A), state=health, now=61.0)
    next(engine)
    with pytest.raises(AllRoutesFailed):
        engine.send(failed(http_error(classification.status), at=61.0))
    assert health.active_cooldown(A, 61.0).until == until
    with pytest.raises(AllRoutesFailed, match="0 tried"):
        next(failover(plan(A), state=health, now=60.5 + WHILE_S))
    assert next(failover(plan(A), state=health, now=61.0 + WHILE_S)).route == A


def test_of_two_guesses_the_one_with_an_end_is_probed_before_a_refused_key() -> None:
    health = FailoverState(jitter=lambda: 0.5)
    health.record_failure(A, REFUSED, 0.0, DEFAULT_SETTINGS)
    health.record_failure(B, NO_CREDIT, 0.0, DEFAULT_SETTINGS)
    assert next(failover(plan(A, B), state=health, now=61.0)).route == B


@pytest.mark.parametrize(
    ("classification", "at"), [(NO_CREDIT, 61.0), (classify(http_error(503)), 0.1)]
)
def test_one_caller_at_a_time_probes_as_a_last_resort(
    classification: Classification, at: float
) -> None:
    health = FailoverState(jitter=lambda: 0.5)
    health.record_failure(A, classification, 0.0, DEFAULT_SETTINGS)
    first = failover(plan(A), state=health, now=at)
    assert next(first).route == A
    with pytest.raises(AllRoutesFailed, match="0 tried"):
        next(failover(plan(A), state=health, now=at))
    first.close()
    assert next(failover(plan(A), state=health, now=at)).route == A


@pytest.mark.parametrize(
    "classification",
    [
        Classification(FailureClass.QUOTA_EXCEEDED, 402, Scope.KEY, retry_after_s=7200.0),
        Classification(FailureClass.RATE_LIMITED, 429, Scope.ROUTE, retry_after_s=3600.0),
    ],
    ids=str,
)
def test_what_a_provider_has_said_is_not_doubted(classification: Classification) -> None:
    health = FailoverState(jitter=lambda: 0.5)
    health.record_failure(A, classification, 0.0, DEFAULT_SETTINGS)
    with pytest.raises(AllRoutesFailed, match="0 tried"):
        next(failover(plan(A), state=health, now=3000.0))


def test_an_overloaded_route_is_asked_rather_than_giving_up_for_anothers_key() -> None:
    health = FailoverState(jitter=lambda: 0.5)
    health.record_failure(
        A, Classification(FailureClass.AUTH_FAILED, 401, Scope.KEY), 0.0, DEFAULT_SETTINGS
    )
    for at in (0.0, 1.5, 4.0):
        health.record_failure(B, classify(http_error(503)), at, DEFAULT_SETTINGS)
    assert health.active_cooldown(B, 5.5)
    assert next(failover(plan(A, B), state=health, now=5.5)).route == B


def test_the_only_route_is_asked_once_more_after_a_wait() -> None:
    engine = failover(plan(A), state=FailoverState(jitter=lambda: 0.5))
    next(engine)
    waiting = engine.send(failed(http_error(503), at=1.0))
    assert waiting == Wait(seconds=0.5)
    assert engine.send(Waited(at=1.5)) == Attempt(
        number=2, route=A, timeout_s=598.5, remaining_s=598.5
    )
    with pytest.raises(AllRoutesFailed, match="2 tried"):
        engine.send(failed(http_error(503), at=2.0))


@pytest.mark.parametrize(
    ("error", "said", "waits"),
    [(429, 3.0, 3.0), (429, None, 10.0), (429, 61.0, None), (503, 7.0, 7.0), (401, None, None)],
)
def test_the_only_route_waits_as_long_as_it_says_within_limits(
    monkeypatch: pytest.MonkeyPatch, error: int, said: float | None, waits: float | None
) -> None:
    classification = classify(http_error(error))._replace(retry_after_s=said)
    monkeypatch.setattr("inference_providers.failover.engine.classify", lambda *_: classification)
    engine = failover(plan(A), state=FailoverState(jitter=lambda: 0.5))
    next(engine)
    if waits is None:
        with pytest.raises(AllRoutesFailed):
            engine.send(failed(http_error(error)))
    else:
        assert engine.send(failed(http_error(error))).seconds == pytest.approx(waits)


def test_retries_of_the_only_route_have_a_budget() -> None:
    settings = FailoverSettings(retry_budget=20.0, retry_cost=14.0)
    health = FailoverState()
    for may_retry in (True, False):
        engine = failover(plan(A), state=health, settings=settings)
        next(engine)
        if may_retry:
            assert isinstance(engine.send(failed(http_error(503))), Wait)
            engine.close()
        else:
            with pytest.raises(AllRoutesFailed):
                engine.send(failed(http_error(503)))


def test_no_attempt_begins_after_the_deadline() -> None:
    engine = failover(PLAN, settings=FailoverSettings(timeout_s=5.0), now=100.0)
    assert next(engine).remaining_s == 5.0
    assert engine.send(failed(http_error(503), at=103.0)).remaining_s == pytest.approx(2.0)
    with pytest.raises(AllRoutesFailed, match="the deadline of 5 s has passed"):
        engine.send(failed(TimeoutError("late"), at=105.0))


def test_an_attempt_leaves_time_for_the_routes_after_it() -> None:
    engine = failover(PLAN, settings=FailoverSettings(timeout_s=8.0))
    assert next(engine).timeout_s == 4.0
    assert engine.send(failed(TimeoutError("late"), at=4.0)).timeout_s == 2.0
    last = engine.send(failed(TimeoutError("late"), at=6.0))
    assert (last.timeout_s, last.remaining_s) == (2.0, 2.0), "nobody comes after the last"


def test_the_only_route_and_the_last_attempt_have_all_the_time_that_is_left() -> None:
    assert next(failover(plan(A), settings=FailoverSettings(timeout_s=8.0))).timeout_s == 8.0
    assert (
        next(failover(PLAN, settings=FailoverSettings(timeout_s=8.0, max_attempts=1))).timeout_s
        == 8.0
    )
    health = FailoverState()
    for resting in (B, C):
        health.record_failure(resting, classify(http_error(401)), 0.0, DEFAULT_SETTINGS)
    engine = failover(PLAN, settings=FailoverSettings(timeout_s=8.0), state=health)
    assert next(engine).timeout_s == 8.0, "routes at rest are not waited for"


# Hedging

HEDGED = FailoverSettings(hedge_after=2.0)
BEHIND = Cancelled(ms=3.0)


def test_a_hedged_attempt_names_the_next_route_as_well() -> None:
    race = next(failover(PLAN, settings=HEDGED))
    assert race == Race(
        first=Attempt(number=1, route=A, timeout_s=300, remaining_s=600),
        second=Attempt(number=2, route=B, timeout_s=299, remaining_s=598),
        after_s=2.0,
    )


def test_the_slower_of_two_is_in_the_record_and_does_not_rest() -> None:
    health = FailoverState()
    engine = failover(PLAN, settings=HEDGED, state=health)
    race = next(engine)
    tried = ended(engine, RaceResult(loser=(race.first, BEHIND), decisive=(race.second, ANSWERED)))
    assert [(t.route, t.outcome) for t in tried] == [(A, BEHIND), (B, ANSWERED)]
    assert str(tried[0]) == "a/m: cancelled, another route was faster"
    assert health.active_cooldown(A, 0.0) is None


def test_a_first_that_fails_before_the_second_starts_moves_on_as_ever() -> None:
    engine = failover(PLAN, settings=HEDGED)
    next(engine)
    race = engine.send(failed(http_error(503)))
    assert (race.first.route, race.second.route, race.first.number) == (B, C, 2)
    last = engine.send(failed(http_error(503)))
    assert last == Attempt(number=3, route=C, timeout_s=600, remaining_s=600), (
        "no other is left to race"
    )


def test_two_that_fail_in_a_race_are_two_attempts_and_both_rest() -> None:
    health = FailoverState()
    engine = failover(PLAN, settings=HEDGED, state=health)
    race = next(engine)
    lost = failed(http_error(503), at=3.0)
    after = engine.send(RaceResult(loser=(race.first, lost), decisive=(race.second, lost)))
    assert (after.number, after.route) == (3, C)
    assert health.active_cooldown(A, 3.0)
    assert health.active_cooldown(B, 3.0)


def test_a_race_takes_no_more_attempts_than_are_left() -> None:
    engine = failover(PLAN, settings=FailoverSettings(hedge_after=2.0, max_attempts=2))
    assert isinstance(next(engine), Race)
    assert isinstance(engine.send(failed(http_error(503))), Attempt)
    assert isinstance(next(failover(plan(A), settings=HEDGED)), Attempt)
    short = FailoverSettings(hedge_after=2.0, timeout_s=3.0)
    assert isinstance(next(failover(PLAN, settings=short)), Attempt), "it would be over before"


def test_a_race_that_is_cancelled_gives_both_probes_back() -> None:
    health = FailoverState(jitter=lambda: 0.5)
    for overloaded in (A, B):
        health.record_failure(overloaded, classify(http_error(503)), 0.0, DEFAULT_SETTINGS)
    engine = failover(plan(A, B), settings=HEDGED, state=health, now=10.0)
    assert isinstance(next(engine), Race)
    assert health.active_cooldown(A, 10.0)
    assert health.active_cooldown(B, 10.0), "a probe is under way"
    engine.close()
    assert health.active_cooldown(A, 10.0) is None
    assert health.active_cooldown(B, 10.0) is None


def test_a_second_that_was_not_needed_gives_its_probe_back() -> None:
    health = FailoverState(jitter=lambda: 0.5)
    health.record_failure(B, classify(http_error(503)), 0.0, DEFAULT_SETTINGS)
    engine = failover(plan(A, B), settings=HEDGED, state=health, now=10.0)
    next(engine)
    ended(engine, ANSWERED)
    assert health.active_cooldown(B, 10.0) is None


def test_hedging_by_percentile_starts_once_enough_is_known() -> None:
    health = FailoverState()
    settings = FailoverSettings(hedge_after="p95")
    assert isinstance(next(failover(PLAN, settings=settings, state=health)), Attempt)
    for ms in range(100, 2100, 100):
        health.record_success(A, ms)
    assert next(failover(PLAN, settings=settings, state=health)).after_s == 2.0


# Conversations


def test_who_answers_a_conversation_is_kept_for_it() -> None:
    health = FailoverState()
    plan = structs.replace(PLAN, conversation="c-1")
    engine = failover(plan, state=health)
    next(engine)
    engine.send(failed(http_error(503)))
    ended(engine, ANSWERED)
    assert health.preferred_route("c-1") == ("b", "b-m")
    assert health.preferred_route("c-2") is None


def test_a_prompt_too_long_moves_to_a_larger_window_only() -> None:
    too_long = http_error(400, message="context_length_exceeded")
    windows = plan(wide("a", 8_000), wide("b", 8_000), wide("c", None), wide("d", 128_000))
    engine = failover(windows)
    next(engine)
    assert engine.send(failed(too_long)).route.provider == "d"
    with pytest.raises(HTTPError) as caught:
        engine.send(failed(too_long))
    assert caught.value is too_long


def test_a_refusal_by_policy_moves_on_only_when_asked_to() -> None:
    refused = http_error(400, message="content_filter")
    engine = failover(PLAN)
    next(engine)
    with pytest.raises(HTTPError):
        engine.send(failed(refused))
    engine = failover(PLAN, settings=FailoverSettings(fallback_on_content_filter=True))
    next(engine)
    assert engine.send(failed(http_error(400, message="content_filter"))).route == B


def test_a_refused_parameter_is_left_out_once_and_remembered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    classification = Classification(FailureClass.BAD_REQUEST, 400, parameter="seed")
    monkeypatch.setattr("inference_providers.failover.engine.classify", lambda *_: classification)
    health = FailoverState()
    engine = failover(PLAN, state=health)
    assert next(engine).without == ()
    again = engine.send(failed(http_error(400)))
    assert (again.route, again.number, again.without) == (A, 2, ("seed",))
    with pytest.raises(HTTPError):
        engine.send(failed(http_error(400)))
    assert next(failover(PLAN, state=health)).without == ("seed",)


@pytest.mark.parametrize("name", ["tools", "response_format", "messages.user.name", "stream"])
def test_what_makes_the_request_is_not_left_out(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    classification = Classification(FailureClass.BAD_REQUEST, 400, parameter=name)
    monkeypatch.setattr("inference_providers.failover.engine.classify", lambda *_: classification)
    engine = failover(PLAN)
    next(engine)
    with pytest.raises(HTTPError):
        engine.send(failed(http_error(400)))


def test_one_bad_key_leaves_other_providers_and_keys_alone() -> None:
    health = FailoverState()
    mine = structs.replace(A, key_fingerprint="one")
    health.record_failure(mine, classify(http_error(401)), 0.0, DEFAULT_SETTINGS)
    assert health.active_cooldown(mine, 1e9) is not None
    assert health.active_cooldown(structs.replace(A, key_fingerprint="two"), 0.0) is None
    assert health.active_cooldown(B, 0.0) is None


def test_a_model_that_is_gone_is_told_with_what_is_there_in_its_place() -> None:
    gone = structs.replace(A, replacement="a/newer-m")
    engine = failover(plan(gone))
    next(engine)
    with pytest.raises(
        AllRoutesFailed, match=r"a/m: model_not_found \(HTTP 404\), use 'a/newer-m'"
    ):
        engine.send(failed(http_error(404)))
