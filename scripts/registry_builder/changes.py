"""What changed between two registry files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from inference_providers.tables import Table

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["changes"]


def changes(before: dict[str, Any], after: dict[str, Any]) -> Table:
    """Return the model ids that were added, are gone, or moved to another name."""
    old, new = dict(_names_by_id(before)), dict(_names_by_id(after))
    rows = [(*key, "added", new[key]) for key in new.keys() - old.keys()]
    rows += [(*key, "gone", old[key]) for key in old.keys() - new.keys()]
    rows += [
        (*key, "moved", f"{old[key]} → {new[key]}")
        for key in old.keys() & new.keys()
        if old[key] != new[key]
    ]
    columns = ("provider", "model id", "what", "model")
    return Table(f"{len(rows)} changes of models", columns, sorted(rows))


def _names_by_id(document: dict[str, Any]) -> Iterator[tuple[tuple[str, str], str]]:
    """Yield each provider and model id with the canonical name it is listed under."""
    for provider_id, row in document.get("providers", {}).items():
        for section in ("models", "embeddings"):
            for name, listing in row.get(section, {}).items():
                for entry in listing if isinstance(listing, list) else [listing]:
                    model_id = entry if isinstance(entry, str) else entry["id"]
                    yield (provider_id, model_id), name
