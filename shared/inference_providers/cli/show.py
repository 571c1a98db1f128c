"""What the command prints beside answers."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from rich.console import Console

from inference_providers import tables

if TYPE_CHECKING:
    from inference_providers.keys import Keys
    from inference_providers.registry import Registry

__all__ = ["models", "providers", "stats", "table", "trace"]


def table(shown: tables.Table, *, err: bool = False) -> None:
    """Print a table as wide as the terminal."""
    Console(stderr=err).print(tables.draw(shown))


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
        served = "asked when used" if provider.kind == "local" else f"{len(provider.models)} models"
        rows.append(
            (provider_id, provider.kind, served, reason or f"ready: {variable or 'needs no key'}")
        )
    closed = registry.document.retired_providers.items()
    rows += [(provider_id, "closed", "", retired.note) for provider_id, retired in closed]
    table(tables.Table(f"{len(rows)} providers", ("provider", "kind", "serves", "key"), rows))


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
