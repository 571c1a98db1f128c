"""Streams of the Responses API that leave events out, or interleave items: one answer results.

Servers that imitate OpenAI's send only a part of its events. Whatever the whole response at the end
has must reach the caller once, and under the right item.
"""

from __future__ import annotations

import json
from functools import reduce
from operator import add
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference_providers.wire.responses_reader import ResponsesReader, read_response
from langchain_autoprovider.protocols.openai_responses import ResponsesConverter, response_result
from responses_wire import call_item, response_events, text_item

if TYPE_CHECKING:
    from langchain_core.messages import AIMessage

TEXT = "The capital is Paris."
CALLS = [("f", {"city": "Paris"}), ("g", {"days": 1}), ("f", {"city": "Rome"})]
ITEMS = [text_item(TEXT, 0), *(call_item(*call, n) for n, call in enumerate(CALLS, start=1))]
EVENTS = response_events(*ITEMS, size=5)


@st.composite
def streams(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Draw a stream without some of the events, and with its items in any mixture.

    The deltas of an item are left out from some place on, since later ones would make no sense.
    """
    dropped = draw(st.sets(st.sampled_from(["added", "done", "arguments.done", "text.done"])))
    queues = []
    for index in range(len(ITEMS)):
        of_item = [event for event in EVENTS if event.get("output_index") == index]
        deltas = [event for event in of_item if event["type"].endswith("delta")]
        cut = set(map(id, deltas[draw(st.integers(0, len(deltas))) :]))
        if "added" in dropped:
            cut |= set(map(id, deltas if index else []))  # a call's name must come first
        kinds = tuple(f".{name}" if "." in name else f"output_item.{name}" for name in dropped)
        kept = [e for e in of_item if not e["type"].endswith(("part.added", "part.done", *kinds))]
        kept = [event for event in kept if id(event) not in cut]
        kept = [e for e in kept if "added" not in dropped or "arguments.done" not in e["type"]]
        queues.append(kept)
    mixture = draw(st.permutations([n for n, queue in enumerate(queues) for _ in queue]))
    return [EVENTS[0], *(queues[n].pop(0) for n in mixture), EVENTS[-1]]


def encode(events: list[dict[str, Any]]) -> bytes:
    return b"".join(b"data: " + json.dumps(event).encode() + b"\n\n" for event in events)


def streamed(events: list[dict[str, Any]]) -> AIMessage:
    """Return the merged message of a stream."""
    reader, converter = ResponsesReader(), ResponsesConverter(None)
    parts = [converter.convert(event) for event in [*reader.feed(encode(events)), *reader.end()]]
    return reduce(add, [part.message for part in parts if part is not None])


def assert_is_the_answer(message: AIMessage) -> None:
    calls = [(call["name"], call["args"]) for call in message.tool_calls]
    assert (message.text, sorted(calls, key=str)) == (TEXT, sorted(CALLS, key=str))
    assert {call["id"] for call in message.tool_calls} == {"call_1", "call_2", "call_3"}
    assert not message.invalid_tool_calls


@given(streams())
def test_events_left_out_or_interleaved_change_nothing(events: list[dict[str, Any]]) -> None:
    assert_is_the_answer(streamed(events))
    whole = response_result(read_response(encode(events)), None)
    assert_is_the_answer(whole.generations[0].message)  # type: ignore[arg-type] - an answer


@pytest.mark.parametrize("renamed", ["id", "call_id"])
def test_items_are_found_though_their_ids_change(renamed: str) -> None:
    final = EVENTS[-1]["response"]
    items = [{**item, renamed: f"new_{n}"} for n, item in enumerate(ITEMS)]
    events = [*EVENTS[:-1], {**EVENTS[-1], "response": {**final, "output": items}}]
    assert_is_the_answer(streamed(events))


def test_arguments_that_only_the_stream_has_are_kept() -> None:
    events = json.loads(json.dumps(EVENTS))
    for item in events[-1]["response"]["output"]:
        item.update({"content": []} if item["type"] == "message" else {"arguments": ""})
    assert_is_the_answer(
        response_result(read_response(encode(events)), None).generations[0].message
    )
