"""Reads answers of OpenAI's Responses API: bytes in, plain dicts out, each answer judged.

* Streams and whole answers are distinguished by their bytes, whichever was requested.
* Only events that carry a part of the answer are returned. Each has the `output_index` of its item,
  however the provider numbers them.
* Text and arguments that were not streamed are taken from the `done` events: some servers send them
  only there.
* The last event has the whole response with its usage, and is returned only if the answer is good.
* An error event, and a response that failed, are raised with the provider's own words.

Nothing but `InvalidResponseError`, `ProviderError` and `ContentFilteredError` is raised, whatever
the bytes are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from inference_providers.errors import InvalidResponseError
from inference_providers.wire.answer_body import BodyReader
from inference_providers.wire.finish_reasons import RESPONSES
from inference_providers.wire.reported_errors import invalid_response, raise_reported_error
from inference_providers.wire.response_items import item_text, read_item, read_response_object
from inference_providers.wire.streamed_item import NO_OUTPUT_KINDS, StreamedItem
from inference_providers.wire.streamed_parts import agree
from inference_providers.wire.text_parts import first_text

if TYPE_CHECKING:
    from collections.abc import Callable

    from inference_providers.wire.streamed_item import Event

__all__ = ["ResponsesReader", "read_response"]

_END_EVENTS = frozenset(
    {"response.completed", "response.incomplete", "response.failed", "response.cancelled"}
    | {"response.done"}
)
_NO_REASON = "the stream ended without a finish reason"
_STREAMED_KINDS = frozenset({"message", "function_call"})


def read_response(data: bytes) -> dict[str, Any]:
    """Return a whole response, read from JSON or from a stream.

    Raises:
        ContentFilteredError: The answer was withheld or cut by a content filter.
        InvalidResponseError: The answer is not usable.
        ProviderError: It is an error object.
    """
    reader = ResponsesReader()
    reader.feed(data)
    reader.end()
    return reader.response


class ResponsesReader(BodyReader):
    """Reads one stream.

    Attributes:
        response: The whole response; after `end`.
    """

    def __init__(self) -> None:
        super().__init__()
        self.response: dict[str, Any] = {}
        self._final: dict[str, Any] | None = None
        self._items: list[StreamedItem] = []
        self._by_id: dict[str, StreamedItem] = {}
        self._by_index: dict[int, StreamedItem] = {}
        self._begun: dict[str, StreamedItem] = {}
        self._read_by_type: dict[str, Callable[[Event], list[Event]]] = {
            "response.output_text.delta": self._read_text_delta,
            "response.output_text.done": self._read_text_done,
            "response.content_part.added": self._read_part,
            "response.refusal.done": self._read_refusal,
            "response.output_text.annotation.added": self._read_annotation,
            "response.output_item.added": self._read_added,
            "response.output_item.done": self._read_done,
            "response.function_call_arguments.delta": self._read_arguments_delta,
            "response.function_call_arguments.done": self._read_arguments_done,
            "response.reasoning_summary_text.delta": self._read_summary_delta,
            "response.reasoning_summary_part.added": self._read_summary_part,
            "response.created": self._read_created,
        }

    @property
    def finished(self) -> bool:
        """Whether the event that ends a response was read."""
        return self._final is not None

    def end(self) -> list[Event]:
        """Return the remaining events; the last one has the whole response.

        Raises:
            ContentFilteredError: The answer was withheld or cut by a content filter.
            InvalidResponseError: The answer is not usable, or it was cut.
            ProviderError: It is an error object.
        """
        events = self.end_body()
        if self._final is None:
            raise InvalidResponseError(_NO_REASON)
        output = self._final.get("output")
        output = [output] if isinstance(output, dict) else output
        if not output:
            output = [item.as_output() for item in self._items]
        elif not isinstance(output, list):
            msg = "a response whose output is not a list"
            raise invalid_response(msg)
        response = read_response_object(self._final, output)
        self._check(response)
        self.response = response
        events += self._rest_of(response["output"])
        messages = [item for item in response["output"] if item["type"] == "message"]
        is_cut = response.get("status") == "incomplete"
        kind = "response.incomplete" if is_cut else "response.completed"
        return [*events, {"type": kind, "response": {**response, "output": messages}}]

    def _rest_of(self, output: list[dict[str, Any]]) -> list[Event]:
        """Return events for what the whole response has and the stream left out.

        Raises:
            InvalidResponseError: Another answer was streamed.
        """
        is_unstreamed = not any(item.has_output() for item in self._items)
        whole = "".join(item_text(raw) for raw in output if raw["type"] == "message")
        same_text = bool(whole) and agree(whole, "".join(item.text() for item in self._items))
        counterparts = self._counterparts(output)
        matched = {id(item) for item in counterparts}
        unmatched = [item for item in self._items if id(item) not in matched]
        has_calls = any(raw["type"] == "function_call" for raw in output)
        if any(
            (has_calls and item.kind == "function_call")
            or (whole and not same_text and item.text())
            for item in unmatched
        ):
            msg = "a stream that contradicts itself: it ends without all that it began with"
            raise invalid_response(msg)
        events: list[Event] = []
        for index, (raw, item) in enumerate(zip(output, counterparts, strict=True)):
            if item is not None:
                item.take_missing(raw)
            if raw["type"] == "message" and same_text and _is_text(raw):
                continue  # also if the stream divides it differently
            if raw["type"] in _STREAMED_KINDS or (item is None and is_unstreamed):
                events += self._complete(item or self._new_item(None, index), raw)
        return events

    def _counterparts(self, output: list[dict[str, Any]]) -> list[StreamedItem | None]:
        """Return the streamed item of each item of the whole response.

        It is recognized by id, else by its order among the items of its kind.
        """
        by_id = {item_id: item for item in self._items for item_id in item.ids()}
        matches = [by_id.pop(raw.get("call_id") or raw.get("id") or "", None) for raw in output]
        taken = {id(item) for item in matches}
        by_kind: dict[tuple[str, str], list[StreamedItem]] = {}
        for item in reversed(self._items):
            if id(item) not in taken:
                by_kind.setdefault(item.signature(), []).append(item)
        for index, raw in enumerate(output):
            alike = by_kind.get((raw["type"], raw.get("name", "")))
            if matches[index] is None and alike:
                matches[index] = alike.pop()
        return matches

    def read_whole(self, body: Any) -> list[Event]:
        """Read a body that is JSON instead of a stream."""
        if isinstance(body, list) and len(body) == 1:
            body = body[0]
        if not isinstance(body, dict):
            msg = f"HTTP 200 whose body is a {type(body).__name__}, not an object"
            raise invalid_response(msg)
        raise_reported_error(body, is_answer="output" in body)
        if "output" not in body:
            msg = "HTTP 200 without output"
            raise InvalidResponseError(msg, body=body)
        self._final = body
        return []

    def read_event(self, body: Event, event_type: str) -> list[Event]:
        """Read one event; return the events to pass on."""
        kind = body.get("type")
        if not isinstance(kind, str):
            kind = "response.completed" if body.get("object") == "response" else event_type
        if "error" in (kind, event_type):
            raise_reported_error(body, is_answer=False, is_error=True)
        if "error" in body or not kind.startswith("response."):
            raise_reported_error(body, is_answer=False)
        if kind in _END_EVENTS:
            self._read_end(body, kind)
            return []
        read = self._read_by_type.get(kind)
        return [] if read is None else read(body)

    def _read_end(self, body: Event, kind: str) -> None:
        response = body.get("response", body)
        if not isinstance(response, dict):
            response = {}
        raise_reported_error({"error": response.get("error")}, is_answer=True)
        status = kind.removeprefix("response.").replace("done", "completed")
        self._final = {**response, "status": response.get("status") or status}
        self.done = True

    def _check(self, response: dict[str, Any]) -> None:
        """Raise unless the response ended well."""
        messages = [item for item in response["output"] if item["type"] == "message"]
        text = "".join(item_text(item) for item in messages)
        text = text or "".join(item.text() for item in self._items)
        word = RESPONSES.word_in(response)
        others = [item for item in response["output"] if item["type"] not in NO_OUTPUT_KINDS]
        RESPONSES.check(word, has_output=bool(text or others), text=text)

    # Items

    def _new_item(self, item_id: str | None, given_index: int | None) -> StreamedItem:
        item = StreamedItem(len(self._items), item_id)
        self._items.append(item)
        if item_id:
            self._by_id[item_id] = item
        if given_index is not None:
            self._by_index[given_index] = item
        return item

    def _item(self, event: Event, item_id: Any, kind: str) -> StreamedItem:
        """Return the item that an event belongs to.

        Some servers change its id each time, and some its index. If both are unknown, the event
        belongs to the item of its kind that is open.
        """
        index = _index_in(event, "output_index")
        by_id = self._by_id.get(item_id) if isinstance(item_id, str) else None
        for item in (by_id, self._by_index.get(-1 if index is None else index)):
            if item is not None and item.kind in {None, kind}:
                return item
        last = self._items[-1] if self._items else None
        if index is None and not item_id and last is not None and last.kind in {None, kind}:
            return last
        begun = self._begun.get(kind)
        if begun is not None and not begun.is_complete:
            return begun
        return self._new_item(item_id if isinstance(item_id, str) else None, index)

    def _read_added(self, event: Event) -> list[Event]:
        raw = read_item(event.get("item"))
        item_id, index = raw.get("id"), _index_in(event, "output_index")
        item = self._by_id.get(item_id or "")
        if item is None:
            item = self._by_index.get(-1 if index is None else index)
            if item is None or item.kind is not None:
                item = self._new_item(item_id, index)
        return [] if item.kind == raw["type"] else self._begin_item(item, raw)

    def _read_done(self, event: Event) -> list[Event]:
        raw = read_item(event.get("item"))
        return self._complete(self._item(event, raw.get("id"), raw["type"]), raw)

    def _begin_item(self, item: StreamedItem, raw: dict[str, Any]) -> list[Event]:
        self._begun[raw["type"]] = item
        return item.begin(raw)

    def _complete(self, item: StreamedItem, raw: dict[str, Any]) -> list[Event]:
        events = [] if item.kind is not None else self._begin_item(item, raw)
        return events + item.complete(raw)

    # Parts of items

    def _read_created(self, event: Event) -> list[Event]:
        response = event.get("response")
        if not isinstance(response, dict) or not isinstance(response.get("id"), str):
            return []
        return [{"type": "response.created", "response": read_response_object(response, [])}]

    def _read_text_delta(self, event: Event) -> list[Event]:
        item = self._item(event, event.get("item_id"), "message")
        text = first_text(event, "delta")
        return item.add_text(_index_in(event, "content_index") or 0, text)

    def _read_text_done(self, event: Event) -> list[Event]:
        item = self._item(event, event.get("item_id"), "message")
        return item.end_text(_index_in(event, "content_index") or 0, first_text(event, "text"))

    def _read_refusal(self, event: Event) -> list[Event]:
        item = self._item(event, event.get("item_id"), "message")
        return item.add_refusal(first_text(event, "refusal"))

    def _read_part(self, event: Event) -> list[Event]:
        part = event.get("part")
        if isinstance(part, dict) and part.get("type") == "output_text":
            self._item(event, event.get("item_id"), "message").begin_text()
        return []

    def _read_annotation(self, event: Event) -> list[Event]:
        annotation = event.get("annotation")
        if not isinstance(annotation, dict) or not isinstance(annotation.get("type"), str):
            return []
        item = self._item(event, event.get("item_id"), "message")
        content_index = _index_in(event, "content_index") or 0
        kind = "response.output_text.annotation.added"
        return [item.event(kind, content_index=content_index, annotation=annotation)]

    def _read_arguments_delta(self, event: Event) -> list[Event]:
        item = self._item(event, event.get("item_id"), "function_call")
        return item.add_arguments(first_text(event, "delta"))

    def _read_arguments_done(self, event: Event) -> list[Event]:
        item = self._item(event, event.get("item_id"), "function_call")
        return item.end_arguments(first_text(event, "arguments"))

    def _read_summary_delta(self, event: Event) -> list[Event]:
        item = self._item(event, event.get("item_id"), "reasoning")
        return item.add_summary(_index_in(event, "summary_index") or 0, first_text(event, "delta"))

    def _read_summary_part(self, event: Event) -> list[Event]:
        item = self._item(event, event.get("item_id"), "reasoning")
        kind = "response.reasoning_summary_part.added"
        return [item.event(kind, summary_index=_index_in(event, "summary_index") or 0)]


def _is_text(item: dict[str, Any]) -> bool:
    return all(part["type"] != "refusal" for part in item["content"])


def _index_in(event: Event, name: str) -> int | None:
    value = event.get(name)
    return value if isinstance(value, int) and not isinstance(value, bool) else None
