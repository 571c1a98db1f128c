"""What mutants of the policy survived: waits for limits, and probes that are given back."""

from __future__ import annotations

import pytest
from msgspec import structs

from inference_providers.cooldown import Health
from inference_providers.errors import AllRoutesFailed
from inference_providers.failover import failover
from inference_providers.outcomes import Cancelled, Race, Raced, Success, Wait
from inference_providers.policy import DEFAULT, Policy
from inference_providers.routes import Endpoint, Model, Plan, Route
from inference_providers.verdicts import FailureClass, Scope, Verdict

NOW = 1000.0
OVER = Verdict(FailureClass.OVER, 503, Scope.MODEL)


def route(provider: str) -> Route:
    endpoint = Endpoint(protocol="openai-chat", base_url=f"https://{provider}.test/v1")
    return Route(model="m", provider=provider, model_id="x", endpoint=endpoint, facts=Model(id="x"))


A, B = route("a"), route("b")
PLAN = Plan(models=("m",), routes=(A, B), skipped=())


def at_their_limits(a: float, b: float) -> Health:
    health = Health()
    health.exhausted(A, a)
    health.exhausted(B, b)
    return health


@pytest.mark.parametrize(("a", "b"), [(NOW + 9, NOW + 4), (NOW + 4, NOW + 9)])
def test_the_limit_that_ends_first_is_waited_for(a: float, b: float) -> None:
    engine = failover(PLAN, health=at_their_limits(a, b), now=NOW)
    assert next(engine) == Wait(seconds=4.0)


@pytest.mark.parametrize("policy", [Policy(timeout_s=4.0), Policy(max_wait_s=4.0)])
def test_a_limit_that_ends_too_late_is_not_waited_for(policy: Policy) -> None:
    health = at_their_limits(NOW + 4, NOW + 5)
    with pytest.raises(AllRoutesFailed):
        next(failover(PLAN, health=health, now=NOW, policy=policy))


def test_who_loses_a_race_gives_its_probe_back() -> None:
    health = Health(jitter=lambda: 0.5)
    health.failed(A, OVER, 0.0, DEFAULT)
    engine = failover(PLAN, health=health, now=NOW, policy=Policy(hedge_after=1.0))
    race = next(engine)
    assert isinstance(race, Race)
    assert health.resting(A, NOW), "the race has the probe"
    lost, won = Cancelled(ms=1.0), Success(ms=1.0)
    with pytest.raises(StopIteration):
        engine.send(Raced(behind=(race.first, lost), last=(race.second, won)))
    assert health.resting(A, NOW) is None


def test_a_route_that_was_cancelled_is_probed_by_the_next_call() -> None:
    health = Health(jitter=lambda: 0.5)
    health.failed(A, OVER, 0.0, DEFAULT)
    alone = structs.replace(PLAN, routes=(A,))
    engine = failover(alone, health=health, now=NOW)
    assert next(engine).route is A
    engine.close()
    assert health.claim(A, NOW, DEFAULT.probe_lease_s)
