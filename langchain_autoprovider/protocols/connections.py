"""The open connections of this process: one chat model per route and key.

* The module of a protocol is imported when its first route is called. `table.PROTOCOLS` names the
  module and the extra that installs its dependencies.
* Connections have no request settings, so all `AutoChatModel`s of a process share them.
* An asynchronous connection through a vendor's SDK belongs to one event loop. Loops are referenced
  weakly, because their ids are reused. Our own HTTP client keeps loops apart itself.
* A forked child starts without connections: two processes must not read one socket.
"""

from __future__ import annotations

import asyncio
import os
import threading
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, TypeVar
from weakref import WeakKeyDictionary

from inference_providers.model_names.canonical import did_you_mean
from langchain_autoprovider.protocols.table import PROTOCOLS

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

    from inference_providers.registry.registry import Registry
    from inference_providers.routing.backend import Access
    from inference_providers.types import Route
    from langchain_autoprovider.protocols.connector import Connector, WireConnector

__all__ = ["aconnect", "connect", "connector_for", "plain_client", "unsupported_protocols"]

MAX_CONNECTIONS = 256
"""Connections to keep, per process and per event loop. One key per user needs many."""

ConnectionKey = tuple[object, ...]
T = TypeVar("T")

_connections: dict[ConnectionKey, BaseChatModel] = {}
_loop_connections: WeakKeyDictionary[
    asyncio.AbstractEventLoop, dict[ConnectionKey, tuple[BaseChatModel, object]]
] = WeakKeyDictionary()
_lock = threading.Lock()
_installed: set[str] = set()
"""Packages that were found. The others are searched for again: they may be installed later."""
_loaded: set[str] = set()
"""Protocols whose modules have been imported for asynchronous calls."""


def connector_for(route: Route) -> Connector | WireConnector:
    """Return the connector of a route's protocol."""
    name = PROTOCOLS[route.endpoint.protocol].module
    module: Any = import_module(f"langchain_autoprovider.protocols.{name}")
    connector: Connector | WireConnector = module.CONNECTOR
    return connector


async def _aconnector_for(route: Route, access: Access) -> Connector | WireConnector:
    """Return the connector of a route's protocol without blocking the event loop.

    The first import of an SDK can take a second, and SDKs import more when their first client is
    created. So a thread imports the SDK and creates a client that is thrown away.
    """
    name = route.endpoint.protocol
    if name not in _loaded:
        await asyncio.to_thread(lambda: connector_for(route).connect(route, access))
        _loaded.add(name)
    return connector_for(route)


def unsupported_protocols(registry: Registry) -> dict[str, str]:
    """Return the registry's protocols that cannot be used here, each with the reason."""
    return {name: reason for name in registry.protocols if (reason := _why_unsupported(name))}


def _why_unsupported(name: str) -> str | None:
    protocol = PROTOCOLS.get(name)
    if protocol is None:
        hint = did_you_mean(name, PROTOCOLS) or f"; use {', '.join(map(repr, PROTOCOLS))}"
        return f"its protocol {name!r} is not supported by this version{hint}"
    if protocol.package is None or protocol.package in _installed:
        return None
    if find_spec(protocol.package):
        _installed.add(protocol.package)
        return None
    return (
        f"its protocol {name!r} needs an extra; run: pip install 'autoprovider[{protocol.extra}]'"
    )


def plain_client(route: Route, access: Access) -> Any:
    """Return OpenAI's client for a route, or an object with its `chat.completions.create`."""
    from langchain_autoprovider.protocols.openai_facade import OpenAIFacade  # noqa: PLC0415 - it loads openai

    client = connector_for(route).plain_client(route, access)
    return OpenAIFacade(route, connect(route, access)) if client is None else client


def connect(route: Route, access: Access) -> BaseChatModel:
    """Return the chat model of a route, for calls without an event loop."""
    key = _connection_key(route, access)
    if (model := _connections.get(key)) is None:
        connector = connector_for(route)
        with _lock:  # if threads arrive together, only one connects
            if (model := _connections.get(key)) is None:
                model = connector.connect(route, access)
                _store(_connections, key, model)
    return model


async def aconnect(route: Route, access: Access) -> BaseChatModel:
    """Return the chat model of a route, for calls on the running event loop."""
    connector = await _aconnector_for(route, access)
    from langchain_autoprovider.protocols.connector import WireConnector  # noqa: PLC0415 - it loads httpx

    if isinstance(connector, WireConnector):
        return connect(route, access)
    connections = _loop_connections.setdefault(asyncio.get_running_loop(), {})
    key = _connection_key(route, access)
    if (connection := connections.get(key)) is None:
        connection = await connector.aconnect(route, access)
        if key in connections:  # another call was faster; the newer connection closes unused
            connection = connections[key]
        else:
            _store(connections, key, connection)
    return connection[0]


def _connection_key(route: Route, access: Access) -> ConnectionKey:
    """Return the key of a route's connection. It is cheap: a route computes its hash once."""
    return (route, access.base_url, access.key.fingerprint if access.key else None, access.state)


def _store(connections: dict[ConnectionKey, T], key: ConnectionKey, connection: T) -> None:
    """Add a connection, and drop the oldest one if there are too many.

    A dropped connection is closed when the last call that uses it ends.
    """
    connections[key] = connection
    if len(connections) > MAX_CONNECTIONS:
        connections.pop(next(iter(connections)))


def _forget_connections() -> None:
    global _lock  # noqa: PLW0603 - a thread of the parent may hold the old one
    _lock = threading.Lock()
    _connections.clear()
    _loop_connections.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_connections)
