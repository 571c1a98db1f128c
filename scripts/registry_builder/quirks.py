"""Quirks: what the overlay and pi-ai state, in the registry's words.

A provider's are the overlay's and what pi-ai states of every model it has there; a
model's stand in place of them, so they are written out whole where they differ.
"""

from __future__ import annotations

from functools import reduce
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    from registry_builder.sources import Compat, Newer

__all__ = ["combined", "of_compat", "of_provider"]


def of_provider(said: dict[str, Any], newer: Iterable[Newer]) -> dict[str, Any]:
    """Return a provider's quirks: the overlay's, and what holds of all its models."""
    stated = [of_compat(model.compat) for model in newer if model.compat]
    return combined(reduce(_common, stated) if stated else {}, said)


def of_compat(compat: Compat) -> dict[str, Any]:
    """Say in the registry's words what pi-ai states; what it does not, stays open."""
    quirks: dict[str, Any] = {}
    refused = {
        "store": compat.supports_store,
        "reasoning_effort": compat.supports_reasoning_effort,
        "temperature": compat.supports_temperature,
    }
    if drop := [name for name, taken in refused.items() if taken is False]:
        quirks["drop_params"] = sorted(drop)
    lacking = {
        "developer_role": compat.supports_developer_role,
        "strict_tools": compat.supports_strict_mode,
        "stream_usage": compat.supports_usage_in_streaming,
    }
    quirks |= {name: False for name, has in lacking.items() if has is False}
    if compat.requires_reasoning_content_on_assistant_messages:
        quirks["replay_reasoning"] = True
    return quirks


def combined(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    """Lay quirks over others; what either refuses is refused."""
    quirks = {**one, **other}
    if refused := {*one.get("drop_params", ()), *other.get("drop_params", ())}:
        quirks["drop_params"] = sorted(refused)
    return dict(sorted(quirks.items()))


def _common(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    shared = {name: value for name, value in one.items() if other.get(name) == value}
    both = set(one.get("drop_params", ())) & set(other.get("drop_params", ()))
    shared.pop("drop_params", None)
    return {**shared, "drop_params": sorted(both)} if both else shared
