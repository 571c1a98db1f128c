"""The deadline for the blocking reads of one attempt. The engine keeps that of the whole call.

An event loop can cancel a read that is under way. A blocking read ends only by its own
timeout, and bytes without meaning, such as keep-alive comments, restart that timeout. So
an attempt publishes its deadline in a context variable, and the transport looks it up
before each read.
"""

from __future__ import annotations

import threading
import time
from contextvars import ContextVar
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextvars import Token

__all__ = ["ReadDeadline", "current_deadline"]

_CURRENT: ContextVar[ReadDeadline | None] = ContextVar("read_deadline", default=None)


class ReadDeadline:
    """Until when the reads of one attempt may go on, and how to end the one under way.

    Use it as a context manager around each piece of work on the attempt, in one thread at a
    time. Another thread may `cancel` it.

    Args:
        at: The deadline on the monotonic clock, in seconds. May be moved between reads.
    """

    def __init__(self, at: float) -> None:
        self.at = at
        self.cancelled = False
        self._shut: Callable[[], None] | None = None
        self._lock = threading.Lock()
        self._token: Token[ReadDeadline | None] | None = None

    def __enter__(self) -> Self:
        self._token = _CURRENT.set(self)
        return self

    def __exit__(self, *_: object) -> None:
        if self._token is not None:
            _CURRENT.reset(self._token)

    def begin_read(self, shut: Callable[[], None]) -> float:
        """Record that a read begins; `cancel` calls `shut` to end it. Pair with `end_read`.

        Returns:
            How long the read may take, in seconds; zero or less if no time is left.
        """
        with self._lock:
            self._shut = shut
            return 0.0 if self.cancelled else self.at - time.monotonic()

    def end_read(self) -> None:
        """Record that the read has ended."""
        with self._lock:
            self._shut = None

    def cancel(self) -> None:
        """End the attempt from another thread: the read under way and all that follow."""
        with self._lock:
            self.cancelled = True
            if self._shut is not None:
                self._shut()


def current_deadline() -> ReadDeadline | None:
    """Return the deadline of the attempt that runs in this context, if any."""
    return _CURRENT.get()
