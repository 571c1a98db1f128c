"""What failover must know of LangChain's stream chunks."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from langchain_core.messages import AIMessage, AIMessageChunk, InvalidToolCall
from langchain_core.outputs import ChatGenerationChunk
from langchain_core.outputs.chat_generation import merge_chat_generation_chunks

from inference_providers.failover.cooldowns import PROCESS_STATE
from inference_providers.failover.stream_buffer import Look
from inference_providers.failover.trace import trace

if TYPE_CHECKING:
    from collections.abc import Sequence

    from langchain_core.outputs import ChatResult

    from inference_providers.failover.events import AttemptRecord
    from inference_providers.types import Plan

__all__ = ["FINISH_KEYS", "ChunkInspector", "as_chunk", "cut_call", "recorded"]

FINISH_KEYS = ("finish_reason", "stop_reason", "stopReason", "done_reason", "status")
"""Where messages say why they end, by protocol."""
_AT_THE_LIMIT = frozenset({"length", "max_tokens", "max_output_tokens"})
"""How they say that it was for the caller's own limit."""

_CUT = "a tool call's arguments are cut short: {!r}"


class ChunkInspector:
    """Reads the chunks of one request; remembers the tokens they report.

    A refusal is held back to the end: in LangChain's events it is a block that comes whole,
    of which each further one would replace the one before.
    """

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._tokens: tuple[int, int] | None = None
        self._in_blocks = False
        self._refusal = ""
        self._provider: str | None = None
        self._arguments: dict[object, str] = {}

    def look(self, chunk: ChatGenerationChunk) -> Look:
        """Say what a chunk shows; notes the tokens it reports, and takes a refusal."""
        message = chunk.message
        self._in_blocks = isinstance(message.content, list)
        said = {**message.response_metadata, **(chunk.generation_info or {})}
        finish = any(said.get(key) for key in FINISH_KEYS)
        aside = message.additional_kwargs
        refusal = aside.pop("refusal", None) or ""
        self._refusal += refusal
        self._provider = message.response_metadata.get("model_provider")
        output = bool(message.content or aside.get("reasoning_content") or refusal)
        if isinstance(message, AIMessageChunk):
            for call in message.tool_call_chunks:
                output = output or bool(call["name"])
                # Where calls are not numbered, each comes whole, with an id of its own.
                which = call["id"] if call["index"] is None else call["index"]
                self._arguments[which] = self._arguments.get(which, "") + (call["args"] or "")
            if usage := message.usage_metadata:
                tokens = self._tokens or (0, 0)
                self._tokens = (
                    tokens[0] + usage["input_tokens"],
                    tokens[1] + usage["output_tokens"],
                )
        return Look(output=output, finish=finish)

    def fault(self) -> str | None:
        """Say whether a tool call is cut short; LangChain would mend its JSON silently."""
        for arguments in self._arguments.values():
            try:
                said = json.loads(arguments or "{}")
            except ValueError:
                return _CUT.format(arguments[:80])
            if not isinstance(said, dict):
                return f"a tool call's arguments are no object: {arguments[:80]!r}"
        return None

    def join(self, chunks: Sequence[ChatGenerationChunk]) -> AIMessageChunk | None:
        """Return the partial message that was received."""
        merged = merge_chat_generation_chunks(list(chunks))
        if merged is None or not isinstance(merged.message, AIMessageChunk):
            return None
        if self._refusal:
            merged.message.additional_kwargs["refusal"] = self._refusal
        return _without_cut_calls(merged.message)

    def last(self, tried: tuple[AttemptRecord, ...]) -> ChatGenerationChunk:
        """Return the chunk that ends a stream and carries the trace."""
        message = AIMessageChunk(
            content=[] if self._in_blocks else "",
            response_metadata={"autoprovider": recorded(self._plan, tried, self._tokens)},
            chunk_position="last",
        )
        if self._refusal:
            message.additional_kwargs["refusal"] = self._refusal
            message.response_metadata["model_provider"] = self._provider  # by which it is read
        return ChatGenerationChunk(message=message)


def cut_call(result: ChatResult) -> str | None:
    """Say whether a whole answer has a tool call that nobody can carry out.

    One that ends at the caller's own limit is whole as it is, and LangChain says so of its calls.
    """
    generation = result.generations[0]
    message = generation.message
    if not isinstance(message, AIMessage) or not message.invalid_tool_calls:
        return None
    said = {**message.response_metadata, **(generation.generation_info or {})}
    ends = {str(said.get(key)).lower() for key in FINISH_KEYS}
    ends.add(str((said.get("incomplete_details") or {}).get("reason")))  # OpenAI's Responses
    if ends & _AT_THE_LIMIT:
        return None
    arguments = message.invalid_tool_calls[0]["args"] or ""
    return _CUT.format(arguments[:80])


def recorded(
    plan: Plan, tried: Sequence[AttemptRecord], tokens: tuple[int, int] | None
) -> dict[str, Any]:
    """Count an answer's tokens against the limits of its route; return the trace."""
    if tokens is not None:
        PROCESS_STATE.spent(tried[-1].route, sum(tokens))
    return trace(plan, tried, tokens)


def as_chunk(result: ChatResult) -> ChatGenerationChunk:
    """Return a whole answer as the only chunk of a stream."""
    message = result.generations[0].message.model_dump(exclude={"type"})
    return ChatGenerationChunk(message=AIMessageChunk(**message, chunk_position="last"))


def _without_cut_calls(message: AIMessageChunk) -> AIMessageChunk:
    """Mark a partial message's tool calls as invalid: parsing mends cut arguments."""
    if not message.tool_call_chunks:
        return message
    cut = [
        InvalidToolCall(
            type="invalid_tool_call",
            id=call["id"],
            name=call["name"],
            args=call["args"],
            error="the stream was cut",
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
            "invalid_tool_calls": cut,
        }
    )
