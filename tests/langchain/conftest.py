"""A pair of providers, the embedded model, and the four ways to call a chat model."""

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
def embedded(_no_prompt_cache: None) -> AutoChatModel:
    """The embedded model, on its real server."""
    return AutoChatModel("smollm2-135m", temperature=0, max_tokens=60, seed=1)


def _merged(chunks: list[Any]) -> BaseMessage:
    assert chunks
    whole = chunks[0]
    for chunk in chunks[1:]:
        whole += chunk
    return whole


async def _ainvoke(model: Any, prompt: Any) -> BaseMessage:
    return await model.ainvoke(prompt)


async def _invoke(model: Any, prompt: Any) -> BaseMessage:
    return model.invoke(prompt)


async def _stream(model: Any, prompt: Any) -> BaseMessage:
    return _merged(list(model.stream(prompt)))


async def _astream(model: Any, prompt: Any) -> BaseMessage:
    return _merged([chunk async for chunk in model.astream(prompt)])


@pytest.fixture(params=[_invoke, _ainvoke, _stream, _astream], ids=lambda f: f.__name__.strip("_"))
def ask(request: pytest.FixtureRequest) -> Callable[..., Any]:
    """One of the four ways to call a model; a test runs with each of them."""
    return request.param


TOO_HARD_FOR_EMBEDDED = frozenset(
    {
        *("test_audio_inputs", "test_image_inputs", "test_image_tool_message"),
        *("test_pdf_inputs", "test_pdf_tool_message", "test_structured_output_pydantic_2_v1"),
    }
)
"""Contract tests that the embedded model is too small for.

Most need images, audio or documents; in the last one the model, at temperature 0, never stops.
`test_standard_scripted.py` runs all of them.
"""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    too_hard = [
        i for i in items if "::TestEmbedded::" in i.nodeid and i.name in TOO_HARD_FOR_EMBEDDED
    ]
    if too_hard:
        config.hook.pytest_deselected(items=too_hard)
        items[:] = [item for item in items if item not in too_hard]
