"""The JSON Schema of registry files, for editors. It is generated from the types."""

from __future__ import annotations

import inspect
import json
from typing import Any

import msgspec

from inference_providers.registry.loader import Document

__all__ = ["FILE_NAME", "as_text", "schema"]

FILE_NAME = "providers.schema.json"
_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_TITLE = "A registry file of autoprovider: a whole registry, or changes to another"


def schema() -> dict[str, Any]:
    """Return the schema of a file that is merged into another registry.

    Such a file may leave anything out, and `null` removes an entry; so nothing is
    required. A whole registry is valid as well.
    """
    return {"$schema": _DIALECT, "title": _TITLE, **_sparse_schema(msgspec.json.schema(Document))}


def as_text() -> str:
    """Return the schema as it is shipped in the wheel."""
    return json.dumps(schema(), indent=1, sort_keys=True) + "\n"


def _sparse_schema(part: Any) -> Any:
    """Return a part of a schema in which nothing is required and entries may be `null`."""
    if isinstance(part, list):
        return [_sparse_schema(item) for item in part]
    if not isinstance(part, dict):
        return part
    sparse = {key: _sparse_schema(value) for key, value in part.items()}
    if isinstance(text := sparse.get("description"), str):
        sparse["description"] = inspect.cleandoc(text)
    if sparse.get("type") == "object":
        sparse.pop("required", None)
    if isinstance(entries := sparse.get("additionalProperties"), dict):
        sparse["additionalProperties"] = {"anyOf": [entries, {"type": "null"}]}
    return sparse
