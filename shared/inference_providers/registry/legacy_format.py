"""Reads the file format of the original `inference-providers` project.

That format has per provider a `connection` (protocol, endpoint, api_key) and
`model_names`; underscore keys and `broken` are comments. It is turned into
today's schema as plain JSON values, before any validation: what is of the wrong
type is handed on as it is, for the schema to complain about. What is in today's format
already stays as it is, beside the original's and within it.
"""

from __future__ import annotations

from typing import Any

__all__ = ["convert", "is_original"]

_PROTOCOLS = {"openai": "openai-chat"}
TODAYS = frozenset(
    {
        *(
            "auth",
            "checked",
            "docs",
            "embeddings",
            "endpoints",
            "accepts_any_model",
            "kind",
            "limits",
        ),
        *("models", "name", "quirks", "source", "variant_of"),
    }
)
"""What a row of today's format has; whatever else is in one of the original is a comment."""
_OPENAI_ENDPOINT = "https://api.openai.com/v1"
"""The original wrote no endpoint where the OpenAI client's own default was meant."""


def is_original(document: Any) -> bool:
    """Tell whether a decoded JSON document is in the original project's format."""
    providers = document.get("providers") if isinstance(document, dict) else None
    return isinstance(providers, dict) and any(map(_is_original_row, providers.values()))


def _is_original_row(row: Any) -> bool:
    return isinstance(row, dict) and ("model_names" in row or "connection" in row)


def convert(document: dict[str, Any], *, sparse: bool = False) -> dict[str, Any]:
    """Return `document` in today's schema.

    A `sparse` one is to be laid over another: of its rows, only what they state is
    written, and `null` goes on meaning "remove". A row that serves as a template, as
    the original's for local ports, is left out.
    """
    rows = {name: row for name, row in document["providers"].items() if not _is_template(row)}
    make = _stated if sparse else _complete
    converted: dict[str, Any] = {
        field: value
        for field, value in document.items()
        if not field.startswith("_") and field != "broken"
    }
    converted["providers"] = {
        name: make(name, row) if _is_original_row(row) else row for name, row in rows.items()
    }
    priority = document.get("auto_model_priority")
    if isinstance(priority, list) and not sparse:
        served = {
            model for row in converted["providers"].values() for model in _object(row, "models")
        }
        priority = [name for name in priority if name in served]
    if priority is not None:
        converted["auto_model_priority"] = priority
    return converted


def _is_template(row: Any) -> bool:
    return isinstance(row, dict) and "$PORT" in str(_connection(row).get("endpoint"))


def _connection(row: dict[str, Any]) -> dict[str, Any]:
    return _object(row, "connection")


def _object(row: Any, field: str) -> dict[str, Any]:
    value = row.get(field) if isinstance(row, dict) else None
    return value if isinstance(value, dict) else {}


def _complete(provider_id: str, row: dict[str, Any]) -> dict[str, Any]:
    stated = _stated(provider_id, row)
    endpoint = {"protocol": "openai-chat", "base_url": _OPENAI_ENDPOINT}
    endpoints = _object(stated, "endpoints")
    endpoint.update(_object(endpoints, "default"))
    return {"name": provider_id, **stated, "endpoints": {**endpoints, "default": endpoint}}


def _stated(_: str, row: dict[str, Any]) -> dict[str, Any]:
    connection = _connection(row)
    stated = {field: row[field] for field in row if field in TODAYS}
    if "model_names" in row:
        names = row["model_names"]
        stated["models"] = {**_object(row, "models"), **names} if isinstance(names, dict) else names
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
        stated["endpoints"] = {**_object(row, "endpoints"), "default": endpoint}
    return stated
