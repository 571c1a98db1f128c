"""Amazon Bedrock's Converse, spoken through langchain-aws's `ChatBedrockConverse`.

It is given a client of our own in place of boto's: the key is a bearer token, so nothing
is signed, and what boto reads elsewhere (profiles, `AWS_ENDPOINT_URL`, credentials of
other services) has no say. boto's two calls are JSON over HTTP, and a stream of events
that its own decoder reads.
"""

from __future__ import annotations

import base64
import json
import weakref
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import quote

import httpx
from botocore.eventstream import EventStreamBuffer, ParserError  # type: ignore[import-untyped] # has no types
from langchain_aws import ChatBedrockConverse
from langchain_core.messages import AIMessageChunk
from langchain_core.outputs import ChatGenerationChunk

from inference_providers.errors import InvalidResponseError
from langchain_autoprovider.http.clients import attend, guard, http_options, key_value, timeouts
from langchain_autoprovider.protocols.base import RouteModel
from langchain_autoprovider.protocols.response_format import json_schema

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Mapping

    from langchain_core.language_models import BaseChatModel
    from langchain_core.outputs import ChatResult

    from inference_providers.routing.backend import Access
    from inference_providers.types import Route

__all__ = ["BedrockRoute", "aconnect", "connect"]

_BLOBS = frozenset({"bytes", "redactedContent"})
"""Keys of the answer whose text stands for bytes."""


class BedrockRoute(RouteModel, ChatBedrockConverse):
    """The chat model of one route; its client is put in, and holds the key."""

    spellings: ClassVar[Mapping[str, str]] = {
        "max_completion_tokens": "max_tokens",
    }
    absent: ClassVar[frozenset[str]] = frozenset(
        {"frequency_penalty", "logit_bias", "logprobs", "n", "parallel_tool_calls", "seed"}
        | {"presence_penalty", "store", "stream_options", "top_logprobs", "user"}
    )

    def _takes_choice(self, kind: str) -> bool:
        return kind in (self.supports_tool_choice_values or ())

    def _spelled(self, fields: dict[str, Any]) -> dict[str, Any]:
        if json_schema(fields.get("response_format")) is None:
            fields.pop("response_format", None)  # there is no JSON without a schema
        return fields

    # Threads carry the asynchronous calls, as in the vendor's class; fields are spelled there.

    def _generate(self, *args: Any, timeout: float | None = None, **fields: Any) -> ChatResult:
        return super(BedrockRoute, self._patient(timeout))._generate(*args, **fields)

    async def _agenerate(self, *args: Any, **fields: Any) -> ChatResult:
        return await super(RouteModel, self)._agenerate(*args, **fields)

    def _stream(
        self, *args: Any, timeout: float | None = None, **fields: Any
    ) -> Iterator[ChatGenerationChunk]:
        if self.disable_streaming == "tool_calling" and fields.get("tools"):
            return _as_stream(self._generate(*args, timeout=timeout, **fields))
        return super(BedrockRoute, self._patient(timeout))._stream(*args, **fields)

    def _astream(self, *args: Any, **fields: Any) -> AsyncIterator[ChatGenerationChunk]:
        return super(RouteModel, self)._astream(*args, **fields)

    def _patient(self, seconds: float | None) -> BedrockRoute:
        if seconds is None:
            return self
        return self.model_copy(update={"client": self.client.patient(seconds)})


class _Client:
    """What `ChatBedrockConverse` calls of boto's client."""

    def __init__(self, http: httpx.Client, limits: httpx.Timeout) -> None:
        self._http = http
        self._limits = limits

    def patient(self, seconds: float) -> _Client:
        """Return this client with another timeout."""
        return _Client(self._http, httpx.Timeout(**timeouts(seconds)))

    def converse(self, **request: Any) -> dict[str, Any]:
        """Return a whole answer, as boto would."""
        response = self._http.send(self._request("converse", request))
        response.raise_for_status()
        answer = json.loads(response.content, object_hook=_with_bytes)
        if not isinstance(answer, dict) or "output" not in answer:
            msg = f"a success without output: {response.text[:200]!r}"
            raise InvalidResponseError(msg, body=answer)
        return answer

    def converse_stream(self, **request: Any) -> dict[str, Any]:
        """Return an answer in parts, as boto would."""
        response = self._http.send(self._request("converse-stream", request), stream=True)
        if not response.is_success:
            response.read()
            response.raise_for_status()
        return {"stream": _events(response)}

    def _request(self, call: str, request: dict[str, Any]) -> httpx.Request:
        model_id = quote(request.pop("modelId"), safe="")
        return self._http.build_request(
            "POST",
            f"/model/{model_id}/{call}",
            content=json.dumps(request, default=_as_text),
            headers={"content-type": "application/json"},
            timeout=self._limits,
        )


def connect(route: Route, access: Access) -> BaseChatModel:
    """Return the chat model of a route, for calls without an event loop."""
    http = httpx.Client(
        **http_options(access),
        base_url=access.base_url,
        headers={"Authorization": f"Bearer {key_value(access)}"},
        event_hooks={"request": [guard(access)]},
    )
    attend(http, route, access.state)
    client = _Client(http, httpx.Timeout(**timeouts()))
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
    model = BedrockRoute(quirks=route.quirks, **settings)
    if model.disable_streaming is True:  # so of every model that it has not heard of
        model.disable_streaming = False
    weakref.finalize(client, http.close)
    return model


async def aconnect(route: Route, access: Access) -> tuple[BaseChatModel, object]:
    """Return the chat model of a route, which belongs to no event loop: it works in threads."""
    return connect(route, access), None


def _events(response: httpx.Response) -> Iterator[dict[str, Any]]:
    """Yield the events of a stream, as boto's parser would.

    Raises:
        InvalidResponseError: An event tells of an error.
    """
    try:
        buffer = EventStreamBuffer()
        for data in response.iter_bytes():
            buffer.add_data(data)
            for event in buffer:
                payload = json.loads(event.payload or b"{}", object_hook=_with_bytes)
                headers = event.headers
                kind = headers.get(":exception-type") or headers.get(":error-code")
                if kind:
                    said = {"code": kind, **payload, "status": headers.get(":error-message")}
                    msg = f"the stream says {kind}: {payload}"
                    raise InvalidResponseError(msg, body={"error": said})
                yield {headers[":event-type"]: payload}
    except ParserError as error:
        msg = f"what came is no stream of events: {error}"
        raise InvalidResponseError(msg) from error
    finally:
        response.close()


def _as_stream(result: ChatResult) -> Iterator[ChatGenerationChunk]:
    """Yield a whole answer as one chunk, for models that do not stream tool calls."""
    for generation in result.generations:
        said = generation.message.model_dump(exclude={"type"})
        yield ChatGenerationChunk(message=AIMessageChunk(**said, chunk_position="last"))


def _with_bytes(value: dict[str, Any]) -> dict[str, Any]:
    return {
        key: base64.b64decode(held) if key in _BLOBS and isinstance(held, str) else held
        for key, held in value.items()
    }


def _as_text(value: Any) -> str:
    """Return bytes as JSON holds them.

    Raises:
        TypeError: They are none.
    """
    if isinstance(value, bytes | bytearray):
        return base64.b64encode(value).decode()
    msg = f"{type(value).__name__} cannot be sent"
    raise TypeError(msg)
