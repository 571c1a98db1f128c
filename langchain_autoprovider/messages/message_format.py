"""What each route accepts in a conversation: one `MessageFormat` per protocol, plus quirks."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Literal

from msgspec import Struct
from msgspec.structs import replace

if TYPE_CHECKING:
    from collections.abc import Mapping

    from inference_providers.types import Kind, Quirks

__all__ = ["MessageFormat", "message_format_of"]

TEXT_KEYS = frozenset({"type", "text"})


class MessageFormat(Struct, frozen=True, kw_only=True):
    """What a route accepts in a conversation.

    Attributes:
        model_providers: LangChain's `response_metadata["model_provider"]` of answers that the
            route can read although they carry no trace. Empty for a protocol that several
            vendors share.
        blocks: Content blocks accepted besides LangChain's standard ones.
        text_keys: Keys that a text block may have.
        cache_control: Whether prompt-cache markers are accepted.
        gateway_cache_control: Whether gateways that use this protocol accept them.
        text_documents: Whether a plain text can be sent as a document.
        text_answers: Whether an answer is sent as a string, never as a list of blocks.
        tool_results: What a tool result may contain.
        call_ids: A regular expression that tool-call ids match.
        short_call_ids: Whether such an id has exactly nine letters and digits.
        single_system: Whether at most one system message is accepted, at the start only.
        strict_turns: Whether an answer must follow each run of tool results, and an answer
            holds either text or tool calls.
        replay_reasoning: Whether an answer's reasoning must be sent back.
        author_names: Whether a message's author name is sent, in letters and digits.
    """

    model_providers: frozenset[str] = frozenset()
    blocks: frozenset[str] = frozenset({"image_url"})
    text_keys: frozenset[str] = TEXT_KEYS
    cache_control: bool = False
    gateway_cache_control: bool = False
    text_documents: bool = False
    text_answers: bool = False
    tool_results: Literal["blocks", "text"] = "text"
    call_ids: str = r"[a-zA-Z0-9_-]{1,64}"
    short_call_ids: bool = False
    single_system: bool = False
    strict_turns: bool = False
    replay_reasoning: bool = False
    author_names: bool = False


_OPENAI_CHAT = MessageFormat(
    blocks=frozenset({"image_url", "input_audio", "file"}),
    text_keys=TEXT_KEYS | {"extras", "prompt_cache_breakpoint"},
    gateway_cache_control=True,
    text_answers=True,
    call_ids=r"[!-~]{1,40}",
    author_names=True,
)
_GEMINI = MessageFormat(
    model_providers=frozenset({"google_genai", "google_vertexai"}),
    blocks=frozenset({"image_url", "media", "file_data"}),
    tool_results="blocks",
    single_system=True,
)
_BY_PROTOCOL: Mapping[str, MessageFormat] = {
    "openai-chat": _OPENAI_CHAT,
    "azure": _OPENAI_CHAT,
    "openai-responses": MessageFormat(
        blocks=frozenset(
            {"image_url", "file", "input_text", "input_image", "input_file"}
            | {"additional_tools", "mcp_approval_response", "tool_search_output"}
            | {"apply_patch_call_output", "configuration_update"}
        ),
        text_keys=TEXT_KEYS | {"extras", "prompt_cache_breakpoint"},
        tool_results="blocks",
    ),
    "anthropic": MessageFormat(
        model_providers=frozenset({"anthropic"}),
        blocks=frozenset(
            {"image_url", "image", "document", "search_result", "tool_result"} | {"tool_reference"}
        ),
        text_keys=TEXT_KEYS | {"cache_control", "citations"},
        cache_control=True,
        text_documents=True,
        tool_results="blocks",
        single_system=True,
    ),
    "google-genai": _GEMINI,
    "vertex": _GEMINI,
    "mistral": MessageFormat(
        model_providers=frozenset({"mistralai"}),
        blocks=frozenset({"image_url", "document_url", "input_audio"}),
        short_call_ids=True,
        single_system=True,
        strict_turns=True,
    ),
    "bedrock": MessageFormat(
        model_providers=frozenset({"bedrock", "bedrock_converse"}),
        tool_results="blocks",
        single_system=True,
    ),
    "cohere": MessageFormat(text_answers=True),
}
"""A protocol that is missing here accepts the least: `MessageFormat()`."""


@lru_cache(maxsize=1024)
def message_format_of(protocol: str, kind: Kind, quirks: Quirks) -> MessageFormat:
    """Return what a route accepts: its protocol's format, adjusted by the provider's quirks."""
    base = _BY_PROTOCOL.get(protocol, MessageFormat())
    cache_control = base.cache_control or (base.gateway_cache_control and kind == "gateway")
    # Only Mistral's models need ids this short, behind any protocol, and with its turn rules.
    short_call_ids = base.short_call_ids or quirks.tool_call_ids == "alnum9"
    return replace(
        base,
        cache_control=cache_control,
        text_keys=base.text_keys | {"cache_control"} if cache_control else base.text_keys,
        short_call_ids=short_call_ids,
        call_ids=r"[a-zA-Z0-9]{9}" if short_call_ids else base.call_ids,
        single_system=base.single_system or quirks.single_system,
        strict_turns=base.strict_turns or short_call_ids,
        replay_reasoning=quirks.replay_reasoning,
    )
