"""Our errors are langchain-core's as well, where one fits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from langchain_core import exceptions as core

from inference_providers import AllRoutesFailed
from inference_providers.testing import Reply

if TYPE_CHECKING:
    from conftest import Pair


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
def test_the_last_failure_says_which(
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


def test_no_answer_at_all_is_a_connection_error(pair: Pair) -> None:
    registry = pair.registry()
    for row in registry["providers"].values():
        row["endpoints"]["default"]["base_url"] = "http://127.0.0.1:9/v1"
    from langchain_autoprovider import AutoChatModel

    with pytest.raises(core.ModelConnectionError):
        AutoChatModel("m-1", registry=registry).invoke("Hi")


def test_when_all_rest_it_says_when_to_come_back(pair: Pair) -> None:
    pair.plays(Reply(status=429, headers={"retry-after": "40"}))
    pair.second.replies = [Reply(status=429, headers={"retry-after": "50"})]
    with pytest.raises(core.ModelRateLimitError):
        pair.model().invoke("Hi")
    with pytest.raises(core.ModelRateLimitError, match="0 tried") as caught:
        pair.model().invoke("Hi")
    error: Any = caught.value
    assert 0 < error.retry_after <= 50
    assert len(pair.first.requests) == len(pair.second.requests) == 1
