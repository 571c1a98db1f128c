"""What the calls of a process have learned about routes: one object that is passed in.

* A cooldown never gets shorter. Failures of calls that were under way when it began do
  not lengthen it, so a burst counts once.
* When a cooldown is over, one call gets to probe the route. Others stay away until that
  call ends or its time for the probe is over. A success clears the cooldowns, a failure
  doubles them.
* A cooldown at a rate limit is not a failure: it has a failure count of zero, and a
  success does not clear it.

A `Resolver` holds the state, and everything below gets it from there: the engine, the hooks
of HTTP clients, the code that counts tokens. `PROCESS_STATE` is the default that a resolver
takes. The current time is an argument. The lock is held over memory only, never over I/O.
"""

from __future__ import annotations

import math
import os
import random
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from inference_providers.failover.cooldowns import (
    LOCAL_RATE_LIMIT,
    Cooldown,
    CooldownReport,
    cooldown_keys,
    cooldown_length_s,
)
from inference_providers.failover.rate_limiter import RateLimiter
from inference_providers.failures.classes import Scope

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from inference_providers.failover.cooldowns import CooldownKey
    from inference_providers.failures.classes import Classification
    from inference_providers.settings import FailoverSettings
    from inference_providers.types import Route

__all__ = ["PROCESS_STATE", "FailoverState", "health", "reset_health"]

LATENCY_WEIGHT = 0.2
"""Weight of the newest latency in the moving average."""
LATENCY_SAMPLES = 100
"""Latencies kept per route for the 95th percentile."""
MIN_LATENCY_SAMPLES = 20
"""With fewer, the slowest twentieth is unknown."""
MAX_CONVERSATIONS = 1000
"""Conversations whose route is remembered; the least recently used one is dropped first."""


class _ActiveCooldowns(NamedTuple):
    """The cooldowns that are active from `since` until one of them ends, if none changes."""

    by_key: Mapping[CooldownKey, Cooldown]
    since: float
    until: float

    @classmethod
    def at(cls, now: float, cooldowns: Mapping[CooldownKey, Cooldown]) -> Self:
        ends = {key: max(c.until, c.probe_until) for key, c in cooldowns.items()}
        by_key = {key: cooldowns[key] for key, end in ends.items() if now < end}
        return cls(by_key, now, min((ends[key] for key in by_key), default=math.inf))


class FailoverState:
    """Cooldowns, rate limits, latencies, sticky routes, the retry budget, refused parameters.

    Args:
        jitter: Returns a number from 0 to 1 that varies the cooldowns and waits we guess.
    """

    def __init__(self, jitter: Callable[[], float] = random.random) -> None:
        self.jitter = jitter
        self._cooldowns: dict[CooldownKey, Cooldown] = {}
        self._active: _ActiveCooldowns | None = None
        self._rate_limiter = RateLimiter()
        self._rejected_parameters: dict[CooldownKey, tuple[str, ...]] = {}
        self._mean_latency_ms: dict[CooldownKey, float] = {}
        self._latencies_ms: dict[CooldownKey, deque[float]] = {}
        self._sticky_routes: dict[str, tuple[str, str]] = {}
        self._retry_tokens_used = 0.0
        self._lock = threading.Lock()

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self  # it is shared: a copied model learns with the original

    # Cooldowns

    def active_cooldown(self, route: Route, now: float) -> Cooldown | None:
        """Return the longest cooldown that keeps `route` from being tried now, if any.

        A cooldown that is over stays active while a probe is under way.
        """
        if not self._cooldowns:
            return None
        stored = (self._cooldowns.get(key) for key in cooldown_keys(route).values())
        active = [c for c in stored if c is not None and now < max(c.until, c.probe_until)]
        return max(active, key=lambda cooldown: cooldown.until, default=None)

    def active_cooldowns(self, now: float) -> Mapping[CooldownKey, Cooldown]:
        """Return every cooldown that keeps routes from being tried now, by its key.

        As long as nothing changes, the result is the same object, so that what is derived from it
        can be kept.
        """
        if not self._cooldowns:
            return {}
        active = self._active
        if active is None or not active.since <= now < active.until:
            with self._lock:
                active = self._active = _ActiveCooldowns.at(now, self._cooldowns)
        return active.by_key

    def claim(self, route: Route, now: float, probe_timeout_s: float, tokens: int = 0) -> bool:
        """Claim `route` for one call with a prompt of about `tokens` tokens.

        Granted if no cooldown is active and the route's rate limits allow the call. After a
        cooldown this is the single probe. A route at its rate limit starts to cool down.

        Returns:
            Whether the call may be made now.

        Raises:
            MissingPackageError: The route has rate limits; the extra `limits` is not installed.
        """
        with self._lock:
            if self.active_cooldown(route, now):
                return False
            if route.limits:
                name = cooldown_keys(route)[Scope.ROUTE].name
                wait_s = self._rate_limiter.take(name, route.limits, tokens)
                if wait_s:
                    self._start_rate_limit(route, now + wait_s)
                    return False
            self._drop_past_rate_limits(route)
            self._set_probe(route, now + probe_timeout_s)
            return True

    def probe(self, route: Route, now: float, probe_timeout_s: float) -> None:
        """Take the probe although the cooldown is not over: nothing else is left to try."""
        with self._lock:
            self._set_probe(route, now + probe_timeout_s)

    def release(self, route: Route) -> None:
        """Give back the probe of a call that was cancelled, so that the next call may take it."""
        with self._lock:
            self._set_probe(route, -math.inf)

    def record_failure(
        self, route: Route, classification: Classification, now: float, settings: FailoverSettings
    ) -> None:
        """Start or lengthen the cooldown that a failure calls for; ends the probe."""
        key = cooldown_keys(route).get(classification.scope)
        with self._lock:
            self._set_probe(route, -math.inf)
            if key is None or not settings.cooldown:
                return
            previous = self._cooldowns.get(key)
            if previous and now < previous.until:  # this call was under way when it began
                hint_s = min(classification.retry_after_s or 0.0, settings.retry_after_max_s)
                until = max(previous.until, now + hint_s)
                self._set_cooldown(key, previous._replace(until=until, failed_at=now))
                return
            failure_count = previous.failure_count + 1 if previous else 1
            length_s = cooldown_length_s(classification, failure_count, settings, self.jitter())
            self._set_cooldown(key, Cooldown(now + length_s, classification, failure_count, now))

    def record_success(self, route: Route, latency_ms: float | None = None) -> None:
        """Clear the route's cooldowns, refill the retry budget, record the latency.

        Args:
            route: The route that answered.
            latency_ms: Time to the first output, in milliseconds.
        """
        keys = cooldown_keys(route)
        with self._lock:
            if self._cooldowns:
                self._clear_failures(keys.values())
            if self._retry_tokens_used:
                self._retry_tokens_used = max(0.0, self._retry_tokens_used - 1.0)
            if latency_ms is not None:
                key = keys[Scope.ROUTE]
                mean = self._mean_latency_ms.get(key, latency_ms)
                self._mean_latency_ms[key] = mean + LATENCY_WEIGHT * (latency_ms - mean)
                samples = self._latencies_ms.setdefault(key, deque(maxlen=LATENCY_SAMPLES))
                samples.append(latency_ms)

    # Rate limits

    def mark_rate_limited(self, route: Route, until: float) -> None:
        """Leave `route` alone until then: its provider reported that a rate limit is used up."""
        with self._lock:
            self._start_rate_limit(route, until)

    def record_tokens(self, route: Route, tokens: int) -> None:
        """Count the tokens of an answer against the route's rate limits."""
        if route.limits:
            with self._lock:
                name = cooldown_keys(route)[Scope.ROUTE].name
                self._rate_limiter.record_tokens(name, route.limits, tokens)

    # Latencies

    def latency_ms(self, route: Route) -> float | None:
        """Return a route's time to the first output, as a moving average in milliseconds."""
        return self._mean_latency_ms.get(cooldown_keys(route)[Scope.ROUTE])

    def p95_latency_ms(self, route: Route) -> float | None:
        """Return the 95th percentile of a route's latency, or `None` with too few samples."""
        with self._lock:
            samples = sorted(self._latencies_ms.get(cooldown_keys(route)[Scope.ROUTE], ()))
        return samples[int(0.95 * len(samples))] if len(samples) >= MIN_LATENCY_SAMPLES else None

    # Sticky routes

    def remember_route(self, conversation: str, route: Route) -> None:
        """Remember which route answered a conversation."""
        with self._lock:
            self._sticky_routes.pop(conversation, None)
            self._sticky_routes[conversation] = (route.provider, route.model_id)
            if len(self._sticky_routes) > MAX_CONVERSATIONS:
                del self._sticky_routes[next(iter(self._sticky_routes))]

    def preferred_route(self, conversation: str) -> tuple[str, str] | None:
        """Return the provider and model id that answered a conversation last."""
        return self._sticky_routes.get(conversation)

    # Retries on the same route

    def take_retry_tokens(self, cost: float, budget: float) -> bool:
        """Take tokens from the retry budget for one retry on the same route.

        Returns:
            Whether enough were left; if not, none are taken.
        """
        with self._lock:
            if self._retry_tokens_used + cost > budget:
                return False
            self._retry_tokens_used += cost
            return True

    def reject_parameter(self, route: Route, name: str) -> bool:
        """Remember a request parameter that a route's model refused.

        Returns:
            Whether it is new.
        """
        key = cooldown_keys(route)[Scope.MODEL]
        with self._lock:
            names = self._rejected_parameters.get(key, ())
            if name in names:
                return False
            self._rejected_parameters[key] = (*names, name)
            return True

    def rejected_parameters(self, route: Route) -> tuple[str, ...]:
        """Return the request parameters that a route's model has refused in this process."""
        if not self._rejected_parameters:
            return ()
        return self._rejected_parameters.get(cooldown_keys(route)[Scope.MODEL], ())

    # Everything at once

    def reset(self) -> None:
        """Forget everything."""
        with self._lock:
            self._cooldowns.clear()
            self._active = None
            self._rejected_parameters.clear()
            self._mean_latency_ms.clear()
            self._latencies_ms.clear()
            self._sticky_routes.clear()
            self._retry_tokens_used = 0.0
            self._rate_limiter.reset()

    def report(self, now: float) -> CooldownReport:
        """Return the cooldowns that are active now."""
        with self._lock:
            cooldowns = dict(self._cooldowns)
        return CooldownReport.of(cooldowns, now)

    def renew_lock(self) -> None:
        """Replace the lock, in a forked child: a thread that does not exist there may hold it."""
        self._lock = threading.Lock()

    def _set_cooldown(self, key: CooldownKey, cooldown: Cooldown) -> None:
        self._cooldowns[key] = cooldown
        self._active = None

    def _clear_failures(self, keys: Iterable[CooldownKey]) -> None:
        for key in keys:
            if (cooldown := self._cooldowns.get(key)) is None:
                continue
            if cooldown.failure_count:
                del self._cooldowns[key]
                self._active = None
            elif cooldown.probe_until > -math.inf:  # a rate limit that was probed early
                self._set_cooldown(key, cooldown._replace(probe_until=-math.inf))

    def _start_rate_limit(self, route: Route, until: float) -> None:
        """Start a cooldown that does not count as a failure; a success does not clear it."""
        key = cooldown_keys(route)[Scope.ROUTE]
        previous = self._cooldowns.get(key)
        if previous is None or previous.until < until:
            failure_count = previous.failure_count if previous else 0
            self._set_cooldown(key, Cooldown(until, LOCAL_RATE_LIMIT, failure_count, until))

    def _drop_past_rate_limits(self, route: Route) -> None:
        """Forget the rate limits of a route that has no active cooldown: they need no probe."""
        if not self._cooldowns:
            return
        for key in cooldown_keys(route).values():
            if (cooldown := self._cooldowns.get(key)) and not cooldown.failure_count:
                del self._cooldowns[key]

    def _set_probe(self, route: Route, until: float) -> None:
        if not self._cooldowns:
            return
        for key in cooldown_keys(route).values():
            if cooldown := self._cooldowns.get(key):
                self._set_cooldown(key, cooldown._replace(probe_until=until))


PROCESS_STATE = FailoverState()
"""The state of this process: the default of every resolver, shown by `health()`."""

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=PROCESS_STATE.renew_lock)


def health() -> CooldownReport:
    """Return what is cooling down now in this process, for how long and why.

    Prints as a table, also in a notebook.
    """
    return PROCESS_STATE.report(time.monotonic())


def reset_health() -> None:
    """Forget all cooldowns, latencies, counts and retries of this process."""
    PROCESS_STATE.reset()
