"""Where the requests of a client go, and the headers that they share."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode, urlsplit

from inference_providers.credentials import UrlOrigin
from inference_providers.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["STATIC_HEADERS", "RequestTarget", "check_headers"]

STATIC_HEADERS = {
    "Accept": "application/json",
    "Accept-Encoding": "gzip, deflate",
    "Content-Type": "application/json",
    "User-Agent": "autoprovider",
}
"""Headers of every request. Streams do not accept `text/event-stream` either: OpenAI's own client
does not, and some gateways refuse it."""

_KEPT_CHARACTERS = "/%:@!$&'()*+,;=~"


_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_HEADER_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")


def check_headers(headers: Mapping[str, str]) -> None:
    """Refuse headers that are not valid HTTP.

    Raises:
        ConfigError: A name or a value contains a character that HTTP does not allow there.
    """
    for name, value in headers.items():
        if not _HEADER_NAME.fullmatch(name):
            msg = f"header name {name!r} must have letters, digits and '-' only"
            raise ConfigError(msg)
        if not _HEADER_VALUE.fullmatch(value):
            msg = f"the value of header {name!r} must be one line of Latin characters"
            raise ConfigError(msg)


class RequestTarget:
    """A parsed base URL.

    Args:
        base_url: An http or https URL. Its query is kept; a user name and a fragment are not.

    Attributes:
        base_url: As given.
        origin: Scheme, host and port.
        host: The value of the `Host` header, which messages use as well.

    Raises:
        ConfigError: It is not an http or https URL with a host.
    """

    def __init__(self, base_url: str) -> None:
        origin = UrlOrigin.of(base_url)
        if origin is None or origin.scheme not in {"http", "https"}:
            msg = f"base URL {base_url!r} must be an http or https URL with a host"
            raise ConfigError(msg)
        try:
            host = origin.host if origin.host.isascii() else origin.host.encode("idna").decode()
        except UnicodeError:
            msg = f"base URL {base_url!r} has an invalid host"
            raise ConfigError(msg) from None
        self.base_url = base_url
        self.origin = origin._replace(host=host)
        self.host = str(self.origin)
        parts = urlsplit(base_url)
        self._path = quote(parts.path.rstrip("/"), safe=_KEPT_CHARACTERS)
        self._query = parts.query
        self._targets: dict[str, str] = {}

    def path_and_query(self, path: str, query: Mapping[str, Any]) -> str:
        """Return the request target for a path below the base URL."""
        if query:
            return self._join(path, urlencode(list(_query_pairs(query))))
        if (target := self._targets.get(path)) is None:
            target = self._targets[path] = self._join(path, "")
        return target

    def url(self, path_and_query: str) -> str:
        """Return the whole URL of a request target."""
        return f"{self.origin.scheme}://{self.host}{path_and_query}"

    def _join(self, path: str, query: str) -> str:
        path, _, own_query = path.partition("?")
        queries = "&".join(part for part in (self._query, own_query, query) if part)
        target = self._path + quote(path, safe=_KEPT_CHARACTERS) or "/"
        return f"{target}?{queries}" if queries else target


def _query_pairs(query: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the parameters of a query in the spelling of OpenAI's SDK."""
    for name, value in query.items():
        if isinstance(value, dict):
            yield from _query_pairs({f"{name}[{key}]": part for key, part in value.items()})
        elif isinstance(value, list | tuple):
            yield from (pair for part in value for pair in _query_pairs({f"{name}[]": part}))
        elif isinstance(value, bool):
            yield name, str(value).lower()
        elif value is not None:
            yield name, str(value)
