"""Fixtures for all tests: an empty environment, the embedded model's weights, an HTTPS server.

`--allow-hosts` in pyproject.toml closes the network, except loopback.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import ipaddress
import os
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from hypothesis import HealthCheck, settings

from https_server import HttpsServer, Page
from inference_providers import reset_health
from inference_providers.local import weights
from langchain_autoprovider import AutoChatModel

if TYPE_CHECKING:
    from collections.abc import Iterator

# No deadline, because the machine may be busy. Only `long` searches with a new seed each time.
BUSY = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("default", BUSY, max_examples=500, derandomize=True)
settings.register_profile("quick", BUSY, max_examples=10, derandomize=True)
settings.register_profile("long", BUSY, max_examples=10_000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))

KEPT_VARIABLES = {
    "CI", "HOME", "LANG", "LC_ALL", "PATH", "PYTHONPATH", "PYTHONWARNINGS", "SYSTEMROOT", "TMPDIR",
    "USER", "VIRTUAL_ENV", "XDG_CACHE_HOME", "XDG_DATA_HOME",
}  # fmt: skip
"""Variables that a process needs; any other may be a key, a proxy or a switch."""

CHILDREN_END_WITHIN_S = 60.0
"""How long a child process may take to end after its test, on a busy machine."""

SERVER_VARIABLES = ("OLLAMA_HOST", "LM_STUDIO_API_BASE", "VLLM_API_BASE")
"""Where model servers are looked for; tests must not see those of the developer's machine."""

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
    for name in set(os.environ) - KEPT_VARIABLES:
        if not name.startswith(("PYTEST_", "COV_", "PIP_", "UV_")):
            monkeypatch.delenv(name)
    for name in SERVER_VARIABLES:
        monkeypatch.setenv(name, "127.0.0.1:9")


@pytest.fixture(autouse=True)
def _no_cooldowns() -> None:
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
def _frozen_wall_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the current minute from ending: `limits` counts tokens per minute of the wall clock."""
    now = time.time()
    monkeypatch.setattr("time.time", lambda: now)


@pytest.fixture(scope="session")
def weights_file() -> Path:
    """Return the embedded model's GGUF file, which `make test` installs."""
    path = weights.find(weights.FILE_NAME)
    assert path is not None, "run `autoprovider local install`"
    return path


@pytest.fixture
def _no_prompt_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let llama.cpp process every prompt from its start.

    What it caches of earlier prompts changes its arithmetic a little, and so, in a model of this
    size, sometimes the answer: tests would depend on the tests before them.
    """
    request = AutoChatModel._request

    def uncached(self: Any, messages: Any, stop: Any, kwargs: dict[str, Any]) -> Any:
        return request(self, messages, stop, {**kwargs, "extra_body": {"cache_prompt": False}})

    monkeypatch.setattr(AutoChatModel, "_request", uncached)


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
        x509.DNSName("provider.test"),
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
def site(authority: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HttpsServer]:
    """Return a running HTTPS server that this process trusts."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(authority / "ca.pem"))
    running = HttpsServer(authority / "site.pem")
    yield running
    running.close()


@pytest.fixture
def page() -> type[Page]:
    return Page


@pytest.fixture
def caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the directory of the caches, which does not exist yet."""
    home = tmp_path / "cache-home"
    home.mkdir(mode=0o700)
    monkeypatch.setenv("XDG_CACHE_HOME", str(home))
    return home / "autoprovider"
