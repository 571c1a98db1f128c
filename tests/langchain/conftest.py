"""Two fake providers that serve the same model, and models over them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from inference_providers.testing import FakeProvider, Reply
from langchain_autoprovider import AutoChatModel

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from langchain_core.messages import BaseMessage


class Pair:
    """`first` and `second` serve `m-1`, each under its own id and with its own key."""

    def __init__(self, first: FakeProvider, second: FakeProvider) -> None:
        self.first = first
        self.second = second

    def registry(self, **row: Any) -> dict[str, Any]:
        return {
            "providers": {
                "first": self.first.row({"m-1": "first-id"}, key="FIRST_KEY", **row),
                "second": self.second.row({"m-1": "second-id"}, key="SECOND_KEY", **row),
            }
        }

    def model(self, name: Any = "m-1", **kwargs: Any) -> AutoChatModel:
        return AutoChatModel(name, registry=self.registry(), **kwargs)

    def speaking(
        self, protocol: str, *, suffix: str = "", facts: Any = None, row: Any = None, **kwargs: Any
    ) -> AutoChatModel:
        """Return a model whose first provider speaks this protocol, at its origin + `suffix`."""
        base_url = self.first.base_url.removesuffix("/v1") + suffix
        registry = self.registry()
        registry["providers"]["first"] |= {
            "endpoints": {"default": {"protocol": protocol, "base_url": base_url}},
            "models": {"m-1": {"id": "first-id", **(facts or {})}},
            **(row or {}),
        }
        return AutoChatModel("m-1", registry=registry, **kwargs)

    def plays(self, *replies: Reply) -> None:
        self.first.replies = list(replies)

    def connections(self) -> list[Any]:
        """Return a list that grows by each connection to the first."""
        server, opened = self.first._server, []
        process = server.process_request

        def noted(connection: Any, address: Any) -> None:
            opened.append(address)
            process(connection, address)

        server.process_request = noted
        return opened


@pytest.fixture
def pair(monkeypatch: pytest.MonkeyPatch) -> Iterator[Pair]:
    monkeypatch.setenv("FIRST_KEY", "first-key-value")
    monkeypatch.setenv("SECOND_KEY", "second-key-value")
    with FakeProvider(Reply("from first")) as first, FakeProvider(Reply("from second")) as second:
        yield Pair(first, second)


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
