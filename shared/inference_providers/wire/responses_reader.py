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
from inference_providers.wire.text_parts import SurrogateJoiner, clean_text, first_text

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["ResponsesReader", "read_response"]

_END_EVENTS = frozenset(
    {"response.completed", "response.incomplete", "response.failed", "response.cancelled"}
    | {"response.done"}
)
_NO_REASON = "the stream ended without a finish reason"
_NO_OUTPUT_KINDS = frozenset({None, "message", "reasoning"})
Event = dict[str, Any]


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
        self._items: list[_Item] = []
        self._by_id: dict[str, _Item] = {}
        self._by_index: dict[int, _Item] = {}
        self._read_by_type: dict[str, Callable[[Event], list[Event]]] = {
            "response.output_text.delta": self._read_text_delta,
            "response.output_text.done": self._read_text_done,
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
        if not any(item.has_output() for item in self._items):
            for index, item in enumerate(response["output"]):
                events += self._complete(self._new_item(None, index), item)
        messages = [item for item in response["output"] if item["type"] == "message"]
        is_cut = response.get("status") == "incomplete"
        kind = "response.incomplete" if is_cut else "response.completed"
        return [*events, {"type": kind, "response": {**response, "output": messages}}]

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
        others = [item for item in response["output"] if item["type"] not in _NO_OUTPUT_KINDS]
        RESPONSES.check(word, has_output=bool(text or others), text=text)

    # Items

    def _new_item(self, item_id: str | None, given_index: int | None) -> _Item:
        item = _Item(len(self._items), item_id)
        self._items.append(item)
        if item_id:
            self._by_id[item_id] = item
        if given_index is not None:
            self._by_index[given_index] = item
        return item

    def _item(self, event: Event, item_id: Any) -> _Item:
        """Return the item that an event belongs to. Some servers change its id each time."""
        if isinstance(item_id, str) and item_id in self._by_id:
            return self._by_id[item_id]
        index = _index_in(event, "output_index")
        if index is not None and index in self._by_index:
            return self._by_index[index]
        if index is None and not item_id and self._items:
            return self._items[-1]
        return self._new_item(item_id if isinstance(item_id, str) else None, index)

    def _read_added(self, event: Event) -> list[Event]:
        raw = read_item(event.get("item"))
        item_id, index = raw.get("id"), _index_in(event, "output_index")
        item = self._by_id.get(item_id or "")
        if item is None:
            item = self._by_index.get(-1 if index is None else index)
            if item is None or item.kind is not None:
                item = self._new_item(item_id, index)
        return item.begin(raw)

    def _read_done(self, event: Event) -> list[Event]:
        raw = read_item(event.get("item"))
        item = self._item(event, raw.get("id"))
        if item.kind not in {None, raw["type"]}:
            item = self._new_item(raw.get("id"), None)
        return self._complete(item, raw)

    def _complete(self, item: _Item, raw: dict[str, Any]) -> list[Event]:
        events = [] if item.kind is not None else item.begin(raw)
        return events + item.complete(raw)

    # Parts of items

    def _read_created(self, event: Event) -> list[Event]:
        response = event.get("response")
        if not isinstance(response, dict) or not isinstance(response.get("id"), str):
            return []
        return [{"type": "response.created", "response": read_response_object(response, [])}]

    def _read_text_delta(self, event: Event) -> list[Event]:
        item = self._item(event, event.get("item_id"))
        text = first_text(event, "delta")
        return item.add_text(_index_in(event, "content_index") or 0, text)

    def _read_text_done(self, event: Event) -> list[Event]:
        item = self._item(event, event.get("item_id"))
        return item.end_text(_index_in(event, "content_index") or 0, first_text(event, "text"))

    def _read_refusal(self, event: Event) -> list[Event]:
        return self._item(event, event.get("item_id")).add_refusal(first_text(event, "refusal"))

    def _read_annotation(self, event: Event) -> list[Event]:
        annotation = event.get("annotation")
        if not isinstance(annotation, dict) or not isinstance(annotation.get("type"), str):
            return []
        item = self._item(event, event.get("item_id"))
        content_index = _index_in(event, "content_index") or 0
        kind = "response.output_text.annotation.added"
        return [item.event(kind, content_index=content_index, annotation=annotation)]

    def _read_arguments_delta(self, event: Event) -> list[Event]:
        item = self._item(event, event.get("item_id"))
        return item.add_arguments(first_text(event, "delta"))

    def _read_arguments_done(self, event: Event) -> list[Event]:
        item = self._item(event, event.get("item_id"))
        return item.end_arguments(first_text(event, "arguments"))

    def _read_summary_delta(self, event: Event) -> list[Event]:
        item = self._item(event, event.get("item_id"))
        return item.add_summary(_index_in(event, "summary_index") or 0, first_text(event, "delta"))

    def _read_summary_part(self, event: Event) -> list[Event]:
        item = self._item(event, event.get("item_id"))
        kind = "response.reasoning_summary_part.added"
        return [item.event(kind, summary_index=_index_in(event, "summary_index") or 0)]


class _Item:
    """One output item, as much of it as was streamed."""

    def __init__(self, index: int, item_id: str | None) -> None:
        self.kind: str | None = None
        self._index = index
        self._id = item_id
        self._raw: dict[str, Any] = {}
        self._texts: dict[int, list[str]] = {}
        self._ended: set[int] = set()
        self._arguments: list[str] = []
        self._has_summary = False
        self._refusals: dict[str, None] = {}
        self._joiner = SurrogateJoiner()

    def has_output(self) -> bool:
        """Whether something other than reasoning was streamed."""
        return bool(self._texts or self._refusals) or self.kind not in _NO_OUTPUT_KINDS

    def text(self) -> str:
        """Return the text that was streamed."""
        return "".join(part for parts in self._texts.values() for part in parts)

    def as_output(self) -> dict[str, Any]:
        """Return the item for the output of a response that leaves it out."""
        if self.kind == "function_call":
            return {**self._raw, "arguments": "".join(self._arguments)}
        if self.kind not in {None, "message"}:
            return self._raw
        parts: list[Any] = ["".join(texts) for texts in self._texts.values()]
        parts += [{"type": "refusal", "refusal": refusal} for refusal in self._refusals]
        return {**self._raw, "type": "message", "content": parts}

    def event(self, kind: str, **fields: Any) -> Event:
        """Return an event about this item."""
        return {"type": kind, "output_index": self._index, "item_id": self._id, **fields}

    def begin(self, raw: dict[str, Any]) -> list[Event]:
        """Begin the item; its content is streamed, or arrives when the item is complete."""
        self.kind = raw["type"]
        self._raw = raw
        self._id = self._id or raw.get("id")
        if self.kind == "function_call":
            raw = {**raw, "arguments": ""}
        elif self.kind == "reasoning":
            raw = {name: part for name, part in raw.items() if name != "encrypted_content"}
            raw["summary"] = []
        elif self.kind != "message":
            return []
        return [self.event("response.output_item.added", item=raw)]

    def complete(self, raw: dict[str, Any]) -> list[Event]:
        """Return the events for the parts of the finished item that were not streamed."""
        if self._id:
            raw = {**raw, "id": self._id}
        self._raw = raw
        if self.kind == "message":
            return self._complete_message(raw)
        if self.kind == "function_call":
            return self.end_arguments(raw["arguments"])
        if self.kind == "reasoning":
            return self._complete_reasoning(raw)
        return [self.event("response.output_item.done", item=raw)]

    def add_text(self, content_index: int, text: str) -> list[Event]:
        """Add a part of the text."""
        text = self._joiner.feed(text)
        if not text:
            return []
        self._texts.setdefault(content_index, []).append(text)
        return [self.event("response.output_text.delta", content_index=content_index, delta=text)]

    def end_text(self, content_index: int, whole: str) -> list[Event]:
        """End a text: add what was not streamed. The event gives the text its id."""
        if content_index in self._ended:
            return []
        self._ended.add(content_index)
        streamed = "".join(self._texts.get(content_index, ()))
        events = self.add_text(content_index, _rest(whole, streamed))
        if self._id and (streamed or whole):
            done = "response.output_text.done"
            events.append(self.event(done, content_index=content_index, text=whole))
        return events

    def add_refusal(self, text: str) -> list[Event]:
        """Add a whole refusal."""
        text = clean_text(text)
        if not text or text in self._refusals:
            return []
        self._refusals[text] = None
        return [self.event("response.refusal.done", refusal=text)]

    def add_arguments(self, text: str) -> list[Event]:
        """Add a part of the arguments of a function call."""
        text = self._joiner.feed(text)
        if not text or self.kind != "function_call":
            return []
        self._arguments.append(text)
        return [self.event("response.function_call_arguments.delta", delta=text)]

    def end_arguments(self, whole: str) -> list[Event]:
        """End the arguments: add what was not streamed."""
        streamed = "".join(self._arguments)
        self._arguments = [streamed]
        return self.add_arguments(_rest(whole, streamed))

    def add_summary(self, summary_index: int, text: str) -> list[Event]:
        """Add a part of a summary of reasoning."""
        text = self._joiner.feed(text)
        if not text:
            return []
        self._has_summary = True
        kind = "response.reasoning_summary_text.delta"
        return [self.event(kind, summary_index=summary_index, delta=text)]

    def _complete_message(self, raw: dict[str, Any]) -> list[Event]:
        events: list[Event] = []
        for index, part in enumerate(raw["content"]):
            if part["type"] == "refusal":
                events += self.add_refusal(part["refusal"])
                continue
            events += self.end_text(index, part["text"])
        return events

    def _complete_reasoning(self, raw: dict[str, Any]) -> list[Event]:
        events: list[Event] = []
        if not self._has_summary:
            for index, part in enumerate(raw["summary"]):
                events += self.add_summary(index, part["text"])
        if raw.get("encrypted_content"):
            events.append(self.event("response.output_item.done", item=raw))
        return events


def _rest(whole: str, streamed: str) -> str:
    """Return what was not streamed, unless the streamed part differs."""
    if not streamed:
        return whole
    return whole[len(streamed) :] if whole.startswith(streamed) else ""


def _index_in(event: Event, name: str) -> int | None:
    value = event.get(name)
    return value if isinstance(value, int) and not isinstance(value, bool) else None
