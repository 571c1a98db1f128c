"""The engine, driven by hand: which route next, when to stop, and with which error."""

from __future__ import annotations

import json
import ssl

import pytest
from msgspec import structs

from factories import HTTPError, failure, finish, http_error, plan, route
from inference_providers.errors import (
    AllRoutesFailed,
    InvalidResponseError,
    LocalServerError,
    NoRouteError,
    PromptTooLongError,
    StreamInterrupted,
)
from inference_providers.failover.engine import failover
from inference_providers.failover.events import Attempt, Success
from inference_providers.failover.state import FailoverState
from inference_providers.failures.classes import Classification, FailureClass, Scope
from inference_providers.settings import FailoverSettings
from inference_providers.types import Route, Skipped

A, B, C = route("a", key_variable="A_KEY"), route("b"), route("c")
PLAN = plan(A, B, C)
ANSWERED = Success(ms=1.0)


def classify_all_as(monkeypatch: pytest.MonkeyPatch, classification: Classification) -> None:
    monkeypatch.setattr("inference_providers.failover.engine.classify", lambda *_: classification)


def with_window(provider: str, context: int | None) -> Route:
    return route(provider, model_info={"context": context})


# Attempts


def test_engine_tries_the_first_route_and_ends_with_its_answer() -> None:
    engine = failover(PLAN)
    assert next(engine) == Attempt(number=1, route=A, timeout_s=300, remaining_s=600)
    (record,) = finish(engine, ANSWERED)
    assert (record.route, record.outcome, record.failure_class) == (A, ANSWERED, None)
    assert str(record) == "a/m: answered"


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
def test_engine_moves_on_after_a_failure_of_the_route(error: Exception) -> None:
    engine = failover(PLAN)
    next(engine)
    second = Attempt(number=2, route=B, timeout_s=300, remaining_s=600)
    assert engine.send(failure(error)) == second
    first_record, second_record = finish(engine, ANSWERED)
    assert (first_record.route, second_record.route) == (A, B)
    assert first_record.failure_class is not None
    assert first_record.status == getattr(error, "status_code", None)


@pytest.mark.parametrize("max_attempts", [1, 2])
def test_engine_makes_no_more_than_max_attempts(max_attempts: int) -> None:
    engine = failover(PLAN, settings=FailoverSettings(max_attempts=max_attempts))
    next(engine)
    for _ in range(max_attempts - 1):
        engine.send(failure(http_error(503)))
    with pytest.raises(AllRoutesFailed) as caught:
        engine.send(failure(http_error(503)))
    assert len(caught.value.attempts) == max_attempts


def test_engine_closed_by_the_driver_ends_without_outcome() -> None:
    engine = failover(PLAN)
    next(engine)
    engine.close()
    with pytest.raises(StopIteration):
        engine.send(ANSWERED)


# Time


def test_engine_starts_no_attempt_after_the_deadline() -> None:
    engine = failover(PLAN, settings=FailoverSettings(timeout_s=5.0), now=100.0)
    assert next(engine).remaining_s == 5.0
    assert engine.send(failure(http_error(503), at=103.0)).remaining_s == pytest.approx(2.0)
    with pytest.raises(AllRoutesFailed, match="the deadline of 5 s has passed"):
        engine.send(failure(TimeoutError("late"), at=105.0))


def test_attempt_timeout_leaves_time_for_other_routes() -> None:
    engine = failover(PLAN, settings=FailoverSettings(timeout_s=8.0))
    assert next(engine).timeout_s == 4.0
    assert engine.send(failure(TimeoutError("late"), at=4.0)).timeout_s == 2.0
    last = engine.send(failure(TimeoutError("late"), at=6.0))
    assert (last.timeout_s, last.remaining_s) == (2.0, 2.0), "no route comes after the last"


def test_attempt_timeout_is_all_that_is_left_for_the_only_route() -> None:
    settings = FailoverSettings(timeout_s=8.0)
    assert next(failover(plan(A), settings=settings)).timeout_s == 8.0


def test_attempt_timeout_is_all_that_is_left_for_the_last_try() -> None:
    settings = FailoverSettings(timeout_s=8.0, max_attempts=1)
    assert next(failover(PLAN, settings=settings)).timeout_s == 8.0


def test_attempt_timeout_ignores_routes_that_cool_down() -> None:
    state = FailoverState()
    refused = Classification(FailureClass.AUTH_FAILED, 401, Scope.KEY)
    for cooling in (B, C):
        state.record_failure(cooling, refused, 0.0, FailoverSettings())
    engine = failover(PLAN, settings=FailoverSettings(timeout_s=8.0), state=state)
    assert next(engine).timeout_s == 8.0


# A request that is itself wrong


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
def test_engine_raises_the_providers_error_for_a_wrong_request(error: Exception) -> None:
    engine = failover(PLAN)
    next(engine)
    with pytest.raises(type(error)) as caught:
        engine.send(failure(error))
    assert caught.value is error
    assert caught.value.__notes__ == ["autoprovider: raised by a/m as 'a-m'"]
    with pytest.raises(StopIteration):
        next(engine)


def test_engine_blames_the_route_for_a_wrong_trial_request() -> None:
    engine = failover(PLAN, trial=True)
    next(engine)
    assert engine.send(failure(http_error(400))).route == B
    records = finish(engine, ANSWERED)
    assert [record.failure_class for record in records] == ["bad_request", None]


def test_engine_tries_only_larger_windows_for_a_long_prompt() -> None:
    too_long = http_error(400, message="context_length_exceeded")
    windows = {"a": 8_000, "b": 8_000, "c": None, "d": 128_000}
    engine = failover(plan(*(with_window(name, size) for name, size in windows.items())))
    next(engine)
    assert engine.send(failure(too_long)).route.provider == "d"
    with pytest.raises(HTTPError) as caught:
        engine.send(failure(too_long))
    assert caught.value is too_long


@pytest.mark.parametrize(("status", "tries_smaller"), [(503, True), (413, False)])
def test_engine_keeps_to_large_windows_after_a_413(status: int, tries_smaller: bool) -> None:
    large, small = with_window("a", 8000), with_window("b", 4000)
    engine = failover(plan(large, small))
    next(engine)
    if tries_smaller:
        assert engine.send(failure(http_error(status))).route is small
    else:
        with pytest.raises(AllRoutesFailed, match="1 attempt"):
            engine.send(failure(http_error(status)))


def test_engine_moves_on_after_a_content_filter_if_asked_to() -> None:
    engine = failover(PLAN)
    next(engine)
    with pytest.raises(HTTPError):
        engine.send(failure(http_error(400, message="content_filter")))
    engine = failover(PLAN, settings=FailoverSettings(fallback_on_content_filter=True))
    next(engine)
    assert engine.send(failure(http_error(400, message="content_filter"))).route == B


def test_engine_leaves_out_a_rejected_parameter_once(monkeypatch: pytest.MonkeyPatch) -> None:
    classify_all_as(monkeypatch, Classification(FailureClass.BAD_REQUEST, 400, parameter="seed"))
    state = FailoverState()
    engine = failover(PLAN, state=state)
    assert next(engine).without == ()
    again = engine.send(failure(http_error(400)))
    assert (again.route, again.number, again.without) == (A, 2, ("seed",))
    with pytest.raises(HTTPError):
        engine.send(failure(http_error(400)))
    assert next(failover(PLAN, state=state)).without == ("seed",), "it was not remembered"


@pytest.mark.parametrize("name", ["tools", "response_format", "messages.user.name", "stream"])
def test_engine_never_leaves_out_an_essential_parameter(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    classify_all_as(monkeypatch, Classification(FailureClass.BAD_REQUEST, 400, parameter=name))
    engine = failover(PLAN)
    next(engine)
    with pytest.raises(HTTPError):
        engine.send(failure(http_error(400)))


# Streams


def test_engine_interrupts_a_stream_that_breaks_after_output() -> None:
    engine = failover(PLAN)
    next(engine)
    error = ConnectionResetError("reset")
    with pytest.raises(StreamInterrupted, match="a/m: overloaded") as caught:
        engine.send(failure(error, began=True, partial="Once upon"))
    assert caught.value.partial == "Once upon"
    assert caught.value.route is A
    assert caught.value.__cause__ is error


def test_engine_moves_on_when_a_stream_breaks_before_output() -> None:
    engine = failover(PLAN)
    next(engine)
    assert engine.send(failure(ConnectionResetError("reset"))).route == B


# What a success teaches


@pytest.mark.parametrize(
    ("answer", "latency_ms"),
    [(Success(ms=100.0, first_output_ms=7.0), 7.0), (Success(ms=100.0), 100.0)],
)
def test_engine_records_the_time_to_the_first_output(answer: Success, latency_ms: float) -> None:
    state = FailoverState()
    engine = failover(PLAN, state=state)
    next(engine)
    finish(engine, answer)
    assert state.latency_ms(A) == latency_ms


def test_engine_remembers_which_route_answered_a_conversation() -> None:
    state = FailoverState()
    engine = failover(structs.replace(PLAN, conversation="c-1"), state=state)
    next(engine)
    engine.send(failure(http_error(503)))
    finish(engine, ANSWERED)
    assert state.preferred_route("c-1") == ("b", "b-m")
    assert state.preferred_route("c-2") is None


# Errors at the end


def test_engine_raises_before_any_attempt_without_a_route() -> None:
    skipped = (Skipped(provider="a", model="m", reason="set A_KEY"),)
    with pytest.raises(NoRouteError, match="No usable route to 'm': a: set A_KEY"):
        next(failover(plan(skipped=skipped)))


def test_engine_raises_before_any_attempt_for_a_long_prompt() -> None:
    skipped = (
        Skipped(provider="a", model="m", reason="too small", context=8_000),
        Skipped(provider="b", model="m", reason="set B_KEY"),
    )
    with pytest.raises(PromptTooLongError, match=r"at least 9,000 tokens.*8,000"):
        next(failover(plan(skipped=skipped, tokens=9_000)))


def test_all_routes_failed_lists_each_attempt() -> None:
    engine = failover(PLAN)
    errors = [
        http_error(401, message="who\n are you?"),
        http_error(503, message="x" * 999),
        ConnectionError("gone"),
    ]
    next(engine)
    engine.send(failure(errors[0]))
    engine.send(failure(errors[1]))
    with pytest.raises(AllRoutesFailed) as caught:
        engine.send(failure(errors[2]))
    message = str(caught.value)
    assert "a/m: auth_failed (HTTP 401), check A_KEY: who are you?" in message
    assert "b/m: overloaded (HTTP 503): xxx" in message
    assert "c/m: overloaded (ConnectionError): gone" in message
    assert "3 attempts" in message
    assert "x" * 201 not in message
    assert "\n" not in message
    assert caught.value.__cause__ is errors[2]
    assert [record.route for record in caught.value.attempts] == [A, B, C]
    assert [record.outcome.error for record in caught.value.attempts] == errors


@pytest.mark.parametrize(
    ("outer", "inner", "expected"),
    [
        ("Connection error.", "name not known", "Connection error. name not known"),
        ("bad key", "bad key", "bad key"),  # one library's exception inside another's
        ("said: bad\n key", "bad key", "said: bad key"),
    ],
)
def test_all_routes_failed_adds_the_root_cause_if_it_is_new(
    outer: str, inner: str, expected: str
) -> None:
    engine = failover(PLAN, settings=FailoverSettings(max_attempts=1))
    next(engine)
    error = http_error(503, message=outer)
    error.__cause__ = OSError(inner)
    with pytest.raises(AllRoutesFailed) as caught:
        engine.send(failure(error))
    assert str(caught.value).endswith(f"a/m: overloaded (HTTP 503): {expected}")


def test_all_routes_failed_names_the_replacement_of_a_lost_model() -> None:
    engine = failover(plan(structs.replace(A, replacement="a/newer-m")))
    next(engine)
    with pytest.raises(
        AllRoutesFailed, match=r"a/m: model_not_found \(HTTP 404\), use 'a/newer-m'"
    ):
        engine.send(failure(http_error(404)))


def test_all_routes_failed_names_no_replacement_when_overloaded() -> None:
    engine = failover(plan(structs.replace(A, replacement="a/newer-m"), B))
    next(engine)
    engine.send(failure(http_error(503, message="try later")))
    with pytest.raises(AllRoutesFailed) as caught:
        engine.send(failure(http_error(503)))
    assert "a/m: overloaded (HTTP 503): try later" in str(caught.value)
