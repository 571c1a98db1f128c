"""The request that is being sent: its key joins it when its head is written.

A client announces the request in a context variable. The code that writes the bytes, which is
beneath the HTTP library, takes the key from there, so no object of the library holds it.
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
"""Takes the key's place in the head of a request until it is written. It is random, so that no
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
        """Announce the request, and record its key.

        Raises:
            KeyBindingError: The key does not belong to where the request goes.
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
        """Return what is written now for `data`, which the HTTP library wants to write.

        The head of the request gets its key. It waits for the body, so that both leave in one
        segment. A proxy's CONNECT, which comes first, is not the request.
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
