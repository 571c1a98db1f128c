"""Deadlines for the blocking reads of httpx and httpx2 clients; see `wire.http.network_backend`."""

from __future__ import annotations

from typing import Any

from inference_providers.wire.http.network_backend import DeadlineBackend

__all__ = ["enforce_read_deadline"]


def enforce_read_deadline(client: Any) -> None:
    """Limit the reads of a synchronous httpx client to the running attempt's deadline."""
    for transport in (client._transport, *client._mounts.values()):  # noqa: SLF001 - no public seam
        pool = getattr(transport, "_pool", None)
        if pool is not None:
            pool._network_backend = DeadlineBackend(pool._network_backend)  # noqa: SLF001
