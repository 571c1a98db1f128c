"""Checks of LangChain's stream chunks and results for the failover engine.

* A chunk counts as output when it has text, reasoning, a refusal or the name of a tool call.
* A tool call with truncated arguments is a fault of a stream or of a whole answer: LangChain
  would silently complete the JSON, and the tool would run with half its arguments.
* A stream ends with an added chunk, which carries the trace.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from langchain_core.messages import AIMessage, AIMessageChunk, InvalidToolCall
from langchain_core.outputs import ChatGenerationChunk
from langchain_core.outputs.chat_generation import merge_chat_generation_chunks

from inference_providers.failover.stream_buffer import ChunkSignals
from inference_providers.failover.trace import build_trace

if TYPE_CHECKING:
    from collections.abc import Sequence

    from langchain_core.messages.ai import UsageMetadata
    from langchain_core.outputs import ChatResult

    from inference_providers.failover.events import AttemptRecord
    from inference_providers.failover.state import FailoverState
    from inference_providers.types import Plan
    from inference_providers.wire.finish_reasons import FinishReasons

__all__ = [
    "MessageChunkInspector",
    "answer_fault",
    "record_answer",
    "result_as_chunk",
]

_FAILED = "the provider reports that the generation failed: finish reason {!r}"
_TRUNCATED = "a tool call's arguments are truncated: {!r}"
_EXCERPT_CHARS = 80


class MessageChunkInspector:
    """Inspects the chunks of one stream, and adds up the tokens they report.

    A refusal is held back until the last chunk: LangChain's event streams treat it as one block,
    and a second part would replace the first.
    """

    def __init__(self, plan: Plan, state: FailoverState, finish_reasons: FinishReasons) -> None:
        self._plan = plan
        self._state = state
        self._finish_reasons = finish_reasons
        self._tokens: tuple[int, int] | None = None
        self._content_is_list = False
        self._refusal = ""
        self._model_provider: str | None = None
        self._arguments: dict[object, str] = {}
        self._finish_word: str | None = None

    def inspect(self, chunk: ChatGenerationChunk) -> ChunkSignals:
        """Return what a chunk contains. Takes a refusal out of it and counts its tokens."""
        message = chunk.message
        self._content_is_list = isinstance(message.content, list)
        self._model_provider = message.response_metadata.get("model_provider")
        refusal = message.additional_kwargs.pop("refusal", None) or ""
        self._refusal += refusal
        output = bool(
            message.content or message.additional_kwargs.get("reasoning_content") or refusal
        )
        if isinstance(message, AIMessageChunk):
            if message.tool_call_chunks:
                output = self._add_tool_calls(message) or output
            if message.usage_metadata:
                self._add_tokens(message.usage_metadata)
        word = self._finish_reasons.word_in(message.response_metadata)
        if word is None and chunk.generation_info:
            word = self._finish_reasons.word_in(chunk.generation_info)
        self._finish_word = word or self._finish_word
        return ChunkSignals(output=output, finish=word is not None)

    def fault(self) -> str | None:
        """Return what is wrong with a stream that has ended, if anything."""
        if self._finish_reasons.is_error(self._finish_word):
            return _FAILED.format(self._finish_word)
        for text in self._arguments.values():
            try:
                arguments = json.loads(text or "{}")
            except ValueError:
                return _TRUNCATED.format(text[:_EXCERPT_CHARS])
            if not isinstance(arguments, dict):
                return f"a tool call's arguments are not a JSON object: {text[:_EXCERPT_CHARS]!r}"
        return None

    def join(self, chunks: Sequence[ChatGenerationChunk]) -> AIMessageChunk | None:
        """Return the partial answer of a stream that broke off."""
        merged = merge_chat_generation_chunks(list(chunks))
        if merged is None or not isinstance(merged.message, AIMessageChunk):
            return None
        if self._refusal:
            merged.message.additional_kwargs["refusal"] = self._refusal
        return _with_invalid_calls(merged.message)

    def final_chunk(self, attempts: tuple[AttemptRecord, ...]) -> ChatGenerationChunk:
        """Return the chunk that ends a stream: it carries the trace and a held-back refusal."""
        message = AIMessageChunk(
            content=[] if self._content_is_list else "",
            response_metadata={
                "autoprovider": record_answer(self._plan, attempts, self._tokens, self._state)
            },
            chunk_position="last",
        )
        if self._refusal:
            message.additional_kwargs["refusal"] = self._refusal
            # LangChain reads the refusal according to this key.
            message.response_metadata["model_provider"] = self._model_provider
        return ChatGenerationChunk(message=message)

    def _add_tool_calls(self, message: AIMessageChunk) -> bool:
        """Append the chunk's tool-call arguments; return whether it names a tool."""
        named = False
        for call in message.tool_call_chunks:
            named = named or bool(call["name"])
            # A call without an index arrives complete, with its own id.
            key = call["id"] if call["index"] is None else call["index"]
            self._arguments[key] = self._arguments.get(key, "") + (call["args"] or "")
        return named

    def _add_tokens(self, usage: UsageMetadata) -> None:
        prompt, answer = self._tokens or (0, 0)
        self._tokens = (prompt + usage["input_tokens"], answer + usage["output_tokens"])


def answer_fault(result: ChatResult, finish_reasons: FinishReasons) -> str | None:
    """Return what is wrong with a whole answer, if anything.

    An answer that reached the caller's token limit is accepted unchanged; LangChain marks its
    last tool call as invalid.
    """
    generation = result.generations[0]
    message = generation.message
    word = finish_reasons.word_in(message.response_metadata)
    if word is None and generation.generation_info:
        word = finish_reasons.word_in(generation.generation_info)
    if finish_reasons.is_error(word):
        return _FAILED.format(word)
    if not isinstance(message, AIMessage) or not message.invalid_tool_calls:
        return None
    if word is not None and finish_reasons.meaning(word) == "length":
        return None
    arguments = message.invalid_tool_calls[0]["args"] or ""
    return _TRUNCATED.format(arguments[:_EXCERPT_CHARS])


def record_answer(
    plan: Plan,
    attempts: Sequence[AttemptRecord],
    tokens: tuple[int, int] | None,
    state: FailoverState,
) -> dict[str, Any]:
    """Count an answer's tokens against its route's rate limits in `state`; return the trace."""
    if tokens is not None:
        state.record_tokens(attempts[-1].route, sum(tokens))
    return build_trace(plan, attempts, tokens)


def result_as_chunk(result: ChatResult) -> ChatGenerationChunk:
    """Return a whole answer as the only chunk of a stream."""
    message = result.generations[0].message.model_dump(exclude={"type"})
    return ChatGenerationChunk(message=AIMessageChunk(**message, chunk_position="last"))


def _with_invalid_calls(message: AIMessageChunk) -> AIMessageChunk:
    """Mark the tool calls of a partial answer as invalid: LangChain completed their JSON."""
    if not message.tool_call_chunks:
        return message
    invalid = [
        InvalidToolCall(
            type="invalid_tool_call",
            id=call["id"],
            name=call["name"],
            args=call["args"],
            error="the stream was interrupted",
        )
        for call in message.tool_call_chunks
    ]
    content = message.content
    if isinstance(content, list):
        content = [
            block
            for block in content
            if isinstance(block, str) or block.get("type") not in {"function_call", "tool_use"}
        ]
    return message.model_copy(
        update={
            "content": content,
            "tool_calls": [],
            "tool_call_chunks": [],
            "invalid_tool_calls": invalid,
        }
    )
