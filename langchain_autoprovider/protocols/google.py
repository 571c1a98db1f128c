"""Gemini's own protocol, spoken through langchain-google-genai's `ChatGoogleGenerativeAI`.

Taken away from it: retries, redirects, the LangSmith gateway, another HTTP library for
async calls, and what it and its SDK read from the environment (`GOOGLE_API_KEY`,
`GOOGLE_GENAI_USE_VERTEXAI`, base URLs, client certificates).
"""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any, ClassVar, Self, cast

import httpx
from google import genai
from google.genai.client import DebugConfig
from google.genai.types import HttpOptions
from langchain_google_genai import ChatGoogleGenerativeAI
from pydantic import model_validator

from inference_providers.errors import InvalidResponseError
from inference_providers.settings import DEFAULT_SETTINGS
from langchain_autoprovider.http.clients import (
    aguard,
    attend,
    certificates,
    guard,
    http_options,
    key_value,
    split_version,
)
from langchain_autoprovider.http.event_loops import close_with_loop
from langchain_autoprovider.protocols.base import RouteModel
from langchain_autoprovider.protocols.response_format import json_schema

if TYPE_CHECKING:
    from collections.abc import Mapping

    from langchain_core.language_models import BaseChatModel
    from langchain_core.outputs import ChatResult

    from inference_providers.routing.backend import Access
    from inference_providers.types import Route

__all__ = ["GoogleRoute", "aconnect", "connect"]

_VERSION = "v1beta"
"""Of the API, where the endpoint's URL names none."""


class GoogleRoute(RouteModel, ChatGoogleGenerativeAI):
    """The chat model of one route; its SDK client is put in, and holds the key."""

    spellings: ClassVar[Mapping[str, str]] = {
        "max_tokens": "max_output_tokens",
        "max_completion_tokens": "max_output_tokens",
        "n": "candidate_count",
    }
    absent: ClassVar[frozenset[str]] = frozenset(
        {"logit_bias", "logprobs", "parallel_tool_calls", "store", "stream_options", "strict"}
        | {"top_logprobs", "user"}
    )

    @model_validator(mode="after")
    def validate_environment(self) -> Self:
        """Stand in for the base's validator, which reads the environment and makes a client."""
        return self

    @property
    def async_client(self) -> Any:
        """The SDK client; it is closed with its event loop, not by the base."""
        return cast("genai.Client", self.client).aio

    def _spelled(self, fields: dict[str, Any]) -> dict[str, Any]:
        response_format = fields.pop("response_format", None)
        if response_format:
            fields["response_mime_type"] = "application/json"
        if schema := json_schema(response_format):
            fields["response_json_schema"] = schema
        return fields

    def _generate(self, *args: Any, **kwargs: Any) -> ChatResult:
        return _checked(super()._generate(*args, **kwargs))

    async def _agenerate(self, *args: Any, **kwargs: Any) -> ChatResult:
        return _checked(await super()._agenerate(*args, **kwargs))


def connect(route: Route, access: Access) -> BaseChatModel:
    """Return the chat model of a route, for calls without an event loop."""
    return _model(route, _sdk(route, access))


async def aconnect(route: Route, access: Access) -> tuple[BaseChatModel, object]:
    """Return the chat model of a route for the running event loop, and what keeps it open."""
    http = httpx.AsyncClient(**http_options(access), event_hooks={"request": [aguard(access)]})
    attend(http, route, access.state)
    return _model(route, _sdk(route, access, http)), await close_with_loop(http.aclose)


def _model(route: Route, sdk: genai.Client) -> GoogleRoute:
    settings: dict[str, Any] = {
        "model": route.model_id,
        "vertexai": False,
        "api_key": "none",  # without one, the base would read the environment
        "base_url": "none",  # likewise
        "temperature": None,
        "timeout": DEFAULT_SETTINGS.timeout_s,
        "max_retries": 1,  # the first attempt is counted
    }
    return GoogleRoute(client=sdk, quirks=route.quirks, **settings)


def _sdk(route: Route, access: Access, ahttp: httpx.AsyncClient | None = None) -> genai.Client:
    options = http_options(access)
    http = httpx.Client(**options, event_hooks={"request": [guard(access)]})
    attend(http, route, access.state)
    base_url, version = split_version(access.base_url)
    sdk = genai.Client(
        vertexai=False,
        api_key=key_value(access),
        debug_config=DebugConfig(client_mode=None),  # else a variable may name another transport
        http_options=HttpOptions(
            base_url=base_url,
            api_version=version or _VERSION,
            client_args={"verify": certificates()},
            async_client_args={"verify": certificates(), "ssl": certificates()},
            httpx_client=http,
            httpx_async_client=ahttp or httpx.AsyncClient(**options),
        ),
    )
    weakref.finalize(sdk, http.close)
    return sdk


def _checked(result: ChatResult) -> ChatResult:
    """Return an answer.

    Raises:
        InvalidResponseError: It is none; says whether the prompt was refused.
    """
    if any((each.generation_info or {}).get("finish_reason") for each in result.generations):
        return result
    feedback = (result.llm_output or {}).get("prompt_feedback")
    if feedback and feedback.get("block_reason"):
        msg = f"the prompt was refused: {feedback}"
        raise InvalidResponseError(msg, body={"error": {"code": "content_filter"}})
    msg = "a success without candidates"
    raise InvalidResponseError(msg)
