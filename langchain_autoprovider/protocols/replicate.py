"""Replicate's predictions: a job is created, then awaited or streamed.

There are no conversations and no tools. Messages become one prompt, and system messages a separate
field. Input fields differ between models; those sent here are common to language models on
Replicate.

A prediction is streamed from a secret URL on another host. The key is not sent there: the stream
needs only the URL. That host must belong to the API's domain.
"""

from __future__ import annotations

import json
import time
import weakref
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import urlsplit

import httpx
from langchain_core.messages import AIMessage, SystemMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from pydantic import Field

from inference_providers.credentials import UrlOrigin
from inference_providers.errors import InvalidResponseError
from inference_providers.settings import DEFAULT_SETTINGS
from inference_providers.wire.exchange import excerpt
from langchain_autoprovider.http.clients import (
    bearer_options,
    client_options,
    quote_model_id,
    timeout_options,
)
from langchain_autoprovider.http.read_deadline import enforce_read_deadline
from langchain_autoprovider.protocols.base import RouteModel, message_chunk, token_usage
from langchain_autoprovider.protocols.connector import Connector

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
    from typing import NoReturn

    from langchain_core.messages import BaseMessage
    from langchain_core.messages.ai import UsageMetadata
    from langchain_core.outputs import ChatGenerationChunk

    from inference_providers.routing.backend import Access
    from inference_providers.types import Route
    from langchain_autoprovider.protocols.base import Params

__all__ = ["CONNECTOR", "ReplicateRoute"]

POLL_INTERVAL_S = 0.5
MAX_WAIT_S = 60
"""The longest that Replicate lets a request wait for its prediction, in seconds."""

_UNFINISHED = frozenset({"starting", "processing"})
_SPEAKERS = {"human": "User", "ai": "Assistant", "tool": "Tool"}


class ReplicateRoute(RouteModel):
    """The chat model of one route, over two HTTP clients; only the first sends the key."""

    model: str
    http: Any = Field(exclude=True, repr=False)
    """The client for the API, with the key."""
    stream_http: Any = Field(exclude=True, repr=False)
    """The client for streams, without a key."""

    param_aliases: ClassVar[Mapping[str, str]] = {"max_completion_tokens": "max_tokens"}
    unsupported_params: ClassVar[frozenset[str]] = frozenset(
        {"logit_bias", "logprobs", "n", "parallel_tool_calls", "response_format", "store"}
        | {"stream_options", "strict", "tool_choice", "tools", "top_logprobs", "user"}
    )

    @property
    def _llm_type(self) -> str:
        return "autoprovider-replicate-route"

    def _bind_translated_tools(self, tools: list[Any], **kwargs: Any) -> NoReturn:  # noqa: ARG002
        msg = f"{self.model!r} on Replicate does not support tools"
        raise InvalidResponseError(msg)

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: Any = None,  # noqa: ARG002 - there are no tokens to report
        **arguments: Any,
    ) -> ChatResult:
        params, timeout, deadline = self._with_deadline(arguments)
        wait_s = min(MAX_WAIT_S, max(1, int(timeout.read or MAX_WAIT_S)))
        body = {"input": _prediction_input(messages, stop, params)}
        prediction = self._create(body, timeout, {"prefer": f"wait={wait_s}"})
        prediction = self._wait_for(prediction, timeout, deadline)
        message = AIMessage(
            content=_output_of(prediction),
            usage_metadata=_usage(prediction),
            response_metadata=self._metadata(),
        )
        return ChatResult(generations=[ChatGeneration(message=message)])

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: Any = None,  # noqa: ARG002 - langchain-core's `stream` reports the tokens
        **arguments: Any,
    ) -> Iterator[ChatGenerationChunk]:
        params, timeout, deadline = self._with_deadline(arguments)
        body = {"input": _prediction_input(messages, stop, params), "stream": True}
        prediction = self._create(body, timeout)
        if "stream" not in prediction.get("urls", {}):  # not every model can stream
            prediction = self._wait_for(prediction, timeout, deadline)
            yield message_chunk(content=_output_of(prediction))
            yield self._end_chunk("")
            return
        url = _stream_url(prediction, self.http.base_url)
        headers = {"accept": "text/event-stream", "cache-control": "no-store"}
        with self.stream_http.stream("GET", url, headers=headers, timeout=timeout) as response:
            if not response.is_success:
                response.read()
                response.raise_for_status()
            for event, data in _read_server_sent_events(response.iter_lines()):
                if event == "output":
                    yield message_chunk(content=data)
                elif event == "done":
                    yield self._end_chunk(data)
                    return
                elif event == "error":
                    _raise_failed(data)

    # langchain-core runs asynchronous calls in threads, through the synchronous methods. Those
    # translate the parameters, so the asynchronous methods must not.

    async def _agenerate(self, *args: Any, **arguments: Any) -> ChatResult:
        return await super(RouteModel, self)._agenerate(*args, **arguments)

    def _astream(self, *args: Any, **arguments: Any) -> AsyncIterator[ChatGenerationChunk]:
        return super(RouteModel, self)._astream(*args, **arguments)

    def _with_deadline(self, arguments: Params) -> tuple[Params, httpx.Timeout, float]:
        """Return the input fields, the timeout of each read, and when the call must end."""
        params = self._translate(arguments)
        seconds = params.pop("timeout", DEFAULT_SETTINGS.timeout_s)
        return params, httpx.Timeout(**timeout_options(seconds)), time.monotonic() + seconds

    def _create(
        self,
        body: dict[str, Any],
        timeout: httpx.Timeout,
        headers: Mapping[str, str] | None = None,
    ) -> dict[str, Any]:
        name, _, version = self.model.partition(":")
        path = "/predictions" if version else f"/models/{quote_model_id(name)}/predictions"
        if version:
            body = {**body, "version": version}
        return _prediction_in(self.http.post(path, json=body, headers=headers, timeout=timeout))

    def _wait_for(
        self, prediction: dict[str, Any], timeout: httpx.Timeout, deadline: float
    ) -> dict[str, Any]:
        while prediction.get("status") in _UNFINISHED:
            _sleep_until_next_poll(deadline)
            prediction = _prediction_in(self.http.get(_url_to(prediction, "get"), timeout=timeout))
        return prediction

    def _metadata(self) -> dict[str, Any]:
        return {
            "finish_reason": "stop",
            "model_name": self.model,
            "model_provider": "replicate",
        }

    def _end_chunk(self, data: str) -> ChatGenerationChunk:
        reason = json.loads(data or "{}").get("reason")
        if reason in {"error", "canceled"}:
            _raise_failed(reason)
        return message_chunk(content="", response_metadata=self._metadata(), chunk_position="last")


def _build(route: Route, access: Access, http: httpx.Client) -> ReplicateRoute:
    stream_http = httpx.Client(**client_options(access))
    enforce_read_deadline(stream_http)
    model = ReplicateRoute(model=route.model_id, http=http, stream_http=stream_http)
    weakref.finalize(model, stream_http.close)
    return model


CONNECTOR = Connector(build=_build, abuild=None, options=bearer_options)


def _prediction_input(
    messages: Sequence[BaseMessage], stop: list[str] | None, params: Params
) -> Params:
    """Return a prediction's input. With several messages, the prompt names the speakers."""
    system = "\n\n".join(m.text for m in messages if isinstance(m, SystemMessage))
    turns = [m for m in messages if not isinstance(m, SystemMessage)]
    lines = [f"{_SPEAKERS.get(m.type, m.type)}: {m.text}" for m in turns]
    prompt = turns[0].text if len(turns) == 1 else "\n\n".join([*lines, "Assistant:"])
    fields: Params = {"prompt": prompt, **params}
    if system:
        fields["system_prompt"] = system
    if stop:
        fields["stop_sequences"] = ",".join(stop)
    return fields


def _prediction_in(response: httpx.Response) -> dict[str, Any]:
    response.raise_for_status()
    prediction = response.json()
    if not isinstance(prediction, dict) or "status" not in prediction:
        msg = f"HTTP 200 without a prediction: {excerpt(response.text)!r}"
        raise InvalidResponseError(msg, body=prediction)
    return prediction


def _url_to(prediction: dict[str, Any], action: str) -> str:
    url = (prediction.get("urls") or {}).get(action)
    if not isinstance(url, str) or not urlsplit(url).scheme.startswith("http"):
        msg = f"the prediction has no {action!r} URL: {prediction.get('urls')}"
        raise InvalidResponseError(msg)
    return url


def _stream_url(prediction: dict[str, Any], base_url: httpx.URL) -> str:
    """Return the URL of a prediction's stream, which is on another host of the API's domain.

    Raises:
        InvalidResponseError: It leads elsewhere, or is less secure than the API.
    """
    url = _url_to(prediction, "stream")
    target, api = UrlOrigin.of(url), UrlOrigin.of(str(base_url))
    if target is None or api is None or not _is_beside(target, api):
        msg = f"the prediction's stream is not on a host of {base_url.host!r}: {excerpt(url)!r}"
        raise InvalidResponseError(msg)
    return url


def _is_beside(target: UrlOrigin, api: UrlOrigin) -> bool:
    """Whether `target` is on a host of the API's domain, or both are on this machine."""
    if (target.scheme, target.port) != (api.scheme, api.port):
        return False
    if api.is_loopback:
        return target.is_loopback
    domain = api.host.partition(".")[2]
    return target.host == api.host or ("." in domain and target.host.endswith(f".{domain}"))


def _output_of(prediction: dict[str, Any]) -> str:
    if prediction["status"] != "succeeded":
        _raise_failed(prediction.get("error") or prediction["status"])
    output = prediction.get("output")
    if output is None:
        _raise_failed("it has no output")
    if isinstance(output, list):
        return "".join(map(str, output))
    return output if isinstance(output, str) else json.dumps(output)


def _usage(prediction: dict[str, Any]) -> UsageMetadata | None:
    metrics = prediction.get("metrics") or {}
    prompt, answer = metrics.get("input_token_count"), metrics.get("output_token_count")
    return None if prompt is None or answer is None else token_usage(prompt, answer)


def _read_server_sent_events(lines: Iterator[str]) -> Iterator[tuple[str, str]]:
    """Yield the name and data of server-sent events."""
    event, data = "message", []
    for line in lines:
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if field == "event":
            event = value
        elif field == "data":
            data.append(value)
        elif not line:
            yield event, "\n".join(data)
            event, data = "message", []


def _sleep_until_next_poll(deadline: float) -> None:
    if time.monotonic() + POLL_INTERVAL_S > deadline:
        msg = "the prediction was not ready in time"
        raise TimeoutError(msg)
    time.sleep(POLL_INTERVAL_S)


def _raise_failed(reason: Any) -> NoReturn:
    msg = f"the prediction failed: {reason}"
    raise InvalidResponseError(msg, body={"error": {"message": str(reason)}})
