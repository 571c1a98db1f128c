"""OpenAI's Responses protocol on the wire: whole responses and streams of events."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["call_item", "response", "response_events", "text_item"]

USAGE = {
    "input_tokens": 10,
    "input_tokens_details": {"cached_tokens": 0},
    "output_tokens": 5,
    "output_tokens_details": {"reasoning_tokens": 0},
    "total_tokens": 15,
}


def text_item(text: str, n: int = 0) -> dict[str, Any]:
    """Return a message with one text."""
    part = {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
    return {
        "type": "message",
        "id": f"msg_{n}",
        "status": "completed",
        "role": "assistant",
        "content": [part],
    }


def call_item(name: str, arguments: Mapping[str, Any] | str, n: int = 0) -> dict[str, Any]:
    """Return a function call; arguments given as text are sent as they are."""
    return {
        "type": "function_call",
        "id": f"fc_{n}",
        "call_id": f"call_{n}",
        "name": name,
        "arguments": arguments if isinstance(arguments, str) else json.dumps(arguments),
        "status": "completed",
    }


def response(*items: Any, status: str = "completed", **fields: Any) -> dict[str, Any]:
    """Return a whole response with these items."""
    return {
        "id": "resp_1",
        "object": "response",
        "created_at": 1,
        "status": status,
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "max_output_tokens": None,
        "model": "first-id",
        "output": [*items],
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        "temperature": 1.0,
        "top_p": 1.0,
        "metadata": {},
        "usage": USAGE,
        **fields,
    }


def response_events(*items: Any, size: int = 12, **fields: Any) -> list[dict[str, Any]]:
    """Return the events of a stream of these items, with texts in parts of `size` characters."""
    final = response(*items, **fields)
    begun = {**final, "status": "in_progress", "output": [], "usage": None}
    events: list[dict[str, Any]] = [
        {"type": "response.created", "response": begun},
        {"type": "response.in_progress", "response": begun},
    ]
    for n, item in enumerate(items):
        is_text = item["type"] == "message"
        empty = {"content": []} if is_text else {"arguments": ""}
        added = {**item, **empty, "status": "in_progress"}
        events.append({"type": "response.output_item.added", "output_index": n, "item": added})
        events += _text_events(item, n, size) if is_text else _call_events(item, n, size)
        events.append({"type": "response.output_item.done", "output_index": n, "item": item})
    kind = "incomplete" if final["status"] == "incomplete" else final["status"]
    events.append({"type": f"response.{kind}", "response": final})
    return [{**event, "sequence_number": n} for n, event in enumerate(events)]


def _text_events(item: Any, n: int, size: int) -> Iterable[dict[str, Any]]:
    (part,) = item["content"]
    place = {"item_id": item["id"], "output_index": n, "content_index": 0}
    yield {"type": "response.content_part.added", **place, "part": {**part, "text": ""}}
    for text in _parts(part["text"], size):
        yield {"type": "response.output_text.delta", **place, "delta": text, "logprobs": []}
    yield {"type": "response.output_text.done", **place, "text": part["text"], "logprobs": []}
    yield {"type": "response.content_part.done", **place, "part": part}


def _call_events(item: Any, n: int, size: int) -> Iterable[dict[str, Any]]:
    place = {"item_id": item["id"], "output_index": n}
    for text in _parts(item["arguments"], size):
        yield {"type": "response.function_call_arguments.delta", **place, "delta": text}
    yield {
        "type": "response.function_call_arguments.done",
        **place,
        "name": item["name"],
        "arguments": item["arguments"],
    }


def _parts(text: str, size: int) -> list[str]:
    return [text[at : at + size] for at in range(0, len(text), size)]
