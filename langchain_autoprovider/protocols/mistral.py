"""Mistral's own protocol, through langchain-mistralai's `ChatMistralAI`.

Mistral's endpoint accepts OpenAI's form too, but rejects unknown parameters and has its own rules
for conversations. The vendor's class handles both.

The subclass removes retries, the default temperature and `top_p`, and what the base reads from the
environment (`MISTRAL_API_KEY`, `MISTRAL_BASE_URL`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Self

import httpx
from httpx_sse import connect_sse
from langchain_mistralai import ChatMistralAI
from pydantic import model_validator

from inference_providers.errors import InvalidResponseError
from inference_providers.wire.exchange import excerpt
from langchain_autoprovider.http.clients import bearer_options, timeout_options
from langchain_autoprovider.protocols.base import RouteModel
from langchain_autoprovider.protocols.connector import Connector

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Mapping

    from langchain_core.outputs import ChatGenerationChunk, ChatResult

    from inference_providers.routing.backend import Access
    from inference_providers.types import Route
    from langchain_autoprovider.http.clients import TimeoutOptions

__all__ = ["CONNECTOR", "MistralRoute"]

_PATH = "/chat/completions"


class MistralRoute(RouteModel, ChatMistralAI):
    """The chat model of one route, over an HTTP client."""

    param_aliases: ClassVar[Mapping[str, str]] = {
        "max_completion_tokens": "max_tokens",
        "seed": "random_seed",
    }
    unsupported_params: ClassVar[frozenset[str]] = frozenset(
        {"logit_bias", "logprobs", "store", "stream_options", "strict", "top_logprobs", "user"}
    )

    @model_validator(mode="after")
    def validate_environment(self) -> Self:
        """Replace the base's validator, which reads the environment and creates clients."""
        return self

    @property
    def _default_params(self) -> dict[str, Any]:
        return {"model": self.model}

    def completion_with_retry(self, run_manager: Any = None, **body: Any) -> Any:  # noqa: ARG002
        """Send a request once. The base's method has no timeout per call."""
        timeout = httpx.Timeout(**_pop_timeout_options(body))
        if body.get("stream"):
            return self._events(body, timeout)
        response = self.client.post(_PATH, json=body, timeout=timeout)
        _raise_for_status(response)
        return response.json()

    def _events(self, body: dict[str, Any], timeout: httpx.Timeout) -> Iterator[Any]:
        with connect_sse(self.client, "POST", _PATH, json=body, timeout=timeout) as source:
            _raise_for_status(source.response)
            for event in source.iter_sse():
                if event.data == "[DONE]":
                    return
                yield event.json()

    # The driver enforces the timeout of asynchronous calls; the base would send it to the provider.

    async def _agenerate(self, *args: Any, **arguments: Any) -> ChatResult:
        arguments.pop("timeout", None)
        return await super()._agenerate(*args, **arguments)

    def _astream(self, *args: Any, **arguments: Any) -> AsyncIterator[ChatGenerationChunk]:
        arguments.pop("timeout", None)
        return super()._astream(*args, **arguments)

    def _create_chat_result(self, response: Any) -> ChatResult:
        if not isinstance(response, dict) or not response.get("choices"):
            msg = f"HTTP 200 without choices: {excerpt(str(response))!r}"
            raise InvalidResponseError(msg, body=response)
        return super()._create_chat_result(response)


def _build(route: Route, _: Access, http: httpx.Client) -> MistralRoute:
    return _model(route, client=http)


async def _abuild(route: Route, _: Access, http: httpx.AsyncClient) -> MistralRoute:
    return _model(route, async_client=http)


CONNECTOR = Connector(build=_build, abuild=_abuild, options=bearer_options)


def _model(route: Route, **clients: Any) -> MistralRoute:
    settings: dict[str, Any] = {
        "model": route.model_id,
        "api_key": "none",  # without one, the base would read the environment
        "max_retries": 1,  # counts the first attempt
    }
    return MistralRoute(**settings, **clients)


def _pop_timeout_options(params: dict[str, Any]) -> TimeoutOptions:
    seconds = params.pop("timeout", None)
    return timeout_options() if seconds is None else timeout_options(seconds)


def _raise_for_status(response: httpx.Response) -> None:
    """Raise for an error status, with the body read.

    Raises:
        HTTPStatusError: The status is not a success.
    """
    if not response.is_success:
        response.read()
        response.raise_for_status()
