"""LangChain's results and stream chunks → LlamaIndex's chat responses."""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from llama_index.core.base.llms.types import (
    ChatMessage,
    ChatResponse,
    MessageRole,
    TextBlock,
    ToolCallBlock,
)

from inference_providers.errors import InvalidResponseError, StreamInterrupted
from llamaindex_autoprovider.messages import (
    from_langchain,
    reasoning_text,
    to_openai_tool_calls,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult

__all__ = [
    "StreamedResponse",
    "arguments_of",
    "chat_response",
    "partial_answer_as_chat_message",
    "tool_calls_of",
]


def chat_response(result: ChatResult, *, single_call: bool) -> ChatResponse:
    """Return a whole answer; with `single_call`, only its first tool call."""
    generation = result.generations[0]
    raw = {**(result.llm_output or {}), **_raw_metadata(generation)}
    return ChatResponse(
        message=_answer_message(generation.message, single_call=single_call),
        raw=raw,
        additional_kwargs=_trace_and_usage(raw),
    )


class StreamedResponse:
    """Collects the chunks of one stream; LlamaIndex expects all text so far with each of them.

    A chunk that only adds text extends the last block of the previous response. Merging the
    whole stream and converting it takes several times longer, so it is left to other chunks.

    Args:
        single_call: Whether to keep only the first tool call of the answer.
    """

    def __init__(self, *, single_call: bool) -> None:
        self._single_call = single_call
        self._merged: ChatGenerationChunk | None = None
        self._unmerged: list[ChatGenerationChunk] = []
        # The parts of the previous response; callers may change the response itself. `_text`
        # is the text of its last block, which `_blocks` leaves out; `None` if it has no text.
        self._blocks: list[Any] = []
        self._text: str | None = None
        self._message_kwargs: dict[str, Any] = {}
        self._raw: dict[str, Any] = {}
        self._kwargs: dict[str, Any] = {}

    def add(self, chunk: ChatGenerationChunk) -> ChatResponse:
        """Return everything that was received so far, with the new text as `delta`."""
        self._unmerged.append(chunk)
        delta = _text_if_nothing_else(chunk, self._raw.get("model_provider"))
        if delta is None or self._text is None:
            return self._convert(self._merge(), chunk)
        self._text += delta
        message = ChatMessage(
            role=MessageRole.ASSISTANT,
            blocks=[*self._blocks, TextBlock(text=self._text)],
            additional_kwargs=dict(self._message_kwargs),
        )
        return ChatResponse(
            message=message,
            delta=delta,
            raw=dict(self._raw),
            additional_kwargs=dict(self._kwargs),
        )

    def _merge(self) -> ChatGenerationChunk:
        first, *others = self._unmerged
        if self._merged is None:
            merged = first + others if others else first
        else:
            merged = self._merged + self._unmerged
        self._merged = merged
        self._unmerged = []
        return merged

    def _convert(self, merged: ChatGenerationChunk, new: ChatGenerationChunk) -> ChatResponse:
        raw = _raw_metadata(merged)
        kwargs = _trace_and_usage(raw)
        if new_reasoning := reasoning_text(new.message):
            kwargs["thinking_delta"] = new_reasoning
        message: BaseMessage = merged.message
        is_last = "autoprovider" in raw
        if not is_last:
            message = _without_unreadable_calls(message)
        answer = _answer_message(message, single_call=self._single_call)
        self._keep_parts(answer, raw)
        return ChatResponse(
            message=answer,
            delta=new.message.text or new.message.additional_kwargs.get("refusal", ""),
            raw=raw,
            additional_kwargs=kwargs,
        )

    def _keep_parts(self, answer: ChatMessage, raw: dict[str, Any]) -> None:
        *self._blocks, last = answer.blocks
        self._text = last.text if isinstance(last, TextBlock) else None
        self._message_kwargs = dict(answer.additional_kwargs)
        self._raw = dict(raw)
        self._kwargs = _trace_and_usage(raw)


def _text_if_nothing_else(chunk: ChatGenerationChunk, model_provider: str | None) -> str | None:
    """Return the text of a chunk, or `None` if it holds more than text and known metadata."""
    message = chunk.message
    if (
        not isinstance(message, AIMessageChunk)
        or not isinstance(message.content, str)
        or message.additional_kwargs
        or message.tool_call_chunks
        or message.usage_metadata
        or chunk.generation_info
    ):
        return None
    metadata = message.response_metadata
    is_known = not metadata or metadata == {"model_provider": model_provider}
    return message.content if is_known else None


@contextmanager
def partial_answer_as_chat_message() -> Iterator[None]:
    """Convert the partial answer of a stream that breaks off.

    Raises:
        StreamInterrupted: The stream broke off; `partial` is a `ChatMessage`.
    """
    try:
        yield
    except StreamInterrupted as error:
        if isinstance(error.partial, BaseMessage):
            error.partial = _joined_texts(from_langchain(error.partial))
        raise


def tool_calls_of(message: ChatMessage) -> list[ToolCallBlock]:
    """Return a message's tool calls."""
    return [block for block in message.blocks if isinstance(block, ToolCallBlock)]


def arguments_of(call: ToolCallBlock) -> dict[str, Any]:
    """Return the arguments of a tool call.

    Raises:
        InvalidResponseError: They are not a JSON object. LlamaIndex would run the tool without
            arguments.
    """
    arguments: Any = call.tool_kwargs
    if isinstance(arguments, str):
        try:
            arguments = json.loads(arguments or "{}")
        except ValueError:
            arguments = None
    if not isinstance(arguments, dict):
        msg = (
            f"The arguments for tool {call.tool_name!r} are not a JSON object: {call.tool_kwargs!r}"
        )
        raise InvalidResponseError(msg)
    return arguments


def _answer_message(message: BaseMessage, *, single_call: bool) -> ChatMessage:
    answer = _joined_texts(from_langchain(message))
    calls = tool_calls_of(answer)
    for index, call in enumerate(calls):
        # LlamaIndex's agents match results with calls by id; some providers send none.
        call.tool_call_id = call.tool_call_id or f"call_{index}"
    if single_call and len(calls) > 1:
        calls = calls[:1]
        others = [block for block in answer.blocks if not isinstance(block, ToolCallBlock)]
        answer.blocks = [*others, *calls]
    if calls:
        answer.additional_kwargs["tool_calls"] = to_openai_tool_calls(calls)
    return answer


def _joined_texts(message: ChatMessage) -> ChatMessage:
    """Join adjacent texts of a message in place: LlamaIndex puts line ends between blocks.

    Gemini starts a new part for text that it signs, Anthropic for text with citations. A stream
    that begins with an empty chunk has an empty text before its reasoning.
    """
    blocks: list[Any] = []
    for block in message.blocks:
        previous = blocks[-1] if blocks else None
        if not isinstance(block, TextBlock):
            blocks.append(block)
        elif isinstance(previous, TextBlock):
            blocks[-1] = TextBlock(text=previous.text + block.text)
        elif block.text or len(message.blocks) == 1:
            blocks.append(block)
    message.blocks = blocks or message.blocks[:1]
    return message


def _without_unreadable_calls(message: BaseMessage) -> BaseMessage:
    """Leave out tool calls whose arguments cannot be parsed yet."""
    if not isinstance(message, AIMessage) or not message.invalid_tool_calls:
        return message
    return message.model_copy(update={"invalid_tool_calls": []})


def _raw_metadata(generation: ChatGeneration) -> dict[str, Any]:
    """Return what the provider sent besides the message, with `usage` in OpenAI's form."""
    message = generation.message
    raw = {**(generation.generation_info or {}), **message.response_metadata}
    if isinstance(message, AIMessage) and (usage := message.usage_metadata):
        raw["usage"] = {
            "prompt_tokens": usage["input_tokens"],
            "completion_tokens": usage["output_tokens"],
            "total_tokens": usage["total_tokens"],
        }
    return raw


def _trace_and_usage(raw: dict[str, Any]) -> dict[str, Any]:
    trace = {"autoprovider": raw["autoprovider"]} if "autoprovider" in raw else {}
    return {**trace, **raw.get("usage", {})}
