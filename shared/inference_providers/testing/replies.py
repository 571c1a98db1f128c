"""Replies of a fake provider: a declarative value, and the JSON it becomes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["Fault", "Reply", "Request", "chunks", "completion", "encode_event"]

Fault = Literal["hang", "reset", "close", "endless_headers", "endless_body"]
"""What goes wrong with the connection.

* `hang`: nothing more is sent until the client disconnects.
* `reset`: the connection is reset.
* `close`: the connection is closed before everything that was announced is sent.
* `endless_headers`: headers are sent until the client disconnects; always from the start.
* `endless_body`: bytes without a line break are sent until the client disconnects.
"""


class Reply(NamedTuple):
    """The response to one request.

    Attributes:
        text: The answer: a chat completion, or its words one by one if the request asks for a
            stream.
        status: The HTTP status.
        body: Sent as it is instead of a completion: an object as JSON, text, or bytes.
        headers: Additional response headers.
        tool_calls: Tool calls, each `{"name": …, "arguments": {…}}`. Arguments given as text
            are sent as they are.
        finish_reason: The finish reason; `None` leaves it out.
        cut_after: Close the connection after this many chunks of a stream. The first chunk has
            the role only. A whole answer is cut in its middle, if there is a `fault`.
        delay_s: Seconds before the first byte.
        chunk_delay_s: Seconds before each further chunk of a stream.
        reasoning: Sent before the text, as `reasoning_content`.
        argument_chunks: The number of chunks of a stream that a call's arguments take.
        keep_alive_s: Seconds of keep-alive between headers and answer: comments in a stream,
            else blank lines. `math.inf` never answers.
        at_cut: Sent where a stream is cut: an object as an event, text and bytes as they are.
        usage: Token counts to report instead of made-up ones.
        fault: What happens to the connection at the cut, or before the first byte if there is
            no `cut_after`.
        refusal: Sent instead of the text, as `refusal`.
    """

    text: str = "Hello from a fake provider"
    status: int = 200
    body: Any = None
    headers: Mapping[str, str] = {}
    tool_calls: tuple[dict[str, Any], ...] = ()
    finish_reason: str | None = "stop"
    cut_after: int | None = None
    delay_s: float = 0.0
    chunk_delay_s: float = 0.0
    reasoning: str = ""
    argument_chunks: int = 1
    keep_alive_s: float = 0.0
    at_cut: Any = None
    fault: Fault | None = None
    usage: Mapping[str, Any] | None = None
    refusal: str = ""


class Request(NamedTuple):
    """A request as it was received. Header names are in lower case."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: Any


def encode_event(data: Any) -> bytes:
    """Return an object as an event of a stream; text and bytes as they are."""
    if isinstance(data, bytes):
        return data
    return (data if isinstance(data, str) else f"data: {json.dumps(data)}\n\n").encode()


def completion(reply: Reply, request: Any) -> dict[str, Any]:
    """Return the response to `request`, a decoded request body that asks for no stream."""
    message: dict[str, Any] = {"role": "assistant", "content": reply.text}
    if reply.reasoning:
        message["reasoning_content"] = reply.reasoning
    if reply.refusal:
        message |= {"content": None, "refusal": reply.refusal}
    if reply.tool_calls:
        message["tool_calls"] = _tool_calls(reply)
    choice = {"index": 0, "message": message, "finish_reason": reply.finish_reason}
    return {
        **_common_fields("chat.completion", request),
        "choices": [choice],
        "usage": _usage(reply),
    }


def chunks(reply: Reply, request: Any) -> Iterator[dict[str, Any]]:
    """Yield the chunks of the stream that answers `request`, a decoded request body."""
    head = _common_fields("chat.completion.chunk", request)

    def chunk(delta: dict[str, Any], finish_reason: str | None = None) -> dict[str, Any]:
        choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
        return {**head, "choices": [choice]}

    yield chunk({"role": "assistant", "content": ""})
    for word in _split_words(reply.reasoning):
        yield chunk({"reasoning_content": word})
    field = "refusal" if reply.refusal else "content"
    for word in _split_words(reply.refusal or reply.text):
        yield chunk({field: word})
    for call in _tool_calls(reply):
        first, *further = _split(call["function"]["arguments"], reply.argument_chunks)
        function = {**call["function"], "arguments": first}
        yield chunk({"tool_calls": [{**call, "function": function}]})
        for piece in further:
            yield chunk(
                {"tool_calls": [{"index": call["index"], "function": {"arguments": piece}}]}
            )
    if reply.finish_reason is not None:
        yield chunk({}, reply.finish_reason)
    if (request.get("stream_options") or {}).get("include_usage"):
        yield {**head, "choices": [], "usage": _usage(reply)}


def _common_fields(kind: str, request: Any) -> dict[str, Any]:
    return {"id": "fake-1", "object": kind, "created": 1, "model": request.get("model", "")}


def _usage(reply: Reply) -> Mapping[str, Any]:
    if reply.usage is not None:
        return reply.usage
    words = len(reply.text.split())
    return {"prompt_tokens": 10, "completion_tokens": words, "total_tokens": 10 + words}


def _tool_calls(reply: Reply) -> list[dict[str, Any]]:
    return [
        {
            "index": n,
            "id": f"call_{n}",
            "type": "function",
            "function": {"name": call["name"], "arguments": _arguments_text(call["arguments"])},
        }
        for n, call in enumerate(reply.tool_calls)
    ]


def _arguments_text(arguments: Any) -> str:
    return arguments if isinstance(arguments, str) else json.dumps(arguments)


def _split_words(text: str) -> Iterator[str]:
    return (f" {word}" if n else word for n, word in enumerate(text.split()))


def _split(text: str, count: int) -> list[str]:
    size = max(1, -(-len(text) // count))
    return [text[at : at + size] for at in range(0, len(text), size)] or [""]
