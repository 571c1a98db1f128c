"""A fetch uses TLS and one host, and has limits of size and time."""

from __future__ import annotations

import gzip

import pytest

from inference_providers.errors import FetchError
from inference_providers.updates import https_get


def get(url: str, **options) -> https_get.Response:
    limits = {"headers": {}, "max_bytes": 1000, "deadline_s": 60.0, **options}
    return https_get.get(url, **limits)


def test_get_returns_status_headers_and_body(site, page) -> None:
    site.pages["/x"] = page(b"hello", 203, {"X-Own": "1"})
    response = get(site.url("/x"), headers={"If-None-Match": '"a"'})
    assert (response.status, response.body, response.headers["x-own"]) == (203, b"hello", "1")
    (request,) = site.requests
    assert request.headers["if-none-match"] == '"a"'
    assert request.headers["accept-encoding"] == "identity"


def test_get_refuses_an_untrusted_certificate(site, page, monkeypatch) -> None:
    site.pages["/x"] = page(b"hello")
    monkeypatch.delenv("REQUESTS_CA_BUNDLE")
    with pytest.raises(FetchError, match=r"^127\.0\.0\.1 cannot be reached: .*certificate"):
        get(site.url("/x"))
    assert site.requests == []


@pytest.mark.parametrize(
    "url", ["http://example.test/x", "ftp://example.test", "file:///etc/hosts"]
)
def test_get_refuses_a_url_that_is_not_https(url: str) -> None:
    with pytest.raises(FetchError, match="is not an https URL"):
        get(url)


def test_get_names_a_host_that_cannot_be_reached() -> None:
    with pytest.raises(FetchError, match=r"^127\.0\.0\.1 cannot be reached: "):
        get("https://127.0.0.1:9/x")


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_get_follows_redirects_on_the_same_host(site, page, status) -> None:
    site.pages["/a"] = page(status=status, headers={"Location": "/b"})
    site.pages["/b"] = page(status=status, headers={"Location": site.url("/c")})
    site.pages["/c"] = page(b"there")
    assert get(site.url("/a"), redirects=2).body == b"there"
    with pytest.raises(FetchError, match="redirects more than 1 times"):
        get(site.url("/a"), redirects=1)
    with pytest.raises(FetchError, match="redirects more than 0 times"):
        get(site.url("/a"))


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_get_refuses_redirects_to_another_origin(site, page, status) -> None:
    for where in (
        site.url("/b", host="localhost"), "https://127.0.0.1:9/b", "//localhost/b",
        f"http://127.0.0.1:{site.port}/b", f"https://u@127.0.0.1:{site.port}/b",
    ):  # fmt: skip
        site.requests.clear()
        site.pages["/a"] = page(status=status, headers={"Location": where})
        site.pages["/b"] = page(b"there")
        with pytest.raises(FetchError, match="redirects to another host"):
            get(site.url("/a"), redirects=2, headers={"Authorization": "Bearer k"})
        assert [request.path for request in site.requests] == ["/a"]


def test_get_refuses_more_than_max_bytes(site, page) -> None:
    site.pages["/x"] = page(b"x" * 1000)
    assert len(get(site.url("/x")).body) == 1000
    site.pages["/x"] = page(b"x" * 1001)
    with pytest.raises(FetchError, match="more than 1,000 bytes"):
        get(site.url("/x"))
    site.pages["/x"] = page(endless=True)
    with pytest.raises(FetchError, match="more than 1,000 bytes"):
        get(site.url("/x"))


@pytest.mark.parametrize("size", [b"-1", b"FFFFFFFF"])
def test_get_limits_chunks_whatever_size_they_state(site, page, size: bytes) -> None:
    chunked = {"Transfer-Encoding": "chunked"}
    site.pages["/x"] = page(size + b"\r\n", headers=chunked, endless=True)
    with pytest.raises(FetchError, match="more than 1,000 bytes"):
        get(site.url("/x"))
    site.pages["/x"] = page(b"2\r\n{}\r\n0\r\n\r\n", headers=chunked, drip_s=0.0)
    assert get(site.url("/x")).body == b"{}"
    site.pages["/x"] = page(b"8\r\n{}", headers=chunked, drip_s=0.0)
    with pytest.raises(FetchError):
        get(site.url("/x"))


def test_get_limits_the_body_of_a_redirect(site, page) -> None:
    site.pages["/x"] = page(status=302, headers={"Location": "/y"}, endless=True)
    site.pages["/y"] = page(b"there")
    with pytest.raises(FetchError, match="more than 1,000 bytes"):
        get(site.url("/x"), redirects=1)


def test_get_refuses_a_compressed_body(site, page) -> None:
    bomb = gzip.compress(b"0" * 50_000_000)
    site.pages["/x"] = page(bomb, headers={"Content-Encoding": "gzip"})
    with pytest.raises(
        FetchError, match="sent a compressed body, although `identity` was requested"
    ):
        get(site.url("/x"), max_bytes=1 << 20)


def test_get_refuses_an_incomplete_body(site, page) -> None:
    site.pages["/x"] = page(b"half", headers={"Content-Length": "8"})
    with pytest.raises(FetchError):
        get(site.url("/x"))


@pytest.mark.parametrize(
    "headers",
    [{"Location": "https://[::1"}, {"Content-Length": "\xb2"}, {"Content-Length": "9" * 5000}],
    ids=["location", "not a number", "very long number"],
)
def test_get_reports_malformed_http_at_once(site, page, headers) -> None:
    """An error that is not caught would end the thread, and `get` would wait for the deadline."""
    site.pages["/x"] = page(b"x", 302 if "Location" in headers else 200, headers)
    with pytest.raises(FetchError, match=r"^127\.0\.0\.1 sent a malformed HTTP response: "):
        get(site.url("/x"), redirects=1)


def test_get_error_is_one_line(site, page) -> None:
    site.pages["/x"] = page(status=-1)
    with pytest.raises(FetchError, match=r"HTTP/1\.1 -1") as caught:
        get(site.url("/x"))
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("options", [{}, {"drip_headers": True}], ids=["body", "headers"])
@pytest.mark.slow
def test_get_ends_at_the_deadline_if_the_server_drips(site, page, options) -> None:
    """Each byte comes in time, but the whole response never does."""
    site.pages["/x"] = page(b"x" * 1000, drip_s=0.05, **options)
    with pytest.raises(FetchError, match=r"did not (respond|finish) within 2 s"):
        get(site.url("/x"), deadline_s=2.0)


def test_get_does_not_send_a_netrc_password(site, page, tmp_path, monkeypatch) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login me password canary\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    site.pages["/x"] = page(b"")
    get(site.url("/x"))
    assert "authorization" not in site.requests[0].headers


def test_get_uses_no_proxy_for_this_machine(monkeypatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    from inference_providers.testing import FakeProvider

    with FakeProvider(models=("m",)) as fake:
        assert b'"m"' in get(f"{fake.base_url}/models").body
