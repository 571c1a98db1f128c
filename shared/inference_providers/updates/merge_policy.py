"""What a downloaded registry may change: models and facts about them, never where a key goes.

`apply_download(trusted, downloaded)` builds its result instead of filtering the download:
it is the trusted document, with only these parts taken from the downloaded one.

* For a provider that both know: `models` and `embeddings`. Its URLs, protocols, key
  variables, quirks and everything else are unchanged; a model may name one of its endpoints.
* Providers on this machine are unchanged: their model ids are names of files.
* `aliases`, `retired_models`, `auto_model_priority`: names only. None of them pins a
  provider or hides a model, including the user's own.
* A provider that only the download knows is left out, unless the user has allowed it for
  one host. Then it is reached at that host only, with the key in `ITS_NAME_API_KEY` only.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import msgspec

from inference_providers.credentials import is_loopback
from inference_providers.errors import ConfigError
from inference_providers.registry import validation
from inference_providers.registry.entries import entries_in
from inference_providers.types import ON_THIS_MACHINE, Auth, Listing, Model, Provider, Quirks

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from collections.abc import Set as AbstractSet

    from inference_providers.registry.loader import Document, RetiredModel
    from inference_providers.types import Endpoint

__all__ = [
    "allowed_hosts",
    "apply_download",
    "chat_model_names",
    "key_variable",
    "new_providers",
]

_NAME = re.compile(r"[a-z0-9][a-z0-9._+-]{0,150}")
_MODEL_ID = re.compile(r"(?!.*\.\.)[A-Za-z0-9@~][A-Za-z0-9@~._:/+-]{0,250}")
_PROVIDER_ID = re.compile(r"[a-z0-9][a-z0-9._-]{0,60}")
_HOST = re.compile(r"(?:[a-z0-9](?:[a-z0-9-]*[a-z0-9])?\.)+[a-z][a-z0-9-]*[a-z0-9]")
_PATH = re.compile(r"(?:/[A-Za-z0-9._-]+)*/?")
_REQUEST_FIELD = re.compile(r"[a-z][a-z0-9_]{0,60}")
_SDK_FIELDS = frozenset(
    {
        "api_base", "api_key", "base_url", "default_headers", "default_query", "endpoint",
        "extra_body", "extra_headers", "extra_query", "headers", "http_client", "input",
        "messages", "metadata", "model", "organization", "project", "stream", "timeout",
    }
)  # fmt: skip
"""Request fields that an SDK interprets: no downloaded quirk may rename, drop or write them."""
_ANSWER_COUNT_FIELDS = frozenset({"best_of", "n"})
"""How many answers are paid for: no downloaded quirk may rename a field, such as a token
limit, to one of these."""


def apply_download(
    trusted: Document,
    downloaded: Document,
    allowed: Mapping[str, str] | None = None,
    user_models: AbstractSet[str] = frozenset(),
) -> Document:
    """Return `trusted` with what `downloaded` may change.

    Args:
        trusted: The registry of the wheel.
        downloaded: Any valid document; nothing in it is trusted.
        allowed: Hosts by provider id, for providers that only `downloaded` knows.
        user_models: Names of the user's own models, which no alias may replace.
    """
    providers = {
        provider_id: _with_models(provider, downloaded.providers.get(provider_id))
        for provider_id, provider in trusted.providers.items()
    }
    providers |= _allowed_new_providers(trusted, downloaded, allowed or {})
    models = chat_model_names(providers.values())
    embeddings = {name for provider in providers.values() for name in provider.embeddings}
    return msgspec.structs.replace(
        trusted,
        generated_at=downloaded.generated_at,
        providers=providers,
        aliases=_aliases(trusted, downloaded, models | embeddings, user_models),
        retired_models=dict(_retired_models(trusted, downloaded, models)),
        auto_model_priority=_priority(trusted, downloaded, models),
    )


def new_providers(trusted: Document, downloaded: Document) -> Iterator[tuple[str, str]]:
    """Yield the providers that only `downloaded` knows and that the user could allow.

    Each comes with the host to allow it for.
    """
    hosts: dict[str, str] = {}
    for provider_id, provider in downloaded.providers.items():
        if provider_id in trusted.providers or not _PROVIDER_ID.fullmatch(provider_id):
            continue
        urls = [endpoint.base_url for endpoint in provider.endpoints.values()]
        provider_hosts = {urlsplit(url).hostname or "" for url in urls}
        if len(provider_hosts) == 1:
            hosts[provider_id] = provider_hosts.pop()
    usable = _allowed_new_providers(trusted, downloaded, hosts)
    yield from ((provider_id, host) for provider_id, host in hosts.items() if provider_id in usable)


def allowed_hosts(settings: Iterable[str]) -> dict[str, str]:
    """Return hosts by provider id, from settings such as `newprovider@api.newprovider.com`.

    An id alone is not enough: a later download could give the provider another host.

    Raises:
        ConfigError: A setting is not of that form.
    """
    hosts = {}
    for setting in settings:
        provider_id, _, host = setting.strip().partition("@")
        if not (_PROVIDER_ID.fullmatch(provider_id) and _HOST.fullmatch(host)):
            msg = (
                f"allow_providers: got {setting!r}, expected a provider's id and its host, such as"
                " 'newprovider@api.newprovider.com'; `autoprovider update` shows them"
            )
            raise ConfigError(msg)
        hosts[provider_id] = host
    return hosts


def key_variable(provider_id: str) -> str:
    """Return the only variable that the key of a downloaded provider is read from."""
    return f"{re.sub('[^A-Z0-9]', '_', provider_id.upper())}_API_KEY"


def chat_model_names(providers: Iterable[Provider]) -> set[str]:
    """Return the canonical names of all chat models."""
    return {model for provider in providers for model in provider.models}


# Models of providers that both know


def _with_models(provider: Provider, downloaded: Provider | None) -> Provider:
    if downloaded is None or provider.kind in ON_THIS_MACHINE:
        return provider
    return msgspec.structs.replace(
        provider,
        models=_safe_listings(provider.models, downloaded.models, provider.endpoints),
        embeddings=_safe_listings(provider.embeddings, downloaded.embeddings, provider.endpoints),
    )


def _safe_listings(
    trusted: Mapping[str, Listing],
    downloaded: Mapping[str, Listing],
    endpoints: Mapping[str, Endpoint],
) -> dict[str, Listing]:
    """Return downloaded models with plain names and ids, at endpoints the provider has."""
    trusted_ids = {entry.id for listing in trusted.values() for entry in entries_in(listing)}
    listings: dict[str, Listing] = {}
    for name, listing in downloaded.items():
        if name not in trusted and not _NAME.fullmatch(name):
            continue
        entries = tuple(
            _safe_entry(entry)
            for entry in entries_in(listing)
            if entry.endpoint in endpoints
            and (entry.id in trusted_ids or _MODEL_ID.fullmatch(entry.id))
        )
        if entries:
            listings[name] = entries if len(entries) > 1 else entries[0]
    return listings


def _safe_entry(entry: Model) -> Model:
    """Return an entry without fields that no honest download has.

    Those are rate limits, which belong to an account, and odd quirks or labels.
    """
    entry = msgspec.structs.replace(entry, limits=None)
    if entry.quirks is not None:
        entry = msgspec.structs.replace(entry, quirks=_safe_quirks(entry.quirks))
    for field in ("tier", "snapshot", "quantization"):
        label = getattr(entry, field)
        if label is not None and not _NAME.fullmatch(label.lower()):
            entry = msgspec.structs.replace(entry, **{field: None})
    return entry


def _safe_quirks(quirks: Quirks | None) -> Quirks | None:
    """Return quirks that touch only plain request fields, or `None`."""
    if quirks is None or quirks.max_tokens_field in _ANSWER_COUNT_FIELDS:
        return None
    pending = list(msgspec.structs.astuple(quirks))
    while pending:
        value = pending.pop()
        if isinstance(value, tuple):
            pending += value
        elif isinstance(value, str):
            if value in _SDK_FIELDS or not _REQUEST_FIELD.fullmatch(value):
                return None
        elif not isinstance(value, bool | int | None):
            return None
    return quirks


# Providers that only the download knows


def _allowed_new_providers(
    trusted: Document, downloaded: Document, allowed: Mapping[str, str]
) -> dict[str, Provider]:
    """Return the new providers that the user allows, each at its allowed host only."""
    protocols = {e.protocol for p in trusted.providers.values() for e in p.endpoints.values()}
    taken = frozenset().union(*validation.declared_variables(trusted.providers).values())
    providers = {}
    for provider_id, provider in downloaded.providers.items():
        is_known = provider_id in trusted.providers or provider_id in trusted.retired_providers
        variable = key_variable(provider_id)
        if provider_id not in allowed or is_known or variable in taken:
            continue
        new = _new_provider(provider, allowed[provider_id], variable, protocols)
        if new is not None:
            providers[provider_id] = new
    return providers


def _new_provider(
    downloaded: Provider, host: str, variable: str, protocols: set[str]
) -> Provider | None:
    """Return a downloaded provider that reaches `host` only, or `None` if it is not usable."""
    endpoints = {
        name: msgspec.structs.replace(
            endpoint, base_url_env=(), quirks=_safe_quirks(endpoint.quirks)
        )
        for name, endpoint in downloaded.endpoints.items()
        if _is_at_host(endpoint, host) and endpoint.protocol in protocols
    }
    if "default" not in endpoints or downloaded.kind not in {"direct", "gateway"}:
        return None
    if not validation.is_key_name(variable):
        return None
    return Provider(
        name=downloaded.name if downloaded.name.isprintable() else host,
        kind=downloaded.kind,
        auth=Auth(any_of=((variable,),)),
        endpoints=endpoints,
        quirks=_safe_quirks(downloaded.quirks) or Quirks(),
        models=_safe_listings({}, downloaded.models, endpoints),
        embeddings=_safe_listings({}, downloaded.embeddings, endpoints),
    )


def _is_at_host(endpoint: Endpoint, host: str) -> bool:
    """Whether an endpoint is at `https://host/…`, written in the plainest way."""
    path = endpoint.base_url.removeprefix(f"https://{host}")
    is_at_host = path != endpoint.base_url and bool(_PATH.fullmatch(path))
    return is_at_host and bool(_PATH.fullmatch(endpoint.models_path)) and not is_loopback(host)


# Names


def _aliases(
    trusted: Document,
    downloaded: Document,
    models: set[str],
    user_models: AbstractSet[str],
) -> dict[str, str]:
    """Return the aliases that lead to a served or retired model and hide no model."""
    aliases = {**trusted.aliases, **downloaded.aliases}
    retired = {*trusted.retired_models, *downloaded.retired_models}
    return {
        alias: target
        for alias, target in aliases.items()
        if (alias in trusted.aliases or _NAME.fullmatch(alias))
        and alias not in models
        and alias not in user_models
        and (target in models or (target in retired and _NAME.fullmatch(target)))
    }


def _retired_models(
    trusted: Document, downloaded: Document, models: set[str]
) -> Iterator[tuple[str, RetiredModel]]:
    """Yield retired models that no provider serves; downloaded ones without their free text."""
    for name, retired in trusted.retired_models.items():
        if name not in models:
            yield name, retired
    for name, retired in downloaded.retired_models.items():
        if name in models or name in trusted.retired_models or not _NAME.fullmatch(name):
            continue
        replaced_by = tuple(new for new in retired.replaced_by if new in models)
        yield (
            name,
            msgspec.structs.replace(retired, replaced_by=replaced_by, note=None, source=None),
        )


def _priority(trusted: Document, downloaded: Document, models: set[str]) -> tuple[str, ...]:
    served = tuple(name for name in downloaded.auto_model_priority if name in models)
    return served or tuple(name for name in trusted.auto_model_priority if name in models)
