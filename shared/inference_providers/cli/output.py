"""What the command prints beside answers."""

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

__all__ = ["models", "providers", "stats", "table", "trace"]


UNFOLDED = 100_000
"""Columns of a terminal that no row fills."""


def table(shown: tables.Table, *, err: bool = False) -> None:
    """Print a table as wide as the terminal; into a pipe or a file, a row is a line."""
    console = Console(stderr=err)
    if console.is_terminal or Keys().setting("COLUMNS"):
        console.print(tables.draw(shown))
        return
    console.width = UNFOLDED
    with console.capture() as drawn:
        console.print(tables.draw(shown))
    for line in drawn.get().rstrip().split("\n"):
        typer.echo(line.rstrip(), err=err)


def trace(record: dict[str, Any]) -> None:
    """Print what was tried for one answer, on stderr."""
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
    table(tables.Table(f"Answered by {record['provider']}", columns, rows), err=True)


def models(registry: Registry) -> None:
    """Print every canonical name with the providers that list it."""
    rows = [(name, ", ".join(served_by)) for name, served_by in registry.models.items()]
    table(tables.Table(f"{len(rows)} models", ("model", "served by"), rows))


def providers(registry: Registry, keys: Keys) -> None:
    """Print every provider with its key variable (never a key) and what is in the way."""
    rows: list[tuple[str, ...]] = []
    for provider_id, provider in registry.providers.items():
        variable, reason = keys.variable(provider_id, provider)
        rows.append(
            (
                provider_id,
                provider.kind,
                _served(provider),
                reason or f"ready: {variable or 'needs no key'}",
            )
        )
    closed = registry.document.retired_providers
    rows += [(provider_id, "closed", "", retired.note) for provider_id, retired in closed.items()]
    title = f"{len(registry.providers)} providers, and {len(closed)} that have closed"
    table(tables.Table(title, ("provider", "kind", "serves", "key"), rows))


def _served(provider: Provider) -> str:
    if provider.kind == "local":
        return "asked when used"
    counts = (("model", len(provider.models)), ("embedding", len(provider.embeddings)))
    told = [f"{count} {kind}{'s' if count > 1 else ''}" for kind, count in counts if count]
    return ", ".join(told) or ("models you name" if provider.takes_any_name else "nothing")


def stats(registry: Registry) -> None:
    """Print how much the registry knows, and of when it is."""
    document = registry.document
    kinds = Counter(provider.kind for provider in registry.providers.values())
    embeddings = {name for provider in registry.providers.values() for name in provider.embeddings}
    several = [name for name, listed in registry.models.items() if len(listed) > 1]
    made = f"{document.generated_at:%Y-%m-%d}" if document.generated_at else "not dated"
    rows = [
        ("providers", str(len(registry.providers))),
        *((f"  {kind}", str(count)) for kind, count in sorted(kinds.items())),
        ("chat models", str(len(registry.models))),
        ("  served by two or more", str(len(several))),
        ("embedding models", str(len(embeddings))),
        ("aliases", str(len(document.aliases))),
        ("retired providers", str(len(document.retired_providers))),
        ("retired models", str(len(document.retired_models))),
        ("made on", made),
    ]
    table(tables.Table("The registry in force here", ("what", "how many"), rows))
