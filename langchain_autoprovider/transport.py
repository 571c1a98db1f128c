"""What all clients of httpx, and of its successor httpx2, share here; neither is imported.

* Reads end when the driver says so. A synchronous client's own timeout bounds the silence
  between two bytes, not the call; here each read of a connection first asks what is left
  (`inference_providers.patience`). The seam is httpcore's network backend.
* What an answer's headers say of used-up limits is heeded before a limit is hit.
* One TLS context per process: making one reads all certificates, some 40 ms.
"""

from __future__ import annotations

import socket
import sys
import time
from contextlib import suppress
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING, Any

from inference_providers.cooldown import HEALTH
from inference_providers.hints import window_s
from inference_providers.patience import patience
from inference_providers.policy import DEFAULT

if TYPE_CHECKING:
    import ssl
    from types import ModuleType

    from inference_providers.routes import Route

__all__ = ["bound_reads", "heed_limits", "tls_context"]


@cache
def tls_context(client_class: type) -> ssl.SSLContext:
    """Return the TLS context that a class of httpx clients makes by default, made once."""
    context: ssl.SSLContext = _library(client_class.__mro__[-2]).create_ssl_context()
    return context


def heed_limits(client: Any, route: Route) -> None:
    """Let `route` rest where the headers of an answer say that one of its limits is used up."""

    def heed(response: Any) -> None:
        headers = {name.lower(): value for name, value in response.headers.items()}
        seconds = window_s(headers, datetime.now(UTC), spent_only=True)
        if seconds and response.is_success:  # of failures, verdicts know more
            HEALTH.exhausted(route, time.monotonic() + min(seconds, DEFAULT.hint_max_s))

    async def aheed(response: Any) -> None:
        heed(response)

    is_async = hasattr(client, "aclose")
    client.event_hooks["response"].append(aheed if is_async else heed)


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
