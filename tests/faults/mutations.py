"""Good answers of every protocol, and random mutations of them: of JSON values and of bytes."""

from __future__ import annotations

import copy
import json
from typing import TYPE_CHECKING, Any, NamedTuple

import chat_wire
from responses_wire import call_item, response, response_events, text_item
from wire_formats import TEXT, WIRE_FORMATS, WORDS, sse

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Iterator

__all__ = ["FORMATS", "RAW", "Format", "insert_raw_values", "mutate_bytes", "mutate_json"]


class Format(NamedTuple):
    """How one protocol answers.

    Attributes:
        protocol: Its name in the registry.
        suffix: What its base URL has after the host.
        whole: Good whole answers.
        streams: Good streams: lists of events.
        encode: Encodes events.
        kind: The content type of a stream.
    """

    protocol: str
    suffix: str
    whole: list[Any]
    streams: list[list[Any]]
    encode: Callable[[list[Any]], bytes]
    kind: str = "text/event-stream"


CALL = chat_wire.tool_call("add", '{"a": 1, "b": 2}', index=0, id="call_0")
CALLS = [CALL, {**CALL, "index": 1, "id": "call_1"}]
THOUGHT = {"role": "assistant", "content": TEXT, "reasoning_content": "hm", "refusal": None}
CHAT = Format(
    protocol="openai-chat",
    suffix="/v1",
    whole=[
        chat_wire.completion({"role": "assistant", "content": TEXT}),
        chat_wire.completion(THOUGHT),
        chat_wire.completion(
            {"role": "assistant", "content": None, "tool_calls": CALLS}, "tool_calls"
        ),
    ],
    streams=[
        [*chat_wire.words(*WORDS), *chat_wire.FINISHED],
        [
            chat_wire.chunk({"reasoning_content": "hm"}),
            *chat_wire.words(*WORDS),
            *chat_wire.FINISHED,
        ],
        [
            *(chat_wire.chunk({"tool_calls": [call]}) for call in CALLS),
            chat_wire.chunk({}, "tool_calls"),
            *chat_wire.FINISHED[1:],
        ],
    ],
    encode=lambda events: b"".join(map(chat_wire.event, events)),
)
ITEMS = [[text_item(TEXT)], [call_item("add", {"a": 1, "b": 2}), call_item("add", {"a": 3}, 1)]]
RESPONSES = Format(
    protocol="openai-responses",
    suffix="/v1",
    whole=[response(*items) for items in ITEMS],
    streams=[response_events(*items) for items in ITEMS],
    encode=sse,
)
FORMATS = [
    CHAT,
    RESPONSES,
    *(
        Format(
            wire.protocol,
            wire.suffix,
            [wire.answer(calls=calls) for calls in (False, True)],
            [wire.events(calls=calls) for calls in (False, True)],
            wire.encode,
            "application/vnd.amazon.eventstream"
            if wire.protocol == "bedrock"
            else "text/event-stream",
        )
        for wire in WIRE_FORMATS
    ),
]

RAW = {
    "@@deep": "[" * 600 + "]" * 600,
    "@@deeper": '{"a":' * 5000 + "1" + "}" * 5000,
    "@@deepest": "[" * 100_000 + "]" * 100_000,
    "@@open": "[" * 100_000,
    "@@huge": "1" + "0" * 400,
    "@@endless": "9" * 5000,
    "@@infinite": "1e999",
    "@@nan": "NaN",
    "@@surrogate": r'"\ud800"',
}
"""Values that `json.dumps` does not write, by the word that stands for them."""

VALUES = (
    None, True, False, 0, 1, -1, 2**53, 2**64, -(2**70), 1.5, -0.0, "", " ", "x", "stop", "error",
    "length", "0", "null", "\0", "\u2028", "{}", "[]", [], {}, [None], [[]], {"": None}, [1, "x"],
    {"a": {"b": 1}},
    {"type": "text", "text": "x"}, {"error": {"message": "x", "code": 500}}, "x" * 10_000,
    [[[]]] * 50, *RAW,
)  # fmt: skip
"""Values of every type, to put anywhere."""


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Yield each place in a JSON value, as its container and its key."""
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, inner in items:
        yield value, key
        if isinstance(inner, dict | list):
            yield from places(inner)


def _replace(rng: random.Random, holder: Any, key: Any) -> None:
    holder[key] = copy.deepcopy(rng.choice(VALUES))


def _delete(_: random.Random, holder: Any, key: Any) -> None:
    del holder[key]


def _wrap_in_list(_: random.Random, holder: Any, key: Any) -> None:
    holder[key] = [holder[key]]


def _wrap_in_object(_: random.Random, holder: Any, key: Any) -> None:
    holder[key] = {"value": holder[key], "error": None}


def _unwrap(rng: random.Random, holder: Any, key: Any) -> None:
    inner = holder[key]
    values = [*inner.values()] if isinstance(inner, dict) else inner
    if isinstance(values, list) and values:
        holder[key] = rng.choice(values)


def _repeat(rng: random.Random, holder: Any, key: Any) -> None:
    if isinstance(holder, list):
        holder.insert(key, copy.deepcopy(holder[key]))
    else:
        holder[f"{key}_{rng.randrange(9)}"] = copy.deepcopy(holder[key])


def _swap(rng: random.Random, holder: Any, key: Any) -> None:
    other = rng.choice([*holder] if isinstance(holder, dict) else range(len(holder)))
    holder[key], holder[other] = holder[other], holder[key]


def _as_text(_: random.Random, holder: Any, key: Any) -> None:
    holder[key] = json.dumps(holder[key])


def _add(rng: random.Random, holder: Any, _: Any) -> None:
    value = copy.deepcopy(rng.choice(VALUES))
    if isinstance(holder, dict):
        holder[rng.choice(("error", "type", "content", "index", "id", "usage", "x"))] = value
    else:
        holder.append(value)


CHANGES = (
    *[_replace] * 6, _delete, _delete, _wrap_in_list, _wrap_in_object, _unwrap, _repeat, _swap,
    _as_text, _add,
)  # fmt: skip


def mutate_json(rng: random.Random, value: Any) -> Any:
    """Return a copy of a JSON value with one to three changes at random places."""
    box = [copy.deepcopy(value)]
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        options = [*places(box)]
        if not options:
            break
        holder, key = rng.choice(options)
        rng.choice(CHANGES)(rng, holder, key)
    return box[0] if box else None


def insert_raw_values(data: bytes) -> bytes:
    """Replace the words for values that `json.dumps` does not write by these values."""
    for word, text in RAW.items():
        data = data.replace(b'"%b"' % word.encode(), text.encode())
    return data


INSERTED = (b"\n", b"\r", b"\n\n", b"\0", b'"', b"{")


def mutate_bytes(rng: random.Random, data: bytes) -> bytes:
    """Return `data` with one to three changes at random places."""
    for _ in range(rng.choice((1, 1, 2, 3))):
        start = rng.randrange(len(data) + 1)
        end = min(len(data), start + rng.choice((1, 1, 2, 8, 64, 512)))
        match rng.randrange(6):
            case 0:
                data = data[:start] + data[end:]
            case 1:
                data = data[:start]
            case 2:
                data = data[:end] + data[start:end] + data[end:]
            case 3:
                data = data[:start] + rng.randbytes(end - start) + data[end:]
            case 4:
                data = data[:start] + rng.choice(INSERTED) + data[start:]
            case _:
                data = data[end:]
    return data
