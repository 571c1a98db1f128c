"""Who leaves early is let go, and a tool call cut short is never a finished one."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest

from factories import eventually
from inference_providers import StreamInterrupted, health
from inference_providers.testing import Reply

if TYPE_CHECKING:
    from collections.abc import Callable

    from factories import Pair

CALL = {"name": "send", "arguments": {"to": "everybody", "amount": 1000, "currency": "EUR"}}
SLOW = Reply("one two three", cut_after=2, fault="hang")
SHORT_S = 1.5
LIMITS = {"first_token_timeout": SHORT_S, "inter_chunk_timeout": SHORT_S}


async def stop_by_close(model: Any) -> None:
    chunks = model.stream("Hi")
    next(chunks)
    chunks.close()


async def stop_by_break(model: Any) -> None:
    for _ in model.stream("Hi"):
        break


async def stop_by_aclose(model: Any) -> None:
    chunks = model.astream("Hi")
    await anext(chunks)
    await chunks.aclose()


async def stop_by_async_break(model: Any) -> None:
    async for _ in model.astream("Hi"):
        break


async def stop_by_cancelling_a_stream(model: Any) -> None:
    async def read() -> None:
        async for _ in model.astream("Hi"):
            started.set()

    started = asyncio.Event()
    task = asyncio.create_task(read())
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


STOPS = [
    stop_by_close, stop_by_break, stop_by_aclose, stop_by_async_break, stop_by_cancelling_a_stream,
]  # fmt: skip


@pytest.mark.parametrize("stop", STOPS)
async def test_a_consumer_that_stops_early_closes_the_connection(
    pair: Pair, stop: Callable[..., Any]
) -> None:
    pair.plays(SLOW)
    await stop(pair.model())
    await eventually(lambda: pair.first.abandoned)
    assert len(pair.first.requests) == 1
    assert not pair.second.requests, "leaving is no failure"
    assert health().rows == ()


async def test_a_cancelled_call_closes_the_connection(pair: Pair) -> None:
    pair.plays(Reply(fault="hang"))
    task = asyncio.create_task(pair.model().ainvoke("Hi"))
    await eventually(lambda: pair.first.requests)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await eventually(lambda: pair.first.abandoned)
    assert not pair.second.requests
    assert health().rows == ()


async def test_a_route_given_up_is_let_go(pair: Pair) -> None:
    pair.plays(Reply(fault="hang"))
    answers = [chunk.text async for chunk in pair.model(**LIMITS).astream("Hi")]
    assert "".join(answers) == "from second"
    await eventually(lambda: pair.first.abandoned)


def call_cut(**how: Any) -> Reply:
    """A tool call whose name and half of whose arguments came."""
    return Reply("", tool_calls=(CALL,), argument_chunks=4, cut_after=3, **how)


CUTS = {
    "ends": call_cut(),
    "DONE": call_cut(at_cut="data: [DONE]\n\n"),
    "error": call_cut(at_cut={"error": {"message": "upstream", "code": 502}}),
    "broken off": call_cut(fault="close"),
    "reset": call_cut(fault="reset"),
    "stall": call_cut(fault="hang"),
}


@pytest.mark.parametrize("reply", CUTS.values(), ids=CUTS)
@pytest.mark.parametrize(
    ("mode", "how"),
    [
        ("invoke", {"streaming": True}),
        ("ainvoke", {"streaming": True}),
        ("stream", {}),
        ("astream", {}),
    ],
    indirect=["mode"],
)
async def test_a_tool_call_cut_short_is_never_handed_on(
    pair: Pair, ask: Callable[..., Any], reply: Reply, how: dict[str, bool]
) -> None:
    pair.plays(reply)
    with pytest.raises(StreamInterrupted) as caught:
        await ask(pair.model(**how, **(LIMITS if reply.fault == "hang" else {})), "Hi")
    partial = caught.value.partial
    assert partial.tool_calls == []
    (cut,) = partial.invalid_tool_calls
    assert cut["name"] == "send"
    assert json.dumps(CALL["arguments"]).startswith(cut["args"])
    assert not pair.second.requests


@pytest.mark.parametrize("finish_reason", ["length", "tool_calls"])
async def test_arguments_that_are_not_whole_make_no_tool_call(
    pair: Pair, mode: str, ask: Callable[..., Any], finish_reason: str
) -> None:
    cut = {"name": "send", "arguments": json.dumps(CALL["arguments"])[:-9]}
    pair.plays(Reply("", tool_calls=(cut,), argument_chunks=3, finish_reason=finish_reason))
    if mode.endswith("stream"):  # its chunks were handed on: LangChain mends their JSON silently
        with pytest.raises(StreamInterrupted, match="a tool call's arguments are cut short") as cut:
            await ask(pair.model(), "Hi")
        answer = cut.value.partial
    else:
        answer = await ask(pair.model(), "Hi")
        if finish_reason != "length":  # which is the caller's own limit, wherever it is asked
            assert answer.text == "from second"
            first, _ = answer.response_metadata["autoprovider"]["attempts"]
            assert first["class"] == "invalid_response"
            return
    assert answer.tool_calls == []
    assert [call["name"] for call in answer.invalid_tool_calls] == ["send"]


async def test_arguments_that_are_no_object_are_no_answer(
    pair: Pair, mode: str, ask: Callable[..., Any]
) -> None:
    odd = {"name": "send", "arguments": ["a", "list"]}
    pair.plays(Reply("", tool_calls=(odd,), finish_reason="tool_calls"))
    if mode.endswith("stream"):
        with pytest.raises(StreamInterrupted, match="arguments are not a JSON object"):
            await ask(pair.model(), "Hi")
        return
    answer = await ask(pair.model(), "Hi")
    assert answer.text == "from second"
    first, _ = answer.response_metadata["autoprovider"]["attempts"]
    assert first["class"] == "invalid_response"


async def test_a_whole_tool_call_comes_whole(pair: Pair, ask: Callable[..., Any]) -> None:
    pair.plays(
        Reply("", tool_calls=(CALL,), argument_chunks=5, finish_reason="tool_calls", reasoning="so")
    )
    answer = await ask(pair.model(), "Hi")
    (call,) = answer.tool_calls
    assert (call["name"], call["args"]) == (CALL["name"], CALL["arguments"])
    assert answer.invalid_tool_calls == []


@pytest.mark.parametrize("mode", ["stream", "astream"], indirect=True)
async def test_reasoning_is_output(pair: Pair, ask: Callable[..., Any]) -> None:
    pair.plays(Reply("three", reasoning="one two", cut_after=3))
    with pytest.raises(StreamInterrupted):
        await ask(pair.model(), "Hi")
    assert not pair.second.requests


@pytest.mark.parametrize("mode", ["stream", "astream"], indirect=True)
@pytest.mark.parametrize("limit", ["first_token_timeout", "inter_chunk_timeout"])
async def test_each_limit_holds_without_the_other(
    pair: Pair, ask: Callable[..., Any], limit: str
) -> None:
    pair.plays(SLOW if limit == "inter_chunk_timeout" else Reply(fault="hang"))
    model = pair.model(**{limit: SHORT_S})
    if limit == "first_token_timeout":
        assert (await ask(model, "Hi")).text == "from second"
    else:
        with pytest.raises(StreamInterrupted, match="first/m-1: overloaded"):
            await ask(model, "Hi")
    await eventually(lambda: pair.first.abandoned)
