"""What tells one conversation from another: its first messages."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from langchain_core.messages import BaseMessage

__all__ = ["conversation_of"]


def conversation_of(messages: Iterable[BaseMessage]) -> str:
    """Return a digest of the messages up to the first one of the user.

    Two conversations that begin alike are one: their prompts share what a provider caches.
    """
    digest = hashlib.blake2b(digest_size=16)
    for message in messages:
        digest.update(f"{message.type}\0{message.content}\0".encode(errors="replace"))
        if message.type == "human":
            break
    return digest.hexdigest()
