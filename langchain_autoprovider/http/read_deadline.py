"""Deadlines for the blocking reads of httpx and httpx2 clients.

A synchronous client's own timeout limits the silence between two bytes, not the whole call. Here
each read takes no longer than the attempt has left (see
`inference_providers.wire.exchange`). This wraps httpcore's network backend, which is the
same in both generations; neither is imported.
"""

from __future__ import annotations

import socket
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from inference_providers.wire.exchange import current_exchange

if TYPE_CHECKING:
    from types import ModuleType

__all__ = ["enforce_read_deadline"]


def enforce_read_deadline(client: Any) -> None:
    """Limit the reads of a synchronous httpx client to the running attempt's deadline."""
    for transport in (client._transport, *client._mounts.values()):  # noqa: SLF001 - no public seam
        pool = getattr(transport, "_pool", None)
        if pool is not None:
            pool._network_backend = _DeadlineBackend(pool._network_backend)  # noqa: SLF001


class _DeadlineBackend:
    """A network backend whose connections enforce the deadline."""

    def __init__(self, backend: Any) -> None:
        self._backend = backend

    def connect_tcp(self, *args: Any, **kwargs: Any) -> _DeadlineConnection:
        return _DeadlineConnection(self._backend.connect_tcp(*args, **kwargs))

    def connect_unix_socket(self, *args: Any, **kwargs: Any) -> _DeadlineConnection:
        return _DeadlineConnection(self._backend.connect_unix_socket(*args, **kwargs))

    def sleep(self, seconds: float) -> None:
        self._backend.sleep(seconds)


class _DeadlineConnection:
    """A connection whose reads end at the attempt's deadline."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self.write = stream.write
        self.close = stream.close
        self.get_extra_info = stream.get_extra_info

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Read up to `max_bytes`, waiting no longer than the attempt has left.

        Raises:
            ReadTimeout: The attempt has no time left or was cancelled. The class is httpcore's.
        """
        read: Any = self._stream.read
        if (exchange := current_exchange()) is None:
            data: bytes = read(max_bytes, timeout)
            return data
        remaining_s = exchange.begin_read(self._shut_down)
        try:
            if remaining_s <= 0:
                raise _read_timeout(type(self._stream))
            data = read(max_bytes, remaining_s if timeout is None else min(timeout, remaining_s))
        finally:
            exchange.end_read()
        return data

    def start_tls(self, *args: Any, **kwargs: Any) -> _DeadlineConnection:
        return _DeadlineConnection(self._stream.start_tls(*args, **kwargs))

    def _shut_down(self) -> None:
        with suppress(OSError):  # the server may have closed it already
            self.get_extra_info("socket").shutdown(socket.SHUT_RDWR)


def _read_timeout(stream: type) -> Exception:
    """Return the `ReadTimeout` of the library that a stream's class belongs to."""
    library: ModuleType = sys.modules[stream.__module__.partition(".")[0]]
    error: Exception = library.ReadTimeout("the attempt has no time left")
    return error
