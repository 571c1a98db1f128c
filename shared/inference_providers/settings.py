"""The numbers of failover, each with its unit: one frozen value."""

from __future__ import annotations

from typing import Literal

import msgspec

__all__ = ["DEFAULT_SETTINGS", "FailoverSettings"]


class FailoverSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When to wait, when to try another route, when to give up.

    Names that end in `_s` are in seconds.

    Attributes:
        max_attempts: Attempts per call, over all routes.
        timeout_s: Deadline for the whole call, waits included.
        attempt_share: Share of the remaining time that one attempt may use until it shows
            output, while another route is free.
        hedge_after: Seconds without output after which the next route is tried in parallel.
            `"p95"` takes the 95th percentile of the route's latency, once it is known.
        connect_timeout_s: Timeout for opening a connection.
        first_token_timeout_s: Timeout for the first output of a stream.
        inter_chunk_timeout_s: Timeout between two chunks of a stream that have output.
        max_wait_s: Longest wait for the only route.
        fallback_on_content_filter: Whether a content-filter refusal is tried on another
            provider.
        cooldown: Whether a failure starts a cooldown.
        cooldown_base_s: First cooldown after an overload or an invalid response; doubles with
            each further failure.
        cooldown_max_s: Longest such cooldown.
        cooldown_jitter: Share by which a guessed cooldown varies, up or down.
        rate_limit_cooldown_s: First cooldown after a rate limit without a Retry-After;
            doubles.
        rate_limit_cooldown_max_s: Longest such cooldown.
        quota_cooldown_s: First cooldown of a key whose credit is used up; doubles.
        quota_cooldown_max_s: Longest such cooldown.
        model_cooldown_s: Cooldown of a model that the provider does not have.
        early_probe_s: Minimum length of a guessed cooldown after a refused key, used-up
            credit or a missing model, before the route is probed because nothing else is left.
        retry_after_max_s: Longest cooldown that a rate limit or an overload may ask for.
        probe_timeout_s: How long the probe after a cooldown keeps other calls away.
        retry_backoff_s: Mean of the first wait before the only route is tried again.
        retry_backoff_max_s: Longest such wait.
        retry_budget: Tokens for retries on the same route, per process. Each success puts one
            token back.
        retry_cost: Tokens that one retry after an overload takes.
        rate_limit_retry_cost: Tokens that one retry after a rate limit takes.
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
    cooldown_base_s: float = 1.0
    cooldown_max_s: float = 60.0
    cooldown_jitter: float = 0.2
    rate_limit_cooldown_s: float = 10.0
    rate_limit_cooldown_max_s: float = 120.0
    quota_cooldown_s: float = 3600.0
    quota_cooldown_max_s: float = 86400.0
    model_cooldown_s: float = 3600.0
    early_probe_s: float = 10.0
    retry_after_max_s: float = 3600.0
    probe_timeout_s: float = 30.0
    retry_backoff_s: float = 0.5
    retry_backoff_max_s: float = 8.0
    retry_budget: float = 500.0
    retry_cost: float = 14.0
    rate_limit_retry_cost: float = 5.0


DEFAULT_SETTINGS = FailoverSettings()
