"""What every route of a chain can do, as a LangChain model profile.

The smallest window, and a capability only where each route is known to have it: what
plans by a profile must not be surprised by the route that answers. What is not known
of a route is left out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from langchain_core.language_models import ModelProfile

    from inference_providers.types import Route

__all__ = ["profile_of"]

_INPUTS = ("text", "image", "audio", "video", "pdf")


def profile_of(routes: Sequence[Route]) -> ModelProfile | None:
    """Return what all of `routes` can do; `None` where there are none."""
    if not routes:
        return None
    facts = [route.model_info for route in routes]
    windows = [fact.context for fact in facts if fact.context]
    lengths = [fact.output for fact in facts if fact.output]
    names = list(dict.fromkeys(route.model for route in routes))
    made: dict[str, int | str | bool | None] = {
        "name": ", ".join(names),
        "max_input_tokens": min(windows, default=None),
        "max_output_tokens": min(lengths, default=None),
        "tool_calling": _all(fact.tools for fact in facts),
        "tool_choice": _all(
            route.model_info.tools and route.quirks.forced_tool_choice for route in routes
        ),
        "structured_output": _all(
            route.model_info.structured and route.quirks.response_format == "json_schema"
            for route in routes
        ),
        "reasoning_output": _all(fact.reasoning for fact in facts),
    }
    for kind in _INPUTS:
        made[f"{kind}_inputs"] = _all(kind in fact.input if fact.input else None for fact in facts)
    return cast("ModelProfile", {name: value for name, value in made.items() if value is not None})


def _all(known: Iterable[bool | None]) -> bool | None:
    """Return whether all are; `None` where that is not known of each."""
    each = list(known)
    if False in each:
        return False
    return None if None in each else True
