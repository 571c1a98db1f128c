"""Tools and structured output through `AutoLLM`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from llama_index.core.base.llms.types import ChatMessage, ChatResponse, ToolCallBlock
from llama_index.core.prompts import PromptTemplate
from llama_index.core.tools import FunctionTool
from pydantic import BaseModel

from inference_providers import InvalidResponseError
from inference_providers.testing import Reply

if TYPE_CHECKING:
    from collections.abc import Callable

    from factories import Pair
    from llamaindex_autoprovider import AutoLLM


def multiply(a: int, b: int) -> int:
    """Multiply two numbers."""
    return a * b


TOOL = FunctionTool.from_defaults(multiply)


class Pet(BaseModel):
    """A pet."""

    name: str
    legs: int


PET_PROMPT = PromptTemplate("Make up a {kind}.")
A_CALL = Reply("", tool_calls=({"name": "multiply", "arguments": {"a": 3, "b": 4}},))
TWO_CALLS = Reply(
    "",
    tool_calls=(
        {"name": "multiply", "arguments": {"a": 3, "b": 4}},
        {"name": "multiply", "arguments": {"a": 5, "b": 6}},
    ),
)
A_PET = Reply(
    "", tool_calls=({"name": "Pet", "arguments": {"name": "Rex", "legs": 4}},), argument_chunks=5
)


async def _chat(llm: AutoLLM, **kwargs: Any) -> ChatResponse:
    return llm.chat_with_tools([TOOL], "3 * 4?", **kwargs)


async def _achat(llm: AutoLLM, **kwargs: Any) -> ChatResponse:
    return await llm.achat_with_tools([TOOL], "3 * 4?", **kwargs)


async def _stream(llm: AutoLLM, **kwargs: Any) -> ChatResponse:
    return list(llm.stream_chat_with_tools([TOOL], "3 * 4?", **kwargs))[-1]


async def _astream(llm: AutoLLM, **kwargs: Any) -> ChatResponse:
    parts = await llm.astream_chat_with_tools([TOOL], "3 * 4?", **kwargs)
    return [part async for part in parts][-1]


@pytest.fixture(params=[_chat, _achat, _stream, _astream], ids=lambda f: f.__name__.strip("_"))
def with_tools(request: pytest.FixtureRequest) -> Callable[..., Any]:
    return request.param


async def test_chat_with_tools_sends_the_tools(pair: Pair, with_tools: Callable[..., Any]) -> None:
    await with_tools(pair.llm(), chat_history=[ChatMessage("Be brief.", role="system")])
    body = pair.first.requests[0].body
    assert [message["role"] for message in body["messages"]] == ["system", "user"]
    (tool,) = body["tools"]
    assert tool["function"]["name"] == "multiply"
    assert set(tool["function"]["parameters"]["properties"]) == {"a", "b"}
    assert "tool_choice" not in body
    assert "parallel_tool_calls" not in body


@pytest.mark.parametrize(
    ("arguments", "sent"),
    [
        ({"tool_required": True}, "required"),
        ({"tool_choice": "none"}, "none"),
        ({"tool_choice": None, "tool_required": True}, "required"),
        (
            {"tool_choice": "multiply", "tool_required": True},
            {"type": "function", "function": {"name": "multiply"}},
        ),
    ],
)
async def test_tool_choice_reaches_the_provider(
    pair: Pair, with_tools: Callable[..., Any], arguments: dict[str, Any], sent: Any
) -> None:
    await with_tools(pair.llm(), **arguments)
    assert pair.first.requests[0].body["tool_choice"] == sent


async def test_tool_calls_become_blocks_and_selections(
    pair: Pair, with_tools: Callable[..., Any]
) -> None:
    pair.plays(TWO_CALLS)
    llm = pair.llm()
    answer = await with_tools(llm, allow_parallel_tool_calls=True)
    assert answer.message.blocks == [
        ToolCallBlock(tool_call_id="call_0", tool_name="multiply", tool_kwargs={"a": 3, "b": 4}),
        ToolCallBlock(tool_call_id="call_1", tool_name="multiply", tool_kwargs={"a": 5, "b": 6}),
    ]
    chosen = llm.get_tool_calls_from_response(answer)
    assert [(call.tool_id, call.tool_kwargs["a"]) for call in chosen] == [
        ("call_0", 3),
        ("call_1", 5),
    ]
    calls = answer.message.additional_kwargs["tool_calls"]
    assert [call["id"] for call in calls] == ["call_0", "call_1"]


async def test_parallel_calls_are_dropped_by_default(
    pair: Pair, with_tools: Callable[..., Any]
) -> None:
    pair.plays(TWO_CALLS)
    llm = pair.llm()
    (chosen,) = llm.get_tool_calls_from_response(await with_tools(llm))
    assert chosen.tool_kwargs == {"a": 3, "b": 4}


async def test_tools_skip_routes_without_tool_support(
    pair: Pair, with_tools: Callable[..., Any]
) -> None:
    registry = pair.registry()
    registry["providers"]["first"]["models"]["m"] = {"id": "first-id", "tools": False}
    pair.second.replies = [A_CALL]
    llm = type(pair.llm())("m", registry=registry)
    assert llm.get_tool_calls_from_response(await with_tools(llm))
    assert not pair.first.requests


def test_get_tool_calls_raises_if_there_is_none(pair: Pair) -> None:
    llm = pair.llm()
    answer = llm.chat_with_tools([TOOL], "3 * 4?")
    with pytest.raises(ValueError, match="at least one tool call, got the text 'from first'"):
        llm.get_tool_calls_from_response(answer)
    assert llm.get_tool_calls_from_response(answer, error_on_no_tool_call=False) == []


def test_get_tool_calls_raises_for_unreadable_arguments(pair: Pair) -> None:
    cut = {"name": "multiply", "arguments": '{"a": 3, "b"'}
    pair.plays(Reply("", tool_calls=(cut,), finish_reason="length"))
    llm = pair.llm()
    with pytest.raises(InvalidResponseError, match="tool 'multiply' are not a JSON object"):
        llm.get_tool_calls_from_response(llm.chat_with_tools([TOOL], "3 * 4?"))
    listed = ToolCallBlock(tool_name="multiply", tool_kwargs="[3, 4]")
    with pytest.raises(InvalidResponseError, match="tool 'multiply' are not a JSON object"):
        llm.get_tool_calls_from_response(ChatResponse(message=ChatMessage([listed])))


async def test_predict_and_call_runs_the_tools(pair: Pair) -> None:
    pair.plays(A_CALL)
    llm = pair.llm()
    assert llm.predict_and_call([TOOL], "3 * 4?").response == "12"
    assert (await llm.apredict_and_call([TOOL], "3 * 4?")).response == "12"
    pair.plays(TWO_CALLS)
    both = llm.predict_and_call([TOOL], "3 * 4?", allow_parallel_tool_calls=True)
    assert both.response == "12\n\n30"


async def test_stream_shows_partial_tool_calls(pair: Pair) -> None:
    pair.plays(A_CALL._replace(argument_chunks=6))
    llm = pair.llm()
    parts = list(llm.stream_chat_with_tools([TOOL], "3 * 4?"))
    partial = [
        llm.get_tool_calls_from_response(part, error_on_no_tool_call=False) for part in parts
    ]
    sizes = [len(calls[0].tool_kwargs) if calls else None for calls in partial]
    assert sizes[-1] == 2
    assert 1 in sizes, "the arguments came in one piece"
    assert partial[-1][0].tool_kwargs == {"a": 3, "b": 4}


async def test_structured_predict_returns_the_object(pair: Pair) -> None:
    pair.plays(A_PET)
    llm, rex = pair.llm(), Pet(name="Rex", legs=4)
    assert llm.structured_predict(Pet, PET_PROMPT, kind="dog") == rex
    assert await llm.astructured_predict(Pet, PET_PROMPT, kind="dog") == rex
    assert pair.first.requests[0].body["tool_choice"] == "required"
    streamed = list(llm.stream_structured_predict(Pet, PET_PROMPT, kind="dog"))
    assert streamed[-1] == rex
    assert len({repr(part) for part in streamed}) > 1, "nothing came before the whole object"
    parts = await llm.astream_structured_predict(Pet, PET_PROMPT, kind="dog")
    assert [part async for part in parts][-1] == rex


# LlamaIndex's StructuredLLM calls pydantic's `.json()`.
@pytest.mark.filterwarnings("ignore:The `json` method is deprecated")
async def test_structured_llm_answers_in_every_mode(pair: Pair) -> None:
    pair.plays(A_PET)
    llm, rex = pair.llm().as_structured_llm(Pet), Pet(name="Rex", legs=4)
    messages = [ChatMessage("Make up a dog.")]
    assert llm.chat(messages).raw == rex
    assert (await llm.achat(messages)).raw == rex
    assert llm.complete("Make up a dog.").raw == rex
    assert list(llm.stream_chat(messages))[-1].raw == rex
    assert [part.raw async for part in await llm.astream_chat(messages)][-1] == rex


async def test_structured_predict_fails_over(pair: Pair) -> None:
    pair.plays(Reply(status=503))
    pair.second.replies = [A_PET]
    llm = pair.llm(cooldown=False)
    assert llm.structured_predict(Pet, PET_PROMPT, kind="dog").name == "Rex"
    parts = await llm.astream_structured_predict(Pet, PET_PROMPT, kind="dog")
    assert [part async for part in parts][-1] == Pet(name="Rex", legs=4)


async def test_embedded_model_calls_a_tool(
    embedded: AutoLLM, with_tools: Callable[..., Any]
) -> None:
    answer = await with_tools(embedded, tool_required=True)
    (chosen,) = embedded.get_tool_calls_from_response(answer)
    assert chosen.tool_name == "multiply"
    assert {name: type(value) for name, value in chosen.tool_kwargs.items()} == {"a": int, "b": int}


async def test_embedded_model_fills_in_an_object(embedded: AutoLLM) -> None:
    pet = embedded.structured_predict(Pet, PET_PROMPT, kind="dog")
    assert isinstance(pet, Pet)
    parts = await embedded.astream_structured_predict(Pet, PET_PROMPT, kind="dog")
    assert isinstance([part async for part in parts][-1], Pet)
