"""The classifier never fails, and classifies wordings that are not in the corpus.

The bodies in `made_up.json` are of our own making: kin of what the corpus holds,
and traps beside it. The fuzz takes the corpus's bodies apart; it is seeded.
"""

from __future__ import annotations

import copy
import json
import random
import time
from pathlib import Path
from typing import Any

import pytest

from factories import HTTPError
from inference_providers.errors import InvalidResponseError
from inference_providers.failures.classes import Classification, FailureClass, Scope
from inference_providers.failures.classifier import classify

CORPUS_PATH = Path(__file__).parents[2] / "corpus"
CORPUS = json.loads((CORPUS_PATH / "errors.json").read_text("utf-8"))
SEED = 20261122
MUTATIONS_PER_BODY = 25
STATUSES = (200, 302, 400, 401, 402, 403, 404, 412, 413, 422, 429, 498, 500, 503, 529, None)
SLOWEST_S = 0.25


def m(message: str, **fields: Any) -> dict:
    return {"error": {"message": message, **fields}}


MADE_UP = json.loads((CORPUS_PATH / "made_up.json").read_text("utf-8"))
UNSEEN = [(r["status"], r["body"], r["class"]) for r in MADE_UP if "class" in r]
NAMED = [(r["status"], r["body"], r["parameter"]) for r in MADE_UP if "parameter" in r]


@pytest.mark.parametrize(("status", "body", "expected"), UNSEEN, ids=str)
def test_other_wordings_land_in_the_right_class(status: int, body: object, expected: str) -> None:
    assert classify(HTTPError(status, body)).failure_class == expected


@pytest.mark.parametrize(("status", "body", "name"), NAMED, ids=str)
def test_an_unsupported_parameter_is_named(status: int, body: object, name: str | None) -> None:
    classification = classify(HTTPError(status, body))
    assert classification.parameter == name
    assert name is None or classification.failure_class == "bad_request"


@pytest.mark.parametrize(("status", "body", "expected"), UNSEEN, ids=str)
def test_the_meaning_survives_other_envelopes(status: int, body: Any, expected: str) -> None:
    text = json.dumps(body)
    for wrapped in (
        [body],
        text,
        {"detail": body},
        {"error": {"message": text}},
        {"error": {"message": "Provider returned error", "metadata": {"raw": text}}},
    ):
        assert classify(HTTPError(status, wrapped)).failure_class == expected, wrapped


@pytest.mark.parametrize(("status", "body", "name"), [case for case in NAMED if case[2]], ids=str)
def test_a_named_parameter_goes_before_other_words(status: int, body: object, name: str) -> None:
    classification = classify(
        HTTPError(status, {"detail": body, "hint": "Or else: invalid API key"})
    )
    assert (classification.failure_class, classification.parameter) == ("bad_request", name)


# Bodies taken apart


def mutated(value: Any, rng: random.Random) -> Any:
    """Return a copy with one thing in it changed, or all of it."""
    change = rng.choice(
        [
            lambda v: [v],
            lambda v: {"error": v},
            lambda v: {"detail": v, "code": None},
            lambda v: json.dumps(v)[: rng.randrange(1, 200)],
            lambda v: json.dumps(json.dumps(v)),
            lambda _: None,
            lambda _: rng.choice([0, -1, 3.5, 10**40, float("nan"), float("inf"), True, 429]),
            lambda _: rng.choice(["", " ", "\x00", "\ud800", "{", "[1,", "429", "a" * 50_000]),
            lambda _: [[], {}, [None], {"": {}}],
            lambda v: {str(n): v for n in range(30)},
            lambda v: [v] * 30,
        ]
    )
    if not isinstance(value, dict | list) or not value or rng.random() < 0.3:
        return change(value)
    value = copy.copy(value)
    key = rng.choice(list(value) if isinstance(value, dict) else range(len(value)))
    if isinstance(value, dict) and rng.random() < 0.2:
        value[rng.choice([1, None, 2.5, "retryDelay", "param", "code", "status"])] = value.pop(key)
    else:
        value[key] = mutated(value[key], rng)
    return value


def is_sound(classification: Any) -> bool:
    return (
        type(classification) is Classification
        and isinstance(classification.failure_class, FailureClass)
        and isinstance(classification.scope, Scope)
        and (classification.status is None or 100 <= classification.status <= 599)
        and (
            classification.retry_after_s is None
            or 0 <= classification.retry_after_s <= 366 * 86_400
        )
        and (classification.parameter is None or classification.failure_class == "bad_request")
    )


@pytest.mark.slow
def test_any_body_gives_a_verdict_and_the_status_keeps_its_say() -> None:
    rng = random.Random(SEED)
    for row in CORPUS:
        body = row["body"]
        for _ in range(MUTATIONS_PER_BODY):
            body = mutated(body, rng)
            status = rng.choice(STATUSES)
            headers = {"Retry-After": rng.choice(["", "x", "-1", "1e400", "9" * 400, "7"])}
            for error in (HTTPError(status, body, headers), InvalidResponseError("x", body=body)):
                classification = classify(error)
                assert is_sound(classification), (status, body)
            if status in {503, 529}:
                assert classify(HTTPError(status, body)).failure_class in {
                    "overloaded",
                    "rate_limited",
                }
            body = body if rng.random() < 0.5 else row["body"]


def test_very_deep_bodies_are_cut_off() -> None:
    deep: Any = "insufficient balance"
    for _ in range(5000):
        deep = {"error": deep}
    assert is_sound(classify(HTTPError(429, deep)))
    assert is_sound(classify(HTTPError(429, "[" * 100_000)))
    assert is_sound(classify(HTTPError(429, '{"error":' * 100_000)))


@pytest.mark.parametrize(
    "word",
    [
        "retry ", "wait a b c ", "a", "model ", "model a/b ", "exceed ", "context ", "prompt a b ",
        "parameter x ", "1 s ", "1h2m", "per day try again ", "input token ", "does not support ",
        "body a b c ", "max_tokens ", "limit 1 ", "no a b c ", "'a' is ", "invalid a b ", "`", " ",
        "api key a b c d e f ", "unsupported a b ", "reset at ", "not have access to to ", "{",
        "requests per ", "credit a b c ", "quota a b ", "0 ", "1,", "violating a b ",
    ],
)  # fmt: skip
@pytest.mark.slow
def test_long_texts_take_no_time(word: str) -> None:
    body = m(word * (20_000 // len(word)))
    for status in (400, 403, 429, 500, None):
        assert min(own_time_s(status, body) for _ in range(3)) < SLOWEST_S, status


def own_time_s(status: int | None, body: object) -> float:
    """Return what it takes without what else the machine does."""
    begun = time.thread_time()
    classify(HTTPError(status, body))
    return time.thread_time() - begun
