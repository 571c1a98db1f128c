"""Proxies from the environment: HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY.

The rules are those of the library requests, which downloads use. Hosts on this machine are reached
directly.
"""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

from inference_providers.credentials import UrlOrigin
from inference_providers.errors import ConfigError

__all__ = ["Proxy", "proxy_for"]


@dataclass(frozen=True)
class Proxy:
    """An HTTP proxy.

    Attributes:
        origin: Its scheme, host and port.
        authorization: The value of `Proxy-Authorization`, if it has a password.
    """

    origin: UrlOrigin
    authorization: str | None = field(default=None, repr=False)

    @property
    def headers(self) -> dict[str, str]:
        """The headers for the proxy itself."""
        return {"Proxy-Authorization": self.authorization} if self.authorization else {}

    @property
    def url(self) -> str:
        """Its URL, without user name and password."""
        return f"{self.origin.scheme}://{self.origin}"


def proxy_for(url: str) -> Proxy | None:
    """Return the proxy for requests to `url`; `None` if they go there directly.

    Raises:
        ConfigError: The proxy's address is malformed, or is not that of an HTTP proxy.
    """
    target = UrlOrigin.of(url)
    if target is None or target.is_loopback:
        return None
    # The import takes a tenth of a second.
    from requests.utils import get_environ_proxies, select_proxy  # noqa: PLC0415

    address = (select_proxy(url, get_environ_proxies(url)) or "").strip()
    return _proxy_at(address) if address else None


def _proxy_at(address: str) -> Proxy:
    """Return the proxy at an address. Messages do not show it, since it may hold a password.

    Raises:
        ConfigError: It is malformed, or not that of an HTTP proxy.
    """
    address = address if "://" in address else f"http://{address}"
    origin = UrlOrigin.of(address)
    if origin is not None and origin.scheme.startswith("socks"):
        msg = "SOCKS proxies are not supported; set HTTPS_PROXY to the URL of an HTTP proxy"
        raise ConfigError(msg)
    if origin is None or origin.scheme not in {"http", "https"}:
        msg = (
            "HTTP_PROXY, HTTPS_PROXY or ALL_PROXY is malformed;"
            " set it to a URL such as http://host:3128"
        )
        raise ConfigError(msg)
    parts = urlsplit(address)
    if parts.username is None:
        return Proxy(origin)
    password = unquote(parts.password or "")
    credentials = b64encode(f"{unquote(parts.username)}:{password}".encode()).decode()
    return Proxy(origin, f"Basic {credentials}")
