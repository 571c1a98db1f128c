"""Both HTTP clients behind one synchronous interface, so that one table tests both."""

from __future__ import annotations

import asyncio
from contextlib import aclosing, closing
from typing import TYPE_CHECKING, Any

import pytest

from inference_providers.wire.http.async_client import AsyncHttpClient
from inference_providers.wire.http.client import HttpClient

if TYPE_CHECKING:
    from inference_providers.credentials import Key


class SyncFace:
    """The synchronous client."""

    name = "sync"

    def post(self, url: str, key: Key | None = None, *, path: str = "/x", **options: Any) -> bytes:
        payload, on_headers = options.pop("payload", {}), options.pop("on_headers", None)
        client = HttpClient(url, key, on_headers=on_headers)
        return client.post(path, payload, **{"timeout_s": 60.0, **options})

    def stream(
        self, url: str, key: Key | None = None, *, pieces: int = 10**9, **options: Any
    ) -> list[bytes]:
        """Return the first pieces of a stream."""
        received = []
        client = HttpClient(url, key)
        with closing(client.stream("/x", {}, **{"timeout_s": 60.0, **options})) as stream:
            for piece in stream:
                received.append(piece)
                if len(received) == pieces:
                    break
        return received


class AsyncFace:
    """The asynchronous client, in a loop of its own for each call."""

    name = "async"

    def post(self, url: str, key: Key | None = None, *, path: str = "/x", **options: Any) -> bytes:
        payload, on_headers = options.pop("payload", {}), options.pop("on_headers", None)
        client = AsyncHttpClient(url, key, on_headers=on_headers)
        return asyncio.run(client.post(path, payload, **{"timeout_s": 60.0, **options}))

    def stream(
        self, url: str, key: Key | None = None, *, pieces: int = 10**9, **options: Any
    ) -> list[bytes]:
        """Return the first pieces of a stream."""

        async def read() -> list[bytes]:
            received = []
            client = AsyncHttpClient(url, key)
            async with aclosing(
                client.stream("/x", {}, **{"timeout_s": 60.0, **options})
            ) as stream:
                async for piece in stream:
                    received.append(piece)
                    if len(received) == pieces:
                        break
            return received

        return asyncio.run(read())


@pytest.fixture(params=[SyncFace, AsyncFace], ids=lambda face: face.name)
def client(request: pytest.FixtureRequest) -> SyncFace | AsyncFace:
    return request.param()
