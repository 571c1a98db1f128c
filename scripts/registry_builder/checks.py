"""What a registry must not contain. Each complaint says where, and what to do."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from inference_providers.credentials import UrlOrigin
from inference_providers.errors import RegistryError
from inference_providers.model_names.canonical import canonical_name
from inference_providers.registry import loader
from inference_providers.types import ON_THIS_MACHINE
from langchain_autoprovider.protocols.table import PROTOCOLS
from registry_builder.offers import UNLISTED

if TYPE_CHECKING:
    from collections.abc import Iterator

    from registry_builder.offers import LeftOut, Offer
    from registry_builder.overlay import Families, Overlay

__all__ = ["complaints"]

_SIZE = re.compile(r"(?<![a-z0-9.])((?:\d+x)?\d+(?:[.p]\d+)?[bm])(?![a-z0-9])")


def complaints(
    document: dict[str, Any], offers: list[Offer], left_out: list[LeftOut], overlay: Overlay
) -> list[str]:
    """Return everything that is wrong with a built registry; empty if nothing is."""
    return sorted(
        {
            *_schema_complaints(document),
            *_unlisted_id_complaints(left_out),
            *_endpoint_complaints(overlay),
            *_name_complaints(offers, overlay),
            *_tier_complaints(offers, overlay),
            *_reference_complaints(document),
        }
    )


def _schema_complaints(document: dict[str, Any]) -> Iterator[str]:
    try:
        loader.decode_document(json.dumps(document).encode(), "the registry")
    except RegistryError as error:
        yield str(error)


def _unlisted_id_complaints(left_out: list[LeftOut]) -> Iterator[str]:
    for model in left_out:
        if model.reason == UNLISTED:
            where = f"{model.provider}/{model.id}"
            yield f"{where}: {UNLISTED}; say who lists it with `listed_by`, or remove it"


def _endpoint_complaints(overlay: Overlay) -> Iterator[str]:
    for provider_id, table in overlay.providers.items():
        if table.variant_of is not None and table.variant_of not in overlay.providers:
            yield f"{provider_id}: variant_of names {table.variant_of!r}, which is not a provider"
        for name, endpoint in table.endpoints.items():
            where = f"{provider_id}: endpoint {name!r}"
            protocol, url = endpoint.get("protocol"), str(endpoint.get("base_url"))
            if protocol not in PROTOCOLS:
                choices = ", ".join(sorted(PROTOCOLS))
                yield f"{where}: protocol {protocol!r} is unknown; choose {choices}"
            origin = UrlOrigin.of(url)
            may_be_http = table.kind in ON_THIS_MACHINE and origin and origin.is_loopback
            if not (url.startswith("https://") or may_be_http):
                yield f"{where}: {url!r} is not https; a key must not be sent unencrypted"


def _name_complaints(offers: list[Offer], overlay: Overlay) -> Iterator[str]:
    by_name: dict[str, list[Offer]] = {}
    for offer in offers:
        by_name.setdefault(offer.name, []).append(offer)
    for name, same_name in by_name.items():
        if canonical_name(name) != name:
            yield f"{name!r} is not canonical; the rules turn it into {canonical_name(name)!r}"
        if len({offer.is_embedding for offer in same_name}) > 1:
            yield f"{name!r} is listed both as a chat model and as an embedding model"
        if name not in overlay.families.mixed:
            yield from _mixed_name_complaints(name, same_name, overlay.families)


def _mixed_name_complaints(name: str, offers: list[Offer], families: Families) -> Iterator[str]:
    """Yield that one name is given to ids of different families or sizes."""
    by_family: dict[str, list[str]] = {}
    by_size: dict[str, list[str]] = {}
    for offer in offers:
        where = f"{offer.provider}/{offer.entry['id']}"
        if family := _family_name(offer.family, families):
            by_family.setdefault(family, []).append(where)
        for size in set(_SIZE.findall(offer.entry["id"].lower().replace("_", "-"))):
            by_size.setdefault(size.replace("p", "."), []).append(where)
    for what, groups in (("families", by_family), ("sizes", by_size)):
        if len(groups) > 1:
            examples = [f"{key}: {', '.join(ids[:3])}" for key, ids in sorted(groups.items())]
            yield (
                f"{name!r} mixes model {what}: {'; '.join(examples)}. Give the odd one its own"
                " `name` in the overlay, or explain the words under [families]"
            )


def _family_name(word: str | None, families: Families) -> str | None:
    if word is None or word in families.ignored:
        return None
    root = re.split(r"[-.\d]", word.lower(), maxsplit=1)[0]
    if root in families.ignored:
        return None
    return next((words[0] for words in families.synonyms if root in words), root)


def _tier_complaints(offers: list[Offer], overlay: Overlay) -> Iterator[str]:
    for offer in offers:
        tier = offer.entry.get("tier")
        if tier is not None and tier not in overlay.tiers:
            where = f"{offer.provider}/{offer.entry['id']}"
            yield f"{where}: tier {tier!r} is unknown; add it to `tiers`"


def _reference_complaints(document: dict[str, Any]) -> Iterator[str]:
    """Yield names that aliases, replacements and priorities refer to and no provider serves."""
    aliases, retired = document["aliases"], document["retired_models"]
    served = {
        name
        for row in document["providers"].values()
        for section in ("models", "embeddings")
        for name in row.get(section, ())
    }
    for alias, target in aliases.items():
        if target not in served and target not in retired:
            yield f"alias {alias!r}: {target!r} is neither served by a provider nor retired"
        if alias in served or alias in retired:
            yield f"alias {alias!r} hides a model of that name"
    for name, row in retired.items():
        for replacement in row.get("replaced_by", ()):
            if aliases.get(replacement, replacement) not in served:
                yield f"retired model {name!r}: no provider serves its replacement {replacement!r}"
    for name in document["auto_model_priority"]:
        if name not in served:
            yield f"auto_model_priority: no provider serves {name!r}"
