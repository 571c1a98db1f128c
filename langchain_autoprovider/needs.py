"""What a request requires of a route, read off its messages and fields."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from inference_providers.routes import Needs

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from langchain_core.messages import BaseMessage

__all__ = ["needs_of"]

CHARS_PER_TOKEN = 6
"""English text has about four. A route is passed over only where the prompt is surely
too long for it; one that is nearly so is the provider's to judge."""

_KINDS = {
    "image": "image",
    "image_url": "image",
    "input_image": "image",
    "audio": "audio",
    "input_audio": "audio",
    "video": "video",
}
_DOCUMENTS = frozenset({"document", "file", "input_file"})
_NOT_BY_URL = {
    "audio": ("azure", "openai-chat", "openai-responses"),
    "file": ("azure", "openai-chat"),
}
"""Blocks that hold no more than a URL, and the protocols that have no words for it."""


def needs_of(messages: Iterable[BaseMessage], fields: Mapping[str, Any]) -> Needs:
    """Return what a route must offer to be asked this."""
    kinds = {"text"}
    linked: set[tuple[str, str]] = set()
    chars = sum(len(str(tool)) for tool in fields.get("tools") or ())
    for message in messages:
        if isinstance(message.content, str):
            chars += len(message.content)
            continue
        for block in message.content:
            if isinstance(block, str):
                chars += len(block)
            else:
                chars += len(str(block.get("text") or ""))
                kinds.update(_kind(block))
                linked.update(_linked(block))
    return Needs(
        tools=bool(fields.get("tools")),
        structured="response_format" in fields,
        shaped="shape" in fields,
        input=frozenset(kinds),
        context=chars // CHARS_PER_TOKEN,
        unsayable=tuple(sorted(linked)),
    )


def _linked(block: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    kind = str(block.get("type"))
    if "url" in block:
        for protocol in _NOT_BY_URL.get(kind, ()):
            yield protocol, f"its protocol {protocol!r} takes no {kind} by URL; give its bytes"


def _kind(block: Mapping[str, Any]) -> set[str]:
    kind = str(block.get("type"))
    if kind in _DOCUMENTS:
        said = f"{block.get('mime_type', '')} {block.get('media_type', '')} {block.get('file', '')}"
        return {"pdf"} if "pdf" in said else set()
    return {_KINDS[kind]} if kind in _KINDS else set()
