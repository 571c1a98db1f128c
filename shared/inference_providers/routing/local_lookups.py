"""When to look for models on this machine, and what was found.

* A remote route never costs a look-up. Files and servers are looked for only where the selection
  names what is on this machine, or where nothing else can serve it.
* What was found is believed for a while: servers for `SERVERS_FOR_S`, files for `FILES_FOR_S`.
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
    from inference_providers.types import LocalModels, Plan, Selection, Unavailable

__all__ = ["LocalLookups", "Lookup"]

SERVERS_FOR_S = 30.0
"""How long the answers of this machine's servers are believed."""
FILES_FOR_S = 2.0
"""How long a look for the embedded model's files is believed."""

Lookup = Literal["servers", "files"]
_Local = dict[str, "LocalModels | Unavailable"]


class LocalLookups:
    """What one selection may use of this machine.

    Attributes:
        models: What was found so far, by provider id. A new mapping after each look-up.
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
        self._found: dict[Lookup, _Local] = {}
        self._looked_at: dict[Lookup, float] = {}
        self._own_file: str | None = None
        self.settled_in: int | None = None
        self.models: Mapping[str, LocalModels | Unavailable] = {}

    def due(self, environment: int) -> frozenset[Lookup]:
        """Return the look-ups that every plan of the selection needs, and that are too old.

        If there are none to make at all, `settled_in` is set: until the environment changes,
        this need not be called again.
        """
        own_file = self._keys.setting(discovery.GGUF_VARIABLE)
        if own_file != self._own_file:
            self._own_file = own_file
            self._forget("files")
        needed: set[Lookup] = set()
        if self._names_server:
            needed.add("servers")
        if self._names_embedded or self._is_target(own_file):
            needed.add("files")
        self.settled_in = None if needed else environment
        return self._stale(needed)

    def due_for(self, plan: Plan) -> frozenset[Lookup]:
        """Return the look-ups that may give a route to a plan that has none elsewhere."""
        routes = (*plan.routes, *plan.cooling_down)
        if not self._selection.models:
            if all(route.kind == "embedded" for route in routes):
                return self._stale({"servers", "files"})
        elif not routes:
            return self._stale({"servers"})
        return frozenset()

    def look(self, lookups: AbstractSet[Lookup]) -> None:
        """Look now. Blocks: for servers up to `discovery.DEADLINE_S`."""
        if "servers" in lookups:
            self._note("servers", discovery.find_servers(self._servers, self._registry, self._keys))
        if "files" in lookups:
            providers = self._registry.providers
            self._note(
                "files",
                {p: discovery.find_embedded(providers[p], self._keys) for p in self._embedded},
            )

    def _note(self, lookup: Lookup, models: _Local) -> None:
        self._found[lookup] = models
        self._looked_at[lookup] = time.monotonic()
        self._publish()

    def _forget(self, lookup: Lookup) -> None:
        if self._found.pop(lookup, None) is not None:
            del self._looked_at[lookup]
            self._publish()

    def _publish(self) -> None:
        servers, files = self._found.get("servers", {}), self._found.get("files", {})
        self.models = {**servers, **files}

    def _stale(self, lookups: Iterable[Lookup]) -> frozenset[Lookup]:
        now = time.monotonic()
        lasts: dict[Lookup, float] = {"servers": SERVERS_FOR_S, "files": FILES_FOR_S}
        providers = {"servers": self._servers, "files": self._embedded}
        return frozenset(
            lookup
            for lookup in lookups
            if providers[lookup] and now - self._looked_at.get(lookup, -math.inf) >= lasts[lookup]
        )

    def _is_target(self, file: str | None) -> bool:
        """Whether a GGUF file of the user's is a model that the selection names."""
        return file is not None and any(serves(file, target) for target in self._targets)

    def _allowed(self, kind: str) -> list[str]:
        """Return the providers of a kind that the selection does not rule out."""
        return [
            provider_id
            for provider_id in self._selection.only or self._registry.providers
            if self._registry.providers[provider_id].kind == kind
            and provider_id not in self._selection.exclude
        ]

    def _is_named(self, provider_ids: Sequence[str]) -> bool:
        named = {target.provider for target in self._targets}
        named.update(self._selection.only, self._selection.order)
        return not named.isdisjoint(provider_ids)
