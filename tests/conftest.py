"""What every test stands on: no keys, the real embedded weights, a web server with TLS.

The network is closed but for loopback: `--allow-hosts` in pyproject.toml.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import ipaddress
import os
import signal
import ssl
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from hypothesis import HealthCheck, settings

from inference_providers import reset_health
from inference_providers.local import weights
from langchain_autoprovider import AutoChatModel

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

# What the machine does besides is no fault of a property, and one run finds what the next finds:
# `long` is who searches anew.
BUSY = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("default", BUSY, max_examples=500, derandomize=True)
settings.register_profile("quick", BUSY, max_examples=20, derandomize=True)
settings.register_profile("long", BUSY, max_examples=10_000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))

KEPT = {
    "CI", "HOME", "LANG", "LC_ALL", "PATH", "PYTHONPATH", "PYTHONWARNINGS", "SYSTEMROOT", "TMPDIR",
    "USER", "VIRTUAL_ENV", "XDG_CACHE_HOME", "XDG_DATA_HOME",
}  # fmt: skip
"""Variables a process needs to run; everything else may be a key, a proxy or a switch."""

CHILDREN_END_WITHIN_S = 60.0
"""How long a child process may take to end after its test, on a busy machine."""

SERVERS = ("OLLAMA_HOST", "LM_STUDIO_API_BASE", "VLLM_API_BASE")
"""Where a developer's own model servers are looked for: what they serve is no matter of a test."""


USES_THE_EMBEDDED_MODEL = frozenset({"embedded", "embed_model", "weights_file"})
"""Fixtures whose tests run the embedded model."""


@pytest.hookimpl(tryfirst=True)  # before `-m` selects
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests of the embedded model, so that `make check` needs no weights."""
    for item in items:
        if USES_THE_EMBEDDED_MODEL & {*getattr(item, "fixturenames", ())}:
            item.add_marker("embedded")


@pytest.fixture(autouse=True)
def _empty_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in set(os.environ) - KEPT:
        if not name.startswith(("PYTEST_", "COV_", "PIP_", "UV_")):
            monkeypatch.delenv(name)
    for name in SERVERS:
        monkeypatch.setenv(name, "127.0.0.1:9")


@pytest.fixture(autouse=True)
def _nobody_rests() -> None:
    reset_health()


@pytest.fixture(scope="session", autouse=True)
def _sigint_as_in_the_foreground() -> Iterator[None]:
    """Let programs that tests start react to Ctrl-C, also when the tests run in the background.

    A shell starts background jobs with SIGINT ignored, and child processes inherit that.
    """
    previous = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, previous)


@pytest.fixture(scope="module", autouse=True)
def _no_process_left_behind() -> Iterator[None]:
    """Fail a module whose child processes outlive it: they would disturb later tests."""
    before = _children()
    yield
    end = time.monotonic() + CHILDREN_END_WITHIN_S
    while left := {pid: name for pid, name in _children().items() if pid not in before}:
        assert time.monotonic() < end, f"these processes still run: {left}"
        time.sleep(0.05)


def _children() -> dict[int, str]:
    """Return the command of each running child process by its id; nothing where /proc is missing.

    The embedded model's server and multiprocessing's helpers live as long as this process.
    """
    running = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # it has ended
            state, parent, *_ = stat.read_text().rpartition(")")[2].split()
            if int(parent) != os.getpid() or state == "Z":
                continue
            command = stat.with_name("cmdline").read_bytes().replace(b"\0", b" ").decode()
            if not any(name in command for name in ("_llama_child", "multiprocessing")):
                running[int(stat.parent.name)] = command
    return running


@pytest.fixture
def _clock_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have no minute end: `limits` counts tokens by the minutes of the wall clock."""
    now = time.time()
    monkeypatch.setattr("time.time", lambda: now)


@pytest.fixture(scope="session")
def weights_file() -> Path:
    """Return the embedded model's GGUF file; `make test` has installed it."""
    path = weights.find(weights.FILE_NAME)
    assert path is not None, "run `autoprovider local install`"
    return path


@pytest.fixture
def _read_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have llama.cpp read each prompt anew.

    What it keeps of earlier prompts changes its sums a little, and at times what a model of
    this size says: an answer would hang on the tests that ran before.
    """
    request = AutoChatModel._request

    def anew(self: Any, messages: Any, stop: Any, kwargs: dict[str, Any]) -> Any:
        return request(self, messages, stop, {**kwargs, "extra_body": {"cache_prompt": False}})

    monkeypatch.setattr(AutoChatModel, "_request", anew)


class Page(NamedTuple):
    """What one path answers; without a length where it drips, or has no end after `body`."""

    body: bytes = b""
    status: int = 200
    headers: Mapping[str, str] = MappingProxyType({})
    drip_s: float | None = None
    drip_headers: bool = False
    endless: bool = False


class Asked(NamedTuple):
    path: str
    headers: dict[str, str]


class Handler(BaseHTTPRequestHandler):
    site: Site
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.site.asked.append(Asked(self.path, headers))
        page = self.site.pages.get(self.path, Page(b"not here", 404))
        self.close_connection = True
        with contextlib.suppress(OSError):  # the client left
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
        while page.endless and not self.site.ended.is_set():
            self.wfile.write(b"x" * 65536)
        self._drip(page.body, page.drip_s)

    def _drip(self, data: bytes, pause_s: float | None) -> None:
        if pause_s is None:
            self.wfile.write(data)
            return
        for at in range(len(data)):
            if self.site.ended.is_set():
                return
            self.wfile.write(data[at : at + 1])
            time.sleep(pause_s)


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        """Say nothing of a client that left in the handshake."""


class Site:
    """An https server; `pages` by path, `asked` in order."""

    def __init__(self, certificate: Path) -> None:
        self.pages: dict[str, Page | Callable[[dict[str, str]], Page]] = {}
        self.asked: list[Asked] = []
        self.ended = threading.Event()
        self._server = Server(("127.0.0.1", 0), type("Handler", (Handler,), {"site": self}))
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
        self.ended.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a directory with `ca.pem` and the server's `site.pem`."""
    directory = tmp_path_factory.mktemp("tls")
    now = dt.datetime.now(dt.UTC)

    def named(name: str) -> x509.Name:
        return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])

    def builder(name: str, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(named(name))
            .issuer_name(named("tests"))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(days=1))
            .not_valid_after(now + dt.timedelta(days=2))
        )

    ca_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    ski = x509.SubjectKeyIdentifier.from_public_key(ca_key.public_key())
    aki = x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key())
    usage = x509.KeyUsage(
        digital_signature=True, key_cert_sign=True, crl_sign=True, content_commitment=False,
        key_encipherment=False, data_encipherment=False, key_agreement=False,
        encipher_only=False, decipher_only=False,
    )  # fmt: skip
    ca = (
        builder("tests", ca_key)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(ski, critical=False)
        .sign(ca_key, hashes.SHA256())
    )
    names = [
        x509.IPAddress(ipaddress.ip_address("127.0.0.1")),
        x509.DNSName("localhost"),
    ]
    site = (
        builder("127.0.0.1", key)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(aki, critical=False)
        .sign(ca_key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    private = key.private_bytes(
        pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (directory / "ca.pem").write_bytes(ca.public_bytes(pem))
    (directory / "site.pem").write_bytes(private + site.public_bytes(pem))
    return directory


@pytest.fixture
def site(authority: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """Return a running https server that this process trusts."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(authority / "ca.pem"))
    running = Site(authority / "site.pem")
    yield running
    running.close()


@pytest.fixture
def page() -> type[Page]:
    return Page


@pytest.fixture
def caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the directory of this program's caches; it does not exist yet."""
    home = tmp_path / "cache-home"
    home.mkdir(mode=0o700)
    monkeypatch.setenv("XDG_CACHE_HOME", str(home))
    return home / "autoprovider"
