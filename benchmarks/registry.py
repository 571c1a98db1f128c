"""How long the bundled registry takes to load and index, and a name to resolve.

Run it as `python benchmarks/registry.py`; the targets are 10 ms and 100 µs.
"""

from __future__ import annotations

import statistics
import time
from pathlib import Path
from typing import TYPE_CHECKING

from inference_providers.registry import registry
from inference_providers.registry.loader import decode_document
from inference_providers.registry.registry import Registry

if TYPE_CHECKING:
    from collections.abc import Callable

ROUNDS = 51
FILE = Path(__file__).parents[1] / "providers.json"


def timed_ms(run: Callable[[], object]) -> tuple[float, float]:
    """Return the median and the best time of `ROUNDS` runs, in milliseconds."""
    times = []
    for _ in range(ROUNDS):
        registry._bundled.cache_clear()  # noqa: SLF001 - what a process does once is to be timed again
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return statistics.median(times) * 1000, min(times) * 1000


def loaded(source: Path | None = None) -> Registry:
    """Read, decode, check and index a file, as the first use of a registry does."""
    fresh = Registry.load(source)
    fresh.target("gpt-oss-120b")
    fresh.target("meta-llama/Llama-3.3-70B-Instruct")
    return fresh


def main() -> None:
    """Print medians, and the best times, which other work on the machine does not touch."""
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
            bundled.target(name)

    print(f"{len(raw):,} bytes, {len(names)} models, {len(ids)} entries")
    for what, run, unit, per in (
        ("decode and check", lambda: decode_document(raw, "it"), "ms", 1.0),
        ("load and index", loaded, "ms", 1.0),
        ("the same, as a user's", lambda: loaded(FILE), "ms", 1.0),
        ("resolve a name", resolve, "µs", (len(names) + len(ids)) / 1000),
    ):
        median, best = timed_ms(run)
        print(f"{what:22} median {median / per:7.2f} {unit}   best {best / per:7.2f} {unit}")


if __name__ == "__main__":
    main()
