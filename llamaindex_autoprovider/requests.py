"""LlamaIndex's requests → the arguments of a LangChain chat model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from llamaindex_autoprovider.messages import to_langchain

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from langchain_core.messages import BaseMessage
    from llama_index.core.base.llms.types import ChatMessage

__all__ = ["LangChainRequest", "langchain_request"]


@dataclass(frozen=True, kw_only=True, slots=True)
class LangChainRequest:
    """One request in LangChain's terms.

    Attributes:
        messages: The conversation.
        stop: Strings that end the answer.
        fields: Further request fields, such as `tools` or `temperature`.
        single_call: Whether to keep only the first tool call of the answer.
    """

    messages: list[BaseMessage]
    stop: list[str] | None
    fields: dict[str, Any]
    single_call: bool


def langchain_request(
    messages: Sequence[ChatMessage], kwargs: Mapping[str, Any]
) -> LangChainRequest:
    """Return the request for messages and the keyword arguments of LlamaIndex's methods.

    Raises:
        ConfigError: A message cannot be sent.
        OSError: A file of a message cannot be read.
    """
    fields = dict(kwargs)
    parallel_calls = fields.pop("allow_parallel_tool_calls", True)
    stop = fields.pop("stop", None)
    return LangChainRequest(
        messages=to_langchain(messages),
        stop=[stop] if isinstance(stop, str) else stop,
        fields=fields,
        single_call=not parallel_calls,
    )
