"""What is particular to OpenAI's protocols: the arguments of the SDK, and the conversion."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

import pytest
from langchain_openai.chat_models.base import BaseChatOpenAI

from inference_providers import AllRoutesFailed, StreamInterrupted
from inference_providers.testing import Reply
from langchain_autoprovider.protocols import connections
from langchain_autoprovider.protocols.openai import OpenAIRoute

if TYPE_CHECKING:
    from collections.abc import Callable

    from factories import Pair


async def test_arguments_of_the_sdk_keep_their_meaning(pair: Pair, ask: Callable[..., Any]) -> None:
    model = pair.model().bind(
        extra_headers={"X-Title": "my app", "User-Agent": "mine"},
        extra_query={"api-version": "1 2"},
        extra_body={"temperature": 0.5, "provider": {"sort": "price"}},
        temperature=1.0,
    )
    await ask(model, "Hi")
    (request,) = pair.first.requests
    path, _, query = request.path.partition("?")
    assert (path, parse_qs(query)) == ("/v1/chat/completions", {"api-version": ["1 2"]})
    assert (request.headers["x-title"], request.headers["user-agent"]) == ("my app", "mine")
    assert (request.body["temperature"], request.body["provider"]) == (0.5, {"sort": "price"})
    assert not {"extra_headers", "extra_query", "extra_body", "timeout"} & request.body.keys()


async def test_converter_that_fails_is_an_invalid_response(
    pair: Pair, ask: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise RecursionError

    for name in ("_create_chat_result", "_convert_chunk_to_generation_chunk"):
        monkeypatch.setattr(BaseChatOpenAI, name, fail)
    with pytest.raises(AllRoutesFailed, match="cannot be read: RecursionError") as caught:
        await ask(pair.model(), "Hi")
    assert {attempt.failure_class for attempt in caught.value.attempts} == {"invalid_response"}


def test_route_has_no_client_of_the_sdk_and_no_key(pair: Pair) -> None:
    pair.model().invoke("Hi")
    models = [m for m in connections._connections.values() if isinstance(m, OpenAIRoute)]
    assert models
    for model in models:
        for name in ("client", "async_client", "root_client", "root_async_client"):
            assert getattr(model, name) is None
        assert model.openai_api_key is None


def test_one_model_of_a_route_serves_all_modes(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "_connections", {})
    model = pair.model()
    model.invoke("Hi")
    for _ in range(2):
        assert asyncio.run(model.ainvoke("Hi")).text == "from first"
    assert "".join(chunk.text for chunk in model.stream("Hi")) == "from first"
    assert len(connections._connections) == 1


async def test_filtered_stream_after_output_is_interrupted(pair: Pair) -> None:
    pair.plays(Reply("one two", finish_reason="content_filter"))
    chunks = pair.model().astream("Hi")
    texts = [(await anext(chunks)).text for _ in range(2)]
    with pytest.raises(StreamInterrupted) as caught:
        texts += [chunk.text async for chunk in chunks]
    assert "one" in texts
    assert caught.value.partial.text == "one two"
