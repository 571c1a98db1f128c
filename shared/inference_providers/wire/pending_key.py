"""Keys join a request when its head is written, so no object of an HTTP library holds one.

A client announces the key of the request that it is about to send in a context variable. The code
that writes the bytes, which is below the HTTP library, takes it from there.
"""

from __future__ import annotations

import secrets
from contextvars import ContextVar
from typing import TYPE_CHECKING, Self

from inference_providers.wire.exchange import current_exchange

if TYPE_CHECKING:
    from contextvars import Token

    from inference_providers.credentials import Key

__all__ = ["PENDING_KEY", "PLACEHOLDER", "PendingKey"]

PLACEHOLDER = f"key-{secrets.token_hex(16)}".encode()
"""What stands for the key in the head of a request until it is written. It is random, so that no
prompt can contain it."""

PENDING_KEY: ContextVar[PendingKey | None] = ContextVar("pending_key", default=None)
"""The key of the request that is being sent in this context, if it has one."""


class PendingKey:
    """The key of one request. Use it as a context manager around sending the request.

    Args:
        key: The key.
        url: Where the request goes.

    Raises:
        KeyBindingError: The key does not belong to the URL's origin.
    """

    __slots__ = ("_is_sent", "_key", "_token", "_url")

    def __init__(self, key: Key, url: str) -> None:
        key.value_for(url)  # refuse before a connection is opened
        self._key = key
        self._url = url
        self._is_sent = False
        self._token: Token[PendingKey | None] | None = None

    def __enter__(self) -> Self:
        self._token = PENDING_KEY.set(self)
        return self

    def __exit__(self, *_: object) -> None:
        if self._token is not None:
            PENDING_KEY.reset(self._token)

    def take(self) -> str:
        """Return the key's value, and record that it is sent.

        Raises:
            KeyBindingError: The key does not belong to the URL's origin.
        """
        value = self._key.value_for(self._url)
        self._is_sent = True
        if (exchange := current_exchange()) is not None:
            exchange.record_key(self._key)
        return value

    def join(self, data: bytes) -> bytes:
        """Return `data` with the key instead of its placeholder.

        Only the first placeholder is replaced. Data without one, such as the head of a proxy's
        CONNECT, is returned as it is.
        """
        if self._is_sent or PLACEHOLDER not in data:
            return data
        return data.replace(PLACEHOLDER, self.take().encode(), 1)
