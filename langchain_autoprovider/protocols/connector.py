"""How the module of a protocol opens the chat models of its routes."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any

import httpx
from msgspec import Struct

from inference_providers.wire.http.event_loops import close_with_loop
from langchain_autoprovider.http.clients import client_options, install_hooks

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from langchain_core.language_models import BaseChatModel

    from inference_providers.routing.backend import Access
    from inference_providers.types import Route

__all__ = ["Connector", "WireConnector"]


def _no_options(_: Access) -> dict[str, Any]:
    return {}


def _no_plain_client(_: Route, __: Access) -> None:
    return None


class Connector(Struct, frozen=True, kw_only=True):
    """Opens connections through a vendor's SDK. The protocol's module has one, named `CONNECTOR`.

    It creates the HTTP client of a route, installs its hooks and closes it: a synchronous client
    together with its chat model, an asynchronous one together with its event loop.

    Attributes:
        build: Returns the chat model of a route, given an HTTP client.
        abuild: The same for an asynchronous client. `None` if the vendor's class makes its
            asynchronous calls in threads; those use the model of `build`.
        http_client: The class of the HTTP client, as the vendor's SDK expects it.
        async_http_client: The class of the asynchronous HTTP client.
        options: Returns the client's arguments besides those that all routes share.
        plain_client: Returns OpenAI's own client for a route, or `None` if the endpoint has no
            OpenAI-compatible chat completions; then `openai_facade` is used instead.
    """

    build: Callable[[Route, Access, Any], BaseChatModel]
    abuild: Callable[[Route, Access, Any], Awaitable[BaseChatModel]] | None
    http_client: type = httpx.Client
    async_http_client: type = httpx.AsyncClient
    options: Callable[[Access], dict[str, Any]] = _no_options
    plain_client: Callable[[Route, Access], Any] = _no_plain_client

    def connect(self, route: Route, access: Access) -> BaseChatModel:
        """Return a chat model for calls without an event loop."""
        http = self.http_client(**client_options(access), **self.options(access))
        install_hooks(http, route, access)
        model = self.build(route, access, http)
        weakref.finalize(model, http.close)
        return model

    async def aconnect(self, route: Route, access: Access) -> tuple[BaseChatModel, object]:
        """Return a chat model for the running event loop, and an object that keeps it open."""
        if self.abuild is None:
            return self.connect(route, access), None
        http = self.async_http_client(**client_options(access), **self.options(access))
        install_hooks(http, route, access)
        model = await self.abuild(route, access, http)
        return model, await close_with_loop(http.aclose)


class WireConnector(Struct, frozen=True, kw_only=True):
    """Opens the chat models of a protocol that our own HTTP client speaks.

    Threads and event loops may share such a model: its client keeps their connections apart.

    Attributes:
        connect: Returns the chat model of a route.
        plain_client: As for `Connector`.
    """

    connect: Callable[[Route, Access], BaseChatModel]
    plain_client: Callable[[Route, Access], Any]
