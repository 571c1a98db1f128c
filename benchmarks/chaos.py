"""AutoChatModel and its peers through the same outages, over HTTP, side by side.

Each contender has a process of its own and three providers of its own in another; all
providers play the same schedule. Call by call goes to one contender after the other, so
that noise hits all alike. The clock of every contender goes on by `--gap` seconds
between two calls; see `outages/clock.py`. Run it by `make bench-chaos`.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import subprocess
import sys
from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from outages.contenders import CONTENDERS, Contender
from outages.schedule import KINDS, Call, Schedule, dead_primary, fails, schedule
from rich.console import Console

from inference_providers import tables

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

    Asked = list[tuple[int, int, bool]]

HERE = Path(__file__).parent
PACKAGES = ("openai", "langchain-core", "langchain-openai", "litellm", "pydantic-ai-slim")
WARM_UPS = 15
"""Calls of each kind without a fault, before the schedule: what a healthy call takes."""
DEAD_FOR_S = 600
DEAD_GAP_S = 2.0
DEAD = ("outage", "reset")
WAITING = {"hang", "slow"}
"""Faults during which contenders are asked at once: they wait, and do not compute."""


class Done(NamedTuple):
    """What became of one call."""

    call: Call
    text: str | None
    error: str | None
    ms: float


class Player:
    """A contender in its process, and its three providers in theirs."""

    def __init__(self, contender: Contender, plan: Schedule, *, verbose: bool) -> None:
        self.contender = contender
        self.done: list[Done] = []
        self._providers = _python("outages.providers", verbose=verbose)
        _say(self._providers, plan.windows)
        urls = _hear(self._providers)
        self._process = _python("outages.play", contender.name, verbose=verbose)
        _say(self._process, urls)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        for process in (self._process, self._providers):
            process.kill()
            process.wait()

    def play(self, call: Call, gap_s: float) -> Done:
        """Make one call, so long after the last one ended."""
        _say(self._process, [call.n, call.kind, gap_s])
        self.done.append(Done(call, *_hear(self._process)))
        return self.done[-1]

    def asked(self) -> Asked:
        """Return the requests that its providers got; they end with that."""
        assert self._providers.stdin
        self._providers.stdin.close()
        return [(p, n, failed) for p, n, failed in _hear(self._providers) if n >= 0]


def _python(*arguments: str, verbose: bool) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-W", "ignore", "-m", *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=None if verbose else subprocess.DEVNULL,
        text=True,
        cwd=HERE,
        # Else LiteLLM asks the network for its list of prices when it is imported.
        env={"LITELLM_LOCAL_MODEL_COST_MAP": "True", "PYTHONPATH": ":".join(sys.path)},
    )


def _say(process: subprocess.Popen[str], what: Any) -> None:
    assert process.stdin
    process.stdin.write(json.dumps(what) + "\n")
    process.stdin.flush()


def _hear(process: subprocess.Popen[str]) -> Any:
    assert process.stdout
    return json.loads(process.stdout.readline())


def run(
    plan: Schedule, contenders: Sequence[Contender], gap_s: float, *, timed: bool, verbose: bool
) -> list[tuple[Player, Asked]]:
    """Play a schedule to all contenders; return each with what its providers were asked.

    Where times matter, one plays after the other, except while they only wait.
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
            if faults & WAITING or not n:  # or they load their libraries, which is not timed
                list(pool.map(lambda each, c=call: each.play(c, gap_s), players))
            else:
                for each in players:
                    each.play(call, gap_s)
        return [(each, each.asked()) for each in players]


def score(player: Player, asked: Asked, plan: Schedule) -> dict[str, Any]:
    """Return the numbers of one contender."""
    played = [done for done in player.done if done.call.n >= 0]
    healthy: dict[str, list[float]] = defaultdict(list)
    for done in player.done[1:]:  # the first of all loads its library
        if not any(plan.fault(window.provider, done.call.n) for window in plan.windows):
            healthy[done.call.kind].append(done.ms)
    base = {kind: statistics.median(times) for kind, times in healthy.items()}
    added = sorted(done.ms - base[done.call.kind] for done in played if plan.fault(0, done.call.n))
    good = {done.call.n for done in played if done.text == done.call.answer}
    bad = [done for done in played if done.text is not None and done.text != done.call.answer]
    wasted = sum(failed for _, _, failed in asked)
    last = {n: provider for provider, n, _ in asked}
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
            (done.call.n, done.call.kind, _state(plan, done.call), done.text, done.error)
            for done in played
            if done.call.n not in good
        ],
    }


def _best(plan: Schedule, call: Call) -> int:
    providers = sorted({window.provider for window in plan.windows})
    well = (p for p in providers if not fails(plan.fault(p, call.n), call))
    return next(well, len(providers))


def _state(plan: Schedule, call: Call) -> list[str]:
    providers = sorted({window.provider for window in plan.windows})
    return [plan.fault(p, call.n) or "well" for p in providers]


def chaos_table(scores: Sequence[dict[str, Any]], title: str) -> tables.Table:
    """Return what the schedule did to each contender."""
    columns = (
        "",
        "success",
        "bad answers passed as good",
        "wasted attempts / call",
        "added ms, p50",
        "p99",
        "mean",
        "served by the first that was well",
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
    """Return the failed attempts per call with a primary that is down for good."""
    columns = ("", *(f"{fault}, {what}" for fault in by_fault for what in ("failed", "success")))
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
    """Play the schedule, then the dead primaries; print tables or JSON."""
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
        return [score(player, asked, plan) for player, asked in played]

    found: dict[str, Any] = {
        "versions": {package: version(package) for package in PACKAGES},
        "configurations": {c.name: c.configuration for c in contenders},
    }
    if options.part != "dead":
        plan = schedule(options.seed, options.calls)
        found["chaos"] = scores(plan, options.gap, timed=True)
    if options.part != "chaos":
        count = round(DEAD_FOR_S / DEAD_GAP_S)
        found["dead_primary"] = {
            fault: scores(dead_primary(fault, count), DEAD_GAP_S, timed=False) for fault in DEAD
        }
    if options.json:
        print(json.dumps({**vars(options), **found}, indent=1))
    else:
        show(found, options)


def show(found: dict[str, Any], options: argparse.Namespace) -> None:
    """Print tables."""
    console = Console(width=150, highlight=False)
    console.print(
        f"Python {platform.python_version()}", *map(" ".join, found["versions"].items()), sep=", "
    )
    for name, configuration in found["configurations"].items():
        console.print(f"{name}: {configuration}", markup=False)
    if "chaos" in found:
        title = f"{options.calls} calls through seed {options.seed}, one each {options.gap:g} s"
        console.print(tables.draw(chaos_table(found["chaos"], title)))
    if "dead_primary" in found:
        every = f"one call each {DEAD_GAP_S:g} s"
        title = f"Failed attempts per call, primary dead for {DEAD_FOR_S} s, {every}"
        console.print(tables.draw(dead_table(found["dead_primary"], title)))


if __name__ == "__main__":
    main()
