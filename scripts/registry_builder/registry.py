"""Assembles the registry's document from the overlay and the catalogues.

* Providers are in the overlay's order, which is the order of preference; models, aliases
  and retired rows are sorted.
* A retired model with a date is final: a catalogue that still lists it is out of date.
  Without a date the row only says that no provider lists the model, and it gives way as
  soon as one does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from inference_providers.registry.loader import SCHEMA_VERSION
from registry_builder import checks, layout
from registry_builder.offers import LeftOut, Offer, ProviderFacts, facts_about

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from registry_builder.overlay import Overlay, ProviderTable
    from registry_builder.sources import Inputs

__all__ = ["Built", "FaultyRegistryError", "build", "checked_text"]


class FaultyRegistryError(ValueError):
    """The registry must not be shipped; the message has one line for each reason."""


class Built(NamedTuple):
    """The document, and what it was built from."""

    document: dict[str, Any]
    offers: list[Offer]
    left_out: list[LeftOut]


def build(overlay: Overlay, inputs: Inputs) -> Built:
    """Build the registry's document, without checking it."""
    providers = [facts_about(provider_id, overlay, inputs) for provider_id in overlay.providers]
    decisions = [decision for facts in providers for decision in facts.offers()]
    candidates = [one for one in decisions if isinstance(one, Offer)]
    left_out = [one for one in decisions if isinstance(one, LeftOut)]
    reliable_names = {
        offer.name
        for offer in candidates
        if not overlay.providers[offer.provider].only_served_elsewhere
    }
    offers = []
    for offer in candidates:
        reason = _registry_wide_reason(offer, reliable_names, overlay)
        if reason is None:
            offers.append(offer)
        else:
            left_out.append(LeftOut(offer.provider, offer.entry["id"], reason))
    served = {offer.name for offer in offers}
    document = {
        "schema_version": SCHEMA_VERSION,
        "generated_at": f"{overlay.as_of}T00:00:00Z",
        "sources": [
            source.origin() for source in (inputs.models_dev, inputs.pi_ai, inputs.shutdowns)
        ],
        "providers": {facts.provider: _provider_row(facts, offers) for facts in providers},
        "retired_providers": _with_dates_as_text(overlay.retired_providers),
        "retired_models": _with_dates_as_text(
            {
                name: row
                for name, row in sorted(overlay.retired_models.items())
                if "since" in row or name not in served
            }
        ),
        "aliases": dict(sorted(overlay.aliases.items())),
        "auto_model_priority": list(overlay.auto_model_priority),
    }
    return Built(document, offers, left_out)


def _registry_wide_reason(offer: Offer, reliable_names: set[str], overlay: Overlay) -> str | None:
    """Return why an offer is left out because of what the whole registry knows."""
    if since := overlay.retired_models.get(offer.name, {}).get("since"):
        return f"retired since {since}"
    table = overlay.providers[offer.provider]
    if table.only_served_elsewhere and offer.name not in reliable_names:
        return "no other provider serves it"
    return None


def checked_text(built: Built, overlay: Overlay) -> str:
    """Return the text of the registry file.

    Raises:
        FaultyRegistryError: The registry is faulty; the message has every complaint.
    """
    complaints = checks.complaints(built.document, built.offers, built.left_out, overlay)
    if complaints:
        raise FaultyRegistryError("\n".join(complaints))
    return layout.as_text(built.document)


def _provider_row(facts: ProviderFacts, all_offers: list[Offer]) -> dict[str, Any]:
    table = facts.table
    offers = [offer for offer in all_offers if offer.provider == facts.provider]
    row: dict[str, Any] = {
        "name": table.name,
        "kind": table.kind,
        "docs": table.docs or facts.docs,
        "source": table.source or _source_names(table),
        "checked": (table.checked or facts.overlay.as_of).isoformat(),
        "auth": table.auth,
        "endpoints": table.endpoints,
        "quirks": facts.quirks or None,
        "variant_of": table.variant_of,
        "accepts_any_model": table.accepts_any_model or None,
        "models": _entries_by_name(offer for offer in offers if not offer.is_embedding),
        "embeddings": _entries_by_name(_embedding_offers(offers)) or None,
    }
    return {field: value for field, value in row.items() if value is not None}


def _embedding_offers(offers: Iterable[Offer]) -> Iterator[Offer]:
    for offer in offers:
        if offer.is_embedding:
            yield offer
        elif offer.embedding_entry:
            yield offer._replace(entry=offer.embedding_entry)


def _source_names(table: ProviderTable) -> str:
    names = {
        "models.dev": table.models_dev,
        "pi-ai": table.pi_ai,
        "LiteLLM's shutdown dates": table.litellm,
    }
    used = [name for name, is_used in names.items() if is_used]
    return ", ".join([*used, "registry/overlay.toml"])


def _entries_by_name(offers: Iterable[Offer]) -> dict[str, list[dict[str, Any]]]:
    """Return entries by canonical name: plain ones first, then the newest, then by id."""
    by_name: dict[str, list[dict[str, Any]]] = {}
    for offer in sorted(offers, key=lambda offer: offer.name):
        by_name.setdefault(offer.name, []).append(offer.entry)
    for entries in by_name.values():  # three stable sorts, the most important last
        entries.sort(key=lambda entry: str(entry["id"]))
        entries.sort(key=lambda entry: str(entry.get("released", "")), reverse=True)
        entries.sort(
            key=lambda entry: ("tier" in entry, "snapshot" in entry, "quantization" in entry)
        )
    return by_name


def _with_dates_as_text(rows: dict[str, dict[str, Any]]) -> dict[str, Any]:
    return {
        name: {field: str(value) if field == "since" else value for field, value in row.items()}
        for name, row in rows.items()
    }
