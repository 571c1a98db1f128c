"""All facts about each protocol, as one value per protocol.

To add a protocol, write its module and add one row to `PROTOCOLS`. No field of `Protocol` has a
default, so a row that omits a fact fails at import. Everything that depends on the protocol of a
route reads this table: connections, planning, history, quirks, streaming, `autoprovider registry
verify` and the registry builder.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Literal

from msgspec import Struct

from inference_providers.routing.backend import ModelListing
from inference_providers.wire import finish_reasons
from langchain_autoprovider.messages.message_format import MessageFormat, adjust_format

if TYPE_CHECKING:
    from collections.abc import Mapping

    from inference_providers.types import Kind, Quirks

__all__ = ["PROTOCOLS", "Protocol", "ToolVendor", "message_format_of"]

ToolVendor = Literal["anthropic", "google", "openai"]


class Protocol(Struct, frozen=True, kw_only=True):
    """The facts about one protocol.

    Attributes:
        module: The module in `langchain_autoprovider.protocols` whose `CONNECTOR` opens chat
            models.
        package: The package that the module imports, or `None` if autoprovider requires it.
        extra: The extra of autoprovider that installs `package`.
        model_listing: How to request a provider's list of models; `None` if there is no list
            that an API key can read.
        builtin_tools: The vendor whose built-in tools, such as web search, a request can use.
        embeddings: Whether endpoints also serve OpenAI's `/embeddings`.
        no_urls_for: Types of content blocks that must be sent as data, not as a URL.
        json_mode_takes_schema: Whether a request in JSON mode may include a schema that the
            answer need not match exactly. Otherwise the schema is left out.
        finish_reasons: How answers say why they ended.
        message_format: What a conversation may contain.
    """

    module: str
    package: str | None
    extra: str | None
    model_listing: ModelListing | None
    builtin_tools: ToolVendor | None
    embeddings: bool
    no_urls_for: frozenset[str]
    json_mode_takes_schema: bool
    finish_reasons: finish_reasons.FinishReasons
    message_format: MessageFormat


_BEARER_LISTING = ModelListing(header="Authorization", prefix="Bearer ", headers=(), path=None)

_OPENAI_CHAT_FORMAT = MessageFormat(
    blocks=frozenset({"image_url", "input_audio", "file"}),
    text_keys=frozenset({"type", "text", "extras", "prompt_cache_breakpoint"}),
    gateway_cache_control=True,
    text_answers=True,
    call_ids=r"[!-~]{1,40}",
    author_names=True,
)
_GOOGLE_FORMAT = MessageFormat(
    model_providers=frozenset({"google_genai", "google_vertexai"}),
    blocks=frozenset({"image_url", "media", "file_data"}),
    tool_results="blocks",
    single_system=True,
)

PROTOCOLS: Mapping[str, Protocol] = {
    "openai-chat": Protocol(
        module="openai",
        package=None,
        extra=None,
        model_listing=_BEARER_LISTING,
        builtin_tools="openai",
        embeddings=True,
        no_urls_for=frozenset({"audio", "file"}),
        json_mode_takes_schema=False,
        finish_reasons=finish_reasons.CHAT,
        message_format=_OPENAI_CHAT_FORMAT,
    ),
    "openai-responses": Protocol(
        module="openai",
        package=None,
        extra=None,
        model_listing=_BEARER_LISTING,
        builtin_tools="openai",
        embeddings=True,
        no_urls_for=frozenset({"audio"}),
        json_mode_takes_schema=False,
        finish_reasons=finish_reasons.RESPONSES,
        message_format=MessageFormat(
            blocks=frozenset(
                {"image_url", "file", "input_text", "input_image", "input_file"}
                | {"additional_tools", "mcp_approval_response", "tool_search_output"}
                | {"apply_patch_call_output", "configuration_update"}
            ),
            text_keys=frozenset({"type", "text", "extras", "prompt_cache_breakpoint"}),
            tool_results="blocks",
        ),
    ),
    "anthropic": Protocol(
        module="anthropic",
        package="langchain_anthropic",
        extra="anthropic",
        model_listing=ModelListing(
            header="x-api-key",
            prefix="",
            headers=(("anthropic-version", "2023-06-01"),),
            path="/v1/models?limit=1000",
        ),
        builtin_tools="anthropic",
        embeddings=False,
        no_urls_for=frozenset(),
        json_mode_takes_schema=True,
        finish_reasons=finish_reasons.ANTHROPIC,
        message_format=MessageFormat(
            model_providers=frozenset({"anthropic"}),
            blocks=frozenset(
                {"image_url", "image", "document", "search_result", "tool_result"}
                | {"tool_reference"}
            ),
            text_keys=frozenset({"type", "text", "cache_control", "citations"}),
            cache_control=True,
            text_documents=True,
            tool_results="blocks",
            single_system=True,
        ),
    ),
    "azure": Protocol(
        module="openai",
        package=None,
        extra=None,
        model_listing=None,
        builtin_tools="openai",
        embeddings=False,
        no_urls_for=frozenset({"audio", "file"}),
        json_mode_takes_schema=False,
        finish_reasons=finish_reasons.CHAT,
        message_format=_OPENAI_CHAT_FORMAT,
    ),
    "bedrock": Protocol(
        module="bedrock",
        package="langchain_aws",
        extra="aws",
        model_listing=None,
        builtin_tools=None,
        embeddings=False,
        no_urls_for=frozenset(),
        json_mode_takes_schema=True,
        finish_reasons=finish_reasons.BEDROCK,
        message_format=MessageFormat(
            model_providers=frozenset({"bedrock", "bedrock_converse"}),
            tool_results="blocks",
            single_system=True,
        ),
    ),
    "mistral": Protocol(
        module="mistral",
        package="langchain_mistralai",
        extra="mistral",
        model_listing=_BEARER_LISTING,
        builtin_tools=None,
        embeddings=False,
        no_urls_for=frozenset(),
        json_mode_takes_schema=True,
        finish_reasons=finish_reasons.MISTRAL,
        message_format=MessageFormat(
            model_providers=frozenset({"mistralai"}),
            blocks=frozenset({"image_url", "document_url", "input_audio"}),
            short_call_ids=True,
            single_system=True,
            strict_turns=True,
        ),
    ),
    "cohere": Protocol(
        module="cohere",
        package="langchain_cohere",
        extra="cohere",
        model_listing=ModelListing(
            header="Authorization",
            prefix="Bearer ",
            headers=(),
            path="/v1/models?endpoint=chat&page_size=1000",
        ),
        builtin_tools=None,
        embeddings=False,
        no_urls_for=frozenset(),
        json_mode_takes_schema=True,
        finish_reasons=finish_reasons.COHERE,
        message_format=MessageFormat(text_answers=True),
    ),
    "google-genai": Protocol(
        module="google",
        package="langchain_google_genai",
        extra="google",
        model_listing=ModelListing(
            header="x-goog-api-key", prefix="", headers=(), path="/v1beta/models?pageSize=1000"
        ),
        builtin_tools="google",
        embeddings=False,
        no_urls_for=frozenset(),
        json_mode_takes_schema=True,
        finish_reasons=finish_reasons.GOOGLE,
        message_format=_GOOGLE_FORMAT,
    ),
    "replicate": Protocol(
        module="replicate",
        package=None,
        extra=None,
        model_listing=None,
        builtin_tools=None,
        embeddings=False,
        no_urls_for=frozenset(),
        json_mode_takes_schema=True,
        finish_reasons=finish_reasons.REPLICATE,
        message_format=MessageFormat(),
    ),
    "vertex": Protocol(
        module="vertex",
        package="langchain_google_genai",
        extra="google",
        model_listing=None,
        builtin_tools="openai",
        embeddings=False,
        no_urls_for=frozenset(),
        json_mode_takes_schema=False,
        finish_reasons=finish_reasons.CHAT,
        message_format=_GOOGLE_FORMAT,
    ),
}
"""Every protocol by the name that the registry uses for it."""


@lru_cache(maxsize=1024)
def message_format_of(protocol: str, kind: Kind, quirks: Quirks) -> MessageFormat:
    """Return what a route accepts in a conversation: its protocol's format, plus its quirks."""
    return adjust_format(PROTOCOLS[protocol].message_format, kind, quirks)
