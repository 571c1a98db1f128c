"""Cooldowns: until when a route, a key, a model or a host is left alone, and why.

* A cooldown belongs to a `CooldownKey`: a route, a key at a provider, a model at a
  provider, or a host. A route is cooling down while any of its keys is.
* How long a cooldown lasts depends on the failure class, on what the provider asked
  for, and on how many failures came before (`cooldown_length_s`).
* A cooldown whose length we guessed may be probed early, if nothing else is left to try.

Values and pure functions only. `inference_providers.failover.state` stores them.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

from inference_providers.failures.classes import (
    PASSES_SOON,
    Classification,
    FailureClass,
    Scope,
)
from inference_providers.tables import Table, as_html, as_text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from inference_providers.settings import FailoverSettings
    from inference_providers.types import Route

__all__ = [
    "LOCAL_RATE_LIMIT",
    "Cooldown",
    "CooldownKey",
    "CooldownReport",
    "cooldown_keys",
    "cooldown_length_s",
]

LOCAL_RATE_LIMIT = Classification(FailureClass.RATE_LIMITED, None, Scope.ROUTE)
"""The classification of a cooldown that no failure caused: the route used up a rate limit."""

_MAX_DOUBLINGS = 64
"""Keeps `2.0 ** n` within the range of a float."""


class CooldownKey(NamedTuple):
    """What a cooldown applies to: its scope, and a printable name without a secret."""

    scope: Scope
    name: str


class Cooldown(NamedTuple):
    """One cooldown. Times are on the monotonic clock, in seconds.

    Attributes:
        until: When it ends; infinite for a refused key.
        classification: The failure that caused it.
        failure_count: Failures in a row; each one doubles a guessed length.
        failed_at: When the last failure happened.
        probe_until: Until when a probe that is under way keeps other calls away.
    """

    until: float
    classification: Classification
    failure_count: int
    failed_at: float
    probe_until: float = -math.inf

    @property
    def is_rate_limit(self) -> bool:
        """Whether nothing failed: the route has used up a known rate limit."""
        return self.classification is LOCAL_RATE_LIMIT

    def allows_early_probe(self, now: float, settings: FailoverSettings) -> bool:
        """Whether the route may be probed before the end, if nothing else is left to try.

        It may if we guessed the length, no probe is under way, and the cooldown has lasted a
        minimum time. The minimum is longer for a refused key, used-up credit or a missing
        model: someone has to fix those at the provider, and we only notice by trying again.
        """
        is_guess = self.classification.retry_after_s is None and not self.is_rate_limit
        passes_soon = self.classification.failure_class in PASSES_SOON
        minimum_s = settings.cooldown_base_s if passes_soon else settings.early_probe_s
        return is_guess and now >= max(self.failed_at + minimum_s, self.probe_until)

    def reason(self, now: float) -> str:
        """Return why the route is skipped, in words that fit a row of a plan."""
        left_s = max(0.0, self.until - now)
        if self.is_rate_limit:
            return f"at its rate limit for {left_s:.0f} s"
        http = f" (HTTP {self.classification.status})" if self.classification.status else ""
        if math.isinf(self.until):
            return f"its key was refused{http}; set another"
        return f"cooling down for {left_s:.0f} s: {self.classification.failure_class}{http}"


class CooldownReport(NamedTuple):
    """The active cooldowns as a printable value.

    Each row holds the scope, the name and the reason. Prints as a table, also in a notebook.
    """

    rows: tuple[tuple[str, str, str], ...]

    @classmethod
    def of(cls, cooldowns: Mapping[CooldownKey, Cooldown], now: float) -> CooldownReport:
        """Return the report of those among `cooldowns` that are active at `now`."""
        rows = (
            (key.scope.value.lower(), key.name, cooldown.reason(now))
            for key, cooldown in sorted(cooldowns.items())
            if now < cooldown.until
        )
        return cls(tuple(rows))

    def table(self) -> Table:
        """Return the rows as a table."""
        return Table(f"{len(self.rows)} cooling down", ("scope", "name", "why"), self.rows)

    def __str__(self) -> str:
        return as_text(self.table())

    def _repr_html_(self) -> str:
        return as_html(self.table())


@lru_cache(maxsize=8192)
def cooldown_keys(route: Route) -> Mapping[Scope, CooldownKey]:
    """Return the keys under which a failure of `route` may be stored, by scope.

    The key for `Scope.KEY` holds the fingerprint of the API key's value, so a cooldown
    after a refused key ends when the variable gets another value.
    """
    # Kept per route: a call looks the keys up several times.
    provider, model_id = route.provider, route.model_id
    fingerprint = route.key_fingerprint or "no key"
    host = urlsplit(route.endpoint.base_url).netloc
    names = {
        Scope.ROUTE: f"{model_id}, {provider} at {host}, {fingerprint}",
        Scope.KEY: f"{provider} at {host}, {fingerprint}",
        Scope.MODEL: f"{model_id}, {provider} at {host}",
        Scope.HOST: host,
    }
    return {scope: CooldownKey(scope, name) for scope, name in names.items()}


def cooldown_length_s(
    classification: Classification, failure_count: int, settings: FailoverSettings, jitter: float
) -> float:
    """Return how long to leave alone what failed, in seconds.

    A time that the provider asked for is honoured up to `settings.retry_after_max_s`.
    Without one, the length doubles with each failure in a row, up to the maximum for the
    class, and varies by `settings.cooldown_jitter` for overloads and rate limits.

    Args:
        classification: The failure.
        failure_count: Failures in a row, this one included.
        settings: The failover numbers.
        jitter: A number from 0 to 1; 0.5 leaves the length as it is.
    """
    hint_s = classification.retry_after_s
    match classification.failure_class:
        case FailureClass.AUTH_FAILED:
            return math.inf
        case FailureClass.MODEL_NOT_FOUND:
            return settings.model_cooldown_s
        case FailureClass.QUOTA_EXCEEDED:
            base_s, max_s = settings.quota_cooldown_s, settings.quota_cooldown_max_s
            return hint_s or _doubled(base_s, failure_count, max_s)
        case FailureClass.RATE_LIMITED if hint_s is not None:
            return min(max(hint_s, 1.0), settings.retry_after_max_s)
        case FailureClass.RATE_LIMITED:
            base_s, max_s = settings.rate_limit_cooldown_s, settings.rate_limit_cooldown_max_s
        case _:
            base_s, max_s = settings.cooldown_base_s, settings.cooldown_max_s
    guess_s = _doubled(base_s, failure_count, max_s)
    guess_s *= 1.0 + settings.cooldown_jitter * (2.0 * jitter - 1.0)
    return max(guess_s, min(hint_s or 0.0, settings.retry_after_max_s))


def _doubled(base_s: float, failure_count: int, max_s: float) -> float:
    return min(max_s, base_s * 2.0 ** min(failure_count - 1, _MAX_DOUBLINGS))
