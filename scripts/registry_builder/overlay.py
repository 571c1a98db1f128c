"""What people write: `registry/overlay.toml`, the facts no catalogue has.

One table a provider, see CONTRIBUTING.md. Tables that go into the registry file
as they are (`auth`, `endpoints`, `quirks`) are checked there, against its schema.
"""

from __future__ import annotations

import re
from datetime import date  # noqa: TC003 - msgspec reads annotations at run time
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Overlay", "OverlayError", "PerModel", "Row", "Rule", "read", "used"]


class OverlayError(ValueError):
    """The overlay is wrong; the message says where."""


class _Table(Struct, frozen=True, forbid_unknown_fields=True):
    """Base of the overlay's tables: a word nobody reads is an error."""


class PerModel(_Table, frozen=True, kw_only=True):
    """What is said of one model id, or of all that a rule's pattern finds.

    Attributes:
        name: The canonical name, where the text rules cannot know it.
        add: Who lists the id, where no catalogue does.
        drop: Why the id is left out.
        keep: Why the id is kept although a catalogue counts it out.
        facts: Fields of the registry's `Model`, in place of the catalogues'.
        unset: Fields of which the catalogues say something wrong.
        newer: Whether pi-ai's facts stand before models.dev's.
        embedding: Whether it embeds, where its id does not tell.
        embeds_too: Facts under which a chat model is listed among the embedding models
            as well, since its server gives out its vectors.
        quirks: Laid over the provider's.
    """

    name: str | None = None
    add: str | None = None
    drop: str | None = None
    keep: str | None = None
    facts: dict[str, Any] = {}
    unset: tuple[str, ...] = ()
    newer: bool = False
    embedding: bool = False
    embeds_too: dict[str, Any] = {}
    quirks: dict[str, Any] = {}


class Rule(PerModel, frozen=True, kw_only=True):
    """The same for every id that `match`, a regular expression, finds something in."""

    match: str


class Row(_Table, frozen=True, kw_only=True):
    """One provider.

    Attributes:
        catalogue: Its id in models.dev.
        newer: Its id in pi-ai.
        complete: Whether pi-ai lists all of its models that call tools: then a model
            only the older catalogue has is gone.
        newer_prices: Whether prices are pi-ai's.
        shutdowns: LiteLLM's names of it in the shutdown dates.
        older_unset: Fields in which models.dev is not to be believed here: `temperature`.
        newer_unset: The same of pi-ai: `context`, `cost`.
        only_known: Whether only models are listed that somebody else serves too.
        ways: Addresses that models.dev gives for single models → our endpoint's name.
        rules: Applied in order; of several that match, each adds its own.
        models: What is said of single ids; stands before `rules`.
    """

    name: str
    endpoints: dict[str, dict[str, Any]]
    auth: dict[str, Any]
    kind: str = "direct"
    docs: str | None = None
    source: str | None = None
    checked: date | None = None
    quirks: dict[str, Any] = {}
    variant_of: str | None = None
    accepts_any_model: bool = False
    catalogue: str | None = None
    newer: str | None = None
    complete: bool = False
    newer_prices: bool = False
    shutdowns: tuple[str, ...] = ()
    older_unset: tuple[str, ...] = ()
    newer_unset: tuple[str, ...] = ()
    only_known: bool = False
    ways: dict[str, str] = {}
    rules: tuple[Rule, ...] = ()
    models: dict[str, PerModel] = {}

    def said_of(self, model_id: str) -> tuple[PerModel, ...]:
        """Return what the overlay says of an id, the strongest word last."""
        said: list[PerModel] = [rule for rule in self.rules if re.search(rule.match, model_id)]
        if own := self.models.get(model_id):
            said.append(own)
        return tuple(said)


class Families(_Table, frozen=True, kw_only=True):
    """What models.dev's `family` means.

    Attributes:
        same: Words that are one family, the first being its name.
        wrong: Words to pass over: brands, or families models.dev mistook.
        mixed: Canonical names that rightly have several families or sizes, and why.
    """

    same: tuple[tuple[str, ...], ...] = ()
    wrong: tuple[str, ...] = ()
    mixed: dict[str, str] = {}


class Overlay(_Table, frozen=True, kw_only=True):
    """The whole file.

    Attributes:
        as_of: The day it speaks of: what was shut down by then is left out.
        tiers: The tier words in use.
        not_chat: Finds ids that are no chat models.
        dimensions: Sizes of embeddings by canonical name.
    """

    as_of: date
    tiers: frozenset[str]
    not_chat: str
    embedding: str
    families: Families = Families()
    providers: dict[str, Row] = {}
    retired_providers: dict[str, dict[str, Any]] = {}
    retired_models: dict[str, dict[str, Any]] = {}
    aliases: dict[str, str] = {}
    dimensions: dict[str, int] = {}
    auto_model_priority: tuple[str, ...] = ()


def read(source: Path | bytes) -> Overlay:
    """Read an overlay.

    Raises:
        OverlayError: It is not TOML, or holds what nobody reads; says where.
    """
    raw = source if isinstance(source, bytes) else source.read_bytes()
    try:
        return msgspec.toml.decode(raw, type=Overlay)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        msg = f"the overlay: {error}"
        raise OverlayError(msg) from error


def used(overlay: Overlay) -> dict[str, set[str]]:
    """Return which providers are read of each catalogue, by the catalogue's name in `Inputs`."""
    rows = overlay.providers.values()
    return {
        "models_dev": {row.catalogue for row in rows if row.catalogue},
        "pi_ai": {row.newer for row in rows if row.newer},
        "shutdowns": {group for row in rows for group in row.shutdowns},
    }
