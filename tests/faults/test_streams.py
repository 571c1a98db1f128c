"""A consumer that stops closes the connection; a truncated tool call is never a whole one."""

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
async def test_stream_stopped_early_closes_the_connection(
    pair: Pair, stop: Callable[..., Any]
) -> None:
    pair.plays(SLOW)
    await stop(pair.model())
    await eventually(lambda: pair.first.abandoned)
    assert len(pair.first.requests) == 1
    assert not pair.second.requests, "stopping early counted as a failure"
    assert health().rows == ()


async def test_cancelled_call_closes_the_connection(pair: Pair) -> None:
    pair.plays(Reply(fault="hang"))
    task = asyncio.create_task(pair.model().ainvoke("Hi"))
    await eventually(lambda: pair.first.requests)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await eventually(lambda: pair.first.abandoned)
    assert not pair.second.requests
    assert health().rows == ()


async def test_abandoned_route_has_its_connection_closed(pair: Pair) -> None:
    pair.plays(Reply(fault="hang"))
    answers = [chunk.text async for chunk in pair.model(**LIMITS).astream("Hi")]
    assert "".join(answers) == "from second"
    await eventually(lambda: pair.first.abandoned)


def truncated_call(**arguments: Any) -> Reply:
    """Return a stream that stops after a tool call's name and half of its arguments."""
    return Reply("", tool_calls=(CALL,), argument_chunks=4, cut_after=3, **arguments)


TRUNCATIONS = {
    "ends": truncated_call(),
    "DONE": truncated_call(at_cut="data: [DONE]\n\n"),
    "error": truncated_call(at_cut={"error": {"message": "upstream", "code": 502}}),
    "broken off": truncated_call(fault="close"),
    "reset": truncated_call(fault="reset"),
    "stall": truncated_call(fault="hang"),
}


@pytest.mark.parametrize("reply", TRUNCATIONS.values(), ids=TRUNCATIONS)
@pytest.mark.parametrize(
    ("mode", "arguments"),
    [
        ("invoke", {"streaming": True}),
        ("ainvoke", {"streaming": True}),
        ("stream", {}),
        ("astream", {}),
    ],
    indirect=["mode"],
)
async def test_truncated_tool_call_in_a_stream_interrupts_it(
    pair: Pair, ask: Callable[..., Any], reply: Reply, arguments: dict[str, bool]
) -> None:
    pair.plays(reply)
    with pytest.raises(StreamInterrupted) as caught:
        await ask(pair.model(**arguments, **(LIMITS if reply.fault == "hang" else {})), "Hi")
    partial = caught.value.partial
    assert partial.tool_calls == []
    (cut,) = partial.invalid_tool_calls
    assert cut["name"] == "send"
    assert json.dumps(CALL["arguments"]).startswith(cut["args"])
    assert not pair.second.requests


@pytest.mark.parametrize("finish_reason", ["length", "tool_calls"])
async def test_truncated_arguments_make_no_tool_call(
    pair: Pair, mode: str, ask: Callable[..., Any], finish_reason: str
) -> None:
    cut = {"name": "send", "arguments": json.dumps(CALL["arguments"])[:-9]}
    pair.plays(Reply("", tool_calls=(cut,), argument_chunks=3, finish_reason=finish_reason))
    if mode.endswith("stream"):  # the chunks were yielded; LangChain completes their JSON silently
        with pytest.raises(StreamInterrupted, match="a tool call's arguments are truncated") as cut:
            await ask(pair.model(), "Hi")
        answer = cut.value.partial
    else:
        answer = await ask(pair.model(), "Hi")
        if finish_reason != "length":  # the caller's own limit holds on every route
            assert answer.text == "from second"
            first, _ = answer.response_metadata["autoprovider"]["attempts"]
            assert first["class"] == "invalid_response"
            return
    assert answer.tool_calls == []
    assert [call["name"] for call in answer.invalid_tool_calls] == ["send"]


async def test_tool_arguments_that_are_not_an_object_fail(
    pair: Pair, mode: str, ask: Callable[..., Any]
) -> None:
    call_with_list = {"name": "send", "arguments": ["a", "list"]}
    pair.plays(Reply("", tool_calls=(call_with_list,), finish_reason="tool_calls"))
    if mode.endswith("stream"):
        with pytest.raises(StreamInterrupted, match="arguments are not a JSON object"):
            await ask(pair.model(), "Hi")
        return
    answer = await ask(pair.model(), "Hi")
    assert answer.text == "from second"
    first, _ = answer.response_metadata["autoprovider"]["attempts"]
    assert first["class"] == "invalid_response"


async def test_whole_tool_call_arrives_whole(pair: Pair, ask: Callable[..., Any]) -> None:
    pair.plays(
        Reply("", tool_calls=(CALL,), argument_chunks=5, finish_reason="tool_calls", reasoning="so")
    )
    answer = await ask(pair.model(), "Hi")
    (call,) = answer.tool_calls
    assert (call["name"], call["args"]) == (CALL["name"], CALL["arguments"])
    assert answer.invalid_tool_calls == []


@pytest.mark.parametrize("mode", ["stream", "astream"], indirect=True)
async def test_reasoning_counts_as_output(pair: Pair, ask: Callable[..., Any]) -> None:
    pair.plays(Reply("three", reasoning="one two", cut_after=3))
    with pytest.raises(StreamInterrupted):
        await ask(pair.model(), "Hi")
    assert not pair.second.requests


@pytest.mark.parametrize("mode", ["stream", "astream"], indirect=True)
@pytest.mark.parametrize("limit", ["first_token_timeout", "inter_chunk_timeout"])
async def test_stream_timeouts_hold_without_each_other(
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
