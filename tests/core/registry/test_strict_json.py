"""JSON from outside means one thing, and is bounded."""

from __future__ import annotations

import json
import time

import pytest

from inference_providers.registry import strict_json


def test_what_is_json_is_decoded() -> None:
    value = {"a": [1, 2.5, None, True, "ü\u2028"], "b": {"c": {}}}
    assert strict_json.decode(json.dumps(value).encode()) == value


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (b"", r"Expecting value: line 1 column 1 \(char 0\), at the end of the text$"),
        (b"{", "Expecting property name.*, at the end of the text$"),
        (b"{} {}", "Extra data: .*, at character '{'$"),
        (b"// mine\n{}", "Expecting value: .*, at character '/'$"),
        (b'{"a": 1,}', "line 1 column 9 .*, at character '}'$"),
        (b'{"a": sk-canary}', "column 7 .*, at character 's'$"),
        (b'{"a": 1, "b": 2, "a": 3}', "duplicate key 'a'"),
        (b'{"x": {"base_url": 1, "base_url": 2}}', "duplicate key 'base_url'"),
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
def test_what_readers_may_differ_on_is_refused(raw: bytes, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        strict_json.decode(raw)


def test_sixteen_levels_pass() -> None:
    assert strict_json.decode(b'{"a":' * 16 + b"1" + b"}" * 16)


def test_the_limit_is_the_callers() -> None:
    assert strict_json.decode(b"[1]", max_bytes=3) == [1]
    with pytest.raises(ValueError, match="more than 2 bytes"):
        strict_json.decode(b"[1]", max_bytes=2)


def test_one_key_of_very_many_that_stands_twice_is_found_at_once() -> None:
    keys = ",".join(f'"{n}": 0' for n in range(100_000))
    begun = time.process_time()
    with pytest.raises(ValueError, match="duplicate key 'z'"):
        strict_json.decode(f'{{{keys}, "z": 1, "z": 2}}'.encode())
    assert time.process_time() - begun < 5, "it took a minute for each 600 KB"
