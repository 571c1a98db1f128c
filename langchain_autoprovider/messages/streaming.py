"""Inspects LangChain's stream chunks for the failover engine.

* A chunk counts as output when it has text, reasoning, a refusal, media or the name of a tool call.
* Tool calls are merged and judged once, at the end.
* A stream ends with an added chunk, which carries the trace.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from langchain_core.messages import AIMessageChunk, InvalidToolCall
from langchain_core.messages.ai import add_usage
from langchain_core.outputs import ChatGenerationChunk
from langchain_core.outputs.chat_generation import merge_chat_generation_chunks

from inference_providers.errors import InferenceProvidersError
from inference_providers.failover.stream_buffer import ChunkSignals
from inference_providers.failover.trace import record_answer
from langchain_autoprovider.messages.answers import (
    has_content_in,
    has_words,
    merge_tool_calls,
    token_counts,
    truncation_fault,
)
from langchain_autoprovider.messages.merge_check import MergeCheck

if TYPE_CHECKING:
    from collections.abc import Sequence

    from langchain_core.messages import BaseMessage
    from langchain_core.messages.ai import UsageMetadata
    from langchain_core.messages.tool import ToolCallChunk
    from langchain_core.outputs import ChatResult

    from inference_providers.failover.events import AttemptRecord, Flaw
    from inference_providers.failover.state import FailoverState
    from inference_providers.types import Plan
    from langchain_autoprovider.messages.answers import AnswerRules

__all__ = ["MessageChunkInspector", "result_as_chunk"]

_OUTPUT = ChunkSignals(output=True, finish=False)
_NOTHING = ChunkSignals(output=False, finish=False)
_PROVIDER_ONLY = {"model_provider"}
"""The metadata of most chunks: no finish reason in it."""


class MessageChunkInspector:
    """Inspects the chunks of one stream, and adds up the tokens they report.

    A refusal is held back until the last chunk: LangChain's event streams treat it as one block,
    and a second part would replace the first.

    Args:
        plan: The routes of the request, for the trace.
        state: Where the tokens are counted against rate limits.
        rules: What the answer must be like.
    """

    def __init__(self, plan: Plan, state: FailoverState, rules: AnswerRules) -> None:
        self._plan = plan
        self._state = state
        self._rules = rules
        self._usage: UsageMetadata | None = None
        self._content_is_list = False
        self._has_content = False
        self._refusal = ""
        self._model_provider: str | None = None
        self._merge_check = MergeCheck()
        self._call_parts: list[list[ToolCallChunk]] = []
        self._has_calls = self._is_named = False
        self._finish_word: str | None = None

    def inspect(self, chunk: ChatGenerationChunk) -> ChunkSignals:
        """Return what a chunk contains. Takes a refusal out of it and counts its tokens.

        Raises:
            InvalidResponseError: It cannot be added to the chunks before it.
        """
        message = chunk.message
        content, metadata = message.content, message.response_metadata
        if isinstance(content, str):
            self._content_is_list = False
            output = bool(content) and (self._has_content or not content.isspace())
        else:
            self._content_is_list = True
            output = any(map(has_words, content))
        if message.additional_kwargs:
            output = self._inspect_kwargs(message) or output
        self._has_content = self._has_content or output
        if isinstance(message, AIMessageChunk):
            if message.tool_call_chunks or not self._call_parts:
                output = self._add_tool_calls(message.tool_call_chunks) or output
            if message.usage_metadata:
                self._usage = add_usage(self._usage, message.usage_metadata)
        is_plain = not chunk.generation_info and (not metadata or metadata.keys() == _PROVIDER_ONLY)
        if not is_plain or self._content_is_list or message.additional_kwargs:
            self._merge_check.add(chunk)
        if is_plain:
            return _OUTPUT if output else _NOTHING
        word = self._rules.finish_word(chunk)
        self._finish_word = word or self._finish_word
        return ChunkSignals(output=output, finish=word is not None)

    def fault(self) -> Exception | None:
        """Return the error for a stream that has ended without a usable answer."""
        has_output = self._has_content or self._has_calls
        try:
            self._rules.finish_reasons.check(self._finish_word, has_output=has_output)
        except InferenceProvidersError as error:
            return error
        return truncation_fault(self._tool_calls) if self._has_calls else None

    def flaw(self) -> Flaw | None:
        """Return what is wrong with a stream that has ended without a fault."""
        calls = self._tool_calls if self._has_calls else None
        has_output = self._has_content or self._has_calls
        return self._rules.flaw(calls, self._finish_word, has_output=has_output)

    @cached_property
    def _tool_calls(self) -> AIMessageChunk:
        return merge_tool_calls(self._call_parts)

    def join(self, chunks: Sequence[ChatGenerationChunk]) -> AIMessageChunk | None:
        """Return the partial answer of a stream that broke off."""
        try:
            merged = merge_chat_generation_chunks(list(chunks))
        except (TypeError, ValueError):  # parts that do not fit together
            merged = ChatGenerationChunk(
                message=AIMessageChunk(content="".join(chunk.text for chunk in chunks))
            )
        if merged is None or not isinstance(merged.message, AIMessageChunk):
            return None
        if self._refusal:
            merged.message.additional_kwargs["refusal"] = self._refusal
        return _with_invalid_calls(merged.message)

    def final_chunk(self, attempts: tuple[AttemptRecord, ...]) -> ChatGenerationChunk:
        """Return the chunk that ends a stream: it carries the trace and a held-back refusal."""
        tokens = token_counts(self._usage)
        message = AIMessageChunk(
            content=[] if self._content_is_list else "",
            response_metadata={
                "autoprovider": record_answer(self._plan, attempts, tokens, self._state)
            },
            chunk_position="last",
        )
        if self._refusal:
            message.additional_kwargs["refusal"] = self._refusal
            # LangChain reads the refusal according to this key.
            message.response_metadata["model_provider"] = self._model_provider
        return ChatGenerationChunk(message=message)

    def _inspect_kwargs(self, message: BaseMessage) -> bool:
        """Take a refusal out of a chunk; return whether the chunk has content besides its text."""
        has_content = has_content_in(message.additional_kwargs)
        if refusal := message.additional_kwargs.pop("refusal", None):
            self._refusal += refusal
            self._model_provider = message.response_metadata.get("model_provider")
        return has_content

    def _add_tool_calls(self, parts: list[ToolCallChunk]) -> bool:
        """Keep the parts of tool calls; return whether they are output.

        The arguments of a call without a name are not: such a call cannot be run.
        """
        self._call_parts.append(parts)
        if not parts:
            return False
        self._has_calls = True
        self._is_named = self._is_named or any(part["name"] for part in parts)
        return self._is_named and any(part["name"] or part["args"] for part in parts)


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
