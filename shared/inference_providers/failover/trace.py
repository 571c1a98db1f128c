"""The trace: a plain dict on each answer that says which routes were tried and why."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from inference_providers.failover.events import Success, answering_record

if TYPE_CHECKING:
    from collections.abc import Sequence

    from inference_providers.failover.events import AttemptRecord
    from inference_providers.failover.state import FailoverState
    from inference_providers.types import Cost, Plan

__all__ = ["build_trace", "cost_usd", "record_answer"]


def record_answer(
    plan: Plan,
    attempts: Sequence[AttemptRecord],
    tokens: tuple[int, int] | None,
    state: FailoverState,
) -> dict[str, Any]:
    """Count an answer's tokens against its route's rate limits in `state`; return the trace."""
    answering = answering_record(attempts)
    if tokens is not None:
        state.record_tokens(answering.route, sum(tokens))
    return _trace(plan, attempts, answering, tokens)


def build_trace(
    plan: Plan, attempts: Sequence[AttemptRecord], tokens: tuple[int, int] | None = None
) -> dict[str, Any]:
    """Return the trace of one answered request.

    * `degraded` says whether a model other than the first one named answered.
    * The `outcome` of an attempt is `success`, `flawed`, `failure` or `cancelled`. A flawed
      answer, such as an empty one, has a `flaw`; it is handed out only if no other route did
      better.
    * An attempt that left out request parameters lists them in `without`.
    * `ttft_ms` is the time to the first output of a stream.
    * `cost_usd` is `None` when the price or the tokens are unknown, rather than wrong.

    Args:
        plan: The plan of the request.
        attempts: All attempts; at least one succeeded.
        tokens: Input and output tokens of the answer, if the provider reported them.
    """
    return _trace(plan, attempts, answering_record(attempts), tokens)


def _trace(
    plan: Plan,
    attempts: Sequence[AttemptRecord],
    answering: AttemptRecord,
    tokens: tuple[int, int] | None,
) -> dict[str, Any]:
    route, outcome = answering.route, answering.outcome
    return {
        "model": route.model,
        "provider": route.provider,
        "model_id": route.model_id,
        "degraded": bool(plan.models) and route.model != plan.models[0],
        "attempts": [_attempt_entry(attempt) for attempt in attempts],
        "skipped": [
            {"provider": skip.provider, "model": skip.model, "reason": skip.reason}
            for skip in plan.skipped
        ],
        "ttft_ms": outcome.first_output_ms if isinstance(outcome, Success) else None,
        "cost_usd": cost_usd(route.model_info.cost, tokens),
    }


def cost_usd(cost: Cost | None, tokens: tuple[int, int] | None) -> float | None:
    """Return the price of one answer in USD, or `None` if it is unknown."""
    if cost is None or tokens is None:
        return None
    return (tokens[0] * cost.input + tokens[1] * cost.output) / 1_000_000


def _attempt_entry(attempt: AttemptRecord) -> dict[str, Any]:
    outcome = attempt.outcome
    flaw = outcome.flaw if isinstance(outcome, Success) else None
    entry: dict[str, Any] = {
        "provider": attempt.route.provider,
        "model": attempt.route.model,
        "model_id": attempt.route.model_id,
        "outcome": "flawed" if flaw else type(outcome).__name__.lower(),
        "class": attempt.failure_class,
        "status": attempt.status,
        "ms": outcome.ms,
    }
    if flaw:
        entry["flaw"] = flaw.value
    if attempt.without:
        entry["without"] = list(attempt.without)
    return entry
