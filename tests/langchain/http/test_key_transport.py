"""The key joins a request when it leaves: no object that an SDK keeps has it."""

from __future__ import annotations

import gzip
import traceback
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import httpx
import httpx2
import pytest

from inference_providers.credentials import Key
from inference_providers.errors import KeyBindingError
from inference_providers.wire.exchange import Exchange
from langchain_autoprovider.http.key_transport import PLACEHOLDER, add_key_on_send

SECRET = "sk-canary-0123456789abcdef"
URL = "https://api.test/v1"
HEADERS = {"authorization": f"Bearer {PLACEHOLDER}", "x-api-key": PLACEHOLDER, "other": "none"}

Handler = Callable[[Any], Any]
Send = Callable[..., Any]


def key() -> Key:
    return Key("CANARY_KEY", SECRET, [URL])


@pytest.fixture(params=[httpx, httpx2], ids=["httpx", "httpx2"])
def library(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.fixture(params=["sync", "async"])
def send(request: pytest.FixtureRequest, library: Any) -> Send:
    """Return a function that sends a request through a handler and reads the response."""

    async def call(handler: Handler, source: Any = None, url: str = URL) -> Any:
        source = source or key()
        if request.param == "sync":
            with library.Client(transport=library.MockTransport(handler)) as client:
                add_key_on_send(client, source)
                return client.post(url, headers=HEADERS, json={"a": 1})

        async with library.AsyncClient(transport=library.MockTransport(handler)) as aclient:
            add_key_on_send(aclient, source)
            return await aclient.post(url, headers=HEADERS, json={"a": 1})

    return call


async def test_key_is_sent_and_not_kept(send: Send, library: Any) -> None:
    sent: list[Any] = []

    def handler(request: Any) -> Any:
        sent.append(request)
        return library.Response(200, json={})

    exchange = Exchange()
    with exchange:
        response = await send(handler)
    assert sent[0].headers["authorization"] == f"Bearer {SECRET}"
    assert sent[0].headers["x-api-key"] == SECRET
    assert sent[0].headers["other"] == "none"
    assert sent[0].content == b'{"a":1}'
    assert response.request.headers["authorization"] == f"Bearer {PLACEHOLDER}"
    assert exchange.status == 200
    assert exchange.scrub(SECRET) == "[CANARY_KEY]"


async def test_key_is_looked_up_for_each_request(send: Send, library: Any) -> None:
    keys = iter([key(), Key("OTHER", "another-key", [URL])])
    sent: list[str] = []

    def handler(request: Any) -> Any:
        sent.append(request.headers["x-api-key"])
        return library.Response(200)

    for _ in range(2):
        await send(handler, lambda: next(keys))
    assert sent == [SECRET, "another-key"]


@pytest.mark.parametrize(
    "url", ["http://api.test/v1", "https://api.test:8443/v1", "https://evil.test/v1"]
)
async def test_key_goes_to_its_own_origin_only(send: Send, url: str) -> None:
    with pytest.raises(KeyBindingError):
        await send(lambda _: pytest.fail("the request left"), url=url)


@pytest.mark.parametrize("status", [301, 400, 401, 429, 503])
@pytest.mark.parametrize("encoding", ["identity", "gzip"])
async def test_key_is_removed_from_an_error_response(
    send: Send, library: Any, status: int, encoding: str
) -> None:
    body = f"<p>your key {SECRET} is wrong, as is {SECRET[:12]}…</p>".encode()

    def handler(_: Any) -> Any:
        headers = {"content-encoding": encoding, "x-echo": SECRET, "retry-after": "7"}
        content = gzip.compress(body) if encoding == "gzip" else body
        extensions = {"reason_phrase": SECRET.encode()}
        return library.Response(status, headers=headers, content=content, extensions=extensions)

    response = await send(handler)
    assert response.status_code == status
    assert response.text == "<p>your key [CANARY_KEY] is wrong, as is [CANARY_KEY]…</p>"
    assert response.headers["x-echo"] == "[CANARY_KEY]"
    assert response.headers["retry-after"] == "7"
    assert SECRET not in repr(vars(response)) + response.reason_phrase


class _BrokenBody:
    def __init__(self, error: Exception) -> None:
        self.error = error

    def __iter__(self) -> Iterator[bytes]:
        header = SECRET
        yield b"begun"
        raise self.error if header else RuntimeError

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for part in self:
            yield part


async def test_status_counts_where_an_error_body_is_cut(send: Send, library: Any) -> None:
    kinds = (_BrokenBody, library.SyncByteStream, library.AsyncByteStream)
    body = type("Body", kinds, {})(library.RemoteProtocolError("cut"))
    response = await send(lambda _: library.Response(503, stream=body))
    assert (response.status_code, response.text) == (503, "begun")


async def test_failures_below_forget_their_locals(send: Send, library: Any) -> None:
    def refuse(request: Any) -> Any:
        headers = dict(request.headers)
        try:
            return headers["absent"]
        except KeyError as error:
            msg = "refused"
            raise library.ConnectError(msg) from error

    kinds = (_BrokenBody, library.SyncByteStream, library.AsyncByteStream)
    body = type("Body", kinds, {})(library.ReadError("cut"))
    for handler in (refuse, lambda _: library.Response(200, stream=body)):
        with pytest.raises(library.TransportError) as caught:
            await send(handler)
        shown = "".join(
            traceback.TracebackException.from_exception(caught.value, capture_locals=True).format()
        )
        # The locals of this test and of pytest's own frames have the secret's name only.
        assert f"Bearer {SECRET}" not in shown
        assert f"header = '{SECRET}'" not in shown
        assert "in refuse" in shown or "in __iter__" in shown
