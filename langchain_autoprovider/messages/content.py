"""What one message holds → what the route it goes to takes of it.

* LangChain's standard content blocks are understood by every protocol's class; what is
  spelled otherwise is turned into them, by langchain-core where it knows the spelling.
  Nothing is downloaded: a URL stays one.
* An answer that another provider gave becomes its text and its tool calls. Its thinking
  goes along only where a quirk wants it back; signatures, ids of stored items, citations,
  media and the provider's own tools stay behind, since nobody else can read them.
* No message is changed; one that is fine as it is, is returned itself.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Literal, TypeGuard

from langchain_core.messages import AIMessage, HumanMessage, ToolCall, ToolMessage
from langchain_core.messages.content import is_data_content_block
from msgspec import Struct
from msgspec.structs import replace

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from langchain_core.messages import BaseMessage

    from inference_providers.types import Route

__all__ = ["MessageFormat", "content", "neutral", "result", "takes", "unpacked"]

Block = dict[str, Any]

NO_THOUGHT = " "
"""Sent back in place of reasoning that nobody has; some refuse an empty one."""

_KEPT = ("function_call", "prefix")
"""Of a message's further fields: the call of an older LangChain, and Mistral's mark of an
answer that is to be gone on with."""
_TEXT_KEYS = frozenset({"type", "text"})


class MessageFormat(Struct, frozen=True, kw_only=True):
    """What a route takes in a conversation.

    Attributes:
        stamps: The `model_provider` of an answer that counts as its own though it has no
            trace; none where the protocol is spoken by many.
        blocks: Content blocks it takes beside LangChain's standard ones.
        text_keys: What a text block may hold.
        cache_control: Whether markers for its prompt cache may stay.
        plain_documents: Whether a text can be a document.
        results: What a tool's result may hold.
        ids: The pattern of the ids of tool calls.
        short_ids: Whether such an id has nine letters and digits.
        one_system: Whether it takes a system message at the start only, and one.
        strict_turns: Whether an answer stands after each run of tool results, and holds
            either text or calls.
        thoughts: Whether an answer's reasoning is to be sent back.
        names: Whether a message may tell its author's name, in letters and digits.
    """

    stamps: frozenset[str] = frozenset()
    blocks: frozenset[str] = frozenset({"image_url"})
    text_keys: frozenset[str] = _TEXT_KEYS
    cache_control: bool = False
    plain_documents: bool = False
    results: Literal["blocks", "text"] = "text"
    ids: str = r"[a-zA-Z0-9_-]{1,64}"
    short_ids: bool = False
    one_system: bool = False
    strict_turns: bool = False
    thoughts: bool = False
    names: bool = False


_CHAT = MessageFormat(
    blocks=frozenset({"image_url", "input_audio", "file"}),
    text_keys=_TEXT_KEYS | {"extras", "prompt_cache_breakpoint"},
    ids=r"[!-~]{1,40}",
    names=True,
)
_GEMINI = MessageFormat(
    stamps=frozenset({"google_genai", "google_vertexai"}),
    blocks=frozenset({"image_url", "media", "file_data"}),
    results="blocks",
    one_system=True,
)
_TAKES: Mapping[str, MessageFormat] = {
    "openai-chat": _CHAT,
    "azure": _CHAT,
    "openai-responses": MessageFormat(
        blocks=frozenset(
            {"image_url", "file", "input_text", "input_image", "input_file"}
            | {"additional_tools", "mcp_approval_response", "tool_search_output"}
            | {"apply_patch_call_output", "configuration_update"}
        ),
        text_keys=_TEXT_KEYS | {"extras", "prompt_cache_breakpoint"},
        results="blocks",
    ),
    "anthropic": MessageFormat(
        stamps=frozenset({"anthropic"}),
        blocks=frozenset(
            {"image_url", "image", "document", "search_result", "tool_result"} | {"tool_reference"}
        ),
        text_keys=_TEXT_KEYS | {"cache_control", "citations"},
        cache_control=True,
        plain_documents=True,
        results="blocks",
        one_system=True,
    ),
    "google-genai": _GEMINI,
    "vertex": _GEMINI,
    "mistral": MessageFormat(
        stamps=frozenset({"mistralai"}),
        blocks=frozenset({"image_url", "document_url", "input_audio"}),
        short_ids=True,
        one_system=True,
        strict_turns=True,
    ),
    "bedrock": MessageFormat(
        stamps=frozenset({"bedrock", "bedrock_converse"}),
        results="blocks",
        one_system=True,
    ),
}
"""By protocol; one that is not here takes the least."""


def takes(route: Route) -> MessageFormat:
    """Return what a route takes: its protocol's, but for the provider's quirks."""
    usual = _TAKES.get(route.endpoint.protocol, MessageFormat())
    marks = usual.cache_control or (usual is _CHAT and route.kind == "gateway")
    # Whose ids are that short is Mistral, behind whichever protocol, with all its rules.
    short_ids = usual.short_ids or route.quirks.tool_call_ids == "alnum9"
    return replace(
        usual,
        cache_control=marks,
        text_keys=usual.text_keys | ({"cache_control"} if marks else set()),
        short_ids=short_ids,
        ids=r"[a-zA-Z0-9]{9}" if short_ids else usual.ids,
        one_system=usual.one_system or route.quirks.single_system,
        strict_turns=usual.strict_turns or short_ids,
        thoughts=route.quirks.replay_reasoning,
    )


def content(said: str | list[Any], to: MessageFormat) -> str | list[Any]:
    """Return what a user or a system says in blocks that are taken."""
    if isinstance(said, str):
        return said
    made = [_block(block, to) for block in said]
    return said if made == said else made


def unpacked(message: BaseMessage) -> Iterator[BaseMessage]:
    """Yield a message, and before it the tools' results that a user brings in it.

    Anthropic's way is to let the user say them; langchain-core's is a `ToolMessage`.
    """
    brings = isinstance(message, HumanMessage) and any(map(_is_result, message.content))
    if not brings:
        yield message
        return
    for block in filter(_is_result, message.content):
        status: Any = "error" if block.get("is_error") else "success"
        said: Any = block.get("content") or ""
        if marker := block.get("cache_control"):
            parts = [{"type": "text", "text": said}] if isinstance(said, str) else said
            said = [*parts[:-1], {**parts[-1], "cache_control": marker}]
        yield ToolMessage(said, tool_call_id=str(block.get("tool_use_id")), status=status)
    if rest := [block for block in message.content if not _is_result(block)]:
        yield message.model_copy(update={"content": rest})


def result(message: ToolMessage, to: MessageFormat) -> tuple[ToolMessage, list[Block]]:
    """Return a tool's result as it is taken, and what of it a user must show instead."""
    if isinstance(message.content, str):
        return message, []
    made: list[Any] = [_told(_block(block, to), to) for block in message.content]
    shown: list[Block] = []
    if to.results == "text":
        shown = [block for block in made if block["type"] != "text"]
        made = [block for block in made if block["type"] == "text"]
        texts = "\n".join(block["text"] for block in made)
        return message.model_copy(update={"content": texts}), shown
    if made == message.content:
        return message, []
    return message.model_copy(update={"content": made}), []


def neutral(message: AIMessage, to: MessageFormat) -> AIMessage:
    """Return an answer as its text and its tool calls, which any route takes.

    A call whose arguments were broken is one without arguments.
    """
    calls = list(_calls(message))
    extra: dict[str, Any] = {}
    if to.thoughts and (thought := _thought(message) or (calls and NO_THOUGHT)):
        extra["reasoning_content"] = thought
    for name in _KEPT if not calls else ():
        if name in message.additional_kwargs:
            extra[name] = message.additional_kwargs[name]
    made = AIMessage(
        "".join(_texts(message)),
        tool_calls=calls,
        additional_kwargs=extra,
        name=message.name,
        id=message.id,
    )
    return message if made == message else made


def _block(block: Any, to: MessageFormat) -> Block:
    if isinstance(block, str):
        return {"type": "text", "text": block}
    kept: Block = block if to.cache_control else _unmarked(block)
    if kept.get("type") == "text":
        return {key: value for key, value in kept.items() if _is_told(key, value, to)}
    if kept.get("type") in to.blocks:
        return kept
    standard = _standard(kept)
    if standard.get("type") == "text-plain" and not to.plain_documents:
        return {"type": "text", "text": standard["text"]}
    return standard


def _is_told(key: str, value: Any, to: MessageFormat) -> bool:
    """Say whether a text block's field is taken; of `extras` only OpenAI's breakpoint is."""
    return key in to.text_keys and (key != "extras" or "prompt_cache_breakpoint" in (value or {}))


def _is_result(block: Any) -> TypeGuard[Block]:
    return isinstance(block, dict) and block.get("type") == "tool_result"


def _unmarked(block: Block) -> Block:
    kept = {key: value for key, value in block.items() if key != "cache_control"}
    if isinstance(extras := block.get("extras"), dict):
        kept["extras"] = {key: extras[key] for key in extras if key != "cache_control"}
    return kept


def _standard(block: Block) -> Block:
    """Return a block in LangChain's standard spelling, or itself when nobody knows it."""
    if is_data_content_block(block):
        return block
    spelled = _SPELLINGS.get(str(block.get("type")), lambda own: own)(block)
    made: Block = {**HumanMessage([spelled]).content_blocks[0]}
    if made["type"] == "non_standard":
        return block
    if str(made.get("id")).startswith("lc_"):  # made up anew each time; nobody can use it
        del made["id"]
    return made


def _media(block: Block) -> Block:
    """Spell a file as LangChain does, that is told by its media type only."""
    media_type = str(block.get("mime_type", ""))
    kind = media_type.split("/", maxsplit=1)[0]
    where = {"base64": block["data"]} if "data" in block else {"url": block.get("file_uri")}
    kind = kind if kind in {"image", "audio", "video"} else "file"
    return {"type": kind, "mime_type": media_type, **where}


_SPELLINGS: Mapping[str, Any] = {
    "input_text": lambda own: {"type": "text", "text": own.get("text", "")},
    "input_image": lambda own: {"type": "image_url", "image_url": {"url": own.get("image_url")}},
    "input_file": lambda own: (
        {"type": "file", "url": own["file_url"]}
        if "file_url" in own
        else {"type": "file", "file": {key: own[key] for key in own if key != "type"}}
    ),
    "document_url": lambda own: {"type": "file", "url": own["document_url"]},
    "media": _media,
    "file_data": _media,
}
"""What langchain-core does not know: OpenAI's responses, Mistral's and Gemini's own."""


def _told(block: Block, to: MessageFormat) -> Block:
    """Return a block of a tool's result, in words where nobody else knows its kind."""
    kind = block.get("type")
    known = kind == "text" or kind in to.blocks or is_data_content_block(block)
    return block if known else {"type": "text", "text": json.dumps(block, default=str)}


def _texts(message: AIMessage) -> Iterator[str]:
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


def _calls(message: AIMessage) -> Iterator[ToolCall]:
    known = set()
    for call in message.tool_calls:
        known.add(call["id"])
        yield ToolCall(name=call["name"], args=call["args"], id=call["id"], type="tool_call")
    for broken in message.invalid_tool_calls:
        if broken["name"]:
            known.add(broken["id"])
            yield ToolCall(name=broken["name"], args={}, id=broken["id"], type="tool_call")
    for block in message.content:
        if isinstance(block, dict) and block.get("type") == "tool_use":
            args = block.get("input")
            if block["id"] not in known:
                yield ToolCall(
                    name=block["name"],
                    args=args if isinstance(args, dict) else {},
                    id=block["id"],
                    type="tool_call",
                )


def _thought(message: AIMessage) -> str:
    """Return what a model thought before it answered, as far as it was told."""
    if isinstance(told := message.additional_kwargs.get("reasoning_content"), str):
        return told
    return "\n\n".join(
        block["reasoning"]
        for block in message.content_blocks
        if block["type"] == "reasoning" and block.get("reasoning")
    )
