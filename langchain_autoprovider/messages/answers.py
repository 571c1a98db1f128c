"""Judges an answer after LangChain's conversion: whole answers and streams by the same rules.

* A fault makes an answer unusable: the generation failed, a content filter ended it, or
  LangChain would silently complete the JSON of a tool call, and the tool would run with half its
  arguments.
* A flaw means that another route may do better: the answer is empty, or a tool call is malformed
  or names no tool of the request.
* An answer that reached a length limit may be empty, or end in the middle of a tool call. One that
  follows a tool result may be empty: the model may have nothing to add.

Tool calls are judged as LangChain has merged and parsed them, so that this module cannot disagree
with what the caller gets.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.messages.ai import add_ai_message_chunks
from langchain_core.outputs import ChatGeneration

from inference_providers.errors import InvalidResponseError
from inference_providers.failover.events import Flaw

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from langchain_core.messages import BaseMessage
    from langchain_core.messages.ai import UsageMetadata
    from langchain_core.messages.tool import ToolCallChunk
    from langchain_core.outputs import ChatResult, Generation

    from inference_providers.wire.finish_reasons import FinishReasons

__all__ = [
    "AnswerRules",
    "has_content",
    "has_content_in",
    "has_words",
    "merge_tool_calls",
    "token_counts",
    "truncation_fault",
]

_EXCERPT_CHARS = 80
_LIMITS = frozenset({"length", "context_window"})
_CONTENT_KEYS = ("reasoning_content", "refusal", "audio", "function_call")
"""Keys of `additional_kwargs` that hold a part of the answer."""
_WORD_BLOCKS = frozenset(
    {"text", "output_text", "thinking", "reasoning", "reasoning_content", "refusal"}
)
"""Types of content blocks that are empty without text."""
_CALL_BLOCKS = frozenset(
    {"tool_use", "input_json_delta", "function_call", "tool_call", "tool_call_chunk"}
)
"""Types of content blocks whose tool call LangChain also keeps in the message."""
_LABELS = frozenset({"type", "id", "index", "signature", "encrypted_content", "status"})
"""Keys of content blocks whose values do not belong to the answer."""
_LITERALS = ("true", "false", "null", "NaN", "Infinity", "-Infinity")


class AnswerRules(NamedTuple):
    """What the answer to one request must be like.

    Attributes:
        finish_reasons: How the protocol says why an answer ended.
        conversation: The messages of the request.
        fields: The fields of the request, in OpenAI's form.
    """

    finish_reasons: FinishReasons
    conversation: Sequence[BaseMessage]
    fields: Mapping[str, Any]

    def finish_word(self, generation: Generation) -> str | None:
        """Return the protocol's word for why a generation ended, if it has ended."""
        word = None
        if isinstance(generation, ChatGeneration):
            word = self.finish_reasons.word_in(generation.message.response_metadata)
        if word is None and generation.generation_info:
            word = self.finish_reasons.word_in(generation.generation_info)
        return word

    def judge(self, result: ChatResult) -> Flaw | None:
        """Return what is wrong with a whole answer, if anything.

        Raises:
            ContentFilteredError: The answer was withheld or cut by a content filter.
            InvalidResponseError: The generation failed, or there is no answer.
        """
        if not result.generations:
            msg = "the response has no answer"
            raise InvalidResponseError(msg)
        generation = result.generations[0]
        message = generation.message
        word = self.finish_word(generation)
        if word is None and result.llm_output:  # LangChain will move it into the message
            word = self.finish_reasons.word_in(result.llm_output)
        calls = None
        if isinstance(message, AIMessage) and (message.tool_calls or message.invalid_tool_calls):
            calls = message
        has_output = calls is not None or has_content(message)
        self.finish_reasons.check(word, has_output=has_output, text=generation.text)
        return self.flaw(calls, word, has_output=has_output)

    def flaw(self, calls: AIMessage | None, word: str | None, *, has_output: bool) -> Flaw | None:
        """Return what is wrong with an answer that has no fault.

        Args:
            calls: A message with its tool calls, if there are any.
            word: The protocol's word for why it ended.
            has_output: Whether it has tool calls or anything else.
        """
        flaw = None
        if calls is not None:
            flaw = self._flaw_of_calls(calls)
        elif not has_output:
            flaw = self._flaw_of_nothing()
        if flaw is not None and word is not None and self.finish_reasons.meaning(word) in _LIMITS:
            return None
        return flaw

    def _flaw_of_nothing(self) -> Flaw | None:
        """Return the flaw of an empty answer; after an answer or a tool result it has none."""
        last = self.conversation[-1] if self.conversation else None
        if last is None or last.type in {"tool", "function", "ai"}:
            return None
        content = last.content if isinstance(last.content, list) else []
        kinds = {block.get("type") for block in content if isinstance(block, dict)}
        return None if "tool_result" in kinds else Flaw.EMPTY_ANSWER

    def _flaw_of_calls(self, message: AIMessage) -> Flaw | None:
        if message.invalid_tool_calls:
            return Flaw.MALFORMED_TOOL_CALL
        names = {call["name"] for call in message.tool_calls}
        offered = _offered_names(self.fields)
        is_known = all(names) and (not offered or names <= offered)
        return None if is_known else Flaw.UNKNOWN_TOOL


def has_content(message: BaseMessage) -> bool:
    """Whether an answer has text, reasoning, a refusal or media; tool calls do not count."""
    content = message.content
    if isinstance(content, str):
        has_text = bool(content) and not content.isspace()
    else:
        has_text = any(map(has_words, content))
    return has_text or has_content_in(message.additional_kwargs)


def has_content_in(additional_kwargs: Mapping[str, Any]) -> bool:
    """Whether the parts of an answer that LangChain keeps beside its content are not empty."""
    return any(additional_kwargs.get(key) for key in _CONTENT_KEYS)


def has_words(block: Any) -> bool:
    """Whether a content block has text, or is of a type that needs none, such as an image."""
    if not isinstance(block, dict):
        return isinstance(block, str) and bool(block.strip())
    kind = block.get("type")
    if not isinstance(kind, str) or kind in _WORD_BLOCKS:
        return any(_holds_words(value) for key, value in block.items() if key not in _LABELS)
    return kind not in _CALL_BLOCKS


def _holds_words(value: Any) -> bool:
    if isinstance(value, str):
        return bool(value.strip())
    if isinstance(value, list):
        return any(map(_holds_words, value))
    if isinstance(value, dict):
        return any(_holds_words(item) for key, item in value.items() if key not in _LABELS)
    return False


def token_counts(usage: UsageMetadata | None) -> tuple[int, int] | None:
    """Return the tokens of prompt and answer; `None` if the provider did not send numbers."""
    counts: Mapping[str, Any] = usage or {}  # vendors' classes do not validate it
    prompt, answer = counts.get("input_tokens"), counts.get("output_tokens")
    return (prompt, answer) if isinstance(prompt, int) and isinstance(answer, int) else None


def merge_tool_calls(parts: Sequence[list[ToolCallChunk]]) -> AIMessageChunk:
    """Return a message with the tool calls of a stream, as LangChain merges and parses them.

    Args:
        parts: The parts of tool calls in each chunk, in order. The list of the first chunk is
            included even if it is empty, because LangChain merges into an empty one differently.
    """
    chunks = (AIMessageChunk.model_construct(content="", tool_call_chunks=part) for part in parts)
    return add_ai_message_chunks(*chunks)


def truncation_fault(message: AIMessageChunk) -> Exception | None:
    """Return the error for a tool call whose JSON LangChain has silently completed."""
    invalid = [(call["id"], call["args"]) for call in message.invalid_tool_calls]
    for call in message.tool_call_chunks:
        text = call["args"]
        if not text or (call["id"], text) in invalid:
            continue
        try:
            json.loads(text, strict=False)
        except ValueError as error:
            word = "truncated" if _is_cut_off(text, error) else "malformed"
            msg = f"a tool call's arguments are {word}: {text[:_EXCERPT_CHARS]!r}"
            return InvalidResponseError(msg)
    return None


def _is_cut_off(text: str, error: ValueError) -> bool:
    """Whether a text that is not valid JSON may be the beginning of it."""
    if not isinstance(error, json.JSONDecodeError):
        return False
    rest = text[error.pos :].rstrip()
    is_open_string = error.msg.startswith(("Unterminated string", "Invalid \\u"))
    is_number = rest in {"-", ".", "e", "E", "e+", "e-", "E+", "E-"}
    return is_open_string or is_number or any(word.startswith(rest) for word in _LITERALS)


def _offered_names(fields: Mapping[str, Any]) -> set[str]:
    """Return the names of the tools in a request; none if one of them has no known name."""
    tools = [*(fields.get("tools") or ()), *(fields.get("functions") or ())]
    if answer_schema := fields.get("answer_schema"):
        tools.append(answer_schema["tool"])
    names = [_tool_name(tool) for tool in tools]
    return {name for name in names if name} if all(names) else set()


def _tool_name(tool: Any) -> str | None:
    if not isinstance(tool, dict):
        return None
    function = tool.get("function", tool)
    name = function.get("name") if isinstance(function, dict) else None
    return name if isinstance(name, str) else None
