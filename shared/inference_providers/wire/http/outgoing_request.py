"""The request that is being sent, whose key is added when its head is written.

A client publishes the request in a context variable. The code that writes the bytes, below the
HTTP library, takes the key from there, so no object of the library holds it.
"""

from __future__ import annotations

import secrets
from contextvars import ContextVar
from typing import TYPE_CHECKING, Self

from inference_providers.wire.exchange import current_exchange

if TYPE_CHECKING:
    from contextvars import Token

    from inference_providers.credentials import Key

__all__ = ["OUTGOING", "PLACEHOLDER", "OutgoingRequest"]

PLACEHOLDER = f"key-{secrets.token_hex(16)}".encode()
"""Stands for the key in the head of a request until the head is written. It is random, so no
prompt can contain it."""

OUTGOING: ContextVar[OutgoingRequest | None] = ContextVar("outgoing", default=None)
"""The request that is being sent in this context."""


class OutgoingRequest:
    """One request. Use it as a context manager around sending it.

    Args:
        key: Its key, if it has one.
        url: A URL of the origin that it goes to.
    """

    __slots__ = ("_head", "_is_sent", "_key", "_token", "_url", "_value")

    def __init__(self, key: Key | None, url: str) -> None:
        self._key = key
        self._url = url
        self._value: str | None = None
        self._head = b""
        self._is_sent = False
        self._token: Token[OutgoingRequest | None] | None = None

    def __enter__(self) -> Self:
        """Publish the request, and record its key.

        Raises:
            KeyBindingError: The request goes to an origin that the key does not belong to.
        """
        if (key := self._key) is not None:
            self._value = key.value_for(self._url)
            if (exchange := current_exchange()) is not None:
                exchange.record_key(key)
        self._token = OUTGOING.set(self)
        return self

    def __exit__(self, *_: object) -> None:
        self._value = None
        if self._token is not None:
            OUTGOING.reset(self._token)

    def take_key(self) -> str | None:
        """Return the key's value, and forget it; `None` without a key."""
        value, self._value = self._value, None
        return value

    def next_bytes(self, data: bytes) -> bytes:
        """Return the bytes to write now instead of `data`, which the HTTP library wants to write.

        The key is added to the head of the request. The head is held back until the body is
        written, so that both leave in one segment. A CONNECT to a proxy comes before it, and is
        passed on as it is.
        """
        if self._is_sent:
            return data
        if not self._head:
            if data.startswith(b"POST "):
                self._head, data = data, b""
            return data
        self._is_sent = True
        head, self._head = self._head, b""
        if (value := self.take_key()) is not None:
            head = head.replace(PLACEHOLDER, value.encode(), 1)
        return head + data
