"""Overlay and catalogues make the registry's document.

* Providers stand in the overlay's order, which is the order of preference; models,
  aliases and retired rows are sorted.
* A retired row with a day is final: whoever still lists the model is out of date. One
  without says that nobody lists the model, so it gives way when somebody does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from registry_builder import checks, layout
from registry_builder.offers import Dropped, Offer, Shelf, shelf_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from registry_builder.overlay import Overlay, Row
    from registry_builder.sources import Inputs

__all__ = ["Built", "RegistryFault", "build", "checked"]

SCHEMA_VERSION = 1


class RegistryFault(ValueError):  # noqa: N818 - it is told, not raised through
    """What was built must not be shipped; the message has one line for each reason."""


class Built(NamedTuple):
    """The document, and how it came about."""

    document: dict[str, Any]
    offers: list[Offer]
    dropped: list[Dropped]


def build(overlay: Overlay, inputs: Inputs) -> Built:
    """Make the registry's document; nothing is checked yet."""
    shelves = [shelf_of(provider_id, overlay, inputs) for provider_id in overlay.providers]
    judged = [one for shelf in shelves for one in shelf.judged()]
    dropped = [one for one in judged if isinstance(one, Dropped)]
    vouched = _vouched(judged, overlay)
    offers = []
    for one in judged:
        if isinstance(one, Offer):
            if why := _not_after_all(one, vouched, overlay):
                dropped.append(Dropped(one.provider, one.entry["id"], why))
            else:
                offers.append(one)
    served = {offer.name for offer in offers}
    document = {
        "schema_version": SCHEMA_VERSION,
        "generated_at": f"{overlay.as_of}T00:00:00Z",
        "sources": [
            source.origin() for source in (inputs.models_dev, inputs.pi_ai, inputs.shutdowns)
        ],
        "providers": {shelf.provider: _row(shelf, offers) for shelf in shelves},
        "retired_providers": _as_written(overlay.retired_providers),
        "retired_models": _as_written(
            {
                name: row
                for name, row in sorted(overlay.retired_models.items())
                if "since" in row or name not in served
            }
        ),
        "aliases": dict(sorted(overlay.aliases.items())),
        "auto_model_priority": list(overlay.auto_model_priority),
    }
    return Built(document, offers, dropped)


def _vouched(judged: list[Offer | Dropped], overlay: Overlay) -> frozenset[str]:
    """Return the names that are served by a provider whose list can be believed."""
    return frozenset(
        one.name
        for one in judged
        if isinstance(one, Offer) and not overlay.providers[one.provider].only_known
    )


def _not_after_all(offer: Offer, vouched: frozenset[str], overlay: Overlay) -> str | None:
    if since := overlay.retired_models.get(offer.name, {}).get("since"):
        return f"retired since {since}"
    if overlay.providers[offer.provider].only_known and offer.name not in vouched:
        return "nobody else serves it"
    return None


def checked(built: Built, overlay: Overlay) -> str:
    """Return the text of the registry file.

    Raises:
        RegistryFault: It would be wrong; the message has every complaint.
    """
    if found := checks.complaints(built.document, built.offers, built.dropped, overlay):
        msg = "\n".join(found)
        raise RegistryFault(msg)
    return layout.as_text(built.document)


def _row(shelf: Shelf, offers: list[Offer]) -> dict[str, Any]:
    row = shelf.row
    own = [offer for offer in offers if offer.provider == shelf.provider]
    written: dict[str, Any] = {
        "name": row.name,
        "kind": row.kind,
        "docs": row.docs or shelf.docs,
        "source": row.source or _source(row),
        "checked": (row.checked or shelf.overlay.as_of).isoformat(),
        "auth": row.auth,
        "endpoints": row.endpoints,
        "quirks": shelf.quirks or None,
        "variant_of": row.variant_of,
        "accepts_any_model": row.accepts_any_model or None,
        "models": _by_name(offer for offer in own if not offer.embeds),
        "embeddings": _by_name(_embedding(own)) or None,
    }
    return {field: value for field, value in written.items() if value is not None}


def _embedding(offers: Iterable[Offer]) -> Iterator[Offer]:
    for offer in offers:
        if offer.embeds:
            yield offer
        elif offer.vectors:
            yield offer._replace(entry=offer.vectors)


def _source(row: Row) -> str:
    read = [
        name
        for name, used in (
            ("models.dev", row.catalogue),
            ("pi-ai", row.newer),
            ("LiteLLM's shutdown dates", row.shutdowns),
        )
        if used
    ]
    return ", ".join([*read, "registry/overlay.toml"])


def _by_name(offers: Iterable[Offer]) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for offer in sorted(offers, key=lambda offer: offer.name):
        found.setdefault(offer.name, []).append(offer.entry)
    for entries in found.values():
        entries.sort(key=lambda entry: str(entry["id"]))
        entries.sort(key=lambda entry: str(entry.get("released", "")), reverse=True)
        entries.sort(
            key=lambda entry: ("tier" in entry, "snapshot" in entry, "quantization" in entry)
        )
    return found


def _as_written(rows: dict[str, dict[str, Any]]) -> dict[str, Any]:
    return {
        name: {field: str(value) if field == "since" else value for field, value in row.items()}
        for name, row in rows.items()
    }
