"""Errors that are both autoprovider's and LangChain's."""

from __future__ import annotations

import copy
import pickle
from typing import TYPE_CHECKING, Any

import anthropic
import httpx
import openai
import pytest
from langchain_core import exceptions as core

from inference_providers import AllRoutesFailed
from inference_providers.failures.classes import Classification, FailureClass
from inference_providers.testing import Reply
from langchain_autoprovider import AutoChatModel
from langchain_autoprovider.errors import LangChainErrors

if TYPE_CHECKING:
    from factories import Pair

OVERFLOW = Classification(failure_class=FailureClass.CONTEXT_OVERFLOW)


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
    class Own(core.ContextOverflowError):
        pass

    original = Own("too long")
    assert LangChainErrors().wrong_request(original, OVERFLOW) is original


def test_wrong_request_is_the_providers_exception() -> None:
    original = api_error(openai)
    bad = Classification(failure_class=FailureClass.BAD_REQUEST)
    assert LangChainErrors().wrong_request(original, bad) is original
