"""Token counts in every shape: integers come out, or nothing."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inference_providers.wire.usage import (
    CHAT_NAMES,
    RESPONSES_NAMES,
    CountNames,
    merge_usage,
    read_usage,
)

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=2), inner),
    max_leaves=4,
)
NAMES = st.sampled_from(
    [*CHAT_NAMES, *RESPONSES_NAMES, "total_tokens", "cached_tokens", "completion_tokens_details"]
)
USAGES = st.dictionaries(NAMES, VALUES)


def assert_counts(usage: dict[str, Any]) -> None:
    for name, value in usage.items():
        if name.endswith("_details"):
            assert all(type(count) is int for count in value.values())
        else:
            assert type(value) is int


@pytest.mark.parametrize("names", [CHAT_NAMES, RESPONSES_NAMES], ids=["chat", "responses"])
@settings(max_examples=100)
@given(first=USAGES, second=USAGES)
def test_usage_has_integers_only(
    names: CountNames, first: dict[str, Any], second: dict[str, Any]
) -> None:
    old, new = read_usage(first, names), read_usage(second, names)
    for usage in filter(None, (old, new)):
        assert_counts(usage)
    if new is not None and names is CHAT_NAMES:
        assert_counts(merge_usage(old, new))


@pytest.mark.parametrize("name", [CHAT_NAMES.prompt, CHAT_NAMES.answer, "total_tokens"])
def test_usage_drops_a_count_that_is_an_object(name: str) -> None:
    usage = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
    read = read_usage({**usage, name: {"value": 10}})
    assert read is not None
    assert_counts(read)
