"""Finding a key in texts and bytes: whole, in part, and encoded.

* `MIN_RUN` consecutive characters of the key are a match, since providers and messages cut keys.
* Case is ignored.
* The key is also found URL-quoted, escaped for HTML or JSON, in base64, hexadecimal and UTF-16.
"""

from __future__ import annotations

import base64
import html
import json
import math
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import quote

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["MIN_RUN", "MIN_SCRUBBED_LENGTH", "TextScrubber"]

MIN_RUN = 10
"""The shortest part of a key that is replaced."""
MIN_SCRUBBED_LENGTH = 6
"""Shorter values stay in texts: replacing every "test" would garble the message."""

_BASE64_RUN = 12
"""How many characters of base64 are determined by `MIN_RUN` bytes, at least, at any alignment."""


class _Spelling(NamedTuple):
    """One encoding of the key, in lower case."""

    text: bytes
    min_run: int


class TextScrubber:
    """Replaces a secret in texts.

    It is fast if there is nothing to find. Every part of the secret that is long enough to count
    contains one of a few short pieces, the anchors, so only those are searched for.

    Args:
        secret: The key's value, in ASCII.
        replacement: What replaces it.
    """

    def __init__(self, secret: str, replacement: str) -> None:
        self._replacement = replacement.encode()
        self._anchors: dict[bytes, list[tuple[_Spelling, int]]] = {}
        if len(secret) < MIN_SCRUBBED_LENGTH:
            return
        for spelling in _spellings(secret):
            size = math.ceil(spelling.min_run / 2)
            step = spelling.min_run - size + 1
            for start in range(0, len(spelling.text) - size + 1, step):
                anchor = spelling.text[start : start + size]
                self._anchors.setdefault(anchor, []).append((spelling, start))

    def text(self, text: str) -> str:
        """Return `text` without the secret; the same object if it has none."""
        data = text.encode("utf-8", "surrogatepass")
        scrubbed = self.data(data)
        return text if scrubbed is data else scrubbed.decode("utf-8", "surrogatepass")

    def data(self, data: bytes) -> bytes:
        """Return `data` without the secret; the same object if it has none."""
        spans = sorted(self._spans(data.lower()))
        if not spans:
            return data
        parts: list[bytes] = []
        end = 0
        for start, stop in spans:
            if start >= end:
                parts += (data[end:start], self._replacement)
            end = max(end, stop)
        return b"".join((*parts, data[end:]))

    def _spans(self, data: bytes) -> Iterator[tuple[int, int]]:
        for anchor, places in self._anchors.items():
            at = data.find(anchor)
            while at >= 0:
                next_at = at + 1
                for spelling, position in places:
                    start, stop = _run_around(data, at, spelling.text, position, len(anchor))
                    if stop - start >= spelling.min_run:
                        yield start, stop
                        next_at = max(next_at, stop - len(anchor) + 1)
                at = data.find(anchor, next_at)


def _run_around(data: bytes, at: int, text: bytes, position: int, size: int) -> tuple[int, int]:
    """Return the span of `data` around `at` that equals `text` around `position`."""
    before = 0
    most = min(at, position)
    while before < most and data[at - before - 1] == text[position - before - 1]:
        before += 1
    after = size
    most = min(len(data) - at, len(text) - position)
    while after < most and data[at + after] == text[position + after]:
        after += 1
    return at - before, at + after


def _spellings(secret: str) -> set[_Spelling]:
    value = secret.encode()
    as_json = json.dumps(secret)[1:-1]
    plain = (secret, quote(secret, safe=""), html.escape(secret), as_json)
    spellings = {(text.encode(), MIN_RUN) for text in (*plain, as_json.replace("/", "\\/"))}
    spellings |= {
        (value.hex().encode(), 2 * MIN_RUN),
        (b"\0".join(_characters(value)), 2 * MIN_RUN - 1),
    }
    spellings |= {(text, _BASE64_RUN) for text in _base64(value)}
    return {_Spelling(text.lower(), min(run, len(text))) for text, run in spellings}


def _characters(value: bytes) -> list[bytes]:
    return [value[i : i + 1] for i in range(len(value))]


def _base64(value: bytes) -> Iterator[bytes]:
    """Yield the characters of base64 that the value alone determines, for each alignment."""
    for before in range(3):
        encoded = base64.b64encode(bytes(before) + value)
        first = math.ceil(before * 8 / 6)
        last = (before + len(value)) * 8 // 6
        yield encoded[first:last]
        yield encoded[first:last].replace(b"+", b"-").replace(b"/", b"_")
