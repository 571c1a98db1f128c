"""Replicate's predictions: a job is posted, and then waited for or listened to.

There are no conversations and no tools: messages become one prompt, the system's words
go beside it. What a model's input fields are called is the model's own affair; here they
have the names that language models there share, and `rename_params` has the rest.

A prediction is read as a stream at an address of its own, on another host. The key is
not sent there: the address is secret enough for a browser, and so for us.
"""

from __future__ import annotations

import json
import time
import weakref
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import quote, urlsplit

import httpx
from langchain_core.messages import AIMessage, AIMessageChunk, SystemMessage
from langchain_core.messages.ai import UsageMetadata
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from pydantic import Field

from inference_providers.errors import InvalidResponseError
from inference_providers.settings import DEFAULT_SETTINGS
from langchain_autoprovider.http.clients import attend, guard, http_options, key_value, timeouts
from langchain_autoprovider.http.read_deadline import bound_reads
from langchain_autoprovider.protocols.base import RouteModel

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
    from typing import NoReturn

    from langchain_core.language_models import BaseChatModel
    from langchain_core.messages import BaseMessage

    from inference_providers.routing.backend import Access
    from inference_providers.types import Route

__all__ = ["ReplicateRoute", "aconnect", "connect"]

POLL_EVERY_S = 0.5
WAIT_S = 60
"""How long a request may be held for its prediction; Replicate allows no more."""

_UNDER_WAY = frozenset({"starting", "processing"})
_SPEAKERS = {"human": "User", "ai": "Assistant", "tool": "Tool"}


class ReplicateRoute(RouteModel):
    """The chat model of one route; its HTTP clients are put in, and the first holds the key."""

    model: str
    http: Any = Field(exclude=True, repr=False)
    """Speaks to the API."""
    listener: Any = Field(exclude=True, repr=False)
    """Reads streams."""

    spellings: ClassVar[Mapping[str, str]] = {
        "max_completion_tokens": "max_tokens",
    }
    absent: ClassVar[frozenset[str]] = frozenset(
        {"logit_bias", "logprobs", "n", "parallel_tool_calls", "response_format", "store"}
        | {"stream_options", "strict", "tool_choice", "tools", "top_logprobs", "user"}
    )

    @property
    def _llm_type(self) -> str:
        return "autoprovider-replicate-route"

    def _with_tools(self, tools: Any, *args: Any, **kwargs: Any) -> NoReturn:  # noqa: ARG002
        msg = f"{self.model!r} on Replicate takes no tools"
        raise InvalidResponseError(msg)

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: Any = None,  # noqa: ARG002 - there are no tokens to report
        **fields: Any,
    ) -> ChatResult:
        own, limits, deadline = self._timed(fields)
        headers = {"prefer": f"wait={min(WAIT_S, max(1, int(limits.read or WAIT_S)))}"}
        body = {"input": _input(messages, stop, own)}
        prediction = self._finished(self._post(body, limits, headers), limits, deadline)
        message = AIMessage(
            content=_output(prediction),
            usage_metadata=_tokens(prediction),
            response_metadata=self._said("stop"),
        )
        return ChatResult(generations=[ChatGeneration(message=message)])

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: Any = None,  # noqa: ARG002 - core's `stream` reports the tokens
        **fields: Any,
    ) -> Iterator[ChatGenerationChunk]:
        own, limits, deadline = self._timed(fields)
        body = {"input": _input(messages, stop, own), "stream": True}
        prediction = self._post(body, limits)
        if "stream" not in prediction.get("urls", {}):  # not every model has streams
            yield _chunk(content=_output(self._finished(prediction, limits, deadline)))
            yield self._end("")
            return
        url = _url(prediction, "stream")
        headers = {"accept": "text/event-stream", "cache-control": "no-store"}
        with self.listener.stream("GET", url, headers=headers, timeout=limits) as response:
            if not response.is_success:
                response.read()
                response.raise_for_status()
            for kind, data in _events(response.iter_lines()):
                if kind == "output":
                    yield _chunk(content=data)
                elif kind == "done":
                    yield self._end(data)
                    return
                elif kind == "error":
                    _fail(data)

    async def _agenerate(self, *args: Any, **fields: Any) -> ChatResult:
        # In threads: what takes long here is the prediction, not the connection.
        return await super(RouteModel, self)._agenerate(*args, **fields)

    def _astream(self, *args: Any, **fields: Any) -> AsyncIterator[ChatGenerationChunk]:
        return super(RouteModel, self)._astream(*args, **fields)

    def _timed(self, fields: dict[str, Any]) -> tuple[dict[str, Any], httpx.Timeout, float]:
        """Return the input fields, how long each read may take, and when all must be over."""
        own = self._fields(fields)
        seconds = own.pop("timeout", DEFAULT_SETTINGS.timeout_s)
        return own, httpx.Timeout(**timeouts(seconds)), time.monotonic() + seconds

    def _post(
        self, body: dict[str, Any], limits: httpx.Timeout, headers: Mapping[str, str] | None = None
    ) -> dict[str, Any]:
        name, _, version = self.model.partition(":")
        path = "/predictions" if version else f"/models/{quote(name)}/predictions"
        if version:
            body = {**body, "version": version}
        return _decoded(self.http.post(path, json=body, headers=headers, timeout=limits))

    def _finished(
        self, prediction: dict[str, Any], limits: httpx.Timeout, deadline: float
    ) -> dict[str, Any]:
        while prediction.get("status") in _UNDER_WAY:
            _wait(deadline)
            prediction = _decoded(self.http.get(_url(prediction, "get"), timeout=limits))
        return prediction

    def _said(self, finish_reason: str) -> dict[str, Any]:
        return {
            "finish_reason": finish_reason,
            "model_name": self.model,
            "model_provider": "replicate",
        }

    def _end(self, data: str) -> ChatGenerationChunk:
        reason = json.loads(data or "{}").get("reason")
        if reason in {"error", "canceled"}:
            _fail(reason)
        return _chunk(content="", response_metadata=self._said("stop"), chunk_position="last")


def connect(route: Route, access: Access) -> BaseChatModel:
    """Return the chat model of a route, for calls without an event loop."""
    options = http_options(access)
    http = httpx.Client(
        **options,
        base_url=access.base_url,
        headers={"Authorization": f"Bearer {key_value(access)}"},
        event_hooks={"request": [guard(access)]},
    )
    listener = httpx.Client(**options)
    attend(http, route, access.state)
    bound_reads(listener)
    model = ReplicateRoute(model=route.model_id, quirks=route.quirks, http=http, listener=listener)
    weakref.finalize(model, http.close)
    weakref.finalize(model, listener.close)
    return model


async def aconnect(route: Route, access: Access) -> tuple[BaseChatModel, object]:
    """Return the chat model of a route, which belongs to no event loop: it works in threads."""
    return connect(route, access), None


def _input(
    messages: Sequence[BaseMessage], stop: list[str] | None, fields: dict[str, Any]
) -> dict[str, Any]:
    """Return a prediction's input: one message as it is, a conversation with its speakers."""
    system = "\n\n".join(m.text for m in messages if isinstance(m, SystemMessage))
    said = [m for m in messages if not isinstance(m, SystemMessage)]
    lines = [f"{_SPEAKERS.get(m.type, m.type)}: {m.text}" for m in said]
    prompt = said[0].text if len(said) == 1 else "\n\n".join([*lines, "Assistant:"])
    given: dict[str, Any] = {"prompt": prompt, **fields}
    if system:
        given["system_prompt"] = system
    if stop:
        given["stop_sequences"] = ",".join(stop)
    return given


def _decoded(response: httpx.Response) -> dict[str, Any]:
    response.raise_for_status()
    prediction = response.json()
    if not isinstance(prediction, dict) or "status" not in prediction:
        msg = f"a success without a prediction: {response.text[:200]!r}"
        raise InvalidResponseError(msg, body=prediction)
    return prediction


def _url(prediction: dict[str, Any], which: str) -> str:
    url = (prediction.get("urls") or {}).get(which)
    if not isinstance(url, str) or not urlsplit(url).scheme.startswith("http"):
        msg = f"a prediction without an address to {which} it: {prediction.get('urls')}"
        raise InvalidResponseError(msg)
    return url


def _output(prediction: dict[str, Any]) -> str:
    if prediction["status"] != "succeeded":
        _fail(prediction.get("error") or prediction["status"])
    output = prediction.get("output")
    if output is None:
        _fail("it has no output")
    if isinstance(output, list):
        return "".join(map(str, output))
    return output if isinstance(output, str) else json.dumps(output)


def _tokens(prediction: dict[str, Any]) -> UsageMetadata | None:
    metrics = prediction.get("metrics") or {}
    read, written = metrics.get("input_token_count"), metrics.get("output_token_count")
    if read is None or written is None:
        return None
    return UsageMetadata(input_tokens=read, output_tokens=written, total_tokens=read + written)


def _events(lines: Iterator[str]) -> Iterator[tuple[str, str]]:
    """Yield kind and data of server-sent events."""
    kind, data = "message", []
    for line in lines:
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "event":
            kind = value
        elif name == "data":
            data.append(value)
        elif not line:
            yield kind, "\n".join(data)
            kind, data = "message", []


def _wait(deadline: float) -> None:
    if time.monotonic() + POLL_EVERY_S > deadline:
        msg = "the prediction was not ready in time"
        raise TimeoutError(msg)
    time.sleep(POLL_EVERY_S)


def _fail(why: Any) -> NoReturn:
    msg = f"the prediction failed: {why}"
    raise InvalidResponseError(msg, body={"error": {"message": str(why)}})


def _chunk(**message: Any) -> ChatGenerationChunk:
    return ChatGenerationChunk(message=AIMessageChunk(**message))
