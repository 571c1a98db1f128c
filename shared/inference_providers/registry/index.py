"""What a document lists: its models and entries, and the indexes to find them by name."""

from __future__ import annotations

import re
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

from inference_providers.model_names.canonical import canonical_name
from inference_providers.types import Listing, Model, Provider

if TYPE_CHECKING:
    from collections.abc import Mapping

    from inference_providers.registry.loader import Document

__all__ = ["CHATS", "EMBEDS", "Catalogue", "Target", "each"]

CHATS = "chats; give it to AutoChatModel, or LlamaIndex's AutoLLM"
EMBEDS = "makes embeddings; give it to AutoEmbeddings, or LlamaIndex's AutoEmbedding"


class Target(NamedTuple):
    """What a name means: a model, and what was said beyond its name.

    Attributes:
        model: The canonical name.
        provider: The provider it is pinned to.
        snapshot: The dated version that is wanted, however its date is written.
        tier: The price or speed class that is wanted.
        id: The provider's own id that is wanted; only with `provider`.
    """

    model: str
    provider: str | None = None
    snapshot: str | None = None
    tier: str | None = None
    id: str | None = None

    def takes(self, entry: Model) -> bool:
        """Say whether an entry of the model is what the name asks for."""
        return (
            (self.id is None or self.id == entry.id)
            and (self.snapshot is None or _same(self.snapshot, entry.snapshot))
            and (self.tier is None or _same(self.tier, entry.tier))
        )


class Catalogue:
    """The models and entries of a document. Immutable, like the document.

    `others` says what takes the document's other models, those under `embeddings`.
    """

    def __init__(self, document: Document, others: str = EMBEDS) -> None:
        self.document = document
        self.others = others

    @property
    def providers(self) -> Mapping[str, Provider]:
        """Providers by id, in order of preference."""
        return self.document.providers

    @cached_property
    def models(self) -> Mapping[str, tuple[str, ...]]:
        """Canonical names, sorted, each with the ids of the providers that list it."""
        listed: dict[str, list[str]] = {}
        for provider_id, provider in self.providers.items():
            for model in provider.models:
                listed.setdefault(model, []).append(provider_id)
        return {model: tuple(listed[model]) for model in sorted(listed)}

    @cached_property
    def protocols(self) -> frozenset[str]:
        """The protocols of all endpoints."""
        rows = self.providers.values()
        return frozenset(endpoint.protocol for row in rows for endpoint in row.endpoints.values())

    def entries(self, provider_id: str, model: str) -> tuple[Model, ...]:
        """Return what `provider_id` lists under a canonical name, default first.

        The default is of no tier, undated before dated, then the newest.
        """
        provider = self.providers.get(provider_id)
        listed = provider.models.get(model) if provider else None
        return () if listed is None else tuple(sorted(each(listed), key=_default_first))

    def offered(self, provider_id: str, target: Target) -> tuple[Model, ...]:
        """Return the entries of `provider_id` that `target` asks for, default first."""
        return tuple(filter(target.takes, self.entries(provider_id, target.model)))

    def providers_of(self, model: str, only: str | None = None) -> tuple[str, ...]:
        """Return the ids of the providers that list a model, or `only` that one if it does."""
        return tuple(p for p in self.models.get(model, ()) if only in {None, p})

    def has(self, target: Target) -> bool:
        """Say whether there is any entry that `target` asks for."""
        asked = self.providers_of(target.model, target.provider)
        return any(self.offered(provider_id, target) for provider_id in asked)

    def known(self, name: str) -> str | None:
        """Return the model that a name or an alias in lower case stands for."""
        name = self.leads_to(name) or name
        return name if name in self.models else self._capitals[0].get(name.lower())

    def leads_to(self, alias: str) -> str | None:
        """Return what stands behind an alias in lower case, be it listed or not."""
        return self.document.aliases.get(alias) or self._capitals[1].get(alias)

    def named(self, model_id: str, provider_id: str) -> str:
        """Return the canonical name of an own id, whether the registry lists it or not."""
        if own := self.own_ids.get(model_id.lower()):
            return own[0]
        name = canonical_name(model_id, provider_id)
        return self.document.aliases.get(name, name)

    @cached_property
    def own_ids(self) -> Mapping[str, tuple[str, Model]]:
        """Model and entry by own id in lower case; of several, the most preferred provider's."""
        return {
            entry.id.lower(): (model, entry)
            for provider in reversed([*self.providers.values()])
            for model, listed in reversed([*provider.models.items()])
            for entry in each(listed)
        }

    @cached_property
    def _capitals(self) -> tuple[Mapping[str, str], Mapping[str, str]]:
        """Models, and what aliases lead to, by names in lower case that a file writes otherwise."""
        aliases = self.document.aliases
        return (
            {folded: name for name in self.models if (folded := name.lower()) != name},
            {folded: aliases[name] for name in aliases if (folded := name.lower()) != name},
        )


def each(listed: Listing) -> tuple[Model, ...]:
    """Return what a file lists under one name, each as an entry, in the file's order."""
    if isinstance(listed, Model):  # most are alone
        return (listed,)
    several = (listed,) if isinstance(listed, str) else listed
    return tuple([Model(id=e, input=()) if isinstance(e, str) else e for e in several])


def _default_first(entry: Model) -> tuple[bool, bool, int]:
    newest_first = -(entry.released.toordinal() if entry.released else 0)
    return entry.tier is not None, entry.snapshot is not None, newest_first


def _same(wanted: str, stated: str | None) -> bool:
    """Compare snapshots or tiers; a date may be written with or without its hyphens."""
    return stated is not None and _bare(wanted) == _bare(stated)


def _bare(text: str) -> str:
    return re.sub(r"[-_.]", "", text.lower())
