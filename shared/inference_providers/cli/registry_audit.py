"""Compares the registry with what providers themselves list.

Each provider is asked for its models with its own key, which goes to the host it is
bound to and nowhere else: no redirect is followed, and size and time are bounded.
"""

from __future__ import annotations

import re
from multiprocessing.pool import ThreadPool
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

import msgspec

from inference_providers.errors import ConfigError, FetchError
from inference_providers.model_names.canonical import parse_model_id
from inference_providers.routing.backend import find_backend
from inference_providers.routing.resolver import Resolver
from inference_providers.types import Model, Route, Selection
from inference_providers.updates import https_get

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from inference_providers.credentials import Key, Keys
    from inference_providers.registry.registry import Registry
    from inference_providers.routing.backend import ModelListing
    from inference_providers.types import Endpoint, Provider

__all__ = ["Finding", "compared", "mending", "verify"]

MAX_BYTES = 8 << 20
DEADLINE_S = 15.0
AT_ONCE = 8
USUAL_PATH = "/models"

_OTHER_KINDS = re.compile(
    r"embed|rerank|moderation|guard|whisper|transcri|speech|audio|\btts\b|-tts|voice|dall-?e|image"
    r"|imagen|flux|stable-diffusion|sdxl|veo|sora|video|music|lyria|ocr|\bclip\b|realtime|translate",
    re.IGNORECASE,
)
"""Words in ids of models that do not chat; lists seldom say of what kind a model is."""
_GOES_ON = ("has_more", "next_page_token", "nextPageToken", "next")
"""What tells that a list is only a page of one; the rest would count as gone."""
_CHAT_TYPES = frozenset({"chat", "language", "text-generation", "text", "llm", "model"})


class Finding(NamedTuple):
    """What one provider lists, beside what the registry says of it.

    Attributes:
        provider: Its id.
        gone: Own ids the registry has and the provider does not list, by canonical name.
        new: Own ids the provider lists and the registry has not, by canonical name.
        fault: Why it could not be asked; the others are then empty.
        endpoint: Where new ids are reached.
        untold: Endpoints whose models stand in another list, which was not asked for.
    """

    provider: str
    gone: Mapping[str, tuple[str, ...]] = {}
    new: Mapping[str, tuple[str, ...]] = {}
    fault: str | None = None
    endpoint: str = "default"
    untold: tuple[str, ...] = ()


def verify(registry: Registry, keys: Keys, provider_id: str | None = None) -> list[Finding]:
    """Ask `provider_id`, or every provider whose key is at hand, for its models.

    Raises:
        ConfigError: There is no such provider, or it cannot be opened here; says what to set.
    """
    if provider_id is not None:
        registry.check_providers([provider_id], "PROVIDER")
        _, reason = keys.variable(provider_id, registry.providers[provider_id])
        if reason:
            msg = f"{provider_id}: {reason}"
            raise ConfigError(msg)
        wanted = [provider_id]
    else:
        wanted = [p for p, row in registry.providers.items() if _is_asked(p, row, keys)]
    with ThreadPool(AT_ONCE) as pool:  # whose threads keep no interrupted process alive
        return pool.map(lambda p: _asked(p, registry, keys), wanted, chunksize=1)


def compared(
    provider_id: str, registry: Registry, listed: Iterable[str], asked: str = "default"
) -> Finding:
    """Compare what the registry has of a provider with the ids that its endpoint `asked` lists."""
    row = registry.providers[provider_id]
    told = _told_by(asked, row)
    ids = {_bare(model_id): model_id for model_id in listed}
    vectors = registry.embeddings
    known = {
        _bare(entry.id) for model in row.embeddings for entry in vectors.entries(provider_id, model)
    }
    gone: dict[str, tuple[str, ...]] = {}
    used: set[str] = set()
    for model in sorted(row.models):
        entries = registry.entries(provider_id, model)
        used.update(entry.endpoint for entry in entries)
        known.update(_bare(entry.id) for entry in entries)
        here = (entry.id for entry in entries if entry.endpoint in told)
        if lost := tuple(model_id for model_id in here if _bare(model_id) not in ids):
            gone[model] = lost
    new: dict[str, tuple[str, ...]] = {}
    for bare, model_id in sorted(ids.items()):
        if bare not in known and not _OTHER_KINDS.search(model_id):
            model = registry.canonical_name_of(model_id, provider_id)
            if model in vectors.models:
                continue
            new[model] = (*new.get(model, ()), model_id)
    reached = "default" if "default" in told else asked
    return Finding(provider_id, gone, new, None, reached, tuple(sorted(used - told)))


def mending(findings: Iterable[Finding], registry: Registry) -> dict[str, Any]:
    """Return a registry file that, laid over the registry, makes it agree."""
    providers: dict[str, Any] = {}
    for finding in findings:
        models: dict[str, Any] = {}
        for model in {**finding.gone, **finding.new}:
            entries = [
                _stated(entry)
                for entry in registry.entries(finding.provider, model)
                if entry.id not in finding.gone.get(model, ())
            ]
            entries += [_read(model_id, finding) for model_id in finding.new.get(model, ())]
            models[model] = entries or None  # null takes it out
        if models:
            providers[finding.provider] = {"models": models}
    return {"providers": providers}


def _stated(entry: Model) -> dict[str, Any]:
    made: dict[str, Any] = msgspec.to_builtins(entry)
    return {name: value for name, value in made.items() if value is not None}


def _read(model_id: str, finding: Finding) -> dict[str, Any]:
    """Return an entry of what an own id says; what a list leaves out stays unknown."""
    said = parse_model_id(model_id, finding.provider)._replace(name="")._asdict()
    at = {} if finding.endpoint == "default" else {"endpoint": finding.endpoint}
    told = {name: value for name, value in said.items() if value}
    return {"id": model_id, "input": [], **told, **at}


def _is_asked(provider_id: str, row: Provider, keys: Keys) -> bool:
    variable, reason = keys.variable(provider_id, row)
    is_wanted = not (row.auth.opt_in or row.variant_of)
    return variable is not None and reason is None and is_wanted and _endpoint(row) is not None


def _endpoint(row: Provider) -> tuple[str, Endpoint] | None:
    for name, endpoint in row.endpoints.items():
        if endpoint.models_path and find_backend().model_listing(endpoint.protocol):
            return name, endpoint
    return None


def _told_by(asked: str, row: Provider) -> set[str]:
    """Return the endpoints whose models the list of one of them holds."""
    host = urlsplit(row.endpoints[asked].base_url).netloc
    return {
        name
        for name, endpoint in row.endpoints.items()
        if not endpoint.models_path or urlsplit(endpoint.base_url).netloc == host
    }


def _asked(provider_id: str, registry: Registry, keys: Keys) -> Finding:
    row = registry.providers[provider_id]
    found = _endpoint(row)
    if found is None:
        protocols = ", ".join(repr(endpoint.protocol) for endpoint in row.endpoints.values())
        return Finding(provider_id, fault=f"its list cannot be asked for over {protocols}")
    name, endpoint = found
    facts = Model(id="", endpoint=name)
    route = Route(model="", provider=provider_id, model_id="", endpoint=endpoint, model_info=facts)
    try:
        access = Resolver(Selection(), registry, keys, lambda _: {}).access(route)
        listing = find_backend().model_listing(endpoint.protocol)
        assert listing is not None  # `_endpoint` returns no other
        names_its_path = listing.path is None or endpoint.models_path != USUAL_PATH
        path = endpoint.models_path if names_its_path else listing.path
        listed = _listed(f"{access.base_url.rstrip('/')}{path}", listing, access.key)
    except (ConfigError, FetchError) as error:
        return Finding(provider_id, fault=str(error))
    return compared(provider_id, registry, listed, name)


def _listed(url: str, listing: ModelListing, key: Key | None) -> list[str]:
    headers = listing.headers_for(key.value_for(url)) if key else {}
    answer = https_get.get(url, headers=headers, max_bytes=MAX_BYTES, deadline_s=DEADLINE_S)
    if answer.status != 200:  # noqa: PLR2004 - OK
        refused = answer.status in {401, 403} and key is not None
        check = f"; check {key.variable}" if key and refused else ""
        msg = f"{url} answers HTTP {answer.status}{check}"
        raise FetchError(msg)
    try:
        found = msgspec.json.decode(answer.body)
    except (msgspec.DecodeError, RecursionError):
        found = None
    if isinstance(found, dict) and any(found.get(name) for name in _GOES_ON):
        msg = f"{url} answers with a part of its models only"
        raise FetchError(msg)
    rows = found.get("data", found.get("models")) if isinstance(found, dict) else found
    if not isinstance(rows, list) or not rows:
        msg = f"{url} does not answer with a list of models"
        raise FetchError(msg)
    return [model_id for row in rows if (model_id := _chat_id(row))]


def _chat_id(row: Any) -> str | None:
    if not isinstance(row, dict):
        return None
    kind = row.get("type")
    if isinstance(kind, str) and kind.lower() not in _CHAT_TYPES:
        return None
    for field, chats in (("supportedGenerationMethods", "generateContent"), ("endpoints", "chat")):
        does = row.get(field)  # as Gemini and Cohere tell what a model is for
        if isinstance(does, list) and not any(chats in str(word) for word in does):
            return None
    model_id = row.get("id", row.get("name"))
    plain = isinstance(model_id, str) and model_id.isprintable() and 0 < len(model_id) <= 200  # noqa: PLR2004 - longer ones are no ids
    return str(model_id).removeprefix("models/") if plain else None


def _bare(model_id: str) -> str:
    """Fold what lists and calls write differently: Google lists `models/x` and takes `x`."""
    return model_id.lower().removeprefix("models/")
