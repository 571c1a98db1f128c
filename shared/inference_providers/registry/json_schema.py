"""The JSON Schema of registry files, for editors: made from the types, never by hand."""

from __future__ import annotations

import inspect
import json
from typing import Any

import msgspec

from inference_providers.registry.loader import Document

__all__ = ["FILE_NAME", "as_text", "schema"]

FILE_NAME = "providers.schema.json"
_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_TITLE = "A registry file of autoprovider, whole or laid over another"


def schema() -> dict[str, Any]:
    """Return the schema of a file that is laid over another.

    Such a file may leave out anything, and removes an entry with `null`; so nothing is
    required. A whole file fits as well.
    """
    made = msgspec.json.schema(Document)
    return {"$schema": _DIALECT, "title": _TITLE, **_sparse(made)}


def as_text() -> str:
    """Return the schema as it is shipped."""
    return json.dumps(schema(), indent=1, sort_keys=True) + "\n"


def _sparse(part: Any) -> Any:
    if isinstance(part, list):
        return [_sparse(item) for item in part]
    if not isinstance(part, dict):
        return part
    made = {key: _sparse(value) for key, value in part.items()}
    if isinstance(text := made.get("description"), str):
        made["description"] = inspect.cleandoc(text)
    if made.get("type") == "object":
        made.pop("required", None)
    if isinstance(entries := made.get("additionalProperties"), dict):
        made["additionalProperties"] = {"anyOf": [entries, {"type": "null"}]}
    return made
