"""Errors that are both autoprovider's and LangChain's."""

from __future__ import annotations

import copy
import pickle
import threading
from typing import TYPE_CHECKING, Any

import anthropic
import httpx
import openai
import pytest
from langchain_core import exceptions as core

from inference_providers import AllRoutesFailed
from inference_providers.errors import ContentFilteredError, ProviderError
from inference_providers.failures.classes import Classification, FailureClass
from inference_providers.testing import Reply
from langchain_autoprovider import AutoChatModel
from langchain_autoprovider.errors import AllRoutesOverloaded, AnswerFiltered, LangChainErrors

if TYPE_CHECKING:
    from collections.abc import Callable

    from factories import Pair

OVERFLOW = Classification(failure_class=FailureClass.CONTEXT_OVERFLOW)
WRONG = Classification(failure_class=FailureClass.BAD_REQUEST)


class OwnOverflow(core.ContextOverflowError):
    """An overflow that langchain-core's users raise."""


@pytest.mark.parametrize(
    ("status", "kind", "is_retryable"),
    [
        (429, core.ModelRateLimitError, True),
        (402, core.ModelPermissionDeniedError, False),
        (401, core.ModelAuthenticationError, False),
        (404, core.ModelNotFoundError, False),
        (503, core.ModelAPIError, True),
    ],
)
def test_none_answered_fits_the_last_failure(
    pair: Pair, status: int, kind: type[Exception], is_retryable: bool
) -> None:
    pair.plays(Reply(status=500))
    pair.second.replies = [Reply(status=status)]
    with pytest.raises(kind) as caught:
        pair.model().invoke("Hi")
    error: Any = caught.value
    assert isinstance(error, AllRoutesFailed)
    assert error.is_retryable is is_retryable
    assert len(error.attempts) == 2


def test_overload_inside_a_200_is_no_connection_error(pair: Pair) -> None:
    pair.plays(Reply(body={"error": {"type": "overloaded_error", "message": "Overloaded"}}))
    pair.second.replies = pair.first.replies
    with pytest.raises(AllRoutesOverloaded, match=r"overloaded \(HTTP 200\): Overloaded"):
        pair.model().invoke("Hi")


def test_none_answered_without_http_is_a_connection_error(pair: Pair) -> None:
    registry = pair.registry()
    for row in registry["providers"].values():
        row["endpoints"]["default"]["base_url"] = "http://127.0.0.1:9/v1"
    with pytest.raises(core.ModelConnectionError):
        AutoChatModel("m-1", registry=registry).invoke("Hi")


def test_none_answered_in_cooldowns_says_when_to_retry(pair: Pair) -> None:
    pair.plays(Reply(status=429, headers={"retry-after": "40"}))
    pair.second.replies = [Reply(status=429, headers={"retry-after": "50"})]
    with pytest.raises(core.ModelRateLimitError):
        pair.model().invoke("Hi")
    with pytest.raises(core.ModelRateLimitError, match="0 attempts") as caught:
        pair.model().invoke("Hi")
    error: Any = caught.value
    assert 0 < error.retry_after <= 50
    assert len(pair.first.requests) == len(pair.second.requests) == 1


def api_error(module: Any) -> Any:
    """Return an SDK's exception for HTTP 400 that was raised and has a note and a cause."""
    request = httpx.Request("POST", "http://127.0.0.1/v1")
    response = httpx.Response(400, request=request, json={"error": "too long"})
    error = module.BadRequestError("too long", response=response, body={"a": 1})
    error.add_note("a note")
    with pytest.raises(module.BadRequestError):
        raise error from KeyError("cause")
    return error


@pytest.mark.parametrize("module", [openai, anthropic])
def test_overflow_is_caught_as_either_class(module: Any) -> None:
    original = api_error(module)
    error: Any = LangChainErrors().wrong_request(original, OVERFLOW)
    assert isinstance(error, core.ContextOverflowError)
    assert isinstance(error, module.BadRequestError)
    assert type(original) is module.BadRequestError  # a foreign exception is left as it is
    assert (type(error).__name__, type(error).__module__) == ("BadRequestError", module.__name__)
    assert (str(error), error.status_code, error.body) == ("too long", 400, {"a": 1})
    assert error.response is original.response
    assert error.__notes__ == ["a note"]
    assert isinstance(error.__cause__, KeyError)
    assert error.__traceback__ is original.__traceback__
    assert type(error) is type(LangChainErrors().wrong_request(api_error(module), OVERFLOW))


def test_overflow_can_be_pickled_and_copied() -> None:
    error = LangChainErrors().wrong_request(api_error(openai), OVERFLOW)
    for same in (pickle.loads(pickle.dumps(error)), copy.copy(error), copy.deepcopy(error)):
        assert type(same) is type(error)
        assert (str(same), same.body, same.__notes__) == ("too long", {"a": 1}, ["a note"])


def test_overflow_of_langchain_is_returned_unchanged() -> None:
    original = OwnOverflow("too long")
    assert LangChainErrors().wrong_request(original, OVERFLOW) is original


@pytest.mark.parametrize("module", [openai, anthropic])
def test_wrong_request_is_the_providers_exception_and_pickles(module: Any) -> None:
    original = api_error(module)
    error = LangChainErrors().wrong_request(original, WRONG)
    for same in (error, pickle.loads(pickle.dumps(error)), copy.deepcopy(error)):
        assert isinstance(same, module.BadRequestError)
        assert (str(same), same.body, same.__notes__) == ("too long", {"a": 1}, ["a note"])
    assert isinstance(error.__cause__, KeyError)


def test_wrong_request_keeps_an_exception_that_pickles() -> None:
    original = ValueError("a bug")
    assert LangChainErrors().wrong_request(original, WRONG) is original


def unpicklable_error() -> Exception:
    """Return an error of a class that pickle cannot find, with a lock, as some SDKs raise."""

    class CreatedError(KeyError):
        lock = None

    error = CreatedError("why", threading.Lock())
    vars(error).update(lock=threading.Lock(), code=7)
    return error


def test_wrong_request_pickles_without_what_cannot() -> None:
    error: Any = LangChainErrors().wrong_request(unpicklable_error(), WRONG)
    assert error.lock is not None
    same = pickle.loads(pickle.dumps(error))
    assert isinstance(same, KeyError)
    assert (same.args[0], same.lock, same.code) == ("why", None, 7)
    assert pickle.loads(pickle.dumps(same)).args == same.args


def provider_error(status: int, body: Any = None, **fields: Any) -> ProviderError:
    error = ProviderError(f"HTTP {status}", status_code=status, body=body, **fields)
    error.add_note("a note")
    return error


@pytest.mark.parametrize(
    ("status", "sdk", "kind"),
    [
        (200, openai.BadRequestError, core.ModelInvalidRequestError),
        (400, openai.BadRequestError, core.ModelInvalidRequestError),
        (401, openai.AuthenticationError, core.ModelAuthenticationError),
        (403, openai.PermissionDeniedError, core.ModelPermissionDeniedError),
        (404, openai.NotFoundError, core.ModelNotFoundError),
        (409, openai.ConflictError, Exception),
        (413, openai.APIStatusError, Exception),
        (422, openai.UnprocessableEntityError, Exception),
        (429, openai.RateLimitError, core.ModelRateLimitError),
        (500, openai.InternalServerError, core.ModelAPIError),
        (529, openai.InternalServerError, core.ModelAPIError),
    ],
)
@pytest.mark.parametrize("classification", [WRONG, OVERFLOW])
def test_provider_error_leaves_as_the_sdks_exception(
    status: int, sdk: type[Exception], kind: type[Exception], classification: Classification
) -> None:
    details = {"message": "no", "code": 7, "param": "top_p", "type": "invalid"}
    headers = {"x-request-id": "r-1", "content-encoding": "gzip", "odd": "\u20ac"}
    original = provider_error(status, {"error": details}, headers=headers, url="http://a.b/v1/c")
    error = LangChainErrors().wrong_request(original, classification)
    for same in (error, pickle.loads(pickle.dumps(error)), copy.copy(error)):
        assert isinstance(same, sdk)
        if classification is OVERFLOW:
            assert isinstance(same, core.ContextOverflowError)
        else:
            assert isinstance(same, kind)
        assert same.status_code == max(status, 400)
        assert (same.code, same.param, same.type) == ("7", "top_p", "invalid")
        assert (same.body, same.request_id) == (details, "r-1")
        assert same.message == str(same) == f"Error code: {max(status, 400)} - {original.body}"
        assert same.response.json() == {"error": details}
        assert str(same.request.url) == "http://a.b/v1/c"
        assert same.__notes__ == ["a note"]


def nested(depth: int) -> Any:
    value: Any = "deep"
    for _ in range(depth):
        value = {"error": value}
    return value


@pytest.mark.parametrize(
    "body",
    [None, "", "<html>", "\ud800", [], [1], {}, 0, 7.5, float("nan"), True, nested(3000)]
    + [{"error": odd} for odd in (None, "text", [], 3, {"code": {}, "param": [], "type": 4})],
    ids=lambda body: str(type(body).__name__),
)
def test_provider_error_of_any_body_leaves_and_pickles(body: Any) -> None:
    error = LangChainErrors().wrong_request(provider_error(400, body), WRONG)
    same = pickle.loads(pickle.dumps(error))
    assert isinstance(same, openai.BadRequestError)
    assert str(same) == str(error)


def test_content_filter_leaves_as_a_refusal() -> None:
    original = ContentFilteredError("filtered", partial="half")
    filtered = Classification(failure_class=FailureClass.CONTENT_FILTERED)
    error = LangChainErrors().wrong_request(original, filtered)
    for same in (error, pickle.loads(pickle.dumps(error))):
        assert isinstance(same, ContentFilteredError)
        assert isinstance(same, AnswerFiltered)
        assert isinstance(same, core.ModelRefusalError)
        assert (str(same), same.partial, same.raw_message) == ("filtered", "half", None)


@pytest.mark.parametrize("protocol", ["openai-chat", "openai-responses", "azure"])
@pytest.mark.parametrize("status", [400, 200], ids=["HTTP 400", "inside a 200"])
async def test_wrong_request_raises_openais_exception_without_key(
    pair: Pair, ask: Callable[..., Any], protocol: str, status: int
) -> None:
    details = {"message": "top_p: no such value", "code": 400, "type": "invalid_request_error"}
    body = {"error": {**details, "hint": "Bearer first-key-value"}}
    headers = {"x-request-id": "r-1", "x-echo": "first-key-value"}
    pair.plays(Reply(status=status, body=body, headers=headers))
    pair.second.replies = [Reply(status=400, body={"error": details})]
    model = pair.model_over(protocol, suffix="/v1")
    with pytest.raises(openai.BadRequestError, match="top_p: no such value") as caught:
        await ask(model, "Hi")
    error = caught.value
    assert isinstance(error, core.ModelInvalidRequestError)
    assert (error.status_code, error.code, error.type) == (400, "400", "invalid_request_error")
    assert str(error.request.url).startswith(pair.first.base_url)
    assert "first/m-1" in error.__notes__[0]
    same = pickle.loads(pickle.dumps(error))
    assert isinstance(same, openai.BadRequestError)
    for each in (error, same):
        shown = (each, repr(each), vars(each), dict(each.response.headers), each.response.text)
        assert "first-key-value" not in str((*shown, dict(each.request.headers)))
    if status == 400:
        assert error.request_id == same.request_id == "r-1"


async def test_context_overflow_is_langchain_openais(pair: Pair, ask: Callable[..., Any]) -> None:
    details = {"message": "This model's maximum context length is 8 tokens", "code": 400}
    details["code"] = "context_length_exceeded"
    pair.plays(Reply(status=400, body={"error": details}))
    pair.second.replies = pair.first.replies
    with pytest.raises(openai.BadRequestError) as caught:
        await ask(pair.model(), "Hi")
    assert isinstance(caught.value, core.ContextOverflowError)
    assert "context_length_exceeded" in str(caught.value)


async def test_filtered_answer_is_a_refusal(pair: Pair, ask: Callable[..., Any]) -> None:
    pair.plays(Reply("", finish_reason="content_filter"))
    with pytest.raises(core.ModelRefusalError) as caught:
        await ask(pair.model(), "Hi")
    assert isinstance(caught.value, ContentFilteredError)
    assert isinstance(pickle.loads(pickle.dumps(caught.value)), AnswerFiltered)
