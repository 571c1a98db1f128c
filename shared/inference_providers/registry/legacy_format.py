"""Reads the file format of the original `inference-providers` project.

That format has a `connection` (protocol, endpoint, api_key) and `model_names` for each
provider; keys that begin with an underscore and the key `broken` are comments.

The result is plain JSON in the current schema, not validated yet: a value of the wrong
type is passed on unchanged, so that the schema's own message covers it. Parts that are
already in the current format stay as they are, beside and inside the original's.
"""

from __future__ import annotations

from typing import Any

import msgspec

from inference_providers.types import Provider

__all__ = ["CURRENT_FIELDS", "convert", "is_legacy"]

CURRENT_FIELDS = frozenset(field.encode_name for field in msgspec.structs.fields(Provider))
"""Fields of a row in the current format; anything else in an original row is a comment."""
_PROTOCOLS = {"openai": "openai-chat"}
_OPENAI_BASE_URL = "https://api.openai.com/v1"
"""An original row without an endpoint means the OpenAI client's default."""


def is_legacy(document: Any) -> bool:
    """Whether a decoded JSON document has a provider row in the original format."""
    providers = document.get("providers") if isinstance(document, dict) else None
    return isinstance(providers, dict) and any(map(_is_legacy_row, providers.values()))


def _is_legacy_row(row: Any) -> bool:
    return isinstance(row, dict) and ("model_names" in row or "connection" in row)


def convert(document: dict[str, Any], *, sparse: bool = False) -> dict[str, Any]:
    """Return `document` in the current schema.

    Template rows, such as the original's rows for local ports, are left out.

    Args:
        document: A document for which `is_legacy` is true.
        sparse: Whether it will be merged into another document. Then only what its rows
            state is written, and `null` keeps its meaning, "remove".
    """
    rows = {name: row for name, row in document["providers"].items() if not _is_template(row)}
    converted = {
        field: value
        for field, value in document.items()
        if not field.startswith("_") and field != "broken"
    }
    converted["providers"] = {
        name: _convert_row(name, row, sparse=sparse) if _is_legacy_row(row) else row
        for name, row in rows.items()
    }
    priority = document.get("auto_model_priority")
    if isinstance(priority, list) and not sparse:
        served = {
            model for row in converted["providers"].values() for model in _object_at(row, "models")
        }
        priority = [name for name in priority if name in served]
    if priority is not None:
        converted["auto_model_priority"] = priority
    return converted


def _is_template(row: Any) -> bool:
    return isinstance(row, dict) and "$PORT" in str(_object_at(row, "connection").get("endpoint"))


def _object_at(row: Any, field: str) -> dict[str, Any]:
    """Return a field that holds an object, or an empty one."""
    value = row.get(field) if isinstance(row, dict) else None
    return value if isinstance(value, dict) else {}


def _convert_row(provider_id: str, row: dict[str, Any], *, sparse: bool) -> dict[str, Any]:
    stated = _stated_fields(row)
    if sparse:
        return stated
    endpoints = _object_at(stated, "endpoints")
    default = {
        "protocol": "openai-chat",
        "base_url": _OPENAI_BASE_URL,
        **_object_at(endpoints, "default"),
    }
    return {"name": provider_id, **stated, "endpoints": {**endpoints, "default": default}}


def _stated_fields(row: dict[str, Any]) -> dict[str, Any]:
    """Convert what a row states, without the original's defaults."""
    connection = _object_at(row, "connection")
    stated = {field: row[field] for field in row if field in CURRENT_FIELDS}
    if "model_names" in row:
        names = row["model_names"]
        is_object = isinstance(names, dict)
        stated["models"] = {**_object_at(row, "models"), **names} if is_object else names
    if "api_key" in connection:
        stated["auth"] = {"any_of": [[connection["api_key"]]]}
    endpoint = {}
    if "protocol" in connection:
        protocol = connection["protocol"]
        endpoint["protocol"] = _PROTOCOLS.get(str(protocol), protocol)
    if "endpoint" in connection:
        url = connection["endpoint"]
        is_text = isinstance(url, str)
        endpoint["base_url"] = url.replace("$MODEL_NAME", "{model_id}") if is_text else url
    if endpoint:
        stated["endpoints"] = {**_object_at(row, "endpoints"), "default": endpoint}
    return stated
