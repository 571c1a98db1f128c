"""Races whose first answer has a flaw: the other attempt gets its time, and the better one wins."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

import factories
from inference_providers.failover import drivers
from inference_providers.failover.engine import failover
from inference_providers.failover.events import AttemptRecord, Flaw, answering_record
from inference_providers.settings import FailoverSettings

if TYPE_CHECKING:
    from inference_providers.failover.engine import Engine
    from inference_providers.failover.events import Attempt

PATIENCE_S = 60.0


def hedged() -> Engine:
    settings = FailoverSettings(hedge_after=0.001)
    plan = factories.plan(*map(factories.route, "ab"))
    return failover(plan, settings=settings, now=time.monotonic())


def judge(_: Attempt, answer: str) -> Flaw | None:
    return None if answer else Flaw.EMPTY_ANSWER


async def race(replies: dict[str, Any], *, is_async: bool) -> tuple[str, tuple[AttemptRecord, ...]]:
    """Run a race in which `a` answers once `b` has been called, and `b` answers after that."""
    if is_async:
        called, answered = asyncio.Event(), asyncio.Event()

        async def asend(attempt: Attempt) -> str:
            if attempt.route.provider == "a":
                await called.wait()
                answered.set()
            else:
                called.set()
                await answered.wait()
                await asyncio.sleep(0.01)
            return reply_of(attempt)

        def reply_of(attempt: Attempt) -> str:
            return raise_or_return(replies[attempt.route.provider])

        return await drivers.acall(hedged(), asend, judge)
    b_called, a_answered = threading.Event(), threading.Event()

    def send(attempt: Attempt) -> str:
        if attempt.route.provider == "a":
            assert b_called.wait(PATIENCE_S)
            a_answered.set()
        else:
            b_called.set()
            assert a_answered.wait(PATIENCE_S)
            time.sleep(0.01)
        return raise_or_return(replies[attempt.route.provider])

    return drivers.call(hedged(), send, judge)


def raise_or_return(reply: Any) -> str:
    if isinstance(reply, Exception):
        raise reply
    return str(reply)


@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
@pytest.mark.parametrize(
    ("replies", "answer", "provider"),
    [
        ({"a": "", "b": "good"}, "good", "b"),
        ({"a": "good", "b": ""}, "good", "a"),
        ({"a": "", "b": ConnectionError("no")}, "", "a"),
        ({"a": ConnectionError("no"), "b": ""}, "", "b"),
        ({"a": "", "b": TypeError("a bug")}, "", "a"),
    ],
    ids=str,
)
async def test_race_keeps_the_better_answer(
    replies: dict[str, Any], answer: str, provider: str, is_async: bool
) -> None:
    got, attempts = await race(replies, is_async=is_async)
    assert got == answer
    assert answering_record(attempts).route.provider == provider
    assert len(attempts) == 2
