"""OpenAI's two protocols, in one subclass of langchain-openai's base model.

The base class converts messages, tools and answers. Instead of OpenAI's SDK, our own client sends
the requests, and our own readers read and judge the answers (see `inference_providers.wire`):

* The payload is langchain-openai's; the model has no client of the SDK.
* Nothing is read from the environment: an organization, a base URL or headers that are meant for
  OpenAI must not reach another vendor.
* Nothing is retried: only the failover engine retries.
* Reasoning and refusals are kept.
"""

from __future__ import annotations

import weakref
from contextlib import aclosing, closing
from functools import partial
from typing import TYPE_CHECKING, Any, Self, TypeVar

import openai
from langchain_core.messages import AIMessageChunk
from langchain_core.messages.block_translators import get_translator, register_translator
from langchain_openai.chat_models.base import BaseChatOpenAI
from pydantic import PrivateAttr, model_validator

from inference_providers.errors import InvalidResponseError, ProviderError, one_line
from inference_providers.settings import DEFAULT_SETTINGS
from inference_providers.wire.chat_reader import ChatReader, read_completion
from inference_providers.wire.http.async_client import AsyncHttpClient
from inference_providers.wire.http.client import HttpClient
from inference_providers.wire.responses_reader import ResponsesReader, read_response
from inference_providers.wire.streams import aread_stream, read_stream
from langchain_autoprovider.http.clients import (
    client_options,
    rate_limit_observer,
    reject_foreign_hosts,
    timeout_options,
)
from langchain_autoprovider.http.key_transport import PLACEHOLDER, add_key_on_send
from langchain_autoprovider.protocols.connector import WireConnector
from langchain_autoprovider.protocols.malformed_calls import (
    add_malformed_calls,
    take_malformed_calls,
)
from langchain_autoprovider.protocols.openai_responses import ResponsesConverter, response_result
from langchain_autoprovider.protocols.quirks import MAX_TOKENS_FIELDS

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Generator

    from langchain_core.language_models import LanguageModelInput
    from langchain_core.messages import AIMessage, BaseMessage
    from langchain_core.messages.content import ContentBlock
    from langchain_core.outputs import ChatGenerationChunk, ChatResult

    from inference_providers.credentials import Key
    from inference_providers.routing.backend import Access
    from inference_providers.types import Route
    from inference_providers.wire.streams import Reader
    from langchain_autoprovider.protocols.base import Params

__all__ = ["CONNECTOR", "OpenAIRoute", "build", "plain_client"]

_RESPONSES = "openai-responses"

T = TypeVar("T")


class _ReportedErrors:
    """Adds the base URL of a route to the errors that the provider reports."""

    def __init__(self, base_url: str) -> None:
        self._base_url = base_url

    def __enter__(self) -> None:
        pass

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        if isinstance(error, ProviderError):
            error.url = self._base_url


class OpenAIRoute(BaseChatOpenAI):
    """The chat model of one route; it has no request settings of its own.

    Threads and event loops may share it.
    """

    replay_reasoning: bool = False
    """Whether the provider expects the reasoning of earlier answers back."""
    model_provider: str = "openai"
    """The `model_provider` of answers, which tells LangChain how to read their content."""

    _http: HttpClient = PrivateAttr()
    _async_http: AsyncHttpClient = PrivateAttr()
    _errors: _ReportedErrors = PrivateAttr()

    @property
    def _llm_type(self) -> str:
        return "autoprovider-openai-route"

    @model_validator(mode="after")
    def validate_environment(self) -> Self:
        """Replace the base's validator, which reads keys and URLs from the environment."""
        return self

    def use_clients(self, base_url: str, http: HttpClient, async_http: AsyncHttpClient) -> None:
        """Set the HTTP clients, which are not fields: they are not part of the configuration."""
        self._http = http
        self._async_http = async_http
        self._errors = _ReportedErrors(base_url)

    def embed(self, body: Params, timeout_s: float) -> bytes:
        """Return the response to a request for embeddings."""
        with self._errors:
            return self._http.post("/embeddings", body, timeout_s=timeout_s)

    async def aembed(self, body: Params, timeout_s: float) -> bytes:
        """Return the response to a request for embeddings, without blocking the event loop."""
        with self._errors:
            return await self._async_http.post("/embeddings", body, timeout_s=timeout_s)

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: Any = None,  # noqa: ARG002 - only for internal streaming
        **kwargs: Any,
    ) -> ChatResult:
        arguments = self._post_arguments(messages, stop, kwargs)
        with self._errors:
            return self._result(self._http.post(**arguments), kwargs.get("response_format"))

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: Any = None,  # noqa: ARG002 - as in `_generate`
        **kwargs: Any,
    ) -> ChatResult:
        arguments = self._post_arguments(messages, stop, kwargs)
        with self._errors:
            data = await self._async_http.post(**arguments)
            return self._result(data, kwargs.get("response_format"))

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: Any = None,  # noqa: ARG002 - the caller of a stream reports its tokens
        **kwargs: Any,
    ) -> Generator[ChatGenerationChunk]:
        arguments = self._post_arguments(messages, stop, self._stream_fields(kwargs))
        reader, convert = self._stream_conversion(kwargs.get("response_format"))
        parts = self._http.stream(**arguments)
        with self._errors, closing(read_stream(reader, parts)) as items:
            for item in items:
                if (chunk := convert(item)) is not None:
                    yield chunk

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: Any = None,  # noqa: ARG002 - as in `_stream`
        **kwargs: Any,
    ) -> AsyncGenerator[ChatGenerationChunk]:
        arguments = self._post_arguments(messages, stop, self._stream_fields(kwargs))
        reader, convert = self._stream_conversion(kwargs.get("response_format"))
        parts = self._async_http.stream(**arguments)
        with self._errors:
            async with aclosing(aread_stream(reader, parts)) as items:
                async for item in items:
                    if (chunk := convert(item)) is not None:
                        yield chunk

    # The request

    def _stream_fields(self, fields: Params) -> Params:
        if self.use_responses_api or not self._should_stream_usage(**fields):
            return {**fields, "stream": True}
        return {**fields, "stream": True, "stream_options": {"include_usage": True}}

    def _post_arguments(
        self, messages: list[BaseMessage], stop: list[str] | None, fields: Params
    ) -> dict[str, Any]:
        """Return the arguments of the HTTP client's `post` and `stream`.

        The SDK's arguments that are not part of the payload keep their meaning.
        """
        payload = self._get_request_payload(messages, stop=stop, **fields)
        payload.pop("stream_usage", None)
        timeout_s = payload.pop("timeout", None)
        headers = payload.pop("extra_headers", None)
        query = payload.pop("extra_query", None)
        payload.update(payload.pop("extra_body", None) or {})
        return {
            "path": "/responses" if self.use_responses_api else "/chat/completions",
            "payload": payload,
            "timeout_s": DEFAULT_SETTINGS.timeout_s if timeout_s is None else timeout_s,
            "headers": headers or {},
            "query": query or {},
        }

    def _get_request_payload(
        self, input_: LanguageModelInput, *, stop: list[str] | None = None, **kwargs: Any
    ) -> Params:
        rejected = kwargs.pop("without", ())
        if self.use_responses_api and _is_json_mode(kwargs.get("response_format")):
            kwargs["response_format"] = {"type": "json_object"}  # the base refuses a schema here
        prompt = self._convert_input(input_)  # which the base does not convert again
        payload: Params = super()._get_request_payload(prompt, stop=stop, **kwargs)
        if self.replay_reasoning:
            _add_reasoning(prompt.to_messages(), payload)
        return _without_rejected(payload, rejected) if rejected else payload

    # The answer

    def _result(self, data: bytes, schema: Any) -> ChatResult:
        """Return the body of a whole answer as LangChain's result.

        Args:
            data: The body.
            schema: The request's `response_format`, if any.

        Raises:
            InvalidResponseError: It is not an answer.
            ProviderError: It is an error.
            ContentFilteredError: The answer was withheld.
        """
        if self.use_responses_api:
            response = read_response(data)
            return _converted(partial(response_result, schema=schema), response)
        return _converted(self._create_chat_result, read_completion(data))

    def _stream_conversion(
        self, schema: Any
    ) -> tuple[Reader, Callable[[dict[str, Any]], ChatGenerationChunk | None]]:
        """Return the reader of a new stream, and what converts the dicts that it yields."""
        if self.use_responses_api:
            return ResponsesReader(), partial(_converted, ResponsesConverter(schema).convert)
        return ChatReader(), partial(_converted, self._chunk)

    def _chunk(self, chunk: dict[str, Any]) -> ChatGenerationChunk | None:
        return self._convert_chunk_to_generation_chunk(chunk, AIMessageChunk, None)

    def _convert_chunk_to_generation_chunk(
        self, chunk: dict[str, Any], *args: Any, **kwargs: Any
    ) -> ChatGenerationChunk | None:
        generation = super()._convert_chunk_to_generation_chunk(chunk, *args, **kwargs)
        if generation is None:
            return None
        generation.message.response_metadata["model_provider"] = self.model_provider
        if choices := chunk["choices"]:
            _keep_reasoning_and_refusal(choices[0]["delta"], generation.message)
        return generation

    def _create_chat_result(
        self, response: Any, generation_info: dict[str, Any] | None = None
    ) -> ChatResult:
        malformed = take_malformed_calls(response["choices"])
        result = super()._create_chat_result(response, generation_info)
        for index, (choice, generation) in enumerate(
            zip(response["choices"], result.generations, strict=False)
        ):
            _keep_reasoning_and_refusal(choice["message"], generation.message)
            if index in malformed:
                add_malformed_calls(generation.message, malformed[index])
            generation.message.response_metadata["model_provider"] = self.model_provider
        return result


def build(
    route: Route,
    access: Access,
    key: Callable[[], Key] | None = None,
    async_key: Callable[[], Awaitable[Key]] | None = None,
) -> OpenAIRoute:
    """Return the chat model of a route.

    Args:
        route: The route.
        access: Its base URL and key.
        key: Returns what to send instead of the key; called before each request.
        async_key: The same, for calls on an event loop.
    """
    drops_usage = "stream_options" in route.quirks.drop_params
    model_provider = _model_provider_of(route)
    if model_provider != "openai":
        register_translator(model_provider, **_TRANSLATOR)
    model = OpenAIRoute(
        model=route.model_id,
        stream_usage=route.quirks.stream_usage and not drops_usage,
        replay_reasoning=route.quirks.replay_reasoning,
        use_responses_api=route.endpoint.protocol == _RESPONSES,
        model_provider=model_provider,
        openai_proxy=None,
        stream_chunk_timeout=None,
    )
    observer = rate_limit_observer(route, access.state)
    model.use_clients(
        access.base_url,
        HttpClient(access.base_url, key or access.key, on_headers=observer),
        AsyncHttpClient(access.base_url, async_key or access.key, on_headers=observer),
    )
    return model


def plain_client(
    route: Route, access: Access, key: Callable[[], Key] | None = None
) -> openai.OpenAI | None:
    """Return OpenAI's own client, or `None` if the endpoint has no chat completions.

    Args:
        route: The route.
        access: Its base URL and key.
        key: Returns what to send instead of the key; called before each request.
    """
    if route.endpoint.protocol == _RESPONSES:
        return None
    http = openai.DefaultHttpxClient(**client_options(access))
    http.event_hooks["request"].append(reject_foreign_hosts(access))
    add_key_on_send(http, key or access.key)
    sdk = openai.OpenAI(
        base_url=access.base_url,
        api_key=PLACEHOLDER,
        http_client=http,
        max_retries=0,
        timeout=openai.Timeout(**timeout_options()),
    )
    # What the SDK takes from OPENAI_ORG_ID, OPENAI_PROJECT_ID and OPENAI_CUSTOM_HEADERS.
    sdk.organization = sdk.project = None
    sdk._custom_headers = {}  # noqa: SLF001 - there is no public way; a test checks the wire
    weakref.finalize(sdk, http.close)  # for callers that drop it without closing it
    return sdk


CONNECTOR = WireConnector(connect=build, plain_client=plain_client)


def _content_blocks(message: AIMessage) -> list[ContentBlock]:
    """Return an answer's content in LangChain's blocks.

    OpenAI's translator drops reasoning, and the default for unknown names drops a refusal.
    """
    blocks = message.model_copy(update={"response_metadata": {}}).content_blocks
    if refusal := message.additional_kwargs.get("refusal"):
        blocks.append({"type": "refusal", "refusal": refusal})
    return blocks


_TRANSLATOR = {"translate_content": _content_blocks, "translate_content_chunk": _content_blocks}


def _model_provider_of(route: Route) -> str:
    """Return the `model_provider` of a route's answers.

    LangChain's translator for a vendor expects the vendor's own protocol. So answers that such a
    vendor sends in OpenAI's protocol get another name.
    """
    if route.endpoint.protocol == _RESPONSES or route.provider == "openai":
        return "openai"
    has_own_translator = get_translator(route.provider) not in (None, _TRANSLATOR)
    return f"{route.provider}-openai" if has_own_translator else route.provider


def _converted(convert: Callable[[dict[str, Any]], T], part: dict[str, Any]) -> T:
    """Convert a part of an answer with one of LangChain's converters.

    Raises:
        InvalidResponseError: The converter fails on what our reader accepted.
    """
    try:
        return convert(part)
    except Exception as error:
        msg = f"HTTP 200 whose body cannot be read: {type(error).__name__}: {error}"
        raise InvalidResponseError(one_line(msg)) from error


def _keep_reasoning_and_refusal(part: dict[str, Any] | None, message: BaseMessage) -> None:
    """Keep what the base class drops: reasoning, under both names, and a streamed refusal."""
    part = part or {}
    reasoning = part.get("reasoning_content") or part.get("reasoning")
    for name, text in (("reasoning_content", reasoning), ("refusal", part.get("refusal"))):
        if isinstance(text, str) and text:
            message.additional_kwargs[name] = text


def _is_json_mode(response_format: Any) -> bool:
    return isinstance(response_format, dict) and response_format.get("type") == "json_object"


def _add_reasoning(messages: list[BaseMessage], payload: Params) -> None:
    """Send the reasoning of earlier answers back, which the base class does not."""
    for message, body in zip(messages, payload.get("messages", ()), strict=False):
        if reasoning := message.additional_kwargs.get("reasoning_content"):
            body["reasoning_content"] = reasoning


def _without_rejected(payload: Params, rejected: Collection[str]) -> Params:
    """Return the payload without the parameters that the provider rejected earlier.

    If one of them limits the answer's length, the other name of that parameter is tried.
    """
    kept = {name: value for name, value in payload.items() if name not in rejected}
    limit = next((payload[name] for name in MAX_TOKENS_FIELDS if name in payload), None)
    if limit is not None and kept.keys().isdisjoint(MAX_TOKENS_FIELDS):
        kept |= {name: limit for name in MAX_TOKENS_FIELDS if name not in rejected}
    return kept
