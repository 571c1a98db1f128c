"""Quirks as the overlay and pi-ai state them, in the registry's words.

A provider's quirks are the overlay's and what pi-ai states of every model it has there.
A model's quirks replace the provider's, so they are written out in full where they differ.
"""

from __future__ import annotations

from functools import reduce
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    from registry_builder.sources import PiAiCompat, PiAiModel

__all__ = ["combined", "from_compat", "provider_quirks"]


def provider_quirks(overlay_quirks: dict[str, Any], models: Iterable[PiAiModel]) -> dict[str, Any]:
    """Return a provider's quirks: the overlay's, and what holds for all models in pi-ai."""
    stated = [from_compat(model.compat) for model in models if model.compat]
    return combined(reduce(_common, stated) if stated else {}, overlay_quirks)


def from_compat(compat: PiAiCompat) -> dict[str, Any]:
    """Translate what pi-ai states; what it does not state stays unknown."""
    quirks: dict[str, Any] = {}
    supported_params = {
        "store": compat.supports_store,
        "reasoning_effort": compat.supports_reasoning_effort,
        "temperature": compat.supports_temperature,
    }
    refused = [name for name, supported in supported_params.items() if supported is False]
    if refused:
        quirks["drop_params"] = sorted(refused)
    supported_features = {
        "developer_role": compat.supports_developer_role,
        "strict_tools": compat.supports_strict_mode,
        "stream_usage": compat.supports_usage_in_streaming,
    }
    quirks |= {name: False for name, has in supported_features.items() if has is False}
    if compat.requires_reasoning_content_on_assistant_messages:
        quirks["replay_reasoning"] = True
    return quirks


def combined(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """Return `base` updated with `over`; a parameter that either one drops is dropped."""
    quirks = {**base, **over}
    if refused := {*base.get("drop_params", ()), *over.get("drop_params", ())}:
        quirks["drop_params"] = sorted(refused)
    return dict(sorted(quirks.items()))


def _common(first: dict[str, Any], second: dict[str, Any]) -> dict[str, Any]:
    """Return the quirks that two models share."""
    shared = {name: value for name, value in first.items() if second.get(name) == value}
    refused = set(first.get("drop_params", ())) & set(second.get("drop_params", ()))
    shared.pop("drop_params", None)
    return {**shared, "drop_params": sorted(refused)} if refused else shared
