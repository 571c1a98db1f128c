"""Find out who serves a selection now, and how to reach them.

Wires registry, keys, this machine and cooldowns to the planner: selection → plan → access. Planning
reads no file and opens no connection, unless the selection names what is on this machine or nothing
else can serve it; `aplan` then looks in a thread.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING

from inference_providers.credentials import Key
from inference_providers.errors import ConfigError, LocalServerError
from inference_providers.failover.state import PROCESS_STATE
from inference_providers.routing import event_loop, install_check
from inference_providers.routing.backend import Access
from inference_providers.routing.context import PlanningContext
from inference_providers.routing.local_lookups import LocalLookups
from inference_providers.routing.planner import Planner, stick
from inference_providers.types import ANYTHING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from inference_providers.credentials import Keys
    from inference_providers.failover.state import FailoverState
    from inference_providers.registry.registry import Registry
    from inference_providers.routing.local_lookups import Lookup
    from inference_providers.types import Needs, Plan, Route, Selection

__all__ = ["Resolver"]

logger = logging.getLogger(__name__)


class Resolver:
    """Plans the requests of one selection and gives access to their routes.

    Names are resolved once, here.

    Args:
        selection: The models, and the providers that may serve them.
        registry: Where they are looked up.
        keys: The keys at hand.
        unsupported_protocols: Returns the registry's protocols that the caller cannot use, each
            with what to do.
        state: Cooldowns, rate limits and latencies; those of the process unless given.

    Raises:
        UnknownModelError: A model of the selection is unknown or retired.
        ConfigError: `only`, `exclude`, `order` or `api_keys` contain an unknown provider.
    """

    def __init__(
        self,
        selection: Selection,
        registry: Registry,
        keys: Keys,
        unsupported_protocols: Callable[[Registry], Mapping[str, str]],
        state: FailoverState | None = None,
    ) -> None:
        install_check.warn_once()
        self.selection = selection
        self.registry = registry
        self.keys = keys
        self.state = PROCESS_STATE if state is None else state
        self._unsupported = unsupported_protocols(registry)
        try:
            for argument in ("only", "exclude", "order"):
                registry.check_providers(getattr(selection, argument), argument)
            registry.check_providers(keys.given, "api_keys")
            self._planner = Planner(selection, registry, self._unsupported)
        except ConfigError as error:  # a key may stand where a name belongs
            scrubbed = keys.scrub_error(error, registry.providers.values())
            raise scrubbed from scrubbed.__cause__
        self._local = LocalLookups(selection, registry, keys, self._planner.targets)
        self._accesses: tuple[int | None, dict[Route, Access]] = (None, {})
        """The results of `access`, and the state of the environment that they are for."""
        self._warned_of: tuple[Route, ...] = ()
        self._warned_of_last_resort = False

    def for_selection(self, selection: Selection) -> Resolver:
        """Return a resolver for another selection, with the same registry, keys and state.

        Raises:
            UnknownModelError: A model of the selection is unknown or retired.
            ConfigError: `only`, `exclude` or `order` contain an unknown provider.
        """
        return Resolver(
            selection, self.registry, self.keys, lambda _: self._unsupported, self.state
        )

    def plan(self, needs: Needs = ANYTHING, conversation: str | None = None) -> Plan:
        """Return the plan for a request now.

        Looks for models on this machine where they are named, or nothing else is left. The
        route that answered `conversation` last goes first.
        """
        environment = self.keys.environment_state()
        if due := self._due_before_planning(environment):
            self._local.look(due)
        plan = self._plan(needs, environment)
        if due := self._due_after_planning(plan):
            self._local.look(due)
            plan = self._plan(needs, environment)
        return self._finished(plan, conversation)

    async def aplan(self, needs: Needs = ANYTHING, conversation: str | None = None) -> Plan:
        """Return the plan, as `plan` does, without blocking the event loop."""
        environment = self.keys.environment_state()
        if due := self._due_before_planning(environment):
            await asyncio.to_thread(self._local.look, due)
        plan = self._plan(needs, environment)
        if due := self._due_after_planning(plan):
            await asyncio.to_thread(self._local.look, due)
            plan = self._plan(needs, environment)
        return self._finished(plan, conversation)

    def plan_offline(self) -> Plan:
        """Return the plan without a request to any server, from what earlier look-ups found.

        Outside an event loop, the embedded model's files are looked for if it is named.
        """
        environment = self.keys.environment_state()
        if not event_loop.is_running() and (due := self._local.due(environment) & {"files"}):
            self._local.look(due)
        return self._plan(ANYTHING, environment)

    def access(self, route: Route) -> Access:
        """Return where to reach a route and with which key; starts the embedded server.

        The key is bound to the origins of all its provider's endpoints, for a local server to
        that of the address where it was found.

        Raises:
            ConfigError: The key is missing now, or a variable leads the URL to another host.
            LocalServerError: The embedded model does not start.
        """
        if route.kind == "embedded":
            return self._start_embedded(route)
        environment = self.keys.environment_state()
        known_environment, accesses = self._accesses
        if known_environment != environment:
            self._accesses = environment, (accesses := {})
        if (access := accesses.get(route)) is None:
            access = accesses[route] = self._find_access(route)
        return access

    def _find_access(self, route: Route) -> Access:
        provider = self.registry.providers[route.provider]
        templates = {route.endpoint.base_url}
        if route.kind != "local":
            templates |= {endpoint.base_url for endpoint in provider.endpoints.values()}
        try:
            urls = {url: self.keys.fill(url, model_id=route.model_id) for url in templates}
        except ConfigError as error:
            msg = f"{route}: {error}"
            raise ConfigError(msg) from None
        key = self.keys.key(route.provider, provider, urls.values())
        return Access(urls[route.endpoint.base_url], key, self.state)

    async def aaccess(self, route: Route) -> Access:
        """Return access, as `access` does, without blocking the event loop."""
        if route.kind == "embedded":
            return await asyncio.to_thread(self.access, route)
        return self.access(route)

    def _due_before_planning(self, environment: int) -> frozenset[Lookup]:
        if environment == self._local.idle_environment:
            return frozenset()
        return self._local.due(environment)

    def _due_after_planning(self, plan: Plan) -> frozenset[Lookup]:
        if plan.models and plan.routes and plan.routes[0].kind != "local":
            return frozenset()
        return self._local.due_for(plan)

    def _plan(self, needs: Needs, environment: int) -> Plan:
        now = time.monotonic()
        context = PlanningContext(
            keys=self.keys,
            environment=environment,
            today=datetime.now(UTC).date(),
            local_models=self._local.models,
            cooldowns=self.state.active_cooldowns(now),
            now=now,
            latency_ms=self.state.latency_ms,
            chance=random.random,
        )
        return self._planner.plan(context, needs)

    def _finished(self, plan: Plan, conversation: str | None) -> Plan:
        if plan.routes is not self._warned_of:
            self._warn(plan)
            self._warned_of = plan.routes
        return (
            plan if conversation is None else stick(plan, conversation, self.state.preferred_route)
        )

    def _warn(self, plan: Plan) -> None:
        """Warn once of the last resort, and of endpoints that replace an unsupported one."""
        last_resort = not plan.models and plan.routes and plan.routes[0].kind == "embedded"
        if last_resort and not self._warned_of_last_resort:
            self._warned_of_last_resort = True
            logger.warning(
                "No provider has a key and no local server was found;"
                " the embedded model %r answers on this machine",
                plan.routes[0].model,
            )
        for route in plan.routes:
            listed = self.registry.providers[route.provider].endpoints[route.model_info.endpoint]
            if listed.protocol != route.endpoint.protocol:
                _warn_of_fallback_once(route.provider, self._unsupported[listed.protocol])

    def _start_embedded(self, route: Route) -> Access:
        from inference_providers.local import llama_server, weights  # noqa: PLC0415 - rarely used

        path = weights.find(route.model_id)
        if path is None:
            msg = f"{route.model_id!r} is not installed; run `autoprovider local install`"
            raise LocalServerError(msg)
        server = llama_server.start(path, model=route.model)
        key = Key("the embedded server's key", server.key, [server.base_url])
        return Access(server.base_url, key, self.state)


@cache
def _warn_of_fallback_once(provider_id: str, reason: str) -> None:
    logger.warning("%s: %s; using its OpenAI-compatible endpoint instead", provider_id, reason)
