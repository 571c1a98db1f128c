"""Compares AutoChatModel with its peers during the same outages, over HTTP.

Each contender runs in its own process, with three providers of its own in another; all
providers follow the same schedule. Each call goes to one contender after the other, so that
noise affects all of them. Every contender's clock advances by `--gap` seconds between two calls;
see `outages/clock.py`. Run it with `make bench-chaos`.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from environments import Worker, package_versions, python_of
from outages.contenders import CONTENDERS, Contender
from outages.schedule import KINDS, Call, Schedule, dead_primary, fails, schedule
from rich.console import Console

from inference_providers import tables

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

    RequestRecords = list[tuple[int, int, bool]]

PACKAGES = {
    "autoprovider": ("openai", "langchain-core", "langchain-openai"),
    "litellm": ("litellm",),
    "pydantic-ai": ("pydantic-ai-slim",),
}
WARM_UPS = 15
"""Calls of each kind before the schedule, without faults: the time of a healthy call."""
DEAD_FOR_S = 600
DEAD_GAP_S = 2.0
DEAD = ("outage", "reset")
WAITING = {"hang", "slow"}
"""Faults during which contenders are called at the same time: they wait and do not compute."""


class Outcome(NamedTuple):
    """The outcome of one call."""

    call: Call
    text: str | None
    error: str | None
    ms: float


class Player:
    """A contender in its process, and its three providers in another."""

    def __init__(self, contender: Contender, plan: Schedule, *, verbose: bool) -> None:
        self.contender = contender
        self.outcomes: list[Outcome] = []
        self._providers = _worker("autoprovider", "outages.providers", verbose=verbose)
        urls = self._providers.ask(plan.windows)
        environment, name = contender.environment, contender.name
        self._process = _worker(environment, "outages.play", name, verbose=verbose)
        self._process.send(urls)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self._process.stop()
        self._providers.stop()

    def play(self, call: Call, gap_s: float) -> Outcome:
        """Make one call, `gap_s` after the last one ended."""
        self.outcomes.append(Outcome(call, *self._process.ask([call.n, call.kind, gap_s])))
        return self.outcomes[-1]

    def request_records(self) -> RequestRecords:
        """Stop the providers; return the requests they received."""
        return [(p, n, failed) for p, n, failed in self._providers.last() if n >= 0]


def _worker(environment: str, *arguments: str, verbose: bool) -> Worker:
    command = [python_of(environment), "-W", "ignore", "-m", *arguments]
    # Otherwise importing LiteLLM downloads its list of prices.
    return Worker(command, env={"LITELLM_LOCAL_MODEL_COST_MAP": "True"}, verbose=verbose)


def run(
    plan: Schedule, contenders: Sequence[Contender], gap_s: float, *, timed: bool, verbose: bool
) -> list[tuple[Player, RequestRecords]]:
    """Run a schedule with all contenders; return each with the requests its providers received.

    If times matter, contenders run one after the other, except while they only wait.
    """
    with ExitStack() as stack, ThreadPoolExecutor(len(contenders)) as pool:

        def player(contender: Contender) -> Player:
            return Player(contender, plan, verbose=verbose)

        players = [stack.enter_context(started) for started in pool.map(player, contenders)]
        warm_ups = [Call(-1, kind) for kind in KINDS for _ in range(WARM_UPS)]
        calls = [*warm_ups, *plan.calls]
        if not timed:
            list(pool.map(lambda each: [each.play(call, gap_s) for call in calls], players))
            calls = []
        for n, call in enumerate(calls):
            faults = {plan.fault(window.provider, call.n) for window in plan.windows}
            if faults & WAITING or not n:  # the first call loads libraries and is not timed
                list(pool.map(lambda each, c=call: each.play(c, gap_s), players))
            else:
                for each in players:
                    each.play(call, gap_s)
        return [(each, each.request_records()) for each in players]


def score(player: Player, records: RequestRecords, plan: Schedule) -> dict[str, Any]:
    """Return the results of one contender."""
    played = [outcome for outcome in player.outcomes if outcome.call.n >= 0]
    healthy: dict[str, list[float]] = defaultdict(list)
    for outcome in player.outcomes[1:]:  # the first call loads its library
        if not any(plan.fault(window.provider, outcome.call.n) for window in plan.windows):
            healthy[outcome.call.kind].append(outcome.ms)
    base = {kind: statistics.median(times) for kind, times in healthy.items()}
    added = sorted(
        outcome.ms - base[outcome.call.kind] for outcome in played if plan.fault(0, outcome.call.n)
    )
    good = {outcome.call.n for outcome in played if outcome.text == outcome.call.answer}
    bad = [
        outcome
        for outcome in played
        if outcome.text is not None and outcome.text != outcome.call.answer
    ]
    wasted = sum(failed for _, _, failed in records)
    last = {n: provider for provider, n, _ in records}
    best = {call.n: _best(plan, call) for call in plan.calls}
    return {
        "name": player.contender.name,
        "calls": len(played),
        "good": len(good),
        "errors": Counter(d.error.split(":")[0] for d in played if d.error),
        "bad_answers": len(bad),
        "truncated": sum(d.call.answer.startswith(d.text or "") for d in bad),
        "wasted_per_call": wasted / len(played),
        "p50_ms": statistics.median(added),
        "p99_ms": added[min(len(added) - 1, round(0.99 * (len(added) - 1)))],
        "mean_ms": statistics.mean(added),
        "preferred": sum(last.get(n) == best[n] for n in good) / max(1, len(good)),
        "not_good": [
            (
                outcome.call.n,
                outcome.call.kind,
                _state(plan, outcome.call),
                outcome.text,
                outcome.error,
            )
            for outcome in played
            if outcome.call.n not in good
        ],
    }


def _best(plan: Schedule, call: Call) -> int:
    providers = sorted({window.provider for window in plan.windows})
    healthy = (p for p in providers if not fails(plan.fault(p, call.n), call))
    return next(healthy, len(providers))


def _state(plan: Schedule, call: Call) -> list[str]:
    providers = sorted({window.provider for window in plan.windows})
    return [plan.fault(p, call.n) or "healthy" for p in providers]


def chaos_table(scores: Sequence[dict[str, Any]], title: str) -> tables.Table:
    """Return the table of the schedule's results."""
    columns = (
        "",
        "success",
        "bad answers passed as good",
        "wasted attempts / call",
        "added ms, p50",
        "p99",
        "mean",
        "served by the first healthy provider",
    )
    rows = [
        (
            s["name"],
            f"{s['good'] / s['calls']:.1%}",
            str(s["bad_answers"]),
            f"{s['wasted_per_call']:.3f}",
            f"{s['p50_ms']:.1f}",
            f"{s['p99_ms']:,.0f}",
            f"{s['mean_ms']:,.0f}",
            f"{s['preferred']:.0%}",
        )
        for s in scores
    ]
    return tables.Table(title, columns, rows)


def dead_table(by_fault: dict[str, Sequence[dict[str, Any]]], title: str) -> tables.Table:
    """Return the failed attempts per call with a primary that never recovers."""
    columns = (
        "",
        *(f"{fault}, {column}" for fault in by_fault for column in ("failed", "success")),
    )
    rows = [
        (
            same[0]["name"],
            *(
                cell
                for s in same
                for cell in (f"{s['wasted_per_call']:.4f}", f"{s['good'] / s['calls']:.0%}")
            ),
        )
        for same in zip(*by_fault.values(), strict=True)
    ]
    return tables.Table(title, columns, rows)


def main() -> None:
    """Run the schedule, then the dead primaries; print tables or JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--calls", type=int, default=300)
    parser.add_argument("--gap", type=float, default=1.0, help="seconds between two calls")
    parser.add_argument("--part", choices=["chaos", "dead", "both"], default="both")
    parser.add_argument("--only", help="contenders whose name contains this")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--verbose", action="store_true", help="show what the libraries log")
    options = parser.parse_args()
    contenders = [c for c in CONTENDERS if (options.only or "").lower() in c.name.lower()]

    def scores(plan: Schedule, gap_s: float, *, timed: bool) -> list[dict[str, Any]]:
        played = run(plan, contenders, gap_s, timed=timed, verbose=options.verbose)
        return [score(player, records, plan) for player, records in played]

    results: dict[str, Any] = {
        "versions": package_versions(PACKAGES),
        "configurations": {c.name: c.configuration for c in contenders},
    }
    if options.part != "dead":
        plan = schedule(options.seed, options.calls)
        results["chaos"] = scores(plan, options.gap, timed=True)
    if options.part != "chaos":
        count = round(DEAD_FOR_S / DEAD_GAP_S)
        results["dead_primary"] = {
            fault: scores(dead_primary(fault, count), DEAD_GAP_S, timed=False) for fault in DEAD
        }
    if options.json:
        print(json.dumps({**vars(options), **results}, indent=1))
    else:
        show(results, options)


def show(results: dict[str, Any], options: argparse.Namespace) -> None:
    """Print the results as tables."""
    console = Console(width=150, highlight=False)
    console.print(*map(" ".join, results["versions"].items()), sep=", ")
    for name, configuration in results["configurations"].items():
        console.print(f"{name}: {configuration}", markup=False)
    if "chaos" in results:
        title = f"{options.calls} calls through seed {options.seed}, one every {options.gap:g} s"
        console.print(tables.draw(chaos_table(results["chaos"], title)))
    if "dead_primary" in results:
        every = f"one call every {DEAD_GAP_S:g} s"
        title = f"Failed attempts per call, primary dead for {DEAD_FOR_S} s, {every}"
        console.print(tables.draw(dead_table(results["dead_primary"], title)))


if __name__ == "__main__":
    main()
