"""Size limits, decompression and error messages for the responses of both HTTP clients."""

from __future__ import annotations

import re
import zlib
from typing import TYPE_CHECKING, Any

from inference_providers.errors import InvalidResponseError, ProviderError, one_line
from inference_providers.wire.json_codec import decode
from inference_providers.wire.reported_errors import error_text

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping

__all__ = [
    "DRAIN_S",
    "ERROR_BODY_S",
    "MAX_BODY_BYTES",
    "MAX_ERROR_BYTES",
    "SUCCESSES",
    "BodyDecoder",
    "joined_headers",
    "provider_error",
]

MAX_BODY_BYTES = 256 * 1024 * 1024
"""The largest body of a response, after decompression. Base64 images are the largest answers."""

MAX_ERROR_BYTES = 256 * 1024
"""How much of an error response is read. The rest is ignored."""

ERROR_BODY_S = 5.0
"""How long the body of an error response may take. The status alone is enough to move on."""

SUCCESSES = range(200, 300)
"""The statuses of successful responses."""

DRAIN_S = 0.05
"""How long to wait for the end of a response whose answer is complete, to reuse its connection."""

_MAX_MESSAGE_CHARS = 500
_MAX_PART_BYTES = 1024 * 1024
"""How much one piece of compressed data may expand to before the limit is checked again."""

_ENCODINGS = frozenset({"gzip", "x-gzip", "deflate"})

_HTML_TITLE = re.compile(r"<title[^>]*>(.*?)</title>", re.IGNORECASE | re.DOTALL)


def joined_headers(pairs: Collection[tuple[str, str]]) -> dict[str, str]:
    """Return headers by their names in lower case; the values of a repeated one are joined."""
    headers = {name.lower(): value for name, value in pairs}
    if len(headers) < len(pairs):
        headers.clear()
        for name, value in pairs:
            before = headers.get(name.lower())
            headers[name.lower()] = value if before is None else f"{before}, {value}"
    return headers


class BodyDecoder:
    """Decompresses a body piece by piece and limits its size.

    Args:
        encoding: The `Content-Encoding` header.
        host: Where the response came from, for messages.

    Raises:
        InvalidResponseError: The encoding is unknown.
    """

    def __init__(self, encoding: str, *, host: str) -> None:
        self._host = host
        self._size = 0
        self._has_data = False
        self._head = b""
        self._is_deflate = False
        self._is_gzip = False
        self._zlib: Any = None
        if encoding:
            self._choose(encoding)

    def _choose(self, encoding: str) -> None:
        names = {name for name in encoding.lower().replace(" ", "").split(",") if name}
        encodings = names - {"identity"}
        if len(encodings) > 1 or encoding.count(",") >= len(names) or not encodings <= _ENCODINGS:
            msg = f"{self._host} sent a body in the encoding {encoding!r}, which was not requested"
            raise InvalidResponseError(one_line(msg))
        if encodings:
            self._is_deflate = encodings == {"deflate"}
            self._is_gzip = not self._is_deflate
            self._zlib = zlib.decompressobj(zlib.MAX_WBITS | 32)

    def feed(self, data: bytes) -> bytes:
        """Return the content of the next piece of the body.

        Raises:
            InvalidResponseError: It cannot be decompressed, or the body is too large.
        """
        if self._zlib is not None:
            self._has_data = True
            return b"".join(self._decompressed(data))
        self._size += len(data)
        if self._size > MAX_BODY_BYTES:
            raise self._too_large()
        return data

    def end(self) -> None:
        """Record the end of the body.

        Raises:
            InvalidResponseError: The compressed data is cut short.
        """
        if self._zlib is not None and not self._zlib.eof and self._has_data:
            msg = f"{self._host} sent compressed data that is cut short"
            raise InvalidResponseError(msg)

    def _too_large(self) -> InvalidResponseError:
        msg = f"{self._host} sent a body of more than {MAX_BODY_BYTES:,} bytes"
        return InvalidResponseError(msg)

    def _decompressed(self, data: bytes) -> Iterator[bytes]:
        try:
            while data:
                if self._zlib.eof and not (data := self._next_member(data)):
                    return
                part = self._start(data) if self._is_deflate else self._inflate(data)
                while part or self._zlib.unconsumed_tail:
                    self._size += len(part)
                    if self._size > MAX_BODY_BYTES:
                        raise self._too_large()
                    yield part
                    part = self._inflate(self._zlib.unconsumed_tail)
                data = self._zlib.unused_data
        except zlib.error as error:
            msg = f"{self._host} sent compressed data that is damaged: {error}"
            raise InvalidResponseError(msg) from None

    def _next_member(self, data: bytes) -> bytes:
        """Begin the next member of a gzip body; return its data.

        Raises:
            InvalidResponseError: What follows the compressed data is neither that nor padding.
        """
        data = data.lstrip(b"\0")
        if data and not self._is_gzip:
            msg = f"{self._host} sent data after the end of the compressed data"
            raise InvalidResponseError(msg)
        if data:
            self._zlib = zlib.decompressobj(zlib.MAX_WBITS | 32)
        return data

    def _inflate(self, data: bytes) -> bytes:
        part: bytes = self._zlib.decompress(data, _MAX_PART_BYTES) if data else b""
        return part

    def _start(self, data: bytes) -> bytes:
        """Decompress the first bytes of `deflate`, which some servers send without a header."""
        self._head += data
        if len(self._head) < 2:  # noqa: PLR2004 - zlib's header has two bytes
            return b""
        self._is_deflate = False
        first, second = self._head[:2]
        has_head = first & 0x0F == zlib.DEFLATED and (first << 8 | second) % 31 == 0
        self._zlib = zlib.decompressobj(zlib.MAX_WBITS if has_head else -zlib.MAX_WBITS)
        return self._inflate(self._head)


def provider_error(
    status: int, headers: Mapping[str, str], data: bytes, scrub: Callable[[str], str]
) -> ProviderError:
    """Return the exception for an error response.

    Args:
        status: The HTTP status.
        headers: The response's headers, names in lower case.
        data: The body, or its beginning.
        scrub: Removes the key that was sent from a text.
    """
    text = scrub(data.decode("utf-8", "replace"))
    try:
        body: Any = decode(text.encode())
    except ValueError:
        body = text
    body = _scrubbed(body, scrub)
    message = f"HTTP {status}{_explanation(status, headers, body)}"
    return ProviderError(
        scrub(message),
        status_code=status,
        headers={name: scrub(value) for name, value in headers.items()},
        body=body or None,
    )


def _explanation(status: int, headers: Mapping[str, str], body: Any) -> str:
    """Return the part of a message that follows the status."""
    if 300 <= status < 400:  # noqa: PLR2004 - the definition
        target = one_line(headers.get("location", ""))[:_MAX_MESSAGE_CHARS]
        return f": redirect to {target!r}; set the base URL to where it leads"
    words = one_line(" ".join(_message_in(body).split()))
    return f": {words[:_MAX_MESSAGE_CHARS]}" if words else " without a message"


def _message_in(body: Any) -> str:
    """Return the provider's own message in the body of an error response, in one line."""
    text = error_text(body)
    if text.lstrip().startswith("<") and (title := _HTML_TITLE.search(text)):
        return title[1]
    return next((line for line in text.splitlines() if line.strip()), "")


def _scrubbed(body: Any, scrub: Callable[[str], str]) -> Any:
    """Return a decoded body with all its texts scrubbed; JSON can spell a text in many ways."""
    root = [body]
    pending: list[Any] = [root]
    while pending:  # not a recursion: a body may be nested as deeply as the server likes
        container = pending.pop()
        items: list[tuple[Any, Any]]
        if isinstance(container, dict):
            items = [(scrub(key), value) for key, value in container.items()]
            container.clear()
        else:
            items = list(enumerate(container))
        for key, value in items:
            container[key] = scrub(value) if isinstance(value, str) else value
            if isinstance(value, dict | list):
                pending.append(value)
    return root[0]
