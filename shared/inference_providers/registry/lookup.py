"""What a name means in a catalogue: a model, perhaps of one provider, of one snapshot or tier."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from inference_providers.errors import UnknownModelError
from inference_providers.model_names.canonical import canonical_name, did_you_mean, parse_model_id
from inference_providers.registry.index import Target, each

if TYPE_CHECKING:
    from inference_providers.registry.index import Catalogue
    from inference_providers.registry.loader import RetiredModel

__all__ = ["closed_provider", "meaning"]

_FACETS = re.compile(r"(?P<base>.+?)(?:@(?P<snapshot>[^@:/]+))?(?::(?P<tier>[^@:/]+))?")
"""`model@snapshot:tier`, either of which may be left out."""
_SIZE_TAG = re.compile(r"latest|(?:\d+x)?\d+(?:\.\d+)?[bm](?:-.*)?")
"""What Ollama writes behind a colon; it belongs to the name."""


def meaning(catalogue: Catalogue, name: str, *, local: bool = False) -> Target:
    """Say which model a name means, as `Registry.target` describes it.

    Raises:
        UnknownModelError: Nobody lists it, or it is retired; says what is near, or
            which snapshots and tiers there are.
    """
    wanted = name.strip()
    folded = wanted.lower()
    if model := catalogue.known(folded):
        return Target(model)
    provider_id, rest = _split(catalogue, wanted)
    try:
        if provider_id and (pinned := _pinned(catalogue, provider_id, rest)):
            return pinned
    except UnknownModelError:
        if folded not in catalogue.own_ids:  # a maker's name in one of those reads like a pin
            raise
    if own := catalogue.own_ids.get(folded):
        model, entry = own
        return Target(model, snapshot=entry.snapshot, tier=entry.tier)
    if not provider_id and (meant := _spelled(catalogue, wanted, local=local)):
        return meant
    if local and wanted:
        return Target(wanted)
    raise UnknownModelError(_unknown(catalogue, wanted, provider_id, rest))


def _split(catalogue: Catalogue, name: str) -> tuple[str | None, str]:
    """Split `provider/model` and `provider:model`, where that is a provider's id."""
    parts = re.split("[:/]", name, maxsplit=1)
    prefix = parts[0].lower()
    known = prefix in catalogue.providers or prefix in catalogue.document.retired_providers
    return (prefix, parts[1]) if known and parts[1:] and parts[1] else (None, name)


def _pinned(catalogue: Catalogue, provider_id: str, rest: str) -> Target | None:
    provider = catalogue.providers.get(provider_id)
    if provider is None:
        return None
    folded = rest.lower()
    if (model := catalogue.known(folded)) in provider.models:
        return Target(model or "", provider_id)
    for model, listed in provider.models.items():
        for entry in each(listed):
            if entry.id.lower() == folded:
                return Target(model, provider_id, entry.snapshot, entry.tier, entry.id)
    if (own := catalogue.own_ids.get(folded)) and own[0] in provider.models:
        return _had(catalogue, Target(own[0], provider_id, own[1].snapshot, own[1].tier))
    passes = provider.takes_any_name
    if meant := _spelled(catalogue, rest, provider_id, local=passes):
        return meant
    return Target(rest, provider_id) if passes else None


def _spelled(
    catalogue: Catalogue, name: str, provider_id: str | None = None, *, local: bool = False
) -> Target | None:
    """Read `model@snapshot:tier` and other spellings of a model's name.

    Raises:
        UnknownModelError: The model is known, and its snapshot or tier is not.
    """
    match = _FACETS.fullmatch(name)
    said = (match["base"], match["snapshot"], match["tier"]) if match else (name, None, None)
    base, snapshot, tier = said
    if tier and _SIZE_TAG.fullmatch(tier.lower()):
        base, tier = f"{base}:{tier}", None
    own = catalogue.own_ids.get(base.lower())
    named = catalogue.known(base.lower()) or catalogue.known(canonical_name(base))
    model = named or (own[0] if own else None)
    if model and (snapshot or tier) and catalogue.providers_of(model, provider_id):
        meant = Target(model, provider_id, snapshot, tier)
        release = catalogue.known(canonical_name(f"{model}-{snapshot}")) if snapshot else None
        if release and release != model and not catalogue.has(meant):
            meant = Target(release, provider_id, tier=tier)  # a model of its own, such as 0905
        if local and not catalogue.has(meant):
            return None  # a server on this machine may know it
        return _had(catalogue, meant)
    read = parse_model_id(name)
    known = catalogue.known(read.name)
    retired = name.lower() in catalogue.document.retired_models
    if not known or retired or not catalogue.providers_of(known, provider_id):
        return None
    meant = Target(known, provider_id, read.snapshot, read.tier)
    return Target(known, provider_id) if local else _had(catalogue, meant)


def _had(catalogue: Catalogue, meant: Target) -> Target:
    if not catalogue.has(meant):
        raise UnknownModelError(_no_such(catalogue, meant))
    return meant


def _no_such(catalogue: Catalogue, meant: Target) -> str:
    """Say that a model has no such snapshot or tier, and which ones it has."""
    asked_of = catalogue.providers_of(meant.model, meant.provider)
    entries = [entry for p in asked_of for entry in catalogue.entries(p, meant.model)]
    snapshots = sorted({entry.snapshot for entry in entries if entry.snapshot})
    tiers = sorted({entry.tier for entry in entries if entry.tier})
    asked = f"@{meant.snapshot}" if meant.snapshot else ""
    asked += f":{meant.tier}" if meant.tier else ""
    by = f" at {meant.provider!r}" if meant.provider else ""
    there = [f"@{name}" for name in snapshots] + [f":{name}" for name in tiers]
    return (
        f"Model {meant.model!r} has no {asked!r}{by}; there is "
        f"{', '.join(map(repr, there)) if there else 'no snapshot and no tier of it'}"
    )


def _unknown(catalogue: Catalogue, name: str, provider_id: str | None, rest: str) -> str:
    for spelling in (name.lower(), rest.lower(), canonical_name(rest)):
        meant = catalogue.document.aliases.get(spelling, spelling)
        if retired := catalogue.document.retired_models.get(meant):
            return _retired_message(meant, retired)
        if any(meant in row.embeddings for row in catalogue.providers.values()):
            return f"Model {meant!r} {catalogue.others}"
    for spelling in (name.lower(), rest.lower()):
        if leads := catalogue.leads_to(spelling):
            near = did_you_mean(leads, catalogue.models)
            return f"{spelling!r} is an alias of {leads!r}, which is no model listed here{near}"
    if provider_id and (closed := closed_provider(catalogue, provider_id)):
        return closed
    if provider_id:
        model = catalogue.known(rest.lower()) or catalogue.known(canonical_name(rest))
        listed = catalogue.providers[provider_id].models
        near = did_you_mean(rest, listed) or "; see `autoprovider models`"
        by = f"; it is served by {', '.join(catalogue.models[model])}" if model else near
        return f"{provider_id!r} does not list {rest!r}{by}"
    near = did_you_mean(name, (*catalogue.models, *catalogue.document.aliases))
    return f"Unknown model {name!r}{near or '; see `autoprovider models`'}"


def _retired_message(model: str, retired: RetiredModel) -> str:
    since = f" since {retired.since}" if retired.since else ""
    use = f"; use {' or '.join(map(repr, retired.replaced_by))}" if retired.replaced_by else ""
    note = f" ({retired.note.rstrip('.')})" if retired.note else ""
    return f"Model {model!r} is retired{since}{use}{note}"


def closed_provider(catalogue: Catalogue, provider_id: str) -> str | None:
    """Say what became of a provider that has closed, and what to do."""
    retired = catalogue.document.retired_providers.get(provider_id)
    if retired is None:
        return None
    since = f" since {retired.since}" if retired.since else ""
    return f"Provider {retired.name or provider_id!r} is closed{since}: {retired.note}"
