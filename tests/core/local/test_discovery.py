"""What this machine serves is found by asking, without a key, and only here."""

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
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a machine that has much else to do answer too."""
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
    """Serve GET by `respond`; a listing that misbehaves is not in FakeProvider's repertoire."""

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


def test_a_server_is_found_with_its_models_and_gets_no_key() -> None:
    with FakeProvider(models=("llama3.2:3b", "qwen3:0.6b")) as fake:
        found = find(OWN_KEYS, a=server(fake.base_url))
    assert found == {"a": LocalModels(base_url=fake.base_url, models=("llama3.2:3b", "qwen3:0.6b"))}
    (listing,) = fake.listings
    assert (listing.method, listing.path) == ("GET", "/v1/models")
    assert "authorization" not in listing.headers
    assert "canary" not in str(listing)
    assert fake.requests == []


def test_a_password_for_the_host_and_a_proxy_are_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / ".netrc"
    netrc.write_text("machine 127.0.0.1 login me password sk-canary\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(netrc))
    with FakeProvider() as proxy, FakeProvider(models=("m",)) as fake:
        for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.base_url.removesuffix("/v1"))
        found = find(a=server(fake.base_url))
    assert found["a"].models == ("m",)
    assert "authorization" not in fake.listings[0].headers
    assert proxy.listings == []


def test_several_servers_are_asked_at_once_and_each_has_its_answer() -> None:
    with FakeProvider(models=("m",)) as one, FakeProvider(models=("n",)) as two:
        gone = FakeProvider()
        with gone:
            closed = gone.base_url
        found = find(a=server(one.base_url), b=server(closed, "B_HOST"), c=server(two.base_url))
    assert list(found) == ["a", "b", "c"]
    assert found["a"].models == ("m",)
    assert found["b"] == Unavailable(reason=f"no server at {closed}; start it, or set B_HOST")
    assert found["c"].models == ("n",)


def test_nobody_to_ask_is_nothing_found() -> None:
    assert find() == {}


@pytest.mark.parametrize("how", ["silent", "drips"])
@pytest.mark.slow
def test_a_slow_server_is_given_up_and_the_others_are_found(
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
        found = find(a=server(url), b=server(fake.base_url))
        took = time.monotonic() - started
        release.set()
    assert found["b"].models == ("m",)
    assert isinstance(found["a"], Unavailable)
    assert took < 9, "it waited for a server that does not answer"


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_is_not_followed(status: int) -> None:
    with FakeProvider(models=("m",)) as elsewhere:
        redirect = sending("", status, Location=f"{elsewhere.base_url}/models")
        with answering(redirect) as url:
            found = find(a=server(url))
    assert found["a"] == Unavailable(reason=f"{url}/models answers HTTP {status} without a key")
    assert elsewhere.listings == []


@pytest.mark.parametrize(
    ("body", "said"),
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
def test_what_is_no_list_of_models_is_refused(body: str | bytes, said: str) -> None:
    with answering(sending(body)) as url:
        found = find(a=server(url))
    assert found["a"] == Unavailable(reason=f"{url}/models {said}")


def test_a_server_that_wants_a_key_says_so() -> None:
    with answering(sending('{"error": "key"}', 401)) as url:
        found = find(OWN_KEYS, a=server(url))
    assert found["a"] == Unavailable(reason=f"{url}/models answers HTTP 401 without a key")


@pytest.mark.parametrize("listing", [{"data": []}, {"object": "list", "data": None}])
def test_a_server_without_models_is_found_with_none(listing: dict) -> None:
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
def test_the_variable_of_a_server_is_understood_in_every_spelling(spelling: str) -> None:
    with FakeProvider(models=("m",)) as fake:
        port = fake.base_url.removesuffix("/v1").rpartition(":")[2]
        environ = {"OLLAMA_HOST": spelling.format(port=port)}
        found = find(environ, a=server("http://127.0.0.1:9/v1", "OTHER", "OLLAMA_HOST"))
    assert found["a"].models == ("m",)


@pytest.mark.parametrize(
    ("value", "place"),
    [
        ("127.0.0.1", "http://127.0.0.1:9/v1"),
        ("localhost", "http://localhost:9/v1"),
        ("[::1]", "http://[::1]:9/v1"),
        ("[::1]:9", "http://[::1]:9/v1"),
        ("http://127.0.0.1/api", "http://127.0.0.1:9/api"),
    ],
)
def test_what_a_variable_leaves_out_is_the_registrys(value: str, place: str) -> None:
    found = find({"OLLAMA_HOST": value}, a=server("http://127.0.0.1:9/v1", "OLLAMA_HOST"))
    assert found["a"] == Unavailable(reason=f"no server at {place}; start it, or set OLLAMA_HOST")


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
def test_an_address_that_is_not_this_machine_is_refused(value: str) -> None:
    found = find({"OLLAMA_HOST": value}, a=server("http://127.0.0.1:9/v1", "OLLAMA_HOST"))
    assert "OLLAMA_HOST points to" in found["a"].reason
    assert "not this machine; name it in a registry file" in found["a"].reason


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
def test_what_is_no_address_is_refused_and_shows_no_password(value: str, shown: str) -> None:
    found = find({"OLLAMA_HOST": value}, a=server("http://127.0.0.1:9/v1", "OLLAMA_HOST"))
    assert found["a"] == Unavailable(reason=f"OLLAMA_HOST is no address: {shown!r}")


def test_an_address_in_a_registry_file_may_be_anywhere() -> None:
    endpoint = Endpoint(protocol="openai-chat", base_url="http://gpu-box.lan:9/v1")
    assert discovery._place(endpoint, Keys(environ={})) == "http://gpu-box.lan:9/v1"


# The embedded model's files


@pytest.fixture
def no_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    monkeypatch.setattr("inference_providers.local.weights.PACKAGE", "no_such_package")


@pytest.mark.embedded
def test_the_installed_weights_are_found(weights_file: Path) -> None:
    found = discovery.find_embedded(EMBEDDED, Keys(environ={}))
    assert found.models == (weights_file.name,)


def test_without_the_extra_the_reason_is_the_pip_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(llama_server, "available", lambda: "pip install 'autoprovider[local]'")
    found = discovery.find_embedded(EMBEDDED, Keys(environ={}))
    assert found == Unavailable(reason="pip install 'autoprovider[local]'")


@pytest.mark.usefixtures("no_weights")
def test_without_weights_the_reason_is_the_command() -> None:
    found = discovery.find_embedded(EMBEDDED, Keys(environ={}))
    assert found == Unavailable(reason="no weights; run `autoprovider local install`")


@pytest.mark.usefixtures("no_weights")
def test_a_named_file_is_found_and_comes_first(tmp_path: Path) -> None:
    file = tmp_path / "mine.gguf"
    file.write_bytes(b"GGUF")
    found = discovery.find_embedded(EMBEDDED, Keys(environ={"AUTOPROVIDER_GGUF": str(file)}))
    assert found.models == (str(file),)


@pytest.mark.embedded
def test_a_named_file_comes_before_the_installed_weights(
    tmp_path: Path, weights_file: Path
) -> None:
    file = tmp_path / "mine.gguf"
    file.write_bytes(b"GGUF")
    found = discovery.find_embedded(EMBEDDED, Keys(environ={"AUTOPROVIDER_GGUF": str(file)}))
    assert found.models == (str(file), weights_file.name)


def test_a_named_file_that_is_missing_is_said_and_nothing_else_is_used() -> None:
    found = discovery.find_embedded(EMBEDDED, Keys(environ={"AUTOPROVIDER_GGUF": "/no/such.gguf"}))
    assert found == Unavailable(reason="AUTOPROVIDER_GGUF names no file: '/no/such.gguf'")
