"""Every row of the corpus, read as a stream and as a whole answer, and cut anywhere."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference_providers.errors import ContentFilteredError, ProviderError
from inference_providers.failures.classifier import classify
from inference_providers.wire import tool_calls
from wire_corpus import (
    ROWS,
    Answer,
    Outcome,
    bytes_of,
    is_chat,
    merge_chat,
    merge_responses,
    read_stream,
    read_whole,
    whole_chat,
    whole_response,
)

GOOD = [row for row in ROWS if "error" not in row]
BAD = [row for row in ROWS if "error" in row]


@pytest.fixture(autouse=True)
def numbered_call_ids(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give calls without an id the same one each time, so that readings can be compared."""
    monkeypatch.setattr(tool_calls, "new_call_id", lambda: "generated")


def name_of(row: dict[str, Any]) -> str:
    return str(row["name"])


def check_answer(row: dict[str, Any], answer: Answer) -> None:
    """Compare what a row states, and that nothing else is there."""
    expected = row.get("content", row.get("text", ""))
    assert answer.text == expected
    assert answer.reasoning == row.get("reasoning", answer.reasoning)
    assert answer.refusal == row.get("refusal", answer.refusal)
    good = [[call_id or "generated", *call] for call_id, *call in row.get("calls", ())]
    malformed = [list(call) for call in row.get("malformed", ())]
    assert [[*call, parsed(text)] for *call, text in answer.calls] == good + [
        [*call, parsed(text)] for *call, text in malformed
    ]


def parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def check_metadata(row: dict[str, Any], last: dict[str, Any]) -> None:
    for name in ("model", "id", "system_fingerprint", "service_tier"):
        if name in row:
            assert last.get(name) == row[name]
    if "usage" in row:
        usage = last.get("usage")
        names = ("prompt_tokens", "completion_tokens") if is_chat(row) else USAGE_NAMES
        assert (usage and [usage.get(name, 0) for name in names]) == row["usage"]
        if "total" in row:
            assert usage["total_tokens"] == row["total"]
        if "cached" in row:
            assert usage["prompt_tokens_details"]["cached_tokens"] == row["cached"]


USAGE_NAMES = ("input_tokens", "output_tokens")


def finish_of(row: dict[str, Any], last: dict[str, Any]) -> Any:
    return last["choices"][0]["finish_reason"] if is_chat(row) else last["response"].get("status")


@pytest.mark.parametrize("row", GOOD, ids=name_of)
def test_a_stream_holds_what_the_row_states(row: dict[str, Any]) -> None:
    chunks, error = read_stream(row, [bytes_of(row)])
    assert error is None
    last = chunks[-1]
    check_answer(row, merge_chat(chunks) if is_chat(row) else merge_responses(chunks))
    check_metadata(row, last if is_chat(row) else last["response"])
    assert finish_of(row, last) == row.get("finish", finish_of(row, last))
    if not is_chat(row):  # a text ends once
        ends = [chunk for chunk in chunks if chunk["type"] == "response.output_text.done"]
        assert len({(end["output_index"], end["content_index"]) for end in ends}) == len(ends)
    if is_chat(row):  # each part of the metadata comes out once
        assert all(set(chunk) == {"object", "choices"} for chunk in chunks[:-1])
        assert all(chunk["choices"][0]["finish_reason"] is None for chunk in chunks[:-1])


@pytest.mark.parametrize("row", GOOD, ids=name_of)
def test_a_whole_answer_holds_what_the_row_states(row: dict[str, Any]) -> None:
    (body,), error = read_whole(row, bytes_of(row))
    assert error is None
    check_answer(row, whole_chat(body) if is_chat(row) else whole_response(body))
    check_metadata(row, body)
    if "others" in row:
        contents = [choice["message"]["content"] for choice in body["choices"]]
        assert contents == [row["text"], *row["others"]]


@pytest.mark.parametrize("row", BAD, ids=name_of)
def test_a_bad_answer_raises_what_the_row_states(row: dict[str, Any]) -> None:
    data = bytes_of(row)
    for error in (read_stream(row, [data]).error, read_whole(row, data).error):
        name, words = row["error"]
        assert type(error).__name__ == name
        assert words in str(error)
        if isinstance(error, ContentFilteredError):
            assert error.partial == row["partial"]
        if "status" in row:
            assert isinstance(error, ProviderError)
            assert error.status_code == row["status"]
        if "class" in row:
            assert classify(error).failure_class.value == row["class"]


def cut(data: bytes, places: list[int]) -> list[bytes]:
    """Cut data at places, given as fractions of a million."""
    edges = sorted({len(data) * place // 1_000_000 for place in places})
    return [data[a:b] for a, b in zip([0, *edges], [*edges, len(data)], strict=True)]


def same(outcome: Outcome, expected: Outcome) -> bool:
    return outcome.chunks == expected.chunks and repr(outcome.error) == repr(expected.error)


@pytest.mark.parametrize("size", [1, 2, 3, 7, 64])
def test_pieces_of_any_size_give_the_same_events(size: int) -> None:
    for row in ROWS:
        data = bytes_of(row)
        pieces = [data[place : place + size] for place in range(0, len(data), size)]
        assert same(read_stream(row, pieces), read_stream(row, [data])), row["name"]


@given(st.sampled_from(ROWS), st.lists(st.integers(0, 1_000_000), min_size=1, max_size=6))
def test_cuts_anywhere_give_the_same_events(row: dict[str, Any], places: list[int]) -> None:
    data = bytes_of(row)
    assert same(read_stream(row, cut(data, places)), read_stream(row, [data]))


def test_corpus_has_a_source_for_each_row() -> None:
    assert len(ROWS) >= 150
    assert all(row["source"] for row in ROWS)
    assert len({row["name"] for row in ROWS}) == len(ROWS)
