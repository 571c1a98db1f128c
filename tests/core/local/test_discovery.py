"""Discovery finds the models on this machine, without a key, and looks nowhere else."""

from __future__ import annotations

import json
import threading
import time
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest

from inference_providers.credentials import Keys
from inference_providers.local import discovery, llama_server
from inference_providers.registry.registry import Registry
from inference_providers.testing import FakeProvider
from inference_providers.types import Endpoint, LocalModels, Unavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

EMBEDDED = Registry.load().providers["embedded"]
OWN_KEYS = {"OPENAI_API_KEY": "sk-canary", "LOCAL_KEY": "sk-canary", "OLLAMA_API_KEY": "sk-canary"}


@pytest.fixture(autouse=True)
def _long_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give servers time to answer on a busy machine."""
    monkeypatch.setattr(discovery, "DEADLINE_S", 30.0)


def server(base_url: str, *variables: str) -> dict:
    endpoint = {"protocol": "openai-chat", "base_url": base_url, "base_url_env": list(variables)}
    auth = {"any_of": [["LOCAL_KEY"], []]}
    return {"name": "S", "kind": "local", "auth": auth, "endpoints": {"default": endpoint}}


def find(environ: dict | None = None, **servers: dict) -> dict[str, LocalModels | Unavailable]:
    registry = Registry.load({"providers": servers})
    return discovery.find_servers(servers, registry, Keys(environ=environ or {}))


@contextmanager
def answering(respond: Callable[[BaseHTTPRequestHandler], None]) -> Iterator[str]:
    """Serve GET with `respond`; FakeProvider cannot send a malformed listing."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            with suppress(OSError):  # the client may have left
                respond(self)

        def log_message(self, *_: object) -> None:
            pass

    listening = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    listening.daemon_threads = True
    thread = threading.Thread(target=listening.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listening.server_port}/v1"
    finally:
        listening.shutdown()
        listening.server_close()
        thread.join()


def sending(
    body: bytes | str, status: int = 200, **headers: str
) -> Callable[[BaseHTTPRequestHandler], None]:
    def respond(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(body if isinstance(body, bytes) else body.encode())

    return respond


def test_find_servers_lists_models_and_sends_no_key() -> None:
    with FakeProvider(models=("llama3.2:3b", "qwen3:0.6b")) as fake:
        results = find(OWN_KEYS, a=server(fake.base_url))
    assert results == {
        "a": LocalModels(base_url=fake.base_url, models=("llama3.2:3b", "qwen3:0.6b"))
    }
    (listing,) = fake.listings
    assert (listing.method, listing.path) == ("GET", "/v1/models")
    assert "authorization" not in listing.headers
    assert "canary" not in str(listing)
    assert fake.requests == []


def test_find_servers_uses_neither_netrc_nor_a_proxy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / ".netrc"
    netrc.write_text("machine 127.0.0.1 login me password sk-canary\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(netrc))
    with FakeProvider() as proxy, FakeProvider(models=("m",)) as fake:
        for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.base_url.removesuffix("/v1"))
        results = find(a=server(fake.base_url))
    assert results["a"].models == ("m",)
    assert "authorization" not in fake.listings[0].headers
    assert proxy.listings == []


def test_find_servers_returns_a_result_for_each_server() -> None:
    with FakeProvider(models=("m",)) as one, FakeProvider(models=("n",)) as two:
        gone = FakeProvider()
        with gone:
            closed = gone.base_url
        results = find(a=server(one.base_url), b=server(closed, "B_HOST"), c=server(two.base_url))
    assert list(results) == ["a", "b", "c"]
    assert results["a"].models == ("m",)
    assert results["b"] == Unavailable(reason=f"no server at {closed}; start it, or set B_HOST")
    assert results["c"].models == ("n",)


def test_find_servers_without_servers_finds_nothing() -> None:
    assert find() == {}


@pytest.mark.parametrize("how", ["silent", "drips"])
@pytest.mark.slow
def test_find_servers_does_not_wait_for_a_slow_server(
    how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(discovery, "DEADLINE_S", 2.0)
    release = threading.Event()

    def slow(handler: BaseHTTPRequestHandler) -> None:
        if how == "drips":
            handler.send_response(200)
            handler.end_headers()
        for _ in range(200):
            if release.wait(0.05):
                return
            if how == "drips":
                handler.wfile.write(b" ")

    with answering(slow) as url, FakeProvider(models=("m",)) as fake:
        started = time.monotonic()
        results = find(a=server(url), b=server(fake.base_url))
        took = time.monotonic() - started
        release.set()
    assert results["b"].models == ("m",)
    assert isinstance(results["a"], Unavailable)
    assert took < 9, "it waited for a server that does not answer"


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_find_servers_follows_no_redirect(status: int) -> None:
    with FakeProvider(models=("m",)) as elsewhere:
        redirect = sending("", status, Location=f"{elsewhere.base_url}/models")
        with answering(redirect) as url:
            results = find(a=server(url))
    assert results["a"] == Unavailable(reason=f"{url}/models answers HTTP {status} without a key")
    assert elsewhere.listings == []


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("<html>Welcome</html>", "does not answer with a list of models"),
        ("", "does not answer with a list of models"),
        ("{}", "does not answer with a list of models"),
        ('{"data": [{"name": "no id"}]}', "does not answer with a list of models"),
        ('{"data": [{"id": 5}]}', "does not answer with a list of models"),
        (b"\xff\xfe", "does not answer with a list of models"),
        ('{"x": ' + "[" * 200_000, "does not answer with a list of models"),
        ('{"data": [' + '{"id": "m"},' * 200_000 + "]}", "answers with more than a list of models"),
    ],
    ids=["html", "empty", "object", "no id", "number", "bytes", "deep", "huge"],
)  # fmt: skip
def test_find_servers_refuses_what_is_not_a_model_list(body: str | bytes, message: str) -> None:
    with answering(sending(body)) as url:
        results = find(a=server(url))
    assert results["a"] == Unavailable(reason=f"{url}/models {message}")


def test_find_servers_says_that_a_server_requires_a_key() -> None:
    with answering(sending('{"error": "key"}', 401)) as url:
        results = find(OWN_KEYS, a=server(url))
    assert results["a"] == Unavailable(reason=f"{url}/models answers HTTP 401 without a key")


@pytest.mark.parametrize("listing", [{"data": []}, {"object": "list", "data": None}])
def test_find_servers_accepts_a_server_without_models(listing: dict) -> None:
    with answering(sending(json.dumps(listing))) as url:
        assert find(a=server(url)) == {"a": LocalModels(base_url=url, models=())}


# Addresses from the environment


@pytest.mark.parametrize(
    "spelling",
    [
        "127.0.0.1:{port}",
        "localhost:{port}",
        "http://127.0.0.1:{port}",
        "http://127.0.0.1:{port}/",
        "http://127.0.0.1:{port}/v1",
        "http://127.0.0.1:{port}/v1/",
        "0.0.0.0:{port}",
        "http://0.0.0.0:{port}",
        "[::]:{port}",
        ":{port}",
        "  127.0.0.1:{port} ",
    ],
)
def test_server_address_may_be_spelled_in_many_ways(spelling: str) -> None:
    with FakeProvider(models=("m",)) as fake:
        port = fake.base_url.removesuffix("/v1").rpartition(":")[2]
        environ = {"OLLAMA_HOST": spelling.format(port=port)}
        results = find(environ, a=server("http://127.0.0.1:9/v1", "OTHER", "OLLAMA_HOST"))
    assert results["a"].models == ("m",)


@pytest.mark.parametrize(
    ("value", "address"),
    [
        ("127.0.0.1", "http://127.0.0.1:9/v1"),
        ("localhost", "http://localhost:9/v1"),
        ("[::1]", "http://[::1]:9/v1"),
        ("[::1]:9", "http://[::1]:9/v1"),
        ("http://127.0.0.1/api", "http://127.0.0.1:9/api"),
    ],
)
def test_server_address_takes_the_rest_from_the_registry(value: str, address: str) -> None:
    results = find({"OLLAMA_HOST": value}, a=server("http://127.0.0.1:9/v1", "OLLAMA_HOST"))
    assert results["a"] == Unavailable(
        reason=f"no server at {address}; start it, or set OLLAMA_HOST"
    )


@pytest.mark.parametrize(
    "value",
    [
        "http://192.168.1.5:11434",
        "10.0.0.1",
        "gpu-box:11434",
        "https://ollama.evil.test",
        "169.254.169.254",
        "http://127.0.0.1@evil.test/",
        "127.0.0.1.evil.test",
        "[2001:db8::1]:11434",
    ],
)
def test_server_address_must_be_on_this_machine(value: str) -> None:
    results = find({"OLLAMA_HOST": value}, a=server("http://127.0.0.1:9/v1", "OLLAMA_HOST"))
    assert "OLLAMA_HOST points to" in results["a"].reason
    assert "not this machine; name it in a registry file" in results["a"].reason


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("http://[::1", "http://[::1"),
        ("127.0.0.1:port", "http://127.0.0.1:port"),
        ("127.0.0.1:99999", "http://127.0.0.1:99999"),
        ("https://me:secret@127.0.0.1:port", "https://…@127.0.0.1:port"),
        ("me:secret@[x", "http://…@[x"),
    ],
)
def test_server_address_is_shown_without_its_password(value: str, shown: str) -> None:
    results = find({"OLLAMA_HOST": value}, a=server("http://127.0.0.1:9/v1", "OLLAMA_HOST"))
    assert results["a"] == Unavailable(reason=f"OLLAMA_HOST is not an address: {shown!r}")


def test_server_address_of_a_registry_file_may_be_anywhere() -> None:
    endpoint = Endpoint(protocol="openai-chat", base_url="http://gpu-box.lan:9/v1")
    assert discovery._server_address(endpoint, Keys(environ={})) == "http://gpu-box.lan:9/v1"


# The embedded model's files


@pytest.fixture
def no_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    monkeypatch.setattr("inference_providers.local.weights.PACKAGE", "no_such_package")


@pytest.mark.embedded
def test_find_embedded_finds_the_installed_weights(weights_file: Path) -> None:
    results = discovery.find_embedded(EMBEDDED, Keys(environ={}))
    assert results.models == (weights_file.name,)


def test_find_embedded_without_the_extra_gives_pip_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(llama_server, "available", lambda: "pip install 'autoprovider[local]'")
    results = discovery.find_embedded(EMBEDDED, Keys(environ={}))
    assert results == Unavailable(reason="pip install 'autoprovider[local]'")


@pytest.mark.usefixtures("no_weights")
def test_find_embedded_without_weights_gives_the_command() -> None:
    results = discovery.find_embedded(EMBEDDED, Keys(environ={}))
    assert results == Unavailable(reason="no weights; run `autoprovider local install`")


@pytest.mark.usefixtures("no_weights")
def test_find_embedded_finds_the_users_own_file(tmp_path: Path) -> None:
    file = tmp_path / "mine.gguf"
    file.write_bytes(b"GGUF")
    results = discovery.find_embedded(EMBEDDED, Keys(environ={"AUTOPROVIDER_GGUF": str(file)}))
    assert results.models == (str(file),)


@pytest.mark.embedded
def test_find_embedded_puts_the_users_own_file_first(tmp_path: Path, weights_file: Path) -> None:
    file = tmp_path / "mine.gguf"
    file.write_bytes(b"GGUF")
    results = discovery.find_embedded(EMBEDDED, Keys(environ={"AUTOPROVIDER_GGUF": str(file)}))
    assert results.models == (str(file), weights_file.name)


def test_find_embedded_names_a_missing_own_file() -> None:
    results = discovery.find_embedded(
        EMBEDDED, Keys(environ={"AUTOPROVIDER_GGUF": "/no/such.gguf"})
    )
    assert results == Unavailable(reason="AUTOPROVIDER_GGUF is not a file: '/no/such.gguf'")
