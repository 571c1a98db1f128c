"""What a request requires of a route, read off its messages and fields."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from inference_providers.types import Needs
from langchain_autoprovider.protocols.table import PROTOCOLS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from langchain_core.messages import BaseMessage

__all__ = ["needs_of", "vendors_own"]

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
_FUNCTIONS = ("name", "toolSpec")
"""What the only field of a function may be, in OpenAI's form and in Bedrock's."""

_ANTHROPICS = re.compile(r".*_20\d{6}|mcp_toolset")


def needs_of(messages: Iterable[BaseMessage], fields: Mapping[str, Any]) -> Needs:
    """Return what a route must offer to be asked this."""
    kinds = {"text"}
    ruled_out_protocols: set[tuple[str, str]] = set()
    tools = fields.get("tools") or ()
    chars = sum(len(str(tool)) for tool in tools)
    for tool in tools:
        ruled_out_protocols.update(_foreign(tool))
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
                ruled_out_protocols.update(_linked(block))
    return Needs(
        tools=bool(tools),
        structured="response_format" in fields,
        structured_or_tools="shape" in fields,
        input=frozenset(kinds),
        context=chars // CHARS_PER_TOKEN,
        ruled_out_protocols=tuple(sorted(ruled_out_protocols)),
    )


def vendors_own(tool: Any) -> str | None:
    """Name the kind of a tool that its vendor carries out itself; a function has none."""
    if not isinstance(tool, dict) or "input_schema" in tool:
        return None
    if "type" not in tool and len(tool) == 1 and tool.keys().isdisjoint(_FUNCTIONS):
        return str(next(iter(tool)))  # Gemini's: {"google_search": {}}
    kind = tool.get("type", "function")
    return None if kind in {"function", "object"} else str(kind)  # a tool, or a JSON schema


def _foreign(tool: Any) -> Iterator[tuple[str, str]]:
    if (kind := vendors_own(tool)) is None:
        return
    vendor = "anthropic" if _ANTHROPICS.fullmatch(kind) else "openai"
    vendor = "google" if kind in tool else vendor
    for name, protocol in PROTOCOLS.items():
        if protocol.builtin_tools != vendor:
            yield name, f"its protocol {name!r} has no tool {kind!r}; give a function"


def _linked(block: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    kind = str(block.get("type"))
    if "url" in block:
        for name, protocol in PROTOCOLS.items():
            if kind in protocol.no_urls_for:
                yield name, f"its protocol {name!r} takes no {kind} by URL; give its bytes"


def _kind(block: Mapping[str, Any]) -> set[str]:
    kind = str(block.get("type"))
    if kind in _DOCUMENTS:
        said = f"{block.get('mime_type', '')} {block.get('media_type', '')} {block.get('file', '')}"
        return {"pdf"} if "pdf" in said else set()
    return {_KINDS[kind]} if kind in _KINDS else set()
