"""Hedging: the second route is called when the first is slow; the slower one is cancelled.

A slow reply takes a minute, or waits for the event that must come before it, so that the tests
hold on a slow machine.
"""

from __future__ import annotations

import asyncio
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from factories import eventually
from inference_providers import AllRoutesFailed, StreamInterrupted, health
from inference_providers.failover.state import PROCESS_STATE
from inference_providers.testing import Reply

if TYPE_CHECKING:
    from collections.abc import Callable

    from factories import Pair
    from inference_providers.testing import Request

SLOW = Reply("from first", delay_s=60)
SOON_S = 0.1


def attempts_of(answer: Any) -> list[tuple[str, str, str | None]]:
    attempts = answer.response_metadata["autoprovider"]["attempts"]
    return [(a["provider"], a["outcome"], a["class"]) for a in attempts]


def once_both_are_called(pair: Pair, reply: Reply) -> Callable[[Request], Reply]:
    """Return a reply that the first provider sends once the second one was called too."""

    def replied(_: Request) -> Reply:
        end = time.monotonic() + 20
        while not pair.second.requests and time.monotonic() < end:
            time.sleep(0.01)
        return reply

    return replied


@pytest.mark.parametrize(
    "slow",
    [SLOW, Reply("from first", keep_alive_s=60), Reply(fault="hang")],
    ids=["late", "keep-alive", "hang"],
)
async def test_race_is_won_by_the_second_and_cancels_the_first(
    pair: Pair, ask: Callable[..., Any], slow: Reply
) -> None:
    pair.plays(slow)
    answer = await ask(pair.model(hedge_after=SOON_S), "Hi")
    assert answer.text == "from second"
    assert attempts_of(answer) == [("first", "cancelled", None), ("second", "success", None)]
    assert health().rows == (), "losing a race counted as a failure"
    await eventually(lambda: pair.first.abandoned or slow.fault)


async def test_race_is_not_started_for_a_fast_first_route(
    pair: Pair, ask: Callable[..., Any]
) -> None:
    answer = await ask(pair.model(hedge_after=30), "Hi")
    assert attempts_of(answer) == [("first", "success", None)]
    assert not pair.second.requests


async def test_race_is_not_started_once_the_first_shows_output(
    pair: Pair, ask: Callable[..., Any]
) -> None:
    pair.plays(Reply("one two", chunk_delay_s=1.0))  # after the role, each word, the end
    answer = await ask(pair.model(hedge_after=2.5), "Hi")
    assert answer.text == "one two"
    assert not pair.second.requests


async def test_race_may_still_be_won_by_the_first(pair: Pair, ask: Callable[..., Any]) -> None:
    pair.first.replies = [once_both_are_called(pair, Reply("from first"))]
    pair.second.replies = [SLOW]
    answer = await ask(pair.model(hedge_after=SOON_S), "Hi")
    assert answer.text == "from first"
    assert attempts_of(answer) == [("second", "cancelled", None), ("first", "success", None)]
    await eventually(lambda: pair.second.abandoned)


async def test_race_goes_on_when_the_first_fails(pair: Pair, ask: Callable[..., Any]) -> None:
    pair.first.replies = [once_both_are_called(pair, Reply(status=503))]
    pair.second.replies = [Reply("from second", delay_s=1.5)]
    answer = await ask(pair.model(hedge_after=SOON_S), "Hi")
    assert answer.text == "from second"
    assert attempts_of(answer) == [("first", "failure", "overloaded"), ("second", "success", None)]


async def test_race_in_which_both_fail_lists_both(pair: Pair, ask: Callable[..., Any]) -> None:
    pair.first.replies = [once_both_are_called(pair, Reply(status=503))]
    pair.second.replies = [Reply(status=402)]
    with pytest.raises(AllRoutesFailed, match="2 attempts") as caught:
        await ask(pair.model(hedge_after=SOON_S), "Hi")
    classes = {a.route.provider: a.failure_class for a in caught.value.attempts}
    assert classes == {"first": "overloaded", "second": "quota_exceeded"}


@pytest.mark.parametrize("mode", ["stream", "astream"], indirect=True)
async def test_race_winner_that_breaks_is_interrupted(pair: Pair, ask: Callable[..., Any]) -> None:
    pair.plays(SLOW)
    pair.second.replies = [Reply("one two three", cut_after=3)]
    with pytest.raises(StreamInterrupted) as caught:
        await ask(pair.model(hedge_after=SOON_S), "Hi")
    assert caught.value.route.provider == "second"
    assert caught.value.partial.text == "one two"


async def test_race_is_cancelled_with_its_caller(pair: Pair) -> None:
    pair.plays(SLOW)
    pair.second.replies = [SLOW]
    call = asyncio.ensure_future(pair.model(hedge_after=SOON_S).ainvoke("Hi"))
    await eventually(lambda: pair.second.requests)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    await eventually(lambda: pair.first.abandoned and pair.second.abandoned)


async def test_race_ends_at_the_deadline(pair: Pair, ask: Callable[..., Any]) -> None:
    pair.plays(SLOW)
    pair.second.replies = [SLOW]
    with pytest.raises(AllRoutesFailed, match="2 attempts"):
        await ask(pair.model(hedge_after=SOON_S, timeout=3.0), "Hi")
    await eventually(lambda: pair.first.abandoned and pair.second.abandoned)


async def test_race_threads_end_with_the_race(pair: Pair) -> None:
    before = threading.active_count()
    pair.plays(SLOW)
    pair.model(hedge_after=SOON_S).invoke("Hi")
    await eventually(
        lambda: threading.active_count() <= before + 2
    )  # the servers' threads for two requests


async def test_race_by_percentile_needs_enough_samples(pair: Pair) -> None:
    model = pair.model(hedge_after="p95")
    assert attempts_of(model.invoke("Hi")) == [("first", "success", None)]
    (first, _) = model.routes
    for _ in range(30):
        PROCESS_STATE.record_success(first, 50.0)
    pair.plays(SLOW)
    assert attempts_of(model.invoke("Hi"))[0] == ("first", "cancelled", None)


@pytest.mark.parametrize("wrong", [0, -1.0, "p99"])
def test_hedge_after_is_validated_by_the_constructor(pair: Pair, wrong: Any) -> None:
    with pytest.raises(ValueError, match="hedge_after"):
        pair.model(hedge_after=wrong)
