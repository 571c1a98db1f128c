"""A server that sends bytes unchanged, including those that no HTTP library would send."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time
from typing import TYPE_CHECKING, NamedTuple, Self

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Sequence

PATIENCE_S = 30.0
"""How long `wait_until` waits on a busy machine."""


class Request(NamedTuple):
    """A request that was received.

    Attributes:
        head: The request line and the headers, as sent.
        body: The body.
        connection: The number of the connection, from zero.
    """

    head: bytes
    body: bytes
    connection: int

    @property
    def target(self) -> str:
        return self.head.split(b" ", 2)[1].decode()

    @property
    def headers(self) -> dict[str, str]:
        lines = self.head.decode("latin-1").split("\r\n")[1:]
        return {
            name.lower(): value.strip()
            for name, _, value in (li.partition(":") for li in lines if li)
        }


class Script(NamedTuple):
    """What is sent for one request.

    Attributes:
        parts: The bytes, in separate segments.
        then: `keep` the connection, `close` it, `reset` it, or `hang` until the client leaves.
        pause_s: Seconds between two parts.
    """

    parts: Sequence[bytes]
    then: str = "keep"
    pause_s: float = 0.0


class SocketServer:
    """Plays one script per request, the last one again and again.

    Attributes:
        requests: The requests received, in order.
        open_connections: How many connections are open now.
    """

    def __init__(self, *scripts: Script | bytes, tls: ssl.SSLContext | None = None) -> None:
        self.requests: list[Request] = []
        self.open_connections = 0
        self.accepted = 0
        self._scripts = [s if isinstance(s, Script) else Script([s]) for s in scripts]
        self._tls = tls
        self._lock = threading.Lock()
        self._sockets: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.port = self._listener.getsockname()[1]
        self._start(self._accept)

    @property
    def base_url(self) -> str:
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}/v1"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.close_connections()
        for thread in self._threads:
            thread.join(PATIENCE_S)

    def close_connections(self) -> None:
        """Close what is open, as a server does with idle connections."""
        with self._lock:
            for connection in self._sockets:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

    def _start(self, run: Callable[..., None], *args: object) -> None:
        thread = threading.Thread(target=run, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with self._lock:
                number, self.accepted = self.accepted, self.accepted + 1
                self.open_connections += 1
                self._sockets.append(connection)
            self._start(self._serve, connection, number)

    def _serve(self, connection: socket.socket, number: int) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with contextlib.suppress(OSError, ValueError):
            if self._tls:
                connection = self._tls.wrap_socket(connection, server_side=True)
                with self._lock:
                    self._sockets.append(connection)
            self._converse(connection, number)
        connection.close()
        with self._lock:
            self.open_connections -= 1

    def _converse(self, connection: socket.socket, number: int) -> None:
        received = b""
        while True:
            while b"\r\n\r\n" not in received:
                if not (data := connection.recv(65536)):
                    return
                received += data
            head, _, body = received.partition(b"\r\n\r\n")
            request = Request(head, b"", number)
            length = int(request.headers.get("content-length", "0"))
            while len(body) < length:
                if not (data := connection.recv(65536)):
                    return
                body += data
            received = body[length:]
            with self._lock:
                self.requests.append(request._replace(body=body[:length]))
                script = self._scripts.pop(0) if len(self._scripts) > 1 else self._scripts[0]
            if not self._play(connection, script):
                return

    def _play(self, connection: socket.socket, script: Script) -> bool:
        """Send what the script says; return whether the connection stays open."""
        for part in script.parts:
            connection.sendall(part)
            time.sleep(script.pause_s)
        if script.then == "hang":
            while connection.recv(65536):
                pass
        elif script.then == "reset":
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        return script.then == "keep"


def response(
    body: bytes = b"{}",
    *,
    status: str = "200 OK",
    headers: Sequence[str] = (),
    length: int | None = None,
) -> bytes:
    """Return a response with a Content-Length."""
    size = len(body) if length is None else length
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {size}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def chunked(*chunks: bytes, headers: Sequence[str] = (), end: bytes = b"0\r\n\r\n") -> bytes:
    """Return a response in chunks."""
    lines = ["HTTP/1.1 200 OK", "Transfer-Encoding: chunked", *headers]
    head = "\r\n".join(lines).encode() + b"\r\n\r\n"
    return head + b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks) + end


def wait_until(condition: Callable[[], bool]) -> None:
    """Wait for another thread to make `condition` true."""
    end = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < end, "it did not become true"
        time.sleep(0.005)
