"""What a failure means is told by its status first, then by codes, then by words."""

from __future__ import annotations

import json
import socket
import ssl
import types
import urllib.error
from datetime import UTC, datetime
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
import requests
from langchain_core.exceptions import (
    ContextOverflowError,
    ModelAuthenticationError,
    ModelNotFoundError,
    ModelRateLimitError,
)

from factories import http_error
from inference_providers.errors import AllRoutesFailed, InvalidResponseError, LocalServerError
from inference_providers.failures.classes import Classification, FailureClass, Scope
from inference_providers.failures.classifier import classify
from inference_providers.testing import FakeProvider, Reply
from langchain_autoprovider import AutoChatModel

HTTP_LIBRARIES = [import_module(name) for name in ("httpx", "httpx2") if find_spec(name)]
"""openai 2 stands on the one, openai 3 on the other."""

CORPUS = json.loads((Path(__file__).parents[2] / "corpus" / "errors.json").read_text("utf-8"))
REQUEST = {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}
SCOPES = {
    "rate_limited": "route",
    "quota_exceeded": "key",
    "auth_failed": "key",
    "model_not_found": "route",
    "overloaded": "model",
    "invalid_response": "model",
    "request_too_large": "none",
    "context_overflow": "none",
    "bad_request": "none",
    "content_filtered": "none",
}
"""What rests when nothing else is said."""


def said(message: str, **fields: Any) -> dict:
    return {"error": {"message": message, **fields}}


def met(classification: Classification) -> tuple[str, int | None, str]:
    return classification.failure_class.value, classification.status, classification.scope.value


# What providers said, through the SDK that most of them are called with


@pytest.fixture(scope="module")
def provider():
    """A server that answers what it is told to, and the SDK's client for it."""
    fake = FakeProvider()
    with (
        fake,
        openai.OpenAI(base_url=fake.base_url, api_key="k", max_retries=0, timeout=10) as client,
    ):
        yield fake, client


def row_id(row: dict) -> str:
    return f"{row['provider']}-{row['status']}-{row['class']}-{CORPUS.index(row)}"


def reply_of(row: dict) -> Reply:
    kind = "text/plain" if isinstance(row["body"], str) else "application/json"
    headers = {"content-type": kind, **row.get("headers", {})}
    return Reply(status=row["status"], body=row["body"], headers=headers)


def rows(*, failed: bool) -> list:
    return [
        pytest.param(
            row,
            id=row_id(row),
            marks=pytest.mark.xfail(reason=row["known_miss"], strict=True)
            if "known_miss" in row
            else (),
        )
        for row in CORPUS
        if (row["status"] >= 400) == failed
    ]


def check(row: dict, error: Exception) -> None:
    now = datetime.fromisoformat(row["now"]) if "now" in row else None
    classification = classify(error, now)
    assert classification.failure_class == row["class"]
    assert classification.scope == row["scope"]
    assert classification.retry_after_s == pytest.approx(row.get("retry_after_s"))
    assert classification.parameter == row.get("parameter")


@pytest.mark.parametrize("row", rows(failed=True))
def test_what_providers_said_is_understood(row: dict, provider) -> None:
    fake, client = provider
    fake.replies = [reply_of(row)]
    with pytest.raises(openai.APIStatusError) as caught:
        client.chat.completions.create(**REQUEST)
    check(row, caught.value)
    assert classify(caught.value).status == row["status"]


@pytest.mark.parametrize("row", rows(failed=False))
def test_a_success_that_is_none_is_understood(row: dict) -> None:
    check(row, InvalidResponseError("no answer", body=row["body"]))


@pytest.mark.parametrize(
    "row",
    [row for row in CORPUS if row["status"] in {200, 402, 403, 412, 429, 498, 503}][::6],
    ids=row_id,
)
@pytest.mark.parametrize("mode", ["invoke", "stream"])
def test_a_chat_model_reads_the_same(row: dict, mode: str) -> None:
    with FakeProvider(reply_of(row)) as fake:
        registry = {"providers": {"fake": fake.row({"mixtral-8x7b": "m"})}}
        model = AutoChatModel("fake/mixtral-8x7b", registry=registry, max_attempts=1)
        with pytest.raises(Exception) as caught:  # noqa: PT011 - which one the class says
            list(getattr(model, mode)("Hi"))
        if isinstance(caught.value, AllRoutesFailed):
            assert {tried.failure_class for tried in caught.value.attempts} == {row["class"]}
        else:
            assert classify(caught.value).failure_class == row["class"]


def test_the_corpus_is_what_it_says() -> None:
    assert len(CORPUS) >= 130
    assert len({row["provider"] for row in CORPUS}) >= 24
    assert {row["class"] for row in CORPUS} == {c.value for c in FailureClass}
    for row in CORPUS:
        assert row["source"], row
        known = {
            "provider",
            "status",
            "headers",
            "body",
            "source",
            "class",
            "scope",
            "retry_after_s",
            "now",
            "parameter",
            "partial",
            "known_miss",
        }
        assert set(row) <= known, row
        assert Scope(row["scope"]), row
    said_twice = [json.dumps((r["provider"], r["status"], r["body"])) for r in CORPUS]
    assert len(set(said_twice)) == len(said_twice)


# A status alone


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (400, "bad_request"), (401, "auth_failed"), (402, "quota_exceeded"),
        (403, "auth_failed"), (404, "model_not_found"), (405, "bad_request"),
        (406, "bad_request"), (408, "overloaded"), (409, "overloaded"),
        (410, "model_not_found"), (412, "quota_exceeded"), (413, "request_too_large"),
        (415, "bad_request"), (418, "bad_request"), (422, "bad_request"),
        (424, "overloaded"), (425, "overloaded"), (429, "rate_limited"),
        (431, "bad_request"), (451, "content_filtered"), (498, "overloaded"),
        (499, "overloaded"), (500, "overloaded"), (501, "overloaded"),
        (502, "overloaded"), (503, "overloaded"), (504, "overloaded"),
        (524, "overloaded"), (529, "overloaded"), (599, "overloaded"),
        (200, "invalid_response"), (302, "invalid_response"),
    ],
)  # fmt: skip
def test_a_status_alone_has_a_meaning(status: int, expected: str) -> None:
    assert classify(http_error(status)) == Classification(
        FailureClass(expected), status, Scope(SCOPES[expected])
    )


@pytest.mark.parametrize(
    ("status", "value", "expected"),
    [
        (400, "true", "overloaded"),
        (418, "TRUE", "overloaded"),
        (400, "false", "bad_request"),
        (429, "false", "rate_limited"),
    ],
)
def test_a_provider_may_ask_for_another_try(status: int, value: str, expected: str) -> None:
    assert classify(http_error(status, x_should_retry=value)).failure_class == expected


@pytest.mark.parametrize(
    "holder",
    [
        {"status_code": 429},
        {"status": 429},
        {"code": 429},
        {"response": types.SimpleNamespace(status_code=429)},
        {"response": {"ResponseMetadata": {"HTTPStatusCode": 429}}},
    ],
    ids=str,
)
def test_the_status_may_stand_in_many_places(holder: dict) -> None:
    error = Exception("x")
    vars(error).update(holder)
    assert met(classify(error)) == ("rate_limited", 429, "route")


@pytest.mark.parametrize("value", [True, -1, 0, 99, 600, "429", None, 4290])
def test_what_is_no_status_is_not_taken_for_one(value: object) -> None:
    error = Exception("x")
    error.status_code = value
    assert classify(error) == Classification(FailureClass.BAD_REQUEST)


def test_only_wrong_requests_stay_on_their_route() -> None:
    assert {c for c in FailureClass if not c.moves_on} == {
        "context_overflow",
        "bad_request",
        "content_filtered",
    }


# Envelopes: one meaning, however it is wrapped


@pytest.mark.parametrize(
    "body",
    [
        said("x", code="insufficient_quota"),
        said("x", type="insufficient_quota"),
        said("x", code="InsufficientQuota"),
        said("x", code="INSUFFICIENT-QUOTA"),
        [said("x", code="insufficient_quota")],
        {"object": "error", "message": "x", "code": "insufficient_quota"},
        {"error": "You are out of credits", "code": "whatever"},
        {"errors": [{"code": "insufficient_quota", "message": "x"}]},
        {"detail": "insufficient balance"},
        {"detail": {"error": "insufficient balance"}},
        {"detail": [{"msg": "insufficient balance"}]},
        {"type": "error", "error": {"type": "x", "details": {"error_code": "insufficient_quota"}}},
        {"error": {"innererror": {"code": "insufficient_quota"}}},
        {"error": {"message": '{"error": {"code": "insufficient_quota"}}'}},
        {"error": {"metadata": {"raw": '{"error":{"message":"insufficient balance"}}'}}},
        '{"error": {"code": "insufficient_quota"}}',
        "insufficient balance",
    ],
    ids=str,
)
def test_every_envelope_is_opened(body: object) -> None:
    assert met(classify(http_error(429, body))) == ("quota_exceeded", 429, "key")
    assert met(classify(http_error(403, body))) == ("quota_exceeded", 403, "key")


def test_the_whole_response_is_read_where_the_sdk_keeps_a_part() -> None:
    raw = b'{"code": "insufficient_quota", "error": "x"}'
    response = httpx.Response(429, content=raw, request=httpx.Request("POST", "https://p.test"))
    error = http_error(429, "x")
    error.response = response
    assert classify(error).failure_class == "quota_exceeded"


def test_a_response_that_was_not_read_is_left_alone() -> None:
    class Stream(httpx.SyncByteStream):
        def __iter__(self):
            raise AssertionError

    request = httpx.Request("POST", "https://p.test")
    response = httpx.Response(429, stream=Stream(), request=request)
    error = httpx.HTTPStatusError("too many", request=request, response=response)
    assert met(classify(error)) == ("rate_limited", 429, "route")


def test_properties_that_raise_do_not_matter() -> None:
    class BadError(Exception):
        @property
        def response(self):
            raise RuntimeError

        def __str__(self) -> str:
            raise RuntimeError

    assert classify(BadError()) == Classification(FailureClass.BAD_REQUEST)
    BadError.status_code = 429
    assert classify(BadError()).failure_class == "rate_limited"


def test_the_callers_own_words_are_not_evidence() -> None:
    echo = {"input": "insufficient balance", "failed_generation": "insufficient balance"}
    assert (
        classify(http_error(400, said("Failed to call a function", **echo))).failure_class
        == "bad_request"
    )


def test_the_outermost_status_in_a_body_counts() -> None:
    body = {"error": {"metadata": {"raw": '{"error": {"code": 429}}'}, "code": 502}}
    assert met(classify(InvalidResponseError("x", body=body))) == ("overloaded", 502, "model")


# Codes alone, and words alone


CODES = (
    ("quota_exceeded", (400, 402, 403, 412, 429), """
        insufficient_quota insufficient_user_quota insufficient_credits InsufficientFunds
        INSUFFICIENT_BALANCE insufficient_balance_error credit_balance_exhausted credits_depleted
        balance_too_low funds_exceeded organization_spend_limit_exceeded spending_limit_reached
        usage_limit_reached budget_limit_exceeded billing_hard_limit_reached billing_not_active
        AccountOverdueError Arrearage CreditsError out_of_credits no_credits NOT_ENOUGH_BALANCE
        invalid_payment_instrument quota_exceeded quota_exhausted exceeded_current_quota_error
        enforced_spend_limit_reached contract_spend_limit_reached ServiceQuotaExceededException
        AllocationQuota.FreeTierOnly"""),
    ("quota_exceeded", (401, 404), "insufficient_quota quota_exceeded CreditsError"),
    ("quota_exceeded", (429,), "1113 1308 1309 1310 1311 1313 1316 1321 3036 4006"),
    ("quota_exceeded", (429,), "SetLimitExceeded"),
    ("quota_exceeded", (429,), "openrouter_free_tier_daily GenerateRequestsPerDayPerProject"),
    ("quota_exceeded", (400, 403), "30001 1008"),
    ("rate_limited", (400, 403, 429), """
        rate_limit_exceeded rate_limit_error rate_limited RateLimitReached too_many_requests
        TooManyRequestsError ThrottlingException Throttling.RateQuota limit_requests request_limit
        limit_burst_rate 1302 1303 ramp_limit_exceeded slow_down too_many_tokens_error
        ModelAccountRpmRateLimitExceeded rate_limit_reached_error"""),
    ("rate_limited", (503,), "slow_down"),
    ("rate_limited", (402, 429), "openrouter_in_flight_budget"),
    ("rate_limited", (429,), """
        token_quota_exceeded request_quota_exceeded upstream_provider_shared_pool
        RESOURCE_EXHAUSTED upstream_rate_limit
        GenerateContentInputTokensPerModelPerMinute-FreeTier"""),
    ("overloaded", (400, 403, 404, 408, 409, 429), """
        overloaded_error engine_overloaded server_is_overloaded capacity_exceeded no_capacity
        server_busy service_tier_capacity_exceeded unavailable_error service_unavailable
        UNAVAILABLE ModelNotReadyException 3040 3505 1305 model_loading ServiceUnavailableException
        """),
    ("auth_failed", (400, 403, 404, 422), """
        invalid_api_key API_KEY_INVALID api_key_expired missing_api_key invalid_auth
        expired_credentials invalid_token unauthorized UNAUTHENTICATED authentication_error
        auth_failed UnrecognizedClientException ExpiredTokenException InvalidSignatureException"""),
    ("context_overflow", (400, 403, 413, 422, 429, 500), """
        context_length_exceeded ContextWindowExceeded exceed_context_size_error context_limit
        prompt_too_long input_too_large string_above_max_length max_prompt_tokens_exceeded
        max_context_length 3051 1261"""),
    ("context_overflow", (413,), "request_too_large"),
    ("request_too_large", (413,), "tokens_limit_reached rate_limit_exceeded"),
    ("content_filtered", (400, 403, 422, 451), """
        content_filter content_policy_violation ContentModeration moderation_blocked 1301
        ResponsibleAIPolicyViolation DataInspectionFailed data_inspection_failed safety_violation
        prompt_safety policy_violation SensitiveContentDetected invalid_prompt unsafe_content
        PROHIBITED_CONTENT risk_control refusal"""),
    ("model_not_found", (400, 401, 403, 404, 422), """
        model_not_found model_not_supported ModelNotOpen model_not_available model_not_allowed
        model_decommissioned model_deprecated model_retired
        model_terms_required model_permission_blocked_org model_access_denied model_blocked
        model_not_exist invalid_model unknown_model no_such_model unsupported_model
        DeploymentNotFound 5007 3042 5018 3041 5016 1211 20012"""),
    ("bad_request", (400, 422), """
        unsupported_parameter unsupported_value unknown_parameter UnknownField
        invalid_function_parameters invalid_type invalid_value invalid_json invalid_schema
        missing_required_parameter wrong_api_format 5006 extra_forbidden"""),
)  # fmt: skip


@pytest.mark.parametrize(
    ("status", "code", "expected"),
    [
        (status, code, expected)
        for expected, statuses, codes in CODES
        for code in codes.split()
        for status in statuses
    ],
)
def test_a_code_alone_has_a_meaning(status: int, code: str, expected: str) -> None:
    assert classify(http_error(status, said("x", code=code))).failure_class == expected


def test_codes_give_way_to_what_the_status_says() -> None:
    assert (
        classify(http_error(503, said("x", code="insufficient_quota"))).failure_class
        == "overloaded"
    )
    assert (
        classify(http_error(500, said("x", code="rate_limit_exceeded"))).failure_class
        == "overloaded"
    )
    assert (
        classify(http_error(402, said("x", code="rate_limit_exceeded"))).failure_class
        == "quota_exceeded"
    )


def test_a_bad_code_goes_before_the_words_of_a_schema() -> None:
    codes = next(codes for expected, _, codes in CODES if expected == "bad_request")
    for code in codes.split():
        body = said("Invalid: 'credit balance too low', prompt is too long", code=code)
        assert classify(http_error(400, body)) == Classification(FailureClass.BAD_REQUEST, 400)


WORDS = (
    ("quota_exceeded", (400, 401, 403, 404, 412, 422, 429), (
        "Insufficient account balance",
        "Your credit balance is too low",
        "Your funds are exhausted",
        "Your team doesn't have any credits",
        "There are no credits left",
        "Not enough wallet balance",
        "You have run out of credits",
        "The project is out of money",
        "API usage limits reached",
        "user quota is not enough",
        "The account is in arrears",
        "The subscription is past due",
        "There is an unpaid invoice",
        "You have an overdue invoice",
        "Account has been overdue",
        "Is your account in good standing?",
        "Payment required",
        "inference prohibited",
        "A credit card on file is needed",
        "Please top up",
        "Please recharge",
        "Prepaid only",
        "您的账户已欠费", "余额不足", "用户额度不足",
        "Check your plan and billing details",
        "Please enable billing",
        "Please add a payment method",
        "Your trial has expired",
        "You exceeded the allotted quota",
        "Account 7 is suspended",
    )),
    ("quota_exceeded", (429,), (
        "quota", "billing", "payment", "credit", "balance", "subscribe", "budget gone",
        "no allowance", "suspended", "额度",
        "Slow down: rate limit, insufficient balance",
        "Too many requests: you have run out of credits",
        "100 requests per day", "limit of 5 requests/day", "daily limit", "5 hour quota",
        "Usage limit reached for 5 hour", "ByDay", "reached TPD rate limit",
        "Daily rate limit of 50 requests per minute",
    )),
    ("quota_exceeded", (402, 403, 429), (
        "reached its monthly spending limit", "your weekly allowance", "monthly spend is over",
    )),
    ("rate_limited", (429,), (
        "60 tokens per minute, see your quota", "3 / min with this payment plan",
        "RPM: subscribe for more", "Rate limit: subscribe for more",
        "too many requests for this subscription", "12 requests per project, see your quota",
        "Throttled, see your quota", "Concurrency of your subscription", "频率 quota", "速率 quota",
        "并发 quota",
        "tokens per day: limit 9. Please try again in 9m38s",
        "requests/day: try again in 20s", "TPD: try again in 7 minutes",
        "Quota: see https://help.aliyun.com/zh/model-studio/error-code#token-limit",
        "Allocated quota exceeded, please increase your quota limit",
        "m is temporarily rate-limited upstream, buy credits",
    )),
    ("rate_limited", (400, 403), (
        "rate limit exceeded", "too many requests", "request was throttled",
    )),
    ("request_too_large", (413, 429), (
        "Request too large for m", "Request body too large for m", "reduce your message size",
    )),
    ("overloaded", (400, 403, 429), (
        "overloaded", "We are at capacity", "Out of capacity, see your quota",
        "Capacity temporarily exceeded", "No more data centers", "The server is too busy",
        "temporarily unavailable", "The weights are still loading", "Loading model", "warming up",
        "high demand", "服务繁忙", "负载过高",
    )),
    ("auth_failed", (400, 404, 422), (
        "Invalid API key", "Pass a valid API key", "Provide an API key", "No API key",
        "The API key has expired", "access token invalid", "Authentication failed",
        "Not authenticated", "Unauthorized", "missing header authorization",
        "Unable to locate credentials", "your token has expired",
    )),
    ("auth_failed", (400, 403), (
        "User location is not supported", "Your country is not available",
    )),
    ("content_filtered", (400, 403, 422, 451, 498), (
        "content policy", "content_filter", "Responsible AI", "blocked by moderation",
        "moderation blocked it", "the input was somehow flagged", "flagged as spam",
        "considered high risk", "Content Exists Risk", "含敏感词", "不安全", "usage guidelines",
        "safety system", "prohibited content", "sensitive information",
        "violates our terms",
    )),
    ("context_overflow", (400, 403, 413, 422), (
        "exceeds the context window", "context length of 9 is exceeded", "the prompt is too long",
        "the input is too large", "string too long", "Prompt has 9000 tokens",
        "the input token count is longer", "exceeds the number of tokens", "too many tokens",
        "token limit exceeded", "`inputs` tokens + `max_new_tokens` must be <= 4",
        "input+max_tokens >= 4", "Current length is 9 while limit is 4", "maximum input length",
        "input length should be less", "reduce the length", "longer than the maximum",
        "超过最大长度",
    )),
    ("context_overflow", (500,), ("input exceeds the context length", "prompt is too long")),
    ("context_overflow", (429,), ("exceeded model token limit: 4 (requested: 9)",)),
    ("quota_exceeded", (500,), ("insufficient balance (1008)", "insufficient credits")),
    ("bad_request", (400, 403, 422), (
        "max_tokens is too large for the context window", "max_tokens must be at most 4 tokens",
        "max_tokens: 9 > 4, too many tokens", "invalid max_tokens: exceeds 4 tokens",
        "maximum tokens you requested exceeds 4 tokens",
        "exceeds the maximum of 4 output tokens", "max_tokens (9) exceeds 4 tokens",
    )),
    ("bad_request", (400, 422), (
        "Unsupported parameter: n; your API key is invalid", "field n not supported: no such model",
    )),
    ("model_not_found", (400, 401, 403, 412, 422), (
        "The model `m` was not found", "Model m does not exist", "model 'm' is deprecated",
        "m is not a valid model", "no models loaded", "模型不存在", "Unknown model",
        "no such model",
        "You have no access to this model", "not authorized to use the model", "a gated repo",
        "non-serverless", "You have not activated it", "Not found for account 'x'",
        "Model access is denied", "The provided model identifier is invalid.",
        "with on-demand throughput isn't supported",
    )),
    ("model_not_found", (412,), (
        "LoRA failed to load", "adapter x", "the model is cold", "no deployment",
    )),
)  # fmt: skip


@pytest.mark.parametrize(
    ("status", "text", "expected"),
    [
        (status, text, expected)
        for expected, statuses, texts in WORDS
        for text in texts
        for status in statuses
    ],
)
def test_words_alone_have_a_meaning(status: int, text: str, expected: str) -> None:
    assert classify(http_error(status, said(text))).failure_class == expected


@pytest.mark.parametrize(
    ("status", "body", "scope"),
    [
        (429, said("x is temporarily rate-limited upstream"), "model"),
        (429, said("x", limit_source="upstream_provider_shared_pool"), "model"),
        (429, said("x", limit_source="upstream_rate_limit"), "model"),
        (429, said("x", limit_source="openrouter_free_tier_daily"), "key"),
        (429, said("x", quotaId="GenerateRequestsPerDayPerProjectPerModel"), "route"),
        (429, said("x", quotaId="GenerateRequestsPerDayPerProject"), "key"),
        (429, said("x", code="SetLimitExceeded"), "route"),
        (403, said("x", code="AllocationQuota.FreeTierOnly"), "route"),
        (429, said("x", code=4006), "key"),
        (429, said("daily limit"), "key"),
        (429, said("5-hour quota"), "key"),
        (429, said("Usage limit reached for 5 hour"), "key"),
        (402, said("monthly credits"), "key"),
        (403, said("monthly limit"), "key"),
        (429, said("monthly spending limit"), "key"),
        (429, said("insufficient balance"), "key"),
    ],
    ids=str,
)
def test_what_rests_is_what_the_limit_is_on(status: int, body: dict, scope: str) -> None:
    classification = classify(http_error(status, body))
    assert classification.scope == scope


# The order: status, code, words


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (500, said("insufficient_quota"), "overloaded"),
        (503, said("Rate limit exceeded"), "overloaded"),
        (402, said("Insufficient Balance", code="invalid_request_error"), "quota_exceeded"),
        (401, said("Bad", code="invalid_request_error"), "auth_failed"),
        (429, said("Tokens per minute limit", code="token_quota_exceeded"), "rate_limited"),
        (429, said("Please add a payment method. Limit: 3 / min", type="requests"), "rate_limited"),
        (429, said("Too many requests", code="insufficient_quota"), "quota_exceeded"),
        (413, said("too many tokens", code="rate_limit_exceeded"), "request_too_large"),
        (413, said("too many tokens", code="tokens_limit_reached"), "request_too_large"),
        (413, said("too many tokens", code="x"), "context_overflow"),
        (
            429,
            said("You exceeded your current quota", quotaId="InputTokensPerMinute"),
            "rate_limited",
        ),
        (429, said("see your quota", code="rate_limit_exceeded"), "rate_limited"),
        (412, said("Account suspended, the model is unavailable"), "quota_exceeded"),
        (403, said("model m not found", code="invalid_api_key"), "auth_failed"),
        (404, said("Invalid API key", code="model_not_found"), "model_not_found"),
        (402, said("x", code="rate_limit_exceeded"), "quota_exceeded"),
        (403, said("Key limit exceeded", code=403), "quota_exceeded"),
        (400, said("Unsupported parameter: 'n'", code="unsupported_parameter"), "bad_request"),
        (
            429,
            said("Limit 8,000, Used 0, Requested 11,881", code="rate_limit_exceeded"),
            "request_too_large",
        ),
        (
            429,
            said("Limit 8000, Used 7000, Requested 1881", code="rate_limit_exceeded"),
            "rate_limited",
        ),
    ],
    ids=str,
)
def test_status_goes_before_code_before_words(status: int, body: object, expected: str) -> None:
    assert classify(http_error(status, body)).failure_class == expected


# How long


@pytest.mark.parametrize(
    ("status", "body", "headers", "cooldown_s"),
    [
        (429, said("x"), {"retry_after": "12"}, 12),
        (429, said("x"), {"x_ratelimit_reset_tokens": "6m0s"}, 360),
        (503, said("x"), {"retry_after": "12"}, 12),
        (503, said("x"), {"x_ratelimit_reset_tokens": "6m0s"}, None),
        (402, said("x"), {"retry_after": "3600"}, 3600),
        (402, said("x"), {"x_ratelimit_reset_tokens": "6m0s"}, None),
        (
            429,
            said("free-models-per-day"),
            {"x_ratelimit_reset": "60", "x_ratelimit_remaining": "0"},
            60,
        ),
        (401, said("x"), {"retry_after": "12"}, None),
        (400, said("x"), {"retry_after": "12"}, None),
        (404, said("x"), {"retry_after": "12"}, None),
    ],
)
def test_a_wait_is_told_where_something_rests_for_a_time(
    status: int, body: dict, headers: dict, cooldown_s: float | None
) -> None:
    assert classify(http_error(status, body, **headers)).retry_after_s == cooldown_s


def test_a_time_without_zone_is_utc() -> None:
    error = http_error(429, retry_after="2026-11-22T12:01:00Z")
    aware = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
    assert classify(error, aware).retry_after_s == 60
    assert classify(error, aware.replace(tzinfo=None)).retry_after_s == 60
    assert classify(error).retry_after_s is None


def test_geminis_day_is_not_over_in_the_seconds_it_says() -> None:
    quota_id = "GenerateRequestsPerDayPerProjectPerModel-FreeTier"
    details = [{"violations": [{"quotaId": quota_id}]}, {"retryDelay": "18s"}]
    error = http_error(429, said("x", status="RESOURCE_EXHAUSTED", details=details))
    noon_utc = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
    assert classify(error, noon_utc).retry_after_s == 20 * 3600
    assert classify(error).retry_after_s is None


# Calls that never ended well


@pytest.mark.parametrize(
    ("error", "scope"),
    [
        (ConnectionRefusedError("refused"), "host"),
        (ConnectionResetError("reset"), "host"),
        (BrokenPipeError("pipe"), "host"),
        (socket.gaierror("unknown"), "host"),
        (ssl.SSLError("handshake"), "host"),
        (ssl.SSLCertVerificationError("expired"), "host"),
        (LocalServerError("does not start"), "host"),
        (TimeoutError("late"), "model"),
        *(
            (getattr(library, name)("x"), scope)
            for library in HTTP_LIBRARIES
            for name, scope in {
                "ConnectError": "host",
                "ConnectTimeout": "host",
                "ReadTimeout": "model",
                "ReadError": "host",
                "WriteError": "host",
                "RemoteProtocolError": "host",
                "ProxyError": "host",
            }.items()
        ),
        (requests.ConnectionError("x"), "host"),
        (requests.exceptions.ConnectTimeout("x"), "host"),
        (requests.exceptions.ReadTimeout("x"), "model"),
        (requests.exceptions.SSLError("x"), "host"),
        (requests.exceptions.ChunkedEncodingError("x"), "host"),
        (openai.APIConnectionError(request=httpx.Request("POST", "https://p.test")), "host"),
        (
            openai.APITimeoutError(request=httpx.Request("POST", "https://p.test")),
            "model",
        ),
    ],
    ids=lambda value: f"{type(value).__module__}.{type(value).__name__}",
)
def test_a_transport_error_is_the_hosts_a_wait_the_models(error: Exception, scope: str) -> None:
    assert classify(error) == Classification(FailureClass.OVERLOADED, scope=Scope(scope))


def test_a_timeout_while_connecting_is_the_hosts() -> None:
    error = openai.APITimeoutError(request=httpx.Request("POST", "https://p.test"))
    error.__cause__ = httpx.ConnectTimeout("x")
    assert classify(error).scope == "host"


@pytest.mark.parametrize(
    "error",
    [
        InvalidResponseError("HTML"),
        InvalidResponseError("x", body={"choices": [{"finish_reason": "stop"}]}),
        InvalidResponseError("x", body="<html>Rate limit exceeded</html>"),
        json.JSONDecodeError("Expecting value", "<html>", 0),
        UnicodeDecodeError("utf-8", b"\xff", 0, 1, "x"),
        requests.exceptions.JSONDecodeError("x", "<html>", 0),
        httpx.DecodingError("x"),
    ],
    ids=repr,
)
def test_an_answer_that_is_none_is_broken(error: Exception) -> None:
    assert classify(error) == Classification(FailureClass.INVALID_RESPONSE, scope=Scope.MODEL)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"error": {"code": 429}}, ("rate_limited", 429, "route")),
        ({"error": {"code": "402"}}, ("quota_exceeded", 402, "key")),
        ({"error": {"code": "rate_limit_exceeded"}}, ("rate_limited", None, "route")),
        ({"error": "Insufficient balance"}, ("quota_exceeded", None, "key")),
        ({"choices": [{"error": {"code": 502}}]}, ("overloaded", 502, "model")),
        ({"choices": [{"finish_reason": "content_filter"}]}, ("content_filtered", None, "none")),
        ({"detail": "Model x not found", "status": 404}, ("model_not_found", 404, "route")),
        (
            {"choices": [], "message": "overloaded", "code": 503},
            ("overloaded", 503, "model"),
        ),
        ([{"error": {"code": 401}}], ("auth_failed", 401, "key")),
        (
            {"base_resp": {"status_code": 1008, "status_msg": "insufficient balance"}},
            ("quota_exceeded", None, "key"),
        ),
        ({"error": "x"}, ("invalid_response", None, "model")),
        ({"choices": None, "id": "1"}, ("invalid_response", None, "model")),
        ({}, ("invalid_response", None, "model")),
    ],
    ids=str,
)
def test_an_error_told_with_a_success_counts_as_what_it_is(body: object, expected: tuple) -> None:
    assert met(classify(InvalidResponseError("x", body=body))) == expected


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (ContextOverflowError, "context_overflow"),
        (ModelRateLimitError, "rate_limited"),
        (ModelAuthenticationError, "auth_failed"),
        (ModelNotFoundError, "model_not_found"),
    ],
)
def test_langchains_own_classes_are_understood(kind: type[Exception], expected: str) -> None:
    assert classify(kind("x")) == Classification(
        FailureClass(expected), scope=Scope(SCOPES[expected])
    )


def test_a_wrapper_means_what_it_wraps() -> None:
    class WrapperError(ModelRateLimitError):
        pass

    error = WrapperError("x")
    error.__cause__ = http_error(429, said("insufficient balance"))
    assert met(classify(error)) == ("quota_exceeded", 429, "key")


@pytest.mark.parametrize(
    "error",
    [
        TypeError("x"),
        ValueError("rate limit 429"),
        KeyError("model"),
        AssertionError(),
        RuntimeError("503 overloaded"),
        OSError("disk full"),
        FileNotFoundError("x"),
        httpx.InvalidURL("x"),
        requests.exceptions.InvalidURL("x"),
        urllib.error.URLError("x"),
        Exception("insufficient_quota"),
        KeyboardInterrupt(),
    ],
    ids=repr,
)
def test_what_no_rule_knows_is_no_failure_of_a_provider(error: BaseException) -> None:
    assert classify(error) == Classification(FailureClass.BAD_REQUEST)


def test_a_bug_stays_a_bug_whatever_it_came_from() -> None:
    bug = KeyError("choices")
    bug.__cause__ = http_error(503)
    assert classify(bug) == Classification(FailureClass.BAD_REQUEST)


def test_causes_in_a_circle_end() -> None:
    first, second = openai.OpenAIError("a"), openai.OpenAIError("b")
    first.__cause__, second.__cause__ = second, first
    assert classify(first) == Classification(FailureClass.BAD_REQUEST)


# The real SDK against a real server


def failure(*replies: Reply, stream: bool = False, timeout: float = 10.0) -> Exception:
    """Return what the openai SDK raises for a reply."""
    with FakeProvider(*replies) as fake:
        client = openai.OpenAI(base_url=fake.base_url, api_key="k", max_retries=0, timeout=timeout)
        with client, pytest.raises(openai.APIError) as caught:
            list(client.chat.completions.create(**REQUEST, stream=stream))
        return caught.value


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        (Reply(status=429), ("rate_limited", 429, "route")),
        (Reply(status=429, body=said("insufficient_quota")), ("quota_exceeded", 429, "key")),
        (Reply(status=400, body=[said("a valid API key")]), ("auth_failed", 400, "key")),
        (
            Reply(status=403, body={"code": "x", "error": "any credits"}),
            ("quota_exceeded", 403, "key"),
        ),
        (Reply(status=503, body="<html>Down</html>"), ("overloaded", 503, "model")),
    ],
)
def test_a_refused_stream_is_read_as_well(reply: Reply, expected: tuple) -> None:
    assert met(classify(failure(reply, stream=True))) == expected


def test_the_sdks_timeout_is_understood() -> None:
    error = failure(Reply(delay_s=60), timeout=1.0)
    assert classify(error) == Classification(FailureClass.OVERLOADED, scope=Scope.MODEL)


def test_a_refused_connection_through_the_sdk_is_understood() -> None:
    with FakeProvider() as fake:
        url = fake.base_url
    client = openai.OpenAI(base_url=url, api_key="k", max_retries=0)
    with client, pytest.raises(openai.APIConnectionError) as caught:
        client.models.list()
    assert classify(caught.value) == Classification(FailureClass.OVERLOADED, scope=Scope.HOST)


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        (said("Provider returned error", code=502), ("overloaded", 502, "model")),
        (said("slow down", code=429), ("rate_limited", 429, "route")),
        (said("slow down", code="429"), ("rate_limited", 429, "route")),
        (said("wrong", code=400), ("bad_request", 400, "none")),
        (said("no credits", code=402), ("quota_exceeded", 402, "key")),
        (said("Overloaded", code="server_error"), ("overloaded", None, "model")),
        (said("Overloaded", type="overloaded_error"), ("overloaded", None, "model")),
        (said("x", code="rate_limit_exceeded"), ("rate_limited", None, "route")),
        (said("x", type="invalid_request_error"), ("bad_request", None, "none")),
        (
            said("credit cards are numbers", type="invalid_request_error"),
            ("bad_request", None, "none"),
        ),
        (said("x", type="authentication_error"), ("auth_failed", None, "key")),
        (said("x", type="permission_error"), ("auth_failed", None, "key")),
        (said("x", type="not_found_error"), ("model_not_found", None, "route")),
        (said("x", type="timeout_error"), ("overloaded", None, "model")),
        (said("x", status="RESOURCE_EXHAUSTED"), ("rate_limited", None, "route")),
        (said("x", status="UNAVAILABLE"), ("overloaded", None, "model")),
        (said("x", code="insufficient_quota"), ("quota_exceeded", None, "key")),
        (said("maximum context length is 8 tokens"), ("context_overflow", None, "none")),
        (said("something"), ("overloaded", None, "model")),
        ({"error": "overloaded"}, ("overloaded", None, "model")),
    ],
    ids=str,
)
def test_an_error_event_in_a_stream_is_understood(event: dict, expected: tuple) -> None:
    stream = f"data: {json.dumps(event)}\n\n"
    reply = Reply(body=stream, headers={"content-type": "text/event-stream"})
    error = failure(reply, stream=True)
    assert isinstance(error, openai.APIError)
    assert met(classify(error)) == expected


# Other SDKs, by the attributes they have (each seen on the real class)


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        # anthropic: an error event after a 200
        (
            {"status_code": 200, "body": {"type": "error", "error": {"type": "overloaded_error"}}},
            ("overloaded", None, "model"),
        ),
        # google.genai
        (
            {"code": 429, "status": "RESOURCE_EXHAUSTED", "details": said("x", code=429)},
            ("rate_limited", 429, "route"),
        ),
        # ollama
        ({"status_code": 404, "error": "model 'x' not found"}, ("model_not_found", 404, "route")),
        (
            {"status_code": -1, "error": "llama runner has terminated"},
            ("overloaded", None, "model"),
        ),
        # mistralai: the body is text
        ({"status_code": 401, "body": '{"detail": "Unauthorized"}'}, ("auth_failed", 401, "key")),
        # botocore, in a stream
        (
            {"response": {"Error": {"Code": "throttlingException", "Message": "x"}}},
            ("rate_limited", None, "route"),
        ),
        # aiohttp
        (
            {"status": 503, "message": "x", "headers": {"Retry-After": "3"}},
            ("overloaded", 503, "model"),
        ),
    ],
)
def test_other_sdks_are_understood(attributes: dict, expected: tuple) -> None:
    error = Exception("x")
    vars(error).update(attributes)
    assert met(classify(error)) == expected
