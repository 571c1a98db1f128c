"""What a route accepts in a conversation: its protocol's `MessageFormat`, adjusted by quirks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from msgspec import Struct
from msgspec.structs import replace

if TYPE_CHECKING:
    from inference_providers.types import Kind, Quirks

__all__ = ["MessageFormat", "adjust_format"]

TEXT_KEYS = frozenset({"type", "text"})


class MessageFormat(Struct, frozen=True, kw_only=True):
    """What a route accepts in a conversation.

    Attributes:
        model_providers: Values of LangChain's `response_metadata["model_provider"]` that mark an
            answer without a trace as readable for the route. Empty for a protocol that several
            vendors share.
        blocks: Content blocks accepted besides LangChain's standard ones.
        text_keys: Keys that a text block may have.
        cache_control: Whether prompt-cache markers are accepted.
        gateway_cache_control: Whether gateways that use this protocol accept them.
        text_documents: Whether plain text can be sent as a document.
        text_answers: Whether an answer is sent as a string, never as a list of blocks.
        tool_results: What a tool result may contain.
        call_ids: A regular expression that tool-call ids must match.
        short_call_ids: Whether such an id must be exactly nine letters and digits.
        single_system: Whether at most one system message is accepted, at the start only.
        strict_turns: Whether an answer must follow each run of tool results, and an answer
            holds either text or tool calls.
        replay_reasoning: Whether an answer's reasoning must be sent back.
        author_names: Whether a message's author name is sent; it may contain letters, digits,
            `_` and `-`.
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


def adjust_format(base: MessageFormat, kind: Kind, quirks: Quirks) -> MessageFormat:
    """Return what a route accepts: its protocol's format, adjusted by its provider's quirks."""
    cache_control = base.cache_control or (base.gateway_cache_control and kind == "gateway")
    # Only Mistral's models need such short ids. With any protocol, their turn rules apply too.
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
