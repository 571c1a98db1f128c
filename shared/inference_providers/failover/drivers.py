"""Runs the policy: sync, async, stream and async stream. The only place that sleeps.

What an attempt is, is said in `contenders`, what chunks mean in `reading`; a driver carries
steps to the policy and outcomes back. Cancellation, Ctrl-C and a consumer that stops
early are no outcomes: they propagate, and a half-read stream is closed.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import aclosing, closing
from typing import TYPE_CHECKING, TypeVar

from inference_providers.failover.attempts import AsyncCall, AsyncStream, Call, Stream
from inference_providers.failover.events import Wait, Waited
from inference_providers.failover.hedging import arun, report, run
from inference_providers.settings import DEFAULT_SETTINGS

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Generator

    from inference_providers.failover.attempts import Scrub
    from inference_providers.failover.engine import Engine
    from inference_providers.failover.events import Attempt, AttemptRecord
    from inference_providers.failover.stream_buffer import Reader
    from inference_providers.settings import FailoverSettings

__all__ = ["acall", "astream", "call", "stream"]

A = TypeVar("A")
C = TypeVar("C")


def call(
    engine: Engine, send: Callable[[Attempt], A], scrub: Scrub
) -> tuple[A, tuple[AttemptRecord, ...]]:
    """Run `engine` with `send`; return the answer and what was tried."""
    with closing(engine):
        step = next(engine)
        while True:
            if isinstance(step, Wait):
                time.sleep(step.seconds)
                step = engine.send(Waited(at=time.monotonic()))
                continue
            leads, lost = run(step, lambda attempt: Call(attempt, send, scrub))
            try:
                step = engine.send(report(leads, lost))
            except StopIteration as done:
                return leads.answer, done.value


async def acall(
    engine: Engine, send: Callable[[Attempt], Awaitable[A]], scrub: Scrub
) -> tuple[A, tuple[AttemptRecord, ...]]:
    """Run `engine` with `send`, as `call` does."""
    with closing(engine):
        step = next(engine)
        while True:
            if isinstance(step, Wait):
                await asyncio.sleep(step.seconds)
                step = engine.send(Waited(at=time.monotonic()))
                continue
            leads, lost = await arun(step, lambda attempt: AsyncCall(attempt, send, scrub))
            try:
                step = engine.send(report(leads, lost))
            except StopIteration as done:
                return leads.answer, done.value


def stream(
    engine: Engine,
    open_stream: Callable[[Attempt], Generator[C]],
    new_reader: Callable[[], Reader[C]],
    scrub: Scrub,
    settings: FailoverSettings = DEFAULT_SETTINGS,
) -> Generator[C]:
    """Run `engine`, yielding chunks; the last one is the reader's, made of what was tried."""

    def opened(attempt: Attempt) -> Stream[C]:
        return Stream(attempt, open_stream, new_reader(), scrub, settings)

    with closing(engine):
        step = next(engine)
        while True:
            if isinstance(step, Wait):
                time.sleep(step.seconds)
                step = engine.send(Waited(at=time.monotonic()))
                continue
            leads, lost = run(step, opened)
            with closing(leads):
                yield from leads.held
                while leads.outcome is None:
                    yield from leads.pull()
            try:
                step = engine.send(report(leads, lost))
            except StopIteration as done:
                yield leads.reader.last(done.value)
                return


async def astream(
    engine: Engine,
    open_stream: Callable[[Attempt], AsyncGenerator[C]],
    new_reader: Callable[[], Reader[C]],
    scrub: Scrub,
    settings: FailoverSettings = DEFAULT_SETTINGS,
) -> AsyncGenerator[C]:
    """Run `engine`, yielding chunks, as `stream` does."""

    def opened(attempt: Attempt) -> AsyncStream[C]:
        return AsyncStream(attempt, open_stream, new_reader(), scrub, settings)

    with closing(engine):
        step = next(engine)
        while True:
            if isinstance(step, Wait):
                await asyncio.sleep(step.seconds)
                step = engine.send(Waited(at=time.monotonic()))
                continue
            leads, lost = await arun(step, opened)
            async with aclosing(leads):
                for part in leads.held:
                    yield part
                while leads.outcome is None:
                    for part in await leads.pull():
                        yield part
            try:
                step = engine.send(report(leads, lost))
            except StopIteration as done:
                yield leads.reader.last(done.value)
                return
