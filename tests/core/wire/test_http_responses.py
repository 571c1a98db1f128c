"""What both clients make of a response, byte by byte, over real sockets."""

from __future__ import annotations

import gzip
import json
import zlib
from typing import TYPE_CHECKING, Any

import pytest

from inference_providers.credentials import Key
from inference_providers.errors import (
    InferenceProvidersError,
    InvalidResponseError,
    ProviderError,
    ProviderTimeoutError,
    ProviderUnreachableError,
)
from inference_providers.wire.http import response_body
from socket_server import Script, SocketServer, chunked, response

if TYPE_CHECKING:
    from conftest import AsyncFace, SyncFace

    Client = AsyncFace | SyncFace

BODY = '{"text": "grün 🌱"}'.encode()
SECRET = "sk-canary-0123456789abcdef"


def raw_deflate(data: bytes) -> bytes:
    return zlib.compressobj(wbits=-zlib.MAX_WBITS).compress(data) + _flushed(data)


def _flushed(data: bytes) -> bytes:
    compressor = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    head = compressor.compress(data)
    return (head + compressor.flush())[len(head) :]


def head(*lines: str) -> bytes:
    return "\r\n".join(lines).encode() + b"\r\n\r\n"


def bytewise(data: bytes) -> list[bytes]:
    return [data[at : at + 1] for at in range(len(data))]


GOOD = {
    "content-length": Script([response(BODY)]),
    "chunked": Script([chunked(BODY[:3], BODY[3:])]),
    "chunk extensions and trailers": Script(
        [
            head("HTTP/1.1 200 OK", "Transfer-Encoding: chunked"),
            b'%X;a="b"\r\n%b\r\n' % (len(BODY), BODY),
            b"0;last\r\nX-Trailer: 1\r\n\r\n",
        ]
    ),
    "until close": Script([head("HTTP/1.1 200 OK") + BODY], "close"),
    "HTTP/1.0 until close": Script([head("HTTP/1.0 200 OK") + BODY], "close"),
    "HTTP/1.0 with length": Script(
        [head("HTTP/1.0 200 OK", f"content-length: {len(BODY)}") + BODY], "close"
    ),
    "100 before": Script([head("HTTP/1.1 100 Continue"), response(BODY)]),
    "103 before": Script([head("HTTP/1.1 103 Early Hints", "Link: </x>") + response(BODY)]),
    "three 1xx before": Script(
        [head("HTTP/1.1 102 Processing") * 2 + head("HTTP/1.1 103 E") + response(BODY)]
    ),
    "201": Script([response(BODY, status="201 Created")]),
    "202": Script([response(BODY, status="202 Accepted")]),
    "no reason phrase": Script([response(BODY, status="200 ")]),
    "odd header case": Script([head("HTTP/1.1 200 OK", f"cOnTeNt-LeNgTh:{len(BODY)}") + BODY]),
    "a header line of 30 KB": Script([response(BODY, headers=["X-Policy: " + "p" * 30_000])]),
    "100 headers": Script([response(BODY, headers=[f"X-{n}: {n}" for n in range(100)])]),
    "a header that is not ASCII": Script([response(BODY, headers=["X-Name: Zoë"])]),
    "empty header value": Script([response(BODY, headers=["X-Empty:"])]),
    "identity": Script([response(BODY, headers=["Content-Encoding: identity"])]),
    "gzip": Script([response(gzip.compress(BODY), headers=["Content-Encoding: gzip"])]),
    "GZIP in capitals": Script([response(gzip.compress(BODY), headers=["Content-Encoding: GZIP"])]),
    "x-gzip": Script([response(gzip.compress(BODY), headers=["Content-Encoding: x-gzip"])]),
    "deflate": Script([response(zlib.compress(BODY), headers=["Content-Encoding: deflate"])]),
    "deflate without zlib head": Script(
        [response(raw_deflate(BODY), headers=["Content-Encoding: deflate"])]
    ),
    "gzip of two members": Script(
        [
            response(
                gzip.compress(BODY[:3]) + gzip.compress(BODY[3:]),
                headers=["Content-Encoding: gzip"],
            )
        ]
    ),
    "gzip of three members in chunks of one byte, padded": Script(
        [
            chunked(
                *bytewise(
                    gzip.compress(BODY[:2]) + gzip.compress(b"") + gzip.compress(BODY[2:]) + b"\0\0"
                ),
                headers=["Content-Encoding: gzip"],
            )
        ]
    ),
    "gzip in chunks of one byte": Script(
        [chunked(*bytewise(gzip.compress(BODY)), headers=["Content-Encoding: gzip"])]
    ),
    "deflate in chunks of one byte": Script(
        [chunked(*bytewise(zlib.compress(BODY)), headers=["Content-Encoding: deflate"])]
    ),
    "raw deflate in chunks of one byte": Script(
        [chunked(*bytewise(raw_deflate(BODY)), headers=["Content-Encoding: deflate"])]
    ),
    "every byte in its own segment": Script(bytewise(chunked(*bytewise(BODY)))),
    "until close with gzip": Script(
        [head("HTTP/1.1 200 OK", "Content-Encoding: gzip") + gzip.compress(BODY)], "close"
    ),
}


@pytest.mark.parametrize("script", GOOD.values(), ids=GOOD)
def test_post_returns_the_body(client: Client, script: Script) -> None:
    with SocketServer(script) as server:
        assert client.post(server.base_url) == BODY


@pytest.mark.parametrize("script", GOOD.values(), ids=GOOD)
def test_stream_yields_the_body(client: Client, script: Script) -> None:
    with SocketServer(script) as server:
        pieces = client.stream(server.base_url)
        assert b"".join(pieces) == BODY
        assert b"" not in pieces


@pytest.mark.parametrize(
    "script",
    [Script([head("HTTP/1.1 204 No Content")]), Script([response(b"")])],
    ids=["204", "length 0"],
)
def test_a_success_without_a_body_is_empty(client: Client, script: Script) -> None:
    with SocketServer(script) as server:
        assert client.post(server.base_url) == b""
        assert client.stream(server.base_url) == []


UNREACHABLE = {
    "cut body": Script([response(BODY[:-1], length=len(BODY))], "close"),
    "reset body": Script([response(BODY[:-1], length=len(BODY))], "reset"),
    "cut chunk": Script([chunked(BODY, end=b"5\r\nab")], "close"),
    "cut before the last chunk": Script([chunked(BODY, end=b"")], "close"),
    "cut chunk size": Script([chunked(BODY, end=b"5")], "close"),
    "bad chunk size": Script([chunked(BODY, end=b"zz\r\nab\r\n0\r\n\r\n")], "close"),
    "closed at once": Script([], "close"),
    "reset at once": Script([], "reset"),
    "cut head": Script([b"HTTP/1.1 200 OK\r\nContent-Le"], "close"),
    "only an interim response": Script([head("HTTP/1.1 100 Continue")], "close"),
    "not HTTP": Script([b"SSH-2.0-OpenSSH_9.6\r\n\r\n"], "close"),
    "HTML without a head": Script([b"<html>busy</html>\r\n\r\n"], "close"),
    "bad status": Script([head("HTTP/1.1 abc OK")], "close"),
    "bad length": Script([head("HTTP/1.1 200 OK", "Content-Length: many") + BODY], "close"),
    "two lengths": Script([response(BODY, headers=["Content-Length: 3"])], "close"),
    "a header without a name": Script([head("HTTP/1.1 200 OK", ": x")], "close"),
    "endless head": Script(
        [b"HTTP/1.1 200 OK\r\n", *[b"X-A: " + b"a" * 65000 + b"\r\n"] * 40], "close"
    ),
}


@pytest.mark.parametrize("script", UNREACHABLE.values(), ids=UNREACHABLE)
@pytest.mark.parametrize("call", ["post", "stream"])
def test_a_broken_response_is_unreachable(client: Client, call: str, script: Script) -> None:
    with SocketServer(script) as server, pytest.raises(ProviderUnreachableError) as caught:
        getattr(client, call)(server.base_url)
    assert f"127.0.0.1:{server.port}" in str(caught.value)
    assert len(server.requests) == 1, "nothing is sent twice"


def bomb(size: int) -> bytes:
    return gzip.compress(b"0" * size)


INVALID = {
    "cut second gzip": response(
        gzip.compress(BODY) + gzip.compress(BODY)[:-9], headers=["Content-Encoding: gzip"]
    ),
    "data after gzip": response(gzip.compress(BODY) + b"{}", headers=["Content-Encoding: gzip"]),
    "data after deflate": response(
        zlib.compress(BODY) + b"{}", headers=["Content-Encoding: deflate"]
    ),
    "cut gzip": response(gzip.compress(BODY)[:-9], headers=["Content-Encoding: gzip"]),
    "damaged gzip": response(b"\x1f\x8b" + BODY, headers=["Content-Encoding: gzip"]),
    "not gzip": response(BODY, headers=["Content-Encoding: gzip"]),
    "not deflate": response(b"\xff\xff\xff", headers=["Content-Encoding: deflate"]),
    "brotli": response(BODY, headers=["Content-Encoding: br"]),
    "zstd": response(BODY, headers=["Content-Encoding: zstd"]),
    "gzip twice": response(gzip.compress(BODY), headers=["Content-Encoding: gzip, gzip"]),
    "a bomb": response(bomb(20_000_000), headers=["Content-Encoding: gzip"]),
    "too large": response(b"0" * 2_000_001),
    "too large in chunks": chunked(*[b"0" * 100_000] * 21),
}


@pytest.mark.parametrize("data", INVALID.values(), ids=INVALID)
@pytest.mark.parametrize("call", ["post", "stream"])
def test_a_body_that_cannot_be_read_is_invalid(
    client: Client, call: str, data: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(response_body, "MAX_BODY_BYTES", 2_000_000)
    with SocketServer(data) as server, pytest.raises(InvalidResponseError) as caught:
        getattr(client, call)(server.base_url)
    assert f"127.0.0.1:{server.port}" in str(caught.value)


def error(body: bytes | Any, status: str = "429 Too Many Requests", *headers: str) -> bytes:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return response(data, status=status, headers=headers)


MESSAGES = {
    "OpenAI": (error({"error": {"message": "Slow down.", "code": 1}}), "HTTP 429: Slow down."),
    "error is text": (error({"error": "Slow down."}), "HTTP 429: Slow down."),
    "flat": (error({"object": "error", "message": "Slow down."}), "HTTP 429: Slow down."),
    "detail": (error({"detail": "Slow down."}), "HTTP 429: Slow down."),
    "detail list": (error({"detail": [{"msg": "Slow down."}]}), "HTTP 429: Slow down."),
    "array": (error([{"error": {"message": "Slow down."}}]), "HTTP 429: Slow down."),
    "errors": (error({"errors": [{"message": "Slow down."}]}), "HTTP 429: Slow down."),
    "no words": (error({"code": 7}), "HTTP 429 without a message"),
    "null": (error(b"null"), "HTTP 429 without a message"),
    "number": (error(b"17"), "HTTP 429 without a message"),
    "empty": (error(b""), "HTTP 429 without a message"),
    "text": (error(b"\n  upstream busy\nmore"), "HTTP 429: upstream busy"),
    "HTML": (
        error(b"<html><head><title>502 Bad\n Gateway</title></head>", "502 Bad Gateway"),
        "HTTP 502: 502 Bad Gateway",
    ),
    "cut JSON": (error(b'{"error": {"mess'), 'HTTP 429: {"error": {"mess'),
    "NaN": (error(b'{"message": "no", "x": NaN}'), "HTTP 429: no"),
    "nested 600 deep": (
        error(b'{"error":' * 600 + b"1" + b"}" * 600),
        "HTTP 429 without a message",
    ),
    "nested 90,000 deep": (error(b"[" * 90_000), "HTTP 429: " + "[" * 500),
    "control characters": (error({"message": "a\x1b]0;x\x07"}), "HTTP 429: a\\x1b]0;x\\x07"),
    "not UTF-8": (error(b'{"message": "a\xffb"}'), "HTTP 429: a\ufffdb"),
    "gzip": (
        error(gzip.compress(b'{"message": "busy"}'), "503 X", "Content-Encoding: gzip"),
        "HTTP 503: busy",
    ),
    "unknown encoding": (
        error(b"xx", "503 X", "Content-Encoding: br"),
        "HTTP 503 without a message",
    ),
    "chunked": (
        chunked(b'{"message": ', b'"busy"}').replace(b"200 OK", b"500 X", 1),
        "HTTP 500: busy",
    ),
    "redirect": (
        error(b"", "301 Moved", "Location: https://other.test/v1"),
        "HTTP 301: redirect to 'https://other.test/v1'; set the base URL to where it leads",
    ),
    "not modified": (head("HTTP/1.1 304 Not Modified"), "HTTP 304: redirect to ''"),
    "600": (error(b"", "600 What"), "HTTP 600 without a message"),
    "very long": (error({"message": "x" * 100_000}), "HTTP 429: " + "x" * 500),
    "cut body": (response(b'{"a', status="500 X", length=99), 'HTTP 500: {"a'),
}


@pytest.mark.parametrize(("data", "message"), MESSAGES.values(), ids=MESSAGES)
@pytest.mark.parametrize("call", ["post", "stream"])
def test_an_error_response_has_the_words_of_the_provider(
    client: Client, call: str, data: bytes, message: str
) -> None:
    with SocketServer(Script([data], "close")) as server, pytest.raises(ProviderError) as caught:
        getattr(client, call)(server.base_url)
    assert str(caught.value).startswith(message)
    assert len(str(caught.value)) < 700
    assert caught.value.status_code == int(message[5:8])
    assert len(server.requests) == 1


def test_an_error_response_keeps_body_and_headers(client: Client) -> None:
    body = {"error": {"message": "slow", "code": "rate_limit_exceeded"}}
    data = error(body, "429 X", "Retry-After: 7", "X-Request-ID: abc", "X-A: 1", "x-a: 2")
    with SocketServer(data) as server, pytest.raises(ProviderError) as caught:
        client.post(server.base_url)
    assert caught.value.body == body
    headers = caught.value.headers
    assert (headers["retry-after"], headers["x-request-id"]) == ("7", "abc")
    assert headers["x-a"] == "1, 2"


@pytest.mark.slow
@pytest.mark.parametrize(
    "script",
    [
        Script([response(b'{"message": "busy"', status="503 X", length=1000)], "hang"),
        Script([response(b"", status="503 X", length=1000), *[b"x"] * 100], "hang", 0.01),
        Script([chunked(*[b"y" * 65536] * 64).replace(b"200 OK", b"503 X", 1)], "hang"),
    ],
    ids=["stalled", "dripping", "4 MB"],
)
def test_an_error_body_is_read_for_a_limited_time(
    client: Client, script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("client", "async_client"):
        monkeypatch.setattr(f"inference_providers.wire.http.{module}.ERROR_BODY_S", 0.3)
    with SocketServer(script) as server, pytest.raises(ProviderError, match=r"^HTTP 503"):
        client.post(server.base_url)


@pytest.mark.parametrize(
    "words",
    [
        "your key is {}",
        "x" * 485 + "{}",
        "x" * 497 + "{}",
        "{} twice {}",
    ],
)
def test_an_echoed_key_is_removed_before_the_message_is_cut(client: Client, words: str) -> None:
    text = words.format(SECRET, SECRET)
    escaped = json.dumps({"error": {"message": text}, SECRET: [SECRET]}).replace("-", "\\u002d")
    for body in ({"error": {"message": text}, SECRET: SECRET}, escaped.encode(), text.encode()):
        data = error(body, "401 X", f"X-Echo: {SECRET}")
        with SocketServer(data) as server, pytest.raises(ProviderError) as caught:
            client.post(server.base_url, Key("CANARY", SECRET, [server.base_url]))
        shown = f"{caught.value} {caught.value.body} {caught.value.headers}"
        assert "canary-01234" not in shown
        assert "[CANARY]" in shown


@pytest.mark.slow
@pytest.mark.parametrize("call", ["post", "stream"])
@pytest.mark.parametrize(
    "parts",
    [[], [b"HTTP/1.1 200 OK\r\n"], [response(b"{", length=10)]],
    ids=["head", "line", "body"],
)
def test_silence_is_a_timeout(client: Client, call: str, parts: list[bytes]) -> None:
    server = SocketServer(Script(parts, "hang"))
    with server, pytest.raises(ProviderTimeoutError, match=r"sent nothing for 0\.2 s"):
        getattr(client, call)(server.base_url, timeout_s=0.2)


def test_on_headers_sees_those_of_successful_responses_only(client: Client) -> None:
    seen: list[Any] = []
    scripts = error(b"{}", "500 X", "X-A: 1"), response(headers=["X-RateLimit-Left: 0"])
    with SocketServer(*scripts) as server:
        with pytest.raises(ProviderError):
            client.post(server.base_url, on_headers=seen.append)
        client.post(server.base_url, on_headers=seen.append)
    assert [headers["x-ratelimit-left"] for headers in seen] == ["0"]


def test_every_exception_is_ours_and_has_no_context(client: Client) -> None:
    for script in (*UNREACHABLE.values(), INVALID["damaged gzip"], error(b"{}")):
        with SocketServer(script) as server, pytest.raises(InferenceProvidersError) as caught:
            client.post(server.base_url)
        assert caught.value.__cause__ is None
        assert caught.value.__context__ is None
