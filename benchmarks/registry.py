"""Measures how long the bundled registry takes to load and index, and a name to resolve.

Run it as `python benchmarks/registry.py`; the targets are 10 ms and 100 µs.
"""

from __future__ import annotations

import statistics
import time
from pathlib import Path
from typing import TYPE_CHECKING

from inference_providers.registry import registry
from inference_providers.registry.loader import decode_document
from inference_providers.registry.lookup import resolve_name
from inference_providers.registry.registry import Registry

if TYPE_CHECKING:
    from collections.abc import Callable

ROUNDS = 51
FILE = Path(__file__).parents[1] / "providers.json"


def timed_ms(run: Callable[[], object]) -> tuple[float, float]:
    """Return the median and the best time of `ROUNDS` runs, in milliseconds."""
    times = []
    for _ in range(ROUNDS):
        registry._bundled.cache_clear()  # noqa: SLF001 - a process does this once
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return statistics.median(times) * 1000, min(times) * 1000


def loaded(source: Path | None = None) -> Registry:
    """Read, decode, validate and index a file, as the first use of a registry does."""
    loaded_registry = Registry.load(source)
    loaded_registry.target("gpt-oss-120b")
    loaded_registry.target("meta-llama/Llama-3.3-70B-Instruct")
    return loaded_registry


def main() -> None:
    """Print the median times, and the best ones, which depend least on other processes."""
    raw = FILE.read_bytes()
    bundled = loaded()
    names = [*bundled.models]
    ids = [
        entry.id
        for provider_id, row in bundled.providers.items()
        for model in row.models
        for entry in bundled.entries(provider_id, model)
    ]

    def resolve() -> None:
        for name in (*names, *ids):
            resolve_name(bundled, name)

    def resolve_again() -> None:
        for name in (*names, *ids):
            bundled.target(name)

    print(f"{len(raw):,} bytes, {len(names)} models, {len(ids)} entries")
    for what, run, unit, per in (
        ("decode and validate", lambda: decode_document(raw, "it"), "ms", 1.0),
        ("load and index", loaded, "ms", 1.0),
        ("the same, a user's file", lambda: loaded(FILE), "ms", 1.0),
        ("resolve a name", resolve, "µs", (len(names) + len(ids)) / 1000),
        ("resolve it again", resolve_again, "µs", (len(names) + len(ids)) / 1000),
    ):
        median, best = timed_ms(run)
        print(f"{what:24} median {median / per:7.2f} {unit}   best {best / per:7.2f} {unit}")


if __name__ == "__main__":
    main()
