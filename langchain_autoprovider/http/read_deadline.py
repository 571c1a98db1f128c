"""Reads that end when the driver says so, for clients of httpx and of its successor httpx2.

A synchronous client's own timeout bounds the silence between two bytes, not the call. Here
each read of a connection first asks what is left (`inference_providers.failover.read_deadline`). The
seam is httpcore's network backend, the same in both generations; neither is imported.
"""

from __future__ import annotations

import socket
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from inference_providers.failover.read_deadline import patience

if TYPE_CHECKING:
    from types import ModuleType

__all__ = ["bound_reads"]


def bound_reads(client: Any) -> None:
    """Make the reads of a synchronous httpx client heed the running attempt's patience."""
    for transport in (client._transport, *client._mounts.values()):  # noqa: SLF001 - no public seam
        pool = getattr(transport, "_pool", None)
        if pool is not None:
            pool._network_backend = _Backend(pool._network_backend)  # noqa: SLF001


class _Backend:
    """A network backend whose connections are bounded."""

    def __init__(self, backend: Any) -> None:
        self._backend = backend

    def connect_tcp(self, *args: Any, **kwargs: Any) -> _Connection:
        return _Connection(self._backend.connect_tcp(*args, **kwargs))

    def connect_unix_socket(self, *args: Any, **kwargs: Any) -> _Connection:
        return _Connection(self._backend.connect_unix_socket(*args, **kwargs))

    def sleep(self, seconds: float) -> None:
        self._backend.sleep(seconds)


class _Connection:
    """A connection of which each read takes no longer than the attempt may."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Return what has come; fail when the attempt has no time left, or is given up."""
        told = patience()
        if told is None:
            return self._read(max_bytes, timeout)
        left_s = told.left_s()
        if left_s <= 0:
            raise self._too_late()
        with told.read(self._shut):
            return self._read(max_bytes, left_s if timeout is None else min(timeout, left_s))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, timeout)

    def close(self) -> None:
        self._stream.close()

    def start_tls(self, *args: Any, **kwargs: Any) -> _Connection:
        return _Connection(self._stream.start_tls(*args, **kwargs))

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)

    def _read(self, max_bytes: int, timeout: float | None) -> bytes:
        data: bytes = self._stream.read(max_bytes, timeout)
        return data

    def _too_late(self) -> Exception:
        """Return the exception that this connection's library raises for a read in vain."""
        error: Exception = _library(type(self._stream)).ReadTimeout("the attempt's time is over")
        return error

    def _shut(self) -> None:
        with suppress(OSError):  # the other side was faster
            self.get_extra_info("socket").shutdown(socket.SHUT_RDWR)


def _library(of: type) -> ModuleType:
    return sys.modules[of.__module__.partition(".")[0]]
