"""Cohere's own protocol, through langchain-cohere's `ChatCohere`.

Tools are sent in OpenAI's form, because the vendor's class would lose nested schemas. Streams are
read here, because the vendor's class duplicates the arguments of a tool call and gives it a new id
in every chunk.

The subclass removes retries, and what the base and its SDK read from the environment
(`COHERE_API_KEY`, `CO_API_KEY`, `CO_API_URL`).
"""

from __future__ import annotations

import logging
from contextlib import aclosing, closing
from typing import TYPE_CHECKING, Any, ClassVar, Self

import cohere
from langchain_cohere import ChatCohere
from langchain_cohere.chat_models import get_cohere_chat_request_v2
from langchain_core.messages.tool import tool_call_chunk
from pydantic import model_validator

from inference_providers.errors import InvalidResponseError
from inference_providers.settings import DEFAULT_SETTINGS
from inference_providers.wire.http.log_filter import hide_keys_in_logs
from langchain_autoprovider.http.clients import split_version
from langchain_autoprovider.http.key_transport import PLACEHOLDER
from langchain_autoprovider.protocols.base import RouteModel, message_chunk, token_usage
from langchain_autoprovider.protocols.connector import Connector
from langchain_autoprovider.protocols.response_format import json_schema
from langchain_autoprovider.protocols.table import PROTOCOLS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Mapping

    import httpx
    from langchain_core.language_models import LanguageModelInput
    from langchain_core.messages import AIMessage, BaseMessage
    from langchain_core.messages.ai import UsageMetadata
    from langchain_core.outputs import ChatGenerationChunk
    from langchain_core.runnables import Runnable

    from inference_providers.routing.backend import Access
    from inference_providers.types import Route
    from langchain_autoprovider.protocols.base import Params
    from langchain_autoprovider.protocols.tool_choice import ChoiceKind

__all__ = ["CONNECTOR", "CohereRoute"]

hide_keys_in_logs(logging.root.name)  # the SDK warns there of events that it cannot read

_TOOL_CHOICES = {"any": "REQUIRED", "none": "NONE"}


class CohereRoute(RouteModel, ChatCohere):
    """The chat model of one route, over SDK clients."""

    param_aliases: ClassVar[Mapping[str, str]] = {
        "max_completion_tokens": "max_tokens",
        "top_p": "p",
        "strict": "strict_tools",
    }
    unsupported_params: ClassVar[frozenset[str]] = frozenset(
        {"logit_bias", "n", "parallel_tool_calls", "reasoning_effort", "store", "stream_options"}
        | {"top_logprobs", "user"}
    )

    @model_validator(mode="after")
    def validate_environment(self) -> Self:
        """Replace the base's validator, which creates clients."""
        return self

    def _has_tool_choice(self, kind: ChoiceKind) -> bool:
        return kind in _TOOL_CHOICES

    def _translate_tool_choice(self, choice: str) -> Any:
        return _TOOL_CHOICES[choice]

    def _bind_translated_tools(
        self, tools: list[Any], **kwargs: Any
    ) -> Runnable[LanguageModelInput, AIMessage]:
        return self.bind(tools=tools, **kwargs)

    def _translate_params(self, params: Params) -> Params:
        params["request_options"] = {
            "max_retries": 0,
            "timeout_in_seconds": params.pop("timeout", DEFAULT_SETTINGS.timeout_s),
        }
        if schema := json_schema(params.get("response_format")):
            params["response_format"] = {"type": "json_object", "schema": schema}
        return params

    def _get_generation_info_v2(self, response: Any, documents: Any = None) -> dict[str, Any]:
        failed = _is_error(getattr(response, "finish_reason", None))
        if getattr(response, "message", None) is None or failed:
            msg = f"HTTP 200 without a usable answer: {response!r}"
            raise InvalidResponseError(msg)
        return super()._get_generation_info_v2(response, documents)

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: Any = None,  # noqa: ARG002 - langchain-core's `stream` reports the tokens
        **arguments: Any,
    ) -> Iterator[ChatGenerationChunk]:
        reader = _EventReader()
        request = self._chat_request(messages, stop, arguments)
        with closing(self.client.v2.chat_stream(**request)) as events:
            for event in events:
                if (chunk := reader.chunk_for(event)) is not None:
                    yield chunk

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: Any = None,  # noqa: ARG002 - as in `_stream`
        **arguments: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        reader = _EventReader()
        request = self._chat_request(messages, stop, arguments)
        async with aclosing(self.async_client.v2.chat_stream(**request)) as events:
            async for event in events:
                if (chunk := reader.chunk_for(event)) is not None:
                    yield chunk

    def _chat_request(
        self, messages: list[BaseMessage], stop: list[str] | None, arguments: Params
    ) -> Params:
        request: Params = get_cohere_chat_request_v2(
            messages, stop_sequences=stop, **self._default_params, **self._translate(arguments)
        )
        return request


class _EventReader:
    """Turns the events of one stream into chunks that have the form of `ChatCohere`'s answers."""

    def __init__(self) -> None:
        self._has_reasoning = False

    def chunk_for(self, event: Any) -> ChatGenerationChunk | None:
        """Return an event as a chunk, or `None` if it has no content.

        Raises:
            InvalidResponseError: The event reports that the generation failed.
        """
        match event.type:
            case "content-delta":
                return self._content_chunk(event.delta.message.content)
            case "tool-plan-delta":
                return message_chunk(content=event.delta.message.tool_plan)
            case "tool-call-start" | "tool-call-delta":
                call = event.delta.message.tool_calls
                part = tool_call_chunk(
                    name=getattr(call.function, "name", None),
                    args=getattr(call.function, "arguments", None),
                    id=getattr(call, "id", None),
                    index=event.index,
                )
                return message_chunk(content="", tool_call_chunks=[part])
            case "message-end":
                return _end_chunk(event.delta)
        return None

    def _content_chunk(self, content: Any) -> ChatGenerationChunk | None:
        if (thinking := getattr(content, "thinking", None)) is not None:
            self._has_reasoning = True
            summary = [{"text": thinking, "index": 0}]
            return message_chunk(content=[{"type": "reasoning", "index": 0, "summary": summary}])
        text = getattr(content, "text", None)
        if text is None:
            return None
        if not self._has_reasoning:
            return message_chunk(content=text)
        return message_chunk(content=[{"type": "text", "index": 1, "text": text}])


def _end_chunk(delta: Any) -> ChatGenerationChunk:
    if _is_error(delta.finish_reason):
        msg = f"the stream ended with {delta.finish_reason}: {getattr(delta, 'error', None)}"
        raise InvalidResponseError(msg)
    return message_chunk(
        content="",
        usage_metadata=_usage(getattr(delta, "usage", None)),
        response_metadata={"finish_reason": delta.finish_reason},
        chunk_position="last",
    )


def _is_error(finish_reason: str | None) -> bool:
    word = finish_reason and finish_reason.lower()
    return PROTOCOLS["cohere"].finish_reasons.is_error(word)


def _usage(usage: Any) -> UsageMetadata | None:
    counts = usage and (usage.tokens or usage.billed_units)
    if not counts:
        return None
    return token_usage(int(counts.input_tokens or 0), int(counts.output_tokens or 0))


def _build(route: Route, access: Access, http: httpx.Client) -> CohereRoute:
    return _model(route, client=cohere.Client(httpx_client=http, **_sdk_options(access)))


async def _abuild(route: Route, access: Access, http: httpx.AsyncClient) -> CohereRoute:
    sdk = cohere.AsyncClient(httpx_client=http, **_sdk_options(access))
    return _model(route, async_client=sdk)


CONNECTOR = Connector(build=_build, abuild=_abuild)


def _model(route: Route, **clients: Any) -> CohereRoute:
    settings: dict[str, Any] = {
        "model": route.model_id,
        "cohere_api_key": "none",  # without one, the base would read the environment
    }
    return CohereRoute(**settings, **clients)


def _sdk_options(access: Access) -> dict[str, Any]:
    return {
        "base_url": split_version(access.base_url)[0],
        "api_key": PLACEHOLDER,
        "timeout": DEFAULT_SETTINGS.timeout_s,
        "log_warning_experimental_features": False,
    }
