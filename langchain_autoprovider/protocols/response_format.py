"""The `response_format` of a request, as OpenAI spells it."""

from __future__ import annotations

from typing import Any, Literal

from langchain_core.utils.function_calling import convert_to_json_schema

__all__ = ["Method", "json_schema", "neutral_format", "response_format"]

Method = Literal["function_calling", "json_schema", "json_mode"]


def response_format(
    spec: dict[str, Any],
    method: Method,
    strict: bool | None,  # noqa: FBT001
) -> dict[str, Any]:
    """Return OpenAI's field for a JSON schema; `json_mode` has it along for who can use it."""
    if method == "json_mode":
        # The schema is for providers that take it along; the others' routes leave it out.
        return {"type": "json_object", "schema": spec}
    if strict is not None:
        spec = convert_to_json_schema(spec, strict=strict)
    named = {"name": spec.get("title", "answer"), "schema": spec}
    return {
        "type": "json_schema",
        "json_schema": named if strict is None else {**named, "strict": strict},
    }


def neutral_format(given: Any) -> Any:
    """Return a request's `response_format` as OpenAI spells it; `None` asks for none.

    A class or a JSON schema may be given itself. Text is what comes unasked.
    """
    if isinstance(given, type) or (isinstance(given, dict) and "properties" in given):
        return response_format(convert_to_json_schema(given), "json_schema", None)
    return None if given == {"type": "text"} else given


def json_schema(asked: Any) -> dict[str, Any] | None:
    """Return the schema that a `response_format` holds, if it holds one."""
    if not isinstance(asked, dict):
        return None
    schema = (asked.get("json_schema") or asked).get("schema")
    return schema if isinstance(schema, dict) else None
