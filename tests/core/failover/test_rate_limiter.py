"""Rate limits per minute: a limited route is skipped, or waited for when it is the only one."""

from __future__ import annotations

import sys
import time

import pytest
from msgspec import structs

from factories import plan, route
from inference_providers.errors import AllRoutesFailed, MissingPackageError
from inference_providers.failover.engine import failover
from inference_providers.failover.events import Success, Wait, Waited
from inference_providers.failover.rate_limiter import RateLimiter
from inference_providers.failover.state import FailoverState
from inference_providers.settings import FailoverSettings
from inference_providers.types import RateLimits

PROBE_S = 30.0
ANSWERED = Success(ms=1.0)


# RateLimiter


def test_rate_limiter_takes_as_many_requests_as_allowed() -> None:
    limiter, limits = RateLimiter(), RateLimits(rpm=2)
    assert [limiter.take("a", limits, 0) for _ in range(2)] == [0.0, 0.0]
    assert 0 < limiter.take("a", limits, 0) <= 60
    assert limiter.take("b", limits, 0) == 0.0, "another route was limited too"
    limiter.reset()
    assert limiter.take("a", limits, 0) == 0.0


@pytest.mark.usefixtures("_frozen_wall_clock")
def test_rate_limiter_counts_tokens_once_they_are_known() -> None:
    limiter, limits = RateLimiter(), RateLimits(tpm=1000)
    assert limiter.take("a", limits, 600) == 0.0
    assert limiter.take("a", limits, 600) == 0.0, "an estimate was counted"
    limiter.record_tokens("a", limits, 600)
    assert limiter.take("a", limits, 300) == 0.0
    assert limiter.take("a", limits, 600) > 0
    limiter.record_tokens("a", limits, 9_000)  # more than is left
    assert limiter.take("a", limits, 0) > 0


def test_rate_limiter_takes_a_prompt_above_the_whole_limit() -> None:
    assert RateLimiter().take("a", RateLimits(tpm=1000), 5000) == 0.0


# The extra


def test_claim_without_the_extra_names_the_pip_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "limits", None)
    with pytest.raises(MissingPackageError, match=r"pip install 'autoprovider\[limits\]'"):
        FailoverState().claim(route("a", limits=RateLimits(rpm=1)), 0.0, PROBE_S)


def test_claim_without_limits_needs_no_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "limits", None)
    state = FailoverState()
    assert state.claim(route("a"), 0.0, PROBE_S)
    state.record_tokens(route("a"), 100)


# FailoverState


def test_claim_at_the_limit_starts_a_cooldown_without_failure() -> None:
    state, limited = FailoverState(), route("a", limits=RateLimits(rpm=1))
    assert state.claim(limited, 0.0, PROBE_S)
    state.record_success(limited, 1.0)
    assert not state.claim(limited, 0.0, PROBE_S)
    cooldown = state.active_cooldown(limited, 0.0)
    assert cooldown is not None
    assert cooldown.reason(0.0).startswith("at its rate limit for ")
    assert (cooldown.is_rate_limit, cooldown.failure_count) == (True, 0)
    assert "at its rate limit" in str(state.report(0.0))


def test_record_success_keeps_a_limit_from_its_own_headers() -> None:
    state, limited = FailoverState(), route("a")
    state.mark_rate_limited(limited, 30.0)
    state.record_success(limited, 1.0)
    assert state.active_cooldown(limited, 0.0)
    state.mark_rate_limited(limited, 20.0)
    assert state.active_cooldown(limited, 25.0), "the cooldown got shorter"
    assert state.active_cooldown(limited, 30.0) is None


@pytest.mark.usefixtures("_frozen_wall_clock")
def test_record_tokens_counts_against_the_limit() -> None:
    state, limited = FailoverState(), route("a", limits=RateLimits(tpm=100))
    state.record_tokens(limited, 100)
    assert not state.claim(limited, time.monotonic(), PROBE_S, 1)
    state.reset()
    assert state.claim(limited, time.monotonic(), PROBE_S, 1)


# The engine


def test_engine_takes_the_next_route_when_one_is_limited() -> None:
    state, routes = FailoverState(), (route("a", limits=RateLimits(rpm=1)), route("b"))
    for provider in ("a", "b", "b"):
        engine = failover(plan(*routes), state=state)
        assert next(engine).route.provider == provider
        with pytest.raises(StopIteration):
            engine.send(ANSWERED)


def test_engine_waits_for_the_only_route_at_its_limit() -> None:
    state, limited = FailoverState(), route("a", limits=RateLimits(rpm=1))
    state.claim(limited, 0.0, PROBE_S)
    engine = failover(plan(limited), state=state)
    wait = next(engine)
    assert isinstance(wait, Wait)
    assert 0 < wait.seconds <= 60
    again = engine.send(Waited(at=wait.seconds))  # the clock of `limits` has not moved
    assert isinstance(again, Wait)


def test_engine_waits_for_a_route_the_plan_found_limited() -> None:
    state, limited = FailoverState(), route("a")
    state.mark_rate_limited(limited, 5.0)
    engine = failover(structs.replace(plan(), cooling_down=(limited,)), state=state)
    assert next(engine) == Wait(seconds=5.0)
    assert engine.send(Waited(at=5.0)).route == limited


def test_engine_does_not_wait_beyond_the_deadline() -> None:
    state, limited = FailoverState(), route("a")
    state.mark_rate_limited(limited, 50.0)
    with pytest.raises(AllRoutesFailed, match="at its rate limit for 50 s") as caught:
        next(failover(plan(limited), state=state, settings=FailoverSettings(timeout_s=20.0)))
    assert caught.value.retry_after == 50.0
