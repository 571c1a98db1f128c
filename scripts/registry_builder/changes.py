"""What changed between two registry files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from inference_providers.tables import Table

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["changes"]


def changes(before: dict[str, Any], after: dict[str, Any]) -> Table:
    """Return the model ids that were added, are gone, or moved to another name."""
    old, new = dict(_places(before)), dict(_places(after))
    rows = (
        [(("added", new[key]), key) for key in new.keys() - old.keys()]
        + [(("gone", old[key]), key) for key in old.keys() - new.keys()]
        + [
            (("moved", f"{old[key]} → {new[key]}"), key)
            for key in old.keys() & new.keys()
            if old[key] != new[key]
        ]
    )
    return Table(
        f"{len(rows)} changes of models",
        ("provider", "model id", "what", "model"),
        sorted((provider, model_id, what, name) for (what, name), (provider, model_id) in rows),
    )


def _places(document: dict[str, Any]) -> Iterator[tuple[tuple[str, str], str]]:
    for provider_id, row in document.get("providers", {}).items():
        for section in ("models", "embeddings"):
            for name, listed in row.get(section, {}).items():
                for entry in listed if isinstance(listed, list) else [listed]:
                    model_id = entry if isinstance(entry, str) else entry["id"]
                    yield (provider_id, model_id), name
