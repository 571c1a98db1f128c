"""The core finds what speaks to routes by its entry point."""

from __future__ import annotations

from importlib.metadata import entry_points
from typing import TYPE_CHECKING

import openai
import pytest

from factories import route
from inference_providers.credentials import Key
from inference_providers.errors import MissingPackageError
from inference_providers.failover.state import FailoverState
from inference_providers.registry.registry import Registry
from inference_providers.routing import backend
from inference_providers.routing.backend import Access, Piece, find_backend
from inference_providers.testing import FakeProvider, Reply
from inference_providers.types import Selection

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def nothing_registered(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    find_backend.cache_clear()
    monkeypatch.setattr(backend, "entry_points", lambda group: entry_points(group=f"no.{group}"))
    yield
    find_backend.cache_clear()


def registry_of(fake: FakeProvider) -> Registry:
    document = {"providers": {"p": fake.row({"m": "x"})}, "auto_model_priority": ["m"]}
    return Registry.load(document)


def test_the_installed_connector_is_found_once() -> None:
    assert find_backend() is find_backend()
    assert type(find_backend()).__module__ == "langchain_autoprovider.backend"


@pytest.mark.usefixtures("nothing_registered")
def test_without_a_connector_the_message_is_the_pip_line() -> None:
    with pytest.raises(MissingPackageError, match="pip install --force-reinstall autoprovider"):
        find_backend()


def test_protocols_that_cannot_be_spoken_are_named_with_what_to_do() -> None:
    assert find_backend().unsupported_protocols(Registry.load()) == {}
    endpoints = {
        name: {"protocol": name, "base_url": "https://p.test/v1"}
        for name in ("telepathy", "openai")
    }
    row = {"name": "P", "endpoints": endpoints}
    unsupported_protocols = find_backend().unsupported_protocols(
        Registry.load({"providers": {"p": row}})
    )
    told = "its protocol 'openai' is not spoken by this version; did you mean 'openai-chat'?"
    assert unsupported_protocols["openai"] == told
    told = "its protocol 'telepathy' is not spoken by this version; there is 'openai-chat', "
    assert unsupported_protocols["telepathy"].startswith(told)


def test_a_client_has_the_routes_address_and_key() -> None:
    access = Access(
        "https://p.test/v1", Key("P_KEY", "sk-canary", ["https://p.test/v1"]), FailoverState()
    )
    with find_backend().client(route("p"), access) as client:
        assert type(client) is openai.OpenAI
        assert (str(client.base_url), client.api_key) == ("https://p.test/v1/", "sk-canary")
        assert client.max_retries == 0


def test_a_chat_answers_and_carries_the_trace() -> None:
    with FakeProvider(Reply("hello there")) as fake:
        piece = find_backend().chat(Selection(models=("m",)), registry_of(fake)).answer("Hi")
    assert piece.text == "hello there"
    assert piece.trace["provider"] == "p"


def test_a_chat_streams_and_the_last_piece_alone_carries_the_trace() -> None:
    with FakeProvider(Reply("hello there you")) as fake:
        chat = find_backend().chat(Selection(models=("m",)), registry_of(fake))
        *pieces, last = list(chat.stream("Hi"))
    assert all(isinstance(piece, Piece) for piece in pieces)
    assert "".join(piece.text for piece in [*pieces, last]) == "hello there you"
    assert len([piece for piece in pieces if piece.text]) == 3
    assert [piece.trace for piece in pieces] == [None] * len(pieces)
    assert last.trace["provider"] == "p"
