"""Rate limits: declared in a user's file, or learned from the headers of an answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from inference_providers import health
from inference_providers.testing import Reply
from langchain_autoprovider import AutoChatModel

if TYPE_CHECKING:
    from collections.abc import Callable

    from factories import Pair


def model_with_limits(pair: Pair, **limits: int) -> AutoChatModel:
    rows = {
        "first": {**pair.first.row({"m-1": "first-id"}), "limits": limits},
        "second": pair.second.row({"m-1": "second-id"}),
    }
    return AutoChatModel("m-1", registry={"providers": rows})


async def test_declared_request_limit_skips_the_route(pair: Pair, ask: Callable[..., Any]) -> None:
    model = model_with_limits(pair, rpm=2)
    texts = [(await ask(model, "Hi")).text for _ in range(3)]
    assert texts == ["from first", "from first", "from second"]
    assert len(pair.first.requests) == 2
    answer = await ask(model, "Hi")
    (skip,) = [
        s for s in answer.response_metadata["autoprovider"]["skipped"] if s["provider"] == "first"
    ]
    assert skip["reason"].startswith("at its rate limit for ")


@pytest.mark.usefixtures("_frozen_wall_clock")
async def test_declared_token_limit_counts_answer_tokens(
    pair: Pair, ask: Callable[..., Any]
) -> None:
    model = model_with_limits(pair, tpm=1)
    assert [(await ask(model, "Hi")).text for _ in range(2)] == ["from first", "from second"]


@pytest.mark.parametrize(
    "headers",
    [
        {"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "59s"},
        {"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "6m0s"},
    ],
    ids=["requests", "tokens"],
)
async def test_header_of_a_used_up_limit_starts_a_cooldown(
    pair: Pair, ask: Callable[..., Any], headers: dict[str, str]
) -> None:
    pair.plays(Reply("from first", headers=headers))
    model = pair.model()
    assert (await ask(model, "Hi")).text == "from first"
    assert [row[0] for row in health().rows] == ["route"]
    assert (await ask(model, "Hi")).text == "from second"
    assert len(pair.first.requests) == 1


async def test_header_of_a_remaining_limit_starts_no_cooldown(
    pair: Pair, ask: Callable[..., Any]
) -> None:
    headers = {"x-ratelimit-remaining-requests": "7", "x-ratelimit-reset-requests": "59s"}
    pair.plays(Reply("from first", headers=headers))
    model = pair.model()
    assert [(await ask(model, "Hi")).text for _ in range(2)] == ["from first"] * 2
