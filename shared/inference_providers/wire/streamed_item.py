"""One output item of a streamed response: what was streamed of it, and what is left."""

from __future__ import annotations

from typing import Any

from inference_providers.wire.response_items import read_item
from inference_providers.wire.text_parts import SurrogateJoiner, clean_text

__all__ = ["NO_OUTPUT_KINDS", "Event", "StreamedItem"]

NO_OUTPUT_KINDS = frozenset({None, "message", "reasoning"})
"""Kinds of items that may be without output."""

Event = dict[str, Any]


class StreamedItem:
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
        return bool(self._texts or self._refusals) or self.kind not in NO_OUTPUT_KINDS

    def ids(self) -> list[str]:
        """Return the ids by which an item of the whole response may be this one."""
        return [name for name in (self._raw.get("call_id"), self._id) if name]

    def signature(self) -> tuple[str, str]:
        """Return its kind and its name, if it has one."""
        return self.kind or "message", self._raw.get("name", "")

    def take_missing(self, raw: dict[str, Any]) -> None:
        """Add to an item of the whole response what only the stream has."""
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
