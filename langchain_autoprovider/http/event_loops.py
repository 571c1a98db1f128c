"""What belongs to an event loop ends with it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable

__all__ = ["close_with_loop"]


async def close_with_loop(close: Callable[[], Awaitable[None]]) -> AsyncGenerator[None]:
    """Have `close` awaited when the running loop shuts down.

    Keep the returned generator as long as the thing to close: `asyncio.run` and its
    kin close every suspended asynchronous generator before they close the loop, which
    is the only notice of the end that asyncio gives.
    """
    keeper = _keeper(close)
    await anext(keeper)
    return keeper


async def _keeper(close: Callable[[], Awaitable[None]]) -> AsyncGenerator[None]:
    try:
        yield
    finally:
        await close()
