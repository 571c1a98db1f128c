"""Whether code may block: reading files on an event loop stops everything that runs on it."""

from __future__ import annotations

import asyncio

__all__ = ["is_running"]


def is_running() -> bool:
    """Whether this thread runs an event loop."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
