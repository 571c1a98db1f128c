"""One aiohttp session for each event loop, shared by all clients.

* A session is created on first use and closed when its loop shuts down. The session of a loop that
  was closed without a shutdown is dropped when the next session is created.
* One limit covers the whole time to connect: host lookup, handshakes and the proxy's reply.
* The key is added to a request when its head is written, and removed right after.
* A forked child starts without sessions. It does not touch its parent's: closing a transport would
  change the parent's selector.

Import this module in a thread: aiohttp takes a quarter of a second.
"""

from __future__ import annotations

import asyncio
import os
import select
import threading
import weakref
from contextlib import suppress
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any

import aiohttp
from aiohttp import hdrs
from aiohttp.client_proto import ResponseHandler
from yarl import URL

from inference_providers.errors import one_line
from inference_providers.wire.http.connection_limits import MAX_CONNECTIONS, MAX_IDLE_CONNECTION_S
from inference_providers.wire.http.event_loops import close_with_loop
from inference_providers.wire.http.outgoing_request import OUTGOING
from inference_providers.wire.http.transport_errors import (
    Translations,
    broken,
    connect_timeout,
    proxy_failed,
    reason_in,
    silent,
    unconnected,
)

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from aiohttp.connector import Connection
    from aiohttp.tracing import Trace

__all__ = [
    "TRANSLATIONS",
    "new_session",
    "parsed_url",
    "session_of_this_loop",
    "timeout_of",
    "unread_bytes",
]

MAX_HEADER_BYTES = 64 * 1024
"""The longest header line. aiohttp's own limit is 8 KiB, and policies in headers may be longer."""

TRANSLATIONS: Translations = (
    (aiohttp.ConnectionTimeoutError, lambda _, host, limits: connect_timeout(host, limits)),
    (TimeoutError, lambda _, host, limits: silent(host, limits)),
    (
        aiohttp.ClientHttpProxyError,
        lambda error, host, _: proxy_failed(host, f"{error.status} {one_line(error.message)}"),
    ),
    (
        aiohttp.ClientConnectorError,
        lambda error, host, _: unconnected(host, reason_in(error.os_error)),
    ),
    (aiohttp.ClientResponseError, lambda error, host, _: broken(host, one_line(error.message))),
    (aiohttp.ClientError, lambda error, host, _: broken(host, reason_in(error))),
)

_sessions: dict[
    asyncio.AbstractEventLoop, tuple[aiohttp.ClientSession, AsyncGenerator[None] | None]
] = {}
_lock = threading.Lock()
_inherited: list[Any] = []
"""Objects of its parent that a forked child keeps, so that they are never finalized there."""


def session_of_this_loop() -> aiohttp.ClientSession | None:
    """Return the session of the running loop, if it has one that is open."""
    entry = _sessions.get(asyncio.get_running_loop())
    return None if entry is None or entry[0].closed else entry[0]


async def new_session() -> aiohttp.ClientSession:
    """Create the session of the running loop."""
    loop = asyncio.get_running_loop()
    session = aiohttp.ClientSession(
        connector=_Connector(
            limit=0,
            limit_per_host=MAX_CONNECTIONS,
            keepalive_timeout=MAX_IDLE_CONNECTION_S,
            resolver=aiohttp.ThreadedResolver(),  # looks up hosts as synchronous calls do
        ),
        request_class=_Request,
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        trust_env=False,  # it would send passwords from .netrc
        max_line_size=MAX_HEADER_BYTES,
        max_field_size=MAX_HEADER_BYTES,
    )
    with _lock:
        _drop_closed_loops()
        _sessions[loop] = (session, None)
    closer = await close_with_loop(session.close)
    _sessions[loop] = (session, closer)
    return session


@lru_cache(maxsize=1024)
def parsed_url(url: str) -> URL:
    """Return a URL as aiohttp expects it, without quoting it again."""
    return URL(url, encoded=True)


@lru_cache(maxsize=256)
def timeout_of(connect_s: float, silence_s: float | None) -> aiohttp.ClientTimeout:
    """Return the limits of one request, as aiohttp expects them."""
    return aiohttp.ClientTimeout(
        total=None, connect=None, sock_connect=connect_s, sock_read=silence_s
    )


def unread_bytes(content: aiohttp.StreamReader) -> bytes:
    """Return the bytes that were received before a body failed.

    aiohttp raises the failure first and withholds the bytes before it, which may be the end of an
    answer.
    """
    data: bytes = content._read_nowait(-1)  # noqa: SLF001 - there is no public way
    return data


class _Request(aiohttp.ClientRequest):
    """A request whose key exists only while its head is written."""

    async def send(self, conn: Connection) -> aiohttp.ClientResponse:
        """Write the request. The objects that this creates share `headers`, but not the key.

        Raises:
            KeyBindingError: The key does not belong to where the request goes.
        """
        request = OUTGOING.get()
        if request is None or hdrs.AUTHORIZATION in self.headers:
            return await super().send(conn)
        if (value := request.take_key()) is None:
            return await super().send(conn)
        self.headers[hdrs.AUTHORIZATION] = f"Bearer {value}"
        try:
            return await super().send(conn)
        finally:
            del self.headers[hdrs.AUTHORIZATION]


class _Protocol(ResponseHandler):
    """A connection that reports a reset as an error even if the body ends with the connection.

    Attributes:
        has_served: Whether a request was sent on it before.
    """

    has_served = False

    def is_closed_by_server(self) -> bool:
        """Whether the socket has unread bytes. On an idle connection, they are its end."""
        sock = None if self.transport is None else self.transport.get_extra_info("socket")
        return sock is None or is_readable(sock.fileno())

    def connection_lost(self, exc: BaseException | None) -> None:
        """Report the error to the reader of the body."""
        if isinstance(exc, OSError) and self._payload is not None:
            self._payload.set_exception(aiohttp.ClientOSError(*exc.args))
        super().connection_lost(exc)


class _Connector(aiohttp.TCPConnector):
    """A pool with one limit for connecting, which can be dropped after its loop was closed."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._factory: Any = partial(_Protocol, loop=self._loop)
        self._transports: weakref.WeakSet[asyncio.Transport] = weakref.WeakSet()

    def __del__(self, *_: object) -> None:
        """Do nothing: the base would use the loop, which may be closed or a parent's."""

    async def connect(
        self,
        req: aiohttp.ClientRequest,
        traces: list[Trace],
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109 - aiohttp's name
    ) -> Connection:
        """Return a connection that the server has not closed.

        A loop that was blocked or did not run for a while has not yet noticed which idle
        connections were closed.
        """
        while True:
            connection = await super().connect(req, traces, timeout)
            protocol = connection.protocol
            if not isinstance(protocol, _Protocol) or not protocol.has_served:
                break
            if not protocol.is_closed_by_server():
                return connection
            connection.close()
        if isinstance(protocol, _Protocol):
            protocol.has_served = True
        return connection

    async def _create_connection(
        self,
        req: aiohttp.ClientRequest,
        traces: list[Trace],
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109 - aiohttp's name
    ) -> ResponseHandler:
        async with asyncio.timeout(timeout.sock_connect):
            protocol = await super()._create_connection(req, traces, timeout)
        if protocol.transport is not None:
            self._transports.add(protocol.transport)
        return protocol

    def release_sockets(self) -> None:
        """Close all sockets without the loop, which is closed."""
        for transport in list(self._transports):
            # asyncio has no public way to close a transport whose loop is closed.
            with suppress(Exception):
                transport.abort()
            tls = getattr(transport, "_ssl_protocol", None)
            plain = transport if tls is None else getattr(tls, "_transport", None)
            with suppress(Exception):
                plain._call_connection_lost(None)  # type: ignore[union-attr] # noqa: SLF001


def is_readable(file: int) -> bool:
    """Whether a read from a socket would return at once."""
    if hasattr(select, "poll"):
        poll = select.poll()
        poll.register(file, select.POLLIN)
        return bool(poll.poll(0))
    return bool(select.select([file], [], [], 0)[0])  # on Windows, `select` takes any file number


def _drop_closed_loops() -> None:
    for loop in [loop for loop in _sessions if loop.is_closed()]:
        session, _ = _sessions.pop(loop)
        connector = session.connector
        session.detach()
        if isinstance(connector, _Connector):
            connector.release_sockets()


def _forget_sessions() -> None:
    global _lock  # noqa: PLW0603 - a thread of the parent may hold the old one
    _lock = threading.Lock()
    for session, closer in _sessions.values():
        _inherited.append((session.connector, closer))
        session.detach()
    _sessions.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_sessions)
