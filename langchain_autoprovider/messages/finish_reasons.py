"""Why an answer ended, whichever way its protocol says so."""

from __future__ import annotations

from collections.abc import Mapping  # noqa: TC003 - msgspec reads annotations at run time
from typing import Any, Literal

from msgspec import Struct

__all__ = ["FinishReason", "FinishReasons"]

FinishReason = Literal["stop", "length", "context_window", "tool_calls", "content_filter", "error"]
"""`length` is the caller's own limit, `context_window` the model's; `error` is a failed
generation that the provider reports in an HTTP 200."""


class FinishReasons(Struct, frozen=True, kw_only=True):
    """Where the answers of one protocol say why they ended, and in which words.

    Attributes:
        keys: Where a message's metadata has the reason: the first that is set counts. A dot
            leads into a nested object.
        words: What the protocol's words mean, in lower case. A word that is missing here is
            a good end.
    """

    keys: tuple[str, ...]
    words: Mapping[str, FinishReason]

    def word_in(self, metadata: Mapping[str, Any]) -> str | None:
        """Return the protocol's own word, in lower case; `None` if the answer has not ended."""
        for key in self.keys:
            value = _nested(metadata, key) if "." in key else metadata.get(key)
            if value:
                return str(value).lower()
        return None

    def reason_in(self, metadata: Mapping[str, Any]) -> FinishReason | None:
        """Return why the answer ended; `None` if it has not ended."""
        word = self.word_in(metadata)
        return None if word is None else self.words.get(word, "stop")

    def is_error(self, word: str | None) -> bool:
        """Whether the protocol's own word, in lower case, reports a failed generation."""
        return word is not None and self.words.get(word) == "error"


def _nested(metadata: Mapping[str, Any], path: str) -> Any:
    value: Any = metadata
    for key in path.split("."):
        value = value.get(key) if isinstance(value, dict) else None
    return value
