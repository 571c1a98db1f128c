"""`Registry`: which provider serves which model, where, and under which id.

* `Registry.load(source)` replaces the bundled registry; `registry.merged(source)` merges a
  sparse document into it (JSON Merge Patch, RFC 7396: `null` removes).
* A registry is immutable, so everything derived from its document is computed once.
* One registry is shared by everyone who loads the same content: it is compared each time, so a
  changed file is never missed, but decoded once. The last few are kept.
* `registry.target(name)` decides what a model name means
  (see `inference_providers.registry.lookup`).
"""

from __future__ import annotations

import os
import threading
from functools import cached_property, lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeVar

import msgspec

from inference_providers.errors import ConfigError, RegistryError
from inference_providers.model_names.canonical import canonical_name, did_you_mean
from inference_providers.registry import loader, validation
from inference_providers.registry.entries import entries_in, preference
from inference_providers.registry.lookup import closed_provider_message, resolve_name
from inference_providers.types import ON_THIS_MACHINE

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Mapping

    from inference_providers.registry.entries import Target
    from inference_providers.registry.loader import Document, RegistrySource
    from inference_providers.types import Model, Provider

__all__ = ["Registry"]

_IS_CHAT_MODEL = "is a chat model; use AutoChatModel, or LlamaIndex's AutoLLM"
_IS_EMBEDDING_MODEL = "is an embedding model; use AutoEmbeddings, or LlamaIndex's AutoEmbedding"
_CACHED_NAMES = 4096
_CACHED_RESULTS = 64
_CACHED_REGISTRIES = 16

T = TypeVar("T")

_lock = threading.RLock()
"""Held while a registry is decoded, so that threads which need the same one decode it once."""


class Registry:
    """A loaded registry.

    `load` and `merged` create one; both validate the document first.

    Attributes:
        document: The validated file.
        providers: Its providers by id, in order of preference.
        origin: What messages call this registry, usually its path.
        raw: The document as JSON in the current schema.
        other_kind: What an error says about a model that this document lists under
            `embeddings`.
    """

    def __init__(
        self, document: Document, origin: str, raw: bytes, other_kind: str = _IS_EMBEDDING_MODEL
    ) -> None:
        self.document = document
        self.providers: Mapping[str, Provider] = document.providers
        self.origin = origin
        self.raw = raw
        self.other_kind = other_kind
        self._derive = lru_cache(_CACHED_RESULTS)(partial(_apply, self))
        self._resolve: Callable[..., Target] = lru_cache(_CACHED_NAMES)(partial(resolve_name, self))

    def __repr__(self) -> str:
        return f"Registry({self.origin!r}, {len(self.providers)} providers)"

    def __reduce__(self) -> tuple[Any, ...]:
        return _unpickled, (self.raw, self.origin)

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self  # it is immutable

    @classmethod
    def load(cls, source: RegistrySource | None = None) -> Registry:
        """Load the bundled registry, or `source` instead of it.

        Raises:
            RegistryError: The file cannot be read, is not JSON, or breaks the schema or a
                rule of `inference_providers.registry.validation`.
        """
        if source is None:
            return _bundled()
        raw, origin = loader.read_source(source)
        with _lock:
            return _loaded(raw, origin)

    @classmethod
    def from_document(cls, document: Document, origin: str) -> Registry:
        """Return the registry of a document that has already been validated."""
        return cls(document, origin, msgspec.json.encode(document))

    def merged(self, source: RegistrySource) -> Registry:
        """Return this registry with `source` merged into it.

        Raises:
            RegistryError: As for `load`; paths in the message are paths in `source`.
        """
        raw, origin = loader.read_source(source)
        with _lock:
            return _merged(self, raw, origin)

    def as_dict(self) -> dict[str, Any]:
        """Return a new dict that `load` accepts and that describes this registry."""
        document: dict[str, Any] = msgspec.json.decode(self.raw)
        return document

    @cached_property
    def models(self) -> Mapping[str, tuple[str, ...]]:
        """Canonical names, sorted, each with the ids of the providers that list it."""
        provider_ids: dict[str, list[str]] = {}
        for provider_id, provider in self.providers.items():
            for model in provider.models:
                provider_ids.setdefault(model, []).append(provider_id)
        return {model: tuple(provider_ids[model]) for model in sorted(provider_ids)}

    @cached_property
    def on_this_machine(self) -> Mapping[str, tuple[str, ...]]:
        """The ids of the providers whose models are on this machine, by kind."""
        return {
            kind: tuple(p for p, row in self.providers.items() if row.kind == kind)
            for kind in ON_THIS_MACHINE
        }

    @cached_property
    def protocols(self) -> frozenset[str]:
        """The protocols of all endpoints."""
        return frozenset(
            endpoint.protocol
            for provider in self.providers.values()
            for endpoint in provider.endpoints.values()
        )

    @cached_property
    def by_model_id(self) -> Mapping[str, tuple[str, Model]]:
        """Model and entry by a provider's own id in lower case.

        Where several providers use the same id, the most preferred provider's entry counts.
        """
        by_id = {}
        for provider in reversed([*self.providers.values()]):
            for model, listing in reversed([*provider.models.items()]):
                for entry in entries_in(listing):
                    by_id[entry.id.lower()] = model, entry
        return by_id

    @cached_property
    def embeddings(self) -> Registry:
        """The same registry with embedding models and chat models exchanged."""
        providers = {
            provider_id: msgspec.structs.replace(row, models=row.embeddings, embeddings=row.models)
            for provider_id, row in self.providers.items()
        }
        document = msgspec.structs.replace(self.document, providers=providers)
        return Registry(document, self.origin, self.raw, other_kind=_IS_CHAT_MODEL)

    def target(self, name: str, *, local: bool = False) -> Target:
        """Return what a model name asks for.

        The first rule that applies decides:

        1. a canonical name or an alias;
        2. `provider/model` or `provider:model`, where that provider lists the model;
        3. a provider's own id, which also selects that id's snapshot and tier;
        4. a name followed by `@snapshot`, `:tier` or both;
        5. the text rules of `inference_providers.model_names`.

        A name that is in no registry passes only if it is pinned to a provider with
        `accepts_unlisted_models`, or with `local`, since a server on this machine may know it.

        Raises:
            UnknownModelError: No provider lists the name, or it is retired. The message
                suggests similar names, or the snapshots and tiers there are.
        """
        return self._resolve(name, local=local)

    def derived(self, function: Callable[..., T], *arguments: Hashable) -> T:
        """Return `function(registry, *arguments)`, for everyone who shares this registry.

        The results of the last `_CACHED_RESULTS` calls are kept.
        """
        result: T = self._derive(function, *arguments)
        return result

    def entries(self, provider_id: str, model: str) -> tuple[Model, ...]:
        """Return what `provider_id` lists under a canonical name, the default entry first."""
        provider = self.providers.get(provider_id)
        listing = provider.models.get(model) if provider else None
        return () if listing is None else tuple(sorted(entries_in(listing), key=preference))

    def entries_for(self, provider_id: str, target: Target) -> tuple[Model, ...]:
        """Return the entries of `provider_id` that `target` asks for, the default first."""
        return tuple(filter(target.matches, self.entries(provider_id, target.model)))

    def has_entry_for(self, target: Target) -> bool:
        """Whether any provider that `target` allows has an entry it asks for."""
        provider_ids = self.providers_listing(target.model, target.provider)
        return any(self.entries_for(provider_id, target) for provider_id in provider_ids)

    def providers_listing(self, model: str, only: str | None = None) -> tuple[str, ...]:
        """Return the ids of the providers that list a model; with `only`, at most that one."""
        return tuple(p for p in self.models.get(model, ()) if only in {None, p})

    def listed_model(self, name: str) -> str | None:
        """Return the model that a name or alias in lower case refers to, if it is listed."""
        name = self.alias_target(name) or name
        return name if name in self.models else self._models_by_lower_case.get(name.lower())

    def alias_target(self, alias: str) -> str | None:
        """Return what an alias in lower case refers to, whether or not that is listed."""
        return self.document.aliases.get(alias) or self._aliases_by_lower_case.get(alias)

    def canonical_name_of(self, model_id: str, provider_id: str) -> str:
        """Return the canonical name of a provider's own id, whether or not it is listed."""
        if match := self.by_model_id.get(model_id.lower()):
            return match[0]
        name = canonical_name(model_id, provider_id)
        return self.document.aliases.get(name, name)

    def check_providers(self, provider_ids: Iterable[str], argument: str) -> None:
        """Refuse provider ids that the registry does not have.

        Raises:
            ConfigError: An id is unknown or retired; the message names `argument`.
        """
        for provider_id in provider_ids:
            if provider_id in self.providers:
                continue
            message = closed_provider_message(self, provider_id)
            if message is None:
                hint = did_you_mean(provider_id, self.providers) or "; see `autoprovider providers`"
                message = f"{provider_id!r} is not a provider{hint}"
            msg = f"{argument}: {message}"
            raise ConfigError(msg)

    @cached_property
    def _models_by_lower_case(self) -> Mapping[str, str]:
        """Models whose names a file writes with capitals."""
        return {lower: name for name in self.models if (lower := name.lower()) != name}

    @cached_property
    def _aliases_by_lower_case(self) -> Mapping[str, str]:
        """Targets of the aliases that a file writes with capitals."""
        aliases = self.document.aliases
        return {lower: aliases[name] for name in aliases if (lower := name.lower()) != name}


def _apply(registry: Registry, function: Callable[..., T], *arguments: Hashable) -> T:
    return function(registry, *arguments)


def _decoded_registry(raw: bytes, origin: str) -> Registry:
    document, raw = loader.decode_document(raw, origin)
    return Registry(document, origin, raw)


def _with_permitted_variables(registry: Registry, base: Registry | None = None) -> Registry:
    """Return `registry` if it reads no variable that is off limits and its names can be typed.

    Variables that `base`, or the bundled registry, already reads for the same provider
    are permitted.

    Raises:
        RegistryError: It reads another service's variable, or a name cannot be typed.
    """
    for path, complaint in validation.name_complaints(registry.providers):
        loader.refuse(path, complaint, registry.origin)
    if any(validation.variable_complaints(registry.providers, {})):
        permitted = validation.declared_variables((base or _bundled()).providers)
        for path, complaint in validation.variable_complaints(registry.providers, permitted):
            loader.refuse(path, complaint, registry.origin)
    return registry


@lru_cache(maxsize=_CACHED_REGISTRIES)
def _loaded(raw: bytes, origin: str) -> Registry:
    loader.require_strict_json(raw, origin)
    return _with_permitted_variables(_decoded_registry(raw, origin))


@lru_cache(maxsize=_CACHED_REGISTRIES)
def _merged(base: Registry, patch: bytes, origin: str) -> Registry:
    loader.require_strict_json(patch, origin)
    merged = _decoded_registry(loader.merge_patch(base.raw, patch, origin), origin)
    return _with_permitted_variables(merged, base)


@lru_cache(maxsize=_CACHED_REGISTRIES)
def _unpickled(raw: bytes, origin: str) -> Registry:
    return _decoded_registry(raw, origin)


@lru_cache(maxsize=1)
def _bundled() -> Registry:
    """Load the registry of this distribution.

    A wheel has it inside the package; a checkout (editable install) has it at its root.
    """
    here = Path(__file__).resolve()
    candidates = (here.parents[1] / "providers.json", here.parents[3] / "providers.json")
    path = next((path for path in candidates if path.is_file()), candidates[0])
    try:
        return _decoded_registry(path.read_bytes(), str(path))
    except OSError as error:
        msg = f"{path}: cannot be read: {error.strerror or error}"
        raise RegistryError(msg) from error


def _renew_lock() -> None:
    """Replace the lock, in a forked child: a thread that does not exist there may hold it."""
    global _lock  # noqa: PLW0603 - a lock cannot be released by another thread
    _lock = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_lock)
