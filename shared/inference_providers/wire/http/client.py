"""The synchronous HTTP client of OpenAI's protocols, over httpcore.

* Redirects are not followed, and nothing is retried: failover decides what happens next.
* Each origin has its own pool of connections (see `connection_pools`), so a stalled provider cannot
  exhaust the connections of another.
* The key is added when the head of the request is written. No exception, traceback or object of
  httpcore holds it.
* Reads end at the attempt's deadline (`network_backend`).
"""

from __future__ import annotations

import math
import time
from contextlib import suppress
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import httpcore

from inference_providers.wire import json_codec
from inference_providers.wire.exchange import current_exchange
from inference_providers.wire.http.connection_limits import MAX_CONNECTIONS
from inference_providers.wire.http.connection_pools import OPEN_POOLS, PoolKey, open_pool
from inference_providers.wire.http.log_filter import hide_keys_in_logs, httpcore_loggers
from inference_providers.wire.http.outgoing_request import PLACEHOLDER, OutgoingRequest
from inference_providers.wire.http.proxies import proxy_for
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
from inference_providers.wire.http.transport_errors import (
    Limits,
    Translations,
    broken,
    connect_timeout,
    pool_exhausted,
    proxy_failed,
    reason_in,
    silent,
    translated,
    unconnected,
    unsendable,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Mapping

    from inference_providers.credentials import Key


__all__ = ["HttpClient"]

MAX_KEPT_URLS = 100
"""How many URLs each client caches: parsing one costs as much as sending a header."""

hide_keys_in_logs(*httpcore_loggers("httpcore"))

_READS_AND_WRITES = ("read", "write", "pool")
_NO_HEADERS: Mapping[str, str] = MappingProxyType({})


class HttpClient:
    """Sends JSON to one base URL. It may be shared by threads.

    Args:
        base_url: The URL that paths are appended to.
        key: The key, sent as a bearer token, or a function that returns it for each request.
            Without a key no `Authorization` header is sent.
        on_headers: Called with the headers of each successful response; names are in lower case.

    Raises:
        ConfigError: The base URL is malformed.
    """

    def __init__(
        self,
        base_url: str,
        key: Callable[[], Key | None] | Key | None,
        *,
        on_headers: Callable[[Mapping[str, str]], None] | None = None,
    ) -> None:
        self._target = RequestTarget(base_url)
        self._key = key
        self._on_headers = on_headers
        self._pool_key: PoolKey | None = None
        self._urls: dict[str, httpcore.URL] = {}
        self._head = [
            (name.encode(), value.encode())
            for name, value in {"Host": self._target.host, **STATIC_HEADERS}.items()
        ]

    def post(
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
        response = self._send(path, payload, timeout_s, headers, query)
        try:
            return response.read_all()
        finally:
            response.close()

    def stream(
        self,
        path: str,
        payload: Any,
        *,
        timeout_s: float,
        headers: Mapping[str, str] = _NO_HEADERS,
        query: Mapping[str, Any] = _NO_HEADERS,
    ) -> Generator[bytes]:
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
        response = self._send(path, payload, timeout_s, headers, query)
        try:
            while data := response.read():
                yield data
        finally:
            response.drain()
            response.close()

    def _send(
        self,
        path: str,
        payload: Any,
        timeout_s: float,
        headers: Mapping[str, str],
        query: Mapping[str, Any],
    ) -> _Response:
        key = self._key() if callable(self._key) else self._key
        body = json_codec.encode(payload)
        limits = Limits.of(timeout_s)
        timeouts = {"connect": limits.connect_s, **dict.fromkeys(_READS_AND_WRITES, timeout_s)}
        try:
            request = httpcore.Request(
                b"POST",
                (not query and self._urls.get(path)) or self._url_for(path, query),
                headers=self._headers(headers, len(body), has_key=key is not None),
                content=body,
                extensions={"timeout": timeouts},
            )
            pool_key = self._pool_key or self._choose_pool()
            with OutgoingRequest(key, self._target.base_url):
                raw = (OPEN_POOLS.get(pool_key) or open_pool(pool_key)).handle_request(request)
        except BaseException as error:  # noqa: BLE001 - it is raised below, without inner frames
            failure = translated(error, _TRANSLATIONS, self._target.host, limits)
        else:
            response = _Response(raw, self._target.host, limits, timeouts, key)
            if raw.status in SUCCESSES:
                if self._on_headers is not None:
                    self._on_headers(response.headers)
                return response
            failure = response.read_error()
        try:
            raise failure
        finally:
            del failure  # or the frame would keep itself alive

    def _choose_pool(self) -> PoolKey:
        """Look up the proxy when the first request is sent, and return the key of the pool."""
        self._pool_key = PoolKey(*self._target.origin, proxy_for(self._target.url("")))
        return self._pool_key

    def _url_for(self, path: str, query: Mapping[str, Any]) -> httpcore.URL:
        origin = self._target.origin
        url = httpcore.URL(
            scheme=origin.scheme.encode(),
            host=origin.host.encode(),
            port=origin.port,
            target=self._target.path_and_query(path, query).encode(),
        )
        if not query and len(self._urls) < MAX_KEPT_URLS:
            self._urls[path] = url
        return url

    def _headers(
        self, headers: Mapping[str, str], length: int, *, has_key: bool
    ) -> list[tuple[bytes, bytes]]:
        head = [*self._head, (b"Content-Length", b"%d" % length)]
        if has_key:
            head.append((b"Authorization", b"Bearer " + PLACEHOLDER))
        if headers:
            check_headers(headers)
            replaced = {name.lower().encode() for name in headers}
            head = [item for item in head if item[0].lower() not in replaced]
            head += [(name.encode(), value.encode()) for name, value in headers.items()]
        return head


class _Response:
    """A response whose body is being read."""

    def __init__(
        self,
        raw: httpcore.Response,
        host: str,
        limits: Limits,
        timeouts: dict[str, float],
        key: Key | None,
    ) -> None:
        self._raw = raw
        self._host = host
        self._limits = limits
        self._timeouts = timeouts
        self._key = key
        self._parts: Iterator[bytes] = iter(raw.iter_stream())
        self._decoder: BodyDecoder | None = None
        self._has_ended = False
        self.headers = joined_headers(
            [
                (name.decode("latin-1"), value.decode("utf-8", "replace"))
                for name, value in raw.headers
            ]
        )
        if (exchange := current_exchange()) is not None:
            exchange.status = raw.status

    def read_all(self) -> bytes:
        """Return the whole body.

        Raises:
            InferenceProvidersError: As for `HttpClient.post`.
        """
        parts = []
        while data := self.read():
            parts.append(data)
        return b"".join(parts)

    def read(self) -> bytes:
        """Return the next piece of the body; it is empty at the end.

        Raises:
            InferenceProvidersError: As for `HttpClient.post`.
        """
        try:
            return self._read()
        except BaseException as error:  # noqa: BLE001 - it is raised below, without inner frames
            self._has_ended = True
            failure = translated(error, _TRANSLATIONS, self._host, self._limits)
        try:
            raise failure
        finally:
            del failure

    def read_error(self) -> BaseException:
        """Return the exception for an error response, and close it.

        The body may be incomplete: a failing provider may not send all of it.
        """
        self._timeouts["read"] = min(self._timeouts["read"], ERROR_BODY_S)
        ends_at = time.monotonic() + self._timeouts["read"]
        body = b""
        try:
            while len(body) < MAX_ERROR_BYTES and time.monotonic() < ends_at:
                if not (data := self._read()):
                    break
                body += data
        except Exception:  # noqa: BLE001, S110 - the status is known and suffices
            pass
        except BaseException as error:  # noqa: BLE001 - Ctrl-C
            return translated(error, _TRANSLATIONS, self._host, self._limits)
        finally:
            self.close()
        scrub = self._key.scrub if self._key is not None else str
        return provider_error(self._raw.status, self.headers, body[:MAX_ERROR_BYTES], scrub)

    def drain(self) -> None:
        """Read the rest of a complete answer if it is there, so the connection can be reused."""
        exchange = current_exchange()
        if self._has_ended or exchange is None or exchange.ends_at == math.inf:
            return
        exchange.expect_end(DRAIN_S)
        with suppress(Exception):  # the answer is whole
            while self._read():
                pass

    def close(self) -> None:
        """Return the connection to the pool if the response has ended; otherwise close it."""
        self._raw.close()

    def _read(self) -> bytes:
        if self._decoder is None:
            self._decoder = BodyDecoder(self.headers.get("content-encoding", ""), host=self._host)
        for part in self._parts:
            if data := self._decoder.feed(part):
                return data
        self._decoder.end()
        self._has_ended = True
        return b""


_TRANSLATIONS: Translations = (
    (httpcore.ConnectTimeout, lambda _, host, limits: connect_timeout(host, limits)),
    (httpcore.PoolTimeout, lambda _, host, __: pool_exhausted(host, MAX_CONNECTIONS)),
    (httpcore.TimeoutException, lambda _, host, limits: silent(host, limits)),
    (httpcore.ProxyError, lambda error, host, _: proxy_failed(host, reason_in(error))),
    (httpcore.ConnectError, lambda error, host, _: unconnected(host, reason_in(error))),
    (httpcore.NetworkError, lambda error, host, _: broken(host, reason_in(error))),
    (httpcore.RemoteProtocolError, lambda error, host, _: broken(host, reason_in(error))),
    (httpcore.LocalProtocolError, lambda error, host, _: unsendable(host, reason_in(error))),
)
