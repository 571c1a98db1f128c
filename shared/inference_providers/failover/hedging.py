"""Two routes at once: the second is asked when the first has shown nothing in time.

Without an event loop each runs in a thread, and the slower one's connection is shut
under it; with one each is a task, and the slower one is cancelled.
"""

from __future__ import annotations

import asyncio
import contextvars
import threading
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar, cast

from inference_providers.failover.events import Attempt, Cancelled, Failure, Race, Raced
from inference_providers.failover.stream_buffer import ms_since

if TYPE_CHECKING:
    from collections.abc import Callable

    from inference_providers.failover.events import Outcome

__all__ = ["arun", "report", "run"]

Lost = tuple[Attempt, Failure | Cancelled]


class Contender(Protocol):
    """One attempt under way; `outcome` is `None` while a stream is still to be read."""

    attempt: Attempt
    outcome: Outcome | None
    started: float

    def lead(self) -> Any:
        """Go on up to the answer, or the first output."""

    def drop(self) -> Any:
        """End it: another was faster."""


K = TypeVar("K", bound=Contender)


def run(step: Attempt | Race, make: Callable[[Attempt], K]) -> tuple[K, Lost | None]:
    """Ask as `step` says; return who leads, and what became of who fell behind."""
    if isinstance(step, Attempt):
        one = make(step)
        one.lead()
        return one, None
    threads = _Threads(make)
    leads = None
    try:
        threads.start(step.first)
        try:
            leads = threads.first_ready(step.after_s)
        except Empty:
            threads.start(step.second)
            leads = threads.first_ready()
            if isinstance(leads.outcome, Failure):
                leads = threads.first_ready()
    finally:
        behind = [one for one in threads.started if one is not leads]
        lost = [_lost(one) for one in behind]
        for one in behind:
            one.drop()
    return leads, next(iter(lost), None)


class _Threads(Generic[K]):
    """Contenders at work, a thread each."""

    def __init__(self, make: Callable[[Attempt], K]) -> None:
        self.started: list[K] = []
        self._make = make
        self._ready: SimpleQueue[tuple[K, BaseException | None]] = SimpleQueue()

    def start(self, attempt: Attempt) -> None:
        one = self._make(attempt)
        self.started.append(one)
        work = contextvars.copy_context().run
        threading.Thread(target=work, args=(self._lead, one), daemon=True).start()

    def first_ready(self, timeout_s: float | None = None) -> K:
        """Return who is next to lead, or to fail; raise what was raised in its thread."""
        one, error = self._ready.get(timeout=timeout_s)
        if error is not None:
            raise error
        return one

    def _lead(self, one: K) -> None:
        try:
            one.lead()
        except BaseException as error:  # noqa: BLE001 - raised again in the caller's thread
            self._ready.put((one, error))
        else:
            self._ready.put((one, None))


async def arun(step: Attempt | Race, make: Callable[[Attempt], K]) -> tuple[K, Lost | None]:
    """Ask as `step` says, as `run` does."""
    if isinstance(step, Attempt):
        one = make(step)
        await one.lead()
        return one, None
    started: dict[asyncio.Task[None], K] = {}

    def start(attempt: Attempt) -> asyncio.Task[None]:
        one = make(attempt)
        task: asyncio.Task[None] = asyncio.ensure_future(one.lead())
        started[task] = one
        return task

    async def first_ready(waiting: set[asyncio.Task[None]]) -> asyncio.Task[None]:
        done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        task = next(task for task in started if task in done)
        task.result()
        return task

    leads = None
    try:
        first = start(step.first)
        await asyncio.wait({first}, timeout=step.after_s)
        if not first.done():
            start(step.second)
        leads = await first_ready(set(started))
        if isinstance(started[leads].outcome, Failure) and len(started) > 1:
            leads = await first_ready(set(started) - {leads})
    finally:
        behind = [task for task in started if task is not leads]
        lost = [_lost(started[task]) for task in behind]
        for task in behind:
            task.cancel()
        await asyncio.gather(*behind, return_exceptions=True)
        for task in behind:
            await started[task].drop()
    return started[leads], next(iter(lost), None)


def report(leads: Contender, lost: Lost | None) -> Outcome | Raced:
    """Return what the engine is sent once the leading attempt has ended."""
    decisive = cast("Outcome", leads.outcome)
    return decisive if lost is None else Raced(behind=lost, last=(leads.attempt, decisive))


def _lost(one: Contender) -> Lost:
    """Say what became of an attempt before it is cancelled."""
    if isinstance(one.outcome, Failure):
        return one.attempt, one.outcome
    return one.attempt, Cancelled(ms=ms_since(one.started))
