"""When the same route is asked again: it is the only one, or a parameter was refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import openai
import pytest

from inference_providers import AllRoutesFailed, health
from inference_providers.testing import Reply

if TYPE_CHECKING:
    from collections.abc import Callable

    from factories import Pair


def refuses(name: str, advice: str = "") -> Reply:
    """OpenAI's words for a parameter that a model does not take."""
    said = f"Unsupported parameter: '{name}' is not supported with this model.{advice}"
    body = {
        "error": {
            "message": said,
            "type": "invalid_request_error",
            "param": name,
            "code": "unsupported_parameter",
        }
    }
    return Reply(status=400, body=body)


WELL = Reply("from first")
RENAMED = refuses("max_tokens", " Use 'max_completion_tokens' instead.")


def tried(answer: Any) -> list[tuple[str, str | None, int | None]]:
    attempts = answer.response_metadata["autoprovider"]["attempts"]
    return [(a["provider"], a["class"], a["status"]) for a in attempts]


async def test_a_refused_parameter_is_left_out_once_and_remembered(
    pair: Pair, ask: Callable[..., Any]
) -> None:
    pair.plays(refuses("seed"), WELL)
    model = pair.model(seed=3, temperature=0.5)
    answer = await ask(model, "Hi")
    assert answer.text == "from first"
    assert tried(answer) == [("first", "bad_request", 400), ("first", None, None)]
    with_it, without = (request.body for request in pair.first.requests)
    assert (with_it["seed"], with_it["temperature"]) == (3, 0.5)
    assert "seed" not in without
    assert without["temperature"] == 0.5
    again = await ask(model, "Hi")
    assert tried(again) == [("first", None, None)]
    assert "seed" not in pair.first.requests[-1].body
    (attempt,) = again.response_metadata["autoprovider"]["attempts"]
    assert attempt["without"] == ["seed"], "the trace says what was left out"
    assert not pair.second.requests
    assert health().rows == ()


async def test_the_other_route_still_gets_the_parameter(
    pair: Pair, ask: Callable[..., Any]
) -> None:
    pair.plays(refuses("seed"), Reply(status=503))
    answer = await ask(pair.model(seed=3), "Hi")
    assert answer.text == "from second"
    assert tried(answer) == [
        ("first", "bad_request", 400),
        ("first", "overloaded", 503),
        ("second", None, None),
    ]
    assert pair.second.requests[0].body["seed"] == 3


async def test_the_limit_of_an_answer_is_sent_under_its_other_name(
    pair: Pair, ask: Callable[..., Any]
) -> None:
    pair.plays(RENAMED, WELL)
    model = pair.model(max_tokens=7)
    assert (await ask(model, "Hi")).text == "from first"
    await ask(model, "Hi")
    limits = [
        {name: value for name, value in request.body.items() if name.startswith("max_")}
        for request in pair.first.requests
    ]
    assert limits == [{"max_tokens": 7}, {"max_completion_tokens": 7}, {"max_completion_tokens": 7}]


async def test_a_parameter_refused_again_is_asked_no_third_time(
    pair: Pair, ask: Callable[..., Any]
) -> None:
    pair.plays(refuses("seed"))
    with pytest.raises(openai.BadRequestError, match="Unsupported parameter"):
        await ask(pair.model(seed=3), "Hi")
    assert len(pair.first.requests) == 2
    assert not pair.second.requests


async def test_one_call_leaves_out_one_parameter(pair: Pair, ask: Callable[..., Any]) -> None:
    pair.plays(refuses("seed"), refuses("top_p"), WELL)
    model = pair.model(seed=3, top_p=0.5)
    with pytest.raises(openai.BadRequestError, match="top_p"):
        await ask(model, "Hi")
    assert len(pair.first.requests) == 2


@pytest.mark.usefixtures("_no_backoff")
async def test_the_only_route_is_asked_twice(pair: Pair, ask: Callable[..., Any]) -> None:
    pair.plays(Reply(status=503), WELL)
    answer = await ask(pair.model(only=["first"]), "Hi")
    assert answer.text == "from first"
    assert tried(answer) == [("first", "overloaded", 503), ("first", None, None)]
    assert health().rows == (), "its answer ends its rest"


@pytest.mark.usefixtures("_no_backoff")
async def test_the_only_route_is_asked_no_third_time(pair: Pair, ask: Callable[..., Any]) -> None:
    pair.plays(Reply(status=503))
    with pytest.raises(AllRoutesFailed) as caught:
        await ask(pair.model(only=["first"]), "Hi")
    assert [attempt.status for attempt in caught.value.attempts] == [503, 503]
    assert len(pair.first.requests) == 2
    assert caught.value.retry_after


async def test_the_only_route_is_waited_for_at_its_rate_limit(
    pair: Pair, ask: Callable[..., Any]
) -> None:
    pair.plays(Reply(status=429, headers={"retry-after": "1"}), WELL)
    answer = await ask(pair.model(only=["first"]), "Hi")
    assert tried(answer) == [("first", "rate_limited", 429), ("first", None, None)]


async def test_no_wait_is_longer_than_the_deadline(pair: Pair, ask: Callable[..., Any]) -> None:
    pair.plays(Reply(status=429, headers={"retry-after": "30"}), WELL)
    with pytest.raises(AllRoutesFailed) as caught:
        await ask(pair.model(only=["first"], timeout=20), "Hi")
    assert len(pair.first.requests) == 1
    assert 20 < caught.value.retry_after <= 30


@pytest.mark.parametrize("status", [401, 402, 404])
async def test_what_does_not_pass_is_not_asked_again(
    pair: Pair, ask: Callable[..., Any], status: int
) -> None:
    pair.plays(Reply(status=status), WELL)
    with pytest.raises(AllRoutesFailed):
        await ask(pair.model(only=["first"]), "Hi")
    assert len(pair.first.requests) == 1
