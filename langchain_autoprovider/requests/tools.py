"""Translation of request fields from OpenAI's form to what the class of a route accepts.

`tools`, `tool_choice`, `response_format` and `answer_schema` stay in OpenAI's form until a
route is tried. Then the LangChain class of that route's protocol binds them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from langchain_core.tools import BaseTool
from langchain_core.utils.function_calling import convert_to_openai_tool

from langchain_autoprovider.protocols.quirks import apply_quirks
from langchain_autoprovider.protocols.response_format import response_format
from langchain_autoprovider.protocols.table import PROTOCOLS
from langchain_autoprovider.requests.needs import builtin_tool_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from langchain_core.language_models import BaseChatModel

    from inference_providers.types import Route
    from langchain_autoprovider.protocols.quirks import RequestFields

__all__ = ["NEUTRAL_FIELDS", "fields_for_route", "to_openai_tool"]

_TOOL_FIELDS = ("tool_choice", "parallel_tool_calls")
NEUTRAL_FIELDS = frozenset({"answer_schema", "tools", *_TOOL_FIELDS})
"""The fields that the class of a route translates. A request without them needs no binding."""
_ANTHROPIC_CHOICES = ("any", "auto", "none", "tool")
"""Types of Anthropic's `tool_choice`; LangChain uses plain strings instead."""
_ANTHROPIC_TOOL_KEYS = ("type", "name", "description", "input_schema", "strict")


def to_openai_tool(tool: Any, *, strict: bool | None) -> dict[str, Any]:
    """Return a tool in OpenAI's form; a vendor's built-in tool is returned unchanged.

    Keys that only one vendor supports, such as `cache_control`, are kept under LangChain's name
    for them, `extras`.
    """
    if builtin_tool_name(tool):
        builtin: dict[str, Any] = tool
        return builtin
    openai_tool = convert_to_openai_tool(tool, strict=strict)
    extras = tool.extras if isinstance(tool, BaseTool) else None
    if isinstance(tool, dict) and "input_schema" in tool:
        extras = {key: tool[key] for key in tool if key not in _ANTHROPIC_TOOL_KEYS}
    return {**openai_tool, "extras": extras} if extras else openai_tool


def fields_for_route(
    model: BaseChatModel, route: Route, fields: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the request fields as `model`, the class of `route`'s protocol, accepts them."""
    fields = dict(fields)
    if answer_schema := fields.pop("answer_schema", None):
        fields.update(_best_method_fields(route, answer_schema))
    _convert_anthropic_choice(fields)
    protocol = PROTOCOLS[route.endpoint.protocol]
    fields = {**apply_quirks(cast("RequestFields", fields), route.quirks, protocol)}
    tools = fields.pop("tools", None)
    tool_fields = {name: fields.pop(name) for name in _TOOL_FIELDS if name in fields}
    if not tools:  # providers refuse an empty list, and a choice without tools
        return fields
    return {**fields, **_bound_tool_fields(model, tools, tool_fields)}


def _best_method_fields(route: Route, answer_schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of the best method that the route is not known to lack."""
    schema, strict = answer_schema["schema"], answer_schema["strict"]
    model_info, quirks = route.model_info, route.quirks
    if model_info.structured is not False and quirks.response_format == "json_schema":
        return {"response_format": response_format(schema, "json_schema", strict)}
    if model_info.tools is not False:
        tool = answer_schema["tool"]
        return {"tools": [tool], "tool_choice": tool["function"]["name"]}
    return {"response_format": response_format(schema, "json_mode", None)}


def _convert_anthropic_choice(fields: dict[str, Any]) -> None:
    """Replace a `tool_choice` in Anthropic's form with OpenAI's fields, in place."""
    choice = fields.get("tool_choice")
    if isinstance(choice, dict) and choice.get("type") in _ANTHROPIC_CHOICES:
        fields["tool_choice"] = choice.get("name", choice["type"])
        if choice.get("disable_parallel_tool_use"):
            fields.setdefault("parallel_tool_calls", False)


def _bound_tool_fields(
    model: BaseChatModel, tools: Iterable[Any], tool_fields: dict[str, Any]
) -> Mapping[str, Any]:
    """Return the request fields that `model.bind_tools` creates for the tools."""
    binding: Any = model.bind_tools([_without_extras(tool) for tool in tools], **tool_fields)
    _restore_extras(model, tools, binding.kwargs.get("tools", ()))
    bound: Mapping[str, Any] = binding.kwargs
    return bound


def _without_extras(tool: Any) -> Any:
    if not isinstance(tool, dict):
        return tool
    return {key: value for key, value in tool.items() if key != "extras"}


def _restore_extras(
    model: BaseChatModel, tools: Iterable[Any], bound_tools: Iterable[dict[str, Any]]
) -> None:
    """Add the extras that the class of `model` supports to the bound tools, in place."""
    supported: frozenset[str] = getattr(model, "tool_extras", frozenset())
    if not supported:
        return
    extras_by_name = {
        tool["function"]["name"]: tool["extras"]
        for tool in tools
        if isinstance(tool, dict) and {"extras", "function"} <= tool.keys()
    }
    for bound_tool in bound_tools:
        extras = extras_by_name.get(bound_tool.get("name"), {})
        bound_tool.update({key: extras[key] for key in extras if key in supported})
