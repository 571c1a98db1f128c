"""OpenAI's `chat.completions.create` for endpoints that do not have it."""

from __future__ import annotations

import time
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any, cast

from langchain_core.messages import AIMessage, convert_to_messages, convert_to_openai_messages
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from inference_providers.errors import ProviderError
from inference_providers.wire.exchange import Exchange, current_exchange
from langchain_autoprovider.protocols.openai_errors import openai_error
from langchain_autoprovider.protocols.quirks import apply_quirks
from langchain_autoprovider.protocols.table import PROTOCOLS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from langchain_core.language_models import BaseChatModel

    from inference_providers.types import Route
    from inference_providers.wire.finish_reasons import FinishReason, FinishReasons
    from langchain_autoprovider.protocols.quirks import RequestFields

__all__ = ["OpenAIFacade"]

_OPENAI_REASONS: dict[FinishReason, str] = {
    "stop": "stop",
    "length": "length",
    "context_window": "length",
    "tool_calls": "tool_calls",
    "content_filter": "content_filter",
    "error": "stop",
}


class OpenAIFacade:
    """A client with OpenAI's `chat.completions.create`, over the chat model of a route."""

    def __init__(self, route: Route, model: BaseChatModel) -> None:
        self.chat = Chat(Completions(route, model))


class Chat:
    """The `chat` namespace of OpenAI's client."""

    def __init__(self, completions: Completions) -> None:
        self.completions = completions


class Completions:
    """The `chat.completions` namespace of OpenAI's client."""

    def __init__(self, route: Route, model: BaseChatModel) -> None:
        self._quirks = route.quirks
        self._protocol = PROTOCOLS[route.endpoint.protocol]
        self._model = model

    def create(
        self, *, model: str, messages: list[Any], stream: bool = False, **params: Any
    ) -> ChatCompletion | Iterator[ChatCompletionChunk]:
        """Return a completion, or with `stream=True` an iterator of its chunks.

        Accepts the parameters of OpenAI's method that the route's protocol supports.

        Raises:
            openai.APIStatusError: The provider reported an error, in OpenAI's protocol.
            Exception: What the vendor's class raises, in any other.
        """
        request = cast("RequestFields", {**params, "messages": convert_to_messages(messages)})
        fields: dict[str, Any] = {**apply_quirks(request, self._quirks, self._protocol)}
        conversation = fields.pop("messages")
        tools, tool_choice = fields.pop("tools", None), fields.pop("tool_choice", None)
        runnable: Any = self._model
        if tools:
            runnable = runnable.bind_tools(tools, tool_choice=tool_choice)
        reasons = self._protocol.finish_reasons
        if stream:
            return _completion_chunks(model, runnable.stream(conversation, **fields), reasons)
        with _clean_errors(Exchange()):
            return _completion(model, runnable.invoke(conversation, **fields), reasons)


def _completion(model: str, message: AIMessage, reasons: FinishReasons) -> ChatCompletion:
    choice = {
        "index": 0,
        "message": convert_to_openai_messages(message, text_format="string"),
        "finish_reason": _finish_reason(message, reasons) or "stop",
    }
    body = {**_envelope(model, message), "object": "chat.completion", "choices": [choice]}
    return ChatCompletion.model_validate(body)


def _completion_chunks(
    model: str, messages: Iterator[AIMessage], reasons: FinishReasons
) -> Iterator[ChatCompletionChunk]:
    exchange = Exchange()
    while True:
        with _clean_errors(exchange):
            message = next(messages, None)
        if message is None:
            return
        yield _completion_chunk(model, message, reasons)


@contextmanager
def _clean_errors(exchange: Exchange) -> Iterator[None]:
    """Remove the key from errors, and raise those of OpenAI's protocols as its SDK does."""
    with exchange if current_exchange() is None else nullcontext():
        try:
            yield
        except Exception as error:  # noqa: BLE001 - vendors' classes raise anything
            clean = exchange.scrub_error(error)
            if isinstance(clean, ProviderError):
                raise openai_error(clean) from clean
            raise clean from clean.__cause__


def _completion_chunk(
    model: str, message: AIMessage, reasons: FinishReasons
) -> ChatCompletionChunk:
    choice = {
        "index": 0,
        "delta": {"role": "assistant", "content": message.text},
        "finish_reason": _finish_reason(message, reasons),
    }
    body = {**_envelope(model, message), "object": "chat.completion.chunk", "choices": [choice]}
    return ChatCompletionChunk.model_validate(body)


def _envelope(model: str, message: AIMessage) -> dict[str, Any]:
    usage = message.usage_metadata
    tokens = usage and {
        "prompt_tokens": usage["input_tokens"],
        "completion_tokens": usage["output_tokens"],
        "total_tokens": usage["total_tokens"],
    }
    return {
        "id": message.id or "",
        "created": int(time.time()),
        "model": message.response_metadata.get("model_name") or model,
        "usage": tokens,
    }


def _finish_reason(message: AIMessage, reasons: FinishReasons) -> str | None:
    if message.tool_calls:
        return "tool_calls"
    reason = reasons.reason_in(message.response_metadata)
    return None if reason is None else _OPENAI_REASONS[reason]
