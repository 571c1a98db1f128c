"""Hedging: where the first shows nothing in time the second is asked, and the slower one is left.

What is slow here takes a minute, or waits for what it should come after, so that no machine is
too slow to tell.
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


def tried(answer: Any) -> list[tuple[str, str, str | None]]:
    attempts = answer.response_metadata["autoprovider"]["attempts"]
    return [(a["provider"], a["outcome"], a["class"]) for a in attempts]


def once_both_are_asked(pair: Pair, reply: Reply) -> Callable[[Request], Reply]:
    """Have the first provider reply no sooner."""

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
async def test_the_second_answers_and_the_first_is_left_at_once(
    pair: Pair, ask: Callable[..., Any], slow: Reply
) -> None:
    pair.plays(slow)
    answer = await ask(pair.model(hedge_after=SOON_S), "Hi")
    assert answer.text == "from second"
    assert tried(answer) == [("first", "cancelled", None), ("second", "success", None)]
    assert health().rows == (), "being slower is no failure"
    await eventually(lambda: pair.first.abandoned or slow.fault)


async def test_a_first_that_is_fast_is_asked_alone(pair: Pair, ask: Callable[..., Any]) -> None:
    answer = await ask(pair.model(hedge_after=30), "Hi")
    assert tried(answer) == [("first", "success", None)]
    assert not pair.second.requests


async def test_a_first_that_shows_output_in_time_is_kept_though_it_takes_long(
    pair: Pair, ask: Callable[..., Any]
) -> None:
    pair.plays(Reply("one two", chunk_delay_s=1.0))  # after the role, each word and the end
    answer = await ask(pair.model(hedge_after=2.5), "Hi")
    assert answer.text == "one two"
    assert not pair.second.requests


async def test_a_first_that_wins_although_the_second_was_asked(
    pair: Pair, ask: Callable[..., Any]
) -> None:
    pair.first.replies = [once_both_are_asked(pair, Reply("from first"))]
    pair.second.replies = [SLOW]
    answer = await ask(pair.model(hedge_after=SOON_S), "Hi")
    assert answer.text == "from first"
    assert tried(answer) == [("second", "cancelled", None), ("first", "success", None)]
    await eventually(lambda: pair.second.abandoned)


async def test_a_first_that_fails_later_is_a_failure_and_the_second_answers(
    pair: Pair, ask: Callable[..., Any]
) -> None:
    pair.first.replies = [once_both_are_asked(pair, Reply(status=503))]
    pair.second.replies = [Reply("from second", delay_s=1.5)]
    answer = await ask(pair.model(hedge_after=SOON_S), "Hi")
    assert answer.text == "from second"
    assert tried(answer) == [("first", "failure", "overloaded"), ("second", "success", None)]


async def test_when_both_fail_both_are_told(pair: Pair, ask: Callable[..., Any]) -> None:
    pair.first.replies = [once_both_are_asked(pair, Reply(status=503))]
    pair.second.replies = [Reply(status=402)]
    with pytest.raises(AllRoutesFailed, match="2 tried") as caught:
        await ask(pair.model(hedge_after=SOON_S), "Hi")
    classes = {a.route.provider: a.failure_class for a in caught.value.attempts}
    assert classes == {"first": "overloaded", "second": "quota_exceeded"}


@pytest.mark.parametrize("mode", ["stream", "astream"], indirect=True)
async def test_a_winner_that_breaks_is_interrupted_not_restarted(
    pair: Pair, ask: Callable[..., Any]
) -> None:
    pair.plays(SLOW)
    pair.second.replies = [Reply("one two three", cut_after=3)]
    with pytest.raises(StreamInterrupted) as caught:
        await ask(pair.model(hedge_after=SOON_S), "Hi")
    assert caught.value.route.provider == "second"
    assert caught.value.partial.text == "one two"


async def test_a_cancelled_caller_leaves_both(pair: Pair) -> None:
    pair.plays(SLOW)
    pair.second.replies = [SLOW]
    asking = asyncio.ensure_future(pair.model(hedge_after=SOON_S).ainvoke("Hi"))
    await eventually(lambda: pair.second.requests)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    await eventually(lambda: pair.first.abandoned and pair.second.abandoned)


async def test_a_deadline_holds_for_both(pair: Pair, ask: Callable[..., Any]) -> None:
    pair.plays(SLOW)
    pair.second.replies = [SLOW]
    with pytest.raises(AllRoutesFailed, match="2 tried"):
        await ask(pair.model(hedge_after=SOON_S, timeout=3.0), "Hi")
    await eventually(lambda: pair.first.abandoned and pair.second.abandoned)


async def test_threads_of_a_race_end_with_it(pair: Pair) -> None:
    before = threading.active_count()
    pair.plays(SLOW)
    pair.model(hedge_after=SOON_S).invoke("Hi")
    await eventually(
        lambda: threading.active_count() <= before + 2
    )  # the servers' own for two requests


async def test_by_percentile_nothing_is_hedged_until_enough_is_known(pair: Pair) -> None:
    model = pair.model(hedge_after="p95")
    assert tried(model.invoke("Hi")) == [("first", "success", None)]
    (first, _) = model.routes
    for _ in range(30):
        PROCESS_STATE.record_success(first, 50.0)
    pair.plays(SLOW)
    assert tried(model.invoke("Hi"))[0] == ("first", "cancelled", None)


@pytest.mark.parametrize("wrong", [0, -1.0, "p99"])
def test_a_wrong_limit_is_refused_when_the_model_is_made(pair: Pair, wrong: Any) -> None:
    with pytest.raises(ValueError, match="hedge_after"):
        pair.model(hedge_after=wrong)
