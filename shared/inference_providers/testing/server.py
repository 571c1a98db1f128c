"""The server behind `FakeProvider`: it plays a `Reply`, with whatever goes wrong in it.

Every wait of a handler is a read of its connection, so it ends when the client
leaves, and when the provider hangs up.
"""

from __future__ import annotations

import json
import math
import socket
import struct
import sys
import threading
import time
from contextlib import suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Self

from inference_providers.testing.replies import Reply, Request, chunks, completion, event

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from types import TracebackType

    from inference_providers.testing.replies import Fault

__all__ = ["FakeProvider"]

_KEEP_ALIVE_EVERY_S = 0.02
_FLOOD_EVERY_S = 0.005
_FLOOD_BYTES = 16384
_NO_LINGER = struct.pack("hh" if sys.platform == "win32" else "ii", 1, 0)
"""Closing drops what is unsent and resets the connection."""


class FakeProvider:
    """An OpenAI-compatible server on a free loopback port.

    It plays its replies in order, and the last one for ever. `GET /v1/models` lists
    `models`. Use it as a context manager: leaving closes every connection, so no
    reply that hangs outlives it.

    Args:
        *replies: What to answer, in order. A function of the request may stand for a
            reply.
        models: The ids it lists.
        listens: Whether connections are accepted. If not they are refused, as those to
            a server that is down.

    Attributes:
        requests: The chat requests that came, in order.
        listings: The requests for the list of models that came.
        abandoned: The chat requests whose client left before the reply was over.
    """

    def __init__(
        self,
        *replies: Reply | Callable[[Request], Reply],
        models: Iterable[str] = (),
        listens: bool = True,
    ) -> None:
        self.replies = list(replies) or [Reply()]
        self.models = tuple(models)
        self.requests: list[Request] = []
        self.listings: list[Request] = []
        self.abandoned: list[Request] = []
        self._lock = threading.Lock()
        self._server = _Server(("127.0.0.1", 0), self._handler(), bind_and_activate=False)
        # Two sockets that both allow reuse may get the same free port until one listens.
        self._server.allow_reuse_address = listens
        self._server.server_bind()
        self._thread: threading.Thread | None = None
        if listens:
            self._server.server_activate()
            # A small interval, since leaving the context waits for it.
            self._thread = threading.Thread(
                target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True
            )

    def __enter__(self) -> Self:
        if self._thread:
            self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        if self._thread:
            self._server.shutdown()
            self._thread.join()
        self.hang_up()
        self._server.server_close()

    @property
    def base_url(self) -> str:
        """Where it listens, as clients want it: `http://127.0.0.1:PORT/v1`."""
        return f"http://127.0.0.1:{self._server.server_port}/v1"

    def row(
        self, models: Mapping[str, Any], *, key: str | None = None, **row: Any
    ) -> dict[str, Any]:
        """Return a provider row for a registry.

        Args:
            models: Canonical name → model id or entry.
            key: The variable its key is read from; none is needed without.
            **row: Further fields of the row.
        """
        return {
            "name": "Fake",
            "auth": {"any_of": [[key] if key else []]},
            "endpoints": {"default": {"protocol": "openai-chat", "base_url": self.base_url}},
            "models": dict(models),
            **row,
        }

    def hang_up(self) -> None:
        """Close every connection, as a provider that restarts; new ones are accepted."""
        self._server.hang_up()

    def _next(self, request: Request) -> Reply:
        with self._lock:
            self.requests.append(request)
            reply = self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]
        return reply if isinstance(reply, Reply) else reply(request)

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        provider = self

        class Handler(_Handler):
            fake = provider

        return Handler


class _Server(ThreadingHTTPServer):
    """Knows its connections, so that it can end them; the base would wait for clients."""

    daemon_threads = True
    request_queue_size = 128  # with the default of 5, a batch waits a second to connect

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._open: dict[threading.Thread, Any] = {}
        self._opening = threading.Lock()
        super().__init__(*args, **kwargs)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Handle one connection in a thread of its own."""
        thread = threading.Thread(
            target=self.process_request_thread, args=(request, client_address), daemon=True
        )
        with self._opening:
            self._open = {t: held for t, held in self._open.items() if t.is_alive()}
            self._open[thread] = request
            thread.start()

    def hang_up(self) -> None:
        """Close every connection, and wait until its handler has ended."""
        with self._opening:
            was_open, self._open = self._open, {}
        for connection in was_open.values():
            with suppress(OSError):  # its handler has closed it already
                connection.shutdown(socket.SHUT_RDWR)
        for thread in was_open:
            thread.join()

    def has_hung_up(self) -> bool:
        """Say whether the calling handler's connection was ended from here."""
        with self._opening:
            return threading.current_thread() not in self._open

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Stay silent about clients that leave; they may."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    fake: FakeProvider
    server: _Server
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # else an answer in two writes waits 40 ms for an ACK
    _in_frames = False

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base's name
        """Say nothing: stderr is the test's."""

    def do_GET(self) -> None:
        """List the models."""
        self.fake.listings.append(self._request(None))
        listing = {"object": "list", "data": [{"id": name} for name in self.fake.models]}
        self._send(Reply(body=listing))

    def do_POST(self) -> None:
        """Play the next reply."""
        raw = self.rfile.read(int(self.headers.get("content-length", 0)))
        request = self._request(json.loads(raw or "null"))
        reply = self.fake._next(request)  # noqa: SLF001 - one class in two parts
        try:
            self._play(reply, request.body or {})
        except ConnectionError:
            self.close_connection = True
            if not self.server.has_hung_up():
                self.fake.abandoned.append(request)

    def _request(self, body: Any) -> Request:
        headers = {name.lower(): value for name, value in self.headers.items()}
        return Request(self.command, self.path, headers, body)

    def _play(self, reply: Reply, asked: Any) -> None:
        self._pause(reply.delay_s)
        at_once = reply.cut_after is None and reply.fault != "endless_body"
        if reply.fault == "endless_headers" or (reply.fault and at_once):
            self._strike(reply.fault)
        elif reply.body is None and reply.status == HTTPStatus.OK and asked.get("stream"):
            self._stream(reply, asked)
        elif reply.body is None and reply.status == HTTPStatus.OK:
            self._send(reply._replace(body=completion(reply, asked)))
        else:
            self._send(reply)

    def _send(self, reply: Reply) -> None:
        error = {"error": {"message": f"scripted {reply.status}", "code": reply.status}}
        payload, kind = _payload(error if reply.body is None else reply.body)
        if reply.fault == "endless_body" or reply.keep_alive_s:
            self._begin(reply, {"content-type": kind, "connection": "close"})
        else:
            self._begin(reply, {"content-type": kind, "content-length": str(len(payload))})
        self._keep_alive(reply.keep_alive_s, b"\n")
        if reply.fault:
            self.wfile.write(payload[: len(payload) // 2])
            self._strike(reply.fault)
        else:
            self.wfile.write(payload)

    def _stream(self, reply: Reply, asked: Any) -> None:
        headers = {"content-type": "text/event-stream", "connection": "close"}
        self._in_frames = reply.fault == "close"  # else the end of a stream is no fault in HTTP
        if self._in_frames:
            headers["transfer-encoding"] = "chunked"
        self._begin(reply, headers)
        self._keep_alive(reply.keep_alive_s, b": keep-alive\n\n")
        cut = 0 if reply.fault == "endless_body" and reply.cut_after is None else reply.cut_after
        for n, chunk in enumerate(chunks(reply, asked)):
            if n == cut:
                break
            self._write(event(chunk))
            self._pause(reply.chunk_delay_s)
        else:
            self._write(b"data: [DONE]\n\n")
            self._write(b"")
            return
        if reply.at_cut is not None:
            self._write(event(reply.at_cut))
        if reply.fault:
            self._strike(reply.fault)

    def _begin(self, reply: Reply, headers: Mapping[str, str]) -> None:
        self.close_connection = "connection" in headers
        self.send_response(reply.status)
        for name, value in {**headers, **reply.headers}.items():
            self.send_header(name, value)
        self.end_headers()

    def _write(self, data: bytes) -> None:
        self.wfile.write(b"%x\r\n%b\r\n" % (len(data), data) if self._in_frames else data)

    def _keep_alive(self, seconds: float, data: bytes) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self._write(data)
            self._pause(_KEEP_ALIVE_EVERY_S)

    def _strike(self, fault: Fault) -> None:
        self.close_connection = True
        if fault == "hang":
            self._pause(math.inf)
        elif fault == "reset":
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
            self.rfile.close()  # it holds the connection open
            self.connection.close()
        elif fault == "endless_headers":
            self.wfile.write(b"HTTP/1.1 200 OK\r\n")
            self._flood((b"x-endless: " + b"x" * 1000 + b"\r\n") * 16)
        elif fault == "endless_body":
            self._flood(b"x" * _FLOOD_BYTES)

    def _flood(self, data: bytes) -> None:
        while True:
            self._write(data)
            self._pause(_FLOOD_EVERY_S)

    def _pause(self, seconds: float) -> None:
        """Wait.

        Raises:
            ConnectionAbortedError: The client left, or the provider hung up.
        """
        if seconds <= 0:
            return
        self.connection.settimeout(None if math.isinf(seconds) else seconds)
        try:
            self.connection.recv(1)  # nothing is due from a client, so this waits
        except TimeoutError:
            return
        finally:
            self.connection.settimeout(None)
        raise ConnectionAbortedError


def _payload(body: Any) -> tuple[bytes, str]:
    if isinstance(body, bytes):
        return body, "application/octet-stream"
    if isinstance(body, str):
        return body.encode(), "text/html"
    return json.dumps(body).encode(), "application/json"
