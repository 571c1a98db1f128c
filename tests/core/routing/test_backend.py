"""The core finds its backend by an entry point."""

from __future__ import annotations

from importlib.metadata import entry_points
from typing import TYPE_CHECKING, NamedTuple

import openai
import pytest

from factories import route
from inference_providers.credentials import Key
from inference_providers.errors import ConfigError, MissingPackageError
from inference_providers.failover.state import FailoverState
from inference_providers.registry.registry import Registry
from inference_providers.routing import backend
from inference_providers.routing.backend import Access, Piece, find_backend
from inference_providers.testing import FakeProvider, Reply
from inference_providers.types import Selection

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def _no_backend(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    find_backend.cache_clear()
    monkeypatch.setattr(backend, "entry_points", lambda group: entry_points(group=f"no.{group}"))
    yield
    find_backend.cache_clear()


def registry_of(fake: FakeProvider) -> Registry:
    document = {"providers": {"p": fake.row({"m": "x"})}, "auto_model_priority": ["m"]}
    return Registry.load(document)


def test_find_backend_loads_the_installed_one_once() -> None:
    assert find_backend() is find_backend()
    assert type(find_backend()).__module__ == "langchain_autoprovider.backend"


@pytest.mark.usefixtures("_no_backend")
def test_find_backend_without_one_gives_the_pip_command() -> None:
    with pytest.raises(MissingPackageError, match="pip install --force-reinstall autoprovider"):
        find_backend()


class Point(NamedTuple):
    value: str

    def load(self) -> str:
        return self.value


@pytest.mark.usefixtures("_no_backend")
def test_find_backend_refuses_two_and_takes_one_listed_twice(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(backend, "entry_points", lambda **_: [Point("a:A"), Point("a:A")])
    assert find_backend() == "a:A"
    find_backend.cache_clear()
    monkeypatch.setattr(backend, "entry_points", lambda **_: [Point("b:B"), Point("a:A")])
    with pytest.raises(ConfigError, match="Several backends are registered: a:A, b:B; uninstall"):
        find_backend()


def test_unsupported_protocols_say_what_to_do() -> None:
    assert find_backend().unsupported_protocols(Registry.load()) == {}
    endpoints = {
        name: {"protocol": name, "base_url": "https://p.test/v1"}
        for name in ("telepathy", "openai")
    }
    row = {"name": "P", "endpoints": endpoints}
    unsupported = find_backend().unsupported_protocols(Registry.load({"providers": {"p": row}}))
    message = "its protocol 'openai' is not supported by this version; did you mean 'openai-chat'?"
    assert unsupported["openai"] == message
    message = "its protocol 'telepathy' is not supported by this version; use 'openai-chat', "
    assert unsupported["telepathy"].startswith(message)


def test_client_has_the_routes_url_and_not_its_key() -> None:
    access = Access(
        "https://p.test/v1", Key("P_KEY", "sk-canary", ["https://p.test/v1"]), FailoverState()
    )
    with find_backend().client(route("p"), access) as client:
        assert type(client) is openai.OpenAI
        assert str(client.base_url) == "https://p.test/v1/"
        assert "sk-canary" not in repr(vars(client)), "the key is added when a request leaves"
        assert client.max_retries == 0


def test_answer_carries_the_trace() -> None:
    with FakeProvider(Reply("hello there")) as fake:
        piece = find_backend().answer(Selection(models=("m",)), registry_of(fake), "Hi")
    assert piece.text == "hello there"
    assert piece.trace["provider"] == "p"


def test_stream_carries_the_trace_on_its_last_piece_only() -> None:
    with FakeProvider(Reply("hello there you")) as fake:
        selection = Selection(models=("m",))
        *pieces, last = find_backend().stream(selection, registry_of(fake), "Hi")
    assert all(isinstance(piece, Piece) for piece in pieces)
    assert "".join(piece.text for piece in [*pieces, last]) == "hello there you"
    assert len([piece for piece in pieces if piece.text]) == 3
    assert [piece.trace for piece in pieces] == [None] * len(pieces)
    assert last.trace["provider"] == "p"
