"""Mistral's own protocol, spoken through langchain-mistralai's `ChatMistralAI`.

It answers to OpenAI's words as well, but refuses those it does not know, and wants the
history of a conversation its own way: that is what the vendor's class is for.

Taken away from it: retries, its settings of temperature and `top_p`, and what it reads
from the environment (`MISTRAL_API_KEY`, `MISTRAL_BASE_URL`).
"""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any, ClassVar, Self

import httpx
from httpx_sse import connect_sse
from langchain_mistralai import ChatMistralAI
from pydantic import model_validator

from inference_providers.errors import InvalidResponseError
from langchain_autoprovider.http.clients import (
    aguard,
    attend,
    guard,
    http_options,
    key_value,
    timeouts,
)
from langchain_autoprovider.http.event_loops import close_with_loop
from langchain_autoprovider.protocols.base import RouteModel

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Mapping

    from langchain_core.language_models import BaseChatModel
    from langchain_core.outputs import ChatGenerationChunk, ChatResult

    from inference_providers.routing.backend import Access
    from inference_providers.types import Route

__all__ = ["MistralRoute", "aconnect", "connect"]

_PATH = "/chat/completions"


class MistralRoute(RouteModel, ChatMistralAI):
    """The chat model of one route; its HTTP client is put in, and holds the key."""

    spellings: ClassVar[Mapping[str, str]] = {
        "max_completion_tokens": "max_tokens",
        "seed": "random_seed",
    }
    absent: ClassVar[frozenset[str]] = frozenset(
        {"logit_bias", "logprobs", "store", "stream_options", "strict", "top_logprobs", "user"}
    )

    @model_validator(mode="after")
    def validate_environment(self) -> Self:
        """Stand in for the base's validator, which reads the environment and makes clients."""
        return self

    @property
    def _default_params(self) -> dict[str, Any]:
        return {"model": self.model}

    def completion_with_retry(self, run_manager: Any = None, **body: Any) -> Any:  # noqa: ARG002
        """Send a request, once. Stands in for the base's, which has no timeout per call."""
        limits = httpx.Timeout(**timeouts(*_pop_seconds(body)))
        if body.get("stream"):
            return self._events(body, limits)
        response = self.client.post(_PATH, json=body, timeout=limits)
        _raise_for_status(response)
        return response.json()

    def _events(self, body: dict[str, Any], limits: httpx.Timeout) -> Iterator[Any]:
        with connect_sse(self.client, "POST", _PATH, json=body, timeout=limits) as source:
            _raise_for_status(source.response)
            for event in source.iter_sse():
                if event.data == "[DONE]":
                    return
                yield event.json()

    async def _agenerate(self, *args: Any, **kwargs: Any) -> ChatResult:
        _pop_seconds(kwargs)  # the driver keeps it; the base would send it along
        return await super()._agenerate(*args, **kwargs)

    def _astream(self, *args: Any, **kwargs: Any) -> AsyncIterator[ChatGenerationChunk]:
        _pop_seconds(kwargs)
        return super()._astream(*args, **kwargs)

    def _create_chat_result(self, response: Any) -> ChatResult:
        if not isinstance(response, dict) or not response.get("choices"):
            msg = f"a success without choices: {str(response)[:200]!r}"
            raise InvalidResponseError(msg, body=response)
        return super()._create_chat_result(response)


def connect(route: Route, access: Access) -> BaseChatModel:
    """Return the chat model of a route, for calls without an event loop."""
    http = httpx.Client(**_options(access), event_hooks={"request": [guard(access)]})
    attend(http, route, access.state)
    model = _model(route, client=http)
    weakref.finalize(model, http.close)
    return model


async def aconnect(route: Route, access: Access) -> tuple[BaseChatModel, object]:
    """Return the chat model of a route for the running event loop, and what keeps it open."""
    http = httpx.AsyncClient(**_options(access), event_hooks={"request": [aguard(access)]})
    attend(http, route, access.state)
    return _model(route, async_client=http), await close_with_loop(http.aclose)


def _model(route: Route, **clients: Any) -> MistralRoute:
    settings: dict[str, Any] = {
        "model": route.model_id,
        "api_key": "none",  # without one, the base would read the environment
        "max_retries": 1,  # the first attempt is counted
    }
    return MistralRoute(quirks=route.quirks, **settings, **clients)


def _options(access: Access) -> dict[str, Any]:
    return {
        **http_options(access),
        "base_url": access.base_url,
        "headers": {"Authorization": f"Bearer {key_value(access)}"},
        "timeout": httpx.Timeout(**timeouts()),
    }


def _pop_seconds(fields: dict[str, Any]) -> tuple[float, ...]:
    seconds = fields.pop("timeout", None)
    return () if seconds is None else (seconds,)


def _raise_for_status(response: httpx.Response) -> None:
    """Raise an answer that is an error, with its body read.

    Raises:
        HTTPStatusError: It is.
    """
    if not response.is_success:
        response.read()
        response.raise_for_status()
