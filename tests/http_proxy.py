"""A small HTTP proxy on loopback: it tunnels and forwards, and may ask for a password."""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import TYPE_CHECKING, NamedTuple, Self

if TYPE_CHECKING:
    import ssl


class ProxiedRequest(NamedTuple):
    """The request line and the headers that the proxy saw."""

    line: str
    headers: dict[str, str]


class HttpProxy:
    """Connects to one port of this machine, whatever host is requested.

    Args:
        port: Where every connection leads.
        authorization: The `Proxy-Authorization` that it requires, if any.
        tls: Its own certificate, for an https proxy.

    Attributes:
        requests: The requests received, in order.
    """

    def __init__(
        self, port: int, *, authorization: str | None = None, tls: ssl.SSLContext | None = None
    ) -> None:
        self.requests: list[ProxiedRequest] = []
        self._target = port
        self._authorization = authorization
        self._tls = tls
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._sockets: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for each in (self._listener, *self._sockets):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self._sockets.append(connection)
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with contextlib.suppress(OSError):
            if self._tls:
                client = self._tls.wrap_socket(client, server_side=True)
                self._sockets.append(client)
            head = b""
            while b"\r\n\r\n" not in head:
                if not (data := client.recv(65536)):
                    return
                head += data
            head, _, rest = head.partition(b"\r\n\r\n")
            line, *lines = head.decode("latin-1").split("\r\n")
            headers = {n.lower(): v.strip() for n, _, v in (each.partition(":") for each in lines)}
            self.requests.append(ProxiedRequest(line, headers))
            if self._authorization not in {None, headers.get("proxy-authorization")}:
                client.sendall(
                    b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n"
                )
                client.close()
                return
            server = socket.create_connection(("127.0.0.1", self._target))
            self._sockets.append(server)
            if line.startswith("CONNECT "):
                client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n" + rest)
            else:
                server.sendall(head + b"\r\n\r\n" + rest)
            threading.Thread(target=_copy, args=(server, client), daemon=True).start()
            _copy(client, server)


def _copy(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)
