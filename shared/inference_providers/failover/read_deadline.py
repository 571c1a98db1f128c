"""How long a read may still take: told by a synchronous driver, kept by the transport.

An event loop can leave a read that is under way; a blocking read ends by its own timeout
only, and bytes without meaning start that anew. So the driver says, in a context variable,
how long the attempt may still take, and the transport asks before each read.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextvars import Token

__all__ = ["Patience", "patience"]

_CURRENT: ContextVar[Patience | None] = ContextVar("patience", default=None)


class Patience:
    """How long the reads of one attempt may take, and how to end the one under way.

    Entered around each piece of work on the attempt; not at the same time from two threads.

    Args:
        left_s: Returns the seconds that are left.
    """

    def __init__(self, left_s: Callable[[], float]) -> None:
        self._left_s = left_s
        self._shut: Callable[[], None] | None = None
        self.gone = False
        self._lock = threading.Lock()
        self._tokens: list[Token[Patience | None]] = []

    def __enter__(self) -> Self:
        self._tokens.append(_CURRENT.set(self))
        return self

    def __exit__(self, *_: object) -> None:
        _CURRENT.reset(self._tokens.pop())

    def left_s(self) -> float:
        """Return how many seconds a read may take now; none once it was given up."""
        return 0.0 if self.gone else self._left_s()

    @contextmanager
    def read(self, shut: Callable[[], None]) -> Iterator[None]:
        """Read within; `shut` is called where that read has to end from another thread."""
        with self._lock:
            self._shut = shut
        try:
            yield
        finally:
            with self._lock:
                self._shut = None

    def give_up(self) -> None:
        """End the attempt from another thread: the read under way, and all that follow."""
        with self._lock:
            self.gone = True
            if self._shut is not None:
                self._shut()


def patience() -> Patience | None:
    """Return what the driver of the running attempt has said, if it said anything."""
    return _CURRENT.get()
