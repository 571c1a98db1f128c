"""When the same route is attempts_of again: it is the only one, or it refused a parameter."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import openai
import pytest

from inference_providers import AllRoutesFailed, health
from inference_providers.testing import Reply

if TYPE_CHECKING:
    from collections.abc import Callable

    from factories import Pair


def refuse_parameter(name: str, advice: str = "") -> Reply:
    """Return OpenAI's error for a parameter that a model does not accept."""
    message = f"Unsupported parameter: '{name}' is not supported with this model.{advice}"
    body = {
        "error": {
            "message": message,
            "type": "invalid_request_error",
            "param": name,
            "code": "unsupported_parameter",
        }
    }
    return Reply(status=400, body=body)


ANSWER = Reply("from first")
RENAMED_PARAMETER = refuse_parameter("max_tokens", " Use 'max_completion_tokens' instead.")


def attempts_of(answer: Any) -> list[tuple[str, str | None, int | None]]:
    attempts = answer.response_metadata["autoprovider"]["attempts"]
    return [(a["provider"], a["class"], a["status"]) for a in attempts]


async def test_refused_parameter_is_left_out_and_remembered(
    pair: Pair, ask: Callable[..., Any]
) -> None:
    pair.plays(refuse_parameter("seed"), ANSWER)
    model = pair.model(seed=3, temperature=0.5)
    answer = await ask(model, "Hi")
    assert answer.text == "from first"
    assert attempts_of(answer) == [("first", "bad_request", 400), ("first", None, None)]
    first_body, second_body = (request.body for request in pair.first.requests)
    assert (first_body["seed"], first_body["temperature"]) == (3, 0.5)
    assert "seed" not in second_body
    assert second_body["temperature"] == 0.5
    again = await ask(model, "Hi")
    assert attempts_of(again) == [("first", None, None)]
    assert "seed" not in pair.first.requests[-1].body
    (attempt,) = again.response_metadata["autoprovider"]["attempts"]
    assert attempt["without"] == ["seed"], "the trace does not name the parameter"
    assert not pair.second.requests
    assert health().rows == ()


async def test_refused_parameter_is_still_sent_to_other_routes(
    pair: Pair, ask: Callable[..., Any]
) -> None:
    pair.plays(refuse_parameter("seed"), Reply(status=503))
    answer = await ask(pair.model(seed=3), "Hi")
    assert answer.text == "from second"
    assert attempts_of(answer) == [
        ("first", "bad_request", 400),
        ("first", "overloaded", 503),
        ("second", None, None),
    ]
    assert pair.second.requests[0].body["seed"] == 3


async def test_refused_max_tokens_is_sent_under_its_other_name(
    pair: Pair, ask: Callable[..., Any]
) -> None:
    pair.plays(RENAMED_PARAMETER, ANSWER)
    model = pair.model(max_tokens=7)
    assert (await ask(model, "Hi")).text == "from first"
    await ask(model, "Hi")
    limits = [
        {name: value for name, value in request.body.items() if name.startswith("max_")}
        for request in pair.first.requests
    ]
    assert limits == [{"max_tokens": 7}, {"max_completion_tokens": 7}, {"max_completion_tokens": 7}]


async def test_parameter_refused_twice_raises_the_providers_error(
    pair: Pair, ask: Callable[..., Any]
) -> None:
    pair.plays(refuse_parameter("seed"))
    with pytest.raises(openai.BadRequestError, match="Unsupported parameter"):
        await ask(pair.model(seed=3), "Hi")
    assert len(pair.first.requests) == 2
    assert not pair.second.requests


async def test_one_call_leaves_out_one_parameter_only(pair: Pair, ask: Callable[..., Any]) -> None:
    pair.plays(refuse_parameter("seed"), refuse_parameter("top_p"), ANSWER)
    model = pair.model(seed=3, top_p=0.5)
    with pytest.raises(openai.BadRequestError, match="top_p"):
        await ask(model, "Hi")
    assert len(pair.first.requests) == 2


@pytest.mark.usefixtures("_no_backoff")
async def test_only_route_is_retried_once(pair: Pair, ask: Callable[..., Any]) -> None:
    pair.plays(Reply(status=503), ANSWER)
    answer = await ask(pair.model(only=["first"]), "Hi")
    assert answer.text == "from first"
    assert attempts_of(answer) == [("first", "overloaded", 503), ("first", None, None)]
    assert health().rows == (), "the answer did not clear the cooldown"


@pytest.mark.usefixtures("_no_backoff")
async def test_only_route_is_not_tried_a_third_time(pair: Pair, ask: Callable[..., Any]) -> None:
    pair.plays(Reply(status=503))
    with pytest.raises(AllRoutesFailed) as caught:
        await ask(pair.model(only=["first"]), "Hi")
    assert [attempt.status for attempt in caught.value.attempts] == [503, 503]
    assert len(pair.first.requests) == 2
    assert caught.value.retry_after


async def test_only_route_is_waited_for_at_its_rate_limit(
    pair: Pair, ask: Callable[..., Any]
) -> None:
    pair.plays(Reply(status=429, headers={"retry-after": "1"}), ANSWER)
    answer = await ask(pair.model(only=["first"]), "Hi")
    assert attempts_of(answer) == [("first", "rate_limited", 429), ("first", None, None)]


async def test_only_route_is_not_waited_for_past_the_deadline(
    pair: Pair, ask: Callable[..., Any]
) -> None:
    pair.plays(Reply(status=429, headers={"retry-after": "30"}), ANSWER)
    with pytest.raises(AllRoutesFailed) as caught:
        await ask(pair.model(only=["first"], timeout=20), "Hi")
    assert len(pair.first.requests) == 1
    assert 20 < caught.value.retry_after <= 30


@pytest.mark.parametrize("status", [401, 402, 404])
async def test_only_route_is_not_retried_after_a_lasting_failure(
    pair: Pair, ask: Callable[..., Any], status: int
) -> None:
    pair.plays(Reply(status=status), ANSWER)
    with pytest.raises(AllRoutesFailed):
        await ask(pair.model(only=["first"]), "Hi")
    assert len(pair.first.requests) == 1
