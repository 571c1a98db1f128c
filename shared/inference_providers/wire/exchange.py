"""What one attempt exchanges with a provider: a read deadline, the keys sent, the last status.

An attempt publishes its `Exchange` in a context variable. Whatever sends bytes (our HTTP clients,
the transports of vendors' SDKs) looks it up there:

* It records each key that it sends, so that the attempt's error can be scrubbed even if the key
  was changed or unset in the meantime.
* It records the status of each response. Whatever is raised while a successful response is being
  read is the provider's fault, not the caller's.
* It limits each blocking read to the time that is left. An event loop can cancel a read that is
  under way; a blocking read ends only with its own timeout, and bytes without content, such as
  keep-alive comments, restart that timeout.
"""

from __future__ import annotations

import math
import threading
import time
from contextvars import ContextVar, copy_context
from typing import TYPE_CHECKING, Self, TypeVar

from inference_providers.scrubbing.exceptions import clear_frames

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextvars import Context, Token

    from inference_providers.credentials import Key

__all__ = ["END_GRACE_S", "Exchange", "current_exchange", "excerpt", "scrub_sent_keys"]

END_GRACE_S = 5.0
"""How long the rest of a response may take once the answer is whole, in seconds."""

_EXCERPT_CHARS = 200
_SCRUBBED_CHARS = 20_000
"""How much of a text is scrubbed for an excerpt: many times what the excerpt shows."""

E = TypeVar("E", bound=BaseException)

_CURRENT: ContextVar[Exchange | None] = ContextVar("exchange", default=None)


class Exchange:
    """What one attempt sends and receives.

    Use it as a context manager around each piece of work on the attempt, in one thread at a
    time. Another thread may `cancel` it.

    Args:
        deadline: When blocking reads end, on the monotonic clock in seconds. May be moved
            between reads.

    Attributes:
        status: The HTTP status of the last response; `None` before the first one.
        cancelled: Whether another thread has ended the attempt.
        ends_at: When reading must end because the answer is complete, on the same clock as
            `deadline`; infinity while it is not.
    """

    def __init__(self, deadline: float = math.inf) -> None:
        self.deadline = deadline
        self.status: int | None = None
        self.cancelled = False
        self.ends_at = math.inf
        self._keys: list[Key] = []
        self._shut: Callable[[], None] | None = None
        self._lock = threading.Lock()
        self._token: Token[Exchange | None] | None = None

    def __enter__(self) -> Self:
        self._token = _CURRENT.set(self)
        return self

    def __exit__(self, *_: object) -> None:
        if self._token is not None:
            _CURRENT.reset(self._token)

    def new_context(self) -> Context:
        """Return a copy of the current context in which this exchange is the current one."""
        context = copy_context()
        context.run(_CURRENT.set, self)
        return context

    def record_key(self, key: Key) -> None:
        """Record a key that is about to be sent."""
        if key not in self._keys:
            self._keys.append(key)

    def scrub(self, text: str) -> str:
        """Return `text` without the keys that were sent."""
        for key in self._keys:
            text = key.scrub(text)
        return text

    def scrub_error(self, error: E) -> E:
        """Remove the keys that were sent from an exception, and forget the locals of its frames.

        Returns:
            `error`, or an exception that replaces it if it cannot be changed.
        """
        for key in self._keys:
            error = key.scrub_error(error)
        if self._keys:
            clear_frames(error)
        return error

    def expect_end(self, within_s: float = END_GRACE_S) -> None:
        """Record that the answer is complete: the rest of the response may take `within_s`.

        Readers of a stream call this. They then ignore silence and a broken connection, and the
        HTTP clients wait no longer than `within_s`, with or without an event loop.
        """
        self.ends_at = min(self.ends_at, time.monotonic() + within_s)

    def begin_read(self, shut: Callable[[], None] | None) -> float:
        """Record that a read begins; `cancel` calls `shut` to end it. Always call `end_read` after.

        Writes and connects count as reads here.

        Returns:
            How long the read may take, in seconds; zero or less if no time is left.
        """
        with self._lock:
            self._shut = shut
            ends_at = min(self.deadline, self.ends_at)
            return 0.0 if self.cancelled else ends_at - time.monotonic()

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


def excerpt(text: str, limit: int = _EXCERPT_CHARS) -> str:
    """Return the beginning of a provider's text for a message, without the keys that were sent.

    The keys are removed before the text is cut: half a key would not be recognized.
    """
    return scrub_sent_keys(text[:_SCRUBBED_CHARS])[:limit]


def scrub_sent_keys(text: str) -> str:
    """Return `text` without the keys that the current attempt has sent."""
    exchange = current_exchange()
    return text if exchange is None else exchange.scrub(text)


current_exchange: Callable[[], Exchange | None] = _CURRENT.get
"""Return the exchange of the attempt that runs in this context, if any."""
