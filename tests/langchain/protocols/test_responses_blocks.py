"""Responses streams whose items interleave: LangChain's merged message has each item once."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest
from langchain_core.messages import AIMessageChunk

from inference_providers.wire.responses_reader import ResponsesReader
from langchain_autoprovider.protocols.openai_responses import ResponsesConverter
from responses_wire import call_item, response, response_events, text_item

TEXTS = ["Let me look at both cities.", "One moment, please: this takes a while."]
CITIES = ["Paris", "Rome", "Copenhagen"]


def merged(events: list[dict[str, Any]]) -> AIMessageChunk:
    """Return the sum of the chunks of a stream."""
    reader, converter = ResponsesReader(), ResponsesConverter(None)
    data = "".join(f"data: {json.dumps(event)}\n\n" for event in events).encode()
    chunks = [converter.convert(event) for event in reader.feed(data) + reader.end()]
    first, *others = [chunk.message for chunk in chunks if chunk is not None]
    for other in others:
        first = first + other
    assert isinstance(first, AIMessageChunk)
    return first


def interleaved(items: list[dict[str, Any]], seed: int) -> list[dict[str, Any]]:
    """Return the events of a stream; each item's stay in order, and mix with the others'."""
    events = response_events(*items, size=4)
    by_item: list[list[dict[str, Any]]] = [[] for _ in items]
    others = []
    for event in events:
        (by_item[event["output_index"]] if "output_index" in event else others).append(event)
    order = [n for n, its in enumerate(by_item) for _ in its]
    random.Random(seed).shuffle(order)
    return [*others[:-1], *(by_item[n].pop(0) for n in order), others[-1]]


@pytest.mark.parametrize("seed", range(20))
def test_calls_that_interleave_are_merged(seed: int) -> None:
    calls = [call_item("weather", {"city": city}, n) for n, city in enumerate(CITIES)]
    message = merged(interleaved(calls, seed))
    assert sorted(call["args"]["city"] for call in message.tool_calls) == sorted(CITIES)
    assert {call["name"] for call in message.tool_calls} == {"weather"}
    assert message.invalid_tool_calls == []
    assert len(message.content) == len(CITIES)


@pytest.mark.parametrize("seed", range(20))
def test_texts_and_calls_that_interleave_are_merged(seed: int) -> None:
    items = [text_item(TEXTS[0], 0), call_item("weather", {"city": "Paris"}, 1)]
    items += [text_item(TEXTS[1], 2), call_item("weather", {"city": "Rome"}, 3)]
    message = merged(interleaved(items, seed))
    blocks: Any = message.content
    assert sorted(block["text"] for block in blocks if block["type"] == "text") == TEXTS
    assert sorted(call["args"]["city"] for call in message.tool_calls) == ["Paris", "Rome"]
    assert len(blocks) == len(items)


def test_phase_of_a_message_stays_with_its_text() -> None:
    items = [{**text_item(text, n), "phase": "commentary"} for n, text in enumerate(TEXTS)]
    blocks: Any = merged(response_events(*items)).content
    assert [(block["text"], block["phase"]) for block in blocks] == [
        (text, "commentary") for text in TEXTS
    ]


def test_whole_response_as_the_only_event_is_merged() -> None:
    items = [text_item(TEXTS[0]), call_item("weather", {"city": "Paris"}, 1)]
    message = merged([{"type": "response.completed", "response": response(*items)}])
    assert message.text == TEXTS[0]
    assert [call["args"] for call in message.tool_calls] == [{"city": "Paris"}]
