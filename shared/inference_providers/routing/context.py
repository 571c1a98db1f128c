"""What a plan depends on besides the registry and the selection, as one value."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import date

    from inference_providers.credentials import Keys
    from inference_providers.failover.cooldowns import Cooldown, CooldownKey
    from inference_providers.types import LocalModels, Route, Unavailable

__all__ = ["PlanningContext"]


class PlanningContext(msgspec.Struct, frozen=True, kw_only=True):
    """What a plan depends on besides the registry and the selection.

    Attributes:
        keys: The keys, read from the environment for each plan.
        environment: `keys.environment_state()`; `None` to have it computed.
        today: The date in UTC, for shutdown dates.
        local_models: The models on this machine, by provider id. A local provider that is
            missing here was not checked.
        cooldowns: The cooldowns that are active at `now`; never modified, so that what is derived
            from the mapping can be kept as long as it is the same object.
        now: The monotonic clock, in seconds.
        latency_ms: Returns the mean time to a route's first output, if it was measured.
        chance: Returns a number from 0 to 1, for `sort="random"` and for exploring.
    """

    keys: Keys
    today: date
    environment: int | None = None
    local_models: Mapping[str, LocalModels | Unavailable] = {}
    cooldowns: Mapping[CooldownKey, Cooldown] = {}
    now: float = 0.0
    latency_ms: Callable[[Route], float | None] = lambda _: None
    chance: Callable[[], float] = lambda: 1.0
