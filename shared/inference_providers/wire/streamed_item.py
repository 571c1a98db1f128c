"""One output item of a streamed response: the parts that were streamed, and those that were not."""

from __future__ import annotations

from typing import Any

from inference_providers.wire.reported_errors import invalid_response
from inference_providers.wire.response_items import item_text, read_item
from inference_providers.wire.streamed_parts import rest_of_arguments, rest_of_text
from inference_providers.wire.text_parts import SurrogateJoiner, clean_text

__all__ = ["NO_OUTPUT_KINDS", "Event", "StreamedItem"]

Event = dict[str, Any]
NO_OUTPUT_KINDS = frozenset({None, "message", "reasoning"})
"""Kinds of items that may be without output."""


class StreamedItem:
    """One output item, with the parts that were streamed so far."""

    def __init__(self, index: int, item_id: str | None) -> None:
        self.kind: str | None = None
        self.is_complete = False
        self._index = index
        self._id = item_id
        self._raw: dict[str, Any] = {}
        self._name: str | None = None
        self._texts: dict[int, list[str]] = {}
        self._open: int | None = None
        self._next_index = 0
        self._arguments: list[str] = []
        self._has_summary = False
        self._refusals: dict[str, None] = {}
        self._joiner = SurrogateJoiner()

    def has_output(self) -> bool:
        """Whether something other than reasoning was streamed."""
        return bool(self._texts or self._refusals) or self.kind not in NO_OUTPUT_KINDS

    def ids(self) -> list[str]:
        """Return the ids by which an item of the whole response can be matched to this one."""
        return [name for name in (self._raw.get("call_id"), self._id) if name]

    def signature(self) -> tuple[str, str]:
        """Return the item's kind, and its name or an empty string."""
        return self.kind or "message", self._raw.get("name", "")

    def take_missing(self, raw: dict[str, Any]) -> None:
        """Add to an item of the whole response the parts that only the stream has."""
        arguments = "".join(self._arguments)
        if raw["type"] == "function_call" and raw["arguments"] == "{}" and arguments:
            raw["arguments"] = arguments
        elif raw["type"] == "message" and not raw["content"]:
            raw["content"] = read_item(self.as_output())["content"]

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
        self._name = raw.get("name")
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
        is_repeated, self.is_complete = self.is_complete, True
        self._raw = raw
        if self.kind == "message":
            return self._complete_message(raw)
        if self.kind == "function_call":
            return self._complete_call(raw)
        if is_repeated:
            return []
        if self.kind == "reasoning":
            return self._complete_reasoning(raw)
        return [self.event("response.output_item.done", item=raw)]

    def begin_text(self) -> None:
        """Begin another text."""
        self._open = None

    def add_text(self, content_index: int, text: str) -> list[Event]:
        """Add a part of the text that was begun, whatever its index: some servers miscount."""
        text = self._joiner.feed(text)
        if not text:
            return []
        content_index = self._open_text(content_index)
        self._texts.setdefault(content_index, []).append(text)
        return [self.event("response.output_text.delta", content_index=content_index, delta=text)]

    def end_text(self, content_index: int, whole: str) -> list[Event]:
        """End a text: add what was not streamed. The event gives the text its id.

        Raises:
            InvalidResponseError: Another text was streamed.
        """
        whole = clean_text(whole)
        if self._open is None and content_index in self._texts:  # it has ended
            rest_of_text(whole, self._joined_text(content_index))
            return []
        content_index = self._open_text(content_index)
        self._joiner = SurrogateJoiner()
        streamed = self._joined_text(content_index)
        events = self.add_text(content_index, rest_of_text(whole, streamed))
        self._open = None
        if self._id and (streamed or whole):
            done = "response.output_text.done"
            events.append(self.event(done, content_index=content_index, text=whole))
        return events

    def _open_text(self, content_index: int) -> int:
        if self._open is None:
            self._open = self._next_index if content_index in self._texts else content_index
            self._next_index = max(self._next_index, self._open + 1)
        return self._open

    def _joined_text(self, content_index: int) -> str:
        parts = self._texts.get(content_index, [])
        parts[:] = ["".join(parts)]
        return parts[0]

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
        """End the arguments: add what was not streamed.

        Raises:
            InvalidResponseError: Other arguments were streamed.
        """
        streamed = "".join(self._arguments)
        self._arguments = [streamed] if streamed else []
        self._joiner = SurrogateJoiner()
        return self.add_arguments(rest_of_arguments(clean_text(whole), streamed))

    def add_summary(self, summary_index: int, text: str) -> list[Event]:
        """Add a part of a summary of reasoning."""
        text = self._joiner.feed(text)
        if not text:
            return []
        self._has_summary = True
        kind = "response.reasoning_summary_text.delta"
        return [self.event(kind, summary_index=summary_index, delta=text)]

    def _complete_call(self, raw: dict[str, Any]) -> list[Event]:
        if self._name and raw["name"] not in {"", self._name}:
            msg = "a stream that contradicts itself: a function call with two names"
            raise invalid_response(msg, raw["name"])
        return self.end_arguments(raw["arguments"])

    def _complete_message(self, raw: dict[str, Any]) -> list[Event]:
        events: list[Event] = []
        for part in raw["content"]:
            if part["type"] == "refusal":
                events += self.add_refusal(part["refusal"])
        whole = item_text(raw)
        if not self._texts:
            for index, part in enumerate(raw["content"]):
                if part["type"] != "refusal":
                    events += self.end_text(index, part["text"])
        elif whole and (rest := rest_of_text(whole, self.text())):
            events += self.add_text(self._next_index, rest)
        if self._open is not None:
            events += self.end_text(self._open, "")
        return events

    def _complete_reasoning(self, raw: dict[str, Any]) -> list[Event]:
        events: list[Event] = []
        if not self._has_summary:
            for index, part in enumerate(raw["summary"]):
                events += self.add_summary(index, part["text"])
        if raw.get("encrypted_content"):
            events.append(self.event("response.output_item.done", item=raw))
        return events
