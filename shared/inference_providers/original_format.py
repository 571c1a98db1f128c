"""Reads the file format of the original `inference-providers` project.

That format has per provider a `connection` (protocol, endpoint, api_key) and
`model_names`; underscore keys and `broken` are comments. It is turned into
today's schema as plain JSON values, before any validation: what is of the wrong
type is handed on as it is, for the schema to complain about.
"""

from __future__ import annotations

from typing import Any

__all__ = ["convert", "is_original"]

_PROTOCOLS = {"openai": "openai-chat"}
_SAME = {"name": "name", "model_names": "models"}
_OPENAI_ENDPOINT = "https://api.openai.com/v1"
"""The original wrote no endpoint where the OpenAI client's own default was meant."""


def is_original(document: Any) -> bool:
    """Tell whether a decoded JSON document is in the original project's format."""
    providers = document.get("providers") if isinstance(document, dict) else None
    return isinstance(providers, dict) and any(
        isinstance(row, dict) and ("model_names" in row or "connection" in row)
        for row in providers.values()
    )


def convert(document: dict[str, Any], *, sparse: bool = False) -> dict[str, Any]:
    """Return `document` in today's schema.

    A `sparse` one is to be laid over another: of its rows, only what they state is
    written, and `null` goes on meaning "remove". A row that serves as a template, as
    the original's for local ports, is left out.
    """
    rows = {name: row for name, row in document["providers"].items() if not _is_template(row)}
    make = _stated if sparse else _complete
    converted: dict[str, Any] = {
        "providers": {
            name: make(name, row) if isinstance(row, dict) else row for name, row in rows.items()
        }
    }
    priority = document.get("auto_model_priority")
    if isinstance(priority, list) and not sparse:
        served = {model for row in converted["providers"].values() for model in _models(row)}
        priority = [name for name in priority if name in served]
    if priority is not None:
        converted["auto_model_priority"] = priority
    return converted


def _is_template(row: Any) -> bool:
    return isinstance(row, dict) and "$PORT" in str(_connection(row).get("endpoint"))


def _connection(row: dict[str, Any]) -> dict[str, Any]:
    connection = row.get("connection")
    return connection if isinstance(connection, dict) else {}


def _models(row: Any) -> dict[str, Any]:
    models = row.get("models") if isinstance(row, dict) else None
    return models if isinstance(models, dict) else {}


def _complete(provider_id: str, row: dict[str, Any]) -> dict[str, Any]:
    stated = _stated(provider_id, row)
    endpoint = {"protocol": "openai-chat", "base_url": _OPENAI_ENDPOINT}
    endpoint.update(stated.get("endpoints", {}).get("default", {}))
    return {"name": provider_id, **stated, "endpoints": {"default": endpoint}}


def _stated(_: str, row: dict[str, Any]) -> dict[str, Any]:
    connection = _connection(row)
    stated = {ours: row[own] for own, ours in _SAME.items() if own in row}
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
        stated["endpoints"] = {"default": endpoint}
    return stated
