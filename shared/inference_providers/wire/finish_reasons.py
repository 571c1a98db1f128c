"""Why an answer ended, in the words of every protocol."""

from __future__ import annotations

from collections.abc import Mapping  # noqa: TC003 - msgspec reads annotations at run time
from typing import Any, Literal

from msgspec import Struct

__all__ = ["FinishReason", "FinishReasons"]

FinishReason = Literal["stop", "length", "context_window", "tool_calls", "content_filter", "error"]
"""`length` is the caller's limit and `context_window` the model's; `error` is a failed generation
that the provider reports with HTTP 200."""


class FinishReasons(Struct, frozen=True, kw_only=True):
    """How the answers of one protocol say why they ended.

    Attributes:
        keys: Keys of a message's metadata that hold the reason; the first one that is set counts.
            A dot separates the keys of nested objects.
        words: The meaning of the protocol's words, in lower case. A word that is not listed
            means `stop`.
    """

    keys: tuple[str, ...]
    words: Mapping[str, FinishReason]

    def word_in(self, metadata: Mapping[str, Any]) -> str | None:
        """Return the protocol's word for the reason, in lower case; `None` if there is none yet."""
        for key in self.keys:
            value = _nested_value(metadata, key) if "." in key else metadata.get(key)
            if value:
                return str(value).lower()
        return None

    def reason_in(self, metadata: Mapping[str, Any]) -> FinishReason | None:
        """Return why the answer ended; `None` if it has not ended yet."""
        word = self.word_in(metadata)
        return None if word is None else self.words.get(word, "stop")

    def is_error(self, word: str | None) -> bool:
        """Whether the protocol's own word, in lower case, reports a failed generation."""
        return word is not None and self.words.get(word) == "error"


def _nested_value(metadata: Mapping[str, Any], path: str) -> Any:
    value: Any = metadata
    for key in path.split("."):
        value = value.get(key) if isinstance(value, dict) else None
    return value
