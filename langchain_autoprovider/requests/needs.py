"""What a request needs from a route, determined from its messages and fields."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from inference_providers.types import Needs
from langchain_autoprovider.protocols.table import PROTOCOLS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from langchain_core.messages import BaseMessage

    from langchain_autoprovider.protocols.table import ToolVendor

__all__ = ["builtin_tool_name", "needs_of"]

MAX_CHARS_PER_TOKEN = 6
"""English text has about four characters per token. The estimate is low on purpose: a route is
skipped only if the prompt certainly exceeds its context window."""

_MEDIA_OF_BLOCK = {
    "image": "image",
    "image_url": "image",
    "input_image": "image",
    "audio": "audio",
    "input_audio": "audio",
    "video": "video",
}
_DOCUMENT_BLOCKS = frozenset({"document", "file", "input_file"})
_FUNCTION_KEYS = ("name", "toolSpec")
"""The only key of a function tool that has just one: OpenAI's and Bedrock's form."""

_ANTHROPIC_TOOL = re.compile(r".*_20\d{6}|mcp_toolset")
"""The types of Anthropic's built-in tools contain a date: `web_search_20250305`."""

_TEXT = frozenset({"text"})


def needs_of(messages: Iterable[BaseMessage], fields: Mapping[str, Any]) -> Needs:
    """Return what a route needs to serve these messages with these request fields."""
    chars = 0
    blocks: list[dict[str, Any]] = []
    for message in messages:
        content = message.content
        if isinstance(content, str):
            chars += len(content)
            continue
        for part in content:
            if isinstance(part, str):
                chars += len(part)
            else:
                chars += len(str(part.get("text") or ""))
                blocks.append(part)
    tools = fields.get("tools") or ()
    for tool in tools:
        chars += len(str(tool))
    return Needs(
        tools=bool(tools),
        structured="response_format" in fields,
        structured_or_tools="answer_schema" in fields,
        input=_TEXT.union(*map(_media_kinds, blocks)) if blocks else _TEXT,
        context=chars // MAX_CHARS_PER_TOKEN,
        ruled_out_protocols=_ruled_out_protocols(blocks, tools) if blocks or tools else (),
    )


def builtin_tool_name(tool: Any) -> str | None:
    """Return the name of a tool that the vendor runs itself, or `None` for a function."""
    if not isinstance(tool, dict) or "input_schema" in tool:
        return None
    if "type" not in tool and len(tool) == 1 and tool.keys().isdisjoint(_FUNCTION_KEYS):
        return str(next(iter(tool)))  # Gemini's form: {"google_search": {}}
    kind = tool.get("type", "function")
    return None if kind in {"function", "object"} else str(kind)  # "object" is a JSON schema


def _media_kinds(block: Mapping[str, Any]) -> frozenset[str]:
    """Return the kinds of media in a content block, as the registry names them."""
    kind = str(block.get("type"))
    if kind in _DOCUMENT_BLOCKS:
        return frozenset({"pdf"}) if _is_pdf(block) else frozenset()
    return frozenset({_MEDIA_OF_BLOCK[kind]}) if kind in _MEDIA_OF_BLOCK else frozenset()


def _is_pdf(block: Mapping[str, Any]) -> bool:
    """Whether a document block declares its data as a PDF; the data itself is not searched."""
    nested = [part for key in ("file", "source") if isinstance(part := block.get(key), dict)]
    for part in (block, *nested):
        declared = (part.get(key) for key in ("mime_type", "media_type", "filename", "format"))
        if any("pdf" in value.lower() for value in declared if isinstance(value, str)):
            return True
        data = part.get("file_data")
        if isinstance(data, str) and data.startswith("data:application/pdf"):
            return True
    return False


def _ruled_out_protocols(
    blocks: Iterable[Mapping[str, Any]], tools: Iterable[Any]
) -> tuple[tuple[str, str], ...]:
    """Return the protocols that cannot express the request, each with the reason."""
    ruled_out: set[tuple[str, str]] = set()
    for block in blocks:
        ruled_out.update(_protocols_without_url(block))
    for tool in tools:
        if name := builtin_tool_name(tool):
            ruled_out.update(_protocols_without_tool(name, _tool_vendor(name, tool)))
    return tuple(sorted(ruled_out))


def _protocols_without_url(block: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    if "url" not in block:
        return
    kind = str(block.get("type"))
    for name, protocol in PROTOCOLS.items():
        if kind in protocol.no_urls_for:
            yield name, f"its protocol {name!r} does not accept {kind} by URL; pass the bytes"


def _protocols_without_tool(tool_name: str, vendor: ToolVendor) -> Iterator[tuple[str, str]]:
    for name, protocol in PROTOCOLS.items():
        if protocol.builtin_tools != vendor:
            reason = (
                f"its protocol {name!r} has no built-in tool {tool_name!r}; pass a function tool"
            )
            yield name, reason


def _tool_vendor(tool_name: str, tool: Mapping[str, Any]) -> ToolVendor:
    if tool_name in tool:
        return "google"
    return "anthropic" if _ANTHROPIC_TOOL.fullmatch(tool_name) else "openai"
