"""What mutants of the policy survived: waits, windows, and probes that are given back."""

from __future__ import annotations

import pytest
from msgspec import structs

from factories import plan, route
from inference_providers.errors import AllRoutesFailed
from inference_providers.failover.engine import Engine, failover
from inference_providers.failover.events import Cancelled, Failure, Race, RaceResult, Success, Wait
from inference_providers.failover.state import FailoverState
from inference_providers.failures.classes import Classification, FailureClass, Scope
from inference_providers.settings import DEFAULT_SETTINGS, FailoverSettings
from inference_providers.types import Model

NOW = 1000.0
OVERLOADED = Classification(FailureClass.OVERLOADED, 503, Scope.MODEL)


A, B = route("a"), route("b")
PLAN = plan(A, B)


def at_their_limits(a: float, b: float) -> FailoverState:
    health = FailoverState()
    health.mark_rate_limited(A, a)
    health.mark_rate_limited(B, b)
    return health


@pytest.mark.parametrize(("a", "b"), [(NOW + 9, NOW + 4), (NOW + 4, NOW + 9)])
def test_the_limit_that_ends_first_is_waited_for(a: float, b: float) -> None:
    engine = failover(PLAN, state=at_their_limits(a, b), now=NOW)
    assert next(engine) == Wait(seconds=4.0)


@pytest.mark.parametrize(
    "settings", [FailoverSettings(timeout_s=4.0), FailoverSettings(max_wait_s=4.0)]
)
def test_a_limit_that_ends_too_late_is_not_waited_for(settings: FailoverSettings) -> None:
    health = at_their_limits(NOW + 4, NOW + 5)
    with pytest.raises(AllRoutesFailed):
        next(failover(PLAN, state=health, now=NOW, settings=settings))


def test_who_loses_a_race_gives_its_probe_back() -> None:
    health = FailoverState(jitter=lambda: 0.5)
    health.record_failure(A, OVERLOADED, 0.0, DEFAULT_SETTINGS)
    engine = failover(PLAN, state=health, now=NOW, settings=FailoverSettings(hedge_after=1.0))
    race = next(engine)
    assert isinstance(race, Race)
    assert health.active_cooldown(A, NOW), "the race has the probe"
    lost, won = Cancelled(ms=1.0), Success(ms=1.0)
    with pytest.raises(StopIteration):
        engine.send(RaceResult(loser=(race.first, lost), decisive=(race.second, won)))
    assert health.active_cooldown(A, NOW) is None


def test_a_route_that_was_cancelled_is_probed_by_the_next_call() -> None:
    health = FailoverState(jitter=lambda: 0.5)
    health.record_failure(A, OVERLOADED, 0.0, DEFAULT_SETTINGS)
    alone = structs.replace(PLAN, routes=(A,))
    engine = failover(alone, state=health, now=NOW)
    assert next(engine).route is A
    engine.close()
    assert health.claim(A, NOW, DEFAULT_SETTINGS.probe_timeout_s)


class Refused(Exception):  # noqa: N818 - what a provider said, as SDKs raise it
    """An answer of HTTP that is an error."""

    def __init__(self, status: int, seconds: float | None = None) -> None:
        super().__init__("said the provider")
        self.status_code = status
        self.headers = {} if seconds is None else {"retry-after": f"{seconds:g}"}


def failed(status: int, seconds: float | None = None, at: float = NOW) -> Failure:
    return Failure(error=Refused(status, seconds), ms=1.0, at=at)


def alone(**settings: object) -> Engine:
    """Return the engine over one route, which is being asked."""
    plan = structs.replace(PLAN, routes=(A,))
    engine = failover(plan, now=NOW, settings=structs.replace(DEFAULT_SETTINGS, **settings))
    assert next(engine).route is A
    return engine


@pytest.mark.parametrize("cooldown", [True, False])
def test_the_only_route_waits_as_long_as_it_said_whether_it_rests_or_not(cooldown: bool) -> None:
    assert alone(cooldown=cooldown).send(failed(429, 5.0)) == Wait(seconds=5.0)


def test_the_only_route_that_said_nothing_and_rests_not_waits_as_long_as_guessed() -> None:
    assert alone(cooldown=False).send(failed(429)) == Wait(
        seconds=DEFAULT_SETTINGS.rate_limit_cooldown_s
    )


@pytest.mark.parametrize(("seconds", "waits"), [(4.0, True), (5.0, False)])
def test_no_wait_goes_beyond_the_deadline(seconds: float, waits: bool) -> None:
    engine = alone(timeout_s=4.0)
    if waits:
        assert engine.send(failed(429, seconds)) == Wait(seconds=seconds)
    else:
        with pytest.raises(AllRoutesFailed, match="1 tried"):
            engine.send(failed(429, seconds))


@pytest.mark.parametrize(("status", "asks_the_small_one"), [(503, True), (413, False)])
def test_only_what_is_too_large_keeps_to_windows_as_large(
    status: int, asks_the_small_one: bool
) -> None:
    large, small = (
        structs.replace(each, model_info=Model(id="x", context=context))
        for each, context in ((A, 8000), (B, 4000))
    )
    engine = failover(structs.replace(PLAN, routes=(large, small)), now=NOW)
    next(engine)
    if asks_the_small_one:
        assert engine.send(failed(status)).route is small
    else:
        with pytest.raises(AllRoutesFailed, match="1 tried"):
            engine.send(failed(status))


def test_an_overload_of_this_moment_beside_a_refused_key_is_not_probed_at_once() -> None:
    health = FailoverState(jitter=lambda: 0.5)
    health.record_failure(
        A, Classification(FailureClass.AUTH_FAILED, 401, Scope.KEY), NOW, DEFAULT_SETTINGS
    )
    health.record_failure(B, OVERLOADED, NOW, DEFAULT_SETTINGS)
    with pytest.raises(AllRoutesFailed, match="0 tried"):
        next(failover(PLAN, state=health, now=NOW))


def test_only_a_model_that_is_gone_is_told_with_what_is_there_in_its_place() -> None:
    asked = structs.replace(PLAN, routes=(structs.replace(A, replacement="a/newer"), B))
    engine = failover(asked, now=NOW)
    next(engine)
    engine.send(failed(503))
    with pytest.raises(AllRoutesFailed) as caught:
        engine.send(failed(503))
    assert "a/m: overloaded (HTTP 503): said the provider" in str(caught.value)


@pytest.mark.parametrize(
    ("answer", "known_ms"),
    [(Success(ms=100.0, first_output_ms=7.0), 7.0), (Success(ms=100.0), 100.0)],
)
def test_a_routes_latency_is_that_of_its_first_output(answer: Success, known_ms: float) -> None:
    health = FailoverState()
    engine = failover(PLAN, state=health, now=NOW)
    next(engine)
    with pytest.raises(StopIteration):
        engine.send(answer)
    assert health.latency_ms(A) == known_ms
