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
from langchain_core.messages.block_translators import get_translator, register_translator
from langchain_openai.chat_models.base import BaseChatOpenAI
from pydantic import ValidationError, model_validator

from inference_providers.errors import InvalidResponseError
from inference_providers.types import Quirks
from langchain_autoprovider.http.clients import attend, http_options, key_value, timeouts
from langchain_autoprovider.http.event_loops import close_with_loop
from langchain_autoprovider.protocols.openai_facade import PlainClient
from langchain_autoprovider.protocols.quirks import applied

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

    from langchain_core.language_models import BaseChatModel, LanguageModelInput
    from langchain_core.messages import AIMessage, BaseMessage
    from langchain_core.messages.content import ContentBlock
    from langchain_core.outputs import ChatGenerationChunk, ChatResult

    from inference_providers.routing.backend import Access
    from inference_providers.types import Route

__all__ = ["OpenAIRoute", "aconnect", "client", "connect"]

_RESPONSES = "openai-responses"

Sdk = TypeVar("Sdk", openai.OpenAI, openai.AsyncOpenAI)


class OpenAIRoute(BaseChatOpenAI):
    """The chat model of one route; carries no request settings of its own."""

    quirks: Quirks = Quirks()
    answers_as: str = "openai"
    """The `model_provider` of answers: by it, LangChain translates their content."""

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
        if self.use_responses_api and _is_json_object(kwargs.get("response_format")):
            kwargs["response_format"] = {"type": "json_object"}  # the base knows it only bare
        messages = self._convert_input(input_).to_messages()
        payload = super()._get_request_payload(messages, stop=stop, **kwargs)
        _replay_reasoning(messages, payload)
        payload = applied(self.quirks, payload, without=without)
        if isinstance(seconds := payload.get("timeout"), float):
            payload["timeout"] = openai.Timeout(**timeouts(seconds))
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
        if made is not None:
            made.message.response_metadata["model_provider"] = self.answers_as
        if made is not None and chunk["choices"]:
            _keep_dropped(chunk["choices"][0].get("delta"), made.message)
        return made

    def _create_chat_result(
        self, response: Any, generation_info: dict[str, Any] | None = None
    ) -> ChatResult:
        body = _decoded(response)
        if fault := _no_answer(body):
            raise InvalidResponseError(fault, body=body)
        try:
            result = super()._create_chat_result(response, generation_info)
        except ValidationError as error:  # such as arguments of a tool call that are a list
            msg = f"a success that is no message: {error.errors(include_input=False)[:1]}"
            raise InvalidResponseError(msg, body=body) from None
        for choice, generation in zip(body["choices"], result.generations, strict=False):
            _keep_dropped(choice.get("message"), generation.message)
            generation.message.response_metadata["model_provider"] = self.answers_as
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
    attend(sdk._client, route, access.state)  # noqa: SLF001 - the client that `_sdk` has just made
    return _model(route, root_client=sdk, client=sdk.chat.completions)


async def aconnect(
    route: Route, access: Access, key: Callable[[], Awaitable[str]] | None = None
) -> tuple[BaseChatModel, object]:
    """Return the chat model of a route for the running event loop, and what keeps it open."""
    http = openai.DefaultAsyncHttpxClient(**http_options(access))
    attend(http, route, access.state)
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
        stream_usage=True,  # the quirks take it out again
        use_responses_api=route.endpoint.protocol == _RESPONSES,
        answers_as=_answers_as(route),
        openai_proxy=None,
        stream_chunk_timeout=None,
        **clients,
    )


def _blocks(message: AIMessage) -> list[ContentBlock]:
    """Return an answer's content in LangChain's blocks.

    OpenAI's translator drops reasoning, what is done for unknown names drops a refusal.
    """
    blocks = message.model_copy(update={"response_metadata": {}}).content_blocks
    if refusal := message.additional_kwargs.get("refusal"):
        blocks.append({"type": "refusal", "refusal": refusal})
    return blocks


_TRANSLATOR = {"translate_content": _blocks, "translate_content_chunk": _blocks}


def _answers_as(route: Route) -> str:
    """Name who answers, and have LangChain translate what comes under that name.

    A vendor with a translator of its own has it for its own protocol, not for this one.
    """
    if route.endpoint.protocol == _RESPONSES or route.provider == "openai":
        return "openai"
    has_own = get_translator(route.provider) not in (None, _TRANSLATOR)
    name = f"{route.provider}-openai" if has_own else route.provider
    register_translator(name, **_TRANSLATOR)
    return name


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
        "timeout": openai.Timeout(**timeouts()),
    }


def _unbiased(sdk: Sdk) -> Sdk:
    """Undo what the SDK took from OPENAI_ORG_ID, OPENAI_PROJECT_ID, OPENAI_CUSTOM_HEADERS."""
    sdk.organization = None
    sdk.project = None
    sdk._custom_headers = {}  # noqa: SLF001 - the SDK has no public way; a test watches the wire
    return sdk


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


def _keep_dropped(said: dict[str, Any] | None, message: BaseMessage) -> None:
    """Keep what the base class drops: a refusal in a stream; thoughts, which have two names."""
    said = said or {}
    thought = said.get("reasoning_content") or said.get("reasoning")
    for name, text in (("reasoning_content", thought), ("refusal", said.get("refusal"))):
        if isinstance(text, str) and text:
            message.additional_kwargs[name] = text


def _is_json_object(response_format: Any) -> bool:
    return isinstance(response_format, dict) and response_format.get("type") == "json_object"


def _replay_reasoning(messages: list[BaseMessage], payload: dict[str, Any]) -> None:
    """Send back what a model thought, which the base class does not; quirks drop it again."""
    for message, body in zip(messages, payload.get("messages", ()), strict=False):
        if thought := message.additional_kwargs.get("reasoning_content"):
            body["reasoning_content"] = thought


def _decoded(response: Any) -> Any:
    """Return a response as it was on the wire."""
    return response if isinstance(response, dict | str) else response.model_dump(warnings=False)
