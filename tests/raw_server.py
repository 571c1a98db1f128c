"""A loopback server that sends exactly the bytes a test gives it, and counts its connections.

`FakeProvider` sends well-formed HTTP. This server sends what real providers were seen to send:
bytes split anywhere, wrong lengths, broken compression, connections that end too early.
"""

from __future__ import annotations

import gzip
import json
import socket
import struct
import threading
import zlib
from contextlib import suppress
from enum import Enum
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from factories import provider_row

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

__all__ = [
    "HOLD",
    "RESET",
    "Drip",
    "RawRequest",
    "RawServer",
    "Response",
    "chunked",
    "compressed",
    "http",
    "in_segments",
]

NO_LINGER = struct.pack("ii", 1, 0)
"""With this option, closing a socket discards unsent data and resets the connection."""


class Step(Enum):
    """What happens after bytes were sent."""

    HOLD = "hold"
    RESET = "reset"


HOLD = Step.HOLD
"""Send nothing more until the client disconnects."""
RESET = Step.RESET
"""Reset the connection; what the client has not read yet is lost."""


class Drip(NamedTuple):
    """Send `data` again and again: `times` times, or until the client disconnects."""

    data: bytes
    every_s: float
    times: int | None = None


class Response(NamedTuple):
    """A whole response, status line included.

    Attributes:
        steps: What is sent, in order.
        keeps_open: Whether the connection takes another request afterwards.
    """

    steps: tuple[bytes | Step | Drip, ...]
    keeps_open: bool = False


class RawRequest(NamedTuple):
    """A request as it was received. Header names are in lower case."""

    path: str
    headers: Mapping[str, str]
    body: Any


class RawServer:
    """A server on a free loopback port; use it as a context manager.

    Args:
        answer: Returns the response to a request.

    Attributes:
        requests: The requests received, in order.
        busy: The connections whose response the server is still sending.
    """

    def __init__(self, answer: Callable[[RawRequest], Response] | None = None) -> None:
        self.answer = answer or (lambda _: http(b"{}"))
        self.requests: list[RawRequest] = []
        self.busy: set[socket.socket] = set()
        self._connections: dict[socket.socket, threading.Thread] = {}
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # ends `accept`
        self._listener.close()
        self.hang_up()

    @property
    def base_url(self) -> str:
        """The base URL for clients: `http://127.0.0.1:PORT/v1`."""
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}/v1"

    def row(
        self, models: Mapping[str, Any], *, key: str | None = None, **row: Any
    ) -> dict[str, Any]:
        """Return this server as a row of a registry, as `FakeProvider.row` does."""
        return provider_row(models, key, base_url=self.base_url, **row)

    def hang_up(self) -> None:
        """Close every connection, and wait for its thread."""
        with self._lock:
            closing, self._connections = self._connections, {}
        for connection in closing:
            with suppress(OSError):  # its thread has already closed it
                connection.shutdown(socket.SHUT_RDWR)
        for thread in closing.values():
            thread.join()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            thread = threading.Thread(target=self._serve, args=(connection,), daemon=True)
            with self._lock:
                self._connections[connection] = thread
                thread.start()

    def _serve(self, connection: socket.socket) -> None:
        try:
            with connection, suppress(OSError), connection.makefile("rb") as received:
                while request := _read_request(received):
                    self.requests.append(request)
                    response = self.answer(request)
                    self.busy.add(connection)
                    self._send(connection, response)
                    self.busy.discard(connection)
                    if not response.keeps_open:
                        _close_gently(connection)
                        return
        finally:
            self.busy.discard(connection)
            with self._lock:
                self._connections.pop(connection, None)

    @staticmethod
    def _send(connection: socket.socket, response: Response) -> None:
        for step in response.steps:
            if isinstance(step, Drip):
                left = step.times
                while left is None or left > 0:
                    connection.sendall(step.data)
                    left = left and left - 1
                    _wait_for_disconnect(connection, step.every_s)
            elif step is HOLD:
                _wait_for_disconnect(connection, None)
            elif step is RESET:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, NO_LINGER)
                connection.close()
                raise ConnectionResetError
            else:
                connection.sendall(step)


def _close_gently(connection: socket.socket) -> None:
    """End the response. A close with unread data would reset the connection."""
    connection.shutdown(socket.SHUT_WR)
    while connection.recv(65536):
        pass


def _wait_for_disconnect(connection: socket.socket, seconds: float | None) -> None:
    """Wait; a client sends nothing now.

    Raises:
        ConnectionAbortedError: The client disconnected, or the server hung up.
    """
    connection.settimeout(seconds)
    try:
        connection.recv(1)
    except TimeoutError:
        return
    finally:
        connection.settimeout(None)
    raise ConnectionAbortedError


def _read_request(received: Any) -> RawRequest | None:
    if not (line := received.readline()):
        return None
    headers: dict[str, str] = {}
    while (header := received.readline()) not in {b"\r\n", b""}:
        name, _, value = header.decode("latin-1").partition(":")
        headers[name.strip().lower()] = value.strip()
    if headers.get("transfer-encoding") == "chunked":
        body = b"".join(_read_chunks(received))
    else:
        length = int(headers.get("content-length", 0))
        body = received.read(length)
        if len(body) < length:  # the client gave up
            return None
    return RawRequest(line.split()[1].decode(), headers, json.loads(body or b"null"))


def _read_chunks(received: Any) -> Iterable[bytes]:
    while size := int(received.readline(), 16):
        yield received.read(size)
        received.readline()
    received.readline()


def http(  # noqa: PLR0913 - all but the body are keywords
    body: Any,
    *further: Step | Drip,
    status: str = "200 OK",
    kind: str | None = "application/json",
    version: str = "HTTP/1.1",
    length: int | None = None,
    before: bytes = b"",
    **headers: str,
) -> Response:
    """Build a response with a length: an object as JSON, text and bytes as they are.

    Args:
        body: The body.
        *further: What happens after it.
        status: Status and reason.
        kind: The content type; `None` leaves it out.
        version: The HTTP version.
        length: The announced length, if it is not that of the body.
        before: Bytes before the status line.
        **headers: Further headers, with `_` for `-`.
    """
    data = encode(body)
    fields = {"content-type": kind, "content-length": str(len(data) if length is None else length)}
    head = _head(status, version, {**fields, **headers})
    keeps_open = version == "HTTP/1.1" and length is None and not further
    return Response((before + head + data, *further), keeps_open)


def chunked(
    *parts: Any,
    status: str = "200 OK",
    kind: str | None = "text/event-stream",
    ends: bool = True,
    **headers: str,
) -> Response:
    """Build a response in chunks, each its own write; steps pass as they are.

    Args:
        *parts: The body's parts, and steps.
        status: Status and reason.
        kind: The content type; `None` leaves it out.
        ends: Whether the last chunk says that the body is complete.
        **headers: Further headers, with `_` for `-`.
    """
    head = _head(
        status, "HTTP/1.1", {"content-type": kind, **headers, "transfer-encoding": "chunked"}
    )
    steps: list[bytes | Step | Drip] = [head]
    for part in parts:
        if isinstance(part, Step):
            steps.append(part)
        elif isinstance(part, Drip):
            steps.append(part._replace(data=_as_chunk(part.data)))
        elif data := encode(part):
            steps.append(_as_chunk(data))
    if ends:
        steps.append(b"0\r\n\r\n")
    return Response(tuple(steps), keeps_open=ends)


def until_close(
    *parts: Any,
    status: str = "200 OK",
    kind: str | None = "text/event-stream",
    version: str = "HTTP/1.1",
    **headers: str,
) -> Response:
    """Build a response without a length: it ends when the connection does."""
    head = _head(status, version, {"content-type": kind, **headers, "connection": "close"})
    steps = (part if isinstance(part, Step | Drip) else encode(part) for part in parts)
    return Response((head, *steps))


def in_segments(data: bytes, size: int) -> list[bytes]:
    """Return `data` in parts of `size` bytes."""
    return [data[at : at + size] for at in range(0, len(data), size)]


def compressed(data: bytes, coding: str) -> bytes:
    """Return `data` in the content coding `gzip` or `deflate`."""
    return gzip.compress(data) if coding == "gzip" else zlib.compress(data)


def encode(body: Any) -> bytes:
    """Return an object as JSON, text and bytes as they are."""
    if isinstance(body, bytes):
        return body
    return body.encode() if isinstance(body, str) else json.dumps(body).encode()


def _head(status: str, version: str, headers: Mapping[str, str | None]) -> bytes:
    fields = (
        f"{name.replace('_', '-')}: {value}\r\n"
        for name, value in headers.items()
        if value is not None
    )
    return f"{version} {status}\r\n{''.join(fields)}\r\n".encode()


def _as_chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)
