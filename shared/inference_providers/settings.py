"""The numbers of failover, each with its unit. Frozen: one set of settings is one value."""

from __future__ import annotations

from typing import Literal

import msgspec

__all__ = ["DEFAULT_SETTINGS", "FailoverSettings"]


class FailoverSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When to wait, when to move on, when to stop.

    Attributes:
        max_attempts: Attempts of one call, over all routes.
        timeout_s: One deadline for the whole call, waits included.
        attempt_share: Share of what is left of it that one attempt may take to show
            output, while another route is free.
        hedge_after: Seconds without output after which the next route is asked as well,
            or `"p95"`: as long as 95 of 100 calls of that route took, once it is known.
        connect_timeout_s: For a connection to be made.
        first_token_timeout_s: For a stream to show its first chunk.
        inter_chunk_timeout_s: Between two chunks of a stream.
        max_wait_s: The longest wait for a route that is the only one.
        fallback_on_content_filter: Whether a refusal by content policy moves to another provider.
        cooldown: Whether routes that failed rest.
        rest_base_s: First rest of a route that is overloaded or broken; doubles.
        rest_max_s: Its longest rest.
        rest_jitter: Share by which a rest of our own choosing varies, either way.
        rate_rest_s: Rest after a rate limit that says no time; doubles.
        rate_rest_max_s: Its longest.
        quota_rest_s: Rest of a key whose credit is used up; doubles.
        quota_rest_max_s: Its longest.
        model_rest_s: Rest of a model that a provider does not have.
        last_resort_s: How long a rest of our own guess, after a refused key, used-up credit
            or a missing model, lasts at the least before the route is asked where nothing
            else is left.
        hint_max_s: The longest rest a rate limit or an overload may ask for.
        probe_lease_s: How long the one probe after a rest keeps others away.
        retry_backoff_s: Mean of the first wait before the only route is tried again.
        retry_backoff_max_s: Its longest.
        retry_budget: Tokens that retries on the same route may spend, per process.
        retry_cost: Tokens of one retry after an overload.
        rate_retry_cost: Tokens of one retry after a rate limit.
    """

    max_attempts: int = 4
    timeout_s: float = 600.0
    attempt_share: float = 0.5
    hedge_after: float | Literal["p95"] | None = None
    connect_timeout_s: float = 5.0
    first_token_timeout_s: float = 60.0
    inter_chunk_timeout_s: float = 60.0
    max_wait_s: float = 60.0
    fallback_on_content_filter: bool = False
    cooldown: bool = True
    rest_base_s: float = 1.0
    rest_max_s: float = 60.0
    rest_jitter: float = 0.2
    rate_rest_s: float = 10.0
    rate_rest_max_s: float = 120.0
    quota_rest_s: float = 3600.0
    quota_rest_max_s: float = 86400.0
    model_rest_s: float = 3600.0
    last_resort_s: float = 10.0
    hint_max_s: float = 3600.0
    probe_lease_s: float = 30.0
    retry_backoff_s: float = 0.5
    retry_backoff_max_s: float = 8.0
    retry_budget: float = 500.0
    retry_cost: float = 14.0
    rate_retry_cost: float = 5.0


DEFAULT_SETTINGS = FailoverSettings()
