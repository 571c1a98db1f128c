"""The core's `Backend`: routes are called with the models of this package."""

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
    from inference_providers.routing.backend import Access, Backend, Chat, ModelListing
    from inference_providers.types import Route, Selection

__all__ = ["BACKEND", "LangChainBackend"]


class LangChainBackend:
    """Calls routes as `AutoChatModel` does."""

    def unsupported_protocols(self, registry: Registry) -> Mapping[str, str]:
        """Return the registry's protocols that cannot be used, each with what to do."""
        return connections.unsupported_protocols(registry)

    def model_listing(self, protocol: str) -> ModelListing | None:
        """Return how to list a provider's models in `protocol`, or `None` if that is impossible."""
        row = PROTOCOLS.get(protocol)
        return row.model_listing if row else None

    def client(self, route: Route, access: Access) -> Any:
        """Return an `openai.OpenAI` client, or an object with `chat.completions.create`."""
        return connections.client(route, access)

    def chat(self, selection: Selection, registry: Registry) -> Chat:
        """Return a chat that fails over between all routes of `selection`."""
        options = msgspec.structs.asdict(selection)
        return _Chat(AutoChatModel(options.pop("models"), registry=registry, **options))


class _Chat:
    """`AutoChatModel` behind the core's `Chat` interface."""

    def __init__(self, model: AutoChatModel) -> None:
        self._model = model

    def answer(self, prompt: str) -> Piece:
        return _piece(self._model.invoke(prompt))

    def stream(self, prompt: str) -> Iterator[Piece]:
        return map(_piece, self._model.stream(prompt))


def _piece(message: AIMessage) -> Piece:
    return Piece(message.text, message.response_metadata.get("autoprovider"))


BACKEND: Backend = LangChainBackend()
