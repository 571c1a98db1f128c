"""Anthropic's messages, spoken through langchain-anthropic's `ChatAnthropic`.

Taken away from it: retries, redirects, the LangSmith gateway, and what its SDK reads
from the environment (`ANTHROPIC_AUTH_TOKEN`, a profile, a base URL, custom headers).
"""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

import anthropic
from langchain_anthropic import ChatAnthropic
from pydantic import Field

from inference_providers.errors import InvalidResponseError
from langchain_autoprovider.http.clients import (
    attend,
    http_options,
    key_value,
    split_version,
    timeouts,
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

__all__ = ["AnthropicRoute", "aconnect", "connect"]

Sdk = TypeVar("Sdk", anthropic.Anthropic, anthropic.AsyncAnthropic)


class AnthropicRoute(RouteModel, ChatAnthropic):
    """The chat model of one route; its SDK client is put in, and holds the key."""

    sdk: Any = Field(exclude=True, repr=False)

    spellings: ClassVar[Mapping[str, str]] = {
        "max_completion_tokens": "max_tokens",
    }
    absent: ClassVar[frozenset[str]] = frozenset(
        {"frequency_penalty", "logit_bias", "logprobs", "n", "presence_penalty", "seed", "store"}
        | {"stream_options", "top_logprobs", "user"}
    )
    tool_extras: ClassVar[frozenset[str]] = frozenset(
        {"allowed_callers", "cache_control", "defer_loading", "eager_input_streaming"}
        | {"input_examples"}
    )

    @property
    def _client(self) -> Any:  # the base would make one, with a key that it holds
        return self.sdk

    _async_client = _client

    def _tool_choice(self, choice: str) -> Any:
        if choice in {"auto", "any", "none"}:
            return {"type": choice}
        return {"type": "tool", "name": choice}

    def _spelled(self, fields: dict[str, Any]) -> dict[str, Any]:
        if json_schema(fields.get("response_format")) is None:
            fields.pop("response_format", None)  # there is no JSON without a schema
        if isinstance(seconds := fields.get("timeout"), float):
            fields["timeout"] = anthropic.Timeout(**timeouts(seconds))
        choice = fields.get("tool_choice")
        if isinstance(choice, dict) and choice.get("type") == "none":
            choice.pop("disable_parallel_tool_use", None)  # refused where nothing is called
        return fields

    def _format_output(self, data: Any, **kwargs: Any) -> ChatResult:
        if not isinstance(getattr(data, "content", None), list):
            body = data.model_dump() if isinstance(data, anthropic.BaseModel) else data
            msg = f"a success without content: {str(body)[:200]!r}"
            raise InvalidResponseError(msg, body=body)
        return super()._format_output(data, **kwargs)


def connect(route: Route, access: Access) -> BaseChatModel:
    """Return the chat model of a route, for calls without an event loop."""
    http = anthropic.DefaultHttpxClient(**http_options(access))
    attend(http, route, access.state)
    sdk = _unbiased(anthropic.Anthropic(http_client=http, **_sdk_options(access)))
    weakref.finalize(sdk, http.close)
    return _model(route, access, sdk)


async def aconnect(route: Route, access: Access) -> tuple[BaseChatModel, object]:
    """Return the chat model of a route for the running event loop, and what keeps it open."""
    http = anthropic.DefaultAsyncHttpxClient(**http_options(access))
    attend(http, route, access.state)
    sdk = _unbiased(anthropic.AsyncAnthropic(http_client=http, **_sdk_options(access)))
    return _model(route, access, sdk), await close_with_loop(http.aclose)


def _model(route: Route, access: Access, sdk: Any) -> AnthropicRoute:
    settings: dict[str, Any] = {
        "model": route.model_id,
        "max_tokens": route.model_info.output,
        "base_url": access.base_url,
        "api_key": "none",  # without one, the base would read the environment
    }
    return AnthropicRoute(sdk=sdk, quirks=route.quirks, **settings)


def _sdk_options(access: Access) -> dict[str, Any]:
    return {
        "base_url": split_version(access.base_url)[0],
        "api_key": key_value(access),
        "max_retries": 0,
        "timeout": anthropic.Timeout(**timeouts()),
    }


def _unbiased(sdk: Sdk) -> Sdk:
    """Undo what the SDK took from ANTHROPIC_CUSTOM_HEADERS."""
    sdk._custom_headers = {}  # noqa: SLF001 - the SDK has no public way; a test watches the wire
    return sdk
