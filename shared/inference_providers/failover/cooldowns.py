"""Who rests until when: one state per process, shared by everything that asks models.

* A rest lies on a mark: a route, a key, a model at a provider, or a host. A route
  rests while any of its marks does.
* A rest only grows. Failures of calls that were under way when it began do not
  lengthen it, so a burst counts once.
* When it is over, one call probes; until that call ends, or its lease does, others
  keep away. An answer clears the marks, a failure doubles the rest.
* A rest after a refused key ends when the key's value changes: the mark holds the
  value's fingerprint.

Time comes in as an argument, but for the functions at the end. The lock is held over
memory only.
"""

from __future__ import annotations

import math
import random
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

from inference_providers.failover.rate_limiter import RateLimiter
from inference_providers.failures.classes import Classification, FailureClass, Scope
from inference_providers.tables import Table, as_html, as_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from inference_providers.settings import FailoverSettings
    from inference_providers.types import RateLimits, Route

__all__ = [
    "PROCESS_STATE",
    "Cooldown",
    "CooldownReport",
    "FailoverState",
    "cooldown_keys",
    "health",
    "reset_health",
]

LATENCY_WEIGHT = 0.2
"""Share of the newest time in the moving average."""
SAMPLES = 100
"""Times to the first output that are kept of each route, for its 95th percentile."""
MIN_SAMPLES = 20
"""Fewer say nothing about the slowest twentieth."""
MAX_CONVERSATIONS = 1000
"""Conversations whose route is remembered; the ones not heard of for longest go first."""

CooldownKey = tuple[Scope, str]


_AT_ITS_LIMIT = Classification(FailureClass.RATE_LIMITED, None, Scope.ROUTE)


class Cooldown(NamedTuple):
    """Why a mark rests, until when, and when it failed last, on the monotonic clock."""

    until: float
    classification: Classification
    strikes: int
    failed_at: float
    probe_until: float = -math.inf

    @property
    def is_limit(self) -> bool:
        """Whether nothing failed: the route has been asked as often as it allows."""
        return self.classification is _AT_ITS_LIMIT

    def may_have_passed(self, now: float, settings: FailoverSettings) -> bool:
        """Say whether it is worth a probe before its time, where nothing else is left.

        It is when its length was our guess, nobody probes, and it has lasted a while:
        longer where a key was refused, or credit or a model was missing, than after an
        overload. Those may be mended at the provider, which nobody tells us.
        """
        guessed = self.classification.retry_after_s is None and not self.is_limit
        brief = self.classification.failure_class in {
            FailureClass.OVERLOADED,
            FailureClass.INVALID_RESPONSE,
        }
        least_s = settings.rest_base_s if brief else settings.last_resort_s
        return guessed and now >= max(self.failed_at + least_s, self.probe_until)

    def reason(self, now: float) -> str:
        """Say it in words that fit a skipped route."""
        if self.is_limit:
            return f"at its limit for {max(0.0, self.until - now):.0f} s"
        http = f" (HTTP {self.classification.status})" if self.classification.status else ""
        if math.isinf(self.until):
            return f"its key was refused{http}; set another"
        left = max(0.0, self.until - now)
        return f"cooling down for {left:.0f} s: {self.classification.failure_class}{http}"


class CooldownReport(NamedTuple):
    """Who rests, as a printable value."""

    rows: tuple[tuple[str, str, str], ...]

    def table(self) -> Table:
        """Return it as a table."""
        return Table(f"{len(self.rows)} at rest", ("what", "which", "why"), self.rows)

    def __str__(self) -> str:
        return as_text(self.table())

    def _repr_html_(self) -> str:
        return as_html(self.table())


def cooldown_keys(route: Route) -> dict[Scope, CooldownKey]:
    """Return what a route's failures may be laid on, by scope."""
    host = urlsplit(route.endpoint.base_url).netloc
    at = f"{route.provider} at {host}"
    key = route.key_fingerprint or "no key"
    return {
        Scope.ROUTE: (Scope.ROUTE, f"{route.model_id}, {at}, {key}"),
        Scope.KEY: (Scope.KEY, f"{at}, {key}"),
        Scope.MODEL: (Scope.MODEL, f"{route.model_id}, {at}"),
        Scope.HOST: (Scope.HOST, host),
    }


class FailoverState:
    """The rests of a process, and the budget for retries.

    Args:
        jitter: Returns a number from 0 to 1, by which rests and waits of our own
            choosing vary.
    """

    def __init__(self, jitter: Callable[[], float] = random.random) -> None:
        self.jitter = jitter
        self._allowance = RateLimiter()
        self._rests: dict[CooldownKey, Cooldown] = {}
        self._refused: dict[CooldownKey, tuple[str, ...]] = {}
        self._latency_ms: dict[CooldownKey, float] = {}
        self._samples_ms: dict[CooldownKey, deque[float]] = {}
        self._conversations: dict[str, tuple[str, str]] = {}
        self._spent = 0.0
        self._lock = threading.Lock()

    def active_cooldown(self, route: Route, now: float) -> Cooldown | None:
        """Return the longest rest that keeps `route` from being tried now, if any."""
        rests = [rest for rest in self._of(route) if now < max(rest.until, rest.probe_until)]
        return max(rests, key=lambda rest: rest.until, default=None)

    def claim(self, route: Route, now: float, lease_s: float, tokens: int = 0) -> bool:
        """Take leave to try a route with a prompt of about so many tokens.

        Nothing rests and its limits allow it, or this is the one probe after a rest. A
        route at its limits rests until they allow it again.
        """
        with self._lock:
            if self.active_cooldown(route, now):
                return False
            if route.limits and (wait_s := self._take(route, route.limits, tokens)):
                self._limited(route, now + wait_s)
                return False
            self._lease(route, now + lease_s)
            return True

    def probe(self, route: Route, now: float, lease_s: float) -> None:
        """Take the probe although the rest is not over: nothing else is left to try."""
        with self._lock:
            self._lease(route, now + lease_s)

    def release(self, route: Route) -> None:
        """Give a probe back whose call was cancelled, so that the next may take it."""
        with self._lock:
            self._lease(route, -math.inf)

    def failed(
        self, route: Route, classification: Classification, now: float, settings: FailoverSettings
    ) -> None:
        """Lay a rest on the mark that a failure means."""
        mark = cooldown_keys(route).get(classification.scope)
        with self._lock:
            self._lease(route, -math.inf)
            if mark is None or not settings.cooldown:
                return
            before = self._rests.get(mark)
            if before and now < before.until:  # it was under way when the rest began
                hinted = now + min(classification.retry_after_s or 0.0, settings.hint_max_s)
                until = max(before.until, hinted)
                self._rests[mark] = before._replace(until=until, failed_at=now)
                return
            strikes = before.strikes + 1 if before else 1
            until = now + self._rest_s(classification, strikes, settings)
            self._rests[mark] = Cooldown(until, classification, strikes, now)

    def exhausted(self, route: Route, until: float) -> None:
        """Let a route rest whose provider says, beside an answer, that a limit is used up."""
        with self._lock:
            self._limited(route, until)

    def spent(self, route: Route, tokens: int) -> None:
        """Count the tokens of an answer against the route's limits."""
        if route.limits:
            self._allowance.spend(cooldown_keys(route)[Scope.ROUTE][1], route.limits, tokens)

    def answered(self, route: Route, ms: float | None = None) -> None:
        """Clear a route's marks, put a token back into the budget, and note how long it took."""
        marks = cooldown_keys(route)
        mark = marks[Scope.ROUTE]
        with self._lock:
            for each in marks.values():
                if (rest := self._rests.get(each)) and rest.strikes:
                    del self._rests[each]
            self._spent = max(0.0, self._spent - 1.0)
            if ms is not None:
                mean = self._latency_ms.get(mark, ms)
                self._latency_ms[mark] = mean + LATENCY_WEIGHT * (ms - mean)
                self._samples_ms.setdefault(mark, deque(maxlen=SAMPLES)).append(ms)

    def latency_ms(self, route: Route) -> float | None:
        """Return what a route has taken to its first output, as a moving average."""
        return self._latency_ms.get(cooldown_keys(route)[Scope.ROUTE])

    def p95_ms(self, route: Route) -> float | None:
        """Return what 95 of 100 first outputs of a route took at most; `None` for too few."""
        with self._lock:
            samples = sorted(self._samples_ms.get(cooldown_keys(route)[Scope.ROUTE], ()))
        return samples[int(0.95 * len(samples))] if len(samples) >= MIN_SAMPLES else None

    def keep(self, conversation: str, route: Route) -> None:
        """Note which route answers a conversation."""
        with self._lock:
            self._conversations.pop(conversation, None)
            self._conversations[conversation] = (route.provider, route.model_id)
            if len(self._conversations) > MAX_CONVERSATIONS:
                del self._conversations[next(iter(self._conversations))]

    def kept(self, conversation: str) -> tuple[str, str] | None:
        """Return the provider and model id that answered a conversation last."""
        return self._conversations.get(conversation)

    def spend(self, cost: float, budget: float) -> bool:
        """Take tokens for a retry on the same route; say whether there were enough."""
        with self._lock:
            if self._spent + cost > budget:
                return False
            self._spent += cost
            return True

    def refuses_parameter(self, route: Route, name: str) -> bool:
        """Note a request parameter that a route does not know; say whether that is news."""
        mark = cooldown_keys(route)[Scope.MODEL]
        with self._lock:
            known = self._refused.get(mark, ())
            self._refused[mark] = known if name in known else (*known, name)
            return name not in known

    def refused_parameters(self, route: Route) -> tuple[str, ...]:
        """Return the request parameters that a route has refused in this process."""
        return self._refused.get(cooldown_keys(route)[Scope.MODEL], ())

    def reset(self) -> None:
        """Forget everything."""
        with self._lock:
            self._rests.clear()
            self._refused.clear()
            self._latency_ms.clear()
            self._samples_ms.clear()
            self._conversations.clear()
            self._spent = 0.0
            self._allowance.reset()

    def report(self, now: float) -> CooldownReport:
        """Return who rests now."""
        with self._lock:
            rests = sorted(self._rests.items())
        rows = ((s.value.lower(), name, r.reason(now)) for (s, name), r in rests if now < r.until)
        return CooldownReport(tuple(rows))

    def _of(self, route: Route) -> Iterator[Cooldown]:
        found = (self._rests.get(mark) for mark in cooldown_keys(route).values())
        return (rest for rest in found if rest)

    def _take(self, route: Route, limits: RateLimits, tokens: int) -> float:
        return self._allowance.take(cooldown_keys(route)[Scope.ROUTE][1], limits, tokens)

    def _limited(self, route: Route, until: float) -> None:
        """Lay a rest that is no failure's: without strikes, and an answer does not clear it."""
        mark = cooldown_keys(route)[Scope.ROUTE]
        before = self._rests.get(mark)
        if before is None or before.until < until:
            self._rests[mark] = Cooldown(
                until, _AT_ITS_LIMIT, before.strikes if before else 0, until
            )

    def _lease(self, route: Route, until: float) -> None:
        for mark in cooldown_keys(route).values():
            if rest := self._rests.get(mark):
                self._rests[mark] = rest._replace(probe_until=until)

    def _rest_s(
        self, classification: Classification, strikes: int, settings: FailoverSettings
    ) -> float:
        hint = classification.retry_after_s
        match classification.failure_class:
            case FailureClass.AUTH_FAILED:
                return math.inf
            case FailureClass.MODEL_NOT_FOUND:
                return settings.model_rest_s
            case FailureClass.QUOTA_EXCEEDED:
                return hint or _doubled(settings.quota_rest_s, strikes, settings.quota_rest_max_s)
            case FailureClass.RATE_LIMITED if hint is not None:
                return min(max(hint, 1.0), settings.hint_max_s)
            case FailureClass.RATE_LIMITED:
                own = _doubled(settings.rate_rest_s, strikes, settings.rate_rest_max_s)
            case _:
                own = _doubled(settings.rest_base_s, strikes, settings.rest_max_s)
        varied = own * (1.0 + settings.rest_jitter * (2.0 * self.jitter() - 1.0))
        return max(varied, min(hint or 0.0, settings.hint_max_s))


PROCESS_STATE = FailoverState()
"""The one of this process."""


def health() -> CooldownReport:
    """Return who rests now, for how long and why; prints as a table."""
    return PROCESS_STATE.report(time.monotonic())


def reset_health() -> None:
    """Forget who rests, and what retries have spent."""
    PROCESS_STATE.reset()


def _doubled(base: float, strikes: int, most: float) -> float:
    return min(most, base * 2.0 ** min(strikes - 1, 64))
