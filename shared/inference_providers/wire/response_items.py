"""Normalizes the output items of a response, so that LangChain's converters can read them."""

from __future__ import annotations

from typing import Any

from inference_providers.errors import InvalidResponseError
from inference_providers.wire.reported_errors import invalid_response
from inference_providers.wire.text_parts import clean_text, copy_json, first_text, read_content
from inference_providers.wire.tool_calls import final_arguments, new_call_id, serialize_arguments
from inference_providers.wire.usage import RESPONSES_NAMES, read_usage

__all__ = ["item_text", "read_item", "read_response_object"]

_MAX_DEPTH = 20
_TEXTS = ("id", "model", "object", "service_tier", "status", "user")


def read_response_object(raw: dict[str, Any], output: list[Any]) -> dict[str, Any]:
    """Return a response with the parts that converters read, in the types they expect.

    Args:
        raw: The response.
        output: Its output items.

    Raises:
        InvalidResponseError: An output item has an unknown form.
    """
    response: dict[str, Any] = {"error": None, "object": "response"}
    for name in _TEXTS:
        value = raw.get(name)
        if value and isinstance(value, str):
            response[name] = clean_text(value)
    response.setdefault("id", "")
    created = raw.get("created_at")
    if isinstance(created, int | float) and not isinstance(created, bool):
        response["created_at"] = created
    for name in ("incomplete_details", "text"):
        if isinstance(raw.get(name), dict):
            response[name] = copy_json(raw[name], _MAX_DEPTH)
    if isinstance(metadata := raw.get("metadata"), dict):
        pairs = metadata.items()
        response["metadata"] = {name: value for name, value in pairs if isinstance(value, str)}
    if (usage := read_usage(raw.get("usage"), RESPONSES_NAMES)) is not None:
        response["usage"] = usage
    response["output"] = [read_item(item) for item in output if item is not None]
    return response


def read_item(raw: Any) -> dict[str, Any]:
    """Return one output item.

    Raises:
        InvalidResponseError: It has an unknown form.
    """
    if not isinstance(raw, dict) or not isinstance(raw.get("type"), str):
        msg = "an output item that is not an object with a type"
        raise invalid_response(msg)
    item: dict[str, Any] = copy_json(raw, _MAX_DEPTH)
    for name in ("id", "status", "call_id", "name", "phase", "namespace", "encrypted_content"):
        if name in item and not isinstance(item[name], str):
            del item[name]
    kind = item["type"]
    if kind == "message":
        item["content"] = _read_parts(item.get("content"))
        item["role"] = "assistant"
    elif kind == "function_call":
        item["name"] = item.get("name", "")
        item["arguments"] = final_arguments(serialize_arguments(item.get("arguments")))
        item["call_id"] = item.get("call_id") or item.get("id") or new_call_id()
    elif kind == "custom_tool_call":
        item["name"] = item.get("name", "")
        item["input"] = first_text(item, "input")
        item["call_id"] = item.get("call_id") or item.get("id") or new_call_id()
    elif kind == "reasoning":
        item["summary"] = _read_summary(item.get("summary"))
    return item


def item_text(item: dict[str, Any]) -> str:
    """Return the text of a message item."""
    return "".join(part.get("text", "") for part in item["content"])


def _read_parts(raw: Any) -> list[dict[str, Any]]:
    """Return the content of a message item: its texts with annotations, and its refusals."""
    parts: list[dict[str, Any]] = []
    for part in raw if isinstance(raw, list) else [raw]:
        content = read_content(part)
        text = content.content
        if not isinstance(text, str):
            msg = "a message item with content that is not text"
            raise InvalidResponseError(msg)
        annotations = part.get("annotations") if isinstance(part, dict) else None
        if content.refusal:
            parts.append({"type": "refusal", "refusal": clean_text(content.refusal)})
        else:
            texts = {"text": clean_text(text), "annotations": _read_annotations(annotations)}
            parts.append({"type": "output_text", **texts})
    return parts


def _read_annotations(raw: Any) -> list[dict[str, Any]]:
    if not isinstance(raw, list):
        return []
    return [item for item in raw if isinstance(item, dict) and isinstance(item.get("type"), str)]


def _read_summary(raw: Any) -> list[dict[str, Any]]:
    parts = raw if isinstance(raw, list) else [raw]
    texts = (first_text({"text": part}, "text") for part in parts)
    return [{"type": "summary_text", "text": clean_text(text)} for text in texts if text]
