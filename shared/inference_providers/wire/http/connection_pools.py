"""httpcore's connection pools: one for each origin and proxy, shared by all clients of the process.

* A pool is created on first use. It is closed when a new one is created and all of its connections
  have expired, or when the interpreter exits.
* A forked child starts without pools.
"""

from __future__ import annotations

import atexit
import os
import threading
from typing import TYPE_CHECKING, NamedTuple, cast

import httpcore

from inference_providers.wire.http.connection_limits import (
    MAX_CONNECTIONS,
    MAX_IDLE_CONNECTION_S,
    MAX_IDLE_CONNECTIONS,
)
from inference_providers.wire.http.network_backend import DeadlineBackend
from inference_providers.wire.http.tls import tls_context

if TYPE_CHECKING:
    from inference_providers.wire.http.proxies import Proxy

__all__ = ["OPEN_POOLS", "PoolKey", "open_pool"]


class PoolKey(NamedTuple):
    """Requests with the same pool key share connections."""

    scheme: str
    host: str
    port: int | None
    proxy: Proxy | None


OPEN_POOLS: dict[PoolKey, httpcore.ConnectionPool] = {}
_lock = threading.Lock()


def open_pool(key: PoolKey) -> httpcore.ConnectionPool:
    """Return the pool with this key in `OPEN_POOLS`; create it if there is none.

    Raises:
        ConfigError: The certificates cannot be loaded.
    """
    new_pool = _new_pool(key)
    with _lock:
        _drop_unused_pools()
        return OPEN_POOLS.setdefault(key, new_pool)


def _new_pool(key: PoolKey) -> httpcore.ConnectionPool:
    return httpcore.ConnectionPool(
        ssl_context=tls_context() if key.scheme == "https" else None,
        proxy=_httpcore_proxy(key.proxy) if key.proxy else None,
        max_connections=MAX_CONNECTIONS,
        max_keepalive_connections=MAX_IDLE_CONNECTIONS,
        keepalive_expiry=MAX_IDLE_CONNECTION_S,
        network_backend=cast("httpcore.NetworkBackend", DeadlineBackend(httpcore.SyncBackend())),
    )


def _httpcore_proxy(proxy: Proxy) -> httpcore.Proxy:
    context = tls_context() if proxy.origin.scheme == "https" else None
    return httpcore.Proxy(proxy.url, headers=list(proxy.headers.items()), ssl_context=context)


def _drop_unused_pools() -> None:
    """Close the pools whose connections have all expired: a program may call many hosts once."""
    for key, pool in list(OPEN_POOLS.items()):
        connections = pool.connections
        if connections and all(connection.has_expired() for connection in connections):
            del OPEN_POOLS[key]
            pool.close()


@atexit.register
def _close_pools() -> None:
    """Close all connections when the interpreter exits, or it would warn about them."""
    for pool in OPEN_POOLS.values():
        pool.close()


def _forget_pools() -> None:
    """Start without pools in a forked child. `network_backend` closes the connections."""
    global _lock  # noqa: PLW0603 - a thread of the parent may hold the old one
    _lock = threading.Lock()
    OPEN_POOLS.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_pools)
