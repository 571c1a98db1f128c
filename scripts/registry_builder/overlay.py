"""`registry/overlay.toml`: what people write, the facts that no catalogue has.

A provider is one table, `[providers.<id>]`, in the order of preference. The classes below
document every key; a key that none of them has is an error. Three of them go into the
registry file unchanged and are checked there against its schema: `auth`, `endpoints`, `quirks`.

```toml
[providers.example]
name = "Example"
auth = { any_of = [["EXAMPLE_API_KEY"]] }
models_dev = "example"                     # its id in models.dev: models and prices
pi_ai = "example"                          # its id in pi-ai: newer facts, quirks
endpoints.default = { protocol = "openai-chat", base_url = "https://api.example.com/v1" }
rules = [{ match = "-beta$", drop = "a preview" }]
[providers.example.models]
"ex-2" = { listed_by = "example.com/models", overrides = { context = 128000 } }
```
"""

from __future__ import annotations

import re
from datetime import date  # noqa: TC003 - msgspec reads annotations at run time
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["ModelEdit", "Overlay", "OverlayError", "ProviderTable", "Rule", "read", "used_ids"]


class OverlayError(ValueError):
    """The overlay is not TOML, or has a key that does not exist; the message says where."""


class _Table(Struct, frozen=True, forbid_unknown_fields=True):
    """Base of the overlay's tables: an unknown key is an error."""


class ModelEdit(_Table, frozen=True, kw_only=True):
    """What the overlay says about one model id, or about all ids that a rule matches.

    Attributes:
        name: The canonical name, if the text rules cannot know it.
        listed_by: Who lists the id, if no catalogue does.
        drop: Why the id is left out.
        keep: Why the id is kept although a catalogue rules it out.
        overrides: Fields of the registry's `Model` that replace the catalogues' values.
        omit: Fields that the catalogues get wrong; they are left unknown.
        prefer_pi_ai: Whether pi-ai's facts are used instead of models.dev's.
        embedding: Whether it is an embedding model, if its id does not show it.
        also_embeds: Facts under which a chat model is listed as an embedding model as
            well, because its server returns embeddings too.
        quirks: Added to the provider's quirks, or replacing some of them.
    """

    name: str | None = None
    listed_by: str | None = None
    drop: str | None = None
    keep: str | None = None
    overrides: dict[str, Any] = {}
    omit: tuple[str, ...] = ()
    prefer_pi_ai: bool = False
    embedding: bool = False
    also_embeds: dict[str, Any] = {}
    quirks: dict[str, Any] = {}


class Rule(ModelEdit, frozen=True, kw_only=True):
    """An edit for every id in which the regular expression `match` is found."""

    match: str


class ProviderTable(_Table, frozen=True, kw_only=True):
    """One provider.

    Fields that are not described here are those of the registry's `Provider`.

    Attributes:
        models_dev: Its id in models.dev.
        pi_ai: Its id in pi-ai.
        litellm: Its ids in LiteLLM's price map, for shutdown dates.
        pi_ai_is_complete: Whether pi-ai lists all of its models that call tools. Then such
            a model that only models.dev lists is gone.
        pi_ai_prices: Whether prices are taken from pi-ai.
        models_dev_ignored: Fields of models.dev that are wrong for this provider:
            `temperature`.
        pi_ai_ignored: Fields of pi-ai that are wrong for this provider: `context`, `cost`.
        only_served_elsewhere: Whether a model is listed only if another provider serves it
            too, because the catalogues' list of this provider is out of date.
        endpoint_by_url: The endpoint's name by base URL, for models that models.dev lists
            with a URL of their own.
        rules: Edits by pattern, in order; every rule that matches is applied.
        models: Edits by model id, applied after `rules`.
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
    models_dev: str | None = None
    pi_ai: str | None = None
    litellm: tuple[str, ...] = ()
    pi_ai_is_complete: bool = False
    pi_ai_prices: bool = False
    models_dev_ignored: tuple[str, ...] = ()
    pi_ai_ignored: tuple[str, ...] = ()
    only_served_elsewhere: bool = False
    endpoint_by_url: dict[str, str] = {}
    rules: tuple[Rule, ...] = ()
    models: dict[str, ModelEdit] = {}

    def edits_of(self, model_id: str) -> tuple[ModelEdit, ...]:
        """Return the edits of a model id, the strongest last."""
        edits: list[ModelEdit] = [rule for rule in self.rules if re.search(rule.match, model_id)]
        if model_id in self.models:
            edits.append(self.models[model_id])
        return tuple(edits)


class Families(_Table, frozen=True, kw_only=True):
    """How to read the `family` that models.dev states.

    Attributes:
        synonyms: Words for one family, the first being its name.
        ignored: Words that are not families: brands, or errors of models.dev.
        mixed: Canonical names that do have several families or sizes, each with the reason.
    """

    synonyms: tuple[tuple[str, ...], ...] = ()
    ignored: tuple[str, ...] = ()
    mixed: dict[str, str] = {}


class Overlay(_Table, frozen=True, kw_only=True):
    """The whole file.

    Attributes:
        as_of: The date the file describes; models shut down by then are left out.
        tiers: The tiers that entries may have.
        not_chat: A regular expression found in ids of models that are not for chat.
        embedding: A regular expression found in ids of embedding models.
        families: How to read models.dev's `family`.
        providers: Providers by id, in order of preference.
        retired_providers: Closed providers, as in the registry file.
        retired_models: Retired models, as in the registry file.
        aliases: Other names of models, by canonical name.
        dimensions: Vector sizes of embedding models, by canonical name.
        auto_model_priority: Models for callers that name none, best first.
    """

    as_of: date
    tiers: frozenset[str]
    not_chat: str
    embedding: str
    families: Families = Families()
    providers: dict[str, ProviderTable] = {}
    retired_providers: dict[str, dict[str, Any]] = {}
    retired_models: dict[str, dict[str, Any]] = {}
    aliases: dict[str, str] = {}
    dimensions: dict[str, int] = {}
    auto_model_priority: tuple[str, ...] = ()


def read(source: Path | bytes) -> Overlay:
    """Read an overlay.

    Raises:
        OverlayError: It is not TOML, or has an unknown key; says where.
    """
    raw = source if isinstance(source, bytes) else source.read_bytes()
    try:
        return msgspec.toml.decode(raw, type=Overlay)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        msg = f"the overlay: {error}"
        raise OverlayError(msg) from error


def used_ids(overlay: Overlay) -> dict[str, set[str]]:
    """Return which providers are used from each catalogue, by field of `sources.Inputs`."""
    tables = overlay.providers.values()
    return {
        "models_dev": {table.models_dev for table in tables if table.models_dev},
        "pi_ai": {table.pi_ai for table in tables if table.pi_ai},
        "shutdowns": {litellm_id for table in tables for litellm_id in table.litellm},
    }
