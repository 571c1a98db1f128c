"""Deadlines for the blocking connections of httpcore, which also add the key to a request.

A synchronous client's own timeout limits the silence between two bytes, not the whole call. Here,
each connect, handshake, read and write is limited to the time that the attempt has left (see
`inference_providers.wire.exchange`), and `Exchange.cancel` ends the one under way. A host lookup
cannot be interrupted.

The classes wrap a network backend of httpcore, which httpx and httpx2 use as well. None of these
libraries is imported here.
"""

from __future__ import annotations

import os
import socket
import sys
import weakref
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from inference_providers.wire.exchange import current_exchange
from inference_providers.wire.http.outgoing_request import OUTGOING

if TYPE_CHECKING:
    from collections.abc import Callable

    from inference_providers.wire.exchange import Exchange

__all__ = ["DeadlineBackend"]

_WRITE_BYTES = 64 * 1024
"""How many bytes are written before the deadline is checked again."""


class DeadlineBackend:
    """A network backend whose connections respect the attempt's deadline.

    Args:
        backend: The backend of the HTTP library, which opens the connections.
    """

    def __init__(self, backend: Any) -> None:
        self._backend = backend

    def connect_tcp(
        self, host: str, port: int, timeout: float | None = None, **options: Any
    ) -> DeadlineConnection:
        """Open a connection.

        Raises:
            ConnectTimeout: The connection was not opened in time. The class is the library's.
            ConnectError: The connection failed.
        """
        if (exchange := current_exchange()) is not None:
            # There is no socket yet that `cancel` could shut down.
            timeout = _limit_s(exchange, None, timeout, self._backend, "ConnectTimeout")
        stream = self._backend.connect_tcp(host, port, timeout=timeout, **options)
        return DeadlineConnection(stream)

    def connect_unix_socket(self, *args: Any, **kwargs: Any) -> DeadlineConnection:
        """Open a connection to a Unix socket."""
        return DeadlineConnection(self._backend.connect_unix_socket(*args, **kwargs))

    def sleep(self, seconds: float) -> None:
        """Sleep between two attempts to connect."""
        self._backend.sleep(seconds)


class DeadlineConnection:
    """A connection that ends at the attempt's deadline.

    Args:
        stream: The connection of the HTTP library.
    """

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self.close = stream.close
        self.get_extra_info = stream.get_extra_info
        _open_connections.add(self)

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Read up to `max_bytes`.

        Raises:
            ReadTimeout: No byte arrived in time. The class is the library's, here and below.
            ReadError: The connection broke, or the attempt was cancelled.
        """
        read: Callable[..., bytes] = self._stream.read
        if (exchange := current_exchange()) is None:
            return read(max_bytes, timeout)
        try:
            timeout = _limit_s(exchange, self._shut_down, timeout, self._stream, "ReadTimeout")
            return read(max_bytes, timeout)
        finally:
            exchange.end_read()

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Write all of `buffer`, with the key if it is the head of a request.

        Raises:
            WriteTimeout: The other side did not accept it in time.
            WriteError: The connection broke, or the attempt was cancelled.
            KeyBindingError: The key does not belong to where the request goes.
        """
        if buffer and (request := OUTGOING.get()) is not None:
            buffer = request.next_bytes(buffer)
        if not buffer:
            return
        if (exchange := current_exchange()) is None:
            self._stream.write(buffer, timeout)
            return
        try:
            for start in range(0, len(buffer), _WRITE_BYTES):
                limit_s = _limit_s(exchange, self._shut_down, timeout, self._stream, "WriteTimeout")
                self._stream.write(buffer[start : start + _WRITE_BYTES], limit_s)
        finally:
            exchange.end_read()

    def start_tls(
        self, ssl_context: Any, server_hostname: str | None = None, timeout: float | None = None
    ) -> DeadlineConnection:
        """Encrypt the connection.

        Raises:
            ConnectTimeout: The handshake did not end in time.
            ConnectError: The handshake failed, or the attempt was cancelled.
        """
        exchange = current_exchange()
        try:
            if exchange is not None:
                timeout = _limit_s(
                    exchange, self._shut_down, timeout, self._stream, "ConnectTimeout"
                )
            encrypted = self._stream.start_tls(ssl_context, server_hostname, timeout)
        except BaseException:
            self.close()
            raise
        finally:
            if exchange is not None:
                exchange.end_read()
        return DeadlineConnection(encrypted)

    def _shut_down(self) -> None:
        with suppress(OSError):  # the server may have closed it already
            self.get_extra_info("socket").shutdown(socket.SHUT_RDWR)


def _limit_s(
    exchange: Exchange,
    shut: Callable[[], None] | None,
    timeout_s: float | None,
    source: Any,
    error_name: str,
) -> float:
    """Return how long an operation may take; `exchange.cancel` will call `shut` to end it.

    Raises:
        Exception: No time is left. Its class is `error_name`, of the library that `source` is from.
    """
    remaining_s = exchange.begin_read(shut)
    if remaining_s <= 0:
        library = sys.modules[type(source).__module__.partition(".")[0]]
        error: Exception = getattr(library, error_name)("the attempt has no time left")
        raise error
    return remaining_s if timeout_s is None else min(timeout_s, remaining_s)


_open_connections: weakref.WeakSet[DeadlineConnection] = weakref.WeakSet()


def _close_inherited_connections() -> None:
    """Close the parent's connections in a forked child, which must not read from them.

    Otherwise a connection that the parent closes would stay open for its server.
    """
    for connection in list(_open_connections):
        with suppress(OSError):
            connection.close()
    _open_connections.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_close_inherited_connections)
