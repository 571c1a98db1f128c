"""Passes a stream from the HTTP client through a reader.

Whatever the reader returns is passed on at once. After a finish reason the answer is complete: a
cut or silence then ends the stream normally.
"""

from __future__ import annotations

import math
import time
from contextlib import aclosing, closing
from typing import TYPE_CHECKING, Any, Protocol

from inference_providers.errors import ProviderTimeoutError, ProviderUnreachableError
from inference_providers.wire.exchange import END_GRACE_S, current_exchange

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator

__all__ = ["Reader", "aread_stream", "read_stream"]

_BROKEN = (ProviderTimeoutError, ProviderUnreachableError)


class Reader(Protocol):
    """Turns the bytes of one stream into dicts, and judges them."""

    @property
    def finished(self) -> bool:
        """Whether a finish reason was read."""

    done: bool
    """Whether the end mark was read."""

    def feed(self, data: bytes) -> list[dict[str, Any]]:
        """Return what the next bytes complete."""

    def end(self) -> list[dict[str, Any]]:
        """Return the remaining dicts; raise an error if the answer is not a good one."""


def read_stream(reader: Reader, parts: Generator[bytes]) -> Generator[dict[str, Any]]:
    """Yield what `reader` returns for the bytes of one stream; close `parts` at the end.

    Raises:
        InferenceProvidersError: Whatever the reader and the client raise, except for a broken or
            silent connection after a finish reason.
    """
    with closing(parts):
        try:
            for part in parts:
                yield from reader.feed(part)
                if reader.finished:
                    _expect_end()
                if reader.done:
                    break
        except _BROKEN:
            if not reader.finished:
                raise
        yield from reader.end()


async def aread_stream(
    reader: Reader, parts: AsyncGenerator[bytes]
) -> AsyncGenerator[dict[str, Any]]:
    """Yield what `reader` returns, as `read_stream` does, on an event loop."""
    async with aclosing(parts):
        try:
            async for part in parts:
                for item in reader.feed(part):
                    yield item
                if reader.finished:
                    _expect_end()
                if reader.done:
                    break
        except _BROKEN:
            if not reader.finished:
                raise
        for item in reader.end():
            yield item


def _expect_end() -> None:
    """Limit the wait for the rest of the stream, such as the usage.

    The limit is at most half of the attempt's remaining time, so that the attempt's own deadline
    does not turn a complete answer into a failure.
    """
    if (exchange := current_exchange()) is not None and exchange.ends_at == math.inf:
        remaining_s = exchange.deadline - time.monotonic()
        exchange.expect_end(min(END_GRACE_S, remaining_s / 2))
