"""Reads heed the attempt's patience in both generations of httpx; TLS is set up once."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from typing import TYPE_CHECKING, Any

import httpx
import httpx2
import pytest

from inference_providers.failover.read_deadline import Patience
from inference_providers.testing import FakeProvider, Reply
from langchain_autoprovider.http.clients import certificates
from langchain_autoprovider.http.read_deadline import bound_reads

if TYPE_CHECKING:
    from collections.abc import Iterator

ASKED = {"model": "m", "messages": [], "stream": True}


@pytest.fixture(params=[httpx, httpx2], ids=["httpx", "httpx2"])
def library(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.fixture
def client(library: Any) -> Iterator[Any]:
    with library.Client(timeout=60.0) as made:
        bound_reads(made)
        yield made


@pytest.mark.parametrize("reply", [Reply(fault="hang"), Reply(fault="endless_body")], ids=str)
def test_a_read_ends_with_the_patience(client: Any, library: Any, reply: Reply) -> None:
    import time

    with FakeProvider(reply) as fake:
        until = time.monotonic() + 0.3
        with Patience(lambda: until - time.monotonic()), pytest.raises(library.ReadTimeout):
            client.post(f"{fake.base_url}/chat/completions", json=ASKED)


def test_without_an_attempt_the_clients_own_timeout_holds(client: Any, library: Any) -> None:
    with FakeProvider(Reply(fault="hang")) as fake, pytest.raises(library.ReadTimeout):
        client.post(f"{fake.base_url}/chat/completions", json=ASKED, timeout=1.0)


def test_what_is_read_is_what_was_sent(client: Any) -> None:
    with FakeProvider(Reply("hello")) as fake, Patience(lambda: 60.0):
        answers = [
            client.post(f"{fake.base_url}/chat/completions", json={**ASKED, "stream": False})
            for _ in range(2)  # the second on the connection that the first left
        ]
    assert [a.json()["choices"][0]["message"]["content"] for a in answers] == ["hello"] * 2


def test_giving_up_shuts_the_connection(client: Any, library: Any) -> None:
    said = Patience(lambda: 60.0)
    with FakeProvider(Reply(fault="hang")) as fake:
        hurry = threading.Timer(0.3, said.give_up)
        hurry.start()
        with said, pytest.raises(library.TransportError):
            client.post(f"{fake.base_url}/chat/completions", json=ASKED)
        hurry.join()


def test_a_connection_through_tls_is_bounded_too(client: Any, library: Any) -> None:
    """What listens speaks no TLS: the handshake is begun on a bounded connection all the same."""
    with socket.create_server(("127.0.0.1", 0)) as plain:
        port = plain.getsockname()[1]
        with contextlib.suppress(library.TransportError), Patience(lambda: 60.0):
            client.get(f"https://127.0.0.1:{port}/", timeout=1.0)
        accepted, _ = plain.accept()
        with accepted:
            assert accepted.recv(1) == b"\x16", "a TLS handshake begins with 22"


def test_a_proxys_connections_are_bounded_too(library: Any) -> None:
    with library.Client(proxy="http://127.0.0.1:9") as proxied:
        bound_reads(proxied)
        pools = [t._pool._network_backend for t in proxied._mounts.values() if t]
    assert pools
    assert {type(pool).__module__ for pool in pools} == {
        "langchain_autoprovider.http.read_deadline"
    }


def test_one_tls_context_serves_all_clients() -> None:
    made = certificates()
    assert made is certificates()
    assert made.verify_mode is ssl.CERT_REQUIRED
    assert made.check_hostname
