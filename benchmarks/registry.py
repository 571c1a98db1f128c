"""How long the bundled registry takes to load and index, and a name to resolve.

Run it as `python benchmarks/registry.py`; the targets are 10 ms and 100 µs.
"""

from __future__ import annotations

import statistics
import time
from pathlib import Path
from typing import TYPE_CHECKING

from inference_providers.names import canonical_name, parse_model_id
from inference_providers.registry import Registry
from inference_providers.registry_file import decode

if TYPE_CHECKING:
    from collections.abc import Callable

ROUNDS = 51
FILE = Path(__file__).parents[1] / "providers.json"


def median_ms(run: Callable[[], object]) -> float:
    """Return the median time of `ROUNDS` runs, in milliseconds."""
    times = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return statistics.median(times) * 1000


def loaded() -> Registry:
    """Read, decode, check and index the file, as the first use of a registry does."""
    registry = Registry.load(FILE)
    registry.target("gpt-oss-120b")
    registry.target("meta-llama/Llama-3.3-70B-Instruct")
    return registry


def main() -> None:
    """Print both medians."""
    raw = FILE.read_bytes()
    registry = loaded()
    names = [*registry.models][:500]
    ids = [
        entry.id
        for provider_id, row in registry.providers.items()
        for model in row.models
        for entry in registry.entries(provider_id, model)
    ][:500]

    def resolve() -> None:
        for name in (*names, *ids):
            registry.target(name)

    def resolve_afresh() -> None:
        parse_model_id.cache_clear()
        canonical_name(ids[0])
        resolve()

    print(f"{len(raw):,} bytes, {len(registry.models)} models")
    print(f"decode and check     {median_ms(lambda: decode(raw, 'it')):8.2f} ms")
    print(f"load and index       {median_ms(loaded):8.2f} ms")
    count = len(names) + len(ids)
    print(f"resolve a name       {median_ms(resolve) * 1000 / count:8.2f} µs")
    print(f"resolve, not cached  {median_ms(resolve_afresh) * 1000 / count:8.2f} µs")


if __name__ == "__main__":
    main()
