"""Reads tool calls from deltas and from whole answers, in every form that providers send.

* Calls are identified by id *and* index. Some servers send index 0 for every call, some give each
  delta a new id, some leave out one or both.
* A delta without a name never begins a call while another one is incomplete.
* A name that is sent again is not appended.
* Arguments that are an object are serialized. Missing arguments, `null`, an empty string and an
  empty list become `{}`.
* A call without an id gets one: LangChain needs it to match the tool's result with the call.

Emitted indices are unique and stable, so LangChain's merge by index and id puts the same calls
together again.
"""

from __future__ import annotations

import re
from typing import Any
from uuid import uuid4

from inference_providers.wire import json_codec
from inference_providers.wire.reported_errors import invalid_response
from inference_providers.wire.text_parts import SurrogateJoiner, clean_text

__all__ = [
    "ToolCallAssembler",
    "final_arguments",
    "new_call_id",
    "read_tool_calls",
    "serialize_arguments",
]

_MAX_CALLS = 4_096
_ARGUMENT_NAMES = ("parameters", "args", "input")
"""Where calls have their arguments if not under `arguments`: as Llama, LangChain, Anthropic."""

_MAX_PLACEHOLDER_PARTS = 8
_STRUCTURE = re.compile(r'\\[\s\S]?|["{}\[\]]')
_NO_ARGUMENTS = frozenset({"", "{}", "null", "None", "[]", '""', '"{}"', '"null"'})


def read_tool_calls(raw: Any) -> list[dict[str, Any]]:
    """Return the tool calls of a whole answer, in OpenAI's form.

    Raises:
        InvalidResponseError: They have an unknown form.
    """
    calls = []
    for entry in _entries(raw):
        function = _function_of(entry)
        arguments = final_arguments(clean_text(serialize_arguments(_arguments_of(function))))
        call_id = _text_or_none(entry.get("id")) or new_call_id()
        calls.append(_as_call(call_id, _text_or_none(function.get("name")) or "", arguments))
    return calls


class ToolCallAssembler:
    """Assigns the fragments of a stream to calls."""

    def __init__(self) -> None:
        self._calls: list[_Call] = []
        self._by_index: dict[int, _Call] = {}
        self._by_id: dict[str, list[_Call]] = {}
        self._current: _Call | None = None
        self._in_this_delta: set[int] = set()

    def __bool__(self) -> bool:
        return bool(self._calls)

    def add(self, raw: Any) -> list[dict[str, Any]]:
        """Return the `tool_calls` of a delta, each with the index of the call it belongs to.

        Raises:
            InvalidResponseError: They have an unknown form.
        """
        emitted = []
        self._in_this_delta.clear()
        for entry in _entries(raw):
            function = _function_of(entry)
            index = _index_of(entry.get("index"))
            call_id = _text_or_none(entry.get("id"))
            name = _text_or_none(function.get("name"))
            arguments = serialize_arguments(_arguments_of(function))
            call = self._find(index, call_id, name, arguments)
            if call is None:
                if not (call_id or name or arguments.strip()):
                    continue
                if name is None and self._current is not None and self._current.is_named_again:
                    name = self._current.name
                call = self._begin(index)
            elif name and not arguments.strip() and call.is_complete():
                call.is_named_again = True  # a repetition, unless arguments follow
            self._current = call
            self._in_this_delta.add(call.index)
            if call_id is not None and call.id is None:
                self._by_id.setdefault(call_id, []).append(call)
            if index is not None:
                call.given_index = index if call.given_index is None else call.given_index
                self._by_index.setdefault(index, call)
            if delta := call.add(call_id, name, arguments):
                emitted.append(delta)
        return emitted

    def end(self) -> list[dict[str, Any]]:
        """Return what is missing: arguments that were held back, and ids that were left out."""
        return [delta for call in self._calls if (delta := call.end())]

    def whole(self) -> list[dict[str, Any]]:
        """Return the calls as a whole answer has them, after `end`."""
        return [_as_call(call.id, call.name or "", "".join(call.parts)) for call in self._calls]

    def _begin(self, index: int | None) -> _Call:
        if len(self._calls) >= _MAX_CALLS:
            msg = f"an answer with more than {_MAX_CALLS} tool calls"
            raise invalid_response(msg)
        call = _Call(len(self._calls))
        self._calls.append(call)
        if index is not None:
            self._by_index[index] = call
        return call

    def _find(
        self, index: int | None, call_id: str | None, name: str | None, arguments: str
    ) -> _Call | None:
        """Return the call that a fragment continues; `None` if it begins one."""
        if call_id is not None and call_id in self._by_id:
            call = self._with_id(call_id, index, name)
            if call is None or self._begins(call, name, arguments, is_addressed=True):
                return None
            return call
        call = self._with_index(index, name, arguments)
        if call is None:
            return None
        if call_id is not None and call.id is not None:
            return None if self._begins_with_new_id(call, name, arguments) else call
        return None if self._begins(call, name, arguments, is_addressed=index is not None) else call

    def _with_index(self, index: int | None, name: str | None, arguments: str) -> _Call | None:
        """Return the call with this index; the current one if the index is missing or useless."""
        current = self._current
        if index is None or current is None:
            return current
        if index in self._by_index:
            return self._by_index[index]
        is_late = current.given_index is None
        counts_fragments = name is None and bool(arguments.strip()) and not current.is_complete()
        return current if is_late or counts_fragments else None

    def _with_id(self, call_id: str, index: int | None, name: str | None) -> _Call | None:
        calls = self._by_id[call_id]
        for call in reversed(calls):
            if index is None or call.given_index is None or call.given_index == index:
                return call
        return calls[-1] if name is None else None  # one id for two calls

    def _begins(self, call: _Call, name: str | None, arguments: str, *, is_addressed: bool) -> bool:
        """Whether a fragment that was assigned to `call` begins another call."""
        if name is None:
            return call.is_named_again and arguments.lstrip().startswith("{")
        if call.name is None:
            return False
        if call.index in self._in_this_delta:
            return True
        if not call.has_arguments():
            is_piece = (is_addressed or call.id is not None) and not call.has_placeholder()
            return name != call.name and not is_piece
        if call.is_complete():
            return name != call.name or (bool(arguments.strip()) and arguments != call.text())
        return name != call.name

    def _begins_with_new_id(self, call: _Call, name: str | None, arguments: str) -> bool:
        """Whether a fragment with a new id begins a call; some servers give each one a new id."""
        if name is None:
            return bool(arguments.strip()) and call.is_complete()
        if call.index in self._in_this_delta or name != call.name:
            return True
        if not call.has_arguments():
            return call.has_placeholder() or not arguments.strip()
        return call.is_complete()


class _Call:
    """One call, as much of it as has arrived.

    Arguments are held back until an object begins: anything else may have to be changed.
    """

    def __init__(self, index: int) -> None:
        self.index = index
        self.given_index: int | None = None
        self.id: str | None = None
        self.name: str | None = None
        self.parts: list[str] = []
        self.is_named_again = False
        self._joiner = SurrogateJoiner()
        self._is_object = False
        self._is_odd = False
        self._nesting = _Nesting()

    def add(self, call_id: str | None, name: str | None, arguments: str) -> dict[str, Any] | None:
        """Add a fragment; return the delta to emit, if it has anything new."""
        new_id = call_id if self.id is None else None
        self.id = self.id or call_id
        new_name = self._add_name(name) if name else None
        text = self._add_arguments(arguments) if arguments else ""
        if new_id or new_name:
            return self._delta(new_id, new_name, text)
        return {"index": self.index, "function": {"arguments": text}} if text else None

    def end(self) -> dict[str, Any] | None:
        """Return what was held back, and an id if there is none yet."""
        text = self._joiner.end()
        if not self._is_object:
            text = final_arguments(self.text() + text)
            self.parts.clear()
        self.parts.append(text)
        new_id = None if self.id else new_call_id()
        self.id = self.id or new_id
        return self._delta(new_id, None, text) if new_id or text else None

    def text(self) -> str:
        """Return the arguments that have arrived."""
        return "".join(self.parts)

    def has_arguments(self) -> bool:
        """Whether arguments have begun; a placeholder for none does not count."""
        is_long = len(self.parts) > _MAX_PLACEHOLDER_PARTS
        return self._is_object or (self._is_odd and (is_long or self.text() not in _NO_ARGUMENTS))

    def has_placeholder(self) -> bool:
        """Whether there is a placeholder for no arguments."""
        return self.parts not in ([], [""]) and not self.has_arguments()

    def is_complete(self) -> bool:
        """Whether the arguments are a whole JSON object, as far as brackets and quotes show."""
        return self._is_object and self._nesting.is_closed(self.parts)

    def _add_name(self, name: str) -> str | None:
        if self.name is None:
            self.name = name
            return name
        if name == self.name or self.has_arguments():
            return None
        new = name.removeprefix(self.name)  # some send the whole name so far
        self.name += new
        return new

    def _add_arguments(self, text: str) -> str:
        text = self._joiner.feed(text)
        if self._is_object:
            if text.startswith("{") and self.is_complete() and text == self.text():
                return ""  # the whole call, sent again at the end
            self.parts.append(text)
            return text
        if self._is_odd:
            self.parts.append(text)
            return ""
        starts_object = text.lstrip().startswith("{")
        if not starts_object or self.parts != ["{}"]:
            text = self.text() + text
        if text.strip() in {"", "{}"}:  # nothing yet, or a placeholder
            self.parts = [text.strip()]
            return ""
        self.parts = [text]
        self._is_object = text.lstrip().startswith("{")
        self._is_odd = not self._is_object
        return text if self._is_object else ""

    def _delta(self, call_id: str | None, name: str | None, arguments: str) -> dict[str, Any]:
        return {
            "index": self.index,
            "id": call_id,
            "type": "function",
            "function": {"name": name, "arguments": arguments},
        }


class _Nesting:
    """Finds the end of a JSON object that arrives in parts; looks at each part once."""

    def __init__(self) -> None:
        self._seen = 0
        self._depth = 0
        self._in_string = False
        self._escaped = False
        self._closed = False

    def is_closed(self, parts: list[str]) -> bool:
        """Whether the object that `parts` begin has ended."""
        while self._seen < len(parts) and not self._closed:
            self._read(parts[self._seen])
            self._seen += 1
        return self._closed

    def _read(self, part: str) -> None:
        if self._escaped and part:
            part = part[1:]
            self._escaped = False
        for mark in _STRUCTURE.findall(part):
            if mark == '"':
                self._in_string = not self._in_string
            elif self._in_string:
                self._escaped = mark == "\\"
            elif mark in {"{", "["}:
                self._depth += 1
            elif mark in {"}", "]"}:
                self._depth -= 1
                self._closed = self._closed or self._depth <= 0


def _entries(raw: Any) -> list[dict[str, Any]]:
    if not raw:
        return []
    entries = raw if isinstance(raw, list) else [raw]
    entries = [entry for entry in entries if entry is not None]
    if not all(isinstance(entry, dict) for entry in entries):
        msg = "a tool call that is not an object"
        raise invalid_response(msg)
    return entries


def _function_of(entry: dict[str, Any]) -> dict[str, Any]:
    """Return the part with name and arguments; some servers leave the `function` level out."""
    function = entry.get("function")
    if isinstance(function, dict):
        return function
    if function is not None:
        msg = "a tool call whose function is not an object"
        raise invalid_response(msg)
    custom = entry.get("custom")  # OpenAI's custom tools take text; LangChain calls it __arg1
    if isinstance(custom, dict):
        return {"name": custom.get("name"), "arguments": {"__arg1": custom.get("input")}}
    return entry


def _arguments_of(function: dict[str, Any]) -> Any:
    """Return the arguments of a call, under the name that other protocols give them if need be."""
    arguments = function.get("arguments")
    if arguments is None and "arguments" not in function:
        others = (function.get(name) for name in _ARGUMENT_NAMES)
        return next((other for other in others if isinstance(other, dict | str)), None)
    return arguments


def serialize_arguments(arguments: Any) -> str:
    """Return arguments as JSON, whatever they are.

    Raises:
        InvalidResponseError: They are nested too deeply.
    """
    if isinstance(arguments, str):
        return arguments
    if arguments is None or arguments in ({}, []):
        return "" if arguments is None else "{}"
    try:
        return json_codec.encode(arguments).decode()
    except ValueError:
        msg = "a tool call's arguments are nested too deeply"
        raise invalid_response(msg) from None


def final_arguments(text: str) -> str:
    """Return complete arguments, without what some servers wrap around the object."""
    if text.startswith("{"):
        return text
    text = text.strip()
    if text in _NO_ARGUMENTS:
        return "{}"
    if text.startswith('"'):  # serialized twice
        try:
            inner = json_codec.decode(text.encode("utf-8", "replace"))
        except ValueError:
            return text
        if isinstance(inner, str) and inner.lstrip().startswith("{"):
            return inner
    return text


def _as_call(call_id: str | None, name: str, arguments: str) -> dict[str, Any]:
    function = {"name": name, "arguments": arguments}
    return {"id": call_id, "type": "function", "function": function}


def _index_of(value: Any) -> int | None:
    if isinstance(value, str) and re.fullmatch(r"[0-9]{1,9}", value):
        return int(value)
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _text_or_none(value: Any) -> str | None:
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return clean_text(value) if isinstance(value, str) and value else None


def new_call_id() -> str:
    """Return an id for a tool call that has none."""
    return f"call_{uuid4().hex[:24]}"
