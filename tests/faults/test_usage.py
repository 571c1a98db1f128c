"""Usage that is reported several times is counted once: in the answer, in its cost, in limits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from chat_wire import DONE, USAGE, WORDS, chunk, completion, stream, usage_chunk, whole
from langchain_autoprovider import AutoChatModel

if TYPE_CHECKING:
    from collections.abc import Callable

    from factories import Pair
    from raw_server import RawServer

COST = {"in": 1.0, "out": 4.0}
COST_USD = (10 * 1.0 + 5 * 4.0) / 1e6
CALL_TOKENS = 15
FINISH = chunk({}, "stop")
DELTAS = [chunk({"content": word}) for word in WORDS]


def with_usage(deltas: list[Any], usage: Any = USAGE) -> list[Any]:
    return [{**delta, "usage": usage} for delta in deltas]


def growing() -> list[Any]:
    """Return ten deltas, each with the usage up to there."""
    counts = range(11)
    return [
        chunk({"content": "x"}, usage={"prompt_tokens": 10, "completion_tokens": n // 2})
        for n in counts
    ]


REPORTS = {
    "once": [*DELTAS, FINISH, usage_chunk(), DONE],
    "with each delta": [*with_usage(DELTAS * 5), FINISH, DONE],
    "growing": [*growing(), FINISH, DONE],
    "growing, then whole": [*growing(), FINISH, usage_chunk(), DONE],
    "with the finish and after it": [*DELTAS, *with_usage([FINISH]), usage_chunk(), DONE],
    "after the finish twice": [*DELTAS, FINISH, usage_chunk(), usage_chunk(), DONE],
    "first and last": [*with_usage(DELTAS[:1]), *DELTAS[1:], FINISH, usage_chunk(), DONE],
    "in the choice": [
        *DELTAS,
        chunk({}, choices=[{"index": 0, "delta": {}, "finish_reason": "stop", "usage": USAGE}]),
        DONE,
    ],  # Moonshot
}


def model_of(pair: Pair, **row: Any) -> AutoChatModel:
    entry = {"id": "first-id", "cost": COST}
    rows = {
        "first": pair.first.row({"m-1": entry}, **row),
        "second": pair.second.row({"m-1": "second-id"}),
    }
    return AutoChatModel("m-1", registry={"providers": rows})


def plays(faulty: RawServer, events: list[Any]) -> None:
    faulty.answer = lambda request: (
        stream(*events)
        if request.body.get("stream")
        else whole(completion({"role": "assistant", "content": "x"}))
    )


@pytest.mark.parametrize("events", REPORTS.values(), ids=REPORTS)
async def test_usage_and_cost_count_once(
    faulty_pair: Pair, faulty: RawServer, ask: Callable[..., Any], events: list[Any]
) -> None:
    plays(faulty, events)
    answer = await ask(model_of(faulty_pair), "Hi")
    usage = answer.usage_metadata
    assert (usage["input_tokens"], usage["output_tokens"]) == (10, 5)
    assert usage["total_tokens"] == CALL_TOKENS
    assert answer.response_metadata["autoprovider"]["cost_usd"] == pytest.approx(COST_USD)
    assert answer.response_metadata["finish_reason"] == "stop"
    assert answer.response_metadata["model_name"] == "first-id"


@pytest.mark.usefixtures("_frozen_wall_clock")
@pytest.mark.parametrize("mode", ["stream", "astream"], indirect=True)
@pytest.mark.parametrize("events", REPORTS.values(), ids=REPORTS)
async def test_usage_counts_once_against_a_token_limit(
    faulty_pair: Pair, faulty: RawServer, ask: Callable[..., Any], events: list[Any]
) -> None:
    plays(faulty, events)
    model = model_of(faulty_pair, limits={"tpm": 2 * CALL_TOKENS - 1})
    providers = [
        (await ask(model, "Hi")).response_metadata["autoprovider"]["provider"] for _ in range(3)
    ]
    assert providers == ["first", "first", "second"]
