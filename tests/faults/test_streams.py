"""A consumer that stops closes the connection; a truncated tool call is never a whole one."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage

from factories import eventually
from inference_providers import StreamInterrupted, health
from inference_providers.errors import ContentFilteredError
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
            assert (first["outcome"], first["flaw"]) == ("flawed", "malformed_tool_call")
            return
    assert answer.tool_calls == []
    assert [call["name"] for call in answer.invalid_tool_calls] == ["send"]


MALFORMED = '{"to": "all", "amount": 1,000}'


@pytest.mark.parametrize("only", [["first"], ["first", "second"]], ids=["alone", "pair"])
async def test_malformed_tool_call_beside_a_good_one(
    pair: Pair, mode: str, ask: Callable[..., Any], only: list[str]
) -> None:
    pair.plays(
        Reply(
            "",
            tool_calls=(CALL, {"name": "send", "arguments": MALFORMED}),
            argument_chunks=3,
            finish_reason="tool_calls",
        )
    )
    answer = await ask(pair.model(only=only), "Hi")
    first = answer.response_metadata["autoprovider"]["attempts"][0]
    assert (first["outcome"], first["flaw"]) == ("flawed", "malformed_tool_call")
    assert health().rows == ()
    if len(only) == 2 and not mode.endswith("stream"):  # the name of a call was yielded
        assert answer.text == "from second"
        return
    assert [call["args"] for call in answer.tool_calls] == [CALL["arguments"]]
    assert [call["args"] for call in answer.invalid_tool_calls] == [MALFORMED]
    assert not pair.second.requests


@pytest.mark.parametrize("mode", ["stream", "astream"], indirect=True)
@pytest.mark.parametrize("arguments", ['["a", "list"]', "7", '"text"'])
async def test_streamed_arguments_without_an_object_are_handed_out(
    pair: Pair, ask: Callable[..., Any], arguments: str
) -> None:
    pair.plays(
        Reply(
            "", tool_calls=({"name": "send", "arguments": arguments},), finish_reason="tool_calls"
        )
    )
    answer = await ask(pair.model(), "Hi")
    assert answer.tool_calls == []
    assert [call["args"] for call in answer.invalid_tool_calls] == [arguments]


EMPTY = Reply("")


@pytest.mark.parametrize("second", [Reply(status=503), Reply(status=400), EMPTY], ids=repr)
async def test_empty_answer_is_kept_if_no_route_does_better(
    pair: Pair, ask: Callable[..., Any], second: Reply
) -> None:
    pair.plays(EMPTY)
    pair.second.replies = [second]
    answer = await ask(pair.model(), "Hi")
    assert answer.text == ""
    trace = answer.response_metadata["autoprovider"]
    assert trace["provider"] == "first"
    assert [attempt["outcome"] for attempt in trace["attempts"]] == [
        "flawed",
        "flawed" if second is EMPTY else "failure",
    ]
    assert answer.usage_metadata["input_tokens"] == 10


async def test_empty_answer_moves_on_without_a_cooldown(
    pair: Pair, ask: Callable[..., Any]
) -> None:
    pair.plays(EMPTY)
    answer = await ask(pair.model(), "Hi")
    assert answer.text == "from second"
    first, second = answer.response_metadata["autoprovider"]["attempts"]
    assert (first["outcome"], first["flaw"], first["class"]) == ("flawed", "empty_answer", None)
    assert second["outcome"] == "success"
    assert health().rows == ()


async def test_empty_answer_after_a_tool_result_is_accepted(
    pair: Pair, ask: Callable[..., Any]
) -> None:
    pair.plays(EMPTY)
    call = {"name": "send", "args": {}, "id": "call_0"}
    conversation = [
        HumanMessage("Hi"),
        AIMessage("", tool_calls=[call]),
        ToolMessage("sent", tool_call_id="call_0"),
    ]
    answer = await ask(pair.model(), conversation)
    assert answer.text == ""
    (attempt,) = answer.response_metadata["autoprovider"]["attempts"]
    assert attempt["outcome"] == "success"


async def test_empty_answer_at_a_limit_is_accepted(pair: Pair, ask: Callable[..., Any]) -> None:
    pair.plays(Reply("", finish_reason="length"))
    answer = await ask(pair.model(), "Hi")
    assert answer.text == ""
    assert not pair.second.requests


async def test_call_of_an_unknown_tool_is_flawed(
    pair: Pair, mode: str, ask: Callable[..., Any]
) -> None:
    pair.plays(Reply("", tool_calls=(CALL,), finish_reason="tool_calls"))

    def receive(text: str) -> str:
        """Receive a text."""
        return text

    answer = await ask(pair.model().bind_tools([receive]), "Hi")
    first = answer.response_metadata["autoprovider"]["attempts"][0]
    assert (first["outcome"], first["flaw"]) == ("flawed", "unknown_tool")
    assert answer.text == ("" if mode.endswith("stream") else "from second")


@pytest.mark.parametrize("text", ["", "one two three"], ids=["empty", "text"])
async def test_filtered_answer_is_never_a_silent_one(
    pair: Pair, mode: str, ask: Callable[..., Any], text: str
) -> None:
    pair.plays(Reply(text, finish_reason="content_filter"))
    is_cut_stream = bool(text) and mode.endswith("stream")
    expected = StreamInterrupted if is_cut_stream else ContentFilteredError
    with pytest.raises(expected, match="content filter") as caught:
        await ask(pair.model(), "Hi")
    assert isinstance(caught.value, StreamInterrupted) or caught.value.partial == text
    assert not pair.second.requests
    assert health().rows == ()
    if not is_cut_stream:
        answer = await ask(pair.model(fallback_on_content_filter=True), "Hi")
        assert answer.text == "from second"


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
