"""Certificates and proxies from the environment, with real handshakes and a real proxy."""

from __future__ import annotations

import ssl
from base64 import b64encode
from typing import TYPE_CHECKING

import pytest

from http_proxy import HttpProxy
from inference_providers.credentials import Key
from inference_providers.errors import (
    ConfigError,
    InferenceProvidersError,
    ProviderUnreachableError,
)
from inference_providers.wire.http.proxies import proxy_for
from inference_providers.wire.http.tls import tls_context
from socket_server import Script, SocketServer, response

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import AsyncFace, SyncFace

    Client = AsyncFace | SyncFace

pytestmark = pytest.mark.slow

URL = "https://provider.test/v1"
SECRET = "sk-canary-0123456789abcdef"


@pytest.fixture
def certificate(authority: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority / "site.pem")
    return context


@pytest.fixture
def trusted(authority: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(authority / "ca.pem"))


@pytest.mark.usefixtures("trusted")
def test_ssl_cert_file_names_what_is_trusted(client: Client, certificate: ssl.SSLContext) -> None:
    with SocketServer(response(b"[1]"), tls=certificate) as server:
        key = Key("CANARY", SECRET, [server.base_url])
        assert client.post(server.base_url, key) == b"[1]"
        assert client.stream(server.base_url, key) == [b"[1]"]
    assert server.requests[0].headers["authorization"] == f"Bearer {SECRET}"


def test_ssl_cert_dir_replaces_the_certificates(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert tls_context().get_ca_certs()
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path))
    assert tls_context().get_ca_certs() == []


def test_an_unknown_certificate_is_refused(client: Client, certificate: ssl.SSLContext) -> None:
    with (
        SocketServer(response(), tls=certificate) as server,
        pytest.raises(ProviderUnreachableError, match=r"certificate verify failed.*SSL_CERT_FILE"),
    ):
        client.post(server.base_url)
    assert server.requests == []


@pytest.mark.usefixtures("trusted")
def test_a_certificate_of_another_host_is_refused(
    client: Client, certificate: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    with SocketServer(response(), tls=certificate) as server, HttpProxy(server.port) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy.port}")
        with pytest.raises(ProviderUnreachableError, match=r"other\.test"):
            client.post(f"https://other.test:{server.port}/v1")
    assert server.requests == []


def test_a_server_without_tls_is_unreachable_over_https(client: Client) -> None:
    plain = SocketServer(Script([b"HTTP/1.1 400 Bad Request\r\n\r\n"], "close"))
    with plain, pytest.raises(ProviderUnreachableError, match="no connection"):
        client.post(plain.base_url.replace("http:", "https:"), timeout_s=1)


def test_a_certificate_that_cannot_be_loaded_is_named(
    client: Client, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "missing"))
    with pytest.raises(ConfigError, match=r"SSL_CERT_FILE names '.*missing'"):
        client.post("https://127.0.0.1:9/v1")


def test_the_tls_context_is_shared_and_checks_names() -> None:
    context = tls_context()
    assert context is tls_context()
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname


@pytest.mark.usefixtures("trusted")
@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "https_proxy", "ALL_PROXY"])
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_https_goes_through_a_tunnel(
    client: Client,
    certificate: ssl.SSLContext,
    variable: str,
    scheme: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tls = certificate if scheme == "https" else None
    with (
        SocketServer(response(b"[1]"), tls=certificate) as server,
        HttpProxy(server.port, tls=tls) as proxy,
    ):
        monkeypatch.setenv(variable, f"{scheme}://127.0.0.1:{proxy.port}")
        url = f"https://provider.test:{server.port}/v1"
        assert client.post(url, Key("CANARY", SECRET, [url])) == b"[1]"
    [seen] = proxy.requests
    assert seen.line == f"CONNECT provider.test:{server.port} HTTP/1.1"
    assert "authorization" not in seen.headers, "the key is for the provider only"
    assert server.requests[0].headers["authorization"] == f"Bearer {SECRET}"
    assert "proxy-authorization" not in server.requests[0].headers


def test_http_goes_through_the_proxy_as_it_is(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    with SocketServer(response(b"[1]")) as server, HttpProxy(server.port) as proxy:
        monkeypatch.setenv("HTTP_PROXY", f"127.0.0.1:{proxy.port}")
        assert client.post(f"http://provider.test:{server.port}/v1") == b"[1]"
    assert proxy.requests[0].line == f"POST http://provider.test:{server.port}/v1/x HTTP/1.1"


@pytest.mark.usefixtures("trusted")
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_proxy_gets_its_password_and_a_provider_does_not(
    client: Client, certificate: ssl.SSLContext, scheme: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = "Basic " + b64encode(b"us er:p@ss").decode()
    tls = certificate if scheme == "https" else None
    with (
        SocketServer(response(b"[1]"), tls=tls) as server,
        HttpProxy(server.port, authorization=expected) as proxy,
    ):
        monkeypatch.setenv("ALL_PROXY", f"http://us%20er:p%40ss@127.0.0.1:{proxy.port}")
        assert client.post(f"{scheme}://provider.test:{server.port}/v1") == b"[1]"
    assert proxy.requests[0].headers["proxy-authorization"] == expected


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_refusing_proxy_is_reported_without_its_password(
    client: Client, scheme: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (
        SocketServer(response()) as server,
        HttpProxy(server.port, authorization="Basic x") as proxy,
    ):
        monkeypatch.setenv("ALL_PROXY", f"http://user:pass-word@127.0.0.1:{proxy.port}")
        with pytest.raises(InferenceProvidersError, match="407") as caught:
            client.post(f"{scheme}://provider.test:{server.port}/v1")
    assert "pass-word" not in f"{caught.value!r} {vars(caught.value)}"


def test_a_proxy_that_is_down_is_unreachable(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALL_PROXY", "http://user:pass-word@127.0.0.1:9")
    with pytest.raises(ProviderUnreachableError, match=r"provider\.test") as caught:
        client.post(URL)
    assert "pass-word" not in str(caught.value)


@pytest.mark.parametrize(
    "address",
    [
        "http://us:pass-word@h:port",
        "http://",
        "ftp://us:pass-word@h",
        "http://us:pass-word@",
        "https://[::1:pass-word",
    ],
)
def test_a_malformed_proxy_is_refused_without_its_password(
    client: Client, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALL_PROXY", address)
    with pytest.raises(ConfigError, match="ALL_PROXY") as caught:
        client.post(URL)
    assert "pass-word" not in str(caught.value)


def test_a_socks_proxy_is_refused(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", "socks5://127.0.0.1:9")
    with pytest.raises(ConfigError, match="SOCKS proxies are not supported"):
        client.post(URL)


@pytest.mark.parametrize(
    ("url", "variables", "proxy"),
    [
        (URL, {}, None),
        (URL, {"HTTPS_PROXY": "http://p:1"}, "http://p:1"),
        (URL, {"HTTP_PROXY": "http://p:1"}, None),
        (URL, {"HTTPS_PROXY": "p"}, "http://p"),
        (URL, {"HTTPS_PROXY": " "}, None),
        (URL, {"ALL_PROXY": "http://p:1", "HTTPS_PROXY": "http://q:1"}, "http://q:1"),
        (URL, {"ALL_PROXY": "http://p:1", "NO_PROXY": "*"}, None),
        (URL, {"ALL_PROXY": "http://p:1", "NO_PROXY": "a.test, provider.test"}, None),
        (URL, {"ALL_PROXY": "http://p:1", "NO_PROXY": ".test"}, None),
        (URL, {"ALL_PROXY": "http://p:1", "NO_PROXY": "vider.test"}, "http://p:1"),
        (URL, {"ALL_PROXY": "http://p:1", "NO_PROXY": "provider.test:8443"}, "http://p:1"),
        ("https://10.1.2.3/v1", {"ALL_PROXY": "http://p:1", "NO_PROXY": "10.0.0.0/8"}, None),
        (
            "https://11.1.2.3/v1",
            {"ALL_PROXY": "http://p:1", "NO_PROXY": "10.0.0.0/8"},
            "http://p:1",
        ),
        ("http://localhost:8000/v1", {"ALL_PROXY": "http://p:1"}, None),
        ("http://127.8.8.8:8000/v1", {"ALL_PROXY": "http://p:1"}, None),
        ("http://[::1]:8000/v1", {"ALL_PROXY": "http://p:1"}, None),
        ("http://provider.test/v1", {"HTTP_PROXY": "https://p:1"}, "https://p:1"),
    ],
)
def test_proxy_for_follows_the_environment(
    url: str, variables: dict[str, str], proxy: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    result = proxy_for(url)
    assert (result and result.url) == proxy


def test_a_proxy_does_not_print_its_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", "http://user:pass-word@p:1")
    proxy = proxy_for(URL)
    assert proxy is not None
    assert "Basic" not in repr(proxy)
    assert "pass-word" not in repr(proxy)


def test_passwords_of_netrc_are_not_sent(
    client: Client, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "netrc").write_text("default login a password b\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    with SocketServer(response()) as server:
        client.post(server.base_url)
    assert "authorization" not in server.requests[0].headers
