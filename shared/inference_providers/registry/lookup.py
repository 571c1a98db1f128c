"""What a model name asks for: `Registry.target`, one function for each rule.

The rules and their order are in the docstring of `Registry.target`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from inference_providers.errors import UnknownModelError
from inference_providers.model_names.canonical import canonical_name, did_you_mean, parse_model_id
from inference_providers.registry.entries import Target, entries_in

if TYPE_CHECKING:
    from inference_providers.registry.loader import RetiredModel
    from inference_providers.registry.registry import Registry

__all__ = ["closed_provider_message", "resolve_name"]

_FACETS = re.compile(r"(?P<base>.+?)(?:@(?P<snapshot>[^@:/]+))?(?::(?P<tier>[^@:/]+))?")
"""`model@snapshot:tier`; snapshot and tier are optional."""
_SIZE_TAG = re.compile(r"latest|(?:\d+x)?\d+(?:\.\d+)?[bm](?:-.*)?")
"""What Ollama writes after a colon: part of the model's name, not a tier."""


def resolve_name(registry: Registry, name: str, *, local: bool = False) -> Target:
    """Return what a model name asks for, by the rules of `Registry.target`.

    Raises:
        UnknownModelError: No provider lists the name, or it is retired.
    """
    name = name.strip()
    lower = name.lower()
    if model := registry.listed_model(lower):
        return Target(model)
    provider_id, rest = _split_pin(registry, name)
    try:
        if provider_id and (target := _resolve_pinned(registry, provider_id, rest)):
            return target
    except UnknownModelError:
        if lower not in registry.by_model_id:  # the prefix may be a model maker's, not a pin
            raise
    if match := registry.by_model_id.get(lower):
        model, entry = match
        return Target(model, snapshot=entry.snapshot, tier=entry.tier)
    if provider_id is None and (target := _resolve_spelling(registry, name, local=local)):
        return target
    if local and name:
        return Target(name)
    raise UnknownModelError(_unknown_message(registry, name, provider_id, rest))


def _split_pin(registry: Registry, name: str) -> tuple[str | None, str]:
    """Split `provider/model` or `provider:model`; the provider may be a retired one."""
    prefix, *rest = re.split("[:/]", name, maxsplit=1)
    prefix = prefix.lower()
    is_provider = prefix in registry.providers or prefix in registry.document.retired_providers
    return (prefix, rest[0]) if is_provider and rest and rest[0] else (None, name)


def _resolve_pinned(registry: Registry, provider_id: str, name: str) -> Target | None:
    """Return what a name asks of one provider, or `None` if the provider does not list it.

    Raises:
        UnknownModelError: The provider lists the model, but not the requested snapshot or tier.
    """
    provider = registry.providers.get(provider_id)
    if provider is None:
        return None
    lower = name.lower()
    model = registry.listed_model(lower)
    if model and model in provider.models:
        return Target(model, provider_id)
    for model, listing in provider.models.items():
        for entry in entries_in(listing):
            if entry.id.lower() == lower:
                return Target(model, provider_id, entry.snapshot, entry.tier, entry.id)
    match = registry.by_model_id.get(lower)
    if match and match[0] in provider.models:  # another provider's id for a model listed here
        model, entry = match
        return _require_entry(registry, Target(model, provider_id, entry.snapshot, entry.tier))
    target = _resolve_spelling(registry, name, provider_id, local=provider.accepts_unlisted_models)
    if target is None and provider.accepts_unlisted_models:
        return Target(name, provider_id)
    return target


def _resolve_spelling(
    registry: Registry, name: str, provider_id: str | None = None, *, local: bool = False
) -> Target | None:
    """Read `model@snapshot:tier`, or a spelling that the text rules understand.

    With `local`, a snapshot or tier that is not listed is accepted: a server on this
    machine may have it.

    Raises:
        UnknownModelError: The model is listed, but not the requested snapshot or tier.
    """
    base, snapshot, tier = _split_facets(name)
    if snapshot or tier:
        model = _model_named(registry, base)
        if model and registry.providers_listing(model, provider_id):
            target = Target(model, provider_id, snapshot, tier)
            return _resolve_facets(registry, target, local=local)
    return _resolve_by_text_rules(registry, name, provider_id, local=local)


def _split_facets(name: str) -> tuple[str, str | None, str | None]:
    """Split `model@snapshot:tier`."""
    match = _FACETS.fullmatch(name)
    if match is None:
        return name, None, None
    base, snapshot, tier = match["base"], match["snapshot"], match["tier"]
    if tier and _SIZE_TAG.fullmatch(tier.lower()):
        return f"{base}:{tier}", snapshot, None
    return base, snapshot, tier


def _model_named(registry: Registry, name: str) -> str | None:
    """Return the listed model that a name, alias, model id or other spelling refers to."""
    match = registry.by_model_id.get(name.lower())
    return (
        registry.listed_model(name.lower())
        or registry.listed_model(canonical_name(name))
        or (match[0] if match else None)
    )


def _resolve_facets(registry: Registry, target: Target, *, local: bool) -> Target | None:
    """Return a target whose snapshot and tier are listed.

    Some releases are models with names of their own: `kimi-k2@0905` is `kimi-k2-0905`.
    """
    if target.snapshot and not registry.has_entry_for(target):
        release = registry.listed_model(canonical_name(f"{target.model}-{target.snapshot}"))
        if release and release != target.model:
            target = Target(release, target.provider, tier=target.tier)
    if local and not registry.has_entry_for(target):
        return None
    return _require_entry(registry, target)


def _resolve_by_text_rules(
    registry: Registry, name: str, provider_id: str | None, *, local: bool
) -> Target | None:
    parsed = parse_model_id(name)
    model = registry.listed_model(parsed.name)
    is_retired = name.lower() in registry.document.retired_models
    if not model or is_retired or not registry.providers_listing(model, provider_id):
        return None
    if local:
        return Target(model, provider_id)
    return _require_entry(registry, Target(model, provider_id, parsed.snapshot, parsed.tier))


def _require_entry(registry: Registry, target: Target) -> Target:
    """Return `target` if any provider has an entry for it.

    Raises:
        UnknownModelError: None has; the message lists the snapshots and tiers there are.
    """
    if not registry.has_entry_for(target):
        raise UnknownModelError(_no_such_entry_message(registry, target))
    return target


def _no_such_entry_message(registry: Registry, target: Target) -> str:
    provider_ids = registry.providers_listing(target.model, target.provider)
    entries = [entry for p in provider_ids for entry in registry.entries(p, target.model)]
    snapshots = sorted({entry.snapshot for entry in entries if entry.snapshot})
    tiers = sorted({entry.tier for entry in entries if entry.tier})
    request = f"@{target.snapshot}" if target.snapshot else ""
    request += f":{target.tier}" if target.tier else ""
    where = f" at {target.provider!r}" if target.provider else ""
    available = [f"@{name}" for name in snapshots] + [f":{name}" for name in tiers]
    choice = f"choose {', '.join(map(repr, available))}" if available else "use the plain name"
    return f"Model {target.model!r} has no {request!r}{where}; {choice}"


def _unknown_message(registry: Registry, name: str, provider_id: str | None, rest: str) -> str:
    """Return why no provider serves a name, and what to do; the most specific reason there is."""
    return (
        _not_a_chat_model_message(registry, name, rest)
        or _dangling_alias_message(registry, name, rest)
        or (provider_id and _not_listed_message(registry, provider_id, rest))
        or _misspelled_message(registry, name)
    )


def _not_a_chat_model_message(registry: Registry, name: str, rest: str) -> str | None:
    """Return that a model is retired or of the other kind, if it is."""
    for spelling in (name.lower(), rest.lower(), canonical_name(rest)):
        model = registry.document.aliases.get(spelling, spelling)
        if retired := registry.document.retired_models.get(model):
            return _retired_model_message(model, retired)
        if any(model in provider.embeddings for provider in registry.providers.values()):
            return f"Model {model!r} {registry.other_kind}"
    return None


def _dangling_alias_message(registry: Registry, name: str, rest: str) -> str | None:
    for spelling in (name.lower(), rest.lower()):
        if target := registry.alias_target(spelling):
            hint = did_you_mean(target, registry.models)
            return f"{spelling!r} is an alias of {target!r}, which no provider lists{hint}"
    return None


def _not_listed_message(registry: Registry, provider_id: str, name: str) -> str:
    if message := closed_provider_message(registry, provider_id):
        return message
    model = registry.listed_model(name.lower()) or registry.listed_model(canonical_name(name))
    if model:
        hint = f"; it is served by {', '.join(registry.models[model])}"
    else:
        models = registry.providers[provider_id].models
        hint = did_you_mean(name, models) or "; see `autoprovider models`"
    return f"{provider_id!r} does not list {name!r}{hint}"


def _misspelled_message(registry: Registry, name: str) -> str:
    names = (*registry.models, *registry.document.aliases)
    return f"Unknown model {name!r}{did_you_mean(name, names) or '; see `autoprovider models`'}"


def _retired_model_message(model: str, retired: RetiredModel) -> str:
    since = f" since {retired.since}" if retired.since else ""
    use = f"; use {' or '.join(map(repr, retired.replaced_by))}" if retired.replaced_by else ""
    note = f" ({retired.note.rstrip('.')})" if retired.note else ""
    return f"Model {model!r} is retired{since}{use}{note}"


def closed_provider_message(registry: Registry, provider_id: str) -> str | None:
    """Return since when a provider is closed and what to use instead, if it is closed."""
    retired = registry.document.retired_providers.get(provider_id)
    if retired is None:
        return None
    since = f" since {retired.since}" if retired.since else ""
    return f"Provider {retired.name or provider_id!r} is closed{since}: {retired.note}"
