"""The registry: which provider serves which model, where, under which name.

`Registry.load(source)` replaces the bundled registry, `merged(source)` lays a
sparse document over it (JSON Merge Patch, RFC 7396: `null` removes).
"""

from __future__ import annotations

from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from inference_providers.errors import ConfigError, RegistryError
from inference_providers.model_names.canonical import did_you_mean
from inference_providers.registry import loader, validation
from inference_providers.registry.index import CHATS, EMBEDS, Catalogue
from inference_providers.registry.lookup import closed_provider, meaning

if TYPE_CHECKING:
    from collections.abc import Iterable

    from inference_providers.registry.index import Target
    from inference_providers.registry.loader import Document, RegistrySource

__all__ = ["Registry"]


class Registry(Catalogue):
    """A loaded registry. Immutable; the same file gives the same one.

    `origin` is what messages call it, `raw` its JSON in today's schema.
    """

    def __init__(self, document: Document, origin: str, raw: bytes, others: str = EMBEDS) -> None:
        super().__init__(document, others)
        self.origin = origin
        self.raw = raw

    def __repr__(self) -> str:
        return f"Registry({self.origin!r}, {len(self.providers)} providers)"

    def __reduce__(self) -> tuple[Any, ...]:
        return _decoded, (self.raw, self.origin)

    @classmethod
    def load(cls, source: RegistrySource | None = None) -> Registry:
        """Read a registry: the bundled one, or `source` in its place.

        Raises:
            RegistryError: The file cannot be read, is not JSON, or breaks the schema.
        """
        return _bundled() if source is None else _permitted(_decoded(*loader.read(source)))

    @classmethod
    def made_of(cls, document: Document, origin: str) -> Registry:
        """Return the registry of a document that was checked before."""
        return cls(document, origin, msgspec.json.encode(document))

    def merged(self, source: RegistrySource) -> Registry:
        """Return this registry with `source` laid over it.

        Raises:
            RegistryError: As for `load`; paths in the message are those of `source`.
        """
        return _merged(self, *loader.read(source))

    def as_dict(self) -> dict[str, Any]:
        """Return the registry as `load` takes it, as a value of its own."""
        made: dict[str, Any] = msgspec.json.decode(self.raw)
        return made

    @cached_property
    def embeddings(self) -> Registry:
        """This registry with each provider's embedding models in place of its chat models."""
        providers = {
            provider_id: msgspec.structs.replace(row, models=row.embeddings, embeddings=row.models)
            for provider_id, row in self.providers.items()
        }
        document = msgspec.structs.replace(self.document, providers=providers)
        return Registry(document, self.origin, self.raw, others=CHATS)

    def target(self, name: str, *, local: bool = False) -> Target:
        """Say which model a name means.

        In this order: a canonical name, an alias, `provider/model` or
        `provider:model` where that provider lists it, a provider's own id, a name with
        `@snapshot` or `:tier` behind it, and what the text rules make of it. An own id
        means the snapshot and tier it is an id of. `local` lets a name pass that only
        a server on this machine may know, as does pinning it to a local provider or one
        of free names.

        Raises:
            UnknownModelError: Nobody lists it, or it is retired; says what is near, or
                which snapshots and tiers there are.
        """
        return meaning(self, name, local=local)

    def check_providers(self, provider_ids: Iterable[str], argument: str) -> None:
        """Raise `ConfigError` for an id that is unknown or retired, naming `argument`."""
        for provider_id in provider_ids:
            if provider_id in self.providers:
                continue
            hint = closed_provider(self, provider_id) or (
                f"{provider_id!r} is not a provider"
                f"{did_you_mean(provider_id, self.providers) or '; see `autoprovider providers`'}"
            )
            msg = f"{argument}: {hint}"
            raise ConfigError(msg)


def _decoded(raw: bytes, origin: str) -> Registry:
    document, raw = loader.decode(raw, origin)
    return Registry(document, origin, raw)


def _permitted(registry: Registry, beneath: Registry | None = None) -> Registry:
    """Return `registry`, which reads no variable that it may not, and names what can be named.

    Raises:
        RegistryError: It reads one that the registry `beneath` does not, or a name is none.
    """
    for wrong in validation.name_complaints(registry.providers):
        loader.refuse(*wrong, registry.origin)
    if any(validation.variable_complaints(registry.providers, {})):
        permitted = validation.declared((beneath or _bundled()).providers)
        for wrong in validation.variable_complaints(registry.providers, permitted):
            loader.refuse(*wrong, registry.origin)
    return registry


@lru_cache(maxsize=16)
def _merged(beneath: Registry, patch: bytes, origin: str) -> Registry:
    merged = _decoded(loader.merge(beneath.raw, patch, origin), origin)
    return _permitted(merged, beneath)


@lru_cache(maxsize=1)
def _bundled() -> Registry:
    """Load the registry of this distribution.

    In a wheel it lies beside this file; in a checkout (editable install) at the root.
    """
    here = Path(__file__).resolve()
    places = (here.parents[1] / "providers.json", here.parents[3] / "providers.json")
    path = next((place for place in places if place.is_file()), places[0])
    try:
        return _decoded(path.read_bytes(), str(path))
    except OSError as error:
        msg = f"{path}: cannot be read: {error.strerror or error}"
        raise RegistryError(msg) from error
