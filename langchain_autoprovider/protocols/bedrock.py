"""Amazon Bedrock's Converse API, through langchain-aws's `ChatBedrockConverse`.

The vendor's class is given a small client instead of boto's. The key is a bearer token, so requests
are not signed, and nothing that boto reads from its environment (profiles, `AWS_ENDPOINT_URL`,
credentials of other services) has an effect. The class makes two calls: one returns JSON, the other
a stream of events, which botocore's decoder reads.
"""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any, ClassVar

import httpx
from botocore.eventstream import EventStreamBuffer, ParserError  # type: ignore[import-untyped] # has no types
from langchain_aws import ChatBedrockConverse
from langchain_aws.chat_models import bedrock_converse

from inference_providers.errors import InvalidResponseError
from inference_providers.wire.exchange import excerpt
from inference_providers.wire.http.log_filter import hide_keys_in_logs
from langchain_autoprovider.http.clients import bearer_options, quote_model_id, timeout_options
from langchain_autoprovider.messages.streaming import result_as_chunk
from langchain_autoprovider.protocols.base import RouteModel
from langchain_autoprovider.protocols.connector import Connector
from langchain_autoprovider.protocols.response_format import json_schema

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Mapping

    from langchain_core.outputs import ChatGenerationChunk, ChatResult

    from inference_providers.routing.backend import Access
    from inference_providers.types import Route
    from langchain_autoprovider.protocols.base import Params
    from langchain_autoprovider.protocols.tool_choice import ChoiceKind

__all__ = ["CONNECTOR", "BedrockRoute"]

hide_keys_in_logs(bedrock_converse.__name__)  # at level DEBUG it logs answers

_BASE64_KEYS = frozenset({"bytes", "redactedContent"})
"""Keys of an answer whose values are base64."""


class BedrockRoute(RouteModel, ChatBedrockConverse):
    """The chat model of one route, over a small client in place of boto's."""

    param_aliases: ClassVar[Mapping[str, str]] = {"max_completion_tokens": "max_tokens"}
    unsupported_params: ClassVar[frozenset[str]] = frozenset(
        {"frequency_penalty", "logit_bias", "logprobs", "n", "parallel_tool_calls", "seed"}
        | {"presence_penalty", "store", "stream_options", "top_logprobs", "user"}
    )

    def _has_tool_choice(self, kind: ChoiceKind) -> bool:
        return kind in (self.supports_tool_choice_values or ())

    def _translate_params(self, params: Params) -> Params:
        if json_schema(params.get("response_format")) is None:
            params.pop("response_format", None)  # there is no JSON mode without a schema
        return params

    # The vendor's class runs asynchronous calls in threads, through the synchronous methods. Those
    # translate the parameters, so the asynchronous methods must not.

    def _generate(self, *args: Any, timeout: float | None = None, **arguments: Any) -> ChatResult:
        return super(BedrockRoute, self._with_timeout(timeout))._generate(*args, **arguments)

    async def _agenerate(self, *args: Any, **arguments: Any) -> ChatResult:
        return await super(RouteModel, self)._agenerate(*args, **arguments)

    def _stream(
        self, *args: Any, timeout: float | None = None, **arguments: Any
    ) -> Iterator[ChatGenerationChunk]:
        if self.disable_streaming == "tool_calling" and arguments.get("tools"):
            yield result_as_chunk(self._generate(*args, timeout=timeout, **arguments))
        else:
            # Keep `self` alive while streaming: its connection is closed with it.
            yield from super(BedrockRoute, self._with_timeout(timeout))._stream(*args, **arguments)

    def _astream(self, *args: Any, **arguments: Any) -> AsyncIterator[ChatGenerationChunk]:
        return super(RouteModel, self)._astream(*args, **arguments)

    def _with_timeout(self, seconds: float | None) -> BedrockRoute:
        if seconds is None:
            return self
        return self.model_copy(update={"client": self.client.with_timeout(seconds)})


class _ConverseClient:
    """Replaces the part of boto's client that `ChatBedrockConverse` uses."""

    def __init__(self, http: httpx.Client, timeout: httpx.Timeout) -> None:
        self._http = http
        self._timeout = timeout

    def with_timeout(self, seconds: float) -> _ConverseClient:
        """Return this client with another timeout."""
        return _ConverseClient(self._http, httpx.Timeout(**timeout_options(seconds)))

    def converse(self, **request: Any) -> dict[str, Any]:
        """Return a whole answer, as boto does."""
        response = self._http.send(self._build_request("converse", request))
        response.raise_for_status()
        answer = json.loads(response.content, object_hook=_decode_base64)
        if not isinstance(answer, dict) or "output" not in answer:
            msg = f"HTTP 200 without output: {excerpt(response.text)!r}"
            raise InvalidResponseError(msg, body=answer)
        return answer

    def converse_stream(self, **request: Any) -> dict[str, Any]:
        """Return an answer as a stream of events, as boto does."""
        response = self._http.send(self._build_request("converse-stream", request), stream=True)
        if not response.is_success:
            response.read()
            response.raise_for_status()
        return {"stream": _read_event_stream(response)}

    def _build_request(self, call: str, request: dict[str, Any]) -> httpx.Request:
        model_id = quote_model_id(request.pop("modelId")).replace("/", "%2F")
        return self._http.build_request(
            "POST",
            f"/model/{model_id}/{call}",
            content=json.dumps(request, default=_encode_base64),
            headers={"content-type": "application/json"},
            timeout=self._timeout,
        )


def _build(route: Route, access: Access, http: httpx.Client) -> BedrockRoute:
    client = _ConverseClient(http, httpx.Timeout(**timeout_options()))
    settings: dict[str, Any] = {
        "model": route.model_id,
        "client": client,
        "bedrock_client": client,
        "endpoint_url": access.base_url,
        "region_name": "none",  # without one, the base would read the environment
        **dict.fromkeys(
            ("aws_access_key_id", "aws_secret_access_key", "aws_session_token", "bedrock_api_key")
        ),
    }
    model = BedrockRoute(**settings)
    if model.disable_streaming is True:  # the base's default for unknown models
        model.disable_streaming = False
    return model


CONNECTOR = Connector(build=_build, abuild=None, options=bearer_options)


def _read_event_stream(response: httpx.Response) -> Iterator[dict[str, Any]]:
    """Yield the events of a stream, as boto's parser does.

    Raises:
        InvalidResponseError: An event reports an error, or the bytes are not an event stream.
    """
    try:
        buffer = EventStreamBuffer()
        for data in response.iter_bytes():
            buffer.add_data(data)
            for event in buffer:
                payload = json.loads(event.payload or b"{}", object_hook=_decode_base64)
                headers = event.headers
                code = headers.get(":exception-type") or headers.get(":error-code")
                if code:
                    error = {"code": code, **payload, "status": headers.get(":error-message")}
                    msg = f"the stream reports {code}: {payload}"
                    raise InvalidResponseError(msg, body={"error": error})
                yield {headers[":event-type"]: payload}
    except ParserError as error:
        msg = f"the response is not a valid event stream: {error}"
        raise InvalidResponseError(msg) from error
    finally:
        response.close()


def _decode_base64(value: dict[str, Any]) -> dict[str, Any]:
    return {
        key: base64.b64decode(item) if key in _BASE64_KEYS and isinstance(item, str) else item
        for key, item in value.items()
    }


def _encode_base64(value: Any) -> str:
    """Return bytes as base64, for JSON.

    Raises:
        TypeError: `value` is not bytes.
    """
    if isinstance(value, bytes | bytearray):
        return base64.b64encode(value).decode()
    msg = f"{type(value).__name__!r} cannot be sent as JSON"
    raise TypeError(msg)
