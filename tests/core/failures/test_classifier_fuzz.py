"""Whatever a provider sends, `classify` returns a sound classification, and quickly.

The fuzz mutates the bodies of the corpus; it is seeded.
"""

from __future__ import annotations

import copy
import json
import random
import time
from pathlib import Path
from typing import Any

import pytest

from factories import HTTPError, http_error
from inference_providers.errors import InvalidResponseError
from inference_providers.failures.classes import Classification, FailureClass, Scope
from inference_providers.failures.classifier import classify

CORPUS_FILE = Path(__file__).parents[2] / "corpus" / "errors.json"
CORPUS = json.loads(CORPUS_FILE.read_text("utf-8"))
SEED = 20261122
MUTATIONS_PER_BODY = 25
STATUSES = (200, 302, 400, 401, 402, 403, 404, 412, 413, 422, 429, 498, 500, 503, 529, None)
SLOWEST_S = 0.25


def mutate(value: Any, rng: random.Random) -> Any:
    """Return a copy of a body with one part of it, or all of it, changed."""
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
        value[key] = mutate(value[key], rng)
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
def test_classify_returns_a_sound_result_for_any_body() -> None:
    rng = random.Random(SEED)
    for row in CORPUS:
        body = row["body"]
        for _ in range(MUTATIONS_PER_BODY):
            body = mutate(body, rng)
            status = rng.choice(STATUSES)
            headers = {"Retry-After": rng.choice(["", "x", "-1", "1e400", "9" * 400, "7"])}
            for error in (HTTPError(status, body, headers), InvalidResponseError("x", body=body)):
                classification = classify(error)
                assert is_sound(classification), (status, body)
            if status in {503, 529}:
                assert classify(http_error(status, body)).failure_class in {
                    "overloaded",
                    "rate_limited",
                }
            body = body if rng.random() < 0.5 else row["body"]


def test_classify_cuts_off_very_deep_bodies() -> None:
    deep: Any = "insufficient balance"
    for _ in range(5000):
        deep = {"error": deep}
    assert is_sound(classify(http_error(429, deep)))
    assert is_sound(classify(http_error(429, "[" * 100_000)))
    assert is_sound(classify(http_error(429, '{"error":' * 100_000)))


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
def test_classify_reads_long_texts_quickly(word: str) -> None:
    body = {"error": {"message": word * (20_000 // len(word))}}
    for status in (400, 403, 429, 500, None):
        assert min(thread_time_s(status, body) for _ in range(3)) < SLOWEST_S, status


def thread_time_s(status: int | None, body: object) -> float:
    """Return the CPU time of this thread, which other load on the machine does not change."""
    start = time.thread_time()
    classify(http_error(status, body))
    return time.thread_time() - start
