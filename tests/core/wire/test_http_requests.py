"""What both clients send, and that no exception of theirs holds the key."""

from __future__ import annotations

import asyncio
import gc
import json
import traceback
from types import (
    BuiltinFunctionType,
    CodeType,
    FrameType,
    FunctionType,
    MethodType,
    ModuleType,
    TracebackType,
)
from typing import TYPE_CHECKING, Any

import pytest

from inference_providers.credentials import Key
from inference_providers.errors import ConfigError, KeyBindingError, ProviderError
from inference_providers.wire.exchange import Exchange
from inference_providers.wire.http.async_client import AsyncHttpClient
from inference_providers.wire.http.client import HttpClient
from socket_server import Script, SocketServer, chunked, response

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conftest import AsyncFace, SyncFace

    Client = AsyncFace | SyncFace

SECRET = "sk-canary-0123456789abcdef"


def key_for(server: SocketServer) -> Key:
    return Key("CANARY", SECRET, [server.base_url])


def test_a_request_has_this_head_and_body(client: Client) -> None:
    payload = {"model": "m", "messages": [{"role": "user", "content": "grün 🌱"}], "n": None}
    with SocketServer(response()) as server:
        client.post(server.base_url, key_for(server), path="/chat/completions", payload=payload)
    [request] = server.requests
    assert request.head.startswith(b"POST /v1/chat/completions HTTP/1.1\r\n")
    assert request.headers == {
        "host": f"127.0.0.1:{server.port}",
        "accept": "application/json",
        "accept-encoding": "gzip, deflate",
        "content-type": "application/json",
        "user-agent": "autoprovider",
        "content-length": str(len(request.body)),
        "authorization": f"Bearer {SECRET}",
    }
    assert json.loads(request.body) == payload


def test_without_a_key_there_is_no_authorization_header(client: Client) -> None:
    with SocketServer(response()) as server:
        client.post(server.base_url)
        client.post(server.base_url, lambda: None)
    assert all("authorization" not in request.headers for request in server.requests)


def test_a_key_function_is_called_for_each_request(client: Client) -> None:
    with SocketServer(response()) as server:
        keys = iter(
            [Key("A", "first-key", [server.base_url]), Key("A", "next-key", [server.base_url])]
        )
        for _ in range(2):
            client.post(server.base_url, lambda: next(keys))
    sent = [request.headers["authorization"] for request in server.requests]
    assert sent == ["Bearer first-key", "Bearer next-key"]


async def test_a_key_function_may_be_asynchronous() -> None:
    with SocketServer(response()) as server:

        async def fetch() -> Key:
            await asyncio.sleep(0)
            return key_for(server)

        await AsyncHttpClient(server.base_url, fetch).post("/x", {}, timeout_s=60)
    assert server.requests[0].headers["authorization"] == f"Bearer {SECRET}"


@pytest.mark.parametrize(
    ("suffix", "path", "query", "target"),
    [
        ("", "/chat/completions", {}, "/v1/chat/completions"),
        ("/", "/chat/completions", {}, "/v1/chat/completions"),
        ("/a b", "/ü", {}, "/v1/a%20b/%C3%BC"),
        ("?api-version=1", "/x", {}, "/v1/x?api-version=1"),
        ("?api-version=1", "/x?a=b", {"c": "d e"}, "/v1/x?api-version=1&a=b&c=d+e"),
        ("", "/x", {"a": True, "b": None, "c": 1}, "/v1/x?a=true&c=1"),
        (
            "",
            "/x",
            {"a": ["b", 2], "c": {"d": ["e"]}},
            "/v1/x?a%5B%5D=b&a%5B%5D=2&c%5Bd%5D%5B%5D=e",
        ),
        ("/a%2Fb", "/x", {}, "/v1/a%2Fb/x"),
        ("", "", {}, "/v1"),
        ("#fragment", "/x", {}, "/v1/x"),
    ],
)
def test_paths_and_queries_are_joined(
    client: Client, suffix: str, path: str, query: dict[str, Any], target: str
) -> None:
    with SocketServer(response()) as server:
        client.post(server.base_url + suffix, path=path, query=query)
    assert server.requests[0].target == target


def test_further_headers_replace_those_of_the_client(client: Client) -> None:
    extra = {"user-agent": "mine", "X-Title": "t", "X-Name": "Zoë"}
    with SocketServer(response()) as server:
        client.post(server.base_url, key_for(server), headers=extra)
    headers = server.requests[0].headers
    assert (headers["user-agent"], headers["x-title"]) == ("mine", "t")
    assert server.requests[0].head.lower().count(b"user-agent") == 1
    assert headers["x-name"].encode("latin-1").decode() == "Zoë"  # in UTF-8, as both clients do


@pytest.mark.parametrize("headers", [{"X-A": "a\nX-B: b"}, {"X A": "a"}, {"": "a"}, {"X-A": "a\0"}])
def test_a_header_that_is_not_http_is_refused(client: Client, headers: dict[str, str]) -> None:
    with SocketServer(response()) as server, pytest.raises(ConfigError, match="header"):
        client.post(server.base_url, headers=headers)
    assert server.requests == []


@pytest.mark.parametrize("size", [100_000, 3_000_000])
def test_a_large_request_arrives_whole(client: Client, size: int) -> None:
    with SocketServer(response()) as server:
        client.post(server.base_url, payload={"image": "x" * size})
    assert json.loads(server.requests[0].body) == {"image": "x" * size}


@pytest.mark.parametrize("url", ["https://other.test/v1", "http://127.0.0.1:9/v1"])
def test_a_key_of_another_origin_is_not_sent(client: Client, url: str) -> None:
    with SocketServer(response()) as server:
        with pytest.raises(KeyBindingError, match="CANARY"):
            client.post(server.base_url, Key("CANARY", SECRET, [url]))
        assert server.accepted == 0


@pytest.mark.parametrize("url", ["ftp://x/v1", "x", "http://", "https://a:b/v1", "http://x:0/"])
def test_a_base_url_must_be_http(client: Client, url: str) -> None:
    with pytest.raises(ConfigError, match="base URL"):
        client.post(url)


def test_the_exchange_learns_the_key_and_the_status(client: Client) -> None:
    with SocketServer(response(), response(status="429 X")) as server, Exchange() as exchange:
        assert exchange.status is None
        client.post(server.base_url, key_for(server))
        assert exchange.status == 200
        with pytest.raises(ProviderError):
            client.post(server.base_url, key_for(server))
    assert exchange.status == 429
    assert exchange.scrub(f"key {SECRET}") == "key [CANARY]"


FAILURES = {
    "400": Script([response(b'{"error": {"message": "no"}}', status="400 X")]),
    "302": Script([response(status="302 X", headers=["Location: /y"])]),
    "closed": Script([], "close"),
    "silent": Script([], "hang"),
    "cut": Script([response(b"{", length=9)], "close"),
    "silent body": Script([chunked(b"data: x\n\n", end=b"")], "hang"),
    "not HTTP": Script([b"hello\r\n\r\n"], "close"),
    "brotli": Script([response(headers=["Content-Encoding: br"])]),
    "gzip": Script([response(headers=["Content-Encoding: gzip"])]),
}


@pytest.mark.slow
@pytest.mark.parametrize("call", ["post", "stream"])
@pytest.mark.parametrize("script", FAILURES.values(), ids=FAILURES)
def test_no_exception_refers_to_the_key(client: Client, call: str, script: Script) -> None:
    with SocketServer(script) as server:
        error = error_of(
            lambda: getattr(client, call)(server.base_url, key_for(server), timeout_s=0.3)
        )
        assert server.requests[0].headers["authorization"] == f"Bearer {SECRET}"
    assert_no_secret(error)


def test_no_exception_from_below_refers_to_the_key(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C, cancellation and bugs of a library come from where the head is at hand."""
    for kind in (KeyboardInterrupt, asyncio.CancelledError, RuntimeError):

        def fail(*_: object, kind: type[BaseException] = kind) -> None:
            try:
                raise ValueError(SECRET)  # noqa: TRY301 - an inner exception
            except ValueError as inner:
                raise kind from inner

        monkeypatch.setattr(
            "inference_providers.wire.http.outgoing_request.OutgoingRequest.take_key", fail
        )
        with SocketServer(response()) as server:
            error = error_of(lambda s=server: client.post(s.base_url, key_for(s)))
        assert type(error) is kind
        assert_no_secret(error)


def test_no_object_of_a_library_holds_the_key_during_a_call(client: Client) -> None:
    """Tools that report errors print the frames of all threads."""

    def held() -> list[Any]:
        objects = gc.get_objects()
        return [o for o in objects if str(type(o).__module__).split(".")[0] in LIBRARIES]

    async def read(server: SocketServer) -> list[str]:
        stream = AsyncHttpClient(server.base_url, key_for(server)).stream("/x", {}, timeout_s=60)
        await anext(stream)
        leaks = secrets_in(held())
        await stream.aclose()
        return leaks

    with SocketServer(Script([chunked(b"one", end=b"")], "hang")) as server:
        if client.name == "async":
            assert asyncio.run(read(server)) == []
            return
        stream = HttpClient(server.base_url, key_for(server)).stream("/x", {}, timeout_s=60)
        next(stream)
        assert held()
        assert secrets_in(held()) == []
        stream.close()


LIBRARIES = {"httpcore", "h11", "aiohttp", "multidict", "yarl"}
OPAQUE = (type, ModuleType, FunctionType, BuiltinFunctionType, MethodType, CodeType, FrameType, Key)
"""What leads to all of Python, and the key itself."""


def error_of(call: Any) -> BaseException:
    try:
        call()
    except BaseException as error:  # noqa: BLE001 - Ctrl-C is one of them
        return error
    raise AssertionError


def assert_no_secret(error: BaseException) -> None:
    roots: list[Any] = [error]
    link: BaseException | None = error
    while link is not None:
        text = "".join(
            traceback.TracebackException.from_exception(link, capture_locals=True).format()
        )
        frames = [frame for frame, _ in traceback.walk_tb(link.__traceback__)]
        ours = [frame for frame in frames if "/tests/" not in frame.f_code.co_filename]
        assert not [
            f
            for f in ours
            if f.f_code.co_filename.split("site-packages/")[-1].split("/")[0] in LIBRARIES
        ]
        assert SECRET not in text.replace(f"Key('CANARY', '{SECRET}'", "")
        roots += [frame.f_locals for frame in ours]
        link = link.__cause__ or link.__context__
    assert secrets_in(roots) == []


def secrets_in(roots: list[Any]) -> list[str]:
    """Return what holds the secret, of all that can be reached."""
    leaks: list[str] = []
    seen: dict[int, Any] = {}
    pending = list(roots)
    while pending:
        item = pending.pop()
        if id(item) in seen or isinstance(item, OPAQUE):
            continue
        seen[id(item)] = item
        if isinstance(item, str | bytes | bytearray):
            if (SECRET if isinstance(item, str) else SECRET.encode()) in item:
                leaks.append(repr(item)[:200])
        elif isinstance(item, TracebackType):
            continue  # its frames are looked at apart
        else:
            pending += referents(item)
    return leaks


def referents(item: Any) -> Iterator[Any]:
    if type(item).__module__ == "multidict._multidict" and hasattr(item, "items"):
        yield from item.items()  # written in C, without support for the garbage collector
    yield from gc.get_referents(item)


def test_secrets_in_finds_them_where_they_hide() -> None:
    class Slotted:
        __slots__ = ("value",)

    slotted = Slotted()
    slotted.value = {"a": [(f"Bearer {SECRET}".encode(),)]}
    assert len(secrets_in([slotted])) == 1
