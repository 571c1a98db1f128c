"""Anthropic's Messages API, through langchain-anthropic's `ChatAnthropic`.

The subclass removes retries, the LangSmith gateway, and what the SDK reads from the environment
(`ANTHROPIC_AUTH_TOKEN`, a profile, a base URL, custom headers).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

import anthropic
from langchain_anthropic import ChatAnthropic
from pydantic import Field

from inference_providers.errors import InvalidResponseError
from inference_providers.wire.exchange import excerpt
from langchain_autoprovider.http.clients import (
    split_version,
    timeout_options,
)
from langchain_autoprovider.http.key_transport import PLACEHOLDER
from langchain_autoprovider.protocols.base import RouteModel
from langchain_autoprovider.protocols.connector import Connector
from langchain_autoprovider.protocols.response_format import json_schema

if TYPE_CHECKING:
    from collections.abc import Mapping

    from langchain_core.outputs import ChatResult

    from inference_providers.routing.backend import Access
    from inference_providers.types import Route
    from langchain_autoprovider.protocols.base import Params

__all__ = ["CONNECTOR", "AnthropicRoute"]

Sdk = TypeVar("Sdk", anthropic.Anthropic, anthropic.AsyncAnthropic)


class AnthropicRoute(RouteModel, ChatAnthropic):
    """The chat model of one route, over an SDK client."""

    sdk: Any = Field(exclude=True, repr=False)

    param_aliases: ClassVar[Mapping[str, str]] = {"max_completion_tokens": "max_tokens"}
    unsupported_params: ClassVar[frozenset[str]] = frozenset(
        {"frequency_penalty", "logit_bias", "logprobs", "n", "presence_penalty", "seed", "store"}
        | {"stream_options", "top_logprobs", "user"}
    )
    tool_extras: ClassVar[frozenset[str]] = frozenset(
        {"allowed_callers", "cache_control", "defer_loading", "eager_input_streaming"}
        | {"input_examples"}
    )

    @property
    def _client(self) -> Any:  # the base would create another one
        return self.sdk

    _async_client = _client

    def _translate_tool_choice(self, choice: str) -> Any:
        if choice in {"auto", "any", "none"}:
            return {"type": choice}
        return {"type": "tool", "name": choice}

    def _translate_params(self, params: Params) -> Params:
        if json_schema(params.get("response_format")) is None:
            params.pop("response_format", None)  # there is no JSON mode without a schema
        if isinstance(seconds := params.get("timeout"), float):
            params["timeout"] = anthropic.Timeout(**timeout_options(seconds))
        choice = params.get("tool_choice")
        if isinstance(choice, dict) and choice.get("type") == "none":
            choice.pop("disable_parallel_tool_use", None)  # rejected with this choice
        return params

    def _format_output(self, data: Any, **kwargs: Any) -> ChatResult:
        if not isinstance(getattr(data, "content", None), list):
            body = data.model_dump() if isinstance(data, anthropic.BaseModel) else data
            msg = f"HTTP 200 without content: {excerpt(str(body))!r}"
            raise InvalidResponseError(msg, body=body)
        return super()._format_output(data, **kwargs)


def _build(route: Route, access: Access, http: Any) -> AnthropicRoute:
    sdk = anthropic.Anthropic(http_client=http, **_sdk_options(access))
    return _model(route, access, _ignore_environment(sdk))


async def _abuild(route: Route, access: Access, http: Any) -> AnthropicRoute:
    sdk = anthropic.AsyncAnthropic(http_client=http, **_sdk_options(access))
    return _model(route, access, _ignore_environment(sdk))


CONNECTOR = Connector(
    build=_build,
    abuild=_abuild,
    http_client=anthropic.DefaultHttpxClient,
    async_http_client=anthropic.DefaultAsyncHttpxClient,
)


def _model(route: Route, access: Access, sdk: Any) -> AnthropicRoute:
    settings: dict[str, Any] = {
        "model": route.model_id,
        "max_tokens": route.model_info.output,
        "base_url": access.base_url,
        "api_key": "none",  # without one, the base would read the environment
    }
    return AnthropicRoute(sdk=sdk, **settings)


def _sdk_options(access: Access) -> dict[str, Any]:
    return {
        "base_url": split_version(access.base_url)[0],
        "api_key": PLACEHOLDER,
        "max_retries": 0,
        "timeout": anthropic.Timeout(**timeout_options()),
    }


def _ignore_environment(sdk: Sdk) -> Sdk:
    """Undo what the SDK took from ANTHROPIC_CUSTOM_HEADERS."""
    sdk._custom_headers = {}  # noqa: SLF001 - there is no public way; a test checks the wire
    return sdk
