"""Fingerprints that identify a conversation by its first messages."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from langchain_core.messages import BaseMessage

__all__ = ["conversation_fingerprint"]


def conversation_fingerprint(messages: Iterable[BaseMessage]) -> str:
    """Return a digest of the messages up to and including the first user message.

    Conversations with the same beginning share a fingerprint, as they share a prompt cache.
    """
    digest = hashlib.blake2b(digest_size=16)
    for message in messages:
        digest.update(f"{message.type}\0{message.content}\0".encode(errors="replace"))
        if message.type == "human":
            break
    return digest.hexdigest()
