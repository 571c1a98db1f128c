"""Registry, keys and needs make a plan. Pure: the same inputs give the same plan.

A candidate becomes a route when its provider is wanted, its key is set, its
protocol is spoken (or that of its OpenAI-compatible endpoint), it is not past its
shutdown date, and it offers what the request needs. Every other candidate is named
with its reason.
"""

from __future__ import annotations

import math
from contextlib import suppress
from typing import TYPE_CHECKING

import msgspec

from inference_providers.errors import UnknownModelError
from inference_providers.model_names.canonical import canonical_name
from inference_providers.registry.entries import Target
from inference_providers.types import (
    ANYTHING,
    NOT_IN_ONLY,
    ON_THIS_MACHINE,
    Endpoint,
    LocalModels,
    Model,
    Needs,
    Plan,
    Provider,
    Route,
    Selection,
    Skipped,
    Unavailable,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from datetime import date

    from inference_providers.credentials import Keys
    from inference_providers.registry.registry import Registry

__all__ = [
    "COMPATIBLE",
    "PlanningContext",
    "plan",
    "stick",
]

COMPATIBLE = "openai"
"""The name of an endpoint where a provider answers its own models as OpenAI does."""

EXPLORED_SHARE = 0.05
"""How often `sort="latency"` tries a route that was slow, which may have become fast."""

_NOT_ASKED = Unavailable(reason="not asked; pass local=True, or name it")
_LAST_RESORT = "the embedded model is the last resort; name it to use it"


class PlanningContext(msgspec.Struct, frozen=True, kw_only=True):
    """What a plan depends on beside the registry: keys, this machine, today.

    Attributes:
        found: What a look at this machine showed, by provider id. A local provider
            that is not in it was not asked.
        unsupported_protocols: Protocols that cannot be spoken here, each with what to do.
        resting: Says why a route rests now, if it does.
        latency_ms: What a route has taken to its first output, on the average.
        chance: Returns a number from 0 to 1, for `sort="random"` and for exploring.
    """

    keys: Keys
    today: date
    found: Mapping[str, LocalModels | Unavailable] = {}
    unsupported_protocols: Mapping[str, str] = {}
    cooling_down: Callable[[Route], str | None] = lambda _: None
    latency_ms: Callable[[Route], float | None] = lambda _: None
    chance: Callable[[], float] = lambda: 1.0


def plan(
    selection: Selection, registry: Registry, around: PlanningContext, *, needs: Needs = ANYTHING
) -> Plan:
    """Order every usable route to the models of `selection`.

    Models go in the order asked, providers in that of `selection.order`, then of
    `selection.sort`, then of the registry. No models means the registry's priority
    list, then whatever this machine serves; the embedded model is then used only where
    nothing else is left. Of a whole provider's reason to be skipped, one row is kept.

    Raises:
        UnknownModelError: No provider in the registry lists a model.
    """
    planner = _Planner(selection, registry, around, needs)
    asked = [registry.target(name, local=selection.local) for name in selection.models]
    routes: dict[tuple[str, str], Route] = {}
    skipped: dict[tuple[str, str], Skipped] = {}
    for target in asked or planner.any_targets():
        for judged in planner.candidates(target):
            if isinstance(judged, Route):
                routes.setdefault((judged.provider, judged.model_id), judged)
            else:
                skipped.setdefault((judged.provider, judged.reason), judged)
    if not asked and any(route.kind != "embedded" for route in routes.values()):
        for key, route in list(routes.items()):
            if route.kind == "embedded":
                del routes[key]
                skipped[key] = _skip(route.provider, route.model, _LAST_RESORT)
    ordered = _sorted(list(routes.values()), selection, around)
    resting = {route: why for route in ordered if (why := around.cooling_down(route))}
    at_rest = (_skip(route.provider, route.model, why) for route, why in resting.items())
    return Plan(
        models=tuple(target.model for target in asked),
        routes=tuple(route for route in ordered if route not in resting),
        skipped=(*at_rest, *skipped.values()),
        cooling_down=tuple(resting),
        tokens=needs.context,
    )


def _sorted(routes: list[Route], selection: Selection, around: PlanningContext) -> list[Route]:
    """Sort the routes of each model among themselves; equals keep their order."""
    models = list(dict.fromkeys(route.model for route in routes))
    rank = {provider_id: n for n, provider_id in enumerate(selection.order)}

    def worth(route: Route) -> float:
        """Return what a route is sorted by: less goes first."""
        match selection.sort:
            case "price":
                cost = route.model_info.cost
                return cost.input + cost.output if cost else math.inf
            case "latency":
                # A route nobody has measured comes first; any may get another chance.
                known = around.latency_ms(route) or 0.0
                return -1.0 if around.chance() < EXPLORED_SHARE else known
            case "random":
                return around.chance()
            case _:
                return 0.0

    def place(route: Route) -> tuple[int, int, float]:
        return models.index(route.model), rank.get(route.provider, len(rank)), worth(route)

    return sorted(routes, key=place)


def stick(made: Plan, conversation: str, kept: Callable[[str], tuple[str, str] | None]) -> Plan:
    """Return `made` for one conversation: the route that is kept for it goes first."""
    place = kept(conversation)
    routes = sorted(made.routes, key=lambda route: (route.provider, route.model_id) != place)
    return msgspec.structs.replace(made, routes=tuple(routes), conversation=conversation)


class _Planner:
    """The four inputs of a plan, and the judging of candidates by them."""

    def __init__(
        self, selection: Selection, registry: Registry, around: PlanningContext, needs: Needs
    ) -> None:
        self.selection = selection
        self.registry = registry
        self.around = around
        self.needs = needs
        rank = {provider_id: n for n, provider_id in enumerate(selection.order)}
        self._in_order = sorted(registry.providers, key=lambda p: rank.get(p, len(rank)))
        self._local = {p for p, row in registry.providers.items() if row.kind in ON_THIS_MACHINE}
        self._opened: dict[str, tuple[str | None, str | None]] = {}

    def any_targets(self) -> Iterator[Target]:
        """Yield what to aim at when no model is named."""
        for name in self.registry.document.auto_model_priority:
            with suppress(UnknownModelError):  # the user's own file may list fewer providers
                yield self.registry.target(name)
        for provider_id, found in self.around.found.items():
            for model_id in found.models if isinstance(found, LocalModels) else ():
                yield Target(canonical_name(model_id), provider_id)

    def candidates(self, target: Target) -> Iterator[Route | Skipped]:
        """Yield each provider that may serve `target`, as a route or with its reason."""
        listing = {*self.registry.models.get(target.model, ()), *self._local, target.provider}
        for provider_id in self._in_order:
            if provider_id in listing and target.provider in {None, provider_id}:
                for offer in self._offers(target, provider_id):
                    yield self._judged(target, provider_id, offer)

    def _key_of(self, provider_id: str) -> tuple[str | None, str | None]:
        """Return the variable of a provider's key, or why there is none, as `Keys` tells."""
        if provider_id not in self._opened:
            provider = self.registry.providers[provider_id]
            self._opened[provider_id] = self.around.keys.variable(provider_id, provider)
        return self._opened[provider_id]

    def _offers(self, target: Target, provider_id: str) -> Iterator[Model | Unavailable]:
        """Yield what a provider serves under the name, or why it cannot be told."""
        entries = self.registry.entries_for(provider_id, target)
        provider = self.registry.providers[provider_id]
        kind = provider.kind
        if not entries and provider.accepts_any_model:
            yield Model(id=target.model, input=())
            return
        if kind not in ON_THIS_MACHINE:
            alive = tuple(entry for entry in entries if not self._is_over(entry))
            yield from (alive or entries)[:1]
            return
        if not entries and (target.snapshot or target.tier):
            return
        found = self.around.found.get(provider_id, _NOT_ASKED)
        concerned = entries or target.provider or kind == "local"
        if isinstance(found, LocalModels):
            facts = {entry.id: entry for entry in entries}
            names = {target.model.lower(), canonical_name(target.model)}
            meant = [
                model_id
                for model_id in found.models
                if not names.isdisjoint((model_id.lower(), canonical_name(model_id)))
            ]
            yield from (facts.get(model_id, Model(id=model_id, input=())) for model_id in meant)
            if concerned and not meant and self.selection.models:
                yield Unavailable(reason=f"does not serve {target.model!r}; load it there")
        elif concerned:
            yield found

    def _judged(
        self, target: Target, provider_id: str, offer: Model | Unavailable
    ) -> Route | Skipped:
        provider = self.registry.providers[provider_id]
        if reason := self._unwanted(target, provider_id, provider):
            return _skip(provider_id, target.model, reason)
        if isinstance(offer, Unavailable):
            return _skip(provider_id, target.model, offer.reason)
        endpoint = self._spoken(provider, provider.endpoints[offer.endpoint])
        variable, reason = self._key_of(provider_id)
        if not reason and (unset := self.around.keys.unset(endpoint.base_url)):
            reason = f"set {' and '.join(unset)}"
        reason = reason or self._unsaid(endpoint.protocol) or self._unfit(offer)
        if reason:
            return _skip(provider_id, target.model, reason)
        if offer.context and offer.context < self.needs.context:
            reason = f"holds {offer.context:,} tokens, and the prompt has {self.needs.context:,}"
            return Skipped(
                provider=provider_id, model=target.model, reason=reason, context=offer.context
            )
        found = self.around.found.get(provider_id)
        if isinstance(found, LocalModels):
            endpoint = msgspec.structs.replace(endpoint, base_url=found.base_url)
        return Route(
            model=target.model,
            provider=provider_id,
            model_id=offer.id,
            endpoint=endpoint,
            kind=provider.kind,
            key_variable=variable,
            key_fingerprint=self.around.keys.mark(provider_id, variable),
            quirks=endpoint.quirks or offer.quirks or provider.quirks,
            limits=offer.limits or provider.limits,
            model_info=offer,
            replacement=self._instead(provider_id, target.model, offer),
        )

    def _instead(self, provider_id: str, model: str, offer: Model) -> str | None:
        """Name another entry of the provider, or what replaces the model."""
        for entry in self.registry.entries(provider_id, model):
            if entry.id != offer.id and entry.tier == offer.tier and not self._is_over(entry):
                return f"{provider_id}/{entry.id}"
        retired = self.registry.document.retired_models.get(model)
        return next(iter(retired.replaced_by), None) if retired else None

    def _spoken(self, provider: Provider, endpoint: Endpoint) -> Endpoint:
        """Return the endpoint named `openai` in place of one whose protocol is not spoken."""
        compatible = provider.endpoints.get(COMPATIBLE, endpoint)
        unsupported_protocols = self.around.unsupported_protocols
        if (
            endpoint.protocol in unsupported_protocols
            and compatible.protocol not in unsupported_protocols
        ):
            return compatible
        return endpoint

    def _unwanted(self, target: Target, provider_id: str, provider: Provider) -> str | None:
        selection = self.selection
        if selection.only and provider_id not in selection.only:
            return NOT_IN_ONLY
        if provider_id in selection.exclude:
            return "excluded"
        named = provider_id in (*selection.only, *selection.order, target.provider)
        variable, _ = self._key_of(provider_id)
        if (provider.auth.opt_in or variable in provider.auth.opt_in_variables) and not named:
            return "its key is often set for other reasons; name it in only= or order= to use it"
        if provider.variant_of and not named:
            return f"is {provider.variant_of!r} elsewhere; name it in only= or order= to use it"
        return None

    def _is_over(self, entry: Model) -> bool:
        return entry.shutdown is not None and entry.shutdown <= self.around.today

    def _unsaid(self, protocol: str) -> str | None:
        return self.around.unsupported_protocols.get(protocol) or dict(
            self.needs.ruled_out_protocols
        ).get(protocol)

    def _unfit(self, entry: Model) -> str | None:
        if self._is_over(entry):
            return f"{entry.id!r} was shut down on {entry.shutdown}"
        if self.needs.tools and entry.tools is False:
            return "does not offer tools"
        if self.needs.structured and entry.structured is False:
            return "does not offer structured output; ask by a tool"
        if self.needs.structured_or_tools and entry.structured is False and entry.tools is False:
            return "offers neither structured output nor tools"
        if entry.input and (lacking := self.needs.input.difference(entry.input)):
            return f"does not take {' or '.join(sorted(lacking))} input"
        return None


def _skip(provider_id: str, model: str, reason: str) -> Skipped:
    return Skipped(provider=provider_id, model=model, reason=reason)
