"""Two providers that serve one model: `first` plays the fault, `second` answers."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest

from factories import PAIR_KEYS, Pair
from inference_providers.failover import state, stream_buffer
from inference_providers.failover.cooldowns import cooldown_length_s
from inference_providers.failover.state import PROCESS_STATE
from inference_providers.testing import FakeProvider, Reply
from inference_providers.wire import streams
from langchain_autoprovider import AutoChatModel
from raw_server import RawServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

FACTOR = 60
HANG_UP_AFTER_S = 10.0
"""Longer than any limit here on a busy machine, shorter than the limit of the whole call."""


@pytest.fixture(scope="session")
def servers() -> Iterator[tuple[FakeProvider, FakeProvider, FakeProvider]]:
    """Servers that all tests share: each new address would cost a new client."""
    with FakeProvider() as first, FakeProvider() as second, FakeProvider(listens=False) as down:
        yield first, second, down


@pytest.fixture
def pair(
    monkeypatch: pytest.MonkeyPatch, servers: tuple[FakeProvider, FakeProvider, FakeProvider]
) -> Iterator[Pair]:
    """The pair. A timer hangs up on a call that the first provider holds for too long."""
    for name, value in PAIR_KEYS.items():
        monkeypatch.setenv(name, value)
    first, second, down = servers
    first.replies, second.replies = [Reply("from first")], [Reply("from second")]
    hang_up_timer = threading.Timer(HANG_UP_AFTER_S, first.hang_up)
    hang_up_timer.start()
    yield Pair(first, second, down=down)
    hang_up_timer.cancel()
    hang_up_timer.join()
    for server in servers:
        server.hang_up()
        server.requests.clear()
        server.abandoned.clear()


@pytest.fixture(scope="session")
def faulty() -> Iterator[RawServer]:
    """A provider that sends whatever bytes a test gives it."""
    with RawServer() as server:
        yield server


@pytest.fixture
def faulty_pair(pair: Pair, faulty: RawServer) -> Iterator[Pair]:
    """The pair, with `faulty` as its first provider."""
    yield Pair(faulty, pair.second)  # type: ignore[arg-type] - it has what a pair needs
    faulty.hang_up()
    faulty.requests.clear()


@pytest.fixture(scope="session", autouse=True)
async def _sdk_loaded() -> None:
    """Make one call per mode: the first one imports an SDK, which takes longer than some limits."""
    with FakeProvider() as fake:
        registry = {"providers": {"warm": fake.row({"m-1": "warm-id"})}}
        model = AutoChatModel("m-1", registry=registry)
        for ask in MODES.values():
            await ask(model, "Hi")


@pytest.fixture
def _no_backoff(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PROCESS_STATE, "jitter", lambda: 0.0)


@pytest.fixture
def _short_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait less for the end of a stream after its finish reason."""
    for module in (streams, stream_buffer):
        monkeypatch.setattr(module, "END_GRACE_S", 0.3)


@pytest.fixture
def _long_cooldowns(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make cooldowns longer than any test on a slow machine, so that tests can see them."""
    monkeypatch.setattr(state, "cooldown_length_s", lambda *args: FACTOR * cooldown_length_s(*args))


def _merged(chunks: list[Any]) -> Any:
    whole = chunks[0]
    for chunk in chunks[1:]:
        whole += chunk
    return whole


async def _invoke(model: Any, prompt: Any) -> Any:
    return model.invoke(prompt)


async def _ainvoke(model: Any, prompt: Any) -> Any:
    return await model.ainvoke(prompt)


async def _stream(model: Any, prompt: Any) -> Any:
    return _merged(list(model.stream(prompt)))


async def _astream(model: Any, prompt: Any) -> Any:
    return _merged([chunk async for chunk in model.astream(prompt)])


MODES = {"invoke": _invoke, "ainvoke": _ainvoke, "stream": _stream, "astream": _astream}


@pytest.fixture(params=MODES)
def mode(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def ask(mode: str) -> Callable[..., Any]:
    """One way to call a model; each test runs in all four."""
    return MODES[mode]
