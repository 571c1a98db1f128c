"""The status decides first, then codes, then words; exceptions without a response by name."""

from __future__ import annotations

import json
import socket
import ssl
import types
import urllib.error
from datetime import UTC, datetime
from importlib import import_module
from importlib.util import find_spec
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
from inference_providers.errors import InvalidResponseError, LocalServerError, ProviderError
from inference_providers.failures.classes import Classification, FailureClass, Scope
from inference_providers.failures.classifier import classify
from inference_providers.testing import FakeProvider, Reply

HTTP_LIBRARIES = [import_module(name) for name in ("httpx", "httpx2") if find_spec(name)]
"""openai 2 uses httpx, openai 3 uses httpx2."""

REQUEST = {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}
DEFAULT_SCOPES = {
    "rate_limited": "route",
    "request_too_large": "none",
    "quota_exceeded": "key",
    "auth_failed": "key",
    "model_not_found": "route",
    "overloaded": "model",
    "context_overflow": "none",
    "bad_request": "none",
    "content_filtered": "none",
    "invalid_response": "model",
}


def error_body(message: str, **fields: Any) -> dict:
    return {"error": {"message": message, **fields}}


def class_status_scope(classification: Classification) -> tuple[str, int | None, str]:
    return classification.failure_class.value, classification.status, classification.scope.value


def openai_request() -> httpx.Request:
    return httpx.Request("POST", "https://p.test")


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
def test_status_alone_decides_the_class(status: int, expected: str) -> None:
    assert classify(http_error(status)) == Classification(
        FailureClass(expected), status, Scope(DEFAULT_SCOPES[expected])
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
def test_x_should_retry_turns_a_4xx_into_overloaded(status: int, value: str, expected: str) -> None:
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
def test_status_is_read_from_any_attribute(holder: dict) -> None:
    error = Exception("x")
    vars(error).update(holder)
    assert class_status_scope(classify(error)) == ("rate_limited", 429, "route")


@pytest.mark.parametrize("value", [True, -1, 0, 99, 600, "429", None, 4290])
def test_implausible_status_is_ignored(value: object) -> None:
    error = Exception("x")
    error.status_code = value
    assert classify(error) == Classification(FailureClass.BAD_REQUEST)


def test_moves_on_is_false_for_wrong_requests_only() -> None:
    assert {c for c in FailureClass if not c.moves_on} == {
        "context_overflow",
        "bad_request",
        "content_filtered",
    }


# Envelopes: one meaning, however it is wrapped


@pytest.mark.parametrize(
    "body",
    [
        error_body("x", code="insufficient_quota"),
        error_body("x", type="insufficient_quota"),
        error_body("x", code="InsufficientQuota"),
        error_body("x", code="INSUFFICIENT-QUOTA"),
        [error_body("x", code="insufficient_quota")],
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
def test_error_is_read_in_every_envelope(body: object) -> None:
    assert class_status_scope(classify(http_error(429, body))) == ("quota_exceeded", 429, "key")
    assert class_status_scope(classify(http_error(403, body))) == ("quota_exceeded", 403, "key")


def test_response_content_comes_before_the_sdks_body() -> None:
    raw = b'{"code": "insufficient_quota", "error": "x"}'
    response = httpx.Response(429, content=raw, request=openai_request())
    error = http_error(429, "x")
    error.response = response
    assert classify(error).failure_class == "quota_exceeded"


def test_classify_reads_no_unread_stream() -> None:
    class Stream(httpx.SyncByteStream):
        def __iter__(self):
            raise AssertionError

    request = openai_request()
    response = httpx.Response(429, stream=Stream(), request=request)
    error = httpx.HTTPStatusError("too many", request=request, response=response)
    assert class_status_scope(classify(error)) == ("rate_limited", 429, "route")


def test_classify_survives_properties_that_raise() -> None:
    class BadError(Exception):
        @property
        def response(self):
            raise RuntimeError

        def __str__(self) -> str:
            raise RuntimeError

    assert classify(BadError()) == Classification(FailureClass.BAD_REQUEST)
    BadError.status_code = 429
    assert classify(BadError()).failure_class == "rate_limited"


def test_echoed_input_does_not_change_the_class() -> None:
    echo = {"input": "insufficient balance", "failed_generation": "insufficient balance"}
    error = http_error(400, error_body("Failed to call a function", **echo))
    assert classify(error).failure_class == "bad_request"


def test_outermost_status_in_a_body_counts() -> None:
    body = {"error": {"metadata": {"raw": '{"error": {"code": 429}}'}, "code": 502}}
    assert class_status_scope(classify(InvalidResponseError("x", body=body))) == (
        "overloaded",
        502,
        "model",
    )


# The order: status, code, words


@pytest.mark.parametrize("code", ["unsupported_value", "invalid_function_parameters", "5006"])
def test_parameter_code_comes_before_words_of_a_schema(code: str) -> None:
    body = error_body("Invalid: 'credit balance too low', prompt is too long", code=code)
    assert classify(http_error(400, body)) == Classification(FailureClass.BAD_REQUEST, 400)


@pytest.mark.parametrize(
    ("status", "body", "scope"),
    [
        (429, error_body("x is temporarily rate-limited upstream"), "model"),
        (429, error_body("x", limit_source="upstream_provider_shared_pool"), "model"),
        (429, error_body("x", limit_source="upstream_rate_limit"), "model"),
        (429, error_body("x", limit_source="openrouter_free_tier_daily"), "key"),
        (429, error_body("x", quotaId="GenerateRequestsPerDayPerProjectPerModel"), "route"),
        (429, error_body("x", quotaId="GenerateRequestsPerDayPerProject"), "key"),
        (429, error_body("x", code="SetLimitExceeded"), "route"),
        (403, error_body("x", code="AllocationQuota.FreeTierOnly"), "route"),
        (429, error_body("x", code=4006), "key"),
        (429, error_body("daily limit"), "key"),
        (429, error_body("5-hour quota"), "key"),
        (429, error_body("Usage limit reached for 5 hour"), "key"),
        (402, error_body("monthly credits"), "key"),
        (403, error_body("monthly limit"), "key"),
        (429, error_body("monthly spending limit"), "key"),
        (429, error_body("insufficient balance"), "key"),
    ],
    ids=str,
)
def test_scope_is_what_the_limit_applies_to(status: int, body: dict, scope: str) -> None:
    assert classify(http_error(status, body)).scope == scope


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (500, error_body("insufficient_quota"), "overloaded"),
        (503, error_body("Rate limit exceeded"), "overloaded"),
        (402, error_body("Insufficient Balance", code="invalid_request_error"), "quota_exceeded"),
        (401, error_body("Bad", code="invalid_request_error"), "auth_failed"),
        (429, error_body("Tokens per minute limit", code="token_quota_exceeded"), "rate_limited"),
        (
            429,
            error_body("Please add a payment method. Limit: 3 / min", type="requests"),
            "rate_limited",
        ),
        (429, error_body("Too many requests", code="insufficient_quota"), "quota_exceeded"),
        (413, error_body("too many tokens", code="rate_limit_exceeded"), "request_too_large"),
        (413, error_body("too many tokens", code="tokens_limit_reached"), "request_too_large"),
        (413, error_body("too many tokens", code="x"), "context_overflow"),
        (
            429,
            error_body("You exceeded your current quota", quotaId="InputTokensPerMinute"),
            "rate_limited",
        ),
        (429, error_body("see your quota", code="rate_limit_exceeded"), "rate_limited"),
        (412, error_body("Account suspended, the model is unavailable"), "quota_exceeded"),
        (403, error_body("model m not found", code="invalid_api_key"), "auth_failed"),
        (404, error_body("Invalid API key", code="model_not_found"), "model_not_found"),
        (402, error_body("x", code="rate_limit_exceeded"), "quota_exceeded"),
        (403, error_body("Key limit exceeded", code=403), "quota_exceeded"),
        (
            400,
            error_body("Unsupported parameter: 'n'", code="unsupported_parameter"),
            "bad_request",
        ),
        (
            429,
            error_body("Limit 8,000, Used 0, Requested 11,881", code="rate_limit_exceeded"),
            "request_too_large",
        ),
        (
            429,
            error_body("Limit 8000, Used 7000, Requested 1881", code="rate_limit_exceeded"),
            "rate_limited",
        ),
    ],
    ids=str,
)
def test_status_comes_before_code_before_words(status: int, body: object, expected: str) -> None:
    assert classify(http_error(status, body)).failure_class == expected


# The requested wait


@pytest.mark.parametrize(
    ("status", "body", "headers", "retry_after_s"),
    [
        (429, error_body("x"), {"retry_after": "12"}, 12),
        (429, error_body("x"), {"x_ratelimit_reset_tokens": "6m0s"}, 360),
        (503, error_body("x"), {"retry_after": "12"}, 12),
        (503, error_body("x"), {"x_ratelimit_reset_tokens": "6m0s"}, None),
        (402, error_body("x"), {"retry_after": "3600"}, 3600),
        (402, error_body("x"), {"x_ratelimit_reset_tokens": "6m0s"}, None),
        (
            429,
            error_body("free-models-per-day"),
            {"x_ratelimit_reset": "60", "x_ratelimit_remaining": "0"},
            60,
        ),
        (429, error_body("free-models-per-day"), {"x_ratelimit_reset": "60"}, None),
        (401, error_body("x"), {"retry_after": "12"}, None),
        (400, error_body("x"), {"retry_after": "12"}, None),
        (404, error_body("x"), {"retry_after": "12"}, None),
    ],
)
def test_retry_after_s_is_read_for_classes_that_pass(
    status: int, body: dict, headers: dict, retry_after_s: float | None
) -> None:
    assert classify(http_error(status, body, **headers)).retry_after_s == retry_after_s


def test_now_without_a_zone_is_utc() -> None:
    error = http_error(429, retry_after="2026-11-22T12:01:00Z")
    aware = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
    assert classify(error, aware).retry_after_s == 60
    assert classify(error, aware.replace(tzinfo=None)).retry_after_s == 60
    assert classify(error).retry_after_s is None


def test_geminis_daily_quota_ignores_retry_delay() -> None:
    quota_id = "GenerateRequestsPerDayPerProjectPerModel-FreeTier"
    details = [{"violations": [{"quotaId": quota_id}]}, {"retryDelay": "18s"}]
    error = http_error(429, error_body("x", status="RESOURCE_EXHAUSTED", details=details))
    noon_utc = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
    assert classify(error, noon_utc).retry_after_s == 20 * 3600
    assert classify(error).retry_after_s is None


# Exceptions without a response


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
        (openai.APIConnectionError(request=openai_request()), "host"),
        (openai.APITimeoutError(request=openai_request()), "model"),
    ],
    ids=lambda value: f"{type(value).__module__}.{type(value).__name__}",
)
def test_broken_connection_is_the_hosts_timeout_the_models(error: Exception, scope: str) -> None:
    assert classify(error) == Classification(FailureClass.OVERLOADED, scope=Scope(scope))


def test_connect_timeout_below_an_sdk_is_the_hosts() -> None:
    error = openai.APITimeoutError(request=openai_request())
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
def test_unreadable_answer_is_invalid_response(error: Exception) -> None:
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
        ({"choices": [], "message": "overloaded", "code": 503}, ("overloaded", 503, "model")),
        ([{"error": {"code": 401}}], ("auth_failed", 401, "key")),
        (
            {"base_resp": {"status_code": 1008, "status_msg": "insufficient balance"}},
            ("quota_exceeded", None, "key"),
        ),
        ({"base_resp": {"status_code": 1004, "status_msg": "login"}}, ("auth_failed", None, "key")),
        (
            {"base_resp": {"status_code": 1027, "status_msg": "x"}},
            ("content_filtered", None, "none"),
        ),
        ({"base_resp": {"status_code": 1039, "status_msg": "x"}}, ("rate_limited", None, "route")),
        ({"error": "x"}, ("invalid_response", None, "model")),
        ({"choices": None, "id": "1"}, ("invalid_response", None, "model")),
        ({}, ("invalid_response", None, "model")),
    ],
    ids=str,
)
def test_error_in_a_200_is_classified(body: object, expected: tuple) -> None:
    assert class_status_scope(classify(InvalidResponseError("x", body=body))) == expected


def test_error_in_a_200_without_a_status_came_with_http_200() -> None:
    error = ProviderError("x", status_code=200, body={"error": {"type": "overloaded_error"}})
    assert class_status_scope(classify(error)) == ("overloaded", 200, "model")


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (ContextOverflowError, "context_overflow"),
        (ModelRateLimitError, "rate_limited"),
        (ModelAuthenticationError, "auth_failed"),
        (ModelNotFoundError, "model_not_found"),
    ],
)
def test_langchain_exceptions_are_classified(kind: type[Exception], expected: str) -> None:
    assert classify(kind("x")) == Classification(
        FailureClass(expected), scope=Scope(DEFAULT_SCOPES[expected])
    )


def test_cause_with_a_response_comes_before_names() -> None:
    class WrapperError(ModelRateLimitError):
        pass

    error = WrapperError("x")
    error.__cause__ = http_error(429, error_body("insufficient balance"))
    assert class_status_scope(classify(error)) == ("quota_exceeded", 429, "key")


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
def test_unknown_exception_is_bad_request(error: BaseException) -> None:
    assert classify(error) == Classification(FailureClass.BAD_REQUEST)


def test_builtin_exception_does_not_inherit_its_cause() -> None:
    bug = KeyError("choices")
    bug.__cause__ = http_error(503)
    assert classify(bug) == Classification(FailureClass.BAD_REQUEST)


def test_classify_ends_on_circular_causes() -> None:
    first, second = openai.OpenAIError("a"), openai.OpenAIError("b")
    first.__cause__, second.__cause__ = second, first
    assert classify(first) == Classification(FailureClass.BAD_REQUEST)


# The real SDK against a real server


def failure(*replies: Reply, stream: bool = False, timeout: float = 60.0) -> Exception:
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
        (Reply(status=429, body=error_body("insufficient_quota")), ("quota_exceeded", 429, "key")),
        (Reply(status=400, body=[error_body("a valid API key")]), ("auth_failed", 400, "key")),
        (
            Reply(status=403, body={"code": "x", "error": "any credits"}),
            ("quota_exceeded", 403, "key"),
        ),
        (Reply(status=503, body="<html>Down</html>"), ("overloaded", 503, "model")),
    ],
)
def test_refused_stream_is_classified(reply: Reply, expected: tuple) -> None:
    assert class_status_scope(classify(failure(reply, stream=True))) == expected


@pytest.mark.slow
def test_sdk_timeout_is_overloaded_for_the_model() -> None:
    error = failure(Reply(delay_s=60), timeout=1.0)
    assert classify(error) == Classification(FailureClass.OVERLOADED, scope=Scope.MODEL)


def test_sdk_refused_connection_is_the_hosts() -> None:
    with FakeProvider() as fake:
        url = fake.base_url
    client = openai.OpenAI(base_url=url, api_key="k", max_retries=0)
    with client, pytest.raises(openai.APIConnectionError) as caught:
        client.models.list()
    assert classify(caught.value) == Classification(FailureClass.OVERLOADED, scope=Scope.HOST)


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        (error_body("Provider returned error", code=502), ("overloaded", 502, "model")),
        (error_body("slow down", code=429), ("rate_limited", 429, "route")),
        (error_body("slow down", code="429"), ("rate_limited", 429, "route")),
        (error_body("wrong", code=400), ("bad_request", 400, "none")),
        (error_body("no credits", code=402), ("quota_exceeded", 402, "key")),
        (error_body("Overloaded", code="server_error"), ("overloaded", None, "model")),
        (error_body("Overloaded", type="overloaded_error"), ("overloaded", None, "model")),
        (error_body("x", code="rate_limit_exceeded"), ("rate_limited", None, "route")),
        (error_body("x", type="invalid_request_error"), ("bad_request", None, "none")),
        (
            error_body("credit cards are numbers", type="invalid_request_error"),
            ("bad_request", None, "none"),
        ),
        (error_body("x", type="authentication_error"), ("auth_failed", None, "key")),
        (error_body("x", type="permission_error"), ("auth_failed", None, "key")),
        (error_body("x", type="not_found_error"), ("model_not_found", None, "route")),
        (error_body("x", type="timeout_error"), ("overloaded", None, "model")),
        (error_body("x", status="RESOURCE_EXHAUSTED"), ("rate_limited", None, "route")),
        (error_body("x", status="UNAVAILABLE"), ("overloaded", None, "model")),
        (error_body("x", code="insufficient_quota"), ("quota_exceeded", None, "key")),
        (error_body("maximum context length is 8 tokens"), ("context_overflow", None, "none")),
        (error_body("something"), ("overloaded", None, "model")),
        ({"error": "overloaded"}, ("overloaded", None, "model")),
    ],
    ids=str,
)
def test_error_event_in_a_stream_is_classified(event: dict, expected: tuple) -> None:
    stream = f"data: {json.dumps(event)}\n\n"
    reply = Reply(body=stream, headers={"content-type": "text/event-stream"})
    error = failure(reply, stream=True)
    assert isinstance(error, openai.APIError)
    assert class_status_scope(classify(error)) == expected


# Other SDKs, by their attributes (each seen on the real class)


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        # anthropic: an error event after a 200
        (
            {"status_code": 200, "body": {"type": "error", "error": {"type": "overloaded_error"}}},
            ("overloaded", 200, "model"),
        ),
        # google.genai
        (
            {"code": 429, "status": "RESOURCE_EXHAUSTED", "details": error_body("x", code=429)},
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
def test_other_sdks_exceptions_are_classified(attributes: dict, expected: tuple) -> None:
    error = Exception("x")
    vars(error).update(attributes)
    assert class_status_scope(classify(error)) == expected
