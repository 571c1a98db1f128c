"""What a call costs, compared with what it wraps and with the peers, as ratios within one run.

* Each contender runs in its own process and its own environment, against a provider in another
  process that answers at once. The CPU time of the contender's process is measured.
* Rounds are interleaved: within one, each measure goes to one contender after the other. A ratio is
  the median of the rounds' ratios, so that a machine that slows down affects both sides.
* A rate is calls per second of CPU time: what one process reaches on a core of its own.
* A time per chunk is the time of a whole streamed call, divided by the number of its chunks.

Run it with `make bench`. It prints tables or JSON, and writes a picture.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from environments import Worker, package_versions, python_of
from peers.contenders import CONTENDERS, FEW, MANY, ROUTES
from peers.server import CHUNKS
from picture import bars
from rich.console import Console

from inference_providers import tables

if TYPE_CHECKING:
    from collections.abc import Callable

    Times = dict[tuple[str, str], list[float]]

COUNTS = {
    "invoke": 50,
    "history": 5,
    "tools": 15,
    "few": 6 * FEW,
    "many": 3 * MANY,
    "stream": 3,
    "routes": 50,
    "dead": 50,
    "objects": 100,
}
"""The measures, in order, each with its calls per round."""

WARM_UPS = 2
PACKAGES = {
    "autoprovider": ("autoprovider", "langchain-core", "langchain-openai", "openai"),
    "litellm": ("litellm", "langchain-litellm"),
    "pydantic-ai": ("pydantic-ai-slim",),
    "openai-like": ("llama-index-llms-openai-like", "llama-index-core"),
}
OURS, BARE = "AutoChatModel", "ChatOpenAI"
IMPORT = "import"
_IMPORT_PROGRAM = """
import time
start = time.process_time()
{}
print(time.process_time() - start)
"""


class Figure(NamedTuple):
    """One line of the first table.

    Attributes:
        name: What is compared.
        value: Computes it from the seconds per call of all contenders.
        unit: Its unit; empty for a ratio.
        goal: The bound.
        at_least: Whether the bound is the least, not the most.
    """

    name: str
    value: Callable[[Times], float]
    goal: float
    unit: str = ""
    at_least: bool = False

    def is_met(self, times: Times) -> bool:
        """Whether the goal is reached."""
        value = self.value(times)
        return value >= self.goal if self.at_least else value <= self.goal


def ratio(measure: str, ours: str, peer: str, peers_measure: str = "") -> Callable[[Times], float]:
    """Return a figure's value: the median ratio of our times to a peer's."""

    def value(times: Times) -> float:
        pairs = zip(times[ours, measure], times[peer, peers_measure or measure], strict=True)
        return statistics.median(mine / theirs for mine, theirs in pairs)

    return value


def rate_ratio(measure: str, ours: str, peer: str) -> Callable[[Times], float]:
    """Return a figure's value: the median ratio of our calls per second to a peer's."""
    return ratio(measure, peer, ours)


def added_ms(times: Times) -> float:
    """Return the milliseconds that many routes add to a call."""
    pairs = zip(times[OURS, "routes"], times[OURS, "invoke"], strict=True)
    return statistics.median(many - few for many, few in pairs) * 1e3


def object_ms(times: Times) -> float:
    """Return the milliseconds that one more model of a registry file takes."""
    return statistics.median(times[OURS, "objects"]) * 1e3


FIGURES = (
    Figure("invoke, vs ChatOpenAI", ratio("invoke", OURS, BARE), 0.35),
    Figure("invoke, vs ChatLiteLLMRouter", ratio("invoke", OURS, "ChatLiteLLMRouter"), 0.08),
    Figure("200 messages of history, vs ChatOpenAI", ratio("history", OURS, BARE), 0.10),
    Figure("50 tools, vs ChatOpenAI", ratio("tools", OURS, BARE), 0.35),
    Figure(
        f"calls/s, {FEW} at once, vs ChatOpenAI",
        rate_ratio("few", OURS, BARE),
        5,
        at_least=True,
    ),
    Figure(
        f"calls/s, {MANY} at once, vs ChatOpenAI",
        rate_ratio("many", OURS, BARE),
        7,
        at_least=True,
    ),
    Figure("a chunk of a stream, vs ChatOpenAI", ratio("stream", OURS, BARE), 0.35),
    Figure("AutoLLM, a call, vs OpenAILike", ratio("invoke", "AutoLLM", "OpenAILike"), 0.35),
    Figure("AutoLLM, a chunk, vs OpenAILike", ratio("stream", "AutoLLM", "OpenAILike"), 0.5),
    Figure("import, vs BaseChatModel", ratio(IMPORT, OURS, "empty LangChain model"), 1.08),
    Figure(f"{ROUTES:,} routes, added per call", added_ms, 0.1, "ms"),
    Figure("dead primary, vs healthy", ratio("dead", OURS, OURS, "invoke"), 1.05),
    Figure(f"a model of a file with {ROUTES:,} providers", object_ms, 1.0, "ms"),
)


def measure(rounds: int, *, verbose: bool) -> Times:
    """Return the CPU seconds per call of each contender and measure, for each round."""
    times: Times = {}
    with ExitStack() as stack:
        server = Worker([python_of("autoprovider"), "-m", "peers.server"], env={}, verbose=verbose)
        stack.callback(server.stop)
        url = f"http://127.0.0.1:{server.read()}"
        workers = {}
        for name, contender in CONTENDERS.items():
            command = [python_of(contender.environment), "-W", "ignore", "-m", "peers.worker"]
            # Otherwise importing LiteLLM downloads its list of prices.
            env = {"LITELLM_LOCAL_MODEL_COST_MAP": "True"}
            workers[name] = Worker([*command, name, url], env=env, verbose=verbose)
            stack.callback(workers[name].stop)
        measures = {name: worker.read() for name, worker in workers.items()}
        for number in range(-WARM_UPS, rounds):
            for what, count in COUNTS.items():
                for name, worker in workers.items():
                    if what in measures[name]:
                        seconds = worker.ask([what, count]) / count
                        if number >= 0:
                            times.setdefault((name, what), []).append(seconds)
            for name in CONTENDERS:
                seconds = import_seconds(name)
                if number >= 0:
                    times.setdefault((name, IMPORT), []).append(seconds)
    return times


def import_seconds(name: str) -> float:
    """Return the CPU seconds of a contender's import, in a new process."""
    program = _IMPORT_PROGRAM.format(CONTENDERS[name].imports)
    done = subprocess.run(
        [python_of(CONTENDERS[name].environment), "-W", "ignore", "-c", program],
        check=True,
        capture_output=True,
        text=True,
        env={"LITELLM_LOCAL_MODEL_COST_MAP": "True"},
    )
    return float(done.stdout)


def figures_table(times: Times) -> tables.Table:
    """Return the figures with their goals."""
    rows = [
        (
            figure.name,
            f"{figure.value(times):.3g} {figure.unit}".strip(),
            f"{'≥' if figure.at_least else '≤'} {figure.goal:g} {figure.unit}".strip(),
            "yes" if figure.is_met(times) else "no",
        )
        for figure in FIGURES
    ]
    return tables.Table("Ratios of CPU time", ("", "measured", "goal", "met"), rows)


def peers_table(times: Times) -> tables.Table:
    """Return the medians of all contenders."""

    def cell(name: str, what: str, form: Callable[[float], str]) -> str:
        values = times.get((name, what))
        return form(statistics.median(values)) if values else ""

    columns = (
        "CPU time",
        "µs / call",
        "ms, 200 messages",
        "ms, 50 tools",
        f"calls/s, {FEW} at once",
        f"calls/s, {MANY} at once",
        "µs / chunk",
        "import, s",
    )
    rows = [
        (
            name,
            cell(name, "invoke", lambda s: f"{s * 1e6:,.0f}"),
            cell(name, "history", lambda s: f"{s * 1e3:.2f}"),
            cell(name, "tools", lambda s: f"{s * 1e3:.2f}"),
            cell(name, "few", lambda s: f"{1 / s:,.0f}"),
            cell(name, "many", lambda s: f"{1 / s:,.0f}"),
            cell(name, "stream", lambda s: f"{s / CHUNKS * 1e6:.1f}"),
            cell(name, IMPORT, lambda s: f"{s:.2f}"),
        )
        for name in CONTENDERS
    ]
    return tables.Table("All contenders, medians", columns, rows)


def picture(times: Times) -> str:
    """Return the picture: CPU time per call, and calls per second."""

    def median(name: str, what: str) -> float:
        return statistics.median(times[name, what])

    return bars(
        {
            "CPU time of one call, µs": {n: median(n, "invoke") * 1e6 for n in CONTENDERS},
            f"Calls per second of CPU time, {MANY} at once": {
                n: 1 / median(n, "many") for n in CONTENDERS
            },
            "CPU time of one streamed chunk, µs": {
                n: median(n, "stream") / CHUNKS * 1e6 for n in CONTENDERS
            },
        },
        highlighted={OURS, "AutoLLM"},
    )


def main() -> None:
    """Measure, print tables or JSON, and write the picture."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--picture", type=Path, help="where to write an SVG file")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--verbose", action="store_true", help="show what the libraries log")
    options = parser.parse_args()
    versions = package_versions(PACKAGES)
    times = measure(options.rounds, verbose=options.verbose)
    if options.picture:
        options.picture.write_text(picture(times))
    if options.json:
        print(json.dumps(as_json(versions, times), indent=1))
        return
    console = Console(width=150, highlight=False)
    console.print(*map(" ".join, versions.items()), sep=", ")
    console.print(tables.draw(figures_table(times)))
    console.print(tables.draw(peers_table(times)))


def as_json(versions: dict[str, str], times: Times) -> dict[str, Any]:
    """Return the versions, the figures, and the seconds per call of every round."""
    seconds: dict[str, dict[str, list[float]]] = {}
    for (name, what), values in times.items():
        seconds.setdefault(name, {})[what] = values
    return {
        "versions": versions,
        "figures": {figure.name: figure.value(times) for figure in FIGURES},
        "seconds_per_call": seconds,
    }


if __name__ == "__main__":
    main()
