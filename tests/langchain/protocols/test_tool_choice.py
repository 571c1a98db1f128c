"""The choice of a tool: every form of it, and what is left of it where a route supports less."""

from __future__ import annotations

from typing import Any

import pytest

from langchain_autoprovider.protocols.tool_choice import limit_tool_choice, normalize_tool_choice

ADD: dict[str, Any] = {"type": "function", "function": {"name": "add", "parameters": {}}}
OTHER: dict[str, Any] = {"type": "function", "function": {"name": "other", "parameters": {}}}
SEARCH = {"type": "web_search", "name": "web_search"}
TOOLS = [ADD, OTHER, SEARCH]


@pytest.mark.parametrize(
    ("choice", "normalized"),
    [
        (None, None),
        (False, None),
        ("", None),
        (True, "any"),
        ("required", "any"),
        ("any", "any"),
        ("auto", "auto"),
        ("none", "none"),
        ("add", "add"),
        ({"type": "function", "function": {"name": "add"}}, "add"),
        ({"type": "function", "name": "add"}, "add"),
        ({"type": "tool", "name": "add"}, "add"),
        ({"type": "any"}, "any"),
        ({"type": "auto"}, "auto"),
    ],
)
def test_normalize_tool_choice_knows_every_form(choice: Any, normalized: str | None) -> None:
    assert normalize_tool_choice(choice) == normalized


@pytest.mark.parametrize(
    ("choice", "supported", "tools", "limited"),
    [
        ("add", {"auto", "any", "none", "tool"}, TOOLS, "add"),
        ("add", {"auto", "any"}, [ADD], "any"),
        ("web_search", {"auto", "any"}, [SEARCH], "any"),
        ("unheard-of", {"auto", "any"}, TOOLS, "any"),
        ("add", {"auto", "tool"}, [ADD], "auto"),
        ("add", set(), [ADD], None),
        ("any", {"auto"}, TOOLS, "auto"),
        ("any", set(), TOOLS, None),
        ("auto", set(), TOOLS, None),
        ("none", {"none"}, TOOLS, "none"),
        ("none", {"auto"}, [], "none"),
        (None, set(), TOOLS, None),
    ],
)
def test_limit_tool_choice_keeps_within_what_is_supported(
    choice: str | None, supported: set[str], tools: list[Any], limited: str | None
) -> None:
    assert limit_tool_choice(TOOLS, choice, supported.__contains__) == (tools, limited)
