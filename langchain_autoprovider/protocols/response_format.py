"""A request's `response_format`, in OpenAI's form."""

from __future__ import annotations

from typing import Any, Literal

from langchain_core.utils.function_calling import convert_to_json_schema

__all__ = ["Method", "json_schema", "normalize_response_format", "response_format"]

Method = Literal["function_calling", "json_schema", "json_mode"]


def response_format(
    spec: dict[str, Any],
    method: Method,
    strict: bool | None,  # noqa: FBT001
) -> dict[str, Any]:
    """Return OpenAI's parameter for a JSON schema.

    With `json_mode`, the schema is included for providers that read it there; `quirks` removes it
    for the others.
    """
    if method == "json_mode":
        return {"type": "json_object", "schema": spec}
    if strict is not None:
        spec = convert_to_json_schema(spec, strict=strict)
    named = {"name": spec.get("title", "answer"), "schema": spec}
    if strict is not None:
        named["strict"] = strict
    return {"type": "json_schema", "json_schema": named}


def normalize_response_format(value: Any) -> Any:
    """Return a caller's `response_format` in OpenAI's form, or `None` for plain text.

    A class or a bare JSON schema is accepted as well.
    """
    if isinstance(value, type) or (isinstance(value, dict) and "properties" in value):
        return response_format(convert_to_json_schema(value), "json_schema", None)
    return None if value == {"type": "text"} else value


def json_schema(value: Any) -> dict[str, Any] | None:
    """Return the schema in a `response_format`, if it has one."""
    if not isinstance(value, dict):
        return None
    schema = (value.get("json_schema") or value).get("schema")
    return schema if isinstance(schema, dict) else None
