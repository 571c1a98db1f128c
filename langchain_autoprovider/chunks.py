"""What failover must know of LangChain's stream chunks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from langchain_core.messages import AIMessageChunk
from langchain_core.outputs import ChatGenerationChunk
from langchain_core.outputs.chat_generation import merge_chat_generation_chunks

from inference_providers.drive import Look
from inference_providers.trace import trace

if TYPE_CHECKING:
    from collections.abc import Sequence

    from inference_providers.routes import Plan, Tried

__all__ = ["ChunkReader"]

_FINISH_KEYS = ("finish_reason", "stop_reason", "done_reason", "status")


class ChunkReader:
    """Reads the chunks of one request; remembers the tokens they report."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._tokens: tuple[int, int] | None = None
        self._in_blocks = False

    def look(self, chunk: ChatGenerationChunk) -> Look:
        """Say what a chunk shows; notes the tokens it reports."""
        message = chunk.message
        self._in_blocks = isinstance(message.content, list)
        said = {**message.response_metadata, **(chunk.generation_info or {})}
        finish = any(said.get(key) for key in _FINISH_KEYS)
        output = bool(message.content or message.additional_kwargs.get("reasoning_content"))
        if isinstance(message, AIMessageChunk):
            output = output or any(call.get("name") for call in message.tool_call_chunks)
            if usage := message.usage_metadata:
                before = self._tokens or (0, 0)
                self._tokens = (
                    before[0] + usage["input_tokens"],
                    before[1] + usage["output_tokens"],
                )
        return Look(output=output, finish=finish)

    def join(self, chunks: Sequence[ChatGenerationChunk]) -> AIMessageChunk | None:
        """Return the partial message that was received."""
        merged = merge_chat_generation_chunks(list(chunks))
        return merged.message if merged and isinstance(merged.message, AIMessageChunk) else None

    def last(self, tried: tuple[Tried, ...]) -> ChatGenerationChunk:
        """Return the chunk that ends a stream and carries the trace."""
        message = AIMessageChunk(
            content=[] if self._in_blocks else "",
            response_metadata={"autoprovider": trace(self._plan, tried, self._tokens)},
            chunk_position="last",
        )
        return ChatGenerationChunk(message=message)
