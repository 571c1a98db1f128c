"""The HTTP server of `FakeProvider`, which sends each `Reply` with the faults it asks for.

A handler waits by reading from its connection, so every wait ends when the client disconnects
or the provider hangs up.
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

from inference_providers.testing.replies import Reply, Request, chunks, completion, encode_event

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from types import TracebackType

    from inference_providers.testing.replies import Fault

__all__ = ["FakeProvider"]

_KEEP_ALIVE_EVERY_S = 0.02
_FLOOD_EVERY_S = 0.005
_FLOOD_BYTES = 16384
_NO_LINGER = struct.pack("hh" if sys.platform == "win32" else "ii", 1, 0)
"""With this option, closing a socket discards unsent data and resets the connection."""


class FakeProvider:
    """An OpenAI-compatible server on a free loopback port.

    It sends its replies in order and then repeats the last one. `GET /v1/models` lists
    `models`. Use it as a context manager: leaving it closes every connection, so a reply
    that hangs does not outlive it.

    Args:
        *replies: The replies, in order; each a `Reply` or a function that returns one for a
            request. Default: one greeting.
        models: The model ids it lists.
        listens: Whether it accepts connections. If not, they are refused, as by a server that
            is down.

    Attributes:
        requests: The chat requests received, in order.
        listings: The requests for the model list received, in order.
        abandoned: The chat requests whose client disconnected before the reply was complete.
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
        self._server = _Server(("127.0.0.1", 0), self._handler_class(), bind_and_activate=False)
        # Two sockets that allow reuse may get the same free port until one of them listens.
        self._server.allow_reuse_address = listens
        self._server.server_bind()
        self._thread: threading.Thread | None = None
        if listens:
            self._server.server_activate()
            # Leaving the context waits up to this interval.
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
        """The base URL for clients: `http://127.0.0.1:PORT/v1`."""
        return f"http://127.0.0.1:{self._server.server_port}/v1"

    def row(
        self, models: Mapping[str, Any], *, key: str | None = None, **row: Any
    ) -> dict[str, Any]:
        """Return this provider as a row of a registry.

        Args:
            models: Canonical names, each with a model id or an entry.
            key: The environment variable of its key; `None` if it needs no key.
            **row: Further fields of the row; they replace the default ones.
        """
        return {
            "name": "Fake",
            "auth": {"any_of": [[key] if key else []]},
            "endpoints": {"default": {"protocol": "openai-chat", "base_url": self.base_url}},
            "models": dict(models),
            **row,
        }

    def hang_up(self) -> None:
        """Close every connection, as a restart would; new connections are accepted."""
        self._server.hang_up()

    def _next_reply(self, request: Request) -> Reply:
        with self._lock:
            self.requests.append(request)
            reply = self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]
        return reply if isinstance(reply, Reply) else reply(request)

    def _handler_class(self) -> type[BaseHTTPRequestHandler]:
        provider = self

        class Handler(_Handler):
            fake = provider

        return Handler


class _Server(ThreadingHTTPServer):
    """Tracks its connections to close them; the base class would wait for clients."""

    daemon_threads = True
    request_queue_size = 128  # the default of 5 makes a batch wait a second to connect

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._connections: dict[threading.Thread, Any] = {}
        self._lock = threading.Lock()
        super().__init__(*args, **kwargs)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Handle one connection in its own thread."""
        thread = threading.Thread(
            target=self.process_request_thread, args=(request, client_address), daemon=True
        )
        with self._lock:
            self._connections = {t: held for t, held in self._connections.items() if t.is_alive()}
            self._connections[thread] = request
            thread.start()

    def hang_up(self) -> None:
        """Close every connection, and wait for its handler."""
        with self._lock:
            closing, self._connections = self._connections, {}
        for connection in closing.values():
            with suppress(OSError):  # its handler has already closed it
                connection.shutdown(socket.SHUT_RDWR)
        for thread in closing:
            thread.join()

    def has_hung_up(self) -> bool:
        """Whether `hang_up` closed the calling handler's connection."""
        with self._lock:
            return threading.current_thread() not in self._connections

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore clients that disconnect."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    fake: FakeProvider
    server: _Server
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # otherwise a response in two writes waits 40 ms for an ACK
    _chunked = False

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base's name
        """Log nothing; stderr belongs to the test."""

    def do_GET(self) -> None:
        """Send the model list."""
        self.fake.listings.append(self._recorded(None))
        listing = {"object": "list", "data": [{"id": name} for name in self.fake.models]}
        self._send_whole(Reply(body=listing))

    def do_POST(self) -> None:
        """Send the next reply."""
        raw = self.rfile.read(int(self.headers.get("content-length", 0)))
        request = self._recorded(json.loads(raw or "null"))
        reply = self.fake._next_reply(request)  # noqa: SLF001 - the handler is part of the provider
        try:
            self._send_reply(reply, request.body or {})
        except ConnectionError:
            self.close_connection = True
            if not self.server.has_hung_up():
                self.fake.abandoned.append(request)

    def _recorded(self, body: Any) -> Request:
        headers = {name.lower(): value for name, value in self.headers.items()}
        return Request(self.command, self.path, headers, body)

    def _send_reply(self, reply: Reply, request: Any) -> None:
        self._pause(reply.delay_s)
        before_output = reply.cut_after is None and reply.fault != "endless_body"
        if reply.fault == "endless_headers" or (reply.fault and before_output):
            self._apply_fault(reply.fault)
        elif reply.body is None and reply.status == HTTPStatus.OK and request.get("stream"):
            self._send_stream(reply, request)
        elif reply.body is None and reply.status == HTTPStatus.OK:
            self._send_whole(reply._replace(body=completion(reply, request)))
        else:
            self._send_whole(reply)

    def _send_whole(self, reply: Reply) -> None:
        error = {"error": {"message": f"scripted {reply.status}", "code": reply.status}}
        payload, kind = _encode_body(error if reply.body is None else reply.body)
        if reply.fault == "endless_body" or reply.keep_alive_s:
            self._send_headers(reply, {"content-type": kind, "connection": "close"})
        else:
            self._send_headers(reply, {"content-type": kind, "content-length": str(len(payload))})
        self._send_keep_alives(reply.keep_alive_s, b"\n")
        if reply.fault:
            self.wfile.write(payload[: len(payload) // 2])
            self._apply_fault(reply.fault)
        else:
            self.wfile.write(payload)

    def _send_stream(self, reply: Reply, request: Any) -> None:
        headers = {"content-type": "text/event-stream", "connection": "close"}
        self._chunked = reply.fault == "close"  # without framing, an early end is legal HTTP
        if self._chunked:
            headers["transfer-encoding"] = "chunked"
        self._send_headers(reply, headers)
        self._send_keep_alives(reply.keep_alive_s, b": keep-alive\n\n")
        cut = 0 if reply.fault == "endless_body" and reply.cut_after is None else reply.cut_after
        for n, chunk in enumerate(chunks(reply, request)):
            if n == cut:
                break
            self._write(encode_event(chunk))
            self._pause(reply.chunk_delay_s)
        else:
            self._write(b"data: [DONE]\n\n")
            self._write(b"")
            return
        if reply.at_cut is not None:
            self._write(encode_event(reply.at_cut))
        if reply.fault:
            self._apply_fault(reply.fault)

    def _send_headers(self, reply: Reply, headers: Mapping[str, str]) -> None:
        self.close_connection = "connection" in headers
        self.send_response(reply.status)
        for name, value in {**headers, **reply.headers}.items():
            self.send_header(name, value)
        self.end_headers()

    def _write(self, data: bytes) -> None:
        self.wfile.write(b"%x\r\n%b\r\n" % (len(data), data) if self._chunked else data)

    def _send_keep_alives(self, seconds: float, data: bytes) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self._write(data)
            self._pause(_KEEP_ALIVE_EVERY_S)

    def _apply_fault(self, fault: Fault) -> None:
        self.close_connection = True
        if fault == "hang":
            self._pause(math.inf)
        elif fault == "reset":
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
            self.rfile.close()  # it keeps the connection open
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
        """Wait for some seconds.

        Raises:
            ConnectionAbortedError: The client disconnected, or the provider hung up.
        """
        if seconds <= 0:
            return
        self.connection.settimeout(None if math.isinf(seconds) else seconds)
        try:
            self.connection.recv(1)  # a client sends nothing now, so this waits
        except TimeoutError:
            return
        finally:
            self.connection.settimeout(None)
        raise ConnectionAbortedError


def _encode_body(body: Any) -> tuple[bytes, str]:
    if isinstance(body, bytes):
        return body, "application/octet-stream"
    if isinstance(body, str):
        return body.encode(), "text/html"
    return json.dumps(body).encode(), "application/json"
