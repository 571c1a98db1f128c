"""Reads keep the attempt's deadline in both generations of httpx; TLS is set up once."""

from __future__ import annotations

import contextlib
import math
import socket
import ssl
import threading
import time
from typing import TYPE_CHECKING, Any

import httpx
import httpx2
import pytest

from inference_providers.testing import FakeProvider, Reply
from inference_providers.wire.exchange import Exchange
from inference_providers.wire.http.network_backend import DeadlineBackend
from inference_providers.wire.http.tls import tls_context
from langchain_autoprovider.http.read_deadline import enforce_read_deadline

if TYPE_CHECKING:
    from collections.abc import Iterator

REQUEST = {"model": "m", "messages": [], "stream": True}


@pytest.fixture(params=[httpx, httpx2], ids=["httpx", "httpx2"])
def library(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.fixture
def client(library: Any) -> Iterator[Any]:
    with library.Client(timeout=60.0) as client:
        enforce_read_deadline(client)
        yield client


@pytest.mark.parametrize("reply", [Reply(fault="hang"), Reply(fault="endless_body")], ids=str)
def test_read_ends_at_the_deadline(client: Any, library: Any, reply: Reply) -> None:
    with FakeProvider(reply) as fake:
        deadline = Exchange(time.monotonic() + 0.3)
        with deadline, pytest.raises(library.ReadTimeout):
            client.post(f"{fake.base_url}/chat/completions", json=REQUEST)


def test_read_outside_an_attempt_keeps_the_client_timeout(client: Any, library: Any) -> None:
    with FakeProvider(Reply(fault="hang")) as fake, pytest.raises(library.ReadTimeout):
        client.post(f"{fake.base_url}/chat/completions", json=REQUEST, timeout=1.0)


def test_read_returns_the_bytes_that_were_sent(client: Any) -> None:
    with FakeProvider(Reply("hello")) as fake, Exchange(math.inf):
        answers = [
            client.post(f"{fake.base_url}/chat/completions", json={**REQUEST, "stream": False})
            for _ in range(2)  # the second on the connection that the first left
        ]
    assert [a.json()["choices"][0]["message"]["content"] for a in answers] == ["hello"] * 2


def test_cancel_shuts_down_the_connection(client: Any, library: Any) -> None:
    deadline = Exchange(math.inf)
    with FakeProvider(Reply(fault="hang")) as fake:
        timer = threading.Timer(0.3, deadline.cancel)
        timer.start()
        with deadline, pytest.raises(library.TransportError):
            client.post(f"{fake.base_url}/chat/completions", json=REQUEST)
        timer.join()


def test_read_is_bounded_through_tls(client: Any, library: Any) -> None:
    """The server does not use TLS, but the handshake begins on a bounded connection."""
    with socket.create_server(("127.0.0.1", 0)) as plain:
        port = plain.getsockname()[1]
        with contextlib.suppress(library.TransportError), Exchange(math.inf):
            client.get(f"https://127.0.0.1:{port}/", timeout=1.0)
        accepted, _ = plain.accept()
        with accepted:
            assert accepted.recv(1) == b"\x16", "a TLS handshake begins with 22"


def test_read_is_bounded_through_a_proxy(library: Any) -> None:
    with library.Client(proxy="http://127.0.0.1:9") as proxied:
        enforce_read_deadline(proxied)
        pools = [t._pool._network_backend for t in proxied._mounts.values() if t]
    assert pools
    assert {type(pool) for pool in pools} == {DeadlineBackend}


def test_one_tls_context_serves_all_clients() -> None:
    context = tls_context()
    assert context is tls_context()
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
