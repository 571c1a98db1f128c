"""Counts requests and tokens per minute, so that a route at its limit is not called.

`RateLimits` come from the user's own registry file, since they depend on the account. The
`limits` package (extra `limits`) does the counting. It is imported when the first route
that has limits is tried, and it reads the clock itself.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple

from inference_providers.errors import MissingPackageError

if TYPE_CHECKING:
    from limits import RateLimitItemPerMinute
    from limits.strategies import MovingWindowRateLimiter, SlidingWindowCounterRateLimiter

    from inference_providers.types import RateLimits

__all__ = ["RateLimiter"]

_MIN_WAIT_S = 0.05
"""Keeps a caller from asking again within one tick of the clock."""


class _Counters(NamedTuple):
    """The counters of the `limits` package, and its class for a limit per minute."""

    requests: MovingWindowRateLimiter
    tokens: SlidingWindowCounterRateLimiter
    per_minute: type[RateLimitItemPerMinute]


class RateLimiter:
    """Counts the requests and tokens of the last minute, by route name.

    Not thread-safe: the owner holds a lock around each call.
    """

    def __init__(self) -> None:
        self._counters: _Counters | None = None

    def take(self, name: str, limits: RateLimits, tokens: int) -> float:
        """Count one request with a prompt of about `tokens` tokens, if the limits allow it.

        The tokens are tested, not counted: `record_tokens` counts the real number later. A
        prompt larger than the whole limit passes if nothing was used yet; the provider decides.

        Returns:
            `0.0` if the request may be sent now, else the seconds until it may.

        Raises:
            MissingPackageError: The extra `limits` is not installed.
        """
        counters = self._load()
        if limits.rpm:
            limit = counters.per_minute(limits.rpm)
            if not counters.requests.test(limit, name):
                return _wait_s(counters.requests.get_window_stats(limit, name).reset_time)
        if limits.tpm:
            limit = counters.per_minute(limits.tpm)
            if not counters.tokens.test(limit, name, cost=min(max(tokens, 1), limits.tpm)):
                return _wait_s(counters.tokens.get_window_stats(limit, name).reset_time)
        if limits.rpm:
            counters.requests.hit(counters.per_minute(limits.rpm), name)
        return 0.0

    def record_tokens(self, name: str, limits: RateLimits, tokens: int) -> None:
        """Count the tokens of an answered request, at most what is left of the limit."""
        if limits.tpm:
            counters = self._load()
            limit = counters.per_minute(limits.tpm)
            remaining = counters.tokens.get_window_stats(limit, name).remaining
            counters.tokens.hit(limit, name, cost=min(tokens, remaining))

    def reset(self) -> None:
        """Forget all counts."""
        self._counters = None

    def _load(self) -> _Counters:
        if self._counters is None:
            try:
                from limits import RateLimitItemPerMinute  # noqa: PLC0415 - few users need it
                from limits.storage import MemoryStorage  # noqa: PLC0415
                from limits.strategies import (  # noqa: PLC0415
                    MovingWindowRateLimiter,
                    SlidingWindowCounterRateLimiter,
                )
            except ImportError as error:
                msg = "The registry sets rate limits; pip install 'autoprovider[limits]'"
                raise MissingPackageError(msg) from error
            # A moving window stores each entry: fine for requests, too much for tokens.
            self._counters = _Counters(
                requests=MovingWindowRateLimiter(MemoryStorage()),
                tokens=SlidingWindowCounterRateLimiter(MemoryStorage()),
                per_minute=RateLimitItemPerMinute,
            )
        return self._counters


def _wait_s(reset_time: float) -> float:
    """Return the seconds until a reset; `reset_time` is in seconds since the epoch."""
    return max(reset_time - time.time(), _MIN_WAIT_S)
