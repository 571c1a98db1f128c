"""Turn candidates into the plan of one request. Pure: the same inputs give the same plan.

A planner works out only what changed since its last plan:

* The candidates depend on the environment, the date and the models on this machine. When one of
  these changes, the next plan surveys the providers again. Planners of one registry and selection
  share the last survey.
* The shortlist depends on what a request needs as well. One is kept for each combination of needs.
* The usable routes depend on the cooldowns as well. They are kept until a cooldown changes.
* Measured latencies and chance are applied to each plan.
"""

from __future__ import annotations

import math
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

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
    routes = plan.routes
    preferred = last_route(conversation)
    if preferred is not None:
        first = next((n for n, route in enumerate(routes) if _id_of(route) == preferred), 0)
        if first:
            routes = (routes[first], *routes[:first], *routes[first + 1 :])
    return msgspec.structs.replace(plan, routes=routes, conversation=conversation)


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
        unsupported = tuple(sorted((unsupported_protocols or {}).items()))
        self._shared = registry.derived(_Shared, selection, unsupported)
        self._resolved = self._shared.resolved
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
        if self._selection.sort in {"latency", "random"}:
            usable = shortlist.usable_routes(
                context.cooldowns, self._sorted(shortlist.routes, context)
            )
        elif context.cooldowns:
            usable = shortlist.last_usable_routes(context.cooldowns)
        else:
            usable = _UsableRoutes(shortlist.routes)
        reasons = (cooldown.reason(context.now) for cooldown in usable.cooldowns)
        return Plan(
            models=self._models,
            routes=usable.routes,
            skipped=(*map(_skip_route, usable.cooling_down, reasons), *shortlist.skipped),
            cooling_down=usable.cooling_down,
            tokens=needs.context,
        )

    def _current_candidates(self, context: PlanningContext) -> _Candidates:
        environment = context.environment
        if environment is None:
            environment = context.keys.environment_state()
        for candidates in (self._candidates, self._shared.last_candidates):
            if candidates is not None and candidates.are_current(context, environment):
                break
        else:
            survey = Survey(self._resolved, context)
            candidates = _Candidates(context, environment, survey.candidates())
        self._candidates = self._shared.last_candidates = candidates
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
            and self._keys.have_same_sources(context.keys)
            and self._today == context.today
            and self._local_models == context.local_models
        )


class _Shared:
    """What the planners of one registry and selection share."""

    def __init__(
        self,
        registry: Registry,
        selection: Selection,
        unsupported_protocols: tuple[tuple[str, str], ...],
    ) -> None:
        self.resolved = ResolvedSelection(selection, registry, dict(unsupported_protocols))
        self.last_candidates: _Candidates | None = None


class _UsableRoutes(NamedTuple):
    """The routes without a cooldown, and the others, each with the cooldown that ends last."""

    routes: tuple[Route, ...]
    cooling_down: tuple[Route, ...] = ()
    cooldowns: tuple[Cooldown, ...] = ()


class _Shortlist:
    """The routes that fit what a request needs, sorted, and the candidates that do not."""

    def __init__(self, routes: tuple[Route, ...], skipped: tuple[Skipped, ...]) -> None:
        self.routes = routes
        self.skipped = skipped
        self._last: tuple[Mapping[CooldownKey, Cooldown], _UsableRoutes] = ({}, _UsableRoutes(()))

    def last_usable_routes(self, cooldowns: Mapping[CooldownKey, Cooldown]) -> _UsableRoutes:
        """Return `usable_routes`, as it was the last time if the cooldowns are the same object."""
        last_cooldowns, usable = self._last
        if cooldowns is not last_cooldowns:
            usable = self.usable_routes(cooldowns, self.routes)
            self._last = cooldowns, usable
        return usable

    def usable_routes(
        self, cooldowns: Mapping[CooldownKey, Cooldown], routes: Sequence[Route]
    ) -> _UsableRoutes:
        """Split the routes, which are the shortlist's in any order, by their cooldowns."""
        longest: dict[_RouteId, Cooldown] = {}
        for key, cooldown in cooldowns.items():
            for route_id in self._ids_by_cooldown_key.get(key, ()):
                if longest.setdefault(route_id, cooldown).until < cooldown.until:
                    longest[route_id] = cooldown
        if not longest:
            return _UsableRoutes(tuple(routes))
        cooling_down = tuple(route for route in routes if _id_of(route) in longest)
        return _UsableRoutes(
            routes=tuple(route for route in routes if _id_of(route) not in longest),
            cooling_down=cooling_down,
            cooldowns=tuple(longest[_id_of(route)] for route in cooling_down),
        )

    @cached_property
    def _ids_by_cooldown_key(self) -> Mapping[CooldownKey, list[_RouteId]]:
        index: dict[CooldownKey, list[_RouteId]] = {}
        for route in self.routes:
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
