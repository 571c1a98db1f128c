"""Cohere's own protocol, spoken through langchain-cohere's `ChatCohere`.

Tools go over as they are, since the vendor's class takes OpenAI's form apart and loses
nested schemas; and streams are read here, since it doubles the arguments of a tool call
and gives it a new id with every chunk.

Taken away from it: retries, redirects, and what it and its SDK read from the
environment (`COHERE_API_KEY`, `CO_API_KEY`, `CO_API_URL`).
"""

from __future__ import annotations

import weakref
from contextlib import aclosing, closing
from typing import TYPE_CHECKING, Any, ClassVar, Self

import cohere
import httpx
from langchain_cohere import ChatCohere
from langchain_cohere.chat_models import get_cohere_chat_request_v2
from langchain_core.messages import AIMessageChunk
from langchain_core.messages.ai import UsageMetadata
from langchain_core.messages.tool import tool_call_chunk
from langchain_core.outputs import ChatGenerationChunk
from pydantic import model_validator

from inference_providers.errors import InvalidResponseError
from inference_providers.settings import DEFAULT_SETTINGS
from langchain_autoprovider.http.clients import (
    aguard,
    attend,
    guard,
    http_options,
    key_value,
    split_version,
)
from langchain_autoprovider.http.event_loops import close_with_loop
from langchain_autoprovider.protocols.base import RouteModel
from langchain_autoprovider.protocols.response_format import json_schema

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Mapping

    from langchain_core.language_models import BaseChatModel, LanguageModelInput
    from langchain_core.messages import AIMessage, BaseMessage
    from langchain_core.runnables import Runnable

    from inference_providers.routing.backend import Access
    from inference_providers.types import Route

__all__ = ["CohereRoute", "aconnect", "connect"]

_CHOICES = {"any": "REQUIRED", "none": "NONE"}
_FAULTS = frozenset({"ERROR", "ERROR_TOXIC", "TIMEOUT"})
"""Finish reasons of answers that are none."""


class CohereRoute(RouteModel, ChatCohere):
    """The chat model of one route; its SDK clients are put in, and hold the key."""

    spellings: ClassVar[Mapping[str, str]] = {
        "max_completion_tokens": "max_tokens",
        "top_p": "p",
        "strict": "strict_tools",
    }
    absent: ClassVar[frozenset[str]] = frozenset(
        {"logit_bias", "n", "parallel_tool_calls", "reasoning_effort", "store", "stream_options"}
        | {"top_logprobs", "user"}
    )

    @model_validator(mode="after")
    def validate_environment(self) -> Self:
        """Stand in for the base's validator, which makes clients of its own."""
        return self

    def _takes_choice(self, kind: str) -> bool:
        return kind in _CHOICES

    def _tool_choice(self, choice: str) -> Any:
        return _CHOICES[choice]

    def _with_tools(self, tools: Any, **kwargs: Any) -> Runnable[LanguageModelInput, AIMessage]:
        return self.bind(tools=tools, **kwargs)

    def _spelled(self, fields: dict[str, Any]) -> dict[str, Any]:
        fields["request_options"] = {
            "max_retries": 0,
            "timeout_in_seconds": fields.pop("timeout", DEFAULT_SETTINGS.timeout_s),
        }
        if schema := json_schema(fields.get("response_format")):
            fields["response_format"] = {"type": "json_object", "schema": schema}
        return fields

    def _get_generation_info_v2(self, response: Any, documents: Any = None) -> dict[str, Any]:
        reason = getattr(response, "finish_reason", None)
        if getattr(response, "message", None) is None or reason in _FAULTS:
            msg = f"a success without an answer: {response!r}"
            raise InvalidResponseError(msg)
        return super()._get_generation_info_v2(response, documents)

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: Any = None,  # noqa: ARG002 - core's `stream` reports the tokens
        **fields: Any,
    ) -> Iterator[ChatGenerationChunk]:
        heard = _Heard()
        with closing(self.client.v2.chat_stream(**self._request(messages, stop, fields))) as events:
            for event in events:
                if (chunk := heard.chunk(event)) is not None:
                    yield chunk

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: Any = None,  # noqa: ARG002 - as in `_stream`
        **fields: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        heard = _Heard()
        request = self._request(messages, stop, fields)
        async with aclosing(self.async_client.v2.chat_stream(**request)) as events:
            async for event in events:
                if (chunk := heard.chunk(event)) is not None:
                    yield chunk

    def _request(
        self, messages: list[BaseMessage], stop: list[str] | None, fields: dict[str, Any]
    ) -> dict[str, Any]:
        own = self._fields(fields)
        return get_cohere_chat_request_v2(
            messages, stop_sequences=stop, **self._default_params, **own
        )


class _Heard:
    """Makes chunks of one stream's events, in the shape that `ChatCohere` gives answers."""

    def __init__(self) -> None:
        self._thought = False

    def chunk(self, event: Any) -> ChatGenerationChunk | None:
        """Return what an event says; `None` when that is nothing.

        Raises:
            InvalidResponseError: It says that the answer has failed.
        """
        match event.type:
            case "content-delta":
                return self._said(event.delta.message.content)
            case "tool-plan-delta":
                return _chunk(content=event.delta.message.tool_plan)
            case "tool-call-start" | "tool-call-delta":
                call = event.delta.message.tool_calls
                piece = tool_call_chunk(
                    name=getattr(call.function, "name", None),
                    args=getattr(call.function, "arguments", None),
                    id=getattr(call, "id", None),
                    index=event.index,
                )
                return _chunk(content="", tool_call_chunks=[piece])
            case "message-end":
                return _end(event.delta)
        return None

    def _said(self, content: Any) -> ChatGenerationChunk | None:
        if (thinking := getattr(content, "thinking", None)) is not None:
            self._thought = True
            summary = [{"text": thinking, "index": 0}]
            return _chunk(content=[{"type": "reasoning", "index": 0, "summary": summary}])
        text = getattr(content, "text", None)
        if text is None:
            return None
        blocks = [{"type": "text", "index": 1, "text": text}]
        return _chunk(content=blocks if self._thought else text)


def _end(delta: Any) -> ChatGenerationChunk:
    if delta.finish_reason in _FAULTS:
        msg = f"the stream ended with {delta.finish_reason}: {getattr(delta, 'error', None)}"
        raise InvalidResponseError(msg)
    return _chunk(
        content="",
        usage_metadata=_tokens(getattr(delta, "usage", None)),
        response_metadata={"finish_reason": delta.finish_reason},
        chunk_position="last",
    )


def _tokens(usage: Any) -> UsageMetadata | None:
    counted = usage and (usage.tokens or usage.billed_units)
    if not counted:
        return None
    read, written = int(counted.input_tokens or 0), int(counted.output_tokens or 0)
    return UsageMetadata(input_tokens=read, output_tokens=written, total_tokens=read + written)


def _chunk(**message: Any) -> ChatGenerationChunk:
    return ChatGenerationChunk(message=AIMessageChunk(**message))


def connect(route: Route, access: Access) -> BaseChatModel:
    """Return the chat model of a route, for calls without an event loop."""
    http = httpx.Client(**http_options(access), event_hooks={"request": [guard(access)]})
    attend(http, route, access.state)
    sdk = cohere.Client(httpx_client=http, **_sdk_options(access))
    weakref.finalize(sdk, http.close)
    return _model(route, client=sdk)


async def aconnect(route: Route, access: Access) -> tuple[BaseChatModel, object]:
    """Return the chat model of a route for the running event loop, and what keeps it open."""
    http = httpx.AsyncClient(**http_options(access), event_hooks={"request": [aguard(access)]})
    attend(http, route, access.state)
    sdk = cohere.AsyncClient(httpx_client=http, **_sdk_options(access))
    return _model(route, async_client=sdk), await close_with_loop(http.aclose)


def _model(route: Route, **clients: Any) -> CohereRoute:
    settings: dict[str, Any] = {
        "model": route.model_id,
        "cohere_api_key": "none",  # without one, the base would read the environment
    }
    return CohereRoute(quirks=route.quirks, **settings, **clients)


def _sdk_options(access: Access) -> dict[str, Any]:
    return {
        "base_url": split_version(access.base_url)[0],
        "api_key": key_value(access),
        "timeout": DEFAULT_SETTINGS.timeout_s,
        "log_warning_experimental_features": False,
    }
