"""`chat.completions.create` for endpoints that do not speak OpenAI's chat protocol."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from langchain_core.messages import AIMessage, convert_to_messages, convert_to_openai_messages
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from langchain_autoprovider.messages.streaming import FINISH_KEYS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from langchain_core.language_models import BaseChatModel

__all__ = ["PlainClient"]

_FINISH_REASONS = {
    "complete": "stop",  # Cohere
    "completed": "stop",  # OpenAI's responses
    "content_filtered": "content_filter",  # Bedrock
    "end_turn": "stop",  # Anthropic, Bedrock
    "max_tokens": "length",
    "refusal": "content_filter",  # Anthropic
    "safety": "content_filter",  # Gemini
    "stop_sequence": "stop",
    "tool_call": "tool_calls",  # Cohere
    "tool_use": "tool_calls",
}
"""What others call OpenAI's reasons to end, in small letters."""


class PlainClient:
    """Answers `client.chat.completions.create(...)` through a LangChain chat model.

    MessageFormat `model`, `messages`, `stream`, `stop`, and the request fields that the model's
    own protocol knows. `tools` are bound as that protocol wants them.
    """

    def __init__(self, model: BaseChatModel) -> None:
        self._model = model

    @property
    def chat(self) -> PlainClient:
        """Itself: the path `client.chat.completions.create` is OpenAI's."""
        return self

    @property
    def completions(self) -> PlainClient:
        """Itself, as `chat`."""
        return self

    def create(
        self, *, model: str, messages: list[Any], stream: bool = False, **params: Any
    ) -> ChatCompletion | Iterator[ChatCompletionChunk]:
        """Return a completion, or with `stream=True` an iterator of its chunks."""
        given = {
            name: value for name, value in params.items() if name not in {"tools", "tool_choice"}
        }
        runnable: Any = self._model
        if tools := params.get("tools"):
            runnable = runnable.bind_tools(tools, tool_choice=params.get("tool_choice"))
        asked = convert_to_messages(messages)
        if not stream:
            return _completion(model, runnable.invoke(asked, **given))
        return (_chunk(model, part) for part in runnable.stream(asked, **given))


def _completion(model: str, message: AIMessage) -> ChatCompletion:
    said = convert_to_openai_messages(message, text_format="string")
    body = {
        **_head(model, message, "chat.completion"),
        "choices": [
            {"index": 0, "message": said, "finish_reason": _finish_reason(message) or "stop"}
        ],
    }
    return ChatCompletion.model_validate(body)


def _chunk(model: str, message: AIMessage) -> ChatCompletionChunk:
    delta = {"role": "assistant", "content": message.text}
    body = {
        **_head(model, message, "chat.completion.chunk"),
        "choices": [{"index": 0, "delta": delta, "finish_reason": _finish_reason(message)}],
    }
    return ChatCompletionChunk.model_validate(body)


def _head(model: str, message: AIMessage, kind: str) -> dict[str, Any]:
    usage = message.usage_metadata
    return {
        "id": message.id or "",
        "object": kind,
        "created": int(time.time()),
        "model": message.response_metadata.get("model_name") or model,
        "usage": usage
        and {
            "prompt_tokens": usage["input_tokens"],
            "completion_tokens": usage["output_tokens"],
            "total_tokens": usage["total_tokens"],
        },
    }


def _finish_reason(message: AIMessage) -> str | None:
    if message.tool_calls:
        return "tool_calls"
    said = message.response_metadata
    reason = next((str(said[key]).lower() for key in FINISH_KEYS if said.get(key)), None)
    return _FINISH_REASONS.get(reason or "", reason)
