"""What `registry check` reports: what is wrong with a registry file, and what it changes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from inference_providers.errors import UnknownModelError
from inference_providers.model_names.canonical import did_you_mean
from inference_providers.routing.backend import find_backend

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from inference_providers.registry.registry import Registry
    from inference_providers.registry.validation import Complaint

__all__ = ["changes", "complaints"]

MAX_NAMES = 8
"""Names listed of each kind of change, to keep the line readable."""


def complaints(before: Registry, after: Registry) -> Iterator[Complaint]:
    """Yield what loading accepts, but a file merged into `before` should not contain.

    Loading accepts it because a later overlay may supply the missing name.
    """
    yield from _unusable_providers(before, after)
    yield from _dangling_aliases(before, after)
    yield from _dangling_priorities(before, after)


def changes(before: Registry, after: Registry) -> Iterator[str]:
    """Yield one phrase each for what `after` adds, changes and removes."""
    old, new = before.document, after.document
    priority = "auto_model_priority"
    kinds: tuple[tuple[str, Mapping[str, Any], Mapping[str, Any]], ...] = (
        ("provider", old.providers, new.providers),
        ("model", before.models, after.models),
        ("embedding model", before.embeddings.models, after.embeddings.models),
        ("alias", old.aliases, new.aliases),
        ("retired provider", old.retired_providers, new.retired_providers),
        ("retired model", old.retired_models, new.retired_models),
        ("field", {priority: old.auto_model_priority}, {priority: new.auto_model_priority}),
    )
    names_by_verb: dict[str, list[str]] = {"adds": [], "changes": [], "removes": []}
    for kind, was, now in kinds:
        for name in {**was, **now}:
            if was.get(name) != now.get(name):
                names_by_verb[_verb(name, was, now)].append(f"{kind} {name!r}")
    for verb, names in names_by_verb.items():
        if names:
            more = f" and {len(names) - MAX_NAMES} more" if len(names) > MAX_NAMES else ""
            yield f"{verb} {', '.join(names[:MAX_NAMES])}{more}"


def _verb(name: str, was: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    if name not in was:
        return "adds"
    return "changes" if name in now else "removes"


def _unusable_providers(before: Registry, after: Registry) -> Iterator[Complaint]:
    """Yield unsupported protocols, and variants of providers that do not exist."""
    unsupported = find_backend().unsupported_protocols(after)
    # A protocol of the bundled registry is supported; only its package is not installed here.
    unknown = unsupported.keys() - before.protocols
    for provider_id, provider in after.providers.items():
        path = f"$.providers.{provider_id}"
        for name, endpoint in provider.endpoints.items():
            if endpoint.protocol in unknown:
                yield f"{path}.endpoints.{name}.protocol", unsupported[endpoint.protocol]
        original = provider.variant_of
        if original is not None and original not in after.providers:
            hint = did_you_mean(original, after.providers)
            yield f"{path}.variant_of", f"got {original!r}, which is not a provider{hint}"


def _dangling_aliases(before: Registry, after: Registry) -> Iterator[Complaint]:
    listed = {*after.models, *after.embeddings.models}
    for alias, model in after.document.aliases.items():
        if model not in listed and before.document.aliases.get(alias) != model:
            hint = did_you_mean(model, listed)
            yield f"$.aliases.{alias}", f"got {model!r}, which no provider lists{hint}"


def _dangling_priorities(before: Registry, after: Registry) -> Iterator[Complaint]:
    for index, name in enumerate(after.document.auto_model_priority):
        try:
            after.target(name)
        except UnknownModelError as error:
            if name not in before.document.auto_model_priority:
                yield f"$.auto_model_priority[{index}]", str(error)
