"""A key is found in texts and bytes: whole, cut, encoded, in either case."""

from __future__ import annotations

import base64
import html
import json
import string
from typing import TYPE_CHECKING
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference_providers.scrubbing.texts import MIN_RUN, MIN_SCRUBBED_LENGTH, TextScrubber

if TYPE_CHECKING:
    from collections.abc import Callable

SECRET = 'sk-Canary_0+2/4&6"8abcdef=='
NAME = "[K]"
LONG = "sk-proj-" + "".join(string.ascii_letters[i * 7 % 52] for i in range(144))

KEYS = st.text(st.sampled_from([chr(c) for c in range(33, 127)]), min_size=MIN_SCRUBBED_LENGTH)

ENCODINGS: dict[str, Callable[[str], str]] = {
    "plain": str,
    "upper case": str.upper,
    "lower case": str.lower,
    "URL": lambda value: quote(value, safe=""),
    "URL with slashes": quote,
    "form": quote_plus,
    "HTML": html.escape,
    "JSON": lambda value: json.dumps(value)[1:-1],
    "JSON in JSON": lambda value: json.dumps(json.dumps(value)),
    "JSON with escaped slashes": lambda value: json.dumps(value)[1:-1].replace("/", "\\/"),
    "repr": repr,
    "hex": lambda value: value.encode().hex(),
    "HEX": lambda value: value.encode().hex().upper(),
    "UTF-16": lambda value: value.encode("utf-16-le").decode("latin-1"),
    "UTF-16 BE": lambda value: value.encode("utf-16-be").decode("latin-1"),
    **{
        f"base64 at {before}{kind.__name__}": lambda value, before=before, kind=kind: kind(
            b"x" * before + value.encode() + b"y"
        ).decode()
        for before in range(4)
        for kind in (base64.b64encode, base64.urlsafe_b64encode)
    },
}


def runs(value: str, length: int) -> list[str]:
    return [value[start : start + length] for start in range(len(value) - length + 1)]


@pytest.mark.parametrize("encode", ENCODINGS.values(), ids=ENCODINGS)
@pytest.mark.parametrize("secret", [SECRET, LONG, "abc123XYZ", "key-456"])
def test_text_finds_a_key_in_every_encoding(encode: Callable[[str], str], secret: str) -> None:
    shown = encode(secret)
    scrubbed = TextScrubber(secret, NAME).text(f"before {shown} after")
    assert scrubbed.startswith("before ")
    assert scrubbed.endswith(" after")
    assert NAME in scrubbed
    rest = scrubbed.replace(NAME, "")
    assert not [run for run in runs(shown, MIN_RUN) if run in rest]


@given(KEYS, st.text(max_size=30), st.text(max_size=30), st.data())
def test_text_leaves_no_part_of_a_key_that_is_long_enough(
    secret: str, before: str, after: str, data: st.DataObject
) -> None:
    start = data.draw(st.integers(0, len(secret)))
    stop = data.draw(st.integers(start, len(secret)))
    scrubbed = TextScrubber(secret, NAME).text(before + secret[start:stop] + after)
    length = min(MIN_RUN, len(secret))
    rest = scrubbed.lower().split(NAME.lower())
    assert not [run for run in runs(secret.lower(), length) for part in rest if run in part]
    if stop - start >= length:
        assert NAME in scrubbed


@given(st.text(), st.binary())
def test_text_without_a_key_is_the_same_object(text: str, data: bytes) -> None:
    scrubber = TextScrubber("a-key-that-nobody-draws", NAME)
    assert scrubber.text(text) is text
    assert scrubber.data(data) is data


@pytest.mark.parametrize("cut", range(MIN_RUN, len(LONG)))
def test_text_finds_a_key_cut_at_either_end(cut: int) -> None:
    scrubber = TextScrubber(LONG, NAME)
    assert scrubber.text(f"é {LONG[:cut]}… and …{LONG[-cut:]}") == f"é {NAME}… and …{NAME}"


def test_text_leaves_short_values_and_short_parts() -> None:
    assert TextScrubber("tests", NAME).text("tests of tests") == "tests of tests"
    assert TextScrubber(LONG, NAME).text(f"{LONG[:9]}***") == f"{LONG[:9]}***"


def test_text_keeps_surrogates_and_what_stands_between_keys() -> None:
    text = f"\ud800{SECRET}\udfff{SECRET}{SECRET} 日本"
    assert TextScrubber(SECRET, NAME).text(text) == f"\ud800{NAME}\udfff{NAME}{NAME} 日本"


@pytest.mark.parametrize("secret", ["a" * 50, "ab" * 30, LONG])
@pytest.mark.parametrize("unit", ["a", "ab", LONG[:9], LONG[20:29] + " "])
def test_text_is_scrubbed_once_where_everything_looks_alike(secret: str, unit: str) -> None:
    """Many near misses and overlaps end in bounded time."""
    scrubbed = TextScrubber(secret, NAME).text(unit * (100_000 // len(unit)))
    assert not [run for run in runs(secret, MIN_RUN) if run in scrubbed]
