"""A conversation, adapted to the route that continues it.

A conversation changes providers when one fails or when the user names another model. It may then
contain content that only the former provider can read, and forms that the next one rejects. These
rules apply, in this order:

* An answer from the route itself is sent back unchanged. Any other answer becomes plain text
  and tool calls (`content.strip_provider_content`). The trace on an answer names its route.
* Each tool call has exactly one result, directly after the answer, as all providers require.
  A call without a result gets one that says so. A result without a call is dropped; trimming
  a conversation leaves such results behind.
* Tool-call ids match the route's pattern and are unique. They depend only on earlier messages, so
  a growing conversation keeps the provider's prompt cache warm.
* Tool results inside a user message (Anthropic's form) become ordinary tool results.
* Images in a tool result move to a user message where results can only be text.
* Where one system message is accepted, leading ones are merged. A later one becomes a user
  message in `<system>` tags: at the start, it would apply to the whole conversation.
* Where turns are strict, an answer is inserted between tool results and the next user message,
  and text that came with tool calls is sent as a separate answer before them.
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

from langchain_autoprovider.messages.content import (
    adapt_content,
    adapt_tool_result,
    split_tool_results,
    strip_provider_content,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from inference_providers.types import Route
    from langchain_autoprovider.messages.message_format import MessageFormat

__all__ = ["adapt_history"]

# Texts that models read.
MISSING_RESULT = "No result: the call was not carried out."
ATTACHMENT_HEADING = "Attached to the result of {name}:"
RESULTS_SEEN = "I have seen the results."

_AUTHOR_NAME_MAX_CHARS = 64
_NOT_IN_AUTHOR_NAMES = re.compile(r"[^a-zA-Z0-9_-]")


def adapt_history(
    messages: Sequence[BaseMessage], route: Route, accepted: MessageFormat
) -> list[BaseMessage]:
    """Return the conversation in the form that the route accepts.

    Messages that need no change are reused.

    Args:
        messages: The conversation.
        route: The route that continues it.
        accepted: The message format of the route.
    """
    turns: list[_Turn] = []
    for message in messages:
        is_text = isinstance(message.content, str)
        parts = (message,) if is_text else split_tool_results(message)
        turns += [_adapt_message(part, route, accepted) for part in parts]
    adapted = list(_pair_calls_with_results(turns, accepted))
    if accepted.single_system:
        adapted = list(_merge_system_messages(adapted))
    if accepted.strict_turns:
        adapted = list(_make_turns_strict(adapted))
    return adapted


class _Turn(NamedTuple):
    """A message, and whether it is an answer from the route itself."""

    message: BaseMessage
    native: bool


class _Result(NamedTuple):
    """The result of a tool call, and its position in the conversation."""

    position: int
    message: ToolMessage


# Single messages.


def _adapt_message(message: BaseMessage, route: Route, accepted: MessageFormat) -> _Turn:
    if accepted.author_names and message.name and not isinstance(message, ToolMessage):
        name = _NOT_IN_AUTHOR_NAMES.sub("_", message.name)[:_AUTHOR_NAME_MAX_CHARS]
        if name != message.name:
            message = message.model_copy(update={"name": name})
    if isinstance(message, AIMessage):
        native = _is_native(message, route, accepted)
        return _Turn(message if native else strip_provider_content(message, accepted), native)
    is_text = isinstance(message.content, str)
    if not is_text and isinstance(message, HumanMessage | SystemMessage):
        content = adapt_content(message.content, accepted)
        if content is not message.content:
            message = message.model_copy(update={"content": content})
    return _Turn(message, native=False)


def _is_native(message: AIMessage, route: Route, accepted: MessageFormat) -> bool:
    """Whether the answer is from this route, in a form that its class can send back."""
    ids = [call["id"] for call in message.tool_calls]
    if message.invalid_tool_calls or len(set(ids)) < len(ids) or accepted.replay_reasoning:
        return False
    if not message.content and message.additional_kwargs.get("refusal"):
        return False  # LangChain would drop the refusal and leave the request unanswered
    # LangChain's `output_version` may have turned the answer's text into a list of blocks.
    if accepted.text_answers and not isinstance(message.content, str):
        return False
    metadata = message.response_metadata
    if isinstance(trace := metadata.get("autoprovider"), dict):
        return (trace.get("provider"), trace.get("model_id")) == (route.provider, route.model_id)
    return metadata.get("model_provider") in accepted.model_providers


# Tool calls and their results.


def _pair_calls_with_results(
    turns: Sequence[_Turn], accepted: MessageFormat
) -> Iterator[BaseMessage]:
    """Yield each tool call with its result directly after it, under ids that the route accepts."""
    results, builtin_results = _match_results(turns)
    ids = _ToolCallIds(accepted)
    for position, (message, native) in enumerate(turns):
        if isinstance(message, ToolMessage):
            if position in builtin_results:
                yield message
        elif not isinstance(message, AIMessage):
            yield message
        elif message.tool_calls:
            new_ids = [ids.assign(call["id"], native=native) for call in message.tool_calls]
            yield _with_call_ids(message, new_ids)
            yield from _results_of(message.tool_calls, new_ids, results.get(position, {}), accepted)
        elif message.content or message.additional_kwargs.get("function_call"):
            yield message


def _match_results(turns: Sequence[_Turn]) -> tuple[dict[int, dict[int, _Result]], set[int]]:
    """Match tool results with calls.

    A result belongs to the latest call with its id; calls of one answer that share an id get
    their results in order.

    Returns:
        The results, by position of the answer and index of the call; and the positions of
        results for the provider's built-in tools, whose calls are content blocks.
    """
    results: dict[int, dict[int, _Result]] = {}
    builtin_results: set[int] = set()
    open_calls: dict[str | None, deque[tuple[int, int]]] = {}
    builtin_ids: set[Any] = set()
    for position, (message, native) in enumerate(turns):
        if isinstance(message, AIMessage):
            for call in message.tool_calls:
                open_calls[call["id"]] = deque()
            for index, call in enumerate(message.tool_calls):
                open_calls[call["id"]].append((position, index))
            if native and isinstance(message.content, list):
                blocks = [block for block in message.content if isinstance(block, dict)]
                builtin_ids.update(block.get("call_id") for block in blocks)
        elif isinstance(message, ToolMessage):
            call_id = message.tool_call_id
            if calls := open_calls.get(call_id):
                answer, index = calls.popleft()
                results.setdefault(answer, {})[index] = _Result(position, message)
            elif call_id in builtin_ids and call_id not in open_calls:
                builtin_results.add(position)
    return results, builtin_results


def _results_of(
    calls: Sequence[ToolCall],
    ids: Sequence[str],
    results: Mapping[int, _Result],
    accepted: MessageFormat,
) -> Iterator[BaseMessage]:
    """Yield the results of an answer's calls in their original order, one per call.

    Missing results follow, then a user message with the attachments.
    """
    attachments: list[Any] = []
    for index in sorted(results, key=lambda index: results[index].position):
        name = calls[index]["name"]
        message, blocks = adapt_tool_result(results[index].message, accepted)
        changes: dict[str, Any] = {}
        if message.tool_call_id != ids[index]:
            changes["tool_call_id"] = ids[index]
        if accepted.strict_turns and not message.name:
            changes["name"] = name
        yield message.model_copy(update=changes) if changes else message
        if blocks:
            heading = ATTACHMENT_HEADING.format(name=name)
            attachments += [{"type": "text", "text": heading}, *blocks]
    for index, call in enumerate(calls):
        if index not in results:
            yield ToolMessage(
                MISSING_RESULT, tool_call_id=ids[index], name=call["name"], status="error"
            )
    if attachments:
        yield HumanMessage(attachments)


class _ToolCallIds:
    """Assigns tool-call ids that a route accepts. Valid ids that are not yet used are kept."""

    def __init__(self, accepted: MessageFormat) -> None:
        self._valid = re.compile(accepted.call_ids)
        self._short = accepted.short_call_ids
        self._used: set[str] = set()

    def assign(self, old: str | None, *, native: bool) -> str:
        new = old or ""
        valid = native or self._valid.fullmatch(new)
        if not new or new in self._used or not valid:
            new = self._derive(new)
        self._used.add(new)
        return new

    def _derive(self, old: str) -> str:
        """Hash an id into an unused one, so that the same conversation always has the same ids."""
        attempt = 0
        while True:
            digest = hashlib.sha256(f"{old}#{attempt}".encode(errors="replace")).hexdigest()
            new = digest[:9] if self._short else f"call_{digest[:24]}"
            if new not in self._used:
                return new
            attempt += 1


def _with_call_ids(message: AIMessage, ids: Sequence[str]) -> AIMessage:
    """Return an answer whose calls have these ids, in its content blocks as well."""
    changed = {
        call["id"]: new
        for call, new in zip(message.tool_calls, ids, strict=True)
        if call["id"] != new
    }
    if not changed:
        return message
    content = message.content
    return message.model_copy(
        update={
            "tool_calls": [
                {**call, "id": new} for call, new in zip(message.tool_calls, ids, strict=True)
            ],
            "content": content if isinstance(content, str) else _replace_ids(content, changed),
            "additional_kwargs": _replace_ids(message.additional_kwargs, changed),
        }
    )


def _replace_ids(value: Any, ids: Mapping[str | None, str]) -> Any:
    if isinstance(value, dict):
        return {ids.get(key, key): _replace_ids(item, ids) for key, item in value.items()}
    if isinstance(value, list):
        return [_replace_ids(item, ids) for item in value]
    return ids.get(value, value) if isinstance(value, str) else value


# System messages and strict turns.


def _merge_system_messages(messages: Sequence[BaseMessage]) -> Iterator[BaseMessage]:
    leading = 0
    while leading < len(messages) and isinstance(messages[leading], SystemMessage):
        leading += 1
    if leading:
        yield _merge_contents(messages[:leading])
    for message in messages[leading:]:
        if isinstance(message, SystemMessage):
            yield HumanMessage(f"<system>\n{message.text}\n</system>")
        else:
            yield message


def _merge_contents(messages: Sequence[BaseMessage]) -> BaseMessage:
    first, *others = messages
    if not others:
        return first
    contents = [message.content for message in messages]
    if all(isinstance(content, str) for content in contents):
        return first.model_copy(update={"content": "\n\n".join(map(str, contents))})
    blocks: list[Any] = []
    for content in contents:
        blocks += [{"type": "text", "text": content}] if isinstance(content, str) else content
    return first.model_copy(update={"content": blocks})


def _make_turns_strict(messages: Iterable[BaseMessage]) -> Iterator[BaseMessage]:
    previous: BaseMessage | None = None
    for message in messages:
        if isinstance(previous, ToolMessage) and not isinstance(message, ToolMessage | AIMessage):
            yield AIMessage(RESULTS_SEEN)
        if isinstance(message, AIMessage) and message.tool_calls and message.content:
            yield from _split_text_from_calls(message)
        else:
            yield message
        previous = message


def _split_text_from_calls(message: AIMessage) -> Iterator[AIMessage]:
    if content := _content_without_calls(message.content):
        changes: dict[str, Any] = {"content": content, "tool_calls": [], "additional_kwargs": {}}
        yield message.model_copy(update=changes)
    metadata = {k: v for k, v in message.response_metadata.items() if k != "output_version"}
    yield message.model_copy(update={"content": "", "response_metadata": metadata})


def _content_without_calls(content: str | list[Any]) -> str | list[Any]:
    """Drop tool calls and empty texts. With `output_version="v1"`, calls are content blocks."""
    if isinstance(content, str):
        return content
    return [
        block
        for block in content
        if isinstance(block, str) or (block.get("type") != "tool_call" and block.get("text") != "")
    ]
