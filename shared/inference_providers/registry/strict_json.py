"""JSON from outside, read so that no two readers see different things in it.

Refused are what JSON itself leaves open or unbounded: a key that stands twice, NaN and
infinity, text that is not Unicode, and more bytes or depth than any registry has.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from typing import Any, NoReturn

__all__ = ["MAX_BYTES", "MAX_DEPTH", "decode"]

MAX_BYTES = 8 << 20
MAX_DEPTH = 16
"""A registry is nine levels deep."""


def decode(raw: bytes, *, max_bytes: int = MAX_BYTES) -> Any:
    """Return the value of a JSON text.

    Raises:
        ValueError: It is no JSON, or not JSON of this strict kind; says which.
    """
    if len(raw) > max_bytes:
        msg = f"more than {max_bytes:,} bytes"
        raise ValueError(msg)
    try:
        value = json.loads(
            raw.decode(),
            object_pairs_hook=_object,
            parse_float=_float,
            parse_constant=_constant,
        )
        json.dumps(value, ensure_ascii=False).encode()  # half a surrogate pair is no text
    except RecursionError:
        _refuse_depth()
    except UnicodeDecodeError as error:
        msg = f"byte {error.start} is not UTF-8, as JSON is written"
        raise ValueError(msg) from error
    except json.JSONDecodeError as error:
        # One character and no more: an unquoted key may stand there.
        there = error.doc[error.pos : error.pos + 1]
        msg = f"{error}, where {f'{there!r} stands' if there else 'the text ends'}"
        raise ValueError(msg) from error
    if _is_deep(value):
        _refuse_depth()
    return value


def _refuse_depth() -> NoReturn:
    msg = f"nested more than {MAX_DEPTH} levels deep"
    raise ValueError(msg)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        counts = Counter(name for name, _ in pairs)
        twice = next(name for name in counts if counts[name] > 1)
        msg = f"the key {twice!r} stands twice in one object"
        raise ValueError(msg)
    return made


def _float(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        _constant(text)
    return value


def _constant(text: str) -> NoReturn:
    msg = f"{text!r} is no number of JSON"
    raise ValueError(msg)


def _is_deep(value: Any) -> bool:
    level = [value]
    for _ in range(MAX_DEPTH):
        inner: list[Any] = []
        for item in level:
            if isinstance(item, dict):
                inner += item.values()
            elif isinstance(item, list):
                inner += item
        level = [item for item in inner if isinstance(item, dict | list)]
        if not level:
            return False
    return True
