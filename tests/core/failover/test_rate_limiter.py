"""RateLimits a minute: a route that is at its own is passed over, and waited for when it is alone."""

from __future__ import annotations

import sys
import time

import pytest
from msgspec import structs

from inference_providers.errors import AllRoutesFailed, MissingPackageError
from inference_providers.failover.cooldowns import FailoverState
from inference_providers.failover.engine import failover
from inference_providers.failover.events import Success, Wait, Waited
from inference_providers.failover.rate_limiter import RateLimiter
from inference_providers.settings import FailoverSettings
from inference_providers.types import Endpoint, Model, Plan, RateLimits, Route

LEASE_S = 30.0
ANSWERED = Success(ms=1.0)


def route(provider: str, **limits: int) -> Route:
    endpoint = Endpoint(protocol="openai-chat", base_url=f"https://{provider}.test/v1")
    return Route(
        model="m",
        provider=provider,
        model_id="x",
        endpoint=endpoint,
        limits=RateLimits(**limits) if limits else None,
        model_info=Model(id="x"),
    )


def plan(*routes: Route) -> Plan:
    return Plan(models=("m",), routes=routes, skipped=())


def test_as_many_requests_as_are_allowed_are_counted_then_none() -> None:
    allowance = RateLimiter()
    limits = RateLimits(rpm=2)
    assert [allowance.take("a", limits, 0) for _ in range(2)] == [0.0, 0.0]
    assert 0 < allowance.take("a", limits, 0) <= 60
    assert allowance.take("b", limits, 0) == 0.0, "another is not concerned"
    allowance.reset()
    assert allowance.take("a", limits, 0) == 0.0


@pytest.mark.usefixtures("_clock_stands")
def test_tokens_are_counted_when_they_are_known() -> None:
    allowance = RateLimiter()
    limits = RateLimits(tpm=1000)
    assert allowance.take("a", limits, 600) == 0.0
    assert allowance.take("a", limits, 600) == 0.0, "an estimate is not spent"
    allowance.spend("a", limits, 600)
    assert allowance.take("a", limits, 300) == 0.0
    assert allowance.take("a", limits, 600) > 0
    allowance.spend("a", limits, 9_000)  # more than is left: it is used up
    assert allowance.take("a", limits, 0) > 0


def test_a_prompt_larger_than_the_limit_is_for_the_provider_to_judge() -> None:
    assert RateLimiter().take("a", RateLimits(tpm=1000), 5000) == 0.0


def test_without_the_package_the_line_to_install_it_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "limits", None)
    with pytest.raises(MissingPackageError, match=r"pip install 'autoprovider\[limits\]'"):
        FailoverState().claim(route("a", rpm=1), 0.0, LEASE_S)


def test_a_route_without_limits_needs_no_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "limits", None)
    health = FailoverState()
    assert health.claim(route("a"), 0.0, LEASE_S)
    health.spent(route("a"), 100)


def test_a_route_at_its_limit_rests_without_having_failed() -> None:
    health, limited = FailoverState(), route("a", rpm=1)
    assert health.claim(limited, 0.0, LEASE_S)
    health.answered(limited, 1.0)
    assert not health.claim(limited, 0.0, LEASE_S)
    rest = health.active_cooldown(limited, 0.0)
    assert rest.reason(0.0).startswith("at its limit for ")
    assert (rest.is_limit, rest.strikes) == (True, 0)
    assert "at its limit" in str(health.report(0.0))


def test_another_call_takes_the_next_route() -> None:
    health, routes = FailoverState(), (route("a", rpm=1), route("b"))
    for provider in ("a", "b", "b"):
        engine = failover(plan(*routes), state=health)
        assert next(engine).route.provider == provider
        with pytest.raises(StopIteration):
            engine.send(ANSWERED)


def test_the_only_route_is_waited_for() -> None:
    health, limited = FailoverState(), route("a", rpm=1)
    health.claim(limited, 0.0, LEASE_S)
    engine = failover(plan(limited), state=health)
    waiting = next(engine)
    assert isinstance(waiting, Wait)
    assert 0 < waiting.seconds <= 60
    still = engine.send(Waited(at=waiting.seconds))  # the clock of `limits` has not moved
    assert isinstance(still, Wait)


def test_a_route_the_plan_found_at_its_limit_is_waited_for_too() -> None:
    health, limited = FailoverState(), route("a")
    health.exhausted(limited, 5.0)
    resting = structs.replace(plan(), cooling_down=(limited,))
    engine = failover(resting, state=health)
    assert next(engine) == Wait(seconds=5.0)
    assert engine.send(Waited(at=5.0)).route == limited


def test_nobody_waits_beyond_the_deadline() -> None:
    health, limited = FailoverState(), route("a")
    health.exhausted(limited, 50.0)
    with pytest.raises(AllRoutesFailed, match="at its limit for 50 s") as caught:
        next(failover(plan(limited), state=health, settings=FailoverSettings(timeout_s=20.0)))
    assert caught.value.retry_after == 50.0


def test_an_answer_does_not_end_a_rest_that_its_own_headers_asked_for() -> None:
    health, limited = FailoverState(), route("a")
    health.exhausted(limited, 30.0)
    health.answered(limited, 1.0)
    assert health.active_cooldown(limited, 0.0)
    health.exhausted(limited, 20.0)
    assert health.active_cooldown(limited, 25.0), "a rest shrank"
    assert health.active_cooldown(limited, 30.0) is None


@pytest.mark.usefixtures("_clock_stands")
def test_the_tokens_of_an_answer_count() -> None:
    health, limited = FailoverState(), route("a", tpm=100)
    health.spent(limited, 100)
    assert not health.claim(limited, time.monotonic(), LEASE_S, 1)
    health.reset()
    assert health.claim(limited, time.monotonic(), LEASE_S, 1)
