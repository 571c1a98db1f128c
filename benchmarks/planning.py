"""What a plan costs: microseconds per plan, and per route, for large and small selections.

The first plan judges every candidate. Later plans reuse it until the environment, the date or the
models on this machine change, so they should cost about the same for 1 route and for 1,000.
"""

from __future__ import annotations

import argparse
import statistics
import time
from typing import TYPE_CHECKING, Any

from rich.console import Console

from inference_providers import tables
from inference_providers.credentials import Keys
from inference_providers.failover.state import FailoverState
from inference_providers.failures.classes import Classification, FailureClass, Scope
from inference_providers.registry.registry import Registry
from inference_providers.routing.resolver import Resolver
from inference_providers.settings import DEFAULT_SETTINGS
from inference_providers.types import Needs, Selection

if TYPE_CHECKING:
    from collections.abc import Callable


def median_us(call: Callable[[], Any], rounds: int) -> float:
    """Return the median time of a call in microseconds."""
    times: list[float] = []
    for _ in range(rounds):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return statistics.median(times) * 1e6


def resolver(routes: int, state: FailoverState) -> Resolver:
    """Return a resolver for a model that this many providers serve, each with its own key."""
    providers = {
        f"p{n}": {
            "name": f"P{n}",
            "auth": {"any_of": [[f"P{n}_KEY"]]},
            "endpoints": {
                "default": {"protocol": "openai-chat", "base_url": f"https://p{n}.test/v1"}
            },
            "models": {"m": {"id": f"m-at-p{n}", "context": 100_000}},
        }
        for n in range(routes)
    }
    registry = Registry.load({"providers": providers})
    keys = Keys(environ={f"P{n}_KEY": f"key-{n}" for n in range(routes)})
    return Resolver(Selection(models=("m",)), registry, keys, lambda _: {}, state)


def row(routes: int, rounds: int) -> tuple[str, ...]:
    """Measure the plans over this many routes."""
    needs = Needs(context=900)

    def first_plan() -> float:
        planning = resolver(routes, FailoverState())
        return median_us(lambda: planning.plan(needs), 1)

    state = FailoverState()
    planning = resolver(routes, state)
    first = statistics.median(first_plan() for _ in range(5))
    repeated = median_us(lambda: planning.plan(needs), rounds)
    failure = Classification(FailureClass.OVERLOADED, 503, Scope.ROUTE, retry_after_s=3600.0)
    state.record_failure(planning.plan().routes[0], failure, time.monotonic(), DEFAULT_SETTINGS)
    cooling = median_us(lambda: planning.plan(needs), rounds)
    long_prompt = median_us(lambda: planning.plan(Needs(context=200_000)), rounds)
    return (
        f"{routes:,}",
        *(f"{us:,.0f}" for us in (first, repeated, cooling, long_prompt)),
        f"{repeated / routes:.2f}",
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=200)
    options = parser.parse_args()
    columns = ("routes", "first", "repeated", "one cooling down", "prompt too long", "per route")
    rows = [row(routes, options.rounds) for routes in (1, 10, 100, 1000)]
    table = tables.Table("Microseconds per plan", columns, rows)
    Console(width=100).print(tables.draw(table))


if __name__ == "__main__":
    main()
