"""What `verify` does: compares the registry with the models that providers themselves list."""

from __future__ import annotations

import re
from multiprocessing.pool import ThreadPool
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import msgspec

from inference_providers.cli import model_lists
from inference_providers.errors import ConfigError, FetchError
from inference_providers.model_names.canonical import parse_model_id
from inference_providers.routing.resolver import Resolver
from inference_providers.types import Model, Route, Selection

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from inference_providers.credentials import Keys
    from inference_providers.registry.registry import Registry
    from inference_providers.types import Provider

__all__ = ["Finding", "compare", "corrections", "verify"]

CONCURRENT_REQUESTS = 8

_OTHER_KINDS = re.compile(
    r"embed|rerank|moderation|guard|whisper|transcri|speech|audio|\btts\b|-tts|voice|dall-?e|image"
    r"|imagen|flux|stable-diffusion|sdxl|veo|sora|video|music|lyria|ocr|\bclip\b|realtime|translate",
    re.IGNORECASE,
)
"""Words in ids of models that do not chat; few lists say what kind a model is."""


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """How one provider's list differs from the registry.

    Attributes:
        provider: The provider's id.
        gone: Model ids that the registry has and the provider does not list, by canonical name.
        new: Model ids that the provider lists and the registry lacks, by canonical name.
        error: Why the list could not be fetched; the other fields are then empty.
        endpoint: The endpoint that serves new models.
        unlisted_endpoints: Endpoints whose models are in another list, which was not fetched.
    """

    provider: str
    gone: Mapping[str, tuple[str, ...]] = {}
    new: Mapping[str, tuple[str, ...]] = {}
    error: str | None = None
    endpoint: str = "default"
    unlisted_endpoints: tuple[str, ...] = ()


def verify(registry: Registry, keys: Keys, provider_id: str | None = None) -> list[Finding]:
    """Fetch the model list of `provider_id`, or of every provider whose key is set, and compare.

    Raises:
        ConfigError: `provider_id` is unknown, or its key is not set; says what to set.
    """
    if provider_id is None:
        selected = [
            id_
            for id_, row in registry.providers.items()
            if _is_verified_by_default(id_, row, keys)
        ]
    else:
        registry.check_providers([provider_id], "PROVIDER")
        _, reason = keys.variable(provider_id, registry.providers[provider_id])
        if reason:
            msg = f"{provider_id}: {reason}"
            raise ConfigError(msg)
        selected = [provider_id]
    # A ThreadPool, since its threads do not keep an interrupted process alive.
    with ThreadPool(CONCURRENT_REQUESTS) as pool:
        return pool.map(lambda id_: _verify_provider(id_, registry, keys), selected, chunksize=1)


def compare(
    provider_id: str, registry: Registry, listed: Iterable[str], endpoint: str = "default"
) -> Finding:
    """Compare a provider's models in the registry with the ids that its `endpoint` lists."""
    provider = registry.providers[provider_id]
    covered = _endpoints_in_list(endpoint, provider)
    listed_ids = {_normalize_id(model_id): model_id for model_id in listed}
    registered = _embedding_ids(provider_id, registry)
    used_endpoints: set[str] = set()
    gone: dict[str, tuple[str, ...]] = {}
    for model in sorted(provider.models):
        entries = registry.entries(provider_id, model)
        used_endpoints.update(entry.endpoint for entry in entries)
        registered.update(_normalize_id(entry.id) for entry in entries)
        missing = tuple(
            entry.id
            for entry in entries
            if entry.endpoint in covered and _normalize_id(entry.id) not in listed_ids
        )
        if missing:
            gone[model] = missing
    new: dict[str, tuple[str, ...]] = {}
    for normalized, model_id in sorted(listed_ids.items()):
        if normalized in registered or _OTHER_KINDS.search(model_id):
            continue
        model = registry.canonical_name_of(model_id, provider_id)
        if model not in registry.embeddings.models:
            new[model] = (*new.get(model, ()), model_id)
    return Finding(
        provider=provider_id,
        gone=gone,
        new=new,
        endpoint="default" if "default" in covered else endpoint,
        unlisted_endpoints=tuple(sorted(used_endpoints - covered)),
    )


def corrections(findings: Iterable[Finding], registry: Registry) -> dict[str, Any]:
    """Return an overlay file that makes the registry agree with the lists."""
    providers: dict[str, Any] = {}
    for finding in findings:
        models: dict[str, Any] = {}
        for model in {**finding.gone, **finding.new}:
            entries = [
                _entry_fields(entry)
                for entry in registry.entries(finding.provider, model)
                if entry.id not in finding.gone.get(model, ())
            ]
            entries += [_new_entry(model_id, finding) for model_id in finding.new.get(model, ())]
            models[model] = entries or None  # null removes the model
        if models:
            providers[finding.provider] = {"models": models}
    return {"providers": providers}


def _entry_fields(entry: Model) -> dict[str, Any]:
    fields: dict[str, Any] = msgspec.to_builtins(entry)
    return {name: value for name, value in fields.items() if value is not None}


def _new_entry(model_id: str, finding: Finding) -> dict[str, Any]:
    """Return an entry with what the id itself says; anything else stays unknown."""
    parsed = parse_model_id(model_id, finding.provider)._replace(name="")._asdict()
    fields = {name: value for name, value in parsed.items() if value}
    endpoint = {} if finding.endpoint == "default" else {"endpoint": finding.endpoint}
    return {"id": model_id, "input": [], **fields, **endpoint}


def _is_verified_by_default(provider_id: str, provider: Provider, keys: Keys) -> bool:
    """Whether a provider is verified without being named."""
    if provider.auth.opt_in or provider.variant_of:
        return False
    variable, reason = keys.variable(provider_id, provider)
    is_ready = variable is not None and reason is None
    return is_ready and model_lists.listing_endpoint(provider) is not None


def _endpoints_in_list(endpoint: str, provider: Provider) -> set[str]:
    """Return the endpoints whose models are in the list of `endpoint`."""
    host = urlsplit(provider.endpoints[endpoint].base_url).netloc
    return {
        name
        for name, other in provider.endpoints.items()
        if not other.models_path or urlsplit(other.base_url).netloc == host
    }


def _embedding_ids(provider_id: str, registry: Registry) -> set[str]:
    embeddings = registry.embeddings
    return {
        _normalize_id(entry.id)
        for model in registry.providers[provider_id].embeddings
        for entry in embeddings.entries(provider_id, model)
    }


def _verify_provider(provider_id: str, registry: Registry, keys: Keys) -> Finding:
    provider = registry.providers[provider_id]
    match = model_lists.listing_endpoint(provider)
    if match is None:
        protocols = ", ".join(repr(endpoint.protocol) for endpoint in provider.endpoints.values())
        error = f"its models cannot be listed over {protocols}"
        return Finding(provider=provider_id, error=error)
    name, endpoint, listing = match
    route = Route(
        model="",
        provider=provider_id,
        model_id="",
        endpoint=endpoint,
        model_info=Model(id="", endpoint=name),
    )
    try:
        access = Resolver(Selection(), registry, keys, lambda _: {}).access(route)
        listed = model_lists.fetch_model_ids(access, endpoint, listing)
    except (ConfigError, FetchError) as error:
        return Finding(provider=provider_id, error=str(error))
    return compare(provider_id, registry, listed, name)


def _normalize_id(model_id: str) -> str:
    """Return an id as it is compared: Google lists `models/x` and accepts `x`."""
    return model_id.lower().removeprefix("models/")
