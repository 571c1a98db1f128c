"""How the registry file is laid out: one model per line, so that a diff shows models."""

from __future__ import annotations

import json
from typing import Any

__all__ = ["as_text"]


def as_text(document: dict[str, Any]) -> str:
    """Return the document as JSON text; the same document gives the same text."""
    parts = [
        f"{_json(key)}: {_providers(value) if key == 'providers' else _items_on_lines(value)}"
        for key, value in document.items()
    ]
    return "{\n" + ",\n".join(parts) + "\n}\n"


def _providers(rows: dict[str, Any]) -> str:
    blocks = []
    for provider_id, row in rows.items():
        lines = [
            f"    {_json(field)}: "
            + (_models(value) if field in {"models", "embeddings"} else _json(value))
            for field, value in row.items()
        ]
        blocks.append(f"  {_json(provider_id)}: {{\n" + ",\n".join(lines) + "\n  }")
    return "{\n" + ",\n".join(blocks) + "\n}"


def _models(models: dict[str, list[dict[str, Any]]]) -> str:
    if not models:
        return "{}"
    lines = []
    for name, entries in models.items():
        if len(entries) == 1:
            lines.append(f"      {_json(name)}: {_json(entries[0])}")
        else:
            entry_lines = ",\n".join(f"        {_json(entry)}" for entry in entries)
            lines.append(f"      {_json(name)}: [\n{entry_lines}\n      ]")
    return "{\n" + ",\n".join(lines) + "\n    }"


def _items_on_lines(value: Any) -> str:
    if isinstance(value, dict) and value:
        return "{\n" + ",\n".join(f"  {_json(k)}: {_json(v)}" for k, v in value.items()) + "\n}"
    if isinstance(value, list) and value:
        return "[\n" + ",\n".join(f"  {_json(item)}" for item in value) + "\n]"
    return _json(value)


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
