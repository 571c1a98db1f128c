"""What AutoChatModel costs compared with the bare ChatOpenAI, as ratios within one run.

Measured is this process's CPU time per call, with a server in another process that answers
at once. Rounds are short and interleaved, and a ratio is the median of the rounds' ratios, so
that a machine that slows down for a while affects both sides. In a second table the primary
always fails; the first call, which discovers that, is not counted.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

from langchain_openai import ChatOpenAI
from rich.console import Console

from inference_providers import tables
from langchain_autoprovider import AutoChatModel

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

Timings = list[tuple[float, float]]
"""CPU and wall microseconds per call, of each round."""

SERVER = """
import json, sys
from inference_providers.testing import FakeProvider, Reply
with FakeProvider(Reply("one two three four five")) as up, FakeProvider(Reply(status=503)) as down:
    print(json.dumps([up.base_url, down.base_url]), flush=True)
    sys.stdin.read()
"""


def cpu_us(call: Callable[[], Any], calls: int) -> tuple[float, float]:
    """Return CPU and wall microseconds per call."""
    cpu, wall = time.process_time(), time.perf_counter()
    for _ in range(calls):
        call()
    per_call = 1e6 / calls
    return (time.process_time() - cpu) * per_call, (time.perf_counter() - wall) * per_call


def median(timings: Timings, which: int) -> float:
    """Return the median CPU (0) or wall (1) microseconds of the rounds."""
    return statistics.median(times[which] for times in timings)


def ratio(timings: Timings, first: Timings, which: int) -> str:
    """Return the median of the rounds' ratios to the first call."""
    pairs = zip(timings, first, strict=True)
    return f"{statistics.median(timing[which] / base[which] for timing, base in pairs):.2f}"


def compare(title: str, calls: Mapping[str, Callable[[], Any]], rounds: int, each: int) -> None:
    """Time the calls in turn, and print each with its ratio to the first."""
    for call in calls.values():
        call()
    times: dict[str, Timings] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            times[name].append(cpu_us(call, each))
    first = next(iter(times.values()))
    rows = [
        (
            name,
            f"{median(timings, 0):,.0f}",
            ratio(timings, first, 0),
            f"{median(timings, 1) / 1000:.2f}",
            ratio(timings, first, 1),
        )
        for name, timings in times.items()
    ]
    columns = ("", "CPU µs", "ratio", "wall ms", "ratio")
    Console(width=100).print(tables.draw(tables.Table(title, columns, rows)))


def row(base_url: str) -> dict[str, Any]:
    """Return the row of a provider that serves `m` and needs no key."""
    return {
        "name": "Bench",
        "endpoints": {"default": {"protocol": "openai-chat", "base_url": base_url}},
        "models": {"m": "m"},
    }


def main() -> None:
    """Run both comparisons."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--calls", type=int, default=10)
    options = parser.parse_args()
    with subprocess.Popen(
        [sys.executable, "-c", SERVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdout
        up, down = json.loads(server.stdout.readline())
        bare = ChatOpenAI(model="m", base_url=up, api_key="none", max_retries=0)
        dead = ChatOpenAI(model="m", base_url=down, api_key="none", max_retries=0)
        ours = AutoChatModel("up/m", registry={"providers": {"up": row(up)}})
        two = {"providers": {"down": row(down), "up": row(up)}}
        fallbacks = dead.with_fallbacks([bare])
        compare(
            "A healthy provider",
            {
                "ChatOpenAI.invoke": lambda: bare.invoke("Hi"),
                "AutoChatModel.invoke": lambda: ours.invoke("Hi"),
                "ChatOpenAI.stream": lambda: list(bare.stream("Hi")),
                "AutoChatModel.stream": lambda: list(ours.stream("Hi")),
            },
            options.rounds,
            options.calls,
        )
        behind = AutoChatModel("m", only=["down", "up"], registry=two)
        compare(
            "A dead primary, retries off (each call after the first)",
            {
                "ChatOpenAI alone, healthy": lambda: bare.invoke("Hi"),
                "ChatOpenAI.with_fallbacks": lambda: fallbacks.invoke("Hi"),
                "AutoChatModel": lambda: behind.invoke("Hi"),
            },
            options.rounds,
            options.calls,
        )
        server.communicate()


if __name__ == "__main__":
    main()
