"""One request of an `AutoLLM` in LangChain's terms, and its answer in LlamaIndex's."""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from langchain_core.messages import AIMessage, BaseMessage
from llama_index.core.base.llms.types import ChatResponse, TextBlock, ToolCallBlock

from inference_providers.errors import InvalidResponseError, StreamInterrupted
from llamaindex_autoprovider.messages import (
    from_langchain,
    in_openais_form,
    thought,
    to_langchain,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
    from llama_index.core.base.llms.types import ChatMessage

__all__ = ["Exchange", "arguments_of", "calls_of", "in_llamaindexs_terms"]


class Exchange(NamedTuple):
    """One request, and how its answer is told."""

    messages: list[BaseMessage]
    stop: list[str] | None
    fields: dict[str, Any]
    single_call: bool

    @classmethod
    def of(cls, messages: Sequence[ChatMessage], kwargs: dict[str, Any]) -> Exchange:
        """Return the request that messages and LlamaIndex's arguments make.

        Raises:
            ConfigError: A message cannot be sent.
        """
        fields = dict(kwargs)
        parallel = fields.pop("allow_parallel_tool_calls", True)
        stop = fields.pop("stop", None)
        words = [stop] if isinstance(stop, str) else stop
        return cls(to_langchain(messages), words, fields, not parallel)

    def whole(self, result: ChatResult) -> ChatResponse:
        """Return a whole answer."""
        generation = result.generations[0]
        message = self._message(generation.message)
        raw = {**(result.llm_output or {}), **_raw(generation)}
        return ChatResponse(message=message, raw=raw, additional_kwargs=_aside(raw))

    def part(self, so_far: ChatGenerationChunk, chunk: ChatGenerationChunk) -> ChatResponse:
        """Return all of a stream so far, and what is new in it."""
        raw = _raw(so_far)
        aside = _aside(raw)
        if new := thought(chunk.message):
            aside["thinking_delta"] = new
        ended = "autoprovider" in raw
        message = self._message(so_far.message if ended else _without_cut_calls(so_far.message))
        said = chunk.message.text or chunk.message.additional_kwargs.get("refusal", "")
        return ChatResponse(message=message, delta=said, raw=raw, additional_kwargs=aside)

    def _message(self, said: BaseMessage) -> ChatMessage:
        message = _answer(said)
        calls = calls_of(message)
        for n, call in enumerate(calls):  # LlamaIndex's agents name results by it
            call.tool_call_id = call.tool_call_id or f"call_{n}"
        if self.single_call and len(calls) > 1:
            calls = calls[:1]
            others = [block for block in message.blocks if not isinstance(block, ToolCallBlock)]
            message.blocks = [*others, *calls]
        if calls:
            message.additional_kwargs["tool_calls"] = in_openais_form(calls)
        return message


def _answer(said: BaseMessage) -> ChatMessage:
    """Return what a model said, its text as one block wherever nothing stands between.

    Gemini begins a part of its own for what it signs, and Anthropic for what it cites;
    LlamaIndex reads the end of a line between two blocks.
    """
    message = from_langchain(said)
    blocks: list[Any] = []
    for block in message.blocks:
        last = blocks[-1] if blocks else None
        if isinstance(block, TextBlock) and isinstance(last, TextBlock):
            blocks[-1] = TextBlock(text=last.text + block.text)
        else:
            blocks.append(block)
    message.blocks = blocks
    return message


def _without_cut_calls(message: BaseMessage) -> BaseMessage:
    """Leave out calls whose arguments cannot be read yet."""
    if not isinstance(message, AIMessage) or not message.invalid_tool_calls:
        return message
    return message.model_copy(update={"invalid_tool_calls": []})


def calls_of(message: ChatMessage) -> list[ToolCallBlock]:
    """Return a message's tool calls."""
    return [block for block in message.blocks if isinstance(block, ToolCallBlock)]


def arguments_of(call: ToolCallBlock) -> dict[str, Any]:
    """Return the arguments of a tool call.

    Raises:
        InvalidResponseError: They are no JSON object. Without them, a tool would run on its
            defaults.
    """
    arguments: Any = call.tool_kwargs
    if isinstance(arguments, str):
        try:
            arguments = json.loads(arguments or "{}")
        except ValueError:
            arguments = None
    if not isinstance(arguments, dict):
        msg = f"The arguments for tool {call.tool_name!r} are no JSON object: {call.tool_kwargs!r}"
        raise InvalidResponseError(msg)
    return arguments


def _raw(generation: ChatGeneration) -> dict[str, Any]:
    """Return what the provider said about its answer, with `usage` as OpenAI calls it."""
    message = generation.message
    raw = {**(generation.generation_info or {}), **message.response_metadata}
    if isinstance(message, AIMessage) and (usage := message.usage_metadata):
        raw["usage"] = {
            "prompt_tokens": usage["input_tokens"],
            "completion_tokens": usage["output_tokens"],
            "total_tokens": usage["total_tokens"],
        }
    return raw


def _aside(raw: dict[str, Any]) -> dict[str, Any]:
    trace = {"autoprovider": raw["autoprovider"]} if "autoprovider" in raw else {}
    return {**trace, **raw.get("usage", {})}


@contextmanager
def in_llamaindexs_terms() -> Iterator[None]:
    """Hand on a stream that broke with its partial answer as a `ChatMessage`."""
    try:
        yield
    except StreamInterrupted as error:
        if isinstance(error.partial, BaseMessage):
            error.partial = _answer(error.partial)
        raise
