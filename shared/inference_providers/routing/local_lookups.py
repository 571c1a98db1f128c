"""When to look for models on this machine, and the results.

* A remote route never costs a look-up. Files and servers are looked for only where the selection
  names what is on this machine, or where nothing else can serve it.
* Results are kept for a while: those of servers for `SERVERS_FOR_S`, of files for `FILES_FOR_S`.
"""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Literal

from inference_providers.local import discovery
from inference_providers.routing.candidates import serves

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from collections.abc import Set as AbstractSet

    from inference_providers.credentials import Keys
    from inference_providers.registry.entries import Target
    from inference_providers.registry.registry import Registry
    from inference_providers.types import Kind, LocalModels, Plan, Selection, Unavailable

__all__ = ["LocalLookups", "Lookup"]

SERVERS_FOR_S = 30.0
"""How long the models of this machine's servers are kept."""
FILES_FOR_S = 2.0
"""How long the list of the embedded model's files is kept."""

Lookup = Literal["servers", "files"]
_Local = dict[str, "LocalModels | Unavailable"]


class LocalLookups:
    """What one selection may use of this machine.

    Attributes:
        models: The results so far, by provider id. Each look-up replaces the mapping.
        idle_environment: The state of the environment in which no look-up is ever due.
    """

    def __init__(
        self, selection: Selection, registry: Registry, keys: Keys, targets: Sequence[Target]
    ) -> None:
        self._selection = selection
        self._registry = registry
        self._keys = keys
        self._targets = targets
        self._servers = self._allowed("local")
        self._embedded = self._allowed("embedded")
        self._names_server = selection.local or self._is_named(self._servers)
        self._names_embedded = self._is_named(self._embedded) or any(
            registry.entries_for(provider_id, target)
            for provider_id in self._embedded
            for target in targets
        )
        self._results: dict[Lookup, _Local] = {}
        self._looked_at: dict[Lookup, float] = {}
        self._address_variables = [
            registry.providers[provider_id].endpoints["default"].base_url_env
            for provider_id in self._servers
        ]
        self._environment: int | None = None
        self._gguf_setting: str | None = None
        self._address_settings: list[str | None] = []
        self.idle_environment: int | None = None
        self.models: Mapping[str, LocalModels | Unavailable] = {}

    def due(self, environment: int) -> frozenset[Lookup]:
        """Return the look-ups that every plan of the selection needs, and that are too old.

        If the selection needs none at all, `idle_environment` is set: this need not be called
        again until the environment changes.
        """
        if environment != self._environment:
            self._environment = environment
            self._forget_outdated()
        needed: set[Lookup] = set()
        if self._names_server:
            needed.add("servers")
        if self._names_embedded or self._is_target(self._gguf_setting):
            needed.add("files")
        self.idle_environment = None if needed else environment
        return self._stale(needed)

    def due_for(self, plan: Plan) -> frozenset[Lookup]:
        """Return the look-ups that may find a route for a plan that has none elsewhere.

        `due` has already returned those that every plan of the selection needs.
        """
        routes = (*plan.routes, *plan.cooling_down)
        if not self._selection.models:
            if all(route.kind == "embedded" for route in routes):
                return self._stale({"servers", "files"})
        elif not self._names_server and all(route.kind == "local" for route in routes):
            return self._stale({"servers"})
        return frozenset()

    def look(self, lookups: AbstractSet[Lookup]) -> None:
        """Look now. Blocks: for servers up to `discovery.DEADLINE_S`."""
        if "servers" in lookups:
            servers = discovery.find_servers(self._servers, self._registry, self._keys)
            self._store("servers", servers)
        if "files" in lookups:
            providers = self._registry.providers
            files = {p: discovery.find_embedded(providers[p], self._keys) for p in self._embedded}
            self._store("files", files)

    def _store(self, lookup: Lookup, models: _Local) -> None:
        self._results[lookup] = models
        self._looked_at[lookup] = time.monotonic()
        self._publish()

    def _forget_outdated(self) -> None:
        """Forget the results that depend on a variable that has changed."""
        gguf_setting = self._keys.setting(discovery.GGUF_VARIABLE)
        if gguf_setting != self._gguf_setting:
            self._gguf_setting = gguf_setting
            self._forget("files")
        address_settings = [self._keys.setting(*names) for names in self._address_variables]
        if address_settings != self._address_settings:
            self._address_settings = address_settings
            self._forget("servers")

    def _forget(self, lookup: Lookup) -> None:
        self._looked_at.pop(lookup, None)
        if self._results.pop(lookup, None) is not None:
            self._publish()

    def _publish(self) -> None:
        servers, files = self._results.get("servers", {}), self._results.get("files", {})
        self.models = {**servers, **files}

    def _stale(self, lookups: Iterable[Lookup]) -> frozenset[Lookup]:
        now = time.monotonic()
        max_age_s: dict[Lookup, float] = {"servers": SERVERS_FOR_S, "files": FILES_FOR_S}
        providers = {"servers": self._servers, "files": self._embedded}
        return frozenset(
            lookup
            for lookup in lookups
            if providers[lookup]
            and now - self._looked_at.get(lookup, -math.inf) >= max_age_s[lookup]
        )

    def _is_target(self, file: str | None) -> bool:
        """Whether a GGUF file of the user's is a model that the selection names."""
        return file is not None and any(serves(file, target) for target in self._targets)

    def _allowed(self, kind: Kind) -> list[str]:
        """Return the providers of a kind that the selection does not rule out."""
        of_kind = self._registry.on_this_machine[kind]
        only, exclude = self._selection.only, self._selection.exclude
        allowed = [p for p in only if p in of_kind] if only else of_kind
        return [provider_id for provider_id in allowed if provider_id not in exclude]

    def _is_named(self, provider_ids: Sequence[str]) -> bool:
        named = {target.provider for target in self._targets}
        named.update(self._selection.only, self._selection.order)
        return not named.isdisjoint(provider_ids)
