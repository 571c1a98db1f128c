"""The JSON codec agrees with `json`, and accepts input that msgspec or `json` refuses."""

from __future__ import annotations

import contextlib
import json
import math
from collections import OrderedDict, deque
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessage
from pydantic import BaseModel

from inference_providers.wire.json_codec import decode, encode

TEXTS = st.text(st.characters(codec=None, categories=None), max_size=20)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
)


@given(VALUES)
def test_encode_and_decode_agree_with_json(value: Any) -> None:
    assert json.loads(encode(value)) == value
    assert decode(json.dumps(value).encode()) == value
    assert decode(encode(value)) == value


@given(st.binary(max_size=60) | TEXTS.map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_decode_takes_all_that_json_takes_or_raises_value_error(data: bytes) -> None:
    try:
        expected = json.loads(data)
    except ValueError:
        with contextlib.suppress(ValueError):
            decode(data)
        return
    assert repr(decode(data)) == repr(expected)  # NaN does not equal itself


@pytest.mark.parametrize(
    ("data", "value"),
    [
        (b'\xef\xbb\xbf{"a": 1}', {"a": 1}),
        (b"  [1]\r\n", [1]),
        (b'"\xff"', "\ufffd"),
        (b'"\\ud83d"', "\ud83d"),
        (b'"a\tb\nc"', "a\tb\nc"),
        (b'{"a": 1, "a": 2}', {"a": 2}),
        (b"1e400", math.inf),
        (b"-Infinity", -math.inf),
        ('{"a": "ü"}'.encode("utf-16"), {"a": "ü"}),
    ],
)
def test_decode_accepts_what_providers_send(data: bytes, value: Any) -> None:
    assert decode(data) == value


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b" ",
        b"{",
        b"[1] x",
        b"data: {}",
        b"<html>",
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b"9" * 10_000,
    ],
    ids=lambda data: data[:8],
)
def test_decode_raises_value_error_for_anything_else(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        decode(data)


class Point(BaseModel):
    x: int
    y: int | None = None


class Text(str):
    __slots__ = ()


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (Point(x=1), {"x": 1}),
        ([{"p": Point(x=1, y=2)}], [{"p": {"x": 1, "y": 2}}]),
        (Text("a"), "a"),
        (AIMessage("hello").text, "hello"),
        (OrderedDict(a=1), {"a": 1}),
        (MappingProxyType({"a": Text("\ud800")}), {"a": "\ud800"}),
        ((1, 2), [1, 2]),
        (deque([1]), [1]),
        ({"a": 1}.keys(), ["a"]),
        (2**80, 2**80),
        ({1: "a"}, {"1": "a"}),
        (math.nan, None),
        ({"\ud800": {1: 2**70}}, {"\ud800": {"1": 2**70}}),
    ],
)
def test_encode_accepts_what_callers_have(value: Any, plain: Any) -> None:
    assert json.loads(encode(value)) == plain


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (object(), "object"),
        ({"a": [1j]}, "complex"),
        (Point, "BaseModel|ModelMetaclass|Point"),
        ("\ud800", None),
    ],
)
def test_encode_names_the_type_that_json_does_not_have(value: Any, name: str | None) -> None:
    if name is None:
        assert encode(value)
        return
    with pytest.raises(TypeError, match=name):
        encode(value)


def test_encode_raises_value_error_for_endless_nesting() -> None:
    value: list[Any] = []
    value.append(value)
    with pytest.raises(ValueError, match="nested too deeply"):
        encode(value)
    with pytest.raises(ValueError, match="nested too deeply"):
        encode(["\ud800", value])
