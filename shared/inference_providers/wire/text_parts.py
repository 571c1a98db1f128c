"""Reads text in any form that providers send: plain, in parts, as a number, split mid-character."""

from __future__ import annotations

from typing import Any, NamedTuple

from inference_providers.wire import json_codec
from inference_providers.wire.reported_errors import invalid_response

__all__ = ["Parts", "SurrogateJoiner", "clean_text", "copy_json", "first_text", "read_content"]

_MAX_DEPTH = 6
_TEXT_TYPES = frozenset({"text", "output_text", "input_text", "text_delta", "summary_text"})
_REASONING_TYPES = frozenset(
    {"thinking", "reasoning", "reasoning_text", "reasoning.text", "reasoning.summary"}
)
_TEXT_KEYS = ("text", "thinking", "reasoning", "content", "value", "summary", "parts")


class Parts(NamedTuple):
    """What the content of a message holds.

    Attributes:
        content: A string; a list of blocks only if some are neither text nor reasoning.
        reasoning: The text of its reasoning blocks.
        refusal: The text of its refusal blocks.
    """

    content: str | list[Any]
    reasoning: str = ""
    refusal: str = ""


class SurrogateJoiner:
    """Joins the halves of a surrogate pair that a provider split between two deltas.

    JSON can escape each half alone, and a token may end between them. A string with one half
    cannot be encoded, so it must not be passed on.
    """

    def __init__(self) -> None:
        self._half = ""

    def feed(self, text: str) -> str:
        """Return whole characters; half a character at the end is kept for the next call."""
        if text.isascii() and not self._half:
            return text
        text = self._half + text
        self._half = ""
        if "\ud800" <= text[-1:] <= "\udbff":
            text, self._half = text[:-1], text[-1]
        return clean_text(text)

    def end(self) -> str:
        """Return a replacement for a half that was never completed."""
        half, self._half = self._half, ""
        return clean_text(half)


def clean_text(text: str) -> str:
    """Join the halves of characters, and replace halves without a counterpart."""
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def first_text(holder: dict[str, Any], *names: str) -> str:
    """Return the first value under `names` that is text, plain or in parts."""
    for name in names:
        value = holder.get(name)
        if not value:
            continue
        if isinstance(value, str):
            return value
        if text := _flat_text(value):
            return text
    return ""


def read_content(value: Any) -> Parts:
    """Return the text, reasoning and refusal of `content`, whatever shape it has.

    Raises:
        InvalidResponseError: It has an unknown form.
    """
    if isinstance(value, str):
        return Parts(value)
    if value is None:
        return Parts("")
    if isinstance(value, bool | int | float):
        return Parts(_number_text(value))
    texts: list[str] = []
    reasoning: list[str] = []
    refusal: list[str] = []
    blocks: list[dict[str, Any]] = []
    has_others = False
    for block in value if isinstance(value, list) else [value]:
        kind = block.get("type") if isinstance(block, dict) else None
        if kind == "refusal":
            refusal.append(_flat_text(block.get("refusal")))
        elif isinstance(kind, str) and kind in _REASONING_TYPES:
            reasoning.append(_flat_text(block))
        elif isinstance(kind, str) and kind not in _TEXT_TYPES:
            has_others = True
            blocks.append(_copy_block(block))
        elif text := _text_of_block(block):
            texts.append(text)
            blocks.append({"type": "text", "text": text})
    content = blocks if has_others else "".join(texts)
    return Parts(content, "".join(reasoning), "".join(refusal))


def _text_of_block(block: Any) -> str:
    if isinstance(block, dict) and block and not any(key in block for key in _TEXT_KEYS):
        msg = "a message whose content is neither text nor blocks"
        raise invalid_response(msg)
    if isinstance(block, bool | int | float):
        return _number_text(block)
    return _flat_text(block)


def _number_text(value: float) -> str:
    """Return a number as text; NaN and infinity mean a missing value, and become empty."""
    text = json_codec.encode(value).decode()
    return "" if text == "null" else text


def _flat_text(value: Any, depth: int = 0) -> str:
    """Return the text inside a value: a string, a block, or a list of those."""
    if isinstance(value, str):
        return value
    if depth > _MAX_DEPTH:
        return ""
    if isinstance(value, list):
        return "".join(_flat_text(item, depth + 1) for item in value)
    if isinstance(value, dict):
        texts = (_flat_text(value.get(key), depth + 1) for key in _TEXT_KEYS)
        return next(filter(None, texts), "")
    return ""


def _copy_block(block: dict[str, Any]) -> dict[str, Any]:
    """Return a block that is neither text nor reasoning, such as an image.

    Its `index` is removed, because LangChain would merge blocks by it.
    """
    copy: dict[str, Any] = copy_json(block, _MAX_DEPTH)
    copy.pop("index", None)
    return copy


def copy_json(value: Any, max_depth: int) -> Any:
    """Return a copy of a JSON value with clean texts.

    Raises:
        InvalidResponseError: It is nested too deeply.
    """
    if max_depth < 0:
        msg = "a part of the answer is nested too deeply"
        raise invalid_response(msg)
    if isinstance(value, str):
        return clean_text(value)
    if isinstance(value, list):
        return [copy_json(item, max_depth - 1) for item in value]
    if isinstance(value, dict):
        return {clean_text(key): copy_json(item, max_depth - 1) for key, item in value.items()}
    return value
