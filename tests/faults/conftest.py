"""Two providers that serve one model: `first` plays the fault, `second` answers."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest

from factories import PAIR_KEYS, Pair
from inference_providers.failover import state
from inference_providers.failover.cooldowns import cooldown_length_s
from inference_providers.failover.state import PROCESS_STATE
from inference_providers.testing import FakeProvider, Reply
from langchain_autoprovider import AutoChatModel

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

LONGER = 60
WATCH_S = 10.0
"""Longer than a busy machine takes for any limit here, shorter than the limit that is left."""


@pytest.fixture(scope="session")
def servers() -> Iterator[tuple[FakeProvider, FakeProvider, FakeProvider]]:
    """Those of all tests, since every new address costs a client of its own."""
    with FakeProvider() as first, FakeProvider() as second, FakeProvider(listens=False) as down:
        yield first, second, down


@pytest.fixture
def pair(
    monkeypatch: pytest.MonkeyPatch, servers: tuple[FakeProvider, FakeProvider, FakeProvider]
) -> Iterator[Pair]:
    """The pair; a call that the first provider holds for too long is ended by hanging up."""
    for name, value in PAIR_KEYS.items():
        monkeypatch.setenv(name, value)
    first, second, down = servers
    first.replies, second.replies = [Reply("from first")], [Reply("from second")]
    rescue = threading.Timer(WATCH_S, first.hang_up)
    rescue.start()
    yield Pair(first, second, down=down)
    rescue.cancel()
    rescue.join()
    for server in servers:
        server.hang_up()
        server.requests.clear()
        server.abandoned.clear()


@pytest.fixture(scope="session", autouse=True)
async def _loaded() -> None:
    """Ask once each way: a first call loads its SDK, which no short timeout should have to hold."""
    with FakeProvider() as fake:
        registry = {"providers": {"warm": fake.row({"m-1": "warm-id"})}}
        model = AutoChatModel("m-1", registry=registry)
        for ask in MODES.values():
            await ask(model, "Hi")


@pytest.fixture
def _no_backoff(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PROCESS_STATE, "jitter", lambda: 0.0)


@pytest.fixture
def _long_rests(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rests are longer than any test on a slow machine, so that they are there to be seen."""
    monkeypatch.setattr(state, "cooldown_length_s", lambda *args: LONGER * cooldown_length_s(*args))


def _merged(chunks: list[Any]) -> Any:
    whole = chunks[0]
    for chunk in chunks[1:]:
        whole += chunk
    return whole


async def _invoke(model: Any, asked: Any) -> Any:
    return model.invoke(asked)


async def _ainvoke(model: Any, asked: Any) -> Any:
    return await model.ainvoke(asked)


async def _stream(model: Any, asked: Any) -> Any:
    return _merged(list(model.stream(asked)))


async def _astream(model: Any, asked: Any) -> Any:
    return _merged([chunk async for chunk in model.astream(asked)])


MODES = {"invoke": _invoke, "ainvoke": _ainvoke, "stream": _stream, "astream": _astream}


@pytest.fixture(params=MODES)
def mode(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def ask(mode: str) -> Callable[..., Any]:
    """One way to ask a model: each test runs in all four."""
    return MODES[mode]
