"""Every body in the corpus is classified, and means the same however it arrives.

The bodies are data (`tests/corpus`). The tests here change what must not matter (envelope, case,
spelling of codes, noise, echoed prompts, the SDK's attributes) and what must (the status).
"""

from __future__ import annotations

import json
import re
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import openai
import pytest

from factories import HTTPError
from inference_providers.errors import AllRoutesFailed, InvalidResponseError
from inference_providers.failures.classes import FailureClass, Scope
from inference_providers.failures.classifier import classify
from inference_providers.testing import FakeProvider, Reply
from langchain_autoprovider import AutoChatModel

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

CORPUS_PATH = Path(__file__).parents[2] / "corpus"
REAL = json.loads((CORPUS_PATH / "errors.json").read_text("utf-8"))
MADE_UP = json.loads((CORPUS_PATH / "made_up.json").read_text("utf-8"))
FAILED = [
    row
    for row in REAL + MADE_UP
    if row["status"] >= 400 and "class" in row and "known_miss" not in row
]
"""Every row that is a failed response of a known class."""
PARAMETERS = [row for row in MADE_UP if "parameter" in row]

REQUEST = {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}
FIELDS = {
    "provider", "status", "headers", "body", "source", "class", "scope", "retry_after_s", "now",
    "parameter", "partial", "known_miss",
}  # fmt: skip


def row_id(row: dict) -> str:
    return f"{row['provider']}-{row['status']}-{row['class']}-{REAL.index(row)}"


def real_rows(*, failed: bool) -> list:
    params = []
    for row in REAL:
        if (row["status"] >= 400) == failed:
            miss = row.get("known_miss")
            marks = [pytest.mark.xfail(reason=miss, strict=True)] if miss else []
            params.append(pytest.param(row, id=row_id(row), marks=marks))
    return params


def reply_of(row: dict) -> Reply:
    kind = "text/plain" if isinstance(row["body"], str) else "application/json"
    headers = {"content-type": kind, **row.get("headers", {})}
    return Reply(status=row["status"], body=row["body"], headers=headers)


def check(row: dict, error: Exception) -> None:
    now = datetime.fromisoformat(row["now"]) if "now" in row else None
    classification = classify(error, now)
    assert classification.failure_class == row["class"]
    assert classification.scope == row["scope"]
    assert classification.retry_after_s == pytest.approx(row.get("retry_after_s"))
    assert classification.parameter == row.get("parameter")


def misread(read: Callable[[dict], FailureClass | None], rows: list[dict] | None = None) -> list:
    """Return the rows whose class `read` does not return; it returns `None` to skip a row."""
    wrong = []
    for row in FAILED if rows is None else rows:
        failure_class = read(row)
        if failure_class is not None and failure_class != row["class"]:
            wrong.append((failure_class, row))
    return wrong


def class_of(status: int, body: object, **headers: str) -> FailureClass:
    return classify(HTTPError(status, body, headers)).failure_class


# Real bodies, through the SDK that most providers are called with


@pytest.fixture(scope="module")
def provider() -> Iterator[tuple[FakeProvider, openai.OpenAI]]:
    """A fake provider, and the SDK's client for it."""
    fake = FakeProvider()
    client = openai.OpenAI(base_url=fake.base_url, api_key="k", max_retries=0)
    with fake, client:
        yield fake, client


@pytest.mark.parametrize("row", real_rows(failed=True))
def test_classify_reads_real_errors(row: dict, provider) -> None:
    fake, client = provider
    fake.replies = [reply_of(row)]
    with pytest.raises(openai.APIStatusError) as caught:
        client.chat.completions.create(**REQUEST)
    check(row, caught.value)
    assert classify(caught.value).status == row["status"]


@pytest.mark.parametrize("row", real_rows(failed=False))
def test_classify_reads_errors_in_a_200(row: dict) -> None:
    check(row, InvalidResponseError("no answer", body=row["body"]))


@pytest.mark.slow
@pytest.mark.parametrize(
    "row",
    [row for row in REAL if row["status"] in {200, 402, 403, 412, 429, 498, 503}][::6],
    ids=row_id,
)
@pytest.mark.parametrize("mode", ["invoke", "stream"])
def test_chat_model_reads_real_errors_alike(row: dict, mode: str) -> None:
    with FakeProvider(reply_of(row)) as fake:
        registry = {"providers": {"fake": fake.row({"mixtral-8x7b": "m"})}}
        model = AutoChatModel("fake/mixtral-8x7b", registry=registry, max_attempts=1)
        with pytest.raises(Exception) as caught:  # noqa: PT011 - the class decides which
            list(getattr(model, mode)("Hi"))
    if isinstance(caught.value, AllRoutesFailed):
        assert {attempt.failure_class for attempt in caught.value.attempts} == {row["class"]}
    else:
        assert classify(caught.value).failure_class == row["class"]


def test_corpus_rows_are_complete_and_unique() -> None:
    assert len(REAL) >= 130
    assert len({row["provider"] for row in REAL}) >= 24
    assert {row["class"] for row in REAL} == set(FailureClass)
    for row in REAL:
        assert row["source"], row
        assert set(row) <= FIELDS, row
        assert Scope(row["scope"]), row
    for rows in (REAL, MADE_UP):
        keys = [json.dumps((row.get("provider"), row["status"], row["body"])) for row in rows]
        assert len(set(keys)) == len(keys)


# Made-up bodies: variants of the real ones and traps beside them


@pytest.mark.parametrize("failure_class", [c for c in FailureClass if c != "invalid_response"])
def test_classify_reads_unseen_wordings(failure_class: FailureClass) -> None:
    rows = [row for row in MADE_UP if row.get("class") == failure_class]
    assert rows
    assert misread(lambda row: class_of(row["status"], row["body"]), rows) == []


def test_classify_names_the_unsupported_parameter() -> None:
    for row in PARAMETERS:
        classification = classify(HTTPError(row["status"], row["body"]))
        assert classification.parameter == row["parameter"], row
        if row["parameter"]:
            assert classification.failure_class == "bad_request", row
            hinted = {"detail": row["body"], "hint": "Or else: invalid API key"}
            assert classify(HTTPError(row["status"], hinted)) == classification, row


# What must not matter: the envelope, the spelling, noise and echoes


@pytest.mark.parametrize(
    "wrap",
    [
        pytest.param(lambda body: [body], id="array of one"),
        pytest.param(json.dumps, id="JSON text"),
        pytest.param(lambda body: {"detail": body}, id="detail"),
        pytest.param(lambda body: {"errors": [body]}, id="errors"),
        pytest.param(lambda body: {"error": {"innererror": body}}, id="innererror"),
        pytest.param(lambda body: {"error": {"message": json.dumps(body)}}, id="JSON in message"),
        pytest.param(
            lambda body: {
                "error": {
                    "message": "Provider returned error",
                    "metadata": {"raw": json.dumps(body)},
                }
            },
            id="gateway",
        ),
    ],
)
def test_classify_opens_every_envelope(wrap: Callable[[object], object]) -> None:
    assert misread(lambda row: class_of(row["status"], wrap(row["body"]))) == []


def map_strings(value: Any, change: Callable[[str], str], *, codes: bool) -> Any:
    """Change the codes (one ASCII word) or the sentences in a body."""
    if isinstance(value, dict):
        return {key: map_strings(item, change, codes=codes) for key, item in value.items()}
    if isinstance(value, list):
        return [map_strings(item, change, codes=codes) for item in value]
    if not isinstance(value, str) or codes != (
        re.fullmatch(r"[\w.-]+", value, re.ASCII) is not None
    ):
        return value
    return change(value)


@pytest.mark.parametrize(
    "change",
    [
        str.upper,
        str.lower,
        lambda text: text.replace(" ", "\n\t "),
        lambda text: f"  {text}  ",
    ],
    ids=["upper", "lower", "line breaks", "padded"],
)
def test_classify_ignores_case_and_space_of_text(change: Callable[[str], str]) -> None:
    def read(row: dict) -> FailureClass:
        return class_of(row["status"], map_strings(row["body"], change, codes=False))

    assert misread(read) == []


def words_of(code: str) -> list[str]:
    code = re.sub(r"([a-z0-9])([A-Z])", r"\1 \2", code)
    code = re.sub(r"([A-Z])([A-Z][a-z])", r"\1 \2", code)
    return re.sub(r"[^A-Za-z0-9]+", " ", code).lower().split()


@pytest.mark.parametrize(
    "join",
    [
        "_".join,
        "-".join,
        ".".join,
        lambda words: "_".join(words).upper(),
        lambda words: "".join(word.title() for word in words),
    ],
    ids=["snake", "kebab", "dots", "UPPER", "Camel"],
)
def test_classify_reads_codes_in_any_spelling(join: Callable[[list[str]], str]) -> None:
    def read(row: dict) -> FailureClass:
        respelled = map_strings(row["body"], lambda code: join(words_of(code)), codes=True)
        return class_of(row["status"], respelled)

    assert misread(read) == []


def reverse_keys(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: reverse_keys(item) for key, item in reversed(value.items())}
    return [reverse_keys(item) for item in value] if isinstance(value, list) else value


def test_classify_ignores_the_order_of_keys() -> None:
    assert misread(lambda row: class_of(row["status"], reverse_keys(row["body"]))) == []


def with_fields(row: dict, fields: dict[str, Any]) -> FailureClass | None:
    """Classify a row whose body and error object have more fields."""
    body = row["body"]
    if not isinstance(body, dict):
        return None
    body = {**body, **fields}
    if isinstance(body.get("error"), dict):
        body["error"] = {**body["error"], **fields}
    return class_of(row["status"], body)


TRIGGERS = (
    "insufficient balance, rate limit exceeded, daily limit, invalid API key, model m not found,"
    " violates our content policy, the prompt is too long, unsupported parameter: 'n', overloaded"
)


@pytest.mark.parametrize(
    "fields",
    [
        {"request_id": "req-insufficient-balance", "user_id": "rate_limit_exceeded"},
        {"doc_url": "https://p.test/rate-limit-exceeded", "url": "https://p.test/overloaded"},
        {"id": "insufficient_quota", "model": "credit-balance-too-low", "@type": "invalid_api_key"},
        {"param": None, "timestamp": 1_795_348_800, "success": False, "retryable": True},
    ],
    ids="-".join,
)
def test_classify_ignores_noise_fields(fields: dict[str, Any]) -> None:
    assert misread(lambda row: with_fields(row, fields)) == []


@pytest.mark.parametrize("echo", ["input", "prompt", "content", "failed_generation", "messages"])
def test_classify_ignores_the_callers_own_words(echo: str) -> None:
    text: Any = TRIGGERS
    if echo == "messages":
        text = [{"role": "user", "content": TRIGGERS}]
    assert misread(lambda row: with_fields(row, {echo: text})) == []


# What must not matter: who raised it


class SDKError(Exception):
    """An exception of any SDK, by the attributes it has."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__("Error")
        vars(self).update(attributes)


class Response:
    """A response whose body was read, as httpx and requests keep it."""

    def __init__(self, status: int, body: object) -> None:
        self.status_code = status
        self._content = json.dumps(body).encode()


@pytest.mark.parametrize(
    "raised",
    [
        pytest.param(lambda s, b: SDKError(status_code=s, body=json.dumps(b)), id="mistralai"),
        pytest.param(lambda s, b: SDKError(code=s, details=b), id="google-genai"),
        pytest.param(lambda s, b: SDKError(status_code=s, error=b), id="ollama"),
        pytest.param(lambda s, b: SDKError(response=Response(s, b)), id="httpx"),
        pytest.param(
            lambda s, b: SDKError(response={"Error": b, "ResponseMetadata": {"HTTPStatusCode": s}}),
            id="botocore",
        ),
    ],
)
def test_classify_reads_any_sdks_exception(raised: Callable[[int, object], Exception]) -> None:
    def read(row: dict) -> FailureClass | None:
        error = raised(row["status"], row["body"])
        return classify(error).failure_class if row["body"] else None

    assert misread(read) == []


def test_classify_looks_through_wrappers() -> None:
    def read(row: dict) -> FailureClass:
        wrapper, middle = SDKError(), SDKError()
        middle.__cause__ = HTTPError(row["status"], row["body"])
        wrapper.__cause__ = middle
        return classify(wrapper).failure_class

    assert misread(read) == []


@pytest.mark.parametrize("name", ["status", "status_code", "code"])
def test_error_in_a_200_means_what_its_status_says(name: str) -> None:
    def read(row: dict) -> FailureClass | None:
        if not row["body"]:
            return None
        body = {"error": row["body"], name: row["status"], "choices": None}
        return classify(InvalidResponseError("no answer", body=body)).failure_class

    assert misread(read) == []


# What matters: the status comes before anything the body says


@pytest.mark.parametrize(
    ("status", "meanings"),
    [
        (401, {"auth_failed", "quota_exceeded", "model_not_found"}),
        (402, {"quota_exceeded", "rate_limited"}),
        (404, {"model_not_found", "auth_failed", "quota_exceeded", "overloaded"}),
        (408, {"overloaded"}),
        (412, {"quota_exceeded", "model_not_found"}),
        (413, {"request_too_large", "context_overflow"}),
        (429, {"rate_limited", "quota_exceeded", "overloaded", "context_overflow",
               "request_too_large"}),
        (451, {"content_filtered"}),
        (498, {"overloaded", "content_filtered"}),
        (500, {"overloaded", "context_overflow", "quota_exceeded"}),
        (502, {"overloaded"}),
        (503, {"overloaded", "rate_limited", "request_too_large"}),
        (529, {"overloaded"}),
    ],
)  # fmt: skip
def test_no_body_overrules_its_status(status: int, meanings: set[str]) -> None:
    assert {class_of(status, row["body"]) for row in FAILED} <= meanings


def test_no_failed_response_is_an_invalid_one() -> None:
    classes = {class_of(s, row["body"]) for s in (400, 403, 418, 422) for row in FAILED[::3]}
    assert "invalid_response" not in classes


def test_400_and_422_mean_the_same_of_a_request() -> None:
    about_request = {"bad_request", "context_overflow", "content_filtered", "model_not_found"}
    rows = [row for row in FAILED if row["status"] in {400, 422} and row["class"] in about_request]
    assert len(rows) > 100
    assert misread(lambda row: class_of(822 - row["status"], row["body"]), rows) == []


def test_words_about_money_or_load_mean_the_same_at_429() -> None:
    def has_number_code(row: dict) -> bool:  # such codes belong to one provider and its statuses
        return re.search(r'(code|type)": "?\d{4}', json.dumps(row["body"])) is not None

    rows = [
        row
        for row in FAILED
        if row["class"] in {"quota_exceeded", "overloaded"}
        and row["status"] in {400, 401, 403, 404, 412, 422}
        and not has_number_code(row)
    ]
    assert len(rows) > 70
    assert misread(lambda row: class_of(429, row["body"]), rows) == []


# What follows from the class


def test_scope_is_none_where_no_cooldown_helps() -> None:
    for row in FAILED:
        classification = classify(HTTPError(row["status"], row["body"]))
        starts_cooldown = classification.scope is not Scope.NONE
        stays = not classification.failure_class.moves_on
        assert starts_cooldown != (stays or classification.failure_class == "request_too_large")
        if classification.failure_class == "auth_failed":
            assert classification.scope is Scope.KEY


def test_retry_after_is_believed_where_waiting_helps() -> None:
    for row in FAILED:
        error = HTTPError(row["status"], row["body"], {"Retry-After": "7"})
        classification = classify(error)
        if classification.failure_class in {"rate_limited", "quota_exceeded", "overloaded"}:
            # Gemini's per-project day ends at midnight, whatever the header says.
            expected = None if "PerDayPerProject" in json.dumps(row["body"]) else 7.0
        else:
            expected = None
        assert classification.retry_after_s == expected, row
