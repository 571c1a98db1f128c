"""Responses streams that contradict themselves, number parts wrongly, or leave parts out."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from inference_providers.errors import InvalidResponseError
from inference_providers.wire.responses_reader import ResponsesReader
from responses_wire import call_item, response_events, text_item
from wire_corpus import merge_responses

if TYPE_CHECKING:
    from collections.abc import Callable

TEXT = "Hello from the wire"
ARGUMENTS = {"city": "Paris", "unit": "celsius"}
Events = list[dict[str, Any]]


def passed_on(events: Events) -> Events:
    """Return the events that the reader passes on."""
    reader = ResponsesReader()
    data = "".join(f"data: {json.dumps(event)}\n\n" for event in events)
    return reader.feed(data.encode()) + reader.end()


def read(events: Events) -> Any:
    """Return the answer that the events of a stream add up to."""
    return merge_responses(passed_on(events))


def calls_in(events: Events) -> list[tuple[str, Any]]:
    """Return the names and the decoded arguments of the answer's calls."""
    return [(name, json.loads(arguments)) for _, name, arguments in read(events).calls]


def text_events() -> Events:
    return response_events(text_item(TEXT))


def call_events() -> Events:
    return response_events(text_item("Let me look."), call_item("weather", ARGUMENTS, 1))


def nth(events: Events, kind: str, n: int = 0) -> dict[str, Any]:
    return [event for event in events if event["type"].endswith(kind)][n]


def change_final(events: Events, change: Callable[[Any], None]) -> Events:
    """Change only the whole response of the last event."""
    last = json.loads(json.dumps(events[-1]))
    change(last["response"]["output"])
    return [*events[:-1], last]


WRONG_PLACES: list[dict[str, Any]] = [
    {"content_index": 1}, {"content_index": 7}, {"content_index": None}, {"content_index": "0"},
    {"output_index": 3}, {"output_index": None}, {"output_index": "x"}, {"item_id": "other"},
    {"item_id": None}, {"item_id": "other", "output_index": 9},
    {"item_id": "other", "output_index": 9, "content_index": 4},
    {"item_id": None, "output_index": None, "content_index": None},
]  # fmt: skip


@pytest.mark.parametrize("place", WRONG_PLACES, ids=str)
@pytest.mark.parametrize("n", [0, 1])
def test_text_delta_in_a_wrong_place_is_read_once(place: dict[str, Any], n: int) -> None:
    events = text_events()
    nth(events, "output_text.delta", n).update(place)
    assert read(events).text == TEXT


@pytest.mark.parametrize("place", WRONG_PLACES, ids=str)
@pytest.mark.parametrize("kind", ["output_text.done", "content_part.added", "output_item.done"])
def test_text_that_ends_in_a_wrong_place_is_read_once(place: dict[str, Any], kind: str) -> None:
    events = text_events()
    nth(events, kind).update(place)
    assert read(events).text == TEXT


@pytest.mark.parametrize("place", WRONG_PLACES, ids=str)
def test_arguments_in_a_wrong_place_are_read_once(place: dict[str, Any]) -> None:
    events = call_events()
    nth(events, "arguments.delta", 1).update(place)
    assert calls_in(events) == [("weather", ARGUMENTS)]


def other_text(events: Events) -> Events:
    nth(events, "output_text.done")["text"] = "Hello from elsewhere"
    return events


def other_item(events: Events) -> Events:
    nth(events, "output_item.done")["item"] = text_item("Hello from elsewhere")
    return events


def other_final(events: Events) -> Events:
    return change_final(events, lambda output: output.__setitem__(0, text_item("Goodbye")))


def shorter_final(events: Events) -> Events:
    return change_final(events, lambda output: output.__setitem__(0, text_item(TEXT[:7])))


def repeated_delta(events: Events) -> Events:
    n = events.index(nth(events, "output_text.delta"))
    return [*events[:n], events[n], *events[n:]]


def swapped_deltas(events: Events) -> Events:
    first, second = nth(events, "output_text.delta"), nth(events, "output_text.delta", 1)
    first["delta"], second["delta"] = second["delta"], first["delta"]
    return events


def late_delta(events: Events) -> Events:
    return [*events[:-1], nth(events, "output_text.delta"), events[-1]]


CHANGES = [
    other_text, other_item, other_final, shorter_final, repeated_delta, swapped_deltas, late_delta,
]  # fmt: skip


@pytest.mark.parametrize("change", CHANGES)
def test_text_unlike_the_streamed_one_is_a_fault(change: Callable[[Events], Events]) -> None:
    with pytest.raises(InvalidResponseError, match="contradicts itself"):
        read(change(text_events()))


@pytest.mark.parametrize("kind", ["arguments.done", "output_item.done", "response.completed"])
@pytest.mark.parametrize(
    "arguments", ['{"city": "Rome"}', '{"city": "Paris"}', "Paris", '["Paris"]']
)
def test_arguments_unlike_the_streamed_are_a_fault(kind: str, arguments: str) -> None:
    events = call_events()
    last = nth(events, kind, -1)
    if kind == "response.completed":
        events = change_final(events, lambda output: output[1].update(arguments=arguments))
    else:
        last.get("item", last)["arguments"] = arguments
    with pytest.raises(InvalidResponseError, match="contradicts itself"):
        read(events)


def test_call_with_two_names_is_a_fault() -> None:
    events = change_final(call_events(), lambda output: output[1].update(name="time"))
    with pytest.raises(InvalidResponseError, match="two names"):
        read(events)


def test_streamed_call_that_the_end_lacks_is_a_fault() -> None:
    calls = [call_item("weather", {"city": city}, n) for n, city in enumerate(("Paris", "Rome"))]
    events = change_final(response_events(*calls), lambda output: output.pop())
    with pytest.raises(InvalidResponseError, match="without all"):
        read(events)


@pytest.mark.parametrize("kind", ["output_text.done", "output_item.done", "response.completed"])
@pytest.mark.parametrize("whole", [f"\n{TEXT}", f"{TEXT} \n", f" {TEXT} ", ""])
def test_white_space_around_a_text_is_not_compared(kind: str, whole: str) -> None:
    events = text_events()
    if kind == "response.completed":
        events = change_final(events, lambda output: output.__setitem__(0, text_item(whole)))
    elif kind == "output_text.done":
        nth(events, kind)["text"] = whole
    else:
        nth(events, kind)["item"] = text_item(whole)
    assert read(events).text == TEXT


@pytest.mark.parametrize("arguments", [ARGUMENTS, '{"unit":"celsius","city":"Paris"}', "", None])
def test_arguments_in_another_form_are_the_same(arguments: Any) -> None:
    events = call_events()
    nth(events, "output_item.done", 1)["item"] = call_item("weather", "", 1) | {
        "arguments": arguments
    }
    assert calls_in(events) == [("weather", ARGUMENTS)]


@pytest.mark.parametrize("n", range(9))
def test_items_that_only_the_end_has_are_added(n: int) -> None:
    """Leave out the second item, or a part of it; the last event has all of it."""
    events = [e for e in call_events() if e.get("output_index") != 1] if n == 0 else call_events()
    if n:
        place = [e for e in events if e.get("output_index") == 1]
        events = [e for e in events if e not in place[min(n, len(place) - 1) :]]
    assert calls_in(events) == [("weather", ARGUMENTS)]
    assert read(events).text == "Let me look."


def test_text_in_two_parts_may_end_as_one() -> None:
    events = text_events()
    nth(events, "output_text.delta", 1)["content_index"] = 1
    kinds = ("output_text.done", "content_part.done", "content_part.added")
    events = [event for event in events if not event["type"].endswith(kinds)]
    assert read(events).text == TEXT


@pytest.mark.parametrize("n", [0, 1])
def test_item_that_is_added_twice_is_read_once(n: int) -> None:
    events = call_events()
    added = nth(events, "output_item.added", n)
    events.insert(events.index(added), added)
    assert calls_in(events) == [("weather", ARGUMENTS)]
    assert sum(call["type"].endswith("added") for call in passed_on(events)) == 2


def test_streamed_text_that_the_end_lacks_is_a_fault() -> None:
    items = [text_item(TEXT, 0), call_item("weather", ARGUMENTS, 1), text_item("Goodbye", 2)]
    events = change_final(response_events(*items), lambda output: output.pop())
    with pytest.raises(InvalidResponseError, match="without all"):
        read(events)
