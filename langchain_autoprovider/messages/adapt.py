"""A conversation → one that the next route accepts.

A conversation moves when a provider fails, or when a user names another model. Then it
holds what only its former provider can read, and what the next one refuses. In order:

* Answers that the route itself gave stay as they are; those of others become text and
  tool calls (see `langchain_autoprovider.messages.content`). Who gave an answer is in its trace.
* Each tool call has one result, right behind it, and no result stands alone: that is
  what all providers ask for. A call without a result gets one that says so; a result
  without a call is dropped, as trimming a conversation leaves some.
* The ids of tool calls fit the route's alphabet, and none is used twice. The same
  conversation always gets the same ids, which keeps a provider's prompt cache warm.
* Results that a user brings, as Anthropic has it, are tools' results like any other.
* Images in a tool's result, where only text is taken, are shown by the user.
* Where one system message is taken, those at the start are merged. A later one becomes
  the user's, marked as `<system>`: moved to the start it would hold from the start.
* Where results must be followed by an answer, a short one is put in; and text that
  came with calls stands before them.
"""

from __future__ import annotations

import hashlib
import re
from collections import deque
from typing import TYPE_CHECKING, Any, NamedTuple

from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    HumanMessage,
    SystemMessage,
    ToolCall,
    ToolMessage,
)

from langchain_autoprovider.messages.content import content, neutral, result, takes, unpacked

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from inference_providers.types import Route
    from langchain_autoprovider.messages.content import MessageFormat

__all__ = ["adapted"]

NO_RESULT = "No result: the call was not carried out."
ATTACHED = "Attached to the result of {name}:"
SEEN = "I have seen the results."

_SAY_TEXT_ONLY = frozenset({"azure", "cohere", "openai-chat"})
"""Protocols whose answers are no lists, unless LangChain's `output_version` makes them such."""

_NOT_IN_NAMES = re.compile(r"[^a-zA-Z0-9_-]")


class _Turn(NamedTuple):
    """A message, and whether the route itself gave it as an answer."""

    message: BaseMessage
    own: bool


def adapted(messages: Sequence[BaseMessage], route: Route) -> list[BaseMessage]:
    """Return a conversation as a route accepts it; messages that are fine stay the same."""
    to = takes(route)
    turns = [_turn(part, route, to) for message in messages for part in unpacked(message)]
    made = list(_paired(turns, to))
    if to.one_system:
        made = list(_one_system(made))
    if to.strict_turns:
        made = list(_strict_turns(made))
    return made


def _turn(message: BaseMessage, route: Route, to: MessageFormat) -> _Turn:
    if to.names and message.name and not isinstance(message, ToolMessage):
        name = _NOT_IN_NAMES.sub("_", message.name)[:64]
        message = message if name == message.name else message.model_copy(update={"name": name})
    if isinstance(message, AIMessage):
        own = _is_own(message, route, to)
        return _Turn(message if own else neutral(message, to), own)
    if isinstance(message, HumanMessage | SystemMessage):
        said = content(message.content, to)
        if said is not message.content:
            message = message.model_copy(update={"content": said})
    return _Turn(message, own=False)


def _is_own(message: AIMessage, route: Route, to: MessageFormat) -> bool:
    """Say whether the route gave an answer, so that its class can send it back as it is."""
    ids = [call["id"] for call in message.tool_calls]
    if message.invalid_tool_calls or len(set(ids)) < len(ids) or to.thoughts:
        return False
    if not message.content and message.additional_kwargs.get("refusal"):
        return False  # it is left out by its class, and what was refused would be asked twice
    if route.endpoint.protocol in _SAY_TEXT_ONLY and not isinstance(message.content, str):
        return False
    said = message.response_metadata
    if isinstance(trace := said.get("autoprovider"), dict):
        return (trace.get("provider"), trace.get("model_id")) == (route.provider, route.model_id)
    return said.get("model_provider") in to.stamps


class _Ids:
    """Gives out the ids of tool calls: the old one where it will do."""

    def __init__(self, to: MessageFormat) -> None:
        self._fits = re.compile(to.ids)
        self._short = to.short_ids
        self._taken: set[str] = set()

    def take(self, old: str | None, *, own: bool) -> str:
        new = old or ""
        if not new or new in self._taken or not (own or self._fits.fullmatch(new)):
            new = self._made(new)
        self._taken.add(new)
        return new

    def _made(self, old: str) -> str:
        n = 0
        while True:
            digest = hashlib.sha256(f"{old}#{n}".encode(errors="replace")).hexdigest()
            new = digest[:9] if self._short else f"call_{digest[:24]}"
            if new not in self._taken:
                return new
            n += 1


def _paired(turns: Sequence[_Turn], to: MessageFormat) -> Iterator[BaseMessage]:
    """Yield each call with its results behind it, under ids that fit."""
    results, kept = _results(turns)
    ids = _Ids(to)
    for n, (message, own) in enumerate(turns):
        if isinstance(message, ToolMessage):
            if n in kept:
                yield message
        elif not isinstance(message, AIMessage):
            yield message
        elif message.tool_calls:
            new = [ids.take(call["id"], own=own) for call in message.tool_calls]
            yield _renamed(message, new)
            yield from _answered(message.tool_calls, new, results.get(n, {}), to)
        elif message.content or message.additional_kwargs.get("function_call"):
            yield message


def _results(turns: Sequence[_Turn]) -> tuple[dict[int, dict[int, _Result]], set[int]]:
    """Find the results of each answer's calls, and those of a provider's own tools."""
    found: dict[int, dict[int, _Result]] = {}
    kept: set[int] = set()
    waiting: dict[str | None, deque[tuple[int, int]]] = {}
    own_tools: set[Any] = set()
    for n, (message, own) in enumerate(turns):
        if isinstance(message, AIMessage):
            for call in message.tool_calls:
                waiting[call["id"]] = deque()
            for k, call in enumerate(message.tool_calls):
                waiting[call["id"]].append((n, k))
            if own:
                own_tools.update(b.get("call_id") for b in message.content if isinstance(b, dict))
        elif isinstance(message, ToolMessage):
            if queue := waiting.get(message.tool_call_id):
                answer, k = queue.popleft()
                found.setdefault(answer, {})[k] = _Result(n, message)
            elif message.tool_call_id in own_tools and message.tool_call_id not in waiting:
                kept.add(n)
    return found, kept


class _Result(NamedTuple):
    at: int
    message: ToolMessage


def _answered(
    calls: Sequence[ToolCall], new: Sequence[str], found: dict[int, _Result], to: MessageFormat
) -> Iterator[BaseMessage]:
    """Yield the results of one answer's calls, in the order they came."""
    attached: list[Any] = []
    for k in sorted(found, key=lambda k: found[k].at):
        message, shown = result(found[k].message, to)
        changes: dict[str, Any] = {}
        if message.tool_call_id != new[k]:
            changes["tool_call_id"] = new[k]
        if to.strict_turns and not message.name:
            changes["name"] = calls[k]["name"]
        yield message.model_copy(update=changes) if changes else message
        if shown:
            attached.append({"type": "text", "text": ATTACHED.format(name=calls[k]["name"])})
            attached += shown
    for k, call in enumerate(calls):
        if k not in found:
            yield ToolMessage(NO_RESULT, tool_call_id=new[k], name=call["name"], status="error")
    if attached:
        yield HumanMessage(attached)


def _renamed(message: AIMessage, new: Sequence[str]) -> AIMessage:
    """Return an answer with new ids of its calls, wherever it holds them."""
    names = {
        call["id"]: name
        for call, name in zip(message.tool_calls, new, strict=True)
        if call["id"] != name
    }
    if not names:
        return message
    calls = [{**call, "id": name} for call, name in zip(message.tool_calls, new, strict=True)]
    changes = {
        "tool_calls": calls,
        "content": message.content
        if isinstance(message.content, str)
        else _replaced(message.content, names),
        "additional_kwargs": _replaced(message.additional_kwargs, names),
    }
    return message.model_copy(update=changes)


def _replaced(value: Any, names: dict[str | None, str]) -> Any:
    if isinstance(value, dict):
        return {names.get(key, key): _replaced(kept, names) for key, kept in value.items()}
    if isinstance(value, list):
        return [names.get(v, v) if isinstance(v, str) else _replaced(v, names) for v in value]
    return names.get(value, value) if isinstance(value, str) else value


def _one_system(messages: Sequence[BaseMessage]) -> Iterator[BaseMessage]:
    leading = 0
    while leading < len(messages) and isinstance(messages[leading], SystemMessage):
        leading += 1
    if leading:
        yield _merged(messages[:leading])
    for message in messages[leading:]:
        if isinstance(message, SystemMessage):
            yield HumanMessage(f"<system>\n{message.text}\n</system>")
        else:
            yield message


def _merged(messages: Sequence[BaseMessage]) -> BaseMessage:
    first, *others = messages
    if not others:
        return first
    if all(isinstance(message.content, str) for message in messages):
        return first.model_copy(update={"content": "\n\n".join(str(m.content) for m in messages)})
    blocks: list[Any] = []
    for message in messages:
        said = message.content
        blocks += [{"type": "text", "text": said}] if isinstance(said, str) else said
    return first.model_copy(update={"content": blocks})


def _strict_turns(messages: Iterable[BaseMessage]) -> Iterator[BaseMessage]:
    before: BaseMessage | None = None
    for message in messages:
        if isinstance(before, ToolMessage) and not isinstance(message, ToolMessage | AIMessage):
            yield AIMessage(SEEN)
        if isinstance(message, AIMessage) and message.tool_calls and message.content:
            if said := _beside_calls(message.content):
                yield message.model_copy(
                    update={"content": said, "tool_calls": [], "additional_kwargs": {}}
                )
            told = {k: v for k, v in message.response_metadata.items() if k != "output_version"}
            yield message.model_copy(update={"content": "", "response_metadata": told})
        else:
            yield message
        before = message


def _beside_calls(content: str | list[Any]) -> str | list[Any]:
    """Return what an answer says; in LangChain's blocks, its calls stand there as well."""
    if isinstance(content, str):
        return content
    return [block for block in content if isinstance(block, str) or not _is_call_or_empty(block)]


def _is_call_or_empty(block: dict[str, Any]) -> bool:
    return block.get("type") == "tool_call" or block.get("text") == ""
