"""What a failure means is told by its status first, then by what the provider says."""

from __future__ import annotations

import json
import ssl
import types
import urllib.error
from importlib import import_module
from importlib.util import find_spec

import httpx
import openai
import pytest
import requests

from inference_providers.errors import BrokenAnswerError, LocalServerError
from inference_providers.testing import FakeProvider, Reply
from inference_providers.verdicts import FailureClass, Verdict, classify

HTTP_LIBRARIES = [import_module(name) for name in ("httpx", "httpx2") if find_spec(name)]
"""openai 2 stands on the one, openai 3 on the other."""


class HTTPError(Exception):
    """What SDKs raise: a status and a body."""

    def __init__(self, status: int, body: object = None) -> None:
        super().__init__(f"Error code: {status}")
        self.status_code = status
        self.body = body


def said(message: str, **fields) -> dict:
    return {"error": {"message": message, **fields}}


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (400, "BAD"), (401, "AUTH"), (402, "QUOTA"), (403, "AUTH"), (404, "MODEL"), (405, "BAD"),
        (408, "OVER"), (409, "OVER"), (410, "MODEL"), (412, "QUOTA"), (413, "SIZE"), (422, "BAD"),
        (425, "OVER"), (429, "RATE"), (498, "OVER"), (500, "OVER"), (502, "OVER"), (503, "OVER"),
        (504, "OVER"), (529, "OVER"), (599, "OVER"), (200, "BROKEN"), (302, "BROKEN"),
    ],
)  # fmt: skip
def test_a_status_alone_has_a_meaning(status: int, expected: str) -> None:
    assert classify(HTTPError(status)) == Verdict(FailureClass(expected), status)


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        # OpenAI
        (429, said("You exceeded your current quota...", code="insufficient_quota"), "QUOTA"),
        (429, said("x", type="insufficient_quota"), "QUOTA"),
        (429, said("x", code="credit_balance_exhausted"), "QUOTA"),
        (429, said("x", code="organization_spend_limit_exceeded"), "QUOTA"),
        (429, said("x", code="project_spend_limit_exceeded"), "QUOTA"),
        (429, said("x", code="organization_usage_limit_reached"), "QUOTA"),
        (429, said("x", code="billing_hard_limit_reached"), "QUOTA"),
        (429, said("x", code="billing_not_active"), "QUOTA"),
        (429, said("Rate limit reached for o4-mini on tokens per min (TPM)"), "RATE"),
        (429, said("Request too large for gpt-4o (TPM): Limit 30000, Requested 40000."), "SIZE"),
        (400, said("maximum context length is 4097 tokens", code="context_length_exceeded"), "CTX"),
        (404, said("x", code="model_not_found"), "MODEL"),
        (401, said("Incorrect API key provided: sk-...", code="invalid_api_key"), "AUTH"),
        # Anthropic
        (529, said("Overloaded", type="overloaded_error"), "OVER"),
        (400, said("Your credit balance is too low to access the Anthropic API."), "QUOTA"),
        (400, said("prompt is too long: 210000 tokens > 200000 maximum"), "CTX"),
        (429, said("x", details={"error_code": "enforced_spend_limit_reached"}), "QUOTA"),
        # Gemini: a list of one
        (400, [said("Please pass a valid API key", status="INVALID_ARGUMENT")], "AUTH"),
        (400, [said("API key not valid", reason="API_KEY_INVALID")], "AUTH"),
        (400, [said("x", status="FAILED_PRECONDITION", m="enable billing")], "QUOTA"),
        (400, [said("input exceeds the maximum number of tokens allowed (8).")], "CTX"),
        (503, [said("The model is overloaded.", status="UNAVAILABLE")], "OVER"),
        # Others
        (413, said("Request too large for model", code="rate_limit_exceeded"), "SIZE"),
        (412, said("Account x is suspended, possibly due to the monthly spending limit"), "QUOTA"),
        (402, said("Insufficient Balance", code="invalid_request_error"), "QUOTA"),
        (402, {"detail": {"error": "please enter a payment method"}}, "QUOTA"),
        (403, {"error": "Your newly created team doesn't have any credits or licenses"}, "QUOTA"),
        (403, {"error": "reached its monthly spending limit"}, "QUOTA"),
        (400, {"code": "invalid-argument", "error": "Incorrect API key provided..."}, "AUTH"),
        (400, said("is not supported by any provider", code="model_not_supported"), "MODEL"),
        (404, {"status": 404, "detail": "Function not found for account"}, "MODEL"),
        (400, said("x", code="content_filter"), "POLICY"),
        (400, said("x", innererror={"code": "ResponsibleAIPolicyViolation"}), "POLICY"),
        (404, {"error": "model 'x' not found, try pulling it first"}, "MODEL"),
        (503, said("Loading model", type="unavailable_error"), "OVER"),
        (400, said("x", type="exceed_context_size_error", n_ctx=512), "CTX"),
        (400, said("Access denied", code="Arrearage"), "QUOTA"),
        # The word is not the meaning
        (429, {"message": "Tokens per minute limit", "code": "token_quota_exceeded"}, "RATE"),
        (500, said("insufficient_quota"), "OVER"),
        (400, said("Unsupported parameter: 'n'", code="unsupported_parameter"), "BAD"),
    ],
    ids=str,
)  # fmt: skip
def test_what_the_provider_says_refines_the_status(
    status: int, body: object, expected: str
) -> None:
    assert classify(HTTPError(status, body)) == Verdict(FailureClass(expected), status)


def test_the_status_may_stand_on_the_response() -> None:
    error = Exception("x")
    error.response = types.SimpleNamespace(status_code=429)
    assert classify(error) == Verdict(FailureClass.RATE, 429)


def test_only_wrong_requests_stay_on_their_route() -> None:
    assert {c for c in FailureClass if not c.moves_on} == {"CTX", "BAD", "POLICY"}


# Calls that never ended well


@pytest.mark.parametrize(
    "error",
    [
        ConnectionRefusedError("refused"),
        ConnectionResetError("reset"),
        BrokenPipeError("pipe"),
        TimeoutError("late"),
        ssl.SSLError("handshake"),
        ssl.SSLCertVerificationError("expired"),
        LocalServerError("does not start"),
        *(
            error("x")
            for library in HTTP_LIBRARIES
            for error in (
                library.ConnectError,
                library.ConnectTimeout,
                library.ReadTimeout,
                library.PoolTimeout,
                library.ReadError,
                library.RemoteProtocolError,
                library.ProxyError,
            )
        ),
        requests.ConnectionError("x"),
        requests.exceptions.ConnectTimeout("x"),
        requests.exceptions.ReadTimeout("x"),
        requests.exceptions.SSLError("x"),
        requests.exceptions.ChunkedEncodingError("x"),
        openai.APIConnectionError(request=httpx.Request("POST", "https://p.test")),
        openai.APITimeoutError(request=httpx.Request("POST", "https://p.test")),
    ],
    ids=lambda error: f"{type(error).__module__}.{type(error).__name__}",
)
def test_a_transport_error_is_the_routes(error: Exception) -> None:
    assert classify(error) == Verdict(FailureClass.OVER)


@pytest.mark.parametrize(
    "error",
    [BrokenAnswerError("HTML"), json.JSONDecodeError("Expecting value", "<html>", 0)],
    ids=repr,
)
def test_an_answer_that_is_none_is_broken(error: Exception) -> None:
    assert classify(error) == Verdict(FailureClass.BROKEN)


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
    ],
    ids=repr,
)
def test_what_no_rule_knows_is_no_failure_of_a_provider(error: Exception) -> None:
    assert classify(error) == Verdict(FailureClass.BAD)


# The real SDK against a real server


def failure(*replies: Reply, stream: bool = False, timeout: float = 10.0) -> Exception:
    """Return what the openai SDK raises for a reply."""
    with FakeProvider(*replies) as fake:
        client = openai.OpenAI(base_url=fake.base_url, api_key="k", max_retries=0, timeout=timeout)
        messages = [{"role": "user", "content": "Hi"}]
        create = client.chat.completions.create
        with client, pytest.raises(openai.APIError) as caught:
            list(create(model="m", messages=messages, stream=stream))
        return caught.value


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("reply", "verdict"),
    [
        (Reply(status=400), Verdict(FailureClass.BAD, 400)),
        (Reply(status=401), Verdict(FailureClass.AUTH, 401)),
        (Reply(status=402), Verdict(FailureClass.QUOTA, 402)),
        (Reply(status=404), Verdict(FailureClass.MODEL, 404)),
        (Reply(status=429), Verdict(FailureClass.RATE, 429)),
        (Reply(status=429, body=said("insufficient_quota")), Verdict(FailureClass.QUOTA, 429)),
        (Reply(status=400, body=[said("a valid API key")]), Verdict(FailureClass.AUTH, 400)),
        (Reply(status=403, body={"error": "any credits"}), Verdict(FailureClass.QUOTA, 403)),
        (Reply(status=503, body="<html>Down</html>"), Verdict(FailureClass.OVER, 503)),
        (Reply(status=529), Verdict(FailureClass.OVER, 529)),
    ],
)  # fmt: skip
def test_the_sdks_exceptions_are_understood(
    reply: Reply,
    verdict: Verdict,
    stream: bool,
) -> None:
    error = failure(reply, stream=stream)
    assert isinstance(error, openai.APIStatusError)
    assert classify(error) == verdict


def test_the_sdks_timeout_is_understood() -> None:
    assert classify(failure(Reply(delay_s=0.5), timeout=0.05)) == Verdict(FailureClass.OVER)


def test_a_refused_connection_through_the_sdk_is_understood() -> None:
    with FakeProvider() as fake:
        url = fake.base_url
    client = openai.OpenAI(base_url=url, api_key="k", max_retries=0)
    with client, pytest.raises(openai.APIConnectionError) as caught:
        client.models.list()
    assert classify(caught.value) == Verdict(FailureClass.OVER)


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        (said("Provider returned error", code=502), "OVER"),
        (said("slow down", code=429), "RATE"),
        (said("slow down", code="429"), "RATE"),
        (said("Overloaded", code="server_error"), "OVER"),
        (said("Overloaded", type="overloaded_error"), "OVER"),
        (said("wrong", code=400), "BAD"),
        (said("no credits", code=402), "QUOTA"),
    ],
    ids=str,
)
def test_an_error_event_in_a_stream_is_understood(event: dict, expected: str) -> None:
    stream = f"data: {json.dumps(event)}\n\n"
    reply = Reply(body=stream, headers={"content-type": "text/event-stream"})
    error = failure(reply, stream=True)
    assert isinstance(error, openai.APIError)
    assert classify(error) == Verdict(FailureClass(expected))
