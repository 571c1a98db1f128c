"""The content of one message, converted to what a route accepts.

* LangChain's standard blocks are sent unchanged: every protocol's class understands them.
* Blocks in a vendor's form become LangChain's, unless the route accepts that form. Nothing is
  downloaded: a URL stays a URL.
* Prompt-cache markers are removed where the route does not accept them.
* An answer from another provider is reduced to its text and its tool calls. Its reasoning is
  kept only for routes that require it. Signatures, ids of stored items, citations, media and
  calls of the provider's built-in tools are dropped: only their provider can read them.
* Messages are never modified. A message that needs no change is returned as it is.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, TypeGuard

from langchain_core.messages import AIMessage, HumanMessage, ToolCall, ToolMessage
from langchain_core.messages.content import is_data_content_block

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from langchain_core.messages import BaseMessage

    from langchain_autoprovider.messages.message_format import MessageFormat

__all__ = ["adapt_content", "adapt_tool_result", "split_tool_results", "strip_provider_content"]

Block = dict[str, Any]

NO_REASONING = " "
"""The reasoning sent for an answer that has none; some providers reject an empty string."""

_KEPT_KWARGS = ("function_call", "prefix")
"""Fields of `additional_kwargs` to keep: the function call of older LangChain versions, and
Mistral's flag on an answer that the model should continue."""


def adapt_content(content: str | list[Any], accepted: MessageFormat) -> str | list[Any]:
    """Return the content of a user or system message in blocks that the route accepts."""
    if isinstance(content, str):
        return content
    adapted = [_adapt_block(block, accepted) for block in content]
    return content if adapted == content else adapted


def split_tool_results(message: BaseMessage) -> Iterator[BaseMessage]:
    """Yield the tool results inside a user message as `ToolMessage`s, then the rest of it.

    Anthropic's API puts tool results into user messages; LangChain has a message for them.
    """
    has_results = (
        isinstance(message, HumanMessage)
        and isinstance(message.content, list)
        and any(map(_is_tool_result, message.content))
    )
    if not has_results:
        yield message
        return
    for block in filter(_is_tool_result, message.content):
        yield _as_tool_message(block)
    if rest := [block for block in message.content if not _is_tool_result(block)]:
        yield message.model_copy(update={"content": rest})


def adapt_tool_result(
    message: ToolMessage, accepted: MessageFormat
) -> tuple[ToolMessage, list[Block]]:
    """Return a tool result that the route accepts, and the blocks it cannot contain.

    The caller attaches those blocks, such as images where only text is accepted, to a user message.
    """
    if isinstance(message.content, str):
        return message, []
    blocks: list[Any] = [
        _unknown_as_text(_adapt_block(block, accepted), accepted) for block in message.content
    ]
    if accepted.tool_results == "text":
        text = "\n".join(block["text"] for block in blocks if block["type"] == "text")
        attachments = [block for block in blocks if block["type"] != "text"]
        return message.model_copy(update={"content": text}), attachments
    if blocks == message.content:
        return message, []
    return message.model_copy(update={"content": blocks}), []


def strip_provider_content(message: AIMessage, accepted: MessageFormat) -> AIMessage:
    """Reduce an answer to its text and its tool calls, which every route accepts.

    A tool call whose arguments cannot be parsed becomes one without arguments.
    """
    calls = list(_tool_calls(message))
    kwargs: dict[str, Any] = {}
    if accepted.replay_reasoning:
        reasoning = _reasoning_text(message) or (NO_REASONING if calls else "")
        if reasoning:
            kwargs["reasoning_content"] = reasoning
    if not calls:
        kept = message.additional_kwargs
        kwargs.update({name: kept[name] for name in _KEPT_KWARGS if name in kept})
    stripped = AIMessage(
        "".join(_answer_texts(message)),
        tool_calls=calls,
        additional_kwargs=kwargs,
        name=message.name,
        id=message.id,
    )
    return message if stripped == message else stripped


def _is_tool_result(block: Any) -> TypeGuard[Block]:
    return isinstance(block, dict) and block.get("type") == "tool_result"


def _as_tool_message(block: Block) -> ToolMessage:
    content: Any = block.get("content") or ""
    if marker := block.get("cache_control"):
        parts = [{"type": "text", "text": content}] if isinstance(content, str) else content
        content = [*parts[:-1], {**parts[-1], "cache_control": marker}]
    return ToolMessage(
        content,
        tool_call_id=str(block.get("tool_use_id")),
        status="error" if block.get("is_error") else "success",
    )


def _adapt_block(block: Any, accepted: MessageFormat) -> Block:
    if isinstance(block, str):
        return {"type": "text", "text": block}
    kept: Block = block if accepted.cache_control else _without_cache_control(block)
    if kept.get("type") == "text":
        return _adapt_text_block(kept, accepted)
    if kept.get("type") in accepted.blocks:
        return kept
    standard = _as_standard_block(kept)
    if standard.get("type") == "text-plain" and not accepted.text_documents:
        return {"type": "text", "text": standard["text"]}
    return standard


def _adapt_text_block(block: Block, accepted: MessageFormat) -> Block:
    """Drop keys that the route does not accept, and `extras` without OpenAI's cache breakpoint."""
    kept = {key: value for key, value in block.items() if key in accepted.text_keys}
    if "prompt_cache_breakpoint" not in (kept.get("extras") or {}):
        kept.pop("extras", None)
    return kept


def _without_cache_control(block: Block) -> Block:
    kept = {key: value for key, value in block.items() if key != "cache_control"}
    if isinstance(extras := block.get("extras"), dict):
        kept["extras"] = {key: extras[key] for key in extras if key != "cache_control"}
    return kept


def _as_standard_block(block: Block) -> Block:
    """Return a block in LangChain's standard form, or itself if its type is unknown."""
    if is_data_content_block(block):
        return block
    convert = _VENDOR_BLOCKS.get(str(block.get("type")))
    converted = convert(block) if convert else block
    standard: Block = {**HumanMessage([converted]).content_blocks[0]}
    if standard["type"] == "non_standard":
        return block
    if str(standard.get("id")).startswith("lc_"):  # a random id would defeat the prompt cache
        del standard["id"]
    return standard


def _from_input_text(block: Block) -> Block:
    return {"type": "text", "text": block.get("text", "")}


def _from_input_image(block: Block) -> Block:
    return {"type": "image_url", "image_url": {"url": block.get("image_url")}}


def _from_input_file(block: Block) -> Block:
    if "file_url" in block:
        return {"type": "file", "url": block["file_url"]}
    return {"type": "file", "file": {key: block[key] for key in block if key != "type"}}


def _from_document_url(block: Block) -> Block:
    return {"type": "file", "url": block["document_url"]}


def _from_media(block: Block) -> Block:
    """Convert Gemini's file block; only its media type tells an image from a document."""
    media_type = str(block.get("mime_type", ""))
    kind = media_type.split("/", maxsplit=1)[0]
    source = {"base64": block["data"]} if "data" in block else {"url": block.get("file_uri")}
    return {
        "type": kind if kind in {"image", "audio", "video"} else "file",
        "mime_type": media_type,
        **source,
    }


_VENDOR_BLOCKS: Mapping[str, Callable[[Block], Block]] = {
    "input_text": _from_input_text,
    "input_image": _from_input_image,
    "input_file": _from_input_file,
    "document_url": _from_document_url,
    "media": _from_media,
    "file_data": _from_media,
}
"""Blocks that langchain-core cannot convert: those of OpenAI's responses, Mistral and Gemini."""


def _unknown_as_text(block: Block, accepted: MessageFormat) -> Block:
    """Convert a tool result's block to JSON text if the route does not know its type."""
    kind = block.get("type")
    is_known = kind == "text" or kind in accepted.blocks or is_data_content_block(block)
    return block if is_known else {"type": "text", "text": json.dumps(block, default=str)}


def _answer_texts(message: AIMessage) -> Iterator[str]:
    if isinstance(message.content, str):
        yield message.content or message.additional_kwargs.get("refusal") or ""
        return
    for block in message.content:
        if isinstance(block, str):
            yield block
        elif block.get("type") in {"text", "output_text", None}:
            yield str(block.get("text") or "")
        elif block.get("type") == "refusal":
            yield str(block.get("refusal") or "")


def _tool_calls(message: AIMessage) -> Iterator[ToolCall]:
    """Yield the tool calls of an answer, including those that are only in its content blocks."""
    ids = set()
    for call in message.tool_calls:
        ids.add(call["id"])
        yield ToolCall(name=call["name"], args=call["args"], id=call["id"], type="tool_call")
    for invalid in message.invalid_tool_calls:
        if invalid["name"]:
            ids.add(invalid["id"])
            yield ToolCall(name=invalid["name"], args={}, id=invalid["id"], type="tool_call")
    if isinstance(message.content, str):
        return
    for block in message.content:
        if not isinstance(block, dict) or block.get("type") != "tool_use" or block["id"] in ids:
            continue
        arguments = block.get("input")
        yield ToolCall(
            name=block["name"],
            args=arguments if isinstance(arguments, dict) else {},
            id=block["id"],
            type="tool_call",
        )


def _reasoning_text(message: AIMessage) -> str:
    """Return an answer's reasoning as far as its provider disclosed it."""
    if isinstance(text := message.additional_kwargs.get("reasoning_content"), str):
        return text
    return "\n\n".join(
        block["reasoning"]
        for block in message.content_blocks
        if block["type"] == "reasoning" and block.get("reasoning")
    )
