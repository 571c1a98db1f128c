"""What the HTTP clients of all routes share, for every SDK.

* Redirects are not followed: they would send the prompt to another host.
* A request to another origin than the endpoint's is refused before it is sent.
* The key is added when a request leaves; SDKs hold a placeholder.
* A successful response whose headers say that a rate limit is used up starts a cooldown.
* Each read of a synchronous client ends at the attempt's deadline.
"""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypedDict
from urllib.parse import quote

import httpx

from inference_providers.credentials import UrlOrigin, is_loopback
from inference_providers.errors import ConfigError, KeyBindingError
from inference_providers.failures.retry_after import window_reset_s
from inference_providers.settings import DEFAULT_SETTINGS
from inference_providers.wire.http.connection_limits import (
    MAX_CONNECTIONS,
    MAX_IDLE_CONNECTION_S,
    MAX_IDLE_CONNECTIONS,
)
from inference_providers.wire.http.tls import tls_context
from langchain_autoprovider.http.key_transport import PLACEHOLDER, add_key_on_send
from langchain_autoprovider.http.read_deadline import enforce_read_deadline

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from inference_providers.failover.state import FailoverState
    from inference_providers.routing.backend import Access
    from inference_providers.types import Route

    RequestHook = Callable[[Any], None]
    ResponseHook = Callable[[Any], None]
    HeadersHook = Callable[[Mapping[str, str]], None]

__all__ = [
    "bearer_options",
    "client_options",
    "install_hooks",
    "observe_rate_limits",
    "quote_model_id",
    "rate_limit_observer",
    "reject_foreign_hosts",
    "split_version",
    "timeout_options",
]


class TimeoutOptions(TypedDict):
    """The arguments of httpx's `Timeout`, in seconds."""

    timeout: float
    connect: float


def client_options(access: Access) -> dict[str, Any]:
    """Return the arguments of a route's HTTP client.

    A proxy from the environment is not used for hosts on this machine.
    """
    return {
        "limits": httpx.Limits(
            max_connections=MAX_CONNECTIONS,
            max_keepalive_connections=MAX_IDLE_CONNECTIONS,
            keepalive_expiry=MAX_IDLE_CONNECTION_S,
        ),
        "follow_redirects": False,
        "trust_env": not is_loopback(httpx.URL(access.base_url).host),
        "verify": tls_context(),
    }


def bearer_options(access: Access) -> dict[str, Any]:
    """Return the arguments of a client that sends the endpoint's key as a bearer token."""
    return {"base_url": access.base_url, "headers": {"Authorization": f"Bearer {PLACEHOLDER}"}}


def install_hooks(client: Any, route: Route, access: Access) -> None:
    """Install a route's hooks and key in its HTTP client, and the deadline in a synchronous one."""
    on_request = reject_foreign_hosts(access)
    on_response = observe_rate_limits(route, access.state)
    if hasattr(client, "aclose"):
        client.event_hooks["request"].append(_as_async(on_request))
        client.event_hooks["response"].append(_as_async(on_response))
    else:
        client.event_hooks["request"].append(on_request)
        client.event_hooks["response"].append(on_response)
        enforce_read_deadline(client)
    add_key_on_send(client, access.key)


def reject_foreign_hosts(access: Access) -> RequestHook:
    """Return a request hook that refuses requests to any origin but the endpoint's.

    For another scheme, host or port the hook raises `KeyBindingError`. It also limits the time
    to connect, for SDKs that have no setting for it.
    """
    allowed = UrlOrigin.of(access.base_url)
    max_connect_s = DEFAULT_SETTINGS.connect_timeout_s

    def on_request(request: Any) -> None:
        target = UrlOrigin.of(str(request.url))
        if target != allowed:
            where = f"{request.url.scheme}://{target}"
            msg = (
                f"refused to send a request for {access.base_url!r} to {where!r};"
                " scheme, host and port must be those of the route's base URL"
            )
            raise KeyBindingError(msg)
        timeout = request.extensions.get("timeout") or {}
        connect_s = timeout.get("connect")
        if connect_s is None or connect_s > max_connect_s:
            request.extensions["timeout"] = {**timeout, "connect": max_connect_s}

    return on_request


def observe_rate_limits(route: Route, state: FailoverState) -> ResponseHook:
    """Return a response hook that starts a cooldown when a rate limit is used up.

    Error responses are left to the classifier, which reads their bodies as well.
    """
    observer = rate_limit_observer(route, state)

    def on_response(response: Any) -> None:
        if response.is_success:
            observer({name.lower(): value for name, value in response.headers.items()})

    return on_response


def rate_limit_observer(route: Route, state: FailoverState) -> HeadersHook:
    """Return a function that starts a cooldown if a success's headers say that a limit is reached.

    The names of the headers it is given are in lower case.
    """

    def on_headers(headers: Mapping[str, str]) -> None:
        if "ratelimit" not in " ".join(headers):
            return
        wait_s = window_reset_s(headers, datetime.now(UTC), exhausted_only=True)
        if wait_s:
            wait_s = min(wait_s, DEFAULT_SETTINGS.retry_after_max_s)
            state.mark_rate_limited(route, time.monotonic() + wait_s)

    return on_headers


def timeout_options(seconds: float = DEFAULT_SETTINGS.timeout_s) -> TimeoutOptions:
    """Return the time limits for connecting and for each read of a request."""
    return {"timeout": seconds, "connect": min(seconds, DEFAULT_SETTINGS.connect_timeout_s)}


def split_version(base_url: str) -> tuple[str, str | None]:
    """Split the API version off a base URL, for SDKs that append it themselves."""
    host, _, last = base_url.rstrip("/").rpartition("/")
    return (host, last) if re.fullmatch(r"v\d\w*", last) else (base_url.rstrip("/"), None)


def quote_model_id(model_id: str) -> str:
    """Return a model id quoted for the path of a URL; its slashes are kept.

    Raises:
        ConfigError: It would lead to another path.
    """
    segments = model_id.split("/")
    if not {"", ".", ".."}.isdisjoint(segments):
        msg = f"{model_id!r} cannot be a model id: it would change the path of the request"
        raise ConfigError(msg)
    return "/".join(quote(segment, safe="") for segment in segments)


def _as_async(hook: Callable[[Any], None]) -> Callable[[Any], Awaitable[None]]:
    async def async_hook(message: Any) -> None:
        hook(message)

    return async_hook
