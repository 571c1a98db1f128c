"""Find the models on this machine: those of local servers, and the embedded model's files.

* All servers are requested at once, without any key, within `DEADLINE_S` in total.
* An address from the environment must be on this machine. One from a registry file is the user's
  own decision and may be anywhere.
* Nothing is started here (`inference_providers.local.llama_server` does that).
"""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor, wait
from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit

import msgspec

from inference_providers.credentials import is_loopback
from inference_providers.registry.entries import entries_in
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


class _ListedModel(msgspec.Struct):
    id: str


class _ModelList(msgspec.Struct):
    data: list[_ListedModel] | None  # Ollama writes null for an empty list


def find_servers(
    provider_ids: Iterable[str], registry: Registry, keys: Keys
) -> dict[str, LocalModels | Unavailable]:
    """Request the models of local providers, in parallel.

    Takes at most `DEADLINE_S`, whatever the servers do.
    """
    # Importing it takes a sixth of a second: not at start-up, and not within the deadline.
    import requests  # noqa: F401, PLC0415

    endpoints = {
        provider_id: registry.providers[provider_id].endpoints["default"]
        for provider_id in provider_ids
    }
    addresses = {
        provider_id: _server_address(endpoint, keys) for provider_id, endpoint in endpoints.items()
    }
    deadline = time.monotonic() + DEADLINE_S
    pool = ThreadPoolExecutor(max_workers=max(1, len(addresses)), thread_name_prefix="autoprovider")
    listings = {
        provider_id: pool.submit(_list_models, address, endpoints[provider_id], deadline)
        for provider_id, address in addresses.items()
        if isinstance(address, str)
    }
    wait(listings.values(), timeout=DEADLINE_S)
    pool.shutdown(wait=False, cancel_futures=True)
    results: dict[str, LocalModels | Unavailable] = {}
    for provider_id, address in addresses.items():
        if isinstance(address, Unavailable):
            results[provider_id] = address
        elif listings[provider_id].done():
            results[provider_id] = listings[provider_id].result()
        else:
            results[provider_id] = Unavailable(
                reason=f"{address} does not answer within {DEADLINE_S} s"
            )
    return results


def find_embedded(provider: Provider, keys: Keys) -> LocalModels | Unavailable:
    """Return the GGUF files that a child process could serve. Looks at files only.

    The file in `AUTOPROVIDER_GGUF` comes first, then the installed files of the registry.
    """
    from inference_providers.local import llama_server, weights  # noqa: PLC0415 - rarely used

    if reason := llama_server.available():
        return Unavailable(reason=reason)
    gguf_setting = keys.setting(GGUF_VARIABLE)
    if gguf_setting and weights.find(gguf_setting) is None:
        return Unavailable(reason=f"{GGUF_VARIABLE} is not a file: {gguf_setting!r}")
    listed = (entry.id for listing in provider.models.values() for entry in entries_in(listing))
    files = tuple(name for name in (gguf_setting, *listed) if name and weights.find(name))
    if not files:
        return Unavailable(reason="no weights; run `autoprovider local install`")
    return LocalModels(base_url=provider.endpoints["default"].base_url, models=files)


def _server_address(endpoint: Endpoint, keys: Keys) -> str | Unavailable:
    """Return the base URL of a server: the environment's, or else the registry's."""
    variable = next((name for name in endpoint.base_url_env if keys.setting(name)), None)
    if variable is None:
        return endpoint.base_url
    value = keys.setting(variable) or ""
    address = value if "://" in value else f"http://{value}"
    default = urlsplit(endpoint.base_url)
    try:
        parts = urlsplit(address)
        host, port = parts.hostname or "", parts.port or default.port
    except ValueError:
        return Unavailable(reason=f"{variable} is not an address: {redacted_url(address)!r}")
    if host in {"", "0.0.0.0", "::"}:  # noqa: S104 - what a server binds to; clients use loopback
        host = "127.0.0.1"
    if not is_loopback(host):
        return Unavailable(
            reason=f"{variable} points to {host!r}, not this machine; name it in a registry file"
        )
    host = f"[{host}]" if ":" in host else host
    path = parts.path.rstrip("/") or default.path
    return urlunsplit((parts.scheme, f"{host}:{port}" if port else host, path, "", ""))


def _list_models(base_url: str, endpoint: Endpoint, deadline: float) -> LocalModels | Unavailable:
    import requests  # noqa: PLC0415 - `find_servers` has loaded it

    url = base_url.rstrip("/") + endpoint.models_path
    variables = ", ".join(endpoint.base_url_env[:1])
    advice = f"start it, or set {variables}" if variables else "start it"
    session = requests.Session()
    session.trust_env = False  # use neither a proxy nor a password from .netrc
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
        listing = msgspec.json.decode(body, type=_ModelList)
    except requests.RequestException:
        return Unavailable(reason=f"no server at {base_url}; {advice}")
    except (msgspec.DecodeError, RecursionError):
        return Unavailable(reason=f"{url} does not answer with a list of models")
    return LocalModels(base_url=base_url, models=tuple(model.id for model in listing.data or ()))
