"""Two fake providers that serve the same model, and models over them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from factories import PAIR_KEYS, two_providers
from langchain_autoprovider import AutoChatModel

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from langchain_core.messages import BaseMessage

    from factories import Pair


@pytest.fixture
def pair(monkeypatch: pytest.MonkeyPatch) -> Iterator[Pair]:
    for name, value in PAIR_KEYS.items():
        monkeypatch.setenv(name, value)
    with two_providers() as providers:
        yield providers


@pytest.fixture
def embedded(_read_anew: None) -> AutoChatModel:
    """The real model behind the real server."""
    return AutoChatModel("smollm2-135m", temperature=0, max_tokens=60, seed=1)


def _merged(chunks: list[Any]) -> BaseMessage:
    assert chunks
    whole = chunks[0]
    for chunk in chunks[1:]:
        whole += chunk
    return whole


async def _ainvoke(model: Any, asked: Any) -> BaseMessage:
    return await model.ainvoke(asked)


async def _invoke(model: Any, asked: Any) -> BaseMessage:
    return model.invoke(asked)


async def _stream(model: Any, asked: Any) -> BaseMessage:
    return _merged(list(model.stream(asked)))


async def _astream(model: Any, asked: Any) -> BaseMessage:
    return _merged([chunk async for chunk in model.astream(asked)])


@pytest.fixture(params=[_invoke, _ainvoke, _stream, _astream], ids=lambda f: f.__name__.strip("_"))
def ask(request: pytest.FixtureRequest) -> Callable[..., Any]:
    """One way to ask a model: each test runs in all four."""
    return request.param


BEYOND_SMALL = frozenset(
    {
        *("test_audio_inputs", "test_image_inputs", "test_image_tool_message"),
        *("test_pdf_inputs", "test_pdf_tool_message", "test_structured_output_pydantic_2_v1"),
    }
)
"""What the contract suite asks of models that see and hear, and a joke on which this one, at
temperature 0, writes on until its end; the scripted server answers them all."""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    beyond = [i for i in items if "::TestEmbedded::" in i.nodeid and i.name in BEYOND_SMALL]
    if beyond:
        config.hook.pytest_deselected(items=beyond)
        items[:] = [item for item in items if item not in beyond]
