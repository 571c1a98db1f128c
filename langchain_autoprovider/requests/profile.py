"""What all routes of a plan can do, as a LangChain model profile.

The profile has the smallest context window. A capability is true only if every route is known to
have it, so code that relies on the profile is right for any route that answers. A capability that
is unknown for some route, and missing from none, is left out.
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
    """Return what all of `routes` can do, or `None` if there are no routes."""
    if not routes:
        return None
    infos = [route.model_info for route in routes]
    names = dict.fromkeys(route.model for route in routes)
    capabilities = {
        "tool_calling": _all_true(info.tools for info in infos),
        "tool_choice": _all_true(
            route.model_info.tools and route.quirks.forced_tool_choice for route in routes
        ),
        "structured_output": _all_true(
            route.model_info.structured and route.quirks.response_format == "json_schema"
            for route in routes
        ),
        "reasoning_output": _all_true(info.reasoning for info in infos),
    }
    for kind in _INPUTS:
        capabilities[f"{kind}_inputs"] = _all_true(
            kind in info.input if info.input else None for info in infos
        )
    profile: dict[str, int | str | bool | None] = {
        "name": ", ".join(names),
        "max_input_tokens": _smallest(info.context for info in infos),
        "max_output_tokens": _smallest(info.output for info in infos),
        **capabilities,
    }
    return cast("ModelProfile", {key: v for key, v in profile.items() if v is not None})


def _smallest(limits: Iterable[int | None]) -> int | None:
    """Return the smallest of the known limits, in tokens."""
    return min((limit for limit in limits if limit), default=None)


def _all_true(values: Iterable[bool | None]) -> bool | None:
    """Whether all values are true; `None` if some are unknown and none is false."""
    distinct = set(values)
    if False in distinct:
        return False
    return None if None in distinct else True
