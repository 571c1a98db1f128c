"""Gemini's own protocol, through langchain-google-genai's `ChatGoogleGenerativeAI`.

The subclass removes retries, the LangSmith gateway, another HTTP library for asynchronous calls,
and what the base and its SDK read from the environment (`GOOGLE_API_KEY`,
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

from inference_providers.settings import DEFAULT_SETTINGS
from inference_providers.wire.http.tls import tls_context
from langchain_autoprovider.http.clients import client_options, split_version
from langchain_autoprovider.http.key_transport import PLACEHOLDER
from langchain_autoprovider.protocols.base import RouteModel
from langchain_autoprovider.protocols.connector import Connector
from langchain_autoprovider.protocols.response_format import json_schema

if TYPE_CHECKING:
    from collections.abc import Mapping

    from inference_providers.routing.backend import Access
    from inference_providers.types import Route
    from langchain_autoprovider.protocols.base import Params

__all__ = ["CONNECTOR", "GoogleRoute"]

_DEFAULT_API_VERSION = "v1beta"
"""For an endpoint whose URL has no version."""


class GoogleRoute(RouteModel, ChatGoogleGenerativeAI):  # type: ignore[misc] # orders bind_tools' arguments otherwise
    """The chat model of one route, over an SDK client."""

    param_aliases: ClassVar[Mapping[str, str]] = {
        "max_tokens": "max_output_tokens",
        "max_completion_tokens": "max_output_tokens",
        "n": "candidate_count",
    }
    unsupported_params: ClassVar[frozenset[str]] = frozenset(
        {"logit_bias", "logprobs", "parallel_tool_calls", "store", "stream_options", "strict"}
        | {"top_logprobs", "user"}
    )

    @model_validator(mode="after")
    def validate_environment(self) -> Self:
        """Replace the base's validator, which reads the environment and creates a client."""
        return self

    @property
    def async_client(self) -> Any:
        """The SDK's asynchronous client. Unlike the base's, it is closed with its event loop."""
        return cast("genai.Client", self.client).aio

    def _translate_params(self, params: Params) -> Params:
        response_format = params.pop("response_format", None)
        if response_format:
            params["response_mime_type"] = "application/json"
        if schema := json_schema(response_format):
            params["response_json_schema"] = schema
        return params


def _build(route: Route, access: Access, http: httpx.Client) -> GoogleRoute:
    unused = httpx.AsyncClient(**client_options(access))
    return _model(route, _sdk(access, http, unused))


async def _abuild(route: Route, access: Access, http: httpx.AsyncClient) -> GoogleRoute:
    unused = httpx.Client(**client_options(access))
    sdk = _sdk(access, unused, http)
    weakref.finalize(sdk, unused.close)
    return _model(route, sdk)


CONNECTOR = Connector(build=_build, abuild=_abuild)


def _model(route: Route, sdk: genai.Client) -> GoogleRoute:
    settings: dict[str, Any] = {
        "model": route.model_id,
        "vertexai": False,
        "api_key": "none",  # without one, the base would read the environment
        "base_url": "none",  # likewise
        "temperature": None,
        "timeout": DEFAULT_SETTINGS.timeout_s,
        "max_retries": 1,  # counts the first attempt
    }
    return GoogleRoute(client=sdk, **settings)


def _sdk(access: Access, http: httpx.Client, async_http: httpx.AsyncClient) -> genai.Client:
    base_url, version = split_version(access.base_url)
    return genai.Client(
        vertexai=False,
        api_key=PLACEHOLDER,
        debug_config=DebugConfig(client_mode=None),  # or a variable selects another transport
        http_options=HttpOptions(
            base_url=base_url,
            api_version=version or _DEFAULT_API_VERSION,
            client_args={"verify": tls_context()},
            async_client_args={"verify": tls_context(), "ssl": tls_context()},
            httpx_client=http,
            httpx_async_client=async_http,
        ),
    )
