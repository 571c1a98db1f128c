"""Mutated answers over HTTP: documented exceptions only, no wrong text, bounded in time and memory.

`MUTATED_ANSWERS=20000 pytest tests/faults/test_mutated_answers.py` runs more of them.
"""

from __future__ import annotations

import json
import os
import random
import resource
import time
from typing import TYPE_CHECKING, Any, NamedTuple

import openai
import pytest

from faults.mutations import FORMATS, RAW, Format, insert_raw_values, mutate_bytes, mutate_json
from inference_providers.errors import InferenceProvidersError, StreamInterrupted
from raw_server import RawServer, Response, http, until_close

if TYPE_CHECKING:
    from collections.abc import Iterator

    from factories import Pair

pytestmark = [
    pytest.mark.slow,
    pytest.mark.usefixtures("_no_backoff"),
    pytest.mark.filterwarnings("ignore:Pydantic serializer warnings"),  # of vendors' SDKs
]

COUNT = int(os.environ.get("MUTATED_ANSWERS", "2000"))
SEED = int(os.environ.get("MUTATION_SEED", "1"))
LONGEST_S = 20.0
"""Far longer than any answer here takes on a busy machine."""
MOST_MEMORY_KB = 300_000
DECODER = json.JSONDecoder(strict=False)
MODES = ("invoke", "ainvoke", "stream", "astream")
DOCUMENTED = (InferenceProvidersError, openai.OpenAIError)


READ_AS = {"@@surrogate": "\ufffd", "@@huge": RAW["@@huge"]}
"""How text is read that `insert_raw_values` replaces."""


class Mutant(NamedTuple):
    """A mutated answer.

    Attributes:
        data: Its bytes.
        texts: The texts in it.
        streams: Whether it is that of a stream.
        kind: Its content type.
    """

    data: bytes
    texts: list[str]
    streams: bool
    kind: str


def mutants(rng: random.Random, form: Format, count: int) -> Iterator[Mutant]:
    """Yield `count` mutated answers; one in four has its bytes mutated, not its values."""
    for _ in range(count):
        streams = rng.random() < 0.5
        answer = rng.choice(form.streams if streams else form.whole)
        changes_bytes = rng.random() < 0.25
        if not changes_bytes:
            answer = mutate_events(rng, answer) if streams else mutate_json(rng, answer)
        data = encode(form, answer) if streams else json.dumps(answer).encode()
        if changes_bytes:
            data = mutate_bytes(rng, data)
        texts = texts_in(data.decode("utf-8", "replace"))
        kind = form.kind if streams else "application/json"
        yield Mutant(insert_raw_values(data), texts, streams, kind)


def mutate_events(rng: random.Random, events: list[Any]) -> list[Any]:
    """Return a copy of a stream's events, one of them mutated, missing, repeated or moved."""
    events = [*events]
    n = rng.randrange(len(events))
    match rng.randrange(8):
        case 0:
            del events[n]
        case 1:
            events.insert(n, events[n])
        case 2:
            events.insert(rng.randrange(len(events)), events.pop(n))
        case 3:
            del events[n:]
        case _:
            events[n] = mutate_json(rng, events[n])
    return events


def encode(form: Format, events: list[Any]) -> bytes:
    """Return a stream; an event that its encoder cannot write is left out."""
    data = b""
    for event in events:
        try:
            data += form.encode([event])
        except (AttributeError, TypeError, ValueError):
            continue
    return data


def respond(rng: random.Random, mutant: Mutant) -> Response:
    if rng.random() < 0.5:
        return until_close(mutant.data, kind=mutant.kind)
    return http(mutant.data, kind=mutant.kind)


def texts_in(sent: str) -> list[str]:
    """Return every text and number in the JSON values of a response, in order."""
    texts: list[str] = []
    at = 0
    while (at := next((n for n in range(at, len(sent)) if sent[n] in "{["), len(sent))) < len(sent):
        try:
            value, at = DECODER.raw_decode(sent, at)
        except ValueError:
            at += 1  # a value inside it may be whole
        else:
            texts += scalars(value)
    return texts


def scalars(value: Any) -> Iterator[str]:
    if isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from scalars(inner)
    elif value not in (None, ""):
        text = value if isinstance(value, str) else json.dumps(value)
        yield whole_characters(READ_AS.get(text, text))


def whole_characters(text: str) -> str:
    """Return `text` without half characters, which our readers replace and some SDKs keep."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def is_made_of(text: str, texts: list[str]) -> bool:
    """Whether `text` is some of `texts`, joined in order: nothing made up, nothing repeated."""
    text = whole_characters(text)
    ends = {0}
    for part in texts:
        ends |= {end + len(part) for end in ends if text.startswith(part, end)}
    return len(text) in ends


async def answer_text(model: Any, mode: str) -> str:
    if mode == "invoke":
        return model.invoke("Hi").text
    if mode == "ainvoke":
        return (await model.ainvoke("Hi")).text
    if mode == "stream":
        return "".join(chunk.text for chunk in model.stream("Hi"))
    return "".join([chunk.text async for chunk in model.astream("Hi")])


async def play(model: Any, mode: str, mutant: Mutant, counts: dict[str, int]) -> str | None:
    """Make one call; return what is wrong with its result, if anything."""
    try:
        text = await answer_text(model, mode)
    except DOCUMENTED as error:
        counts[type(error).__name__] = counts.get(type(error).__name__, 0) + 1
        partial = error.partial.text if isinstance(error, StreamInterrupted) else ""
        return None if is_made_of(partial, mutant.texts) else f"partial {partial!r}"
    except Exception as error:  # noqa: BLE001 - that is the question
        return f"{type(error).__name__}: {error}"
    result = "moved on" if text == "from second" else "answered"
    counts[result] = counts.get(result, 0) + 1
    if result == "answered" and not is_made_of(text, mutant.texts):
        return f"text {text!r}"
    return None


@pytest.mark.parametrize("form", FORMATS, ids=lambda form: form.protocol)
async def test_mutated_answer_raises_only_documented_errors(
    faulty_pair: Pair, faulty: RawServer, form: Format
) -> None:
    rng = random.Random(f"{SEED} {form.protocol}")
    model = faulty_pair.model_over(
        form.protocol, suffix=form.suffix, cooldown=False, timeout=LONGEST_S
    )
    counts: dict[str, int] = {}
    problems = []
    memory_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for mutant in mutants(rng, form, COUNT // len(FORMATS)):
        response = respond(rng, mutant)
        faulty.answer = lambda _, response=response: response
        mode = MODES[2 * mutant.streams + rng.randrange(2)]
        started_at = time.monotonic()
        if problem := await play(model, mode, mutant, counts):
            problems.append((problem[:200], mode, mutant.data[:1500]))
        if (seconds := time.monotonic() - started_at) > LONGEST_S:
            problems.append((f"{seconds:.1f} s", mode, mutant.data[:1500]))
        faulty.requests.clear()
    print(form.protocol, counts)  # noqa: T201 - shown when it fails, and with -s
    assert problems == []
    grown_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory_kb
    assert grown_kb < MOST_MEMORY_KB
    assert counts.get("answered", 0) > 0
    assert counts.get("moved on", 0) > 0
