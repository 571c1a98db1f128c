"""A made-up answer that is streamed in many spellings merges to the same message in LangChain."""

from __future__ import annotations

import json
from itertools import zip_longest
from typing import Any, NamedTuple

from hypothesis import assume, given
from hypothesis import strategies as st
from langchain_core.messages import AIMessageChunk
from langchain_core.outputs.chat_generation import merge_chat_generation_chunks

from inference_providers.wire.chat_reader import read_completion
from langchain_autoprovider.protocols.openai import OpenAIRoute
from wire_corpus import bytes_of, read_stream, whole_chat

ROUTE = OpenAIRoute(model="m", openai_proxy=None)


class Call(NamedTuple):
    """One tool call of a made-up answer."""

    id: str
    name: str
    args: dict[str, Any]


class Spelling(NamedTuple):
    """How a server spells tool calls.

    Attributes:
        ids: `first`: on the first fragment; `each`: on every one; `fresh`: another on every one.
        index: `own`: its own; `zero`: always 0; `late`: on later fragments only.
        name: `first`, `each`, `pieces` or `cumulative`.
        arguments: `pieces`, `object` or `placeholder` (`{}`, then the pieces).
    """

    ids: str
    index: str
    name: str
    arguments: str


SPELLINGS = st.builds(
    Spelling,
    st.sampled_from(["first", "each", "none", "empty", "fresh"]),
    st.sampled_from(["own", "zero", "none", "late", "text"]),
    st.sampled_from(["first", "each", "pieces", "cumulative"]),
    st.sampled_from(["pieces", "object", "placeholder"]),
)
WORDS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
ARGUMENTS = st.dictionaries(
    st.sampled_from(["city", "days", "{", '"', "\\"]),
    st.integers(-9, 9) | WORDS | st.lists(st.booleans(), max_size=2),
    max_size=3,
)


@st.composite
def calls(draw: st.DrawFn) -> list[Call]:
    """Return calls with ids of their own; each has an argument that no other call has."""
    count = draw(st.integers(0, 3))
    names = st.sampled_from(["get_weather", "get", "roll"])
    return [
        Call(f"id-{index}", draw(names), {**draw(ARGUMENTS), "nonce": index})
        for index in range(count)
    ]


def split(draw: st.DrawFn, text: str) -> list[str]:
    """Split a text at random places; an empty one gives one empty piece."""
    places = sorted(draw(st.sets(st.integers(0, len(text)), max_size=4)))
    return [text[a:b] for a, b in zip([0, *places], [*places, len(text)], strict=True)]


def fragments(draw: st.DrawFn, call: Call, number: int, spelling: Spelling) -> list[dict[str, Any]]:
    """Return the `tool_calls` entries that one call is streamed in."""
    arguments: list[Any] = split(draw, json.dumps(call.args))
    if spelling.arguments == "object":
        arguments = [call.args]
    elif spelling.arguments == "placeholder":
        arguments = ["{}", *arguments]
    names: list[str | None] = [call.name]
    if spelling.name in {"pieces", "cumulative"}:
        names = [call.name[:2], call.name[2:] or None]
        if spelling.name == "cumulative":
            names = [call.name[:2], call.name]
    pieces: list[tuple[str | None, Any]] = [(name, "") for name in names[:-1]]
    pieces += [(names[-1], arguments[0])]
    pieces += [(call.name if spelling.name == "each" else None, part) for part in arguments[1:]]
    return [
        {
            **address(call, number, place, spelling),
            "type": "function",
            "function": {"arguments": part, **({} if name is None else {"name": name})},
        }
        for place, (name, part) in enumerate(pieces)
    ]


def address(call: Call, number: int, place: int, spelling: Spelling) -> dict[str, Any]:
    """Return the id and index of one fragment, as far as it has them."""
    result: dict[str, Any] = {}
    if spelling.ids == "each" or (spelling.ids in {"first", "fresh"} and place == 0):
        result["id"] = call.id
    elif spelling.ids == "fresh":
        result["id"] = f"{call.id}-{place}"
    elif spelling.ids == "empty":
        result["id"] = ""
    if spelling.index == "own" or (spelling.index == "late" and place > 0):
        result["index"] = number
    elif spelling.index == "text":
        result["index"] = str(number)
    elif spelling.index == "zero":
        result["index"] = 0
    return result


def is_legible(spelling: Spelling, made_up: list[Call]) -> bool:
    """Whether the spelling says which call a fragment belongs to, at least in order."""
    if spelling.ids == "fresh" and spelling.name != "first":
        return False  # a new id with a name is a new call
    has_ids = spelling.ids in {"first", "each", "fresh"}
    is_placed = spelling.index in {"own", "text"}
    if spelling.index in {"none", "late"} and not has_ids:
        return spelling.name in {"first", "each"} and spelling.arguments != "placeholder"
    if len(made_up) < 2:
        return True
    # A placeholder for a call without a name of its own cannot be told from a repetition.
    return has_ids or is_placed or spelling.arguments != "placeholder"


@st.composite
def streams(draw: st.DrawFn) -> tuple[str, str, list[Call], dict[str, Any]]:
    """Return a text, a reasoning and calls, and a stream that spells them."""
    text, reasoning, made_up = draw(WORDS), draw(WORDS), draw(calls())
    spelling = draw(SPELLINGS)
    assume(is_legible(spelling, made_up))
    key = draw(st.sampled_from(["reasoning", "reasoning_content"]))
    deltas: list[Any] = [{key: part} for part in split(draw, reasoning)]
    for part in split(draw, text):
        in_parts = draw(st.booleans())
        deltas.append({"content": [{"type": "text", "text": part}] if in_parts else part})
    in_turn = [fragments(draw, call, number, spelling) for number, call in enumerate(made_up)]
    if spelling.index == "own" and draw(st.booleans()):  # all calls at once
        rounds = zip_longest(*in_turn)
        deltas += [{"tool_calls": [item for item in round_ if item]} for round_ in rounds]
    else:
        deltas += [{"tool_calls": [item]} for entries in in_turn for item in entries]
    role = draw(st.sampled_from(["first", "each", "none", "model"]))
    for place, delta in enumerate(deltas):
        if role == "each" or (role == "first" and place == 0):
            delta["role"] = "assistant"
        elif role == "model":
            delta["role"] = "model"
    usage = {"prompt_tokens": 7, "completion_tokens": 3}
    cumulative = draw(st.booleans())
    events: list[Any] = []
    for place, delta in enumerate(deltas):
        events.append({"delta": delta})
        if cumulative:
            events[-1]["usage"] = {"prompt_tokens": 7, "completion_tokens": place % 3}
        if draw(st.booleans()):
            noise = [": ping\n\n", "data:\n\n", "retry: 5\n\n", {"choices": []}]
            events.append(draw(st.sampled_from(noise)))
    events.append({"delta": draw(st.sampled_from([None, {}, {"content": None}])), "finish": "stop"})
    events[-1]["usage"] = usage
    if draw(st.booleans()):
        events.append({"choices": [], "usage": usage})
    return text, reasoning, made_up, {"stream": [*events, "data: [DONE]\n\n"]}


@given(streams())
def test_every_spelling_merges_to_the_same_message(
    case: tuple[str, str, list[Call], dict[str, Any]],
) -> None:
    text, reasoning, made_up, row = case
    chunks, error = read_stream(row, [bytes_of(row)])
    assert error is None
    merged = merge_chat_generation_chunks([ROUTE._chunk(chunk) for chunk in chunks])
    assert merged is not None
    message = merged.message
    assert isinstance(message, AIMessageChunk)
    assert message.text == text
    assert message.additional_kwargs.get("reasoning_content", "") == reasoning
    assert [(call["name"], call["args"]) for call in message.tool_calls] == [
        (call.name, call.args) for call in made_up
    ]
    has_ids = any("id" in json.dumps(part) for part in row["stream"]) and "id-0" in str(row)
    ids = [call["id"] for call in message.tool_calls]
    assert all(ids)
    assert len(set(ids)) == len(ids)
    assert not has_ids or ids == [call.id for call in made_up]
    assert message.usage_metadata is not None
    assert message.usage_metadata["input_tokens"] == 7
    assert message.usage_metadata["output_tokens"] == 3
    assert (merged.generation_info or {})["finish_reason"] == "stop"
    whole = whole_chat(read_completion(bytes_of(row)))
    assert (whole.text, whole.reasoning) == (text, reasoning)
    assert [(name, json.loads(args)) for _, name, args in whole.calls] == [
        (call.name, call.args) for call in made_up
    ]
