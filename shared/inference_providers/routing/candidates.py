"""The candidates of a plan: every provider that may serve a target, usable or not.

A candidate becomes a route when

* the selection allows its provider,
* its key is set,
* its protocol, or that of its OpenAI-compatible endpoint, is supported, and
* it is not past its shutdown date.

Every other candidate is skipped, with its reason. What a single request needs is not considered
here (`inference_providers.routing.planner` does that).
"""

from __future__ import annotations

from contextlib import suppress
from functools import cached_property
from typing import TYPE_CHECKING

import msgspec

from inference_providers.errors import UnknownModelError
from inference_providers.model_names.canonical import canonical_name
from inference_providers.registry.entries import Target
from inference_providers.types import (
    NOT_IN_ONLY,
    ON_THIS_MACHINE,
    Endpoint,
    LocalModels,
    Model,
    Provider,
    Route,
    Selection,
    Skipped,
    Unavailable,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from inference_providers.registry.registry import Registry
    from inference_providers.routing.context import PlanningContext

__all__ = ["COMPATIBLE", "LAST_RESORT", "ResolvedSelection", "Survey", "serves"]

COMPATIBLE = "openai"
"""The name of the endpoint where a provider serves its models over OpenAI's protocol."""

LAST_RESORT = "the embedded model is the last resort; name it to use it"
"""Why the embedded model is skipped where a selection names no model."""

_NOT_CHECKED = Unavailable(reason="not checked; pass local=True, or name it")


def serves(model_id: str, target: Target) -> bool:
    """Whether a model on this machine, by its id there, is the one that `target` names."""
    names = {target.model.lower(), canonical_name(target.model)}
    return not names.isdisjoint((model_id.lower(), canonical_name(model_id)))


class ResolvedSelection:
    """A selection with its names resolved: what stays the same from one survey to the next.

    Attributes:
        targets: What the names of the selection mean; empty when it names no model.

    Raises:
        UnknownModelError: No provider in the registry lists a model of the selection.
    """

    def __init__(
        self,
        selection: Selection,
        registry: Registry,
        unsupported_protocols: Mapping[str, str],
    ) -> None:
        self.selection = selection
        self.registry = registry
        self.unsupported_protocols = unsupported_protocols
        self.targets = tuple(registry.target(n, local=selection.local) for n in selection.models)
        self._rank = {provider_id: n for n, provider_id in enumerate(selection.order)}
        ranked = (
            sorted(registry.providers, key=self.rank) if selection.order else registry.providers
        )
        self._position = {provider_id: n for n, provider_id in enumerate(ranked)}
        self._local = {p for p, row in registry.providers.items() if row.kind in ON_THIS_MACHINE}

    def rank(self, provider_id: str) -> int:
        """Return a provider's place in `order`; all others share the last one."""
        return self._rank.get(provider_id, len(self._rank))

    @cached_property
    def priority_targets(self) -> tuple[Target, ...]:
        """The targets of the registry's priority list, for a selection that names no model."""
        targets: list[Target] = []
        for name in self.registry.document.auto_model_priority:
            with suppress(UnknownModelError):  # the user's own file may list fewer providers
                targets.append(self.registry.target(name))
        return tuple(targets)

    def providers_for(self, target: Target) -> list[str]:
        """Return the providers that may serve a target, in the order they are tried."""
        if target.provider is not None:
            return [target.provider] if target.provider in self._position else []
        listing = self._local.union(self.registry.models.get(target.model, ()))
        return sorted(listing, key=self._position.__getitem__)

    def supported_endpoint(self, provider: Provider, endpoint: Endpoint) -> Endpoint:
        """Return the endpoint, or the OpenAI-compatible one if only that is supported."""
        if endpoint.protocol not in self.unsupported_protocols:
            return endpoint
        compatible = provider.endpoints.get(COMPATIBLE, endpoint)
        return endpoint if compatible.protocol in self.unsupported_protocols else compatible


class Survey:
    """One look at every provider that may serve a selection."""

    def __init__(self, resolved: ResolvedSelection, context: PlanningContext) -> None:
        self._resolved = resolved
        self._selection = resolved.selection
        self._registry = resolved.registry
        self._context = context
        self._variables: dict[str, tuple[str | None, str | None]] = {}

    def candidates(self) -> Iterator[Route | Skipped]:
        """Yield the candidates in order, one route for each provider and model id."""
        seen: set[tuple[str, str]] = set()
        for target in self._resolved.targets or self._any_targets():
            for provider_id in self._resolved.providers_for(target):
                for offer in self._offers(target, provider_id):
                    candidate = self._route_or_skipped(target, provider_id, offer)
                    if isinstance(candidate, Route):
                        if (candidate.provider, candidate.model_id) in seen:
                            continue
                        seen.add((candidate.provider, candidate.model_id))
                    yield candidate

    def _any_targets(self) -> Iterator[Target]:
        """Yield the targets of a selection that names no model."""
        yield from self._resolved.priority_targets
        local_models = self._context.local_models
        for provider_id, local in local_models.items():
            if isinstance(local, LocalModels):
                for model_id in local.models:
                    yield Target(canonical_name(model_id), provider_id)
        for provider_id, provider in self._registry.providers.items():
            if provider.kind == "embedded" and provider_id not in local_models:
                for model in provider.models:  # skipped, so that the plan names the last resort
                    yield Target(model, provider_id)

    # What a provider offers

    def _offers(self, target: Target, provider_id: str) -> Sequence[Model | Unavailable]:
        """Return what a provider serves under a target's name, or why that is unknown."""
        entries = self._registry.entries_for(provider_id, target)
        provider = self._registry.providers[provider_id]
        if not entries and provider.accepts_any_model:
            return [Model(id=target.model, input=())]
        if provider.kind in ON_THIS_MACHINE:
            return self._local_offers(target, provider_id, entries)
        alive = [entry for entry in entries if not self._is_shut_down(entry)]
        return (alive or entries)[:1]

    def _local_offers(
        self, target: Target, provider_id: str, entries: Sequence[Model]
    ) -> Sequence[Model | Unavailable]:
        if not entries and (target.snapshot or target.tier):
            return []
        is_server = self._registry.providers[provider_id].kind == "local"
        is_candidate = bool(entries or target.provider or is_server)
        local = self._context.local_models.get(provider_id) or self._not_checked(provider_id)
        if isinstance(local, Unavailable):
            return [local] if is_candidate else []
        listed = {entry.id: entry for entry in entries}
        offers = [
            listed.get(model_id, Model(id=model_id, input=()))
            for model_id in local.models
            if serves(model_id, target)
        ]
        if not offers and is_candidate and self._selection.models:
            return [Unavailable(reason=f"does not serve {target.model!r}; load it there")]
        return offers

    def _not_checked(self, provider_id: str) -> Unavailable:
        is_embedded = self._registry.providers[provider_id].kind == "embedded"
        if is_embedded and not self._selection.models:
            return Unavailable(reason=LAST_RESORT)
        return _NOT_CHECKED

    # What becomes of an offer

    def _route_or_skipped(
        self, target: Target, provider_id: str, offer: Model | Unavailable
    ) -> Route | Skipped:
        provider = self._registry.providers[provider_id]
        if reason := self._unwanted(target, provider_id, provider):
            return _skip(provider_id, target.model, reason)
        if isinstance(offer, Unavailable):
            return _skip(provider_id, target.model, offer.reason)
        endpoint = self._resolved.supported_endpoint(provider, provider.endpoints[offer.endpoint])
        if reason := self._unusable(provider_id, endpoint, offer):
            return _skip(provider_id, target.model, reason)
        return self._route(target, provider_id, endpoint, offer)

    def _unwanted(self, target: Target, provider_id: str, provider: Provider) -> str | None:
        """Return why the selection rules a provider out, if it does."""
        selection = self._selection
        if selection.only and provider_id not in selection.only:
            return NOT_IN_ONLY
        if provider_id in selection.exclude:
            return "excluded"
        if provider_id in (*selection.only, *selection.order, target.provider):
            return None
        variable, _ = self._key_variable(provider_id)
        if provider.auth.opt_in or variable in provider.auth.opt_in_variables:
            return "its key is usually set for other tools; opt in with only= or order="
        if provider.variant_of:
            return (
                f"regional or plan variant of {provider.variant_of!r}; opt in with only= or order="
            )
        return None

    def _unusable(self, provider_id: str, endpoint: Endpoint, offer: Model) -> str | None:
        """Return why no request can use an offer now, if none can."""
        _, reason = self._key_variable(provider_id)
        if reason:
            return reason
        if unset := self._context.keys.unset(endpoint.base_url):
            return f"set {' and '.join(unset)}"
        if reason := self._resolved.unsupported_protocols.get(endpoint.protocol):
            return reason
        if self._is_shut_down(offer):
            return f"{offer.id!r} was shut down on {offer.shutdown}"
        return None

    def _route(self, target: Target, provider_id: str, endpoint: Endpoint, offer: Model) -> Route:
        provider = self._registry.providers[provider_id]
        variable, _ = self._key_variable(provider_id)
        local = self._context.local_models.get(provider_id)
        if isinstance(local, LocalModels):
            endpoint = msgspec.structs.replace(endpoint, base_url=local.base_url)
        return Route(
            model=target.model,
            provider=provider_id,
            model_id=offer.id,
            endpoint=endpoint,
            kind=provider.kind,
            key_variable=variable,
            key_fingerprint=self._context.keys.fingerprint(provider_id, variable),
            quirks=endpoint.quirks or offer.quirks or provider.quirks,
            limits=offer.limits or provider.limits,
            model_info=offer,
            replacement=self._replacement(provider_id, target.model, offer),
        )

    def _key_variable(self, provider_id: str) -> tuple[str | None, str | None]:
        """Return the variable that holds a provider's key, or why there is none."""
        if provider_id not in self._variables:
            provider = self._registry.providers[provider_id]
            self._variables[provider_id] = self._context.keys.variable(provider_id, provider)
        return self._variables[provider_id]

    def _replacement(self, provider_id: str, model: str, offer: Model) -> str | None:
        """Name another entry of the provider, or what replaces a retired model."""
        for entry in self._registry.entries(provider_id, model):
            is_other = entry.id != offer.id and entry.tier == offer.tier
            if is_other and not self._is_shut_down(entry):
                return f"{provider_id}/{entry.id}"
        retired = self._registry.document.retired_models.get(model)
        return next(iter(retired.replaced_by), None) if retired else None

    def _is_shut_down(self, entry: Model) -> bool:
        return entry.shutdown is not None and entry.shutdown <= self._context.today


def _skip(provider_id: str, model: str, reason: str) -> Skipped:
    return Skipped(provider=provider_id, model=model, reason=reason)
