"""Prints tables: traces, models, providers and totals."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import typer
from rich.console import Console

from inference_providers import tables
from inference_providers.credentials import Keys

if TYPE_CHECKING:
    from inference_providers.registry.registry import Registry
    from inference_providers.types import Provider

__all__ = ["print_models", "print_providers", "print_stats", "print_table", "print_trace"]

UNFOLDED_COLUMNS = 100_000
"""A console width at which no row is folded."""


def print_table(table: tables.Table, *, err: bool = False) -> None:
    """Print a table, as wide as the terminal; in a pipe or file each row is one line."""
    console = Console(stderr=err)
    if console.is_terminal or Keys().setting("COLUMNS"):
        console.print(tables.draw(table))
        return
    console.width = UNFOLDED_COLUMNS
    with console.capture() as capture:
        console.print(tables.draw(table))
    for line in capture.get().rstrip().split("\n"):
        typer.echo(line.rstrip(), err=err)


def print_trace(record: dict[str, Any]) -> None:
    """Print the attempts behind one answer to stderr."""
    rows = [
        (
            attempt["provider"],
            attempt["model_id"],
            attempt["outcome"],
            attempt["class"] or "",
            str(attempt["status"] or ""),
            f"{attempt['ms']:.0f} ms",
        )
        for attempt in record["attempts"]
    ]
    columns = ("provider", "model id", "outcome", "class", "HTTP", "time")
    print_table(tables.Table(f"Answered by {record['provider']}", columns, rows), err=True)


def print_models(registry: Registry) -> None:
    """Print every canonical name with the providers that list it."""
    rows = [(name, ", ".join(providers)) for name, providers in registry.models.items()]
    print_table(tables.Table(f"{len(rows)} models", ("model", "served by"), rows))


def print_providers(registry: Registry, keys: Keys) -> None:
    """Print every provider with its key variable (never a key) and what keeps it from working."""
    rows: list[tuple[str, ...]] = []
    for provider_id, provider in registry.providers.items():
        variable, reason = keys.variable(provider_id, provider)
        status = reason or f"ready: {variable or 'needs no key'}"
        rows.append((provider_id, provider.kind, _offer(provider), status))
    retired = registry.document.retired_providers
    rows += [(provider_id, "closed", "", entry.note) for provider_id, entry in retired.items()]
    title = f"{len(registry.providers)} providers, and {len(retired)} that have closed"
    print_table(tables.Table(title, ("provider", "kind", "serves", "key"), rows))


def _offer(provider: Provider) -> str:
    """Describe what a provider serves: "12 models, 1 embedding"."""
    if provider.kind == "local":
        return "discovered when used"
    counts = (("model", len(provider.models)), ("embedding", len(provider.embeddings)))
    parts = [f"{count} {noun}{'s' if count > 1 else ''}" for noun, count in counts if count]
    if parts:
        return ", ".join(parts)
    return "models you name" if provider.accepts_unlisted_models else "nothing"


def print_stats(registry: Registry) -> None:
    """Print totals of the registry and the date it was generated."""
    document = registry.document
    kinds = Counter(provider.kind for provider in registry.providers.values())
    embeddings = {name for provider in registry.providers.values() for name in provider.embeddings}
    shared = [name for name, providers in registry.models.items() if len(providers) > 1]
    generated = document.generated_at
    rows = [
        ("providers", str(len(registry.providers))),
        *((f"  {kind}", str(count)) for kind, count in sorted(kinds.items())),
        ("chat models", str(len(registry.models))),
        ("  served by two or more", str(len(shared))),
        ("embedding models", str(len(embeddings))),
        ("aliases", str(len(document.aliases))),
        ("retired providers", str(len(document.retired_providers))),
        ("retired models", str(len(document.retired_models))),
        ("generated on", f"{generated:%Y-%m-%d}" if generated else "undated"),
    ]
    print_table(tables.Table("The active registry", ("what", "count"), rows))
