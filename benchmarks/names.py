"""Measures how many model ids per second are parsed, each for the first time.

Counts the CPU time of this process, since the machine may be busy; prints the median of
several rounds.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from pathlib import Path

from rich.console import Console

from inference_providers.model_names.canonical import parse_model_id

IDS = Path(__file__).parents[1] / "tests" / "data" / "models-dev-ids.json"


def names_per_second(pairs: list[tuple[str, str]]) -> float:
    """Return how many distinct pairs of model id and provider are parsed per second."""
    parse_model_id.cache_clear()
    start = time.process_time()
    for model_id, provider in pairs:
        parse_model_id(model_id, provider)
    return len(pairs) / (time.process_time() - start)


def main() -> None:
    """Print the median rate."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    rounds = parser.parse_args().rounds
    by_provider = json.loads(IDS.read_text())["ids"]
    pairs = [(model_id, provider) for provider, ids in by_provider.items() for model_id in ids]
    rate = statistics.median(names_per_second(pairs) for _ in range(rounds))
    Console().print(f"{len(pairs):,} distinct ids: {rate:,.0f} names/s")


if __name__ == "__main__":
    main()
