"""Transports that add the key to a request when its bytes are sent.

Vendors' SDKs and HTTP clients are created with `PLACEHOLDER` as their key, and put it in the header
that their protocol uses. The transport beneath them sends a copy of the request that has the key
instead. So what an SDK keeps of a request, such as `error.request`, never holds the key.

* The key goes to its own scheme, host and port only (`Key.value_for`).
* An error response is read whole, up to a limit, and its key is removed if the provider echoes it.
* The frames of exceptions from below are cleared, because their variables hold the header.
* The key and the status are recorded in the attempt's exchange.

Works with httpx and with its successor httpx2, which OpenAI's and Anthropic's SDKs use.
"""

from __future__ import annotations

import sys
from contextlib import aclosing, closing, suppress
from functools import cache
from typing import TYPE_CHECKING, Any, Self

import httpx

from inference_providers.scrubbing.exceptions import clear_frames
from inference_providers.wire.exchange import current_exchange
from inference_providers.wire.http.log_filter import hide_keys_in_logs, httpcore_loggers

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from inference_providers.credentials import Key

    KeySource = Key | Callable[[], Key | None] | None
    """A key, or a function that returns the one to send now; `None` if the endpoint needs none."""

__all__ = ["PLACEHOLDER", "add_key_on_send"]

PLACEHOLDER = "added-when-sent"
"""The key that SDKs are given. No request leaves with it."""
NO_KEY = "none"
"""Replaces the placeholder if the endpoint needs no key."""
MAX_ERROR_BODY_BYTES = 1 << 20

hide_keys_in_logs(*httpcore_loggers("httpcore"), *httpcore_loggers("httpcore2"))

_REPLACED_HEADERS = frozenset({"content-encoding", "content-length", "transfer-encoding"})
"""Headers that describe the bytes on the wire, not the decoded body."""


def add_key_on_send(client: Any, key: KeySource) -> None:
    """Make an httpx client, synchronous or not, add `key` to its requests when they are sent."""
    kind = _AsyncKeyTransport if hasattr(client, "aclose") else _KeyTransport
    client._transport = kind(client._transport, key)  # noqa: SLF001 - there is no public way
    mounts = client._mounts  # noqa: SLF001 - likewise
    for pattern, transport in mounts.items():
        if transport is not None:
            mounts[pattern] = kind(transport, key)


class _Cleaned:
    """Removes the key from exceptions that are raised inside, and clears their frames.

    A library may quote input that it cannot parse: `illegal header line: …`.
    """

    def __init__(self, key: Key | None) -> None:
        self._key = key

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        if error is not None:
            if self._key is not None:
                self._key.scrub_error(error)
            clear_frames(error)


class _Sender:
    """What the two transports share: they add the key to requests and remove it from responses."""

    def __init__(self, inner: Any, key: KeySource) -> None:
        self.inner = inner
        self._source = key

    def key(self) -> Key | None:
        """Return the key to send now."""
        return self._source() if callable(self._source) else self._source

    def with_key(self, request: Any, key: Key | None) -> Any:
        """Return a copy of `request` with the key where the placeholder is.

        Raises:
            KeyBindingError: The key does not belong to the request's origin.
        """
        value = NO_KEY if key is None else key.value_for(str(request.url))
        if key is not None and (exchange := current_exchange()) is not None:
            exchange.record_key(key)
        return type(request)(
            method=request.method,
            url=request.url,
            headers=[
                (name, content.replace(PLACEHOLDER.encode(), value.encode()))
                for name, content in request.headers.raw
            ],
            stream=request.stream,
            extensions=request.extensions,
        )

    def without_key(self, response: Any, key: Key | None) -> Any:
        """Record the status of `response`, and remove the key from its head."""
        if (exchange := current_exchange()) is not None:
            exchange.status = response.status_code
        raw = response.headers.raw
        reason = response.extensions.get("reason_phrase", b"")
        is_clean = response.is_success and (
            key is None or not key.is_in(b"\n".join((reason, *(value for _, value in raw))))
        )
        if key is not None and not is_clean:
            headers = [(name, key.scrub_bytes(value)) for name, value in raw]
            response.headers = type(response.headers)(headers)
            response.extensions["reason_phrase"] = key.scrub_bytes(reason)
        return response

    def with_body(self, response: Any, body: bytes, key: Key | None) -> Any:
        """Return an error response with this body, without the key."""
        return type(response)(
            response.status_code,
            headers=[
                (name, value)
                for name, value in response.headers.multi_items()
                if name not in _REPLACED_HEADERS
            ],
            content=body if key is None else key.scrub_bytes(body),
            extensions=response.extensions,
        )


class _KeyTransport(httpx.BaseTransport):
    """Sends requests with the key over a synchronous transport."""

    def __init__(self, inner: Any, key: KeySource) -> None:
        self._sender = _Sender(inner, key)

    def handle_request(self, request: Any) -> Any:
        """Send a copy of `request` with the key."""
        sender = self._sender
        key = sender.key()
        with _Cleaned(key):
            response = sender.inner.handle_request(sender.with_key(request, key))
        response = sender.without_key(response, key)
        response.stream = _stream_class(response, "SyncByteStream")(response.stream, key)
        return response if response.is_success else self._read_error(response, key)

    def _read_error(self, response: Any, key: Key | None) -> Any:
        body = bytearray()
        with suppress(Exception), closing(response):  # the status is known, body or not
            for part in response.iter_bytes():
                body += part
                if len(body) > MAX_ERROR_BODY_BYTES:
                    break
        return self._sender.with_body(response, bytes(body), key)

    def close(self) -> None:
        """Close the transport below."""
        self._sender.inner.close()


class _AsyncKeyTransport(httpx.AsyncBaseTransport):
    """Sends requests with the key over an asynchronous transport."""

    def __init__(self, inner: Any, key: KeySource) -> None:
        self._sender = _Sender(inner, key)

    async def handle_async_request(self, request: Any) -> Any:
        """Send a copy of `request` with the key."""
        sender = self._sender
        key = sender.key()
        with _Cleaned(key):
            response = await sender.inner.handle_async_request(sender.with_key(request, key))
        response = sender.without_key(response, key)
        response.stream = _stream_class(response, "AsyncByteStream")(response.stream, key)
        return response if response.is_success else await self._read_error(response, key)

    async def _read_error(self, response: Any, key: Key | None) -> Any:
        body = bytearray()
        with suppress(Exception):  # the status is known, body or not
            async with aclosing(response), aclosing(response.aiter_bytes()) as parts:
                async for part in parts:
                    body += part
                    if len(body) > MAX_ERROR_BODY_BYTES:
                        break
        return self._sender.with_body(response, bytes(body), key)

    async def aclose(self) -> None:
        """Close the transport below."""
        await self._sender.inner.aclose()


class _Stream:
    """A response's body. It removes the key from failures, and drops the request when closed."""

    def __init__(self, inner: Any, key: Key | None) -> None:
        self._inner = inner
        self._key = key

    def __iter__(self) -> Iterator[bytes]:
        with _Cleaned(self._key):
            yield from self._inner

    async def __aiter__(self) -> AsyncIterator[bytes]:
        with _Cleaned(self._key):
            async for part in self._inner:
                yield part

    def close(self) -> None:
        inner, self._inner = self._inner, ()
        if inner != ():
            with _Cleaned(self._key):
                inner.close()

    async def aclose(self) -> None:
        inner, self._inner = self._inner, ()
        if inner != ():
            with _Cleaned(self._key):
                await inner.aclose()


def _stream_class(response: Any, base: str) -> type[_Stream]:
    """Return a subclass of `_Stream` and of the base class in the library of `response`."""
    return _derived_stream(type(response).__module__.partition(".")[0], base)


@cache
def _derived_stream(library: str, base: str) -> type[_Stream]:
    return type("KeptStream", (_Stream, getattr(sys.modules[library], base)), {})
