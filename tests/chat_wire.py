"""OpenAI's chat protocol on the wire: completions, chunks and streams, as bytes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from raw_server import Drip, Response, Step, chunked, http

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "DONE",
    "FINISHED",
    "TEXT",
    "USAGE",
    "WORDS",
    "chunk",
    "completion",
    "event",
    "stream",
    "tool_call",
    "usage_chunk",
    "whole",
]

WORDS = ("The capital", " is Paris.")
TEXT = "".join(WORDS)
USAGE = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
DONE = "data: [DONE]\n\n"
MODEL = "first-id"


def completion(message: Any, finish: Any = "stop", **fields: Any) -> dict[str, Any]:
    """Return a whole answer with `message` in its only choice."""
    return {
        "id": "c-1",
        "object": "chat.completion",
        "created": 1,
        "model": MODEL,
        "choices": [{"index": 0, "message": message, "finish_reason": finish}],
        "usage": USAGE,
        **fields,
    }


def chunk(delta: Any, finish: Any = None, **fields: Any) -> dict[str, Any]:
    """Return one chunk of a stream."""
    return {
        "id": "c-1",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": MODEL,
        "choices": [{"index": 0, "delta": delta, "finish_reason": finish}],
        **fields,
    }


def usage_chunk(usage: Any = USAGE, **fields: Any) -> dict[str, Any]:
    """Return the chunk with the usage of the whole answer."""
    return chunk({}, **{"choices": [], "usage": usage, **fields})


FINISHED = (chunk({}, "stop"), usage_chunk(), DONE)
"""How a good stream ends."""


def tool_call(name: str | None, arguments: Any, **fields: Any) -> dict[str, Any]:
    """Return a tool call for a message or a delta; without a name if `name` is `None`."""
    function = {"name": name, "arguments": arguments} if name else {"arguments": arguments}
    return {"type": "function", "function": function, **fields}


def event(data: Any) -> bytes:
    """Return an object as an event; text and bytes as they are."""
    if isinstance(data, bytes):
        return data
    return (data if isinstance(data, str) else f"data: {json.dumps(data)}\n\n").encode()


def stream(*items: Any, ends: bool = True, **headers: str) -> Response:
    """Return a stream of these events, each in its own write; steps pass as they are."""
    parts = (item if isinstance(item, Step | Drip) else event(item) for item in items)
    return chunked(*parts, ends=ends, **headers)


def whole(body: Any, **arguments: Any) -> Response:
    """Return a whole answer."""
    return http(body, **arguments)


def words(*texts: str) -> list[Mapping[str, Any]]:
    """Return a chunk for each text, after one with the role."""
    return [chunk({"role": "assistant", "content": ""}), *(chunk({"content": t}) for t in texts)]
