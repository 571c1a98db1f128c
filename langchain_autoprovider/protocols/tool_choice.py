"""Tool choices, normalized to one form and limited to what a route supports."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["ChoiceKind", "limit_tool_choice", "normalize_tool_choice"]

ChoiceKind = Literal["auto", "any", "none", "tool"]
"""`any` requires a call of some tool, `tool` a call of a named one."""

_SYNONYMS = {"required": "any", "True": "any", "False": None, "": None}


def normalize_tool_choice(tool_choice: Any) -> str | None:
    """Return `auto`, `any`, `none` or a tool's name, from any form that is in use."""
    if isinstance(tool_choice, dict):
        name = tool_choice.get("function", tool_choice).get("name")
        tool_choice = name or tool_choice.get("type")
    if tool_choice is None:
        return None
    word = str(tool_choice)
    return _SYNONYMS.get(word, word)


def limit_tool_choice(
    tools: list[Any], choice: str | None, supports: Callable[[ChoiceKind], bool]
) -> tuple[list[Any], str | None]:
    """Return the tools to send and the tool choice, limited to what is supported.

    If a tool cannot be required by name, only that tool is sent, and some call is required. If no
    call can be required, the model decides. If calls cannot be forbidden, no tools are sent.
    """
    if choice not in {None, "auto", "any", "none"} and not (supports("tool") and supports("any")):
        named = [tool for tool in tools if _name_of(tool) == choice]
        tools, choice = named or tools, "any"
    if choice == "any" and not supports("any"):
        choice = "auto"
    if choice == "auto" and not supports("auto"):
        choice = None
    if choice == "none" and not supports("none"):
        tools = []
    return tools, choice


def _name_of(tool: Any) -> Any:
    return tool.get("function", tool).get("name") if isinstance(tool, dict) else None
