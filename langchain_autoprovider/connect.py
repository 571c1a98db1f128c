"""Route → the LangChain chat model that speaks its protocol.

* `_PROTOCOLS` is the table; a protocol's module is imported when its first route
  is called.
* Connections carry no request settings, so all `AutoChatModel`s of a process share
  them: one per route and key, and for async one per event loop as well. Loops are
  held weakly, since their ids are reused.
* A forked child starts with none: a socket must not be read by two processes.
"""

from __future__ import annotations

import asyncio
import os
from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol, cast
from weakref import WeakKeyDictionary

if TYPE_CHECKING:
    from collections.abc import Mapping

    from langchain_core.language_models import BaseChatModel

    from inference_providers.connector import Access
    from inference_providers.registry import Registry
    from inference_providers.routes import Route

__all__ = ["aconnect", "connect", "protocol", "unspoken"]

_PROTOCOLS: Mapping[str, str] = {
    "openai-chat": "langchain_autoprovider.openai_protocol",
    "openai-responses": "langchain_autoprovider.openai_protocol",
}
"""Protocol → the module that speaks it, as a `SpeaksProtocol`."""


class SpeaksProtocol(Protocol):
    """What a protocol's module offers."""

    def connect(self, route: Route, access: Access) -> BaseChatModel:
        """Return a chat model for calls without an event loop."""

    async def aconnect(self, route: Route, access: Access) -> tuple[BaseChatModel, object]:
        """Return a chat model for the running event loop, and what keeps it open."""

    def client(self, route: Route, access: Access) -> Any:
        """Return an object with OpenAI's `chat.completions.create`."""


_Identity = tuple[object, ...]
_connections: dict[_Identity, BaseChatModel] = {}
_of_loop: WeakKeyDictionary[
    asyncio.AbstractEventLoop, dict[_Identity, tuple[BaseChatModel, object]]
] = WeakKeyDictionary()


def protocol(route: Route) -> SpeaksProtocol:
    """Return the module that speaks a route's protocol."""
    return cast("SpeaksProtocol", import_module(_PROTOCOLS[route.endpoint.protocol]))


def unspoken(registry: Registry) -> dict[str, str]:
    """Return the registry's protocols without a module here, each with what to do."""
    used = {e.protocol for p in registry.providers.values() for e in p.endpoints.values()}
    return {
        name: f"its protocol {name!r} is not spoken by this version; use another provider"
        for name in used.difference(_PROTOCOLS)
    }


def connect(route: Route, access: Access) -> BaseChatModel:
    """Return the chat model for a route, for calls without an event loop."""
    identity = _identity(route, access)
    if identity not in _connections:
        _connections[identity] = protocol(route).connect(route, access)
    return _connections[identity]


async def aconnect(route: Route, access: Access) -> BaseChatModel:
    """Return the chat model for a route, for calls on the running event loop."""
    own = _of_loop.setdefault(asyncio.get_running_loop(), {})
    identity = _identity(route, access)
    if identity not in own:
        own[identity] = await protocol(route).aconnect(route, access)
    return own[identity][0]


def _identity(route: Route, access: Access) -> _Identity:
    return (route, access.base_url, access.key.fingerprint if access.key else None)


def _forget() -> None:
    _connections.clear()
    _of_loop.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
