"""An HTTPS server for tests of downloads: pages by path, some of them slow or endless."""

from __future__ import annotations

import contextlib
import ssl
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path


class Page(NamedTuple):
    """The response to one path.

    Attributes:
        body: The bytes after the headers.
        status: The HTTP status.
        headers: Further headers; they replace the default ones.
        drip_s: Seconds between two bytes of the body, which then has no Content-Length.
        drip_headers: Whether the headers drip, too.
        endless: Whether more bytes follow `body` until the server closes.
    """

    body: bytes = b""
    status: int = 200
    headers: Mapping[str, str] = MappingProxyType({})
    drip_s: float | None = None
    drip_headers: bool = False
    endless: bool = False


class Request(NamedTuple):
    """A request that came, with lower-case header names."""

    path: str
    headers: dict[str, str]


class _Handler(BaseHTTPRequestHandler):
    site: HttpsServer
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.site.requests.append(Request(self.path, headers))
        page = self.site.pages.get(self.path, Page(b"not found", 404))
        self.close_connection = True
        with contextlib.suppress(OSError):  # the client has left
            self._play(page if isinstance(page, Page) else page(headers))

    def _play(self, page: Page) -> None:
        if page.drip_headers:
            self._drip(b"HTTP/1.1 200 OK\r\nx: " + b"y" * 10_000, page.drip_s or 0)
        self.send_response(page.status)
        has_length = page.drip_s is None and not page.endless
        length = {"Content-Length": str(len(page.body))} if has_length else {}
        for name, value in {**length, **page.headers, "Connection": "close"}.items():
            self.send_header(name, value)
        self.end_headers()
        if page.endless:
            self.wfile.write(page.body)
        while page.endless and not self.site._closing.is_set():
            self.wfile.write(b"x" * 65536)
        self._drip(page.body, page.drip_s)

    def _drip(self, data: bytes, pause_s: float | None) -> None:
        if pause_s is None:
            self.wfile.write(data)
            return
        for at in range(len(data)):
            if self.site._closing.is_set():
                return
            self.wfile.write(data[at : at + 1])
            time.sleep(pause_s)


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        """Print nothing if a client leaves during the handshake."""


class HttpsServer:
    """An HTTPS server on a free loopback port; unlike `FakeProvider` it serves any path.

    Attributes:
        pages: The response by path, or a function of the request's headers that returns it.
        requests: The requests that came, in order.
    """

    def __init__(self, certificate: Path) -> None:
        self.pages: dict[str, Page | Callable[[dict[str, str]], Page]] = {}
        self.requests: list[Request] = []
        self._closing = threading.Event()
        self._server = _Server(("127.0.0.1", 0), type("Handler", (_Handler,), {"site": self}))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        self._server.socket = context.wrap_socket(
            self._server.socket, server_side=True, do_handshake_on_connect=False
        )
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True
        )
        self._thread.start()

    @property
    def port(self) -> int:
        return self._server.server_port

    def url(self, path: str = "/registry.json", host: str = "127.0.0.1") -> str:
        return f"https://{host}:{self.port}{path}"

    def close(self) -> None:
        self._closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
