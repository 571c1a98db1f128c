"""OpenAI's two protocols, in one subclass of langchain-openai's base model.

The subclass checks answers and keeps reasoning and refusals. It removes from the base:

* Retries: only the failover engine retries.
* What the SDK reads from the environment: an organization, a base URL or custom headers that are
  meant for OpenAI must not reach another vendor.
"""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any, Self, TypeVar

import openai
from langchain_core.messages.block_translators import get_translator, register_translator
from langchain_openai.chat_models.base import BaseChatOpenAI
from pydantic import ValidationError, model_validator

from inference_providers.errors import InvalidResponseError
from langchain_autoprovider.http.clients import (
    client_options,
    reject_foreign_hosts,
    timeout_options,
)
from langchain_autoprovider.http.key_transport import PLACEHOLDER, add_key_on_send
from langchain_autoprovider.protocols.connector import Connector
from langchain_autoprovider.protocols.quirks import MAX_TOKENS_FIELDS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterator

    from langchain_core.language_models import LanguageModelInput
    from langchain_core.messages import AIMessage, BaseMessage
    from langchain_core.messages.content import ContentBlock
    from langchain_core.outputs import ChatGenerationChunk, ChatResult

    from inference_providers.routing.backend import Access
    from inference_providers.types import Route
    from langchain_autoprovider.protocols.base import Params

__all__ = ["CONNECTOR", "OpenAIRoute", "abuild", "build", "plain_client"]

_RESPONSES = "openai-responses"

Sdk = TypeVar("Sdk", openai.OpenAI, openai.AsyncOpenAI)


class OpenAIRoute(BaseChatOpenAI):
    """The chat model of one route; it has no request settings of its own."""

    replay_reasoning: bool = False
    """Whether the provider expects the reasoning of earlier answers back."""
    model_provider: str = "openai"
    """The `model_provider` of answers, which tells LangChain how to read their content."""

    @property
    def _llm_type(self) -> str:
        return "autoprovider-openai-route"

    @model_validator(mode="after")
    def validate_environment(self) -> Self:
        """Replace the base's validator, which reads keys and URLs from the environment."""
        return self

    def _get_request_payload(
        self, input_: LanguageModelInput, *, stop: list[str] | None = None, **kwargs: Any
    ) -> Params:
        rejected = kwargs.pop("without", ())
        if self.use_responses_api and _is_json_mode(kwargs.get("response_format")):
            kwargs["response_format"] = {"type": "json_object"}  # the base refuses a schema here
        messages = self._convert_input(input_).to_messages()
        payload: Params = super()._get_request_payload(messages, stop=stop, **kwargs)
        if self.replay_reasoning:
            _add_reasoning(messages, payload)
        if rejected:
            payload = _without_rejected(payload, rejected)
        if isinstance(seconds := payload.get("timeout"), float):
            payload["timeout"] = openai.Timeout(**timeout_options(seconds))
        if "response_format" in payload:
            # If it were a parameter, the base would have the SDK parse the answer, and the chunks
            # of such a stream would have another form.
            extra = payload.get("extra_body") or {}
            payload["extra_body"] = {**extra, "response_format": payload.pop("response_format")}
        return payload

    def _convert_chunk_to_generation_chunk(
        self, chunk: dict[str, Any], *args: Any, **kwargs: Any
    ) -> ChatGenerationChunk | None:
        if chunk.get("choices") is None:
            chunk["choices"] = []
        generation = super()._convert_chunk_to_generation_chunk(chunk, *args, **kwargs)
        if generation is None:
            return None
        generation.message.response_metadata["model_provider"] = self.model_provider
        if chunk["choices"]:
            _keep_reasoning_and_refusal(chunk["choices"][0].get("delta"), generation.message)
        return generation

    def _create_chat_result(
        self, response: Any, generation_info: dict[str, Any] | None = None
    ) -> ChatResult:
        body = _body_of(response)
        if fault := _fault_in(body):
            raise InvalidResponseError(fault, body=body)
        try:
            result = super()._create_chat_result(response, generation_info)
        except ValidationError as error:  # such as tool-call arguments that are a list
            details = error.errors(include_input=False)[:1]
            msg = f"HTTP 200 whose body is not a chat message: {details}"
            raise InvalidResponseError(msg, body=body) from None
        for choice, generation in zip(body["choices"], result.generations, strict=False):
            _keep_reasoning_and_refusal(choice.get("message"), generation.message)
            generation.message.response_metadata["model_provider"] = self.model_provider
        return result

    def _stream(self, *args: Any, **kwargs: Any) -> Iterator[ChatGenerationChunk]:
        if self.use_responses_api:
            return super()._stream_responses(*args, **kwargs)
        return super()._stream(*args, **kwargs)

    def _astream(self, *args: Any, **kwargs: Any) -> AsyncIterator[ChatGenerationChunk]:
        if self.use_responses_api:
            return super()._astream_responses(*args, **kwargs)
        return super()._astream(*args, **kwargs)


def build(
    route: Route, access: Access, http: Any, key: Callable[[], str] | None = None
) -> OpenAIRoute:
    """Return the chat model of a route.

    Args:
        route: The route.
        access: Its base URL and key.
        http: The HTTP client for the SDK.
        key: Returns the token to send instead of the key; called before each request.
    """
    sdk = _ignore_environment(openai.OpenAI(http_client=http, **_sdk_options(access, key)))
    return _model(route, root_client=sdk, client=sdk.chat.completions)


async def abuild(
    route: Route, access: Access, http: Any, key: Callable[[], Awaitable[str]] | None = None
) -> OpenAIRoute:
    """Return the chat model of a route for the running event loop; see `build`."""
    sdk = _ignore_environment(openai.AsyncOpenAI(http_client=http, **_sdk_options(access, key)))
    return _model(route, root_async_client=sdk, async_client=sdk.chat.completions)


def plain_client(
    route: Route, access: Access, key: Callable[[], str] | None = None
) -> openai.OpenAI | None:
    """Return OpenAI's own client, or `None` if the endpoint has no chat completions."""
    if route.endpoint.protocol == _RESPONSES:
        return None
    http = openai.DefaultHttpxClient(**client_options(access))
    http.event_hooks["request"].append(reject_foreign_hosts(access))
    add_key_on_send(http, access.key)
    sdk = _ignore_environment(openai.OpenAI(http_client=http, **_sdk_options(access, key)))
    weakref.finalize(sdk, http.close)  # for callers that drop it without closing it
    return sdk


CONNECTOR = Connector(
    build=build,
    abuild=abuild,
    http_client=openai.DefaultHttpxClient,
    async_http_client=openai.DefaultAsyncHttpxClient,
    plain_client=plain_client,
)


def _model(route: Route, **clients: Any) -> OpenAIRoute:
    drops_usage = "stream_options" in route.quirks.drop_params
    model_provider = _model_provider_of(route)
    if model_provider != "openai":
        register_translator(model_provider, **_TRANSLATOR)
    return OpenAIRoute(
        model=route.model_id,
        stream_usage=route.quirks.stream_usage and not drops_usage,
        replay_reasoning=route.quirks.replay_reasoning,
        use_responses_api=route.endpoint.protocol == _RESPONSES,
        model_provider=model_provider,
        openai_proxy=None,
        stream_chunk_timeout=None,
        **clients,
    )


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


def _sdk_options(access: Access, key: Callable[[], Any] | None) -> dict[str, Any]:
    return {
        "base_url": access.base_url,
        "api_key": key or PLACEHOLDER,
        "max_retries": 0,
        "timeout": openai.Timeout(**timeout_options()),
    }


def _ignore_environment(sdk: Sdk) -> Sdk:
    """Undo what the SDK took from OPENAI_ORG_ID, OPENAI_PROJECT_ID and OPENAI_CUSTOM_HEADERS."""
    sdk.organization = None
    sdk.project = None
    sdk._custom_headers = {}  # noqa: SLF001 - there is no public way; a test checks the wire
    return sdk


def _fault_in(body: dict[str, Any] | str) -> str | None:
    """Return why the body of an HTTP 200 is not a usable answer, or `None` if it is."""
    if isinstance(body, str):
        return f"expected JSON, got {' '.join(body[:200].split())!r}"
    if error := body.get("error"):
        return f"HTTP 200 with an error in its body: {error}"
    if not body.get("choices"):
        return "HTTP 200 without choices"
    first = body["choices"][0]
    if isinstance(first, dict) and (error := first.get("error")):  # OpenRouter's upstream failed
        return f"HTTP 200 with an error in its first choice: {error}"
    return None


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


def _body_of(response: Any) -> Any:
    """Return a response's body as it was on the wire."""
    return response if isinstance(response, dict | str) else response.model_dump(warnings=False)
