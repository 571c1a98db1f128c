"""LlamaIndex's content blocks ↔ LangChain's content of a message, both ways.

* Files are read when they are converted, so a block made of a path comes back as one
  made of bytes. A URL goes along as it is; nothing is fetched.
* A cache point rides on the block before it, as `cache_control`.
* What a provider adds to its thoughts, such as a signature, is kept word for word.
* What cannot be said on the other side is an error, never left out.
"""

from __future__ import annotations

import base64
import mimetypes
from typing import TYPE_CHECKING, Any, cast

import filetype  # type: ignore[import-untyped]  # one of LlamaIndex's own
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
    from collections.abc import Callable, Iterable, Iterator

    Content = str | list[str | dict[str, Any]]

__all__ = ["THOUGHTS", "to_blocks", "to_content"]

THOUGHTS = frozenset({"thinking", "redacted_thinking", "reasoning", "reasoning_content"})
"""The types of LangChain's content blocks that hold what a model thought."""

_CALLS = frozenset(
    {"tool_use", "function_call", "tool_call", "tool_call_chunk", "input_json_delta"}
)
"""Blocks that say again what stands in a message's `tool_calls`."""

_DEFAULT_TTL = "5m"
_NO_THOUGHT = frozenset({"cache_control", "index", "type"})


def to_content(blocks: Iterable[BaseContentBlock]) -> Content:
    """Return blocks as the content of a LangChain message; a single text as a string.

    Raises:
        ConfigError: A block cannot be said in LangChain's terms, or holds nothing.
        OSError: A block's file cannot be read.
    """
    content: list[str | dict[str, Any]] = []
    for block in blocks:
        if isinstance(block, CachePoint):
            _mark(content, block.cache_control)
        else:
            content.append(_said(block))
    match content:
        case []:
            return ""
        case [{"type": "text", "text": str(text), **rest}] if not rest:
            return text
    return content


def to_blocks(content: str | list[Any]) -> Iterator[BaseContentBlock]:
    """Yield the blocks of a LangChain message's content, tool calls aside.

    Raises:
        ConfigError: There is something that no block of LlamaIndex can hold.
    """
    for part in [content] if isinstance(content, str) else content:
        block: dict[str, Any] = {"type": "text", "text": part} if isinstance(part, str) else part
        kind = block.get("type")
        if kind in _CALLS:
            continue
        if kind == "text":
            yield TextBlock(text=block["text"])
        elif kind == "refusal":
            yield TextBlock(text=block["refusal"])
        elif kind in THOUGHTS:
            yield _thought(block)
        else:
            yield _media(block)
        if marked := block.get("cache_control"):
            yield CachePoint(cache_control=CacheControl(**marked))


def _said(block: BaseContentBlock) -> dict[str, Any]:
    say = _SAY.get(type(block))
    if say is None:
        name = type(block).__name__
        msg = f"A {name!r} cannot be sent through autoprovider; give its content as a TextBlock"
        raise ConfigError(msg)
    return say(block)


def _mark(content: list[str | dict[str, Any]], control: CacheControl) -> None:
    last = content[-1] if content else None
    if not isinstance(last, dict) or "cache_control" in last:
        msg = "A CachePoint stands behind the block up to which is cached; here is no such block"
        raise ConfigError(msg)
    ttl = {} if control.ttl == _DEFAULT_TTL else {"ttl": control.ttl}
    last["cache_control"] = {"type": control.type, **ttl}


def _say_text(block: TextBlock) -> dict[str, Any]:
    return {"type": "text", "text": block.text}


def _say_image(block: ImageBlock) -> dict[str, Any]:
    holds = block.image is not None or block.path is not None
    source = _source(block, block.resolve_image if holds else None, block.image_mimetype)
    if block.detail is None:
        return {"type": "image", **source}
    url = source.get("url") or f"data:{source['mime_type']};base64,{source['base64']}"
    return {"type": "image_url", "image_url": {"url": url, "detail": block.detail}}


def _say_audio(block: AudioBlock) -> dict[str, Any]:
    holds = block.audio is not None or block.path is not None
    # OpenAI's protocol takes the format from the second half of the MIME type.
    mime = block.format and f"audio/{block.format}"
    return {"type": "audio", **_source(block, block.resolve_audio if holds else None, mime)}


def _say_video(block: VideoBlock) -> dict[str, Any]:
    holds = block.video is not None or block.path is not None
    source = _source(block, block.resolve_video if holds else None, block.video_mimetype)
    extras = {"detail": block.detail, "fps": block.fps}
    given = {name: value for name, value in extras.items() if value is not None}
    return {"type": "video", **source, **({"extras": given} if given else {})}


def _say_document(block: DocumentBlock) -> dict[str, Any]:
    holds = block.data is not None or block.path is not None
    source = _source(block, block.resolve_document if holds else None, block.document_mimetype)
    return {"type": "file", **source, "filename": block.title}


def _say_thought(block: ThinkingBlock) -> dict[str, Any]:
    info = block.additional_information
    if info.get("type", "thinking") == "thinking" and ("type" in info or "signature" in info):
        return {"type": "thinking", "thinking": block.content or "", **info}
    if "type" in info:  # kept word for word
        return dict(info)
    return {"type": "reasoning", "reasoning": block.content or "", **info}


_SAY: dict[type[BaseContentBlock], Callable[[Any], dict[str, Any]]] = {
    AudioBlock: _say_audio,
    DocumentBlock: _say_document,
    ImageBlock: _say_image,
    TextBlock: _say_text,
    ThinkingBlock: _say_thought,
    VideoBlock: _say_video,
}


def _source(
    block: AudioBlock | DocumentBlock | ImageBlock | VideoBlock,
    resolve: Callable[[], Any] | None,
    mime: str | None,
) -> dict[str, Any]:
    """Return where a block's data is: bytes and files as base64, URLs as they are."""
    name = type(block).__name__
    if resolve is not None:
        data = resolve().read()
        mime = mime or _kind_of(data, block.path)
        if not mime:
            msg = (
                f"An unknown kind of data in this {name}; say what it is, as in mime type or format"
            )
            raise ConfigError(msg)
        return {"base64": base64.b64encode(data).decode(), "mime_type": mime}
    if not block.url:
        msg = f"This {name} holds nothing; give it data, a path or a url"
        raise ConfigError(msg)
    url = str(block.url)
    head, comma, inline = url.partition(";base64,")
    if comma and head.startswith("data:"):
        return {"base64": inline, "mime_type": head.removeprefix("data:")}
    return {"url": url, "mime_type": mime} if mime else {"url": url}


def _kind_of(data: bytes, path: object) -> str | None:
    """Return the MIME type of data by how it begins, else by the name of its file.

    LlamaIndex looks into bytes only, never into files, and does not know every ending:
    neither `.jpeg` nor `.PNG`, nor any of plain text.
    """
    if kind := filetype.guess(data):
        # LlamaIndex names a sound's format by its ending, which is what OpenAI's protocol takes.
        return f"audio/{kind.extension}" if kind.mime.startswith("audio/") else str(kind.mime)
    return mimetypes.guess_type(str(path))[0] if path else None


def _thought(block: dict[str, Any]) -> ThinkingBlock:
    """Return what a model thought; what its provider added is kept for when it is sent back."""
    rest = {name: value for name, value in block.items() if name not in _NO_THOUGHT}
    kind = block["type"]
    if kind == "thinking":
        text = rest.pop("thinking", "")
        info = rest if "signature" in rest else {"type": kind, **rest}
    elif kind == "reasoning" and "reasoning" in rest:
        text, info = rest.pop("reasoning"), rest
    else:
        text, info = _text_of(rest), {"type": kind, **rest}
    return ThinkingBlock(content=text, additional_information=info)


def _text_of(thought: dict[str, Any]) -> str | None:
    """Return the text of a thought in OpenAI's or Bedrock's form; a redacted one has none."""
    if isinstance(summary := thought.get("summary"), list):
        return "\n\n".join(part.get("text", "") for part in summary)
    return (thought.get("reasoning_content") or {}).get("text")


def _media(block: dict[str, Any]) -> BaseContentBlock:
    """Return an image, audio, video or document, in whichever of LangChain's forms it is."""
    bare = {name: value for name, value in block.items() if name != "cache_control"}
    told = cast("dict[str, Any]", HumanMessage(content=[bare]).content_blocks[0])
    url, mime = told.get("url"), told.get("mime_type")
    data = told["base64"].encode() if told.get("base64") else None
    extras = told.get("extras") or {}
    if data or url:
        match told["type"]:
            case "image":
                detail = (block.get("image_url") or {}).get("detail")
                return ImageBlock(image=data, url=url, image_mimetype=mime, detail=detail)
            case "audio":
                form = mime.split("/")[-1] if mime else None
                return AudioBlock(audio=data, url=url, format=form)
            case "video":
                return VideoBlock(video=data, url=url, video_mimetype=mime, **extras)
            case "file":
                title = told.get("filename") or extras.get("filename")
                return DocumentBlock(data=data, url=url, title=title, document_mimetype=mime)
    msg = f"A content block of type {block.get('type')!r} has no like in LlamaIndex"
    raise ConfigError(msg)
