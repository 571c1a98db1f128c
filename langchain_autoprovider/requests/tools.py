"""Neutral request fields → what the class of one route takes.

Tools, `tool_choice`, `response_format` and `shape` stay as they were given until a route
is tried: then the class that speaks its protocol binds them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain_core.tools import BaseTool
from langchain_core.utils.function_calling import convert_to_openai_tool

from langchain_autoprovider.protocols.response_format import response_format
from langchain_autoprovider.requests.needs import vendors_own

if TYPE_CHECKING:
    from collections.abc import Mapping

    from langchain_core.language_models import BaseChatModel

    from inference_providers.types import Route

__all__ = ["bound", "neutral"]

_OF_TOOLS = ("tool_choice", "parallel_tool_calls")
_ANTHROPICS = ("any", "auto", "none", "tool")
"""Types of `tool_choice` as Anthropic spells it, for which LangChain has plain words."""
_OF_ANTHROPICS_TOOLS = ("type", "name", "description", "input_schema", "strict")


def neutral(tool: Any, strict: bool | None) -> dict[str, Any]:  # noqa: FBT001
    """Return a tool in OpenAI's form; a vendor's own stays, for the class that knows it.

    What a vendor alone knows of a function goes along as `extras`, LangChain's word for it.
    """
    if vendors_own(tool):
        own: dict[str, Any] = tool
        return own
    made = convert_to_openai_tool(tool, strict=strict)
    extras = tool.extras if isinstance(tool, BaseTool) else None
    if isinstance(tool, dict) and "input_schema" in tool:
        extras = {name: tool[name] for name in tool if name not in _OF_ANTHROPICS_TOOLS}
    return {**made, "extras": extras} if extras else made


def bound(model: BaseChatModel, route: Route, fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return `fields` as `model` takes them in a call on `route`."""
    made = dict(fields)
    if shape := made.pop("shape", None):
        made.update(_shaped(route, shape))
    return _with_tools(model, made)


def _shaped(route: Route, shape: Mapping[str, Any]) -> dict[str, Any]:
    """Ask for a shape in the best way the route can: unknown is taken for able."""
    facts, quirks = route.model_info, route.quirks
    if facts.structured is not False and quirks.response_format == "json_schema":
        return {"response_format": response_format(shape["schema"], "json_schema", shape["strict"])}
    if facts.tools is not False:
        tool = shape["tool"]
        return {"tools": [tool], "tool_choice": tool["function"]["name"]}
    return {"response_format": response_format(shape["schema"], "json_mode", None)}


def _with_tools(model: BaseChatModel, fields: dict[str, Any]) -> dict[str, Any]:
    tools = fields.pop("tools", None)
    of_tools = {name: fields.pop(name) for name in _OF_TOOLS if name in fields}
    if not tools:  # an empty list of them is refused, and so is the choice of one
        return fields
    choice = of_tools.get("tool_choice")
    if isinstance(choice, dict) and choice.get("type") in _ANTHROPICS:
        of_tools["tool_choice"] = choice.get("name", choice["type"])
        if choice.get("disable_parallel_tool_use"):
            of_tools.setdefault("parallel_tool_calls", False)
    binding: Any = model.bind_tools([_bare(tool) for tool in tools], **of_tools)
    _tell_extras(model, tools, binding.kwargs)
    return {**fields, **binding.kwargs}


def _bare(tool: Any) -> Any:
    return {n: tool[n] for n in tool if n != "extras"} if isinstance(tool, dict) else tool


def _tell_extras(model: BaseChatModel, tools: Any, made: Mapping[str, Any]) -> None:
    """Put on the tools that a class has made what it knows of their extras."""
    if not (known := getattr(model, "tool_extras", None)):
        return
    extras = {
        tool["function"]["name"]: tool["extras"]
        for tool in tools
        if isinstance(tool, dict) and {"extras", "function"} <= tool.keys()
    }
    for tool in made.get("tools", ()):
        told = extras.get(tool.get("name"), {})
        tool.update({name: told[name] for name in told if name in known})
