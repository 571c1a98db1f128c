"""LlamaIndex's content blocks ↔ the content of a LangChain message.

* Files are read when a block is converted, so a block with a path comes back with bytes.
  A URL is passed on as it is; nothing is downloaded.
* A cache point becomes `cache_control` on the block before it.
* What a provider attaches to reasoning, such as a signature, is kept word for word.
* A block without an equivalent on the other side is an error; nothing is dropped silently. But an
  answer is never refused because of one part: `answer_blocks` returns such parts separately.
"""

from __future__ import annotations

import base64
import mimetypes
from typing import TYPE_CHECKING, Any, cast

import filetype  # type: ignore[import-untyped]  # a dependency of LlamaIndex
from langchain_core.messages import HumanMessage
from llama_index.core.base.llms.types import (
    AudioBlock,
    BaseContentBlock,
    CacheControl,
    CachePoint,
    DocumentBlock,
    ImageBlock,
    TextBlock,
    ThinkingBlock,
    VideoBlock,
)

from inference_providers.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    Content = str | list[str | dict[str, Any]]

__all__ = ["REASONING_TYPES", "answer_blocks", "to_blocks", "to_content"]

REASONING_TYPES = frozenset({"thinking", "redacted_thinking", "reasoning", "reasoning_content"})
"""Types of LangChain's content blocks that hold a model's reasoning."""

_TOOL_CALL_TYPES = frozenset(
    {"tool_use", "function_call", "tool_call", "tool_call_chunk", "input_json_delta"}
)
"""Types of content blocks that repeat a message's `tool_calls`."""

_TEXT_TYPES = frozenset({"text", "output_text"})
_DEFAULT_TTL = "5m"
_NOT_REASONING_KEYS = frozenset({"cache_control", "index", "type"})


def to_content(blocks: Sequence[BaseContentBlock]) -> Content:
    """Return blocks as the content of a LangChain message; a single text becomes a string.

    Raises:
        ConfigError: A block has no equivalent in LangChain, or is empty.
        OSError: A block's file cannot be read.
    """
    match blocks:
        case []:
            return ""
        case [TextBlock(text=text)]:
            return text
    content: list[str | dict[str, Any]] = []
    for block in blocks:
        if isinstance(block, CachePoint):
            _add_cache_control(content, block.cache_control)
        else:
            content.append(_to_langchain_block(block))
    return content


def to_blocks(content: str | list[Any]) -> Iterator[BaseContentBlock]:
    """Yield the blocks of a LangChain message's content, without tool calls.

    Raises:
        ConfigError: A part of the content has no equivalent in LlamaIndex.
    """
    for part in [content] if isinstance(content, str) else content:
        yield from _blocks_of(part)


def answer_blocks(content: str | list[Any]) -> tuple[list[BaseContentBlock], list[Any]]:
    """Return the blocks of an answer, and the parts that LlamaIndex has no block for.

    A server may send anything as a part, so a part whose conversion fails counts as such.
    """
    blocks: list[BaseContentBlock] = []
    others: list[Any] = []
    for part in [content] if isinstance(content, str) else content:
        try:
            blocks += _blocks_of(part)
        except Exception:  # noqa: BLE001 - LangChain and pydantic document no errors
            others.append(part)
    return blocks, others


def _blocks_of(part: str | dict[str, Any]) -> list[BaseContentBlock]:
    """Return a part of a LangChain message's content as blocks; tool calls are left out.

    Raises:
        ConfigError: The part has no equivalent in LlamaIndex.
    """
    block: dict[str, Any] = {"type": "text", "text": part} if isinstance(part, str) else part
    kind = block.get("type")
    if kind in _TOOL_CALL_TYPES:
        return []
    blocks: list[BaseContentBlock]
    if kind in _TEXT_TYPES:
        blocks = [TextBlock(text=block.get("text") or "")]
    elif kind == "refusal":
        blocks = [TextBlock(text=block.get("refusal") or "")]
    elif kind in REASONING_TYPES:
        blocks = [_to_thinking_block(block)]
    else:
        blocks = [_to_media_block(block)]
    if control := block.get("cache_control"):
        blocks.append(CachePoint(cache_control=CacheControl(**control)))
    return blocks


# LlamaIndex → LangChain


def _to_langchain_block(block: BaseContentBlock) -> dict[str, Any]:
    convert = _CONVERTERS.get(type(block))
    if convert is None:
        name = type(block).__name__
        msg = f"{name} cannot be sent through autoprovider; pass its content as a TextBlock"
        raise ConfigError(msg)
    return convert(block)


def _add_cache_control(content: list[str | dict[str, Any]], control: CacheControl) -> None:
    previous = content[-1] if content else None
    if not isinstance(previous, dict) or "cache_control" in previous:
        msg = "A CachePoint must directly follow the block it caches; this one follows nothing"
        raise ConfigError(msg)
    ttl = {} if control.ttl == _DEFAULT_TTL else {"ttl": control.ttl}
    previous["cache_control"] = {"type": control.type, **ttl}


def _from_text(block: TextBlock) -> dict[str, Any]:
    return {"type": "text", "text": block.text}


def _from_image(block: ImageBlock) -> dict[str, Any]:
    has_data = block.image is not None or block.path is not None
    source = _data_source(block, block.resolve_image if has_data else None, block.image_mimetype)
    if block.detail is None:
        return {"type": "image", **source}
    url = source.get("url") or f"data:{source['mime_type']};base64,{source['base64']}"
    return {"type": "image_url", "image_url": {"url": url, "detail": block.detail}}


def _from_audio(block: AudioBlock) -> dict[str, Any]:
    has_data = block.audio is not None or block.path is not None
    # OpenAI's protocol takes the format from the second half of the MIME type.
    mime_type = f"audio/{block.format}" if block.format else None
    source = _data_source(block, block.resolve_audio if has_data else None, mime_type)
    return {"type": "audio", **source}


def _from_video(block: VideoBlock) -> dict[str, Any]:
    has_data = block.video is not None or block.path is not None
    source = _data_source(block, block.resolve_video if has_data else None, block.video_mimetype)
    options = {"detail": block.detail, "fps": block.fps}
    extras = {name: value for name, value in options.items() if value is not None}
    return {"type": "video", **source, **({"extras": extras} if extras else {})}


def _from_document(block: DocumentBlock) -> dict[str, Any]:
    has_data = block.data is not None or block.path is not None
    resolve = block.resolve_document if has_data else None
    source = _data_source(block, resolve, block.document_mimetype)
    return {"type": "file", **source, "filename": block.title}


def _from_thinking(block: ThinkingBlock) -> dict[str, Any]:
    info = block.additional_information
    if info.get("type", "thinking") == "thinking" and ("type" in info or "signature" in info):
        return {"type": "thinking", "thinking": block.content or "", **info}
    if "type" in info:  # the provider's own block, kept by `_to_thinking_block`
        return dict(info)
    return {"type": "reasoning", "reasoning": block.content or "", **info}


_CONVERTERS: dict[type[BaseContentBlock], Callable[[Any], dict[str, Any]]] = {
    AudioBlock: _from_audio,
    DocumentBlock: _from_document,
    ImageBlock: _from_image,
    TextBlock: _from_text,
    ThinkingBlock: _from_thinking,
    VideoBlock: _from_video,
}


def _data_source(
    block: AudioBlock | DocumentBlock | ImageBlock | VideoBlock,
    resolve: Callable[[], Any] | None,
    mime_type: str | None,
) -> dict[str, Any]:
    """Return a block's data: bytes and files as base64, URLs as they are."""
    name = type(block).__name__
    if resolve is not None:
        data = resolve().read()
        mime_type = mime_type or _guess_mime_type(data, block.path)
        if not mime_type:
            msg = (
                f"The data of this {name} is of an unknown type; set its MIME type"
                " (or the format, for audio)"
            )
            raise ConfigError(msg)
        return {"base64": base64.b64encode(data).decode(), "mime_type": mime_type}
    if not block.url:
        msg = f"This {name} is empty; give it data, a path or a url"
        raise ConfigError(msg)
    url = str(block.url)
    head, comma, inline = url.partition(";base64,")
    if comma and head.startswith("data:"):
        return {"base64": inline, "mime_type": head.removeprefix("data:")}
    return {"url": url, "mime_type": mime_type} if mime_type else {"url": url}


def _guess_mime_type(data: bytes, path: object) -> str | None:
    """Detect the MIME type of data from its first bytes, or else from its file name.

    LlamaIndex inspects bytes but not files, and does not know every extension: `.jpeg`, `.PNG`
    and those of plain text are missing.
    """
    if kind := filetype.guess(data):
        # LlamaIndex names audio formats by extension, which is what OpenAI's protocol needs.
        return f"audio/{kind.extension}" if kind.mime.startswith("audio/") else str(kind.mime)
    return mimetypes.guess_type(str(path))[0] if path else None


# LangChain → LlamaIndex


def _to_thinking_block(block: dict[str, Any]) -> ThinkingBlock:
    """Return reasoning with everything its provider attached, so that it can be sent back."""
    info = {key: value for key, value in block.items() if key not in _NOT_REASONING_KEYS}
    kind = block["type"]
    if kind == "thinking":
        text = info.pop("thinking", "")
        if isinstance(text, list):  # Mistral's, which is sent back unchanged
            info["thinking"] = text
            text = "".join(it if isinstance(it, str) else it.get("text", "") for it in text)
        if "signature" not in info:
            info = {"type": kind, **info}
    elif kind == "reasoning" and "reasoning" in info:
        text = info.pop("reasoning")
    else:
        text = _summary_text(info)
        info = {"type": kind, **info}
    return ThinkingBlock(content=text, additional_information=info)


def _summary_text(reasoning: dict[str, Any]) -> str | None:
    """Return the text of OpenAI's or Bedrock's reasoning; redacted reasoning has none."""
    if isinstance(summary := reasoning.get("summary"), list):
        return "\n\n".join(part.get("text", "") for part in summary)
    return (reasoning.get("reasoning_content") or {}).get("text")


def _to_media_block(block: dict[str, Any]) -> BaseContentBlock:
    """Return an image, audio, video or document from any of the forms LangChain knows."""
    bare = {key: value for key, value in block.items() if key != "cache_control"}
    standard = cast("dict[str, Any]", HumanMessage(content=[bare]).content_blocks[0])
    url, mime_type = standard.get("url"), standard.get("mime_type")
    data = standard["base64"].encode() if standard.get("base64") else None
    extras = standard.get("extras") or {}
    if data or url:
        match standard["type"]:
            case "image":
                detail = (block.get("image_url") or {}).get("detail")
                return ImageBlock(image=data, url=url, image_mimetype=mime_type, detail=detail)
            case "audio":
                audio_format = mime_type.split("/")[-1] if mime_type else None
                return AudioBlock(audio=data, url=url, format=audio_format)
            case "video":
                return VideoBlock(video=data, url=url, video_mimetype=mime_type, **extras)
            case "file":
                title = standard.get("filename") or extras.get("filename")
                return DocumentBlock(data=data, url=url, title=title, document_mimetype=mime_type)
    msg = f"LlamaIndex has no block for LangChain's content block {block.get('type')!r}"
    raise ConfigError(msg)
