"""The entries of a model: how a registry file writes them, and which ones a name asks for.

A provider lists each model as one or more entries: the same weights at another
snapshot, tier or quantization, each with the provider's own id for it.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from inference_providers.types import Listing, Model

__all__ = ["Target", "entries_in", "preference"]


class Target(NamedTuple):
    """What a model name asks for.

    Attributes:
        model: The canonical name.
        provider: The provider the name is pinned to.
        snapshot: The requested dated version; its date may be written with or without hyphens.
        tier: The requested price or speed class.
        id: The requested provider's own model id; only set together with `provider`.
    """

    model: str
    provider: str | None = None
    snapshot: str | None = None
    tier: str | None = None
    id: str | None = None

    def matches(self, entry: Model) -> bool:
        """Whether an entry of the model has the requested id, snapshot and tier."""
        return (
            (self.id is None or self.id == entry.id)
            and (self.snapshot is None or _same_label(self.snapshot, entry.snapshot))
            and (self.tier is None or _same_label(self.tier, entry.tier))
        )


def entries_in(listing: Listing) -> tuple[Model, ...]:
    """Return what a file lists under one model name, as entries in the file's order.

    A bare id says nothing about the model's inputs, so they are unknown.
    """
    if isinstance(listing, Model):  # the common case, first
        return (listing,)
    items = (listing,) if isinstance(listing, str) else listing
    return tuple([Model(id=item, input=()) if isinstance(item, str) else item for item in items])


def preference(entry: Model) -> tuple[bool, bool, int]:
    """Return the sort key that puts the default entry first.

    The default has no tier; then undated entries come before dated ones, then the newest.
    """
    newest_first = -(entry.released.toordinal() if entry.released else 0)
    return entry.tier is not None, entry.snapshot is not None, newest_first


def _same_label(requested: str, stated: str | None) -> bool:
    """Whether two snapshots or tiers are equal, ignoring case and separators."""
    return stated is not None and _label_key(requested) == _label_key(stated)


def _label_key(label: str) -> str:
    return re.sub(r"[-_.]", "", label.lower())
