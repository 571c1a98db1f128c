"""Reads the message of a chat completion, or a delta, in every form that providers send."""

from __future__ import annotations

from typing import Any, NamedTuple

from inference_providers.wire.finish_reasons import CHAT, reason_word
from inference_providers.wire.reported_errors import invalid_response
from inference_providers.wire.text_parts import clean_text, first_text, read_content
from inference_providers.wire.tool_calls import read_tool_calls

__all__ = ["Message", "choice_message", "choice_reason", "read_logprobs", "read_message"]

_REASONING_KEYS = ("reasoning_content", "reasoning", "reasoning_text", "thinking")


class Message(NamedTuple):
    """What a message or delta holds.

    Attributes:
        content: Its text; a list of blocks only if some are not text.
        reasoning: Its reasoning, whatever the provider calls that.
        refusal: Its refusal.
        tool_calls: Its tool calls as they were sent.
        audio: Its audio, as OpenAI sends it.
    """

    content: str | list[Any]
    reasoning: str
    refusal: str
    tool_calls: Any
    audio: dict[str, Any] | None

    def as_answer(self) -> dict[str, Any]:
        """Return it as the message of a whole answer.

        Raises:
            InvalidResponseError: Its tool calls have an unknown form.
        """
        content = self.content
        message: dict[str, Any] = {
            "role": "assistant",
            "content": clean_text(content) if isinstance(content, str) else content,
        }
        if self.reasoning:
            message["reasoning_content"] = clean_text(self.reasoning)
        if self.refusal:
            message["refusal"] = clean_text(self.refusal)
        if calls := read_tool_calls(self.tool_calls):
            message["tool_calls"] = calls
        if self.audio:
            message["audio"] = self.audio
        return message


def choice_message(choice: dict[str, Any]) -> dict[str, Any] | None:
    """Return the message of a choice, or its equivalent; `None` if there is neither.

    Raises:
        InvalidResponseError: It is not an object.
    """
    for name in ("message", "delta"):
        message = choice.get(name)
        if isinstance(message, dict):
            return message
        if message is not None:
            msg = f"a choice whose {name} is not an object"
            raise invalid_response(msg)
    text = choice.get("text")  # legacy completions
    return {"content": text} if isinstance(text, str) else None


def choice_reason(choice: dict[str, Any]) -> str | None:
    """Return the finish reason of a choice, or `None` if it has none yet.

    OpenRouter reports the upstream's own word beside a general one, which may hide a failure.
    """
    word = reason_word(choice.get("finish_reason"))
    native = reason_word(choice.get("native_finish_reason"))
    return native if word and native and CHAT.is_error(native) else word


def read_message(raw: dict[str, Any]) -> Message:
    """Return the content of a message or delta.

    Raises:
        InvalidResponseError: Its content has an unknown form.
    """
    parts = read_content(raw.get("content"))
    reasoning = first_text(raw, *_REASONING_KEYS) or parts.reasoning
    if not reasoning and "reasoning_details" in raw:  # OpenRouter
        reasoning = first_text(raw, "reasoning_details")
    tool_calls = raw.get("tool_calls")
    if not tool_calls and (function := raw.get("function_call")):
        tool_calls = [{"function": function}]
    audio = raw.get("audio")
    return Message(
        content=parts.content,
        reasoning=reasoning,
        refusal=first_text(raw, "refusal") or parts.refusal,
        tool_calls=tool_calls,
        audio=audio if isinstance(audio, dict) else None,
    )


def read_logprobs(raw: Any) -> dict[str, list[Any]] | None:
    """Return log probabilities in a form that can be merged: lists without indices."""
    if not raw or not isinstance(raw, dict):
        return None
    kept = {}
    for name, tokens in raw.items():
        if isinstance(tokens, list):
            kept[name] = [token for token in tokens if not _has_index(token)]
    return kept or None


def _has_index(token: Any) -> bool:
    return isinstance(token, dict) and "index" in token
