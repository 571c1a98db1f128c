"""JSON for the wire: as fast as msgspec, as tolerant as `json`.

* `json` handles what msgspec refuses but real requests and responses contain: lone surrogates,
  NaN, a byte order mark, control characters inside strings, invalid UTF-8.
* Pydantic models and other mappings become objects; sequences and sets become arrays.
* A value that is nested too deeply raises `ValueError`, never `RecursionError`.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any

import msgspec

__all__ = ["decode", "encode"]


def encode(value: Any) -> bytes:
    """Return `value` as JSON. NaN and infinity, which JSON does not have, become null.

    Raises:
        TypeError: It contains a type that JSON cannot represent; the message names the type.
        ValueError: It is nested too deeply.
    """
    try:
        try:
            return _ENCODER.encode(value)
        except UnicodeEncodeError:  # a lone surrogate: `json` escapes it
            plain = msgspec.to_builtins(value, enc_hook=_plain, str_keys=True)
            return json.dumps(plain, separators=(",", ":")).encode()
    except RecursionError:
        msg = "the request is nested too deeply to be sent as JSON"
        raise ValueError(msg) from None


def decode(data: bytes) -> Any:
    """Return the value of a JSON document. Invalid UTF-8 is replaced.

    Raises:
        ValueError: It is not JSON, or nested too deeply.
    """
    try:
        return _DECODER.decode(data)
    except (ValueError, RecursionError):
        pass
    text = data.decode(json.detect_encoding(data), "replace")
    try:
        return json.loads(text, strict=False)
    except RecursionError:
        msg = "the JSON document is nested too deeply"
        raise ValueError(msg) from None


def _plain(value: Any) -> Any:
    """Return an equivalent of an object that msgspec does not know.

    Raises:
        TypeError: It has none.
    """
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json", exclude_unset=True)  # as OpenAI's SDK does
    if isinstance(value, str):  # msgspec refuses subclasses, such as the `text` of a message
        return str.__str__(value)
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return float(value)
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, Sequence | AbstractSet | deque):
        return list(value)
    msg = f"{type(value).__module__}.{type(value).__qualname__} cannot be sent as JSON"
    raise TypeError(msg)


_ENCODER = msgspec.json.Encoder(enc_hook=_plain)
_DECODER: msgspec.json.Decoder[Any] = msgspec.json.Decoder()
