"""What was tried, as the plain dict that rides on the answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from inference_providers.failover.events import Success

if TYPE_CHECKING:
    from collections.abc import Sequence

    from inference_providers.failover.events import AttemptRecord
    from inference_providers.types import Cost, Plan

__all__ = ["cost_usd", "trace"]


def trace(
    plan: Plan, tried: Sequence[AttemptRecord], tokens: tuple[int, int] | None = None
) -> dict[str, Any]:
    """Return the record of one answered request.

    `tokens` are the input and output tokens of the answer, where the provider told
    them. `degraded` says that another model than the first one named answered.
    An attempt that left out request parameters the provider refuses names them in
    `without`. `ttft_ms` is the time to the first output of a stream; `cost_usd` is `None` where
    price or tokens are unknown: no price is better than a wrong one.
    """
    route, outcome = tried[-1].route, tried[-1].outcome
    return {
        "model": route.model,
        "provider": route.provider,
        "model_id": route.model_id,
        "degraded": route.model != next(iter(plan.models), route.model),
        "attempts": [_attempt(attempt) for attempt in tried],
        "skipped": [
            {"provider": skip.provider, "model": skip.model, "reason": skip.reason}
            for skip in plan.skipped
        ],
        "ttft_ms": outcome.first_output_ms if isinstance(outcome, Success) else None,
        "cost_usd": cost_usd(route.model_info.cost, tokens),
    }


def _attempt(attempt: AttemptRecord) -> dict[str, Any]:
    told = {
        "provider": attempt.route.provider,
        "model": attempt.route.model,
        "model_id": attempt.route.model_id,
        "outcome": type(attempt.outcome).__name__.lower(),
        "class": attempt.failure_class,
        "status": attempt.status,
        "ms": attempt.outcome.ms,
    }
    return {**told, "without": list(attempt.without)} if attempt.without else told


def cost_usd(cost: Cost | None, tokens: tuple[int, int] | None) -> float | None:
    """Return the price of one answer in USD, or `None` when it cannot be known."""
    if cost is None or tokens is None:
        return None
    return (tokens[0] * cost.input + tokens[1] * cost.output) / 1_000_000
