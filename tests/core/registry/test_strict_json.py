"""JSON from outside is unambiguous and bounded."""

from __future__ import annotations

import json
import time

import pytest

from inference_providers.registry import strict_json


def test_decode_returns_the_value() -> None:
    value = {"a": [1, 2.5, None, True, "ü\u2028"], "b": {"c": {}}}
    assert strict_json.decode(json.dumps(value).encode()) == value


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"", r"Expecting value: line 1 column 1 \(char 0\), at the end of the text$"),
        (b"{", "Expecting property name.*, at the end of the text$"),
        (b"{} {}", "Extra data: .*, at character '{'$"),
        (b"// mine\n{}", "Expecting value: .*, at character '/'$"),
        # Python 3.13 points at the comma, older versions at the brace after it.
        (b'{"a": 1,}', "line 1 column [89] .*, at character '[,}]'$"),
        (b'{"a": sk-canary}', "column 7 .*, at character 's'$"),
        (b'{"a": 1, "b": 2, "a": 3}', r"^duplicate key 'a' in \$$"),
        (b'[1, {"a": {"b": 1, "b": 2}}]', r"^duplicate key 'b' in \$\[1\]\.a$"),
        (b'{"x": {"base_url": 1, "base_url": 2}}', r"duplicate key 'base_url' in \$\.x$"),
        (b'{"a": NaN}', "'NaN' is not a valid JSON number"),
        (b'{"a": -Infinity}', "'-Infinity' is not a valid"),
        (b'{"a": 1e999}', "a number is out of range"),
        (b'{"a": "\\ud800"}', "unpaired surrogate"),
        (b"\xff\xfe{}", "byte 0 is not valid UTF-8"),
        (b"\xef\xbb\xbf{}", "BOM"),
        (b'{"a": ' + b"9" * 10_000 + b"}", "digits"),
        (b'{"a":' * 17 + b"1" + b"}" * 17, "nested more than 16 levels"),
        (b'{"a":[' * 100_000, "nested more than 16 levels"),
        (b"[" * 1_000_000, "nested more than 16 levels"),
        (b" " * (strict_json.MAX_BYTES + 1), "more than 8,388,608 bytes"),
    ],
    ids=lambda value: repr(value)[:24],
)
def test_decode_refuses_what_readers_may_differ_on(raw: bytes, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        strict_json.decode(raw)


def test_decode_accepts_sixteen_levels() -> None:
    assert strict_json.decode(b'{"a":' * 16 + b"1" + b"}" * 16)


def test_decode_takes_the_callers_size_limit() -> None:
    assert strict_json.decode(b"[1]", max_bytes=3) == [1]
    with pytest.raises(ValueError, match="more than 2 bytes"):
        strict_json.decode(b"[1]", max_bytes=2)


def test_decode_finds_a_duplicate_among_very_many_keys_fast() -> None:
    keys = ",".join(f'"{n}": 0' for n in range(100_000))
    start = time.process_time()
    with pytest.raises(ValueError, match="duplicate key 'z'"):
        strict_json.decode(f'{{{keys}, "z": 1, "z": 2}}'.encode())
    assert time.process_time() - start < 5, "this used to take a minute per 600 KB"
