"""OpenAI's two protocols, spoken through one subclass of langchain-openai's base model.

Added to it: the registry's quirks, and that a success which is no answer is told as
a failure. Taken away from it:

* retries: ours is the only loop;
* redirects: they would carry the prompt to another host;
* what the SDK reads from the environment: an OpenAI organization, a base URL or
  custom headers are not another vendor's business.
"""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any, Self, TypeVar

import openai
from langchain_openai.chat_models.base import BaseChatOpenAI
from pydantic import model_validator

from inference_providers.errors import BrokenAnswerError
from inference_providers.routes import Quirks
from langchain_autoprovider.loops import close_with_loop
from langchain_autoprovider.plain_client import PlainClient
from langchain_autoprovider.transport import http_options, key_value, patience

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

    from langchain_core.language_models import BaseChatModel, LanguageModelInput
    from langchain_core.messages import BaseMessage
    from langchain_core.outputs import ChatGenerationChunk, ChatResult

    from inference_providers.connector import Access
    from inference_providers.routes import Route

__all__ = ["OpenAIRoute", "aconnect", "client", "connect"]

_RESPONSES = "openai-responses"

_OTHER_NAME = {
    "max_tokens": "max_completion_tokens",
    "max_completion_tokens": "max_tokens",
}
"""What to call a parameter whose one name is refused."""

Sdk = TypeVar("Sdk", openai.OpenAI, openai.AsyncOpenAI)


class OpenAIRoute(BaseChatOpenAI):
    """The chat model of one route; carries no request settings of its own."""

    quirks: Quirks = Quirks()

    @property
    def _llm_type(self) -> str:
        return "autoprovider-openai-route"

    @model_validator(mode="after")
    def validate_environment(self) -> Self:
        """Stand in for the base's validator, which reads keys and URLs from the environment."""
        return self

    def _get_request_payload(
        self, input_: LanguageModelInput, *, stop: list[str] | None = None, **kwargs: Any
    ) -> dict[str, Any]:
        without = kwargs.pop("without", ())
        payload = super()._get_request_payload(input_, stop=stop, **kwargs)
        _apply(self.quirks, payload)
        _leave_out(without, payload)
        if isinstance(seconds := payload.get("timeout"), float):
            payload["timeout"] = openai.Timeout(**patience(seconds))
        if "response_format" in payload:
            # Sent as it is. Seen in `payload`, the base would take the SDK's parsing
            # road, where a stream's chunks differ from all others.
            extra = payload.get("extra_body") or {}
            payload["extra_body"] = {**extra, "response_format": payload.pop("response_format")}
        return payload

    def _convert_chunk_to_generation_chunk(
        self, chunk: dict[str, Any], *args: Any, **kwargs: Any
    ) -> ChatGenerationChunk | None:
        if chunk.get("choices") is None:
            chunk["choices"] = []
        made = super()._convert_chunk_to_generation_chunk(chunk, *args, **kwargs)
        if made is not None and chunk["choices"]:
            _keep_reasoning(chunk["choices"][0].get("delta"), made.message)
        return made

    def _create_chat_result(
        self, response: Any, generation_info: dict[str, Any] | None = None
    ) -> ChatResult:
        body = _decoded(response)
        if fault := _no_answer(body):
            raise BrokenAnswerError(fault, body=body)
        result = super()._create_chat_result(response, generation_info)
        for choice, generation in zip(body["choices"], result.generations, strict=False):
            _keep_reasoning(choice.get("message"), generation.message)
        return result

    def _stream(self, *args: Any, **kwargs: Any) -> Iterator[ChatGenerationChunk]:
        if self.use_responses_api:
            return super()._stream_responses(*args, **kwargs)
        return super()._stream(*args, **kwargs)

    def _astream(self, *args: Any, **kwargs: Any) -> AsyncIterator[ChatGenerationChunk]:
        if self.use_responses_api:
            return super()._astream_responses(*args, **kwargs)
        return super()._astream(*args, **kwargs)


def connect(route: Route, access: Access, key: Callable[[], str] | None = None) -> BaseChatModel:
    """Return the chat model of a route, for calls without an event loop.

    `key` is called for what to send in place of the key.
    """
    sdk = _sdk(access, key)
    return _model(route, root_client=sdk, client=sdk.chat.completions)


async def aconnect(
    route: Route, access: Access, key: Callable[[], Awaitable[str]] | None = None
) -> tuple[BaseChatModel, object]:
    """Return the chat model of a route for the running event loop, and what keeps it open."""
    http = openai.DefaultAsyncHttpxClient(**http_options(access))
    sdk = _unbiased(openai.AsyncOpenAI(http_client=http, **_sdk_options(access, key)))
    model = _model(route, root_async_client=sdk, async_client=sdk.chat.completions)
    return model, await close_with_loop(http.aclose)


def client(route: Route, access: Access, key: Callable[[], str] | None = None) -> Any:
    """Return a plain `openai.OpenAI` where the endpoint speaks its chat protocol."""
    if route.endpoint.protocol == _RESPONSES:
        return PlainClient(connect(route, access, key))
    return _sdk(access, key)


def _model(route: Route, **clients: Any) -> OpenAIRoute:
    return OpenAIRoute(
        model=route.model_id,
        quirks=route.quirks,
        stream_usage=route.quirks.stream_usage,
        use_responses_api=route.endpoint.protocol == _RESPONSES,
        openai_proxy=None,
        stream_chunk_timeout=None,
        **clients,
    )


def _sdk(access: Access, key: Callable[[], str] | None) -> openai.OpenAI:
    http = openai.DefaultHttpxClient(**http_options(access))
    sdk = _unbiased(openai.OpenAI(http_client=http, **_sdk_options(access, key)))
    weakref.finalize(sdk, http.close)  # who drops a client has not always closed it
    return sdk


def _sdk_options(access: Access, key: Callable[[], Any] | None) -> dict[str, Any]:
    return {
        "base_url": access.base_url,
        "api_key": key or key_value(access),
        "max_retries": 0,
        "timeout": openai.Timeout(**patience()),
    }


def _unbiased(sdk: Sdk) -> Sdk:
    """Undo what the SDK took from OPENAI_ORG_ID, OPENAI_PROJECT_ID, OPENAI_CUSTOM_HEADERS."""
    sdk.organization = None
    sdk.project = None
    sdk._custom_headers = {}  # noqa: SLF001 - the SDK has no public way; a test watches the wire
    return sdk


def _apply(quirks: Quirks, payload: dict[str, Any]) -> None:
    """Change a request body in place to what the provider takes."""
    if quirks.max_tokens_field != "max_tokens" and "max_tokens" in payload:
        payload[quirks.max_tokens_field] = payload.pop("max_tokens")
    for name in quirks.drop_params:
        payload.pop(name, None)
    if quirks.drop_message_name:
        for message in payload.get("messages", ()):
            message.pop("name", None)
    choice = payload.get("tool_choice")
    if not quirks.named_tool_choice and isinstance(choice, dict):
        wanted = choice.get("function", {}).get("name")
        named = [
            tool for tool in payload["tools"] if tool.get("function", {}).get("name") == wanted
        ]
        payload["tools"], payload["tool_choice"] = named, "required"


def _leave_out(names: tuple[str, ...], payload: dict[str, Any]) -> None:
    """Take parameters out of a request body that the provider has refused before."""
    for name in names:
        value = payload.pop(name, None)
        other = _OTHER_NAME.get(name)
        if other is not None and value is not None:
            payload.setdefault(other, value)


def _no_answer(body: dict[str, Any] | str) -> str | None:
    """Say why a decoded success is no answer, or `None` when it is one."""
    if isinstance(body, str):
        return f"expected JSON, got {' '.join(body[:200].split())!r}"
    if error := body.get("error"):
        return f"a success that holds an error: {error}"
    if not body.get("choices"):
        return "a success without choices"
    first = body["choices"][0]
    if isinstance(first, dict) and (error := first.get("error")):  # OpenRouter's upstream failed
        return f"a choice that holds an error: {error}"
    return None


def _keep_reasoning(said: Any, message: BaseMessage) -> None:
    """Keep what a model thought, which the base class drops: vendors call it two names."""
    thought = said and (said.get("reasoning_content") or said.get("reasoning"))
    if isinstance(thought, str) and thought:
        message.additional_kwargs["reasoning_content"] = thought


def _decoded(response: Any) -> Any:
    """Return a response as it was on the wire."""
    return response if isinstance(response, dict | str) else response.model_dump(warnings=False)
