"""A clock that can be put forward: minutes between calls take no time to play.

It must be installed before the library under test is imported, which may keep a
reference to a function of `time`. Waits on a network stay real; a sleep between two
attempts of the call under way puts the clock forward instead.
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
        """Put it in place of the functions of `time`, and of both ways to sleep."""
        real_sleep = time.sleep
        for name, unit in (("time", 1.0), ("monotonic", 1.0), ("time_ns", 1e9)):
            setattr(time, name, self._shifted(getattr(time, name), unit))

        def sleep(seconds: float) -> None:
            if threading.current_thread() is self._thread:
                self._ahead_s += seconds
            else:
                real_sleep(seconds)

        async def asleep(delay: float, result: Any = None) -> Any:
            if self._calls and _CALL.get() == self._calls:
                self._ahead_s += max(0.0, delay)
                delay = 0
            return await _SLEEP(delay, result)

        time.sleep = sleep
        asyncio.sleep = asleep  # type: ignore[assignment]

    def begin(self) -> None:
        """Note that a call begins: sleeps of this task, and of those it starts, take no time.

        Those that earlier calls have started, such as a log that is written every few
        seconds, sleep as ever.
        """
        self._calls += 1
        _CALL.set(self._calls)

    def end(self) -> None:
        """Note that a call has ended."""
        self._ended = time.monotonic()

    def forward(self, seconds: float) -> None:
        """Make it this long since the last call ended, whatever it took the others to play."""
        self._ahead_s += self._ended + seconds - time.monotonic()

    def _shifted(self, real: Any, unit: float) -> Any:
        return lambda: real() + type(real())(self._ahead_s * unit)
