"""The asynchronous HTTP client of OpenAI's protocols, over aiohttp.

The rules of `client` apply here too. Each event loop has one session, and so its own
connections. aiohttp is imported in a thread, when the first request is sent.
"""

from __future__ import annotations

import asyncio
import inspect
import io
import math
import time
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from inference_providers.wire import json_codec
from inference_providers.wire.exchange import current_exchange
from inference_providers.wire.http.outgoing_request import OutgoingRequest
from inference_providers.wire.http.proxies import Proxy, proxy_for
from inference_providers.wire.http.request_target import (
    STATIC_HEADERS,
    RequestTarget,
    check_headers,
)
from inference_providers.wire.http.response_body import (
    DRAIN_S,
    ERROR_BODY_S,
    MAX_ERROR_BYTES,
    SUCCESSES,
    BodyDecoder,
    joined_headers,
    provider_error,
)
from inference_providers.wire.http.tls import tls_context
from inference_providers.wire.http.transport_errors import Limits, translated

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping

    import aiohttp

    from inference_providers.credentials import Key

    KeySource = Callable[[], Key | Awaitable[Key | None] | None] | Key | None

__all__ = ["AsyncHttpClient"]

_NO_HEADERS: Mapping[str, str] = MappingProxyType({})
_MAX_BYTES_AT_ONCE = 2**20
"""aiohttp warns about larger bodies that are passed as `bytes`, because it writes them at once."""


class AsyncHttpClient:
    """Sends JSON to one base URL. It may be shared by event loops.

    Args:
        base_url: The URL that paths are appended to.
        key: The key, sent as a bearer token, or a function that returns it for each request, which
            may be asynchronous. Without a key no `Authorization` header is sent.
        on_headers: Called with the headers of each successful response; names are in lower case.

    Raises:
        ConfigError: The base URL is malformed.
    """

    def __init__(
        self,
        base_url: str,
        key: KeySource,
        *,
        on_headers: Callable[[Mapping[str, str]], None] | None = None,
    ) -> None:
        self._target = RequestTarget(base_url)
        self._key = key
        self._on_headers = on_headers
        self._transport: _Transport | None = None

    async def post(
        self,
        path: str,
        payload: Any,
        *,
        timeout_s: float,
        headers: Mapping[str, str] = _NO_HEADERS,
        query: Mapping[str, Any] = _NO_HEADERS,
    ) -> bytes:
        """Send `payload` and return the body of the successful response.

        Args:
            path: The path below the base URL.
            payload: What is sent as JSON.
            timeout_s: Seconds that the server may be silent.
            headers: Further headers; they replace those of the client.
            query: Query parameters.

        Raises:
            ProviderError: The response is an error or a redirect.
            ProviderUnreachableError: There was no connection, or it broke.
            ProviderTimeoutError: The server was silent for too long.
            InvalidResponseError: The body is too large, or cannot be decompressed.
            ConfigError: A key, a proxy, a certificate or a header cannot be used.
        """
        response = await self._send(path, payload, timeout_s, headers, query)
        try:
            return await response.read_all()
        finally:
            response.close()

    async def stream(
        self,
        path: str,
        payload: Any,
        *,
        timeout_s: float,
        headers: Mapping[str, str] = _NO_HEADERS,
        query: Mapping[str, Any] = _NO_HEADERS,
    ) -> AsyncGenerator[bytes]:
        """Send `payload` and yield the body of the successful response as it arrives.

        Closing the iterator closes the connection, unless the response has ended. Once the answer
        is whole, `Exchange.expect_end` limits how long the rest may take.

        Args:
            path: As for `post`.
            payload: As for `post`.
            timeout_s: As for `post`.
            headers: As for `post`.
            query: As for `post`.

        Raises:
            ProviderError: The response is an error or a redirect.
            ProviderUnreachableError: There was no connection, or it broke.
            ProviderTimeoutError: The server was silent for too long.
            InvalidResponseError: The body is too large, or cannot be decompressed.
            ConfigError: A key, a proxy, a certificate or a header cannot be used.
        """
        response = await self._send(path, payload, timeout_s, headers, query)
        try:
            while data := await response.read():
                yield data
        finally:
            await response.drain()
            response.close()

    async def _send(
        self,
        path: str,
        payload: Any,
        timeout_s: float,
        headers: Mapping[str, str],
        query: Mapping[str, Any],
    ) -> _Response:
        key = self._key
        if callable(key):
            result = key()
            key = await result if inspect.isawaitable(result) else result
        body = json_codec.encode(payload)
        limits = Limits.of(timeout_s)
        try:
            with OutgoingRequest(key, self._target.base_url):
                raw = await self._open(path, query, body, limits, headers)
        except BaseException as error:  # noqa: BLE001 - it is raised below, without inner frames
            failure = _translated(error, self._target.host, limits)
        else:
            response = _Response(raw, self._target.host, limits, key)
            if raw.status in SUCCESSES:
                if self._on_headers is not None:
                    self._on_headers(response.headers)
                return response
            failure = await response.read_error()
        try:
            raise failure
        finally:
            del failure  # or the frame would keep itself alive

    async def _open(
        self,
        path: str,
        query: Mapping[str, Any],
        body: bytes,
        limits: Limits,
        headers: Mapping[str, str],
    ) -> aiohttp.ClientResponse:
        transport = self._transport
        if transport is None:
            base_url = self._target.url("")
            transport = self._transport = await asyncio.to_thread(_Transport, base_url)
        sessions = transport.sessions
        session = sessions.session_of_this_loop() or await sessions.new_session()
        response: aiohttp.ClientResponse = await session.post(
            sessions.parsed_url(self._target.url(self._target.path_and_query(path, query))),
            data=body if len(body) <= _MAX_BYTES_AT_ONCE else io.BytesIO(body),
            headers=_merged(transport.headers, headers) if headers else transport.headers,
            allow_redirects=False,
            proxy=transport.proxy_url,
            proxy_headers=transport.proxy_headers,
            ssl=transport.tls or True,
            timeout=sessions.timeout_of(limits.connect_s, _watched_silence_s(limits)),
        )
        return response


class _Transport:
    """The proxy, the TLS settings and the sessions of one client.

    Creating one reads files and imports aiohttp.

    Args:
        base_url: The client's base URL.

    Raises:
        ConfigError: A proxy or a certificate cannot be used.
    """

    def __init__(self, base_url: str) -> None:
        from inference_providers.wire.http import loop_sessions  # noqa: PLC0415 - see the module

        self.sessions = loop_sessions
        self.headers = dict(STATIC_HEADERS)
        self.proxy_url: str | None = None
        self.proxy_headers: Mapping[str, str] | None = None
        proxy = proxy_for(base_url)
        is_encrypted = base_url.startswith("https:")
        if proxy is not None:
            self._use(proxy, is_encrypted=is_encrypted)
        needs_tls = is_encrypted or (proxy is not None and proxy.origin.scheme == "https")
        self.tls: ssl.SSLContext | None = tls_context() if needs_tls else None

    def _use(self, proxy: Proxy, *, is_encrypted: bool) -> None:
        self.proxy_url = proxy.url
        if is_encrypted:
            self.proxy_headers = proxy.headers
        else:  # the proxy reads the request itself
            self.headers |= proxy.headers


class _Response:
    """A response whose body is being read."""

    def __init__(
        self, raw: aiohttp.ClientResponse, host: str, limits: Limits, key: Key | None
    ) -> None:
        self._raw = raw
        self._host = host
        self._limits = limits
        self._key = key
        self._decoder: BodyDecoder | None = None
        self._has_ended = False
        self._has_failed = False
        if (exchange := current_exchange()) is not None:
            exchange.status = raw.status

    @property
    def headers(self) -> dict[str, str]:
        """The headers, names in lower case. Repeated ones are joined."""
        return joined_headers(list(self._raw.headers.items()))

    async def read_all(self) -> bytes:
        """Return the whole body.

        Raises:
            InferenceProvidersError: As for `AsyncHttpClient.post`.
        """
        parts = []
        while data := await self.read():
            parts.append(data)
        return b"".join(parts)

    async def read(self) -> bytes:
        """Return the next piece of the body; it is empty at the end.

        Raises:
            InferenceProvidersError: As for `AsyncHttpClient.post`.
        """
        exchange = current_exchange()
        try:
            if exchange is None or exchange.ends_at == math.inf:
                return await self._read()
            async with asyncio.timeout(exchange.ends_at - time.monotonic()):
                return await self._read()
        except BaseException as error:  # noqa: BLE001 - it is raised below, without inner frames
            self._has_failed = True
            failure = _translated(error, self._host, self._limits)
        try:
            raise failure
        finally:
            del failure

    async def read_error(self) -> BaseException:
        """Return the exception for an error response, and close it.

        The body may be incomplete: a failing provider may not send all of it.
        """
        body = b""
        try:
            async with asyncio.timeout(min(self._limits.silence_s, ERROR_BODY_S)):
                while len(body) < MAX_ERROR_BYTES and (data := await self._read()):
                    body += data
        except Exception:  # noqa: BLE001, S110 - the status is known and suffices
            pass
        except BaseException as error:  # noqa: BLE001 - cancellation
            return _translated(error, self._host, self._limits)
        finally:
            self.close()
        scrub = self._key.scrub if self._key is not None else str
        return provider_error(self._raw.status, self.headers, body[:MAX_ERROR_BYTES], scrub)

    async def drain(self) -> None:
        """Read the rest of a complete answer if it is there, so the connection can be reused."""
        exchange = current_exchange()
        if self._has_ended or self._has_failed or exchange is None or exchange.ends_at == math.inf:
            return
        try:
            async with asyncio.timeout(DRAIN_S):
                while await self._read():
                    pass
        except Exception:  # noqa: BLE001, S110 - the answer is whole
            pass

    def close(self) -> None:
        """Close the connection, unless the response has ended."""
        if self._has_ended:
            self._raw.release()
        else:
            self._raw.close()

    async def _read(self) -> bytes:
        if self._decoder is None:
            encodings = self._raw.headers.getall("Content-Encoding", ())
            self._decoder = BodyDecoder(",".join(encodings), host=self._host)
        while part := await self._next_part():
            if data := self._decoder.feed(part):
                return data
        self._decoder.end()
        self._has_ended = True
        return b""

    async def _next_part(self) -> bytes:
        try:
            return await self._raw.content.readany()
        except Exception:
            from inference_providers.wire.http.loop_sessions import unread_bytes  # noqa: PLC0415 - see there

            if part := unread_bytes(self._raw.content):
                return part  # the next call raises the same exception
            raise


def _watched_silence_s(limits: Limits) -> float | None:
    """Return how long aiohttp lets the server be silent; `None` if the attempt ends before.

    An attempt on an event loop keeps its deadline itself, and aiohttp would start two timers more.
    """
    exchange = current_exchange()
    if exchange is not None and exchange.deadline - time.monotonic() <= limits.silence_s:
        return None
    return limits.silence_s


def _merged(headers: Mapping[str, str], further: Mapping[str, str]) -> dict[str, str]:
    check_headers(further)
    replaced = {name.lower() for name in further}
    kept = {name: value for name, value in headers.items() if name.lower() not in replaced}
    return {**kept, **further}


def _translated(error: BaseException, host: str, limits: Limits) -> BaseException:
    """Return the exception to raise instead of one that passed through aiohttp."""
    from inference_providers.wire.http.loop_sessions import TRANSLATIONS  # noqa: PLC0415 - see there

    return translated(error, TRANSLATIONS, host, limits)
