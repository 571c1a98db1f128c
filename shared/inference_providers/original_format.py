"""Reads the file format of the original `inference-providers` project.

That format has per provider a `connection` (protocol, endpoint, api_key) and
`model_names`; underscore keys and `broken` are comments. It is turned into
today's schema as plain JSON values, before any validation.
"""

from __future__ import annotations

from typing import Any

__all__ = ["convert", "is_original"]

_PROTOCOLS = {"openai": "openai-chat"}
_OPENAI_ENDPOINT = "https://api.openai.com/v1"
"""The original wrote no endpoint where the OpenAI client's own default was meant."""


def is_original(document: Any) -> bool:
    """Tell whether a decoded JSON document is in the original project's format."""
    providers = document.get("providers") if isinstance(document, dict) else None
    return isinstance(providers, dict) and any(
        isinstance(row, dict) and ("model_names" in row or "connection" in row)
        for row in providers.values()
    )


def convert(document: dict[str, Any]) -> dict[str, Any]:
    """Return `document` in today's schema.

    A provider that states no endpoint and no key, as the original's template
    row for local ports, cannot be called and is left out, as it was there.
    """
    rows = {name: row for name, row in document["providers"].items() if isinstance(row, dict)}
    converted: dict[str, Any] = {
        "schema_version": 1,
        "providers": {name: _provider(name, row) for name, row in rows.items() if _callable(row)},
    }
    if "auto_model_priority" in document:
        served = {model for row in rows.values() for model in row.get("model_names", {})}
        priority = document["auto_model_priority"]
        converted["auto_model_priority"] = [name for name in priority if name in served]
    return converted


def _callable(row: dict[str, Any]) -> bool:
    connection = row.get("connection", {})
    return "model_names" in row and ("endpoint" in connection or "api_key" in connection)


def _provider(provider_id: str, row: dict[str, Any]) -> dict[str, Any]:
    connection = row.get("connection", {})
    protocol = connection.get("protocol", "openai")
    url = connection.get("endpoint", _OPENAI_ENDPOINT).replace("$MODEL_NAME", "{model_id}")
    key = connection.get("api_key")
    return {
        "name": row.get("name", provider_id),
        "auth": {"any_of": [[key] if key else []]},
        "endpoints": {"default": {"protocol": _PROTOCOLS.get(protocol, protocol), "base_url": url}},
        "models": row["model_names"],
    }
