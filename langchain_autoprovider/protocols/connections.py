"""Route → the LangChain chat model that speaks its protocol.

* `table.PROTOCOLS` names the module of each protocol; it is imported when its first route
  is called, and what it needs is installed with an extra.
* Connections carry no request settings, so all `AutoChatModel`s of a process share
  them: one per route, key and failover state, and for async one per event loop as well. Loops are
  held weakly, since their ids are reused.
* A forked child starts with none: a socket must not be read by two processes.
"""

from __future__ import annotations

import asyncio
import os
import threading
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Protocol, cast, runtime_checkable
from weakref import WeakKeyDictionary

from inference_providers.model_names.canonical import did_you_mean
from langchain_autoprovider.protocols.table import PROTOCOLS

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

    from inference_providers.registry.registry import Registry
    from inference_providers.routing.backend import Access
    from inference_providers.types import Route

__all__ = ["aconnect", "client", "connect", "protocol", "unsupported_protocols"]


MAX_CONNECTIONS = 256
"""Connections kept per process and per event loop; a service with keys per user has many."""


class SpeaksProtocol(Protocol):
    """What a protocol's module offers."""

    def connect(self, route: Route, access: Access) -> BaseChatModel:
        """Return a chat model for calls without an event loop; it closes when it is dropped."""

    async def aconnect(self, route: Route, access: Access) -> tuple[BaseChatModel, object]:
        """Return a chat model for the running event loop, and what keeps it open."""


@runtime_checkable
class HasClient(Protocol):
    """What a protocol's module offers that is OpenAI's own."""

    def client(self, route: Route, access: Access) -> Any:
        """Return an object with OpenAI's `chat.completions.create`."""


_Identity = tuple[object, ...]
_connections: dict[_Identity, BaseChatModel] = {}
_of_loop: WeakKeyDictionary[
    asyncio.AbstractEventLoop, dict[_Identity, tuple[BaseChatModel, object]]
] = WeakKeyDictionary()
_lock = threading.Lock()


def protocol(route: Route) -> SpeaksProtocol:
    """Return the module that speaks a route's protocol."""
    row = PROTOCOLS[route.endpoint.protocol]
    return cast("SpeaksProtocol", import_module(f"langchain_autoprovider.protocols.{row.module}"))


def unsupported_protocols(registry: Registry) -> dict[str, str]:
    """Return the registry's protocols that cannot be spoken here, each with what to do."""
    return {name: reason for name in registry.protocols if (reason := _unspoken(name))}


def _unspoken(name: str) -> str | None:
    row = PROTOCOLS.get(name)
    if row is None:
        near = did_you_mean(name, PROTOCOLS) or f"; there is {', '.join(map(repr, PROTOCOLS))}"
        return f"its protocol {name!r} is not spoken by this version{near}"
    if row.package is None or find_spec(row.package):
        return None
    return f"its protocol {name!r} needs an extra; run: pip install 'autoprovider[{row.extra}]'"


def client(route: Route, access: Access) -> Any:
    """Return OpenAI's client for a route, or an object with its `chat.completions.create`."""
    from langchain_autoprovider.protocols.openai_facade import PlainClient  # noqa: PLC0415 - it loads openai

    speaks = protocol(route)
    if isinstance(speaks, HasClient):
        return speaks.client(route, access)
    return PlainClient(connect(route, access))


def connect(route: Route, access: Access) -> BaseChatModel:
    """Return the chat model for a route, for calls without an event loop."""
    identity = _identity(route, access)
    if (connection := _connections.get(identity)) is None:
        speaks = protocol(route)
        with _lock:  # of threads that come at once, one connects
            if (connection := _connections.get(identity)) is None:
                connection = speaks.connect(route, access)
                _keep(_connections, identity, connection)
    return connection


async def aconnect(route: Route, access: Access) -> BaseChatModel:
    """Return the chat model for a route, for calls on the running event loop."""
    own = _of_loop.setdefault(asyncio.get_running_loop(), {})
    identity = _identity(route, access)
    if (connection := own.get(identity)) is None:
        connection = await protocol(route).aconnect(route, access)
        _keep(own, identity, connection)
    return connection[0]


def _identity(route: Route, access: Access) -> _Identity:
    return (route, access.base_url, access.key.fingerprint if access.key else None, access.state)


def _keep(kept: dict[_Identity, Any], identity: _Identity, connection: Any) -> None:
    """Add a connection; drop the oldest when there are too many.

    A dropped one ends when the last call that uses it does.
    """
    kept[identity] = connection
    if len(kept) > MAX_CONNECTIONS:
        kept.pop(next(iter(kept)))


def _forget() -> None:
    global _lock  # noqa: PLW0603 - the parent's may be held by a thread that does not exist here
    _lock = threading.Lock()
    _connections.clear()
    _of_loop.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
