"""Finish reasons: every word of every vendor, in any spelling."""

from __future__ import annotations

from typing import Any

import pytest

from inference_providers.errors import ContentFilteredError, InvalidResponseError
from inference_providers.wire import finish_reasons
from inference_providers.wire.finish_reasons import (
    ANTHROPIC,
    BEDROCK,
    CHAT,
    COHERE,
    GOOGLE,
    MISTRAL,
    REPLICATE,
    RESPONSES,
    FinishReasons,
)

TABLES = {
    "anthropic": ANTHROPIC,
    "bedrock": BEDROCK,
    "chat": CHAT,
    "cohere": COHERE,
    "google": GOOGLE,
    "mistral": MISTRAL,
    "replicate": REPLICATE,
    "responses": RESPONSES,
}


def spellings(word: str) -> set[str]:
    """Return other spellings of a word in snake_case."""
    first, *rest = word.split("_")
    return {
        word.upper(),
        word.replace("_", "-"),
        word.replace("_", " "),
        word.replace("_", ""),
        first + "".join(part.capitalize() for part in rest),
        "".join(part.capitalize() for part in (first, *rest)),
        f"FinishReason.{word.upper()}",
        f"FINISH_REASON_{word.upper()}",
        f"some_filter: {word.upper()}",
        word * 3,
        f"  {word}\n",
    }


@pytest.mark.parametrize("vendor", TABLES)
def test_a_word_means_the_same_in_every_spelling(vendor: str) -> None:
    reasons = TABLES[vendor]
    for word, meaning in reasons.words.items():
        assert reasons.meaning(word) == meaning
        different = {text for text in spellings(word) if reasons.meaning(text) != meaning}
        assert not different, (word, meaning)


@pytest.mark.parametrize(
    ("word", "meaning"),
    [
        ("upstream_error", "error"),
        ("request_cancelled_by_server", "error"),
        ("quota_exhausted", "error"),
        ("unclosed stream", "error"),
        ("no_error", "stop"),
        ("ended_by_moderation", "content_filter"),
        ("UnsafeOutput", "content_filter"),
        ("max_new_tokens", "length"),
        ("max_completion_tokens", "length"),
        ("output_truncated", "length"),
        ("context_length_exceeded", "context_window"),
        ("toolUseRequested", "tool_calls"),
        ("endoftext", "stop"),
        ("stop_str", "stop"),
        ("banana", None),
        ("7", None),
        ("", None),
        ("…", None),
    ],
)
def test_an_unlisted_word_is_judged_by_its_parts(word: str, meaning: str | None) -> None:
    assert CHAT.meaning(word) == meaning


def test_a_protocol_overrides_what_others_mean() -> None:
    reasons = FinishReasons(keys=("finish_reason",), words={"stop": "error"})
    assert reasons.meaning("STOP") == "error"
    assert reasons.meaning("MAX_TOKENS") == "length"


@pytest.mark.parametrize("value", [None, "", " ", "null", "None", "not_finished", [], {}, True])
def test_a_value_that_is_no_reason_ends_nothing(value: Any) -> None:
    assert CHAT.word_in({"finish_reason": value}) is None


def test_check_raises_for_failed_and_filtered_answers() -> None:
    CHAT.check("stop", has_output=False)
    CHAT.check("length", has_output=False)
    CHAT.check("banana", has_output=True)
    CHAT.check(None, has_output=True)
    with pytest.raises(InvalidResponseError, match="banana"):
        CHAT.check("banana", has_output=False)
    with pytest.raises(InvalidResponseError, match="no finish reason"):
        CHAT.check(None, has_output=False)
    with pytest.raises(InvalidResponseError, match="generation failed"):
        CHAT.check("error", has_output=True, text="The capital is")
    with pytest.raises(ContentFilteredError) as error:
        CHAT.check("content_filter", has_output=True, text="The capital is")
    assert error.value.partial == "The capital is"


def test_check_escapes_and_cuts_the_word() -> None:
    with pytest.raises(InvalidResponseError) as error:
        CHAT.check("error\n\x1b" + "x" * 10_000, has_output=True)
    assert len(str(error.value)) < 250
    assert str(error.value).isprintable()


def test_every_word_of_the_tables_is_in_snake_case() -> None:
    for reasons in TABLES.values():
        assert {finish_reasons._snake_case(word) for word in reasons.words} == set(reasons.words)
