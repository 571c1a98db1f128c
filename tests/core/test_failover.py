"""The policy, driven by hand: which route next, and when to stop."""

from __future__ import annotations

import json
import ssl

import pytest

from inference_providers.errors import (
    AllRoutesFailed,
    BrokenAnswerError,
    LocalServerError,
    NoRouteError,
    StreamInterrupted,
)
from inference_providers.failover import failover
from inference_providers.routes import (
    Attempt,
    Endpoint,
    Failure,
    Model,
    Plan,
    Route,
    Skipped,
    Success,
)


class HTTPError(Exception):
    """What SDKs raise: an exception with a status."""

    def __init__(self, status: int, text: str = "said the provider") -> None:
        super().__init__(text)
        self.status_code = status


def route(provider: str, key: str | None = None) -> Route:
    endpoint = Endpoint(protocol="openai-chat", base_url="https://p.test/v1")
    return Route(
        model="m",
        provider=provider,
        model_id=f"{provider}-m",
        endpoint=endpoint,
        key_variable=key,
        facts=Model(id=f"{provider}-m"),
    )


A, B, C = route("a", "A_KEY"), route("b"), route("c")
PLAN = Plan(models=("m",), routes=(A, B, C), skipped=())
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
    assert next(engine) == Attempt(n=1, route=A)
    tried = ended(engine, ANSWERED)
    assert [(t.route, t.outcome, t.failure_class) for t in tried] == [(A, ANSWERED, None)]
    assert str(tried[0]) == "a/m: answered"


@pytest.mark.parametrize(
    "error",
    [
        *map(HTTPError, [401, 402, 403, 404, 408, 409, 410, 412, 413, 425, 429, 498]),
        *map(HTTPError, [500, 502, 503, 504, 529, 200, 302]),
        ConnectionRefusedError("refused"),
        ConnectionResetError("reset"),
        TimeoutError("late"),
        ssl.SSLError("bad certificate"),
        BrokenAnswerError("HTML"),
        LocalServerError("does not start"),
        json.JSONDecodeError("no", "<html>", 0),
    ],
    ids=repr,
)
def test_a_failure_another_route_may_not_have_moves_on(error: Exception) -> None:
    engine = failover(PLAN)
    next(engine)
    assert engine.send(failed(error)) == Attempt(n=2, route=B)
    tried = ended(engine, ANSWERED)
    assert [t.route for t in tried] == [A, B]
    assert tried[0].failure_class is not None
    assert tried[0].status == getattr(error, "status_code", None)


@pytest.mark.parametrize(
    "error",
    [HTTPError(400), HTTPError(422), HTTPError(400, "context_length_exceeded"), TypeError("a bug")],
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
    assert engine.send(failed(HTTPError(400))).route == B
    assert [t.failure_class for t in ended(engine, ANSWERED)] == ["BAD", None]


def test_when_every_route_fails_each_attempt_is_listed() -> None:
    engine = failover(PLAN)
    errors = [HTTPError(401, "who\n are you?"), HTTPError(503, "x" * 999), ConnectionError("gone")]
    next(engine)
    engine.send(failed(errors[0]))
    engine.send(failed(errors[1]))
    with pytest.raises(AllRoutesFailed) as caught:
        engine.send(failed(errors[2]))
    message = str(caught.value)
    assert "a/m: AUTH (HTTP 401), check A_KEY: who are you?" in message
    assert "b/m: OVER (HTTP 503): xxx" in message
    assert "c/m: OVER (ConnectionError): gone" in message
    assert "3 tried" in message
    assert "x" * 201 not in message
    assert "\n" not in message
    assert caught.value.__cause__ is errors[2]
    assert [t.route for t in caught.value.attempts] == [A, B, C]
    assert [t.outcome.error for t in caught.value.attempts] == errors


def test_a_stream_that_broke_after_output_is_interrupted_with_what_came() -> None:
    engine = failover(PLAN)
    next(engine)
    error = ConnectionResetError("reset")
    with pytest.raises(StreamInterrupted, match="a/m: OVER") as caught:
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
    engine = failover(PLAN, max_attempts=most)
    next(engine)
    for _ in range(most - 1):
        engine.send(failed(HTTPError(503)))
    with pytest.raises(AllRoutesFailed) as caught:
        engine.send(failed(HTTPError(503)))
    assert len(caught.value.attempts) == most


def test_a_plan_without_routes_raises_before_any_attempt() -> None:
    skipped = (Skipped(provider="a", model="m", reason="set A_KEY"),)
    with pytest.raises(NoRouteError, match="No usable route to 'm': a: set A_KEY"):
        next(failover(Plan(models=("m",), routes=(), skipped=skipped)))


def test_closing_the_policy_is_no_outcome() -> None:
    engine = failover(PLAN)
    next(engine)
    engine.close()
    with pytest.raises(StopIteration):
        engine.send(ANSWERED)
