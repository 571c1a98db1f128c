"""Races of two routes: the second is called when the first shows no output in time.

Without an event loop each attempt runs in a thread, and the slower one's connection is shut
down. On an event loop each runs in a task, and the slower one is cancelled. Calls
that are not hedged never run this code.
"""

from __future__ import annotations

import asyncio
import contextvars
import threading
from queue import Empty, SimpleQueue
from time import monotonic
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, Protocol, TypeVar

from inference_providers.failover.attempts import elapsed_ms
from inference_providers.failover.events import Cancelled, Failure, Success

if TYPE_CHECKING:
    from collections.abc import Callable

    from inference_providers.failover.events import Attempt, Outcome, Race

__all__ = ["Loser", "arace", "race"]


class Racer(Protocol):
    """One attempt of a race; see `inference_providers.failover.attempts`."""

    attempt: Attempt
    outcome: Outcome | None
    started_at: float

    def run(self) -> Any:
        """Run to the answer, or to the first output of a stream."""

    def cancel(self) -> Any:
        """End the attempt: another one was faster."""


R = TypeVar("R", bound=Racer)


class Loser(NamedTuple, Generic[R]):
    """The attempt that lost a race, and how it ended."""

    racer: R
    outcome: Outcome | Cancelled


def race(step: Race, new_attempt: Callable[[Attempt], R]) -> tuple[R, Loser[R] | None]:
    """Run a race in threads. A failure or a flawed answer waits for the other attempt.

    Returns:
        The winner, and the loser if the second attempt was started.
    """
    threads = _RacingThreads(new_attempt)
    winner = None
    try:
        threads.start(step.first)
        try:
            winner = threads.next_ready(step.after_s)
        except Empty:
            threads.start(step.second)
            winner = threads.next_ready()
            if not _has_good_answer(winner):
                winner = threads.next_ready()
    finally:
        others = [racer for racer in threads.started if racer is not winner]
        losers = [_as_loser(racer) for racer in others]
        for racer in others:
            racer.cancel()
    return winner, losers[0] if losers else None


class _RacingThreads(Generic[R]):
    """The attempts of a race, one thread each."""

    def __init__(self, new_attempt: Callable[[Attempt], R]) -> None:
        self.started: list[R] = []
        self._new_attempt = new_attempt
        self._ready: SimpleQueue[tuple[R, BaseException | None]] = SimpleQueue()

    def start(self, attempt: Attempt) -> None:
        racer = self._new_attempt(attempt)
        self.started.append(racer)
        run_in_context = contextvars.copy_context().run
        threading.Thread(target=run_in_context, args=(self._run, racer), daemon=True).start()

    def next_ready(self, timeout_s: float | None = None) -> R:
        """Return the next attempt with output or a failure; re-raise what its thread raised."""
        racer, error = self._ready.get(timeout=timeout_s)
        if error is not None:
            raise error
        return racer

    def _run(self, racer: R) -> None:
        try:
            racer.run()
        except BaseException as error:  # noqa: BLE001 - raised again in the caller's thread
            self._ready.put((racer, error))
        else:
            self._ready.put((racer, None))


async def arace(step: Race, new_attempt: Callable[[Attempt], R]) -> tuple[R, Loser[R] | None]:
    """Run a race in tasks, as `race` does in threads."""
    started: dict[asyncio.Task[None], R] = {}

    def start(attempt: Attempt) -> asyncio.Task[None]:
        racer = new_attempt(attempt)
        task: asyncio.Task[None] = asyncio.ensure_future(racer.run())
        started[task] = racer
        return task

    async def next_ready(waiting: set[asyncio.Task[None]]) -> asyncio.Task[None]:
        done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        task = next(task for task in started if task in done)
        task.result()
        return task

    winner = None
    try:
        first = start(step.first)
        await asyncio.wait({first}, timeout=step.after_s)
        if not first.done():
            start(step.second)
        winner = await next_ready(set(started))
        if len(started) > 1 and not _has_good_answer(started[winner]):
            winner = await next_ready(set(started) - {winner})
    finally:
        others = [task for task in started if task is not winner]
        losers = [_as_loser(started[task]) for task in others]
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        for task in others:
            await started[task].cancel()
    return started[winner], losers[0] if losers else None


def _has_good_answer(racer: Racer) -> bool:
    """Whether an attempt that is ready has output, or an answer without a flaw."""
    outcome = racer.outcome
    if isinstance(outcome, Success):
        return not outcome.may_be_replaced
    return outcome is None


def _as_loser(racer: R) -> Loser[R]:
    """Return how the losing attempt ended; call it before cancelling the attempt."""
    outcome = racer.outcome
    if isinstance(outcome, Failure) or (isinstance(outcome, Success) and outcome.may_be_replaced):
        return Loser(racer, outcome)
    return Loser(racer, Cancelled(ms=elapsed_ms(racer.started_at, monotonic())))
