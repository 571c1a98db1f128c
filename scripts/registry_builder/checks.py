"""What a registry must not be. Each complaint says where, and what to do."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from inference_providers.credentials import UrlOrigin
from inference_providers.errors import RegistryError
from inference_providers.model_names.canonical import canonical_name
from inference_providers.registry import loader
from langchain_autoprovider.protocols.table import PROTOCOLS
from registry_builder.offers import STALE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from registry_builder.offers import Dropped, Offer
    from registry_builder.overlay import Families, Overlay

__all__ = ["complaints"]

_ON_THIS_MACHINE = frozenset({"local", "embedded"})
_SIZE = re.compile(r"(?<![a-z0-9.])((?:\d+x)?\d+(?:[.p]\d+)?[bm])(?![a-z0-9])")


def complaints(
    document: dict[str, Any], offers: list[Offer], dropped: list[Dropped], overlay: Overlay
) -> list[str]:
    """Return everything that is wrong with what was built; nothing, when all is well."""
    found = [
        *_of_schema(document),
        *(
            f"{one.provider}/{one.id}: {STALE}; say who does with `add`, or take it out"
            for one in dropped
            if one.why == STALE
        ),
        *_of_endpoints(overlay),
        *_of_names(offers, overlay),
        *_of_tiers(offers, overlay),
        *_of_lists(document),
    ]
    return sorted(set(found))


def _of_schema(document: dict[str, Any]) -> Iterator[str]:
    try:
        loader.decode_document(json.dumps(document).encode(), "the registry")
    except RegistryError as error:
        yield str(error)


def _of_endpoints(overlay: Overlay) -> Iterator[str]:
    for provider_id, row in overlay.providers.items():
        if row.variant_of is not None and row.variant_of not in overlay.providers:
            yield f"{provider_id}: variant_of names {row.variant_of!r}, which is no provider"
        for name, endpoint in row.endpoints.items():
            where = f"{provider_id}: endpoint {name!r}"
            protocol, url = endpoint.get("protocol"), str(endpoint.get("base_url"))
            if protocol not in PROTOCOLS:
                known = ", ".join(sorted(PROTOCOLS))
                yield f"{where}: protocol {protocol!r} is unknown; known are {known}"
            origin = UrlOrigin.of(url)
            is_local = row.kind in _ON_THIS_MACHINE and origin is not None and origin.is_loopback
            if not (url.startswith("https://") or is_local):
                yield f"{where}: {url!r} is not https; a key must not travel in the open"


def _of_names(listed: list[Offer], overlay: Overlay) -> Iterator[str]:
    groups: dict[str, list[Offer]] = {}
    for offer in listed:
        groups.setdefault(offer.name, []).append(offer)
    for name, offers in groups.items():
        if canonical_name(name) != name:
            yield f"{name!r} is no canonical name; the rules make {canonical_name(name)!r} of it"
        if len({offer.embeds for offer in offers}) > 1:
            yield f"{name!r} is listed both as a chat model and as an embedding model"
        if name not in overlay.families.mixed:
            yield from _mixed(name, offers, overlay.families)


def _mixed(name: str, offers: list[Offer], families: Families) -> Iterator[str]:
    by_family: dict[str, list[str]] = {}
    by_size: dict[str, list[str]] = {}
    for offer in offers:
        where = f"{offer.provider}/{offer.entry['id']}"
        if family := _family(offer.family, families):
            by_family.setdefault(family, []).append(where)
        for size in set(_SIZE.findall(offer.entry["id"].lower().replace("_", "-"))):
            by_size.setdefault(size.replace("p", "."), []).append(where)
    for what, groups in (("families", by_family), ("sizes", by_size)):
        if len(groups) > 1:
            told = "; ".join(f"{key}: {', '.join(ids[:3])}" for key, ids in sorted(groups.items()))
            yield (
                f"{name!r} mixes model {what}: {told}. Give the odd one its own `name`"
                " in the overlay, or say under [families] what the words mean"
            )


def _family(word: str | None, families: Families) -> str | None:
    if word is None or word in families.wrong:
        return None
    root = re.split(r"[-.\d]", word.lower(), maxsplit=1)[0]
    if root in families.wrong:
        return None
    return next((same[0] for same in families.same if root in same), root)


def _of_tiers(offers: list[Offer], overlay: Overlay) -> Iterator[str]:
    for offer in offers:
        tier = offer.entry.get("tier")
        if tier is not None and tier not in overlay.tiers:
            where = f"{offer.provider}/{offer.entry['id']}"
            yield f"{where}: tier {tier!r} is unknown; add it to `tiers`"


def _of_lists(document: dict[str, Any]) -> Iterator[str]:
    aliases, retired = document["aliases"], document["retired_models"]
    rows = document["providers"].values()
    served = {
        name for row in rows for part in ("models", "embeddings") for name in row.get(part, ())
    }
    for alias, target in aliases.items():
        if target not in served and target not in retired:
            yield f"alias {alias!r} has no target: nobody serves {target!r}, nor is it retired"
        if alias in served or alias in retired:
            yield f"alias {alias!r} hides a model of that name"
    for name, row in retired.items():
        for new in row.get("replaced_by", ()):
            if aliases.get(new, new) not in served:
                yield f"retired model {name!r}: nobody serves its replacement {new!r}"
    for name in document["auto_model_priority"]:
        if name not in served:
            yield f"auto_model_priority: nobody serves {name!r}"
