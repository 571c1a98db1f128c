"""The core's backend: it calls routes through LangChain's chat models."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from inference_providers.routing.backend import Piece
from langchain_autoprovider.chat_models import AutoChatModel
from langchain_autoprovider.protocols import connections
from langchain_autoprovider.protocols.table import PROTOCOLS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from langchain_core.messages import AIMessage

    from inference_providers.registry.registry import Registry
    from inference_providers.routing.backend import Access, Backend, ModelListing
    from inference_providers.types import Route, Selection

__all__ = ["BACKEND", "LangChainBackend", "chat_model"]


class LangChainBackend:
    """Calls routes as `AutoChatModel` does."""

    def unsupported_protocols(self, registry: Registry) -> Mapping[str, str]:
        """Return the registry's protocols that cannot be used here, each with the reason."""
        return connections.unsupported_protocols(registry)

    def model_listing(self, protocol: str) -> ModelListing | None:
        """Return how to request a provider's list of models, or `None` if there is no such list."""
        row = PROTOCOLS.get(protocol)
        return row.model_listing if row else None

    def client(self, route: Route, access: Access) -> Any:
        """Return an `openai.OpenAI` client, or an object with its `chat.completions.create`."""
        return connections.plain_client(route, access)

    def answer(self, selection: Selection, registry: Registry, prompt: str) -> Piece:
        """Return the whole answer to a prompt, failing over between the routes of `selection`."""
        return _piece(chat_model(selection, registry).invoke(prompt))

    def stream(self, selection: Selection, registry: Registry, prompt: str) -> Iterator[Piece]:
        """Yield the answer to a prompt as it arrives; the last piece carries the trace."""
        return map(_piece, chat_model(selection, registry).stream(prompt))


def chat_model(selection: Selection, registry: Registry) -> AutoChatModel:
    """Return the chat model for a selection."""
    fields = msgspec.structs.asdict(selection)
    return AutoChatModel(fields.pop("models"), registry=registry, **fields)


def _piece(message: AIMessage) -> Piece:
    return Piece(message.text, message.response_metadata.get("autoprovider"))


BACKEND: Backend = LangChainBackend()
