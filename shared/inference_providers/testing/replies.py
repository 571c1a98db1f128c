"""What a fake provider answers: one declarative value, and the JSON it becomes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["Fault", "Reply", "Request", "chunks", "completion", "event"]

Fault = Literal["hang", "reset", "close", "endless_headers", "endless_body"]
"""What may go wrong with a connection.

* `hang`: not another byte, until the client leaves.
* `reset`: the connection is reset.
* `close`: it is closed, and what was announced is incomplete.
* `endless_headers`: headers, until the client leaves; always at the beginning.
* `endless_body`: bytes without a line's end, until the client leaves.
"""


class Reply(NamedTuple):
    """What to answer one request with.

    Attributes:
        text: The answer, sent as a completion, or word by word where a stream is asked.
        status: The HTTP status.
        body: Sent as it is in place of a completion: JSON, text, or bytes.
        headers: Further headers.
        tool_calls: Calls in OpenAI's form: `{"name": …, "arguments": {…}}` each;
            arguments that are text are sent as they are.
        finish_reason: What the answer ends with; `None` leaves it out.
        cut_after: Close the connection after this many chunks of a stream, the first of
            which holds the role only. An answer that is not streamed is cut in its
            middle, and only where there is a `fault`.
        delay_s: Seconds before the first byte.
        chunk_delay_s: Seconds before each further chunk of a stream.
        reasoning: Sent before the text, as `reasoning_content`.
        argument_chunks: In how many chunks of a stream a call's arguments come.
        keep_alive_s: Seconds of keep-alive between headers and answer, `math.inf` for
            ever: comments in a stream, else blank lines.
        at_cut: Sent where a stream is cut: an object as an event; text and bytes as
            they are.
        usage: Token counts to report in place of made-up ones.
        fault: What happens to the connection, where the answer is cut; without
            `cut_after`, before the first byte.
        refusal: Said in place of the text, as `refusal`.
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
    """What came over the wire. Header names are in lower case."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: Any


def event(data: Any) -> bytes:
    """Return an event of a stream; text and bytes as they are."""
    if isinstance(data, bytes):
        return data
    return (data if isinstance(data, str) else f"data: {json.dumps(data)}\n\n").encode()


def completion(reply: Reply, asked: Any) -> dict[str, Any]:
    """Return the answer to a request that asks for no stream."""
    message: dict[str, Any] = {"role": "assistant", "content": reply.text}
    if reply.reasoning:
        message["reasoning_content"] = reply.reasoning
    if reply.refusal:
        message |= {"content": None, "refusal": reply.refusal}
    if reply.tool_calls:
        message["tool_calls"] = _calls(reply)
    choice = {"index": 0, "message": message, "finish_reason": reply.finish_reason}
    return {**_head("chat.completion", asked), "choices": [choice], "usage": _usage(reply)}


def chunks(reply: Reply, asked: Any) -> Iterator[dict[str, Any]]:
    """Yield the answer to a request that asks for a stream."""
    head = _head("chat.completion.chunk", asked)

    def chunk(delta: dict[str, Any], finish_reason: str | None = None) -> dict[str, Any]:
        choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
        return {**head, "choices": [choice]}

    yield chunk({"role": "assistant", "content": ""})
    for word in _words(reply.reasoning):
        yield chunk({"reasoning_content": word})
    field = "refusal" if reply.refusal else "content"
    for word in _words(reply.refusal or reply.text):
        yield chunk({field: word})
    for call in _calls(reply):
        first, *further = _pieces(call["function"]["arguments"], reply.argument_chunks)
        function = {**call["function"], "arguments": first}
        yield chunk({"tool_calls": [{**call, "function": function}]})
        for piece in further:
            yield chunk(
                {"tool_calls": [{"index": call["index"], "function": {"arguments": piece}}]}
            )
    if reply.finish_reason is not None:
        yield chunk({}, reply.finish_reason)
    if (asked.get("stream_options") or {}).get("include_usage"):
        yield {**head, "choices": [], "usage": _usage(reply)}


def _head(kind: str, asked: Any) -> dict[str, Any]:
    return {"id": "fake-1", "object": kind, "created": 1, "model": asked.get("model", "")}


def _usage(reply: Reply) -> Mapping[str, Any]:
    if reply.usage is not None:
        return reply.usage
    said = len(reply.text.split())
    return {"prompt_tokens": 10, "completion_tokens": said, "total_tokens": 10 + said}


def _calls(reply: Reply) -> list[dict[str, Any]]:
    return [
        {
            "index": n,
            "id": f"call_{n}",
            "type": "function",
            "function": {"name": call["name"], "arguments": _text(call["arguments"])},
        }
        for n, call in enumerate(reply.tool_calls)
    ]


def _text(arguments: Any) -> str:
    return arguments if isinstance(arguments, str) else json.dumps(arguments)


def _words(text: str) -> Iterator[str]:
    return (f" {word}" if n else word for n, word in enumerate(text.split()))


def _pieces(text: str, count: int) -> list[str]:
    size = max(1, -(-len(text) // count))
    return [text[at : at + size] for at in range(0, len(text), size)] or [""]
