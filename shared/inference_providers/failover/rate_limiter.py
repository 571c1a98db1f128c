"""What a provider allows a minute, counted here so that a route at its limit is not hit.

RateLimits stand in a user's file, since they belong to an account. The counting is that of the
`limits` package (extra `limits`), loaded when the first route with limits is asked.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from inference_providers.errors import MissingPackageError

if TYPE_CHECKING:
    from inference_providers.types import RateLimits

__all__ = ["RateLimiter"]

_SOON_S = 0.05
"""At the least, so that nobody asks again and again within one tick."""


class RateLimiter:
    """Counts the requests and tokens of the last minute, by a mark for who is limited."""

    def __init__(self) -> None:
        self._counters: tuple[Any, Any, Any] | None = None

    def take(self, mark: str, limits: RateLimits, tokens: int) -> float:
        """Count a request whose prompt has about so many tokens, if it may be sent now.

        Returns:
            `0.0` when it may, and is counted; else the seconds until it may.

        Raises:
            MissingPackageError: The extra `limits` is not installed.
        """
        requests, spent, a_minute = self._loaded()
        asked = []
        if limits.rpm:
            asked.append((requests, a_minute(limits.rpm), 1))
        if limits.tpm:
            asked.append((spent, a_minute(limits.tpm), min(max(tokens, 1), limits.tpm)))
        for counter, limit, cost in asked:
            if not counter.test(limit, mark, cost=cost):
                free_at: float = counter.get_window_stats(limit, mark).reset_time
                return max(free_at - time.time(), _SOON_S)
        if limits.rpm:
            requests.hit(a_minute(limits.rpm), mark)
        return 0.0

    def spend(self, mark: str, limits: RateLimits, tokens: int) -> None:
        """Count the tokens of an answered request; what passes the limit uses it up."""
        if limits.tpm:
            _, spent, a_minute = self._loaded()
            limit = a_minute(limits.tpm)
            left: int = spent.get_window_stats(limit, mark).remaining
            spent.hit(limit, mark, cost=min(tokens, left))

    def reset(self) -> None:
        """Forget what was counted."""
        self._counters = None

    def _loaded(self) -> tuple[Any, Any, Any]:
        """Return who counts requests, who counts tokens, and what makes a limit a minute."""
        if self._counters is None:
            try:
                from limits import RateLimitItemPerMinute  # noqa: PLC0415 - needed by few
                from limits.storage import MemoryStorage  # noqa: PLC0415
                from limits.strategies import (  # noqa: PLC0415
                    MovingWindowRateLimiter,
                    SlidingWindowCounterRateLimiter,
                )
            except ImportError as error:
                msg = "the registry limits a provider: pip install 'autoprovider[limits]'"
                raise MissingPackageError(msg) from error
            # Each entry of a moving window takes memory: right for requests, not for tokens.
            requests = MovingWindowRateLimiter(MemoryStorage())
            tokens = SlidingWindowCounterRateLimiter(MemoryStorage())
            self._counters = requests, tokens, RateLimitItemPerMinute
        return self._counters
