"""What a downloaded registry may change: models and their facts, never where a key goes.

`bounded(trusted, downloaded)` is the whole of it, and it builds rather than filters: the
result is the trusted document with these parts taken from the other one.

* Of a provider both know: `models` and `embeddings`. Its URLs, protocols, key variables,
  quirks and everything else stay as they are; a model may name one of its endpoints.
* Providers on this machine stay as they are: their model ids are names of files.
* `aliases`, `retired_models`, `auto_model_priority`: names only, none of which pins a
  provider or hides a model, one of the user's own included.
* A provider only the other one knows is left out, unless the user has allowed it for one
  host. It is then reached at that host only, with the key in `ITS_NAME_API_KEY` only.
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

__all__ = ["allowances", "bounded", "key_variable", "model_names", "newcomers"]

_NAME = re.compile(r"[a-z0-9][a-z0-9._+-]{0,150}")
_ID = re.compile(r"(?!.*\.\.)[A-Za-z0-9@~][A-Za-z0-9@~._:/+-]{0,250}")
_PROVIDER = re.compile(r"[a-z0-9][a-z0-9._-]{0,60}")
_HOST = re.compile(r"(?:[a-z0-9](?:[a-z0-9-]*[a-z0-9])?\.)+[a-z][a-z0-9-]*[a-z0-9]")
_PATH = re.compile(r"(?:/[A-Za-z0-9._-]+)*/?")
_FIELD = re.compile(r"[a-z][a-z0-9_]{0,60}")
_NO_FIELDS = frozenset(
    {
        *("api_base", "api_key", "base_url", "default_headers", "default_query", "endpoint"),
        *("extra_body", "extra_headers", "extra_query", "headers", "http_client", "input"),
        *("messages", "metadata", "model", "organization", "project", "stream", "timeout"),
    }
)
"""What no quirk from outside may rename, drop or write into: an SDK gives it a meaning."""
_COUNTS = frozenset({"best_of", "n"})
"""How many answers are paid for: nothing is renamed to these, least of all a limit of tokens."""


def bounded(
    trusted: Document,
    downloaded: Document,
    allowed: Mapping[str, str] | None = None,
    named: AbstractSet[str] = frozenset(),
) -> Document:
    """Return `trusted` with what `downloaded` may change.

    Args:
        trusted: The wheel's registry.
        downloaded: Any valid document; nothing in it is believed.
        allowed: Hosts by provider id, for providers that only `downloaded` knows.
        named: Models of the user's own, none of which becomes an alias of another.
    """
    providers = {
        provider_id: _with_models(row, downloaded.providers.get(provider_id))
        for provider_id, row in trusted.providers.items()
    }
    protocols = {e.protocol for row in trusted.providers.values() for e in row.endpoints.values()}
    taken = frozenset().union(*validation.declared_variables(trusted.providers).values())
    for provider_id, row in downloaded.providers.items():
        host = (allowed or {}).get(provider_id)
        known = provider_id in trusted.providers or provider_id in trusted.retired_providers
        variable = key_variable(provider_id)
        if host is None or known or variable in taken:
            continue
        if newcomer := _newcomer(row, host, variable, protocols):
            providers[provider_id] = newcomer
    models = model_names(providers.values())
    embeddings = {name for row in providers.values() for name in row.embeddings}
    return msgspec.structs.replace(
        trusted,
        generated_at=downloaded.generated_at,
        providers=providers,
        aliases=_aliases(trusted, downloaded, models | embeddings, named),
        retired_models=dict(_retired(trusted, downloaded, models)),
        auto_model_priority=_priority(trusted, downloaded, models),
    )


def newcomers(trusted: Document, downloaded: Document) -> Iterator[tuple[str, str]]:
    """Yield the providers only `downloaded` knows, each with the host it would be allowed for."""
    hosts: dict[str, str] = {}
    for provider_id, row in downloaded.providers.items():
        if provider_id in trusted.providers or not _PROVIDER.fullmatch(provider_id):
            continue
        at = {urlsplit(endpoint.base_url).hostname or "" for endpoint in row.endpoints.values()}
        if len(at) == 1:
            hosts[provider_id] = at.pop()
    usable = bounded(trusted, downloaded, hosts).providers
    yield from ((provider_id, host) for provider_id, host in hosts.items() if provider_id in usable)


def allowances(said: Iterable[str]) -> dict[str, str]:
    """Return hosts by provider id, of texts such as `newprovider@api.newprovider.com`.

    A name alone would not do: another download could give it another host.

    Raises:
        ConfigError: One is not of that form.
    """
    allowed = {}
    for text in said:
        provider_id, _, host = text.strip().partition("@")
        if not (_PROVIDER.fullmatch(provider_id) and _HOST.fullmatch(host)):
            msg = (
                f"allow_providers: got {text!r}, expected a provider's id and its host, such as"
                " 'newprovider@api.newprovider.com'; `autoprovider update` shows them"
            )
            raise ConfigError(msg)
        allowed[provider_id] = host
    return allowed


def key_variable(provider_id: str) -> str:
    """Return the only variable from which a provider that was downloaded gets its key."""
    return f"{re.sub('[^A-Z0-9]', '_', provider_id.upper())}_API_KEY"


def model_names(providers: Iterable[Provider]) -> set[str]:
    """Return the canonical names of all chat models."""
    return {model for row in providers for model in row.models}


def _with_models(row: Provider, other: Provider | None) -> Provider:
    if other is None or row.kind in ON_THIS_MACHINE:
        return row
    return msgspec.structs.replace(
        row,
        models=_listings(row.models, other.models, row.endpoints),
        embeddings=_listings(row.embeddings, other.embeddings, row.endpoints),
    )


def _listings(
    known: Mapping[str, Listing], other: Mapping[str, Listing], endpoints: Mapping[str, Endpoint]
) -> dict[str, Listing]:
    ids = {entry.id for listed in known.values() for entry in entries_in(listed)}
    made: dict[str, Listing] = {}
    for name, listed in other.items():
        if name not in known and not _NAME.fullmatch(name):
            continue
        entries = tuple(
            _harmless(entry)
            for entry in entries_in(listed)
            if entry.endpoint in endpoints and (entry.id in ids or _ID.fullmatch(entry.id))
        )
        if entries:
            made[name] = entries if len(entries) > 1 else entries[0]
    return made


def _harmless(entry: Model) -> Model:
    """Return the entry without what no honest one has: odd quirks, an account's limits."""
    entry = msgspec.structs.replace(entry, limits=None)
    if entry.quirks is not None:
        entry = msgspec.structs.replace(entry, quirks=_harmless_quirks(entry.quirks))
    for field in ("tier", "snapshot", "quantization"):
        if not _NAME.fullmatch((getattr(entry, field) or "x").lower()):
            entry = msgspec.structs.replace(entry, **{field: None})
    return entry


def _harmless_quirks(quirks: Quirks | None) -> Quirks | None:
    """Return quirks none of which reaches into what an SDK gives a meaning, or nothing."""
    if quirks is None or _COUNTS & {
        quirks.max_tokens_field,
        *(own for _, own in quirks.rename_params),
    }:
        return None
    pending = list(msgspec.structs.astuple(quirks))
    while pending:
        value = pending.pop()
        if isinstance(value, tuple):
            pending += value
        elif isinstance(value, str):
            if value in _NO_FIELDS or not _FIELD.fullmatch(value):
                return None
        elif not isinstance(value, bool | int | None):
            return None
    return quirks


def _newcomer(row: Provider, host: str, variable: str, protocols: set[str]) -> Provider | None:
    usable = {
        name: msgspec.structs.replace(
            endpoint, base_url_env=(), quirks=_harmless_quirks(endpoint.quirks)
        )
        for name, endpoint in row.endpoints.items()
        if _leads_to(endpoint, host) and endpoint.protocol in protocols
    }
    if "default" not in usable or row.kind not in {"direct", "gateway"}:
        return None
    if not validation.is_key_name(variable):
        return None
    return Provider(
        name=row.name if row.name.isprintable() else host,
        kind=row.kind,
        auth=Auth(any_of=((variable,),)),
        endpoints=usable,
        quirks=_harmless_quirks(row.quirks) or Quirks(),
        models=_listings({}, row.models, usable),
        embeddings=_listings({}, row.embeddings, usable),
    )


def _leads_to(endpoint: Endpoint, host: str) -> bool:
    """Say whether an endpoint is at `host`, in the one plain way of writing that."""
    path = endpoint.base_url.removeprefix(f"https://{host}")
    is_there = path != endpoint.base_url and bool(_PATH.fullmatch(path))
    return is_there and bool(_PATH.fullmatch(endpoint.models_path)) and not is_loopback(host)


def _aliases(
    trusted: Document, downloaded: Document, models: set[str], named: AbstractSet[str]
) -> dict[str, str]:
    known = {**trusted.aliases, **downloaded.aliases}
    retired = {*trusted.retired_models, *downloaded.retired_models}
    return {
        alias: meant
        for alias, meant in known.items()
        if (alias in trusted.aliases or _NAME.fullmatch(alias))
        and alias not in models
        and alias not in named
        and (meant in models or (meant in retired and _NAME.fullmatch(meant)))
    }


def _retired(
    trusted: Document, downloaded: Document, models: set[str]
) -> Iterator[tuple[str, RetiredModel]]:
    """Yield retired models that are not served; of those from outside, without their prose."""
    for name, retired in trusted.retired_models.items():
        if name not in models:
            yield name, retired
    for name, retired in downloaded.retired_models.items():
        if name in models or name in trusted.retired_models or not _NAME.fullmatch(name):
            continue
        instead = tuple(new for new in retired.replaced_by if new in models)
        yield name, msgspec.structs.replace(retired, replaced_by=instead, note=None, source=None)


def _priority(trusted: Document, downloaded: Document, models: set[str]) -> tuple[str, ...]:
    wanted = tuple(name for name in downloaded.auto_model_priority if name in models)
    return wanted or tuple(name for name in trusted.auto_model_priority if name in models)
