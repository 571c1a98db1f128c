"""What every connection to a provider has in common."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING, Any, TypedDict
from urllib.parse import urlsplit

import httpx

from inference_providers.credentials import UrlOrigin, is_loopback
from inference_providers.errors import KeyBindingError
from inference_providers.failures.retry_after import window_reset_s
from inference_providers.settings import DEFAULT_SETTINGS
from langchain_autoprovider.http.read_deadline import bound_reads

if TYPE_CHECKING:
    import ssl
    from collections.abc import Awaitable, Callable

    from inference_providers.failover.state import FailoverState
    from inference_providers.routing.backend import Access
    from inference_providers.types import Route

__all__ = [
    "aguard",
    "attend",
    "certificates",
    "guard",
    "http_options",
    "key_value",
    "split_version",
    "timeouts",
]


IDLE_CONNECTION_S = 4.0
"""How long a connection that nobody uses is kept. Node's, uvicorn's and llama.cpp's servers close
one after 5 s, as httpx does unless told: a request sent in that moment would be lost."""


class Timeouts(TypedDict):
    """The arguments of the `Timeout` of httpx and its kin, in seconds."""

    timeout: float
    connect: float


def http_options(access: Access) -> dict[str, Any]:
    """Return the arguments of an HTTP client of httpx's kind.

    Redirects are not followed: they would carry the prompt to another host. A proxy of
    the environment is for hosts that are not this machine. As many connections are open
    at once as in OpenAI's SDK.
    """
    host = urlsplit(access.base_url).hostname or ""
    return {
        "limits": httpx.Limits(
            max_connections=1000,
            max_keepalive_connections=100,
            keepalive_expiry=IDLE_CONNECTION_S,
        ),
        "follow_redirects": False,
        "trust_env": not is_loopback(host),
        "verify": certificates(),
    }


@cache
def certificates() -> ssl.SSLContext:
    """Return what hosts are known by; made once, since it takes longer than all the rest."""
    return httpx.create_ssl_context()


def guard(access: Access) -> Callable[[Any], None]:
    """Return what an HTTP client of httpx's kind calls with each request, as an event hook.

    It waits for a connection no longer than for any other, which not every SDK lets one
    say, and holds back what an SDK would send elsewhere.
    """
    origin = UrlOrigin.of(access.base_url)

    def hook(request: Any) -> None:
        target = UrlOrigin.of(str(request.url))
        if target != origin:
            msg = f"a request for {str(origin)!r} was about to go to {str(target)!r}"
            raise KeyBindingError(msg)
        limits = request.extensions.get("timeout") or {}
        if limits.get("connect") is None or limits["connect"] > DEFAULT_SETTINGS.connect_timeout_s:
            request.extensions["timeout"] = {
                **limits,
                "connect": DEFAULT_SETTINGS.connect_timeout_s,
            }

    return hook


def aguard(access: Access) -> Callable[[Any], Awaitable[None]]:
    """Return the hook of an asynchronous client; see `guard`."""
    hook = guard(access)

    async def ahook(request: Any) -> None:
        hook(request)

    return ahook


def attend(client: Any, route: Route, state: FailoverState) -> None:
    """Bound the reads of a route's HTTP client, and heed what its answers say of limits.

    `state` starts a cooldown when a response's headers say that a rate limit is used up.
    """

    def heed(response: Any) -> None:
        if "ratelimit" not in " ".join(response.headers).lower():
            return
        headers = {name.lower(): value for name, value in response.headers.items()}
        seconds = window_reset_s(headers, datetime.now(UTC), exhausted_only=True)
        if seconds and response.is_success:  # of failures, classifications know more
            limit_s = min(seconds, DEFAULT_SETTINGS.retry_after_max_s)
            state.mark_rate_limited(route, time.monotonic() + limit_s)

    async def aheed(response: Any) -> None:
        heed(response)

    if hasattr(client, "aclose"):
        client.event_hooks["response"].append(aheed)
    else:
        client.event_hooks["response"].append(heed)
        bound_reads(client)


def key_value(access: Access) -> str:
    """Return the key for the endpoint; where it takes none, a word.

    Without a key, an SDK would take one from the environment.

    Raises:
        KeyBindingError: The key does not belong to the endpoint's host.
    """
    return (access.key.value_for(access.base_url) if access.key else None) or "none"


def timeouts(seconds: float = DEFAULT_SETTINGS.timeout_s) -> Timeouts:
    """Return how long to wait for a connection, and for every read."""
    return {"timeout": seconds, "connect": min(seconds, DEFAULT_SETTINGS.connect_timeout_s)}


def split_version(base_url: str) -> tuple[str, str | None]:
    """Split an API's version off the end of an endpoint's URL: SDKs put it there themselves."""
    host, _, last = base_url.rstrip("/").rpartition("/")
    return (host, last) if re.fullmatch(r"v\d\w*", last) else (base_url.rstrip("/"), None)
