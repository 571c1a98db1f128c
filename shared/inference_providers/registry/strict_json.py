"""JSON from outside, read so that no two readers can see different things in it.

Beyond what JSON itself requires, these are refused: duplicate keys, numbers and strings
that readers treat differently (NaN, infinity, lone surrogates), and more bytes or levels
than any registry has.
"""

from __future__ import annotations

import json
from typing import Any, NoReturn

import msgspec

__all__ = ["MAX_BYTES", "MAX_DEPTH", "decode"]

MAX_BYTES = 8 << 20
MAX_DEPTH = 16
"""Levels of nesting; a registry has nine."""


def decode(raw: bytes, *, max_bytes: int = MAX_BYTES) -> Any:
    """Return the value of a JSON text.

    Raises:
        ValueError: It is not JSON, or not JSON of this strict kind; says what is wrong
            without quoting more than one character, since a stray one may be of a key.
    """
    if len(raw) > max_bytes:
        msg = f"more than {max_bytes:,} bytes"
        raise ValueError(msg)
    try:
        text = raw.decode()
        value = json.loads(text, object_pairs_hook=_unique_keys, parse_constant=_refuse_constant)
        msgspec.json.decode(raw)  # stricter than `json` about numbers and surrogates
        if not (isinstance(value, dict | list) and _is_too_deep(value)):
            return value
    except UnicodeDecodeError as error:
        msg = f"byte {error.start} is not valid UTF-8"
        raise ValueError(msg) from error
    except json.JSONDecodeError as error:
        character = error.doc[error.pos : error.pos + 1]
        msg = f"{error}, at {f'character {character!r}' if character else 'the end of the text'}"
        raise ValueError(msg) from error
    except msgspec.DecodeError as error:
        msg = "a number is out of range, or a string has an unpaired surrogate"
        raise ValueError(msg) from error
    except _DuplicateKeyError as error:
        msg = f"duplicate key {error.args[0]!r} in {_parent_of_duplicate_key(text)}"
        raise ValueError(msg) from None
    except RecursionError:
        pass
    msg = f"nested more than {MAX_DEPTH} levels deep"
    raise ValueError(msg)


class _DuplicateKeyError(Exception):
    """An object has the key `args[0]` twice."""


class _Pairs(list[tuple[str, Any]]):
    """A JSON object as pairs, duplicates included."""


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        raise _DuplicateKeyError(_first_duplicate(pairs))
    return values


def _refuse_constant(text: str) -> NoReturn:
    msg = f"{text!r} is not a valid JSON number"
    raise ValueError(msg)


def _first_duplicate(pairs: list[tuple[str, Any]]) -> str | None:
    seen = set()
    for key, _ in pairs:
        if key in seen:
            return key
        seen.add(key)
    return None


def _parent_of_duplicate_key(text: str) -> str:
    """Return the JSON path of an object with a duplicate key.

    A second pass, so that valid files do not pay for the path.
    """
    pending = [("$", json.loads(text, object_pairs_hook=_Pairs))]
    while pending:
        path, value = pending.pop()
        if isinstance(value, _Pairs):
            if _first_duplicate(value) is not None:
                return path
            pending += [(f"{path}.{key}", inner) for key, inner in value]
        elif isinstance(value, list):
            pending += [(f"{path}[{index}]", inner) for index, inner in enumerate(value)]
    return "$"


def _is_too_deep(value: Any) -> bool:
    """Whether a value has more than `MAX_DEPTH` levels; goes through it level by level."""
    level = [value]
    for _ in range(MAX_DEPTH):
        inner: list[Any] = []
        for item in level:
            inner += item.values() if isinstance(item, dict) else item
        level = [item for item in inner if isinstance(item, dict | list)]
        if not level:
            return False
    return True
