"""The registry: which provider serves which model, where, under which name.

`Registry.load(source)` replaces the bundled registry, `merged(source)` lays a
sparse document over it (JSON Merge Patch, RFC 7396: `null` removes).
"""

from __future__ import annotations

import re
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from inference_providers import registry_file, registry_rules
from inference_providers.errors import ConfigError, RegistryError, UnknownModelError
from inference_providers.names import canonical_name, did_you_mean, parse_model_id
from inference_providers.routes import Listing, Model, Provider

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from inference_providers.registry_file import Document, RegistrySource, RetiredModel

__all__ = ["Registry", "Target"]


_FACETS = re.compile(r"(?P<base>.+?)(?:@(?P<snapshot>[^@:/]+))?(?::(?P<tier>[^@:/]+))?")
"""`model@snapshot:tier`, either of which may be left out."""
_SIZE_TAG = re.compile(r"latest|(?:\d+x)?\d+(?:\.\d+)?[bm](?:-.*)?")
"""What Ollama writes behind a colon; it belongs to the name."""


class Target(NamedTuple):
    """What a name means: a model, and what was said beyond its name.

    Attributes:
        model: The canonical name.
        provider: The provider it is pinned to.
        snapshot: The dated version that is wanted, however its date is written.
        tier: The price or speed class that is wanted.
        id: The provider's own id that is wanted; only with `provider`.
    """

    model: str
    provider: str | None = None
    snapshot: str | None = None
    tier: str | None = None
    id: str | None = None

    def takes(self, entry: Model) -> bool:
        """Say whether an entry of the model is what the name asks for."""
        return (
            (self.id is None or self.id == entry.id)
            and (self.snapshot is None or _same(self.snapshot, entry.snapshot))
            and (self.tier is None or _same(self.tier, entry.tier))
        )


class Registry:
    """A loaded registry with its indexes. Immutable; the same file gives the same one."""

    def __init__(self, document: Document, origin: str, raw: bytes) -> None:
        self.document = document
        self.origin = origin
        self._raw = raw

    def __repr__(self) -> str:
        return f"Registry({self.origin!r}, {len(self.providers)} providers)"

    def __reduce__(self) -> tuple[Any, ...]:
        return _decoded, (self._raw, self.origin)

    @classmethod
    def load(cls, source: RegistrySource | None = None) -> Registry:
        """Read a registry: the bundled one, or `source` in its place.

        Raises:
            RegistryError: The file cannot be read, is not JSON, or breaks the schema.
        """
        return _bundled() if source is None else _permitted(_decoded(*registry_file.read(source)))

    @classmethod
    def made_of(cls, document: Document, origin: str) -> Registry:
        """Return the registry of a document that was checked before."""
        return cls(document, origin, msgspec.json.encode(document))

    def merged(self, source: RegistrySource) -> Registry:
        """Return this registry with `source` laid over it.

        Raises:
            RegistryError: As for `load`; paths in the message are those of `source`.
        """
        return _merged(self, *registry_file.read(source))

    def as_dict(self) -> dict[str, Any]:
        """Return the registry as `load` takes it, as a value of its own."""
        made: dict[str, Any] = msgspec.json.decode(self._raw)
        return made

    @property
    def providers(self) -> Mapping[str, Provider]:
        """Providers by id, in order of preference."""
        return self.document.providers

    @cached_property
    def models(self) -> Mapping[str, tuple[str, ...]]:
        """Canonical names, sorted, each with the ids of the providers that list it."""
        listed: dict[str, list[str]] = {}
        for provider_id, provider in self.providers.items():
            for model in provider.models:
                listed.setdefault(model, []).append(provider_id)
        return {model: tuple(listed[model]) for model in sorted(listed)}

    @cached_property
    def protocols(self) -> frozenset[str]:
        """The protocols of all endpoints."""
        rows = self.providers.values()
        return frozenset(endpoint.protocol for row in rows for endpoint in row.endpoints.values())

    @cached_property
    def embeddings(self) -> Registry:
        """This registry with each provider's embedding models in place of its chat models."""
        providers = {
            provider_id: msgspec.structs.replace(provider, models=provider.embeddings)
            for provider_id, provider in self.providers.items()
        }
        document = msgspec.structs.replace(self.document, providers=providers)
        return Registry(document, self.origin, self._raw)

    def entries(self, provider_id: str, model: str) -> tuple[Model, ...]:
        """Return what `provider_id` lists under a canonical name, default first.

        The default is of no tier, undated before dated, then the newest.
        """
        provider = self.providers.get(provider_id)
        listed = provider.models.get(model) if provider else None
        return () if listed is None else tuple(sorted(_each(listed), key=_default_first))

    def offered(self, provider_id: str, target: Target) -> tuple[Model, ...]:
        """Return the entries of `provider_id` that `target` asks for, default first."""
        return tuple(filter(target.takes, self.entries(provider_id, target.model)))

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
        wanted = name.strip()
        folded = wanted.lower()
        if model := self._known(folded):
            return Target(model)
        provider_id, rest = self._split(wanted)
        try:
            if provider_id and (pinned := self._pinned(provider_id, rest)):
                return pinned
        except UnknownModelError:
            if folded not in self._own_ids:  # a maker's name in one of those reads like a pin
                raise
        if own := self._own_ids.get(folded):
            model, entry = own
            return Target(model, snapshot=entry.snapshot, tier=entry.tier)
        if not provider_id and (meant := self._spelled(wanted, local=local)):
            return meant
        if local and wanted:
            return Target(wanted)
        raise UnknownModelError(self._unknown(wanted, provider_id, rest))

    def named(self, model_id: str, provider_id: str) -> str:
        """Return the canonical name of an own id, whether the registry lists it or not."""
        if own := self._own_ids.get(model_id.lower()):
            return own[0]
        name = canonical_name(model_id, provider_id)
        return self.document.aliases.get(name, name)

    def check_providers(self, provider_ids: Iterable[str], argument: str) -> None:
        """Raise `ConfigError` for an id that is unknown or retired, naming `argument`."""
        for provider_id in provider_ids:
            if provider_id in self.providers:
                continue
            hint = self._retired_provider(provider_id) or (
                f"{provider_id!r} is not a provider"
                f"{did_you_mean(provider_id, self.providers) or '; see `autoprovider providers`'}"
            )
            msg = f"{argument}: {hint}"
            raise ConfigError(msg)

    @cached_property
    def _own_ids(self) -> Mapping[str, tuple[str, Model]]:
        return {
            entry.id.lower(): (model, entry)
            for provider in reversed([*self.providers.values()])
            for model, listed in reversed([*provider.models.items()])
            for entry in _each(listed)
        }

    @cached_property
    def _capitals(self) -> tuple[Mapping[str, str], Mapping[str, str]]:
        """Models, and what aliases lead to, by names in lower case that a file writes otherwise."""
        aliases = self.document.aliases
        return (
            {folded: name for name in self.models if (folded := name.lower()) != name},
            {folded: aliases[name] for name in aliases if (folded := name.lower()) != name},
        )

    def _led(self, name: str) -> str | None:
        return self.document.aliases.get(name) or self._capitals[1].get(name)

    def _known(self, name: str) -> str | None:
        name = self._led(name) or name
        return name if name in self.models else self._capitals[0].get(name.lower())

    def _split(self, name: str) -> tuple[str | None, str]:
        """Split `provider/model` and `provider:model`, where that is a provider's id."""
        parts = re.split("[:/]", name, maxsplit=1)
        prefix = parts[0].lower()
        known = prefix in self.providers or prefix in self.document.retired_providers
        return (prefix, parts[1]) if known and parts[1:] and parts[1] else (None, name)

    def _pinned(self, provider_id: str, rest: str) -> Target | None:
        provider = self.providers.get(provider_id)
        if provider is None:
            return None
        folded = rest.lower()
        if (model := self._known(folded)) in provider.models:
            return Target(model or "", provider_id)
        for model in provider.models:
            for entry in self.entries(provider_id, model):
                if entry.id.lower() == folded:
                    return Target(model, provider_id, entry.snapshot, entry.tier, entry.id)
        if (own := self._own_ids.get(folded)) and own[0] in provider.models:
            return self._had(Target(own[0], provider_id, own[1].snapshot, own[1].tier))
        passes = provider.free_names or provider.kind in {"local", "embedded"}
        if meant := self._spelled(rest, provider_id, local=passes):
            return meant
        return Target(rest, provider_id) if passes else None

    def _spelled(
        self, name: str, provider_id: str | None = None, *, local: bool = False
    ) -> Target | None:
        """Read `model@snapshot:tier` and other spellings of a model's name.

        Raises:
            UnknownModelError: The model is known, and its snapshot or tier is not.
        """
        match = _FACETS.fullmatch(name)
        said = (match["base"], match["snapshot"], match["tier"]) if match else (name, None, None)
        base, snapshot, tier = said
        if tier and _SIZE_TAG.fullmatch(tier.lower()):
            base, tier = f"{base}:{tier}", None
        own = self._own_ids.get(base.lower())
        named = self._known(base.lower()) or self._known(canonical_name(base))
        model = named or (own[0] if own else None)
        if model and (snapshot or tier) and self._lists(model, provider_id):
            meant = Target(model, provider_id, snapshot, tier)
            release = self._known(canonical_name(f"{model}-{snapshot}")) if snapshot else None
            if release and release != model and not self._has(meant):
                meant = Target(release, provider_id, tier=tier)  # a model of its own, such as 0905
            if local and not self._has(meant):
                return None  # a server on this machine may know it
            return self._had(meant)
        read = parse_model_id(name)
        known = self._known(read.name)
        retired = name.lower() in self.document.retired_models
        if not known or retired or not self._lists(known, provider_id):
            return None
        meant = Target(known, provider_id, read.snapshot, read.tier)
        return Target(known, provider_id) if local else self._had(meant)

    def _has(self, meant: Target) -> bool:
        listing = self._listing(meant.model, meant.provider)
        return any(self.offered(provider_id, meant) for provider_id in listing)

    def _had(self, meant: Target) -> Target:
        if not self._has(meant):
            raise UnknownModelError(self._no_such(meant))
        return meant

    def _listing(self, model: str, provider_id: str | None) -> tuple[str, ...]:
        listing = self.models.get(model, ())
        return tuple(p for p in listing if provider_id in {None, p})

    def _lists(self, model: str, provider_id: str | None) -> bool:
        return bool(self._listing(model, provider_id))

    def _no_such(self, meant: Target) -> str:
        """Say that a model has no such snapshot or tier, and which ones it has."""
        listing = self._listing(meant.model, meant.provider)
        entries = [entry for p in listing for entry in self.entries(p, meant.model)]
        snapshots = sorted({entry.snapshot for entry in entries if entry.snapshot})
        tiers = sorted({entry.tier for entry in entries if entry.tier})
        asked = f"@{meant.snapshot}" if meant.snapshot else ""
        asked += f":{meant.tier}" if meant.tier else ""
        by = f" at {meant.provider!r}" if meant.provider else ""
        there = [f"@{name}" for name in snapshots] + [f":{name}" for name in tiers]
        return (
            f"Model {meant.model!r} has no {asked!r}{by}; there is "
            f"{', '.join(map(repr, there)) if there else 'no snapshot and no tier of it'}"
        )

    def _unknown(self, name: str, provider_id: str | None, rest: str) -> str:
        for spelling in (name.lower(), rest.lower(), canonical_name(rest)):
            meant = self.document.aliases.get(spelling, spelling)
            if retired := self.document.retired_models.get(meant):
                return _retired_message(meant, retired)
        for spelling in (name.lower(), rest.lower()):
            if leads := self._led(spelling):
                near = did_you_mean(leads, self.models)
                return f"{spelling!r} is an alias of {leads!r}, which is no model listed here{near}"
        if provider_id and (closed := self._retired_provider(provider_id)):
            return closed
        if provider_id:
            model = self._known(rest.lower()) or self._known(canonical_name(rest))
            listed = self.providers[provider_id].models
            near = did_you_mean(rest, listed) or "; see `autoprovider models`"
            by = f"; it is served by {', '.join(self.models[model])}" if model else near
            return f"{provider_id!r} does not list {rest!r}{by}"
        near = did_you_mean(name, (*self.models, *self.document.aliases))
        return f"Unknown model {name!r}{near or '; see `autoprovider models`'}"

    def _retired_provider(self, provider_id: str) -> str | None:
        retired = self.document.retired_providers.get(provider_id)
        if retired is None:
            return None
        since = f" since {retired.since}" if retired.since else ""
        return f"Provider {retired.name or provider_id!r} is closed{since}: {retired.note}"


def _same(wanted: str, stated: str | None) -> bool:
    """Compare snapshots or tiers; a date may be written with or without its hyphens."""
    return stated is not None and _bare(wanted) == _bare(stated)


def _bare(text: str) -> str:
    return re.sub(r"[-_.]", "", text.lower())


def _each(listed: Listing) -> tuple[Model, ...]:
    if isinstance(listed, Model):  # most are alone
        return (listed,)
    each = (listed,) if isinstance(listed, str) else listed
    return tuple([Model(id=e, input=()) if isinstance(e, str) else e for e in each])


def _default_first(entry: Model) -> tuple[bool, bool, int]:
    newest_first = -(entry.released.toordinal() if entry.released else 0)
    return entry.tier is not None, entry.snapshot is not None, newest_first


def _retired_message(model: str, retired: RetiredModel) -> str:
    since = f" since {retired.since}" if retired.since else ""
    use = f"; use {' or '.join(map(repr, retired.replaced_by))}" if retired.replaced_by else ""
    note = f" ({retired.note.rstrip('.')})" if retired.note else ""
    return f"Model {model!r} is retired{since}{use}{note}"


def _decoded(raw: bytes, origin: str) -> Registry:
    document, raw = registry_file.decode(raw, origin)
    return Registry(document, origin, raw)


def _permitted(registry: Registry, beneath: Registry | None = None) -> Registry:
    """Return `registry`, which reads no variable that it may not.

    Raises:
        RegistryError: It reads one that the registry `beneath` does not.
    """
    if any(registry_rules.variable_complaints(registry.providers, {})):
        permitted = registry_rules.declared((beneath or _bundled()).providers)
        for wrong in registry_rules.variable_complaints(registry.providers, permitted):
            registry_file.refuse(*wrong, registry.origin)
    return registry


@lru_cache(maxsize=16)
def _merged(beneath: Registry, patch: bytes, origin: str) -> Registry:
    merged = _decoded(registry_file.merge(beneath._raw, patch, origin), origin)  # noqa: SLF001 - its own class's function
    return _permitted(merged, beneath)


@lru_cache(maxsize=1)
def _bundled() -> Registry:
    """Load the registry of this distribution.

    In a wheel it lies beside this file; in a checkout (editable install) at the root.
    """
    here = Path(__file__).resolve()
    places = (here.with_name("providers.json"), here.parents[2] / "providers.json")
    path = next((place for place in places if place.is_file()), places[0])
    try:
        return _decoded(path.read_bytes(), str(path))
    except OSError as error:
        msg = f"{path}: cannot be read: {error.strerror or error}"
        raise RegistryError(msg) from error
