"""Finds what this machine serves: local model servers, and the embedded model's files.

* A server is asked for `/v1/models` without any key, all servers at once, within
  `DEADLINE_S` in all.
* An address from the environment must be on this machine; one from a registry
  file is the user's own word and may be anywhere.
* Nothing is started here (`inference_providers.local.llama_server` does that).
"""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor, wait
from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit

import msgspec

from inference_providers.credentials import is_loopback
from inference_providers.local import llama_server, weights
from inference_providers.registry.validation import redacted_url
from inference_providers.types import LocalModels, Unavailable

if TYPE_CHECKING:
    from collections.abc import Iterable

    from inference_providers.credentials import Keys
    from inference_providers.registry.registry import Registry
    from inference_providers.types import Endpoint, Provider

__all__ = ["DEADLINE_S", "GGUF_VARIABLE", "find_embedded", "find_servers"]

DEADLINE_S = 0.3
LISTING_MAX_BYTES = 1 << 20
GGUF_VARIABLE = "AUTOPROVIDER_GGUF"


class _Item(msgspec.Struct):
    id: str


class _Listing(msgspec.Struct):
    data: list[_Item] | None  # Ollama writes null for none


def find_servers(
    provider_ids: Iterable[str], registry: Registry, keys: Keys
) -> dict[str, LocalModels | Unavailable]:
    """Ask the local providers for their models, in parallel.

    MessageFormat at most `DEADLINE_S`, whatever the servers do.
    """
    # A sixth of a second, so only where a server is looked for, and before the clock runs.
    import requests  # noqa: F401, PLC0415

    endpoints = {
        provider_id: registry.providers[provider_id].endpoints["default"]
        for provider_id in provider_ids
    }
    places = {provider_id: _place(endpoint, keys) for provider_id, endpoint in endpoints.items()}
    deadline = time.monotonic() + DEADLINE_S
    pool = ThreadPoolExecutor(max_workers=max(1, len(places)), thread_name_prefix="autoprovider")
    asked = {
        provider_id: pool.submit(_ask, place, endpoints[provider_id], deadline)
        for provider_id, place in places.items()
        if isinstance(place, str)
    }
    wait(asked.values(), timeout=DEADLINE_S)
    pool.shutdown(wait=False, cancel_futures=True)
    found: dict[str, LocalModels | Unavailable] = {}
    for provider_id, place in places.items():
        if isinstance(place, Unavailable):
            found[provider_id] = place
        elif asked[provider_id].done():
            found[provider_id] = asked[provider_id].result()
        else:
            found[provider_id] = Unavailable(
                reason=f"{place} does not answer within {DEADLINE_S} s"
            )
    return found


def find_embedded(provider: Provider, keys: Keys) -> LocalModels | Unavailable:
    """Say which GGUF files could be served in a child process; looks at files only.

    `AUTOPROVIDER_GGUF` comes first, then the registry's, which need installing.
    """
    if reason := llama_server.available():
        return Unavailable(reason=reason)
    named = keys.setting(GGUF_VARIABLE)
    if named and weights.find(named) is None:
        return Unavailable(reason=f"{GGUF_VARIABLE} names no file: {named!r}")
    listed = (
        entry if isinstance(entry, str) else entry.id
        for entries in provider.models.values()
        for entry in (entries if isinstance(entries, tuple) else (entries,))
    )
    files = tuple(name for name in (named, *listed) if name and weights.find(name))
    if not files:
        return Unavailable(reason="no weights; run `autoprovider local install`")
    return LocalModels(base_url=provider.endpoints["default"].base_url, models=files)


def _place(endpoint: Endpoint, keys: Keys) -> str | Unavailable:
    """Return the base URL to ask: the environment's, or else the registry's."""
    variable = next((name for name in endpoint.base_url_env if keys.setting(name)), None)
    if variable is None:
        return endpoint.base_url
    value = keys.setting(variable) or ""
    address = value if "://" in value else f"http://{value}"
    usual = urlsplit(endpoint.base_url)
    try:
        given = urlsplit(address)
        host, port = given.hostname or "", given.port or usual.port
    except ValueError:
        return Unavailable(reason=f"{variable} is no address: {redacted_url(address)!r}")
    if host in {"", "0.0.0.0", "::"}:  # noqa: S104 - what a server binds to; clients use loopback
        host = "127.0.0.1"
    if not is_loopback(host):
        return Unavailable(
            reason=f"{variable} points to {host!r}, not this machine; name it in a registry file"
        )
    host = f"[{host}]" if ":" in host else host
    path = given.path.rstrip("/") or usual.path
    return urlunsplit((given.scheme, f"{host}:{port}" if port else host, path, "", ""))


def _ask(base_url: str, endpoint: Endpoint, deadline: float) -> LocalModels | Unavailable:
    import requests  # noqa: PLC0415 - `find_servers` has loaded it

    url = base_url.rstrip("/") + endpoint.models_path
    variables = ", ".join(endpoint.base_url_env[:1])
    mend = f"start it, or set {variables}" if variables else "start it"
    session = requests.Session()
    session.trust_env = False  # no proxy sees it, no .netrc password goes along
    try:
        with session.get(url, timeout=DEADLINE_S, allow_redirects=False, stream=True) as response:
            if response.status_code != requests.codes.ok:
                return Unavailable(
                    reason=f"{url} answers HTTP {response.status_code} without a key"
                )
            body = b""
            for part in response.iter_content(1 << 16):
                body += part
                if len(body) > LISTING_MAX_BYTES or time.monotonic() > deadline:
                    return Unavailable(reason=f"{url} answers with more than a list of models")
        listing = msgspec.json.decode(body, type=_Listing)
    except requests.RequestException:
        return Unavailable(reason=f"no server at {base_url}; {mend}")
    except (msgspec.DecodeError, RecursionError):
        return Unavailable(reason=f"{url} does not answer with a list of models")
    return LocalModels(base_url=base_url, models=tuple(item.id for item in listing.data or ()))
