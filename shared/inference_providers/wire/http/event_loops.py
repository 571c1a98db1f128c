"""Closing a resource when the event loop that uses it shuts down."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable

__all__ = ["close_with_loop"]


async def close_with_loop(close: Callable[[], Awaitable[None]]) -> AsyncGenerator[None]:
    """Await `close` when the running event loop shuts down.

    Keep a reference to the returned generator for as long as the resource is in use. asyncio does
    not announce the end of a loop, but `asyncio.run` closes every suspended asynchronous
    generator before it closes the loop.
    """
    closer = _close_at_exit(close)
    await anext(closer)
    return closer


async def _close_at_exit(close: Callable[[], Awaitable[None]]) -> AsyncGenerator[None]:
    try:
        yield
    finally:
        await close()
