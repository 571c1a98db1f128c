"""Turn candidates into the plan of one request. Pure: the same inputs give the same plan.

A planner works out only what changed since its last plan:

* The candidates depend on the environment, the date and the models on this machine. When one of
  these changes, the next plan surveys the providers again.
* The shortlist depends on what a request needs as well. One is kept for each combination of needs.
* Cooldowns, measured latencies and chance are applied to each plan. A cooldown costs a look-up; a
  route without one costs nothing.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import msgspec

from inference_providers.failover.cooldowns import cooldown_keys
from inference_providers.routing.candidates import LAST_RESORT, ResolvedSelection, Survey
from inference_providers.types import ANYTHING, Model, Needs, Plan, Route, Selection, Skipped

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from inference_providers.failover.cooldowns import Cooldown, CooldownKey
    from inference_providers.registry.entries import Target
    from inference_providers.registry.registry import Registry
    from inference_providers.routing.context import PlanningContext

__all__ = ["Planner", "plan", "stick"]

EXPLORED_SHARE = 0.05
"""Share of plans in which `sort="latency"` puts a slow route first: it may have become fast."""

_MAX_SHORTLISTS = 32
"""Shortlists kept, one for each combination of needs. Programs use a handful."""

_RouteId = tuple[str, str]
"""Provider and model id; a plan has one route for each."""


def plan(
    selection: Selection,
    registry: Registry,
    context: PlanningContext,
    *,
    needs: Needs = ANYTHING,
    unsupported_protocols: Mapping[str, str] | None = None,
) -> Plan:
    """Return the plan for a single request. For more than one, keep a `Planner`.

    Raises:
        UnknownModelError: No provider in the registry lists a model of `selection`.
    """
    return Planner(selection, registry, unsupported_protocols).plan(context, needs)


def stick(plan: Plan, conversation: str, last_route: Callable[[str], _RouteId | None]) -> Plan:
    """Return `plan` for a conversation: the route that answered it last goes first."""
    preferred = last_route(conversation)
    routes = sorted(plan.routes, key=lambda route: _id_of(route) != preferred)
    return msgspec.structs.replace(plan, routes=tuple(routes), conversation=conversation)


class Planner:
    """Plans the requests of one selection.

    Args:
        selection: The models, and the providers that may serve them.
        registry: Resolves the models' names, and lists the providers.
        unsupported_protocols: Protocols that cannot be used here, each with what to do.

    Raises:
        UnknownModelError: No provider in the registry lists a model of `selection`.
    """

    def __init__(
        self,
        selection: Selection,
        registry: Registry,
        unsupported_protocols: Mapping[str, str] | None = None,
    ) -> None:
        self._selection = selection
        self._resolved = ResolvedSelection(selection, registry, unsupported_protocols or {})
        self._models = tuple(target.model for target in self.targets)
        self._candidates: _Candidates | None = None

    @property
    def targets(self) -> tuple[Target, ...]:
        """What the names of the selection mean; empty when it names no model."""
        return self._resolved.targets

    def plan(self, context: PlanningContext, needs: Needs = ANYTHING) -> Plan:
        """Order the routes that are usable now.

        Models go in the order of the selection, providers in that of `selection.order`, then of
        `selection.sort`, then of the registry. A selection without models means the registry's
        priority list, then what this machine serves; the embedded model is used only when nothing
        else is left. A reason that holds for a whole provider is given once.
        """
        shortlist = self._shortlist(self._current_candidates(context), needs)
        routes = shortlist.routes
        if self._selection.sort in {"latency", "random"}:
            routes = self._sorted(routes, context)
        cooling = shortlist.cooling_down(context.cooldowns) if context.cooldowns else {}
        if not cooling:
            return Plan(
                models=self._models, routes=routes, skipped=shortlist.skipped, tokens=needs.context
            )
        waiting = tuple(route for route in routes if _id_of(route) in cooling)
        reasons = (cooling[_id_of(route)].reason(context.now) for route in waiting)
        skipped = map(_skip_route, waiting, reasons)
        return Plan(
            models=self._models,
            routes=tuple(route for route in routes if _id_of(route) not in cooling),
            skipped=(*skipped, *shortlist.skipped),
            cooling_down=waiting,
            tokens=needs.context,
        )

    def _current_candidates(self, context: PlanningContext) -> _Candidates:
        environment = context.environment
        if environment is None:
            environment = context.keys.environment_state()
        candidates = self._candidates
        if candidates is None or not candidates.are_current(context, environment):
            survey = Survey(self._resolved, context)
            candidates = _Candidates(context, environment, survey.candidates())
            self._candidates = candidates
        return candidates

    def _shortlist(self, candidates: _Candidates, needs: Needs) -> _Shortlist:
        if needs.context > candidates.smallest_window:
            return self._fitting(candidates, needs)
        if needs.context:  # the prompt fits every window, so its length makes no difference
            needs = msgspec.structs.replace(needs, context=0)
        kept = candidates.shortlists
        shortlist = kept.get(needs)
        if shortlist is None:
            shortlist = self._fitting(candidates, needs)
            if len(kept) >= _MAX_SHORTLISTS:
                kept.clear()
            kept[needs] = shortlist
        return shortlist

    def _fitting(self, candidates: _Candidates, needs: Needs) -> _Shortlist:
        """Drop the routes that lack what a request needs, and sort the others."""
        routes: list[Route] = []
        skipped: list[Skipped] = []
        for candidate in candidates.all:
            if isinstance(candidate, Skipped):
                skipped.append(candidate)
            elif (skip := _skip_if_lacking(candidate, needs)) is not None:
                skipped.append(skip)
            else:
                routes.append(candidate)
        if not self.targets:
            routes, last_resorts = _split_off_last_resorts(routes)
            skipped += [_skip_route(route, LAST_RESORT) for route in last_resorts]
        once: dict[tuple[str, str], Skipped] = {}
        for skip in skipped:
            once.setdefault((skip.provider, skip.reason), skip)
        return _Shortlist(self._sorted(routes), tuple(once.values()))

    def _sorted(
        self, routes: Sequence[Route], context: PlanningContext | None = None
    ) -> tuple[Route, ...]:
        """Sort the routes of each model among themselves; equals keep their order."""
        position = {model: n for n, model in enumerate(dict.fromkeys(r.model for r in routes))}

        def place(route: Route) -> tuple[int, int, float]:
            rank = self._resolved.rank(route.provider)
            return position[route.model], rank, self._sort_value(route, context)

        return tuple(sorted(routes, key=place))

    def _sort_value(self, route: Route, context: PlanningContext | None) -> float:
        """Return what `sort` orders a route by, smallest first.

        Latency and chance need a context; without one, routes keep their order.
        """
        match self._selection.sort:
            case "price":
                cost = route.model_info.cost
                return cost.input + cost.output if cost else math.inf
            case "latency" if context:
                # An unmeasured route comes first, and any route may get another chance.
                explored = context.chance() < EXPLORED_SHARE
                return -1.0 if explored else context.latency_ms(route) or 0.0
            case "random" if context:
                return context.chance()
            case _:
                return 0.0


class _Candidates:
    """The candidates, what they depend on, and the shortlists drawn from them."""

    def __init__(
        self, context: PlanningContext, environment: int, candidates: Iterable[Route | Skipped]
    ) -> None:
        self._keys = context.keys
        self._environment = environment
        self._today = context.today
        self._local_models = context.local_models
        self.all = tuple(candidates)
        self.shortlists: dict[Needs, _Shortlist] = {}
        windows = (c.model_info.context for c in self.all if isinstance(c, Route))
        self.smallest_window = min((size for size in windows if size), default=math.inf)

    def are_current(self, context: PlanningContext, environment: int) -> bool:
        """Whether a survey with `context` would find the same candidates."""
        return (
            self._environment == environment
            and self._keys is context.keys
            and self._today == context.today
            and self._local_models == context.local_models
        )


class _Shortlist:
    """The routes that fit what a request needs, sorted, and the candidates that do not."""

    def __init__(self, routes: tuple[Route, ...], skipped: tuple[Skipped, ...]) -> None:
        self.routes = routes
        self.skipped = skipped
        self._by_cooldown_key: dict[CooldownKey, list[_RouteId]] | None = None

    def cooling_down(self, cooldowns: Mapping[CooldownKey, Cooldown]) -> dict[_RouteId, Cooldown]:
        """Return the routes that a cooldown holds back, each with the one that ends last."""
        if self._by_cooldown_key is None:
            self._by_cooldown_key = _by_cooldown_key(self.routes)
        cooling: dict[_RouteId, Cooldown] = {}
        for key, cooldown in cooldowns.items():
            for route_id in self._by_cooldown_key.get(key, ()):
                longest = cooling.setdefault(route_id, cooldown)
                if longest.until < cooldown.until:
                    cooling[route_id] = cooldown
        return cooling


def _by_cooldown_key(routes: Iterable[Route]) -> dict[CooldownKey, list[_RouteId]]:
    index: dict[CooldownKey, list[_RouteId]] = {}
    for route in routes:
        for key in cooldown_keys(route).values():
            index.setdefault(key, []).append(_id_of(route))
    return index


def _skip_if_lacking(route: Route, needs: Needs) -> Skipped | None:
    """Return a route as skipped when it is known to lack something a request needs.

    What is unknown about a model never rules it out.
    """
    model = route.model_info
    if reason := _ruled_out(route, needs) or _missing_feature(model, needs):
        return _skip_route(route, reason)
    if model.context and model.context < needs.context:
        reason = f"holds {model.context:,} tokens, and the prompt has {needs.context:,}"
        return _skip_route(route, reason, context=model.context)
    return None


def _ruled_out(route: Route, needs: Needs) -> str | None:
    if not needs.ruled_out_protocols:
        return None
    return dict(needs.ruled_out_protocols).get(route.endpoint.protocol)


def _missing_feature(model: Model, needs: Needs) -> str | None:
    if needs.tools and model.tools is False:
        return "does not offer tools"
    if needs.structured and model.structured is False:
        return "does not offer structured output; use a tool instead"
    if needs.structured_or_tools and model.structured is False and model.tools is False:
        return "offers neither structured output nor tools"
    if model.input and (missing := needs.input.difference(model.input)):
        return f"does not take {' or '.join(sorted(missing))} input"
    return None


def _split_off_last_resorts(routes: list[Route]) -> tuple[list[Route], list[Route]]:
    """Return the routes to use, and the embedded ones if there are others."""
    others = [route for route in routes if route.kind != "embedded"]
    if not others:
        return routes, []
    return others, [route for route in routes if route.kind == "embedded"]


def _id_of(route: Route) -> _RouteId:
    return route.provider, route.model_id


def _skip_route(route: Route, reason: str, **fields: Any) -> Skipped:
    return Skipped(provider=route.provider, model=route.model, reason=reason, **fields)
