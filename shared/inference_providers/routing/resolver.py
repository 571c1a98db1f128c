"""Wires registry, keys, this machine and protocols: selection → plan → access."""

from __future__ import annotations

import asyncio
import logging
import math
import random
import re
import time
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from inference_providers.credentials import Key
from inference_providers.errors import ConfigError, LocalServerError
from inference_providers.failover.state import PROCESS_STATE
from inference_providers.local import discovery, llama_server, weights
from inference_providers.routing import install_check
from inference_providers.routing.backend import Access
from inference_providers.routing.planner import PlanningContext, plan, stick
from inference_providers.types import ANYTHING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from inference_providers.credentials import Keys
    from inference_providers.failover.state import FailoverState
    from inference_providers.registry.registry import Registry
    from inference_providers.types import LocalModels, Needs, Plan, Route, Selection, Unavailable

__all__ = ["Resolver"]

FOUND_FOR_S = 30.0
"""How long a look at this machine's servers is believed."""
FILES_FOR_S = 2.0
"""How long a look for the embedded model's files is; it costs as much as the rest of a plan."""

logger = logging.getLogger(__name__)


class Resolver:
    """Answers, for one selection, who would serve it now and how to reach them.

    Args:
        selection: Which models, and which providers may serve them.
        registry: Where they are looked up.
        keys: The keys at hand.
        unsupported_protocols: Returns the registry's protocols that the caller cannot use, and why.
        state: Cooldowns, rate limits and latencies; those of the process unless given.

    Raises:
        UnknownModelError: A model of the selection is unknown or retired.
        ConfigError: `only`, `exclude`, `order` or `api_keys` name no provider.
    """

    def __init__(
        self,
        selection: Selection,
        registry: Registry,
        keys: Keys,
        unsupported_protocols: Callable[[Registry], Mapping[str, str]],
        state: FailoverState = PROCESS_STATE,
    ) -> None:
        install_check.warn_once()
        self.selection = selection
        self.registry = registry
        self.keys = keys
        self.state = state
        self._unspoken = unsupported_protocols(registry)
        self._servers: Mapping[str, LocalModels | Unavailable] = {}
        self._looked_at = -math.inf
        self._files: Mapping[str, LocalModels | Unavailable] = {}
        self._files_looked_at = -math.inf
        self._said_last_resort = False
        for argument in ("only", "exclude", "order"):
            registry.check_providers(getattr(selection, argument), argument)
        registry.check_providers(keys.given, "api_keys")
        self._targets = [registry.target(n, local=selection.local) for n in selection.models]

    def plan(self, needs: Needs = ANYTHING, conversation: str | None = None) -> Plan:
        """Return the plan for a request now; looks for local servers where that is called for.

        The route that answered `conversation` before goes first.
        """
        made = self._plan(needs)
        if self._must_look(made):
            self._look()
            made = self._plan(needs)
        return self._stuck(self._announced(made), conversation)

    def known(self) -> Plan:
        """Return the plan from what is known by now: no server is looked for."""
        return self._plan(ANYTHING)

    async def aplan(self, needs: Needs = ANYTHING, conversation: str | None = None) -> Plan:
        """Return the plan, as `plan` does, without blocking the event loop."""
        made = self._plan(needs)
        if self._must_look(made):
            await asyncio.to_thread(self._look)
            made = self._plan(needs)
        return self._stuck(self._announced(made), conversation)

    def access(self, route: Route) -> Access:
        """Return where to reach a route and with which key; starts the embedded server.

        Raises:
            ConfigError: The key is missing now.
            LocalServerError: The embedded model does not start.
        """
        if route.kind == "embedded":
            return self._embedded(route)
        provider = self.registry.providers[route.provider]
        base_url = self._filled(route.endpoint.base_url, route)
        bound = [base_url] if route.kind == "local" else [
            self._filled(endpoint.base_url, route) for endpoint in provider.endpoints.values()
        ]  # fmt: skip
        hosts = [urlsplit(url).hostname or "" for url in bound]
        return Access(base_url, self.keys.key(route.provider, provider, hosts), self.state)

    async def aaccess(self, route: Route) -> Access:
        """Return access, as `access` does, without blocking the event loop."""
        if route.kind == "embedded":
            return await asyncio.to_thread(self.access, route)
        return self.access(route)

    def scrub(self, route: Route, error: Exception) -> None:
        """Take the route's key out of an exception's texts, in place."""
        provider = self.registry.providers[route.provider]
        try:
            key = self.keys.key(route.provider, provider, ())
        except ConfigError:  # unset since the call: nothing is left to compare with
            return
        if key:
            key.scrub_error(error)

    def _plan(self, needs: Needs) -> Plan:
        around = PlanningContext(
            keys=self.keys,
            today=datetime.now(UTC).date(),
            found={**self._servers, **self._embedded_found()},
            unsupported_protocols=self._unspoken,
            cooling_down=self._why_resting,
            latency_ms=self.state.latency_ms,
            chance=random.random,
        )
        return plan(self.selection, self.registry, around, needs=needs)

    def _embedded_found(self) -> Mapping[str, LocalModels | Unavailable]:
        now = time.monotonic()
        if now - self._files_looked_at > FILES_FOR_S:
            self._files = {
                provider_id: discovery.find_embedded(provider, self.keys)
                for provider_id, provider in self.registry.providers.items()
                if provider.kind == "embedded"
            }
            self._files_looked_at = now
        return self._files

    def _stuck(self, made: Plan, conversation: str | None) -> Plan:
        return (
            made if conversation is None else stick(made, conversation, self.state.preferred_route)
        )

    def _why_resting(self, route: Route) -> str | None:
        now = time.monotonic()
        rest = self.state.active_cooldown(route, now)
        return rest.reason(now) if rest else None

    def _must_look(self, made: Plan) -> bool:
        servers = self._local_ids()
        if not servers or time.monotonic() - self._looked_at < FOUND_FOR_S:
            return False
        named = {target.provider for target in self._targets}
        named.update(self.selection.only, self.selection.order)
        if self.selection.local or named.intersection(servers):
            return True
        if self.selection.models:
            return not (made.routes or made.cooling_down)
        return all(route.kind == "embedded" for route in (*made.routes, *made.cooling_down))

    def _look(self) -> None:
        self._servers = discovery.find_servers(self._local_ids(), self.registry, self.keys)
        self._looked_at = time.monotonic()

    def _local_ids(self) -> list[str]:
        """Return the local servers that the selection lets serve."""
        return [
            provider_id
            for provider_id in self.selection.only or self.registry.providers
            if self.registry.providers[provider_id].kind == "local"
            and provider_id not in self.selection.exclude
        ]

    def _announced(self, made: Plan) -> Plan:
        last_resort = not made.models and made.routes and made.routes[0].kind == "embedded"
        if last_resort and not self._said_last_resort:
            self._said_last_resort = True
            logger.warning(
                "No provider has a key and no local server answers: %r answers from this machine",
                made.routes[0].model,
            )
        for route in made.routes:
            own = self.registry.providers[route.provider].endpoints[route.model_info.endpoint]
            if own.protocol != route.endpoint.protocol:
                _say_compatible_once(route.provider, self._unspoken[own.protocol])
        return made

    def _embedded(self, route: Route) -> Access:
        path = weights.find(route.model_id)
        if path is None:
            msg = f"{route.model_id!r} is not installed; run `autoprovider local install`"
            raise LocalServerError(msg)
        server = llama_server.start(path, model=route.model)
        host = urlsplit(server.base_url).hostname or ""
        key = Key("the embedded server's key", server.key, [host])
        return Access(server.base_url, key, self.state)

    def _filled(self, url: str, route: Route) -> str:
        """Put values into a URL's `{model_id}` and `{VARIABLE}`; the host stays the template's."""
        if unset := self.keys.unset(url):
            msg = f"{route}: set {' and '.join(unset)}"
            raise ConfigError(msg)

        def value(match: re.Match[str]) -> str:
            if match[1] == "model_id":
                return route.model_id
            said = self.keys.setting(match[1]) or ""
            # Some write a host as its address: DATABRICKS_HOST is "https://….databricks.com/".
            address = said.removeprefix("https://")
            return said if address == said else address.removesuffix("/")

        filled = re.sub(r"\{(\w+)\}", value, url)
        fixed = urlsplit(url).netloc.rpartition("}")[2]
        # A backslash or '@' would be read as a host's end by one parser and not by another.
        host = re.sub(r"\{(\w+)\}", value, urlsplit(url).netloc)
        stays = re.fullmatch(r"[A-Za-z0-9._-]+(?::\d+)?|\[[0-9a-f:]+\](?::\d+)?", host)
        if not stays or urlsplit(filled).netloc != host:
            msg = f"{route}: {filled!r} has left {fixed!r}, to which its key belongs"
            raise ConfigError(msg)
        return filled


@cache
def _say_compatible_once(provider_id: str, reason: str) -> None:
    logger.warning("%s: %s; its OpenAI-compatible endpoint is used until then", provider_id, reason)
