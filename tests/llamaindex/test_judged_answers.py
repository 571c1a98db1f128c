"""How answers are judged, as LlamaIndex sees it: the four modes agree."""

from __future__ import annotations

import json
import pickle
from typing import TYPE_CHECKING, Any

import openai
import pytest
from llama_index.core.base.llms.types import ChatMessage, ToolCallBlock

from inference_providers import AllRoutesFailed, StreamInterrupted
from inference_providers.errors import ContentFilteredError, InvalidResponseError
from inference_providers.testing import Reply
from llamaindex_autoprovider.responses import tool_calls_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from factories import Pair
    from llamaindex_autoprovider import AutoLLM

    Ask = Callable[..., Any]

MESSAGES = [ChatMessage("Hi")]
EMPTY = Reply("", usage={"prompt_tokens": 1, "completion_tokens": 0, "total_tokens": 1})
GOOD_CALL = {"name": "add", "arguments": {"a": 1, "b": 1}}
BAD_CALL = {"name": "add", "arguments": '{"a": 2, "b": oops}'}
CALLS = Reply("", tool_calls=(GOOD_CALL, BAD_CALL), finish_reason="tool_calls")
BLOCKED = Reply("", finish_reason="content_filter")


def sse(*events: dict[str, Any]) -> Reply:
    """Return a stream of these chunks, as a reply to any request."""
    data = "".join(f"data: {json.dumps(event)}\n\n" for event in events)
    return Reply(body=data + "data: [DONE]\n\n", headers={"content-type": "text/event-stream"})


def event(delta: dict[str, Any], finish: str | None = None, **fields: Any) -> dict[str, Any]:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return {
        "id": "c",
        "object": "chat.completion.chunk",
        "model": "m",
        "choices": [choice],
        **fields,
    }


def alone(pair: Pair, **arguments: Any) -> AutoLLM:
    return pair.llm(only="first", cooldown=False, **arguments)


@pytest.mark.parametrize("finish", ["insufficient_system_resource", "error"])
async def test_failed_answer_moves_on(pair: Pair, ask: Ask, finish: str) -> None:
    pair.plays(Reply("", finish_reason=finish))
    response = await ask(pair.llm(), MESSAGES)
    assert response.message.content == "from second"
    assert response.additional_kwargs["autoprovider"]["provider"] == "second"


async def test_empty_answer_moves_on_or_is_handed_out(pair: Pair, ask: Ask) -> None:
    pair.plays(EMPTY)
    assert (await ask(pair.llm(), MESSAGES)).message.content == "from second"
    response = await ask(alone(pair), MESSAGES)
    assert response.message.content == ""
    assert response.additional_kwargs["autoprovider"]["provider"] == "first"


async def test_malformed_tool_call_is_handed_out(pair: Pair, ask: Ask) -> None:
    pair.plays(CALLS)
    llm = alone(pair)
    response = await ask(llm, MESSAGES)
    assert [call.tool_kwargs for call in tool_calls_of(response.message)] == [
        {"a": 1, "b": 1},
        BAD_CALL["arguments"],
    ]
    with pytest.raises(InvalidResponseError, match="'add' are not a JSON object"):
        llm.get_tool_calls_from_response(response)


def test_malformed_tool_call_moves_on(pair: Pair) -> None:
    pair.plays(CALLS)
    assert pair.llm().chat(MESSAGES).message.content == "from second"


async def test_content_filter_is_an_error(pair: Pair, ask: Ask) -> None:
    pair.plays(BLOCKED)
    with pytest.raises(ContentFilteredError) as caught:
        await ask(pair.llm(), MESSAGES)
    assert not isinstance(caught.value, ValueError)
    response = await ask(pair.llm(fallback_on_content_filter=True), MESSAGES)
    assert response.message.content == "from second"


async def test_content_filter_after_output_interrupts(pair: Pair) -> None:
    pair.plays(Reply("The answer is", finish_reason="content_filter"))
    with pytest.raises(StreamInterrupted) as caught:
        list(pair.llm().stream_chat(MESSAGES))
    assert isinstance(caught.value.partial, ChatMessage)
    assert caught.value.partial.content == "The answer is"


async def test_usage_is_counted_once(pair: Pair, ask: Ask) -> None:
    usages = [
        {"prompt_tokens": 100, "completion_tokens": n, "total_tokens": 100 + n} for n in range(4)
    ]
    words = [event({"content": f"w{n} "}, usage=usages[n]) for n in range(3)]
    end = event({}, "stop", usage=usages[3])
    pair.plays(sse(*words, end, {**event({}), "choices": [], "usage": usages[3]}))
    response = await ask(alone(pair), MESSAGES)
    assert response.message.content == "w0 w1 w2 "
    assert response.raw["usage"] == usages[3]
    assert response.additional_kwargs["total_tokens"] == 103
    assert response.raw["finish_reason"] == "stop"
    assert response.raw["model_name"] == "m"


async def test_tool_calls_with_one_index_stay_apart(pair: Pair, ask: Ask) -> None:
    def call(call_id: str, arguments: str) -> dict[str, Any]:
        function = {"name": "add", "arguments": arguments}
        return {
            "tool_calls": [{"index": 0, "id": call_id, "type": "function", "function": function}]
        }

    chunks = [event(call("a", '{"a": 1}')), event(call("b", '{"a": 2}')), event({}, "tool_calls")]
    pair.plays(sse(*chunks))
    response = await ask(alone(pair), MESSAGES)
    blocks = [block for block in response.message.blocks if isinstance(block, ToolCallBlock)]
    assert [(block.tool_call_id, block.tool_kwargs) for block in blocks] == [
        ("a", {"a": 1}),
        ("b", {"a": 2}),
    ]


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (Reply(status=503), AllRoutesFailed),
        (
            Reply(status=400, body={"error": {"message": "no", "param": "x"}}),
            openai.BadRequestError,
        ),
        (BLOCKED, ContentFilteredError),
        (Reply("one two three", cut_after=3), StreamInterrupted),
    ],
    ids=lambda it: getattr(it, "__name__", ""),
)
def test_errors_pickle_without_keys(pair: Pair, reply: Reply, error: type[Exception]) -> None:
    pair.plays(reply)
    with pytest.raises(error) as caught:
        list(alone(pair).stream_chat(MESSAGES))
    data = pickle.dumps(caught.value)
    restored = pickle.loads(data)
    assert isinstance(restored, error)
    assert str(restored) == str(caught.value)
    assert b"first-key-value" not in data
    if isinstance(restored, StreamInterrupted):
        assert restored.partial == caught.value.partial  # type: ignore[attr-defined]
