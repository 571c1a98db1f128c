"""The corpus of answers on the wire, and functions that read and merge them.

A row of `wire/corpus.json` has `stream` (parts of a stream: text is sent as it is, an object as one
event), `json` or `body`, its `source`, and either what the answer holds or its `error`: the class
of the exception and a part of its message. `\\udcXX` in a text is the byte XX.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

from inference_providers.errors import InferenceProvidersError
from inference_providers.wire.chat_reader import ChatReader, read_completion
from inference_providers.wire.responses_reader import ResponsesReader, read_response

ROWS: list[dict[str, Any]] = json.loads(
    (Path(__file__).parent / "wire" / "corpus.json").read_text(encoding="utf-8")
)


class Outcome(NamedTuple):
    """What a reader makes of some bytes: the dicts that it returns, and what it raises."""

    chunks: list[dict[str, Any]]
    error: InferenceProvidersError | None


def bytes_of(row: dict[str, Any]) -> bytes:
    """Return the bytes of a row."""
    if "json" in row:
        return json.dumps(row["json"]).encode()
    parts = [row["body"]] if "body" in row else row["stream"]
    text = "".join(part if isinstance(part, str) else sse(part) for part in parts)
    return text.encode("utf-8", "surrogateescape")


def sse(event: dict[str, Any]) -> str:
    """Return an event; one with `delta` is the short form of a chat chunk."""
    if "delta" in event:
        event = dict(event)
        choice = {
            "index": 0,
            "delta": event.pop("delta"),
            "finish_reason": event.pop("finish", None),
        }
        event = {"id": "c-1", "model": "m-1", "choices": [choice], **event}
    return f"data: {json.dumps(event)}\n\n"


def is_chat(row: dict[str, Any]) -> bool:
    return row.get("protocol") != "responses"


def read_stream(row: dict[str, Any], pieces: list[bytes]) -> Outcome:
    """Read pieces as a stream. Only what we document may be raised."""
    reader = ChatReader() if is_chat(row) else ResponsesReader()
    chunks: list[dict[str, Any]] = []
    try:
        for piece in pieces:
            chunks += reader.feed(piece)
            if reader.done:
                break
        chunks += reader.end()
    except InferenceProvidersError as error:
        return Outcome(chunks, error)
    return Outcome(chunks, None)


def read_whole(row: dict[str, Any], data: bytes) -> Outcome:
    """Read bytes as a whole answer."""
    try:
        return Outcome([read_completion(data) if is_chat(row) else read_response(data)], None)
    except InferenceProvidersError as error:
        return Outcome([], error)


class Answer(NamedTuple):
    """What an answer holds, in a form that a row can state."""

    text: Any
    reasoning: str
    refusal: str
    calls: list[list[Any]]


def merge_chat(chunks: list[dict[str, Any]]) -> Answer:
    """Return the sum of the chunks of a chat stream."""
    deltas = [chunk["choices"][0]["delta"] for chunk in chunks]
    calls: dict[int, list[Any]] = {}
    for delta in deltas:
        for call in delta.get("tool_calls", ()):
            merged = calls.setdefault(call["index"], [None, "", ""])
            merged[0] = merged[0] or call.get("id")
            merged[1] += call["function"].get("name") or ""
            merged[2] += call["function"].get("arguments") or ""
    contents = [delta["content"] for delta in deltas if "content" in delta]
    is_text = all(isinstance(content, str) for content in contents)
    blocks = contents if is_text else [block for content in contents for block in content]
    return Answer(
        "".join(contents) if is_text else blocks,
        "".join(delta.get("reasoning_content", "") for delta in deltas),
        "".join(delta.get("refusal", "") for delta in deltas),
        list(calls.values()),
    )


def whole_chat(completion: dict[str, Any]) -> Answer:
    """Return what the first choice of a whole chat answer holds."""
    message = completion["choices"][0]["message"]
    calls = [
        [call["id"], call["function"]["name"], call["function"]["arguments"]]
        for call in message.get("tool_calls", ())
    ]
    reasoning, refusal = message.get("reasoning_content", ""), message.get("refusal", "")
    return Answer(message["content"], reasoning, refusal, calls)


def merge_responses(events: list[dict[str, Any]]) -> Answer:
    """Return the sum of the events of a responses stream."""
    texts, reasoning, refusals = [], [], []
    calls: dict[int, list[Any]] = {}
    for event in events:
        kind = event["type"].removeprefix("response.")
        if kind == "output_text.delta":
            texts.append(event["delta"])
        elif kind == "reasoning_summary_text.delta":
            reasoning.append(event["delta"])
        elif kind == "refusal.done":
            refusals.append(event["refusal"])
        elif kind == "output_item.added" and event["item"]["type"] == "function_call":
            item = event["item"]
            calls[event["output_index"]] = [item["call_id"], item["name"], item["arguments"]]
        elif kind == "function_call_arguments.delta":
            calls[event["output_index"]][2] += event["delta"]
    return Answer("".join(texts), "".join(reasoning), "".join(refusals), list(calls.values()))


def whole_response(response: dict[str, Any]) -> Answer:
    """Return what a whole response holds."""
    texts, reasoning, refusals, calls = [], [], [], []
    for item in response["output"]:
        if item["type"] == "message":
            texts += [part.get("text", "") for part in item["content"]]
            refusals += [part.get("refusal", "") for part in item["content"]]
        elif item["type"] == "reasoning":
            reasoning += [part["text"] for part in item["summary"]]
        elif item["type"] == "function_call":
            calls.append([item["call_id"], item["name"], item["arguments"]])
    return Answer("".join(texts), "".join(reasoning), "".join(refusals), calls)
