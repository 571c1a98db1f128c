"""A clock that can be advanced, so that minutes between calls take no time.

Install it before importing the library under test, which may keep a reference to a function
of `time`. Waits on the network stay real; a sleep between two attempts of the current call
advances the clock instead.
"""

from __future__ import annotations

import asyncio
import threading
import time
from contextvars import ContextVar
from typing import Any

_CALL: ContextVar[int] = ContextVar("_CALL", default=0)
_SLEEP = asyncio.sleep


class Clock:
    """The clock of one process."""

    def __init__(self) -> None:
        self._calls = 0
        self._ahead_s = 0.0
        self._thread = threading.current_thread()
        self._ended = time.monotonic()

    def install(self) -> None:
        """Replace the functions of `time`, and both ways to sleep."""
        real_sleep = time.sleep
        for name, unit in (("time", 1.0), ("monotonic", 1.0), ("time_ns", 1e9)):
            setattr(time, name, self._shifted(getattr(time, name), unit))

        def sleep(seconds: float) -> None:
            if threading.current_thread() is self._thread:
                self._ahead_s += seconds
            else:
                real_sleep(seconds)

        async def async_sleep(delay: float, result: Any = None) -> Any:
            if self._calls and _CALL.get() == self._calls:
                self._ahead_s += max(0.0, delay)
                delay = 0
            return await _SLEEP(delay, result)

        time.sleep = sleep
        asyncio.sleep = async_sleep  # type: ignore[assignment]

    def begin(self) -> None:
        """Record that a call starts: sleeps in this task and the tasks it starts take no time.

        Tasks that earlier calls started, such as a periodic log writer, sleep as usual.
        """
        self._calls += 1
        _CALL.set(self._calls)

    def end(self) -> None:
        """Record that a call has ended."""
        self._ended = time.monotonic()

    def forward(self, seconds: float) -> None:
        """Set the clock to `seconds` after the last call ended, however long the others took."""
        self._ahead_s += self._ended + seconds - time.monotonic()

    def _shifted(self, real: Any, unit: float) -> Any:
        return lambda: real() + type(real())(self._ahead_s * unit)
