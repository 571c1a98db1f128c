"""`AutoEmbedding`: LlamaIndex embeddings that any provider with a key may serve."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Self, Unpack

from llama_index.core.base.embeddings.base import BaseEmbedding
from pydantic import Field

from langchain_autoprovider.embeddings import AutoEmbeddings
from langchain_autoprovider.options import ModelNames
from llamaindex_autoprovider.options import AutoEmbeddingOptions
from llamaindex_autoprovider.routed_component import RoutedComponent

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["AutoEmbedding"]


class AutoEmbedding(RoutedComponent, BaseEmbedding):
    """Embeddings by one model, served by any provider that a key is set for.

    Accepts the arguments of `AutoEmbeddings` and those of LlamaIndex's embeddings. Failover
    goes to providers of the same model and dimension only: an index cannot mix vectors of
    two models.

    ```python
    Settings.embed_model = AutoEmbedding("text-embedding-3-small")
    Settings.embed_model.explain()  # who would serve it, who would not, and why
    ```

    Raises:
        UnknownModelError: A name is unknown or retired; the message suggests similar ones.
        ConfigError: No model is named, or several different ones.
        RegistryError: The registry file is invalid.
    """

    model_field: ClassVar[str] = "embeddings"

    embeddings: AutoEmbeddings = Field(exclude=True, repr=False)
    """An existing `AutoEmbeddings` to use instead of settings."""

    def __init__(self, model: ModelNames = None, **options: Unpack[AutoEmbeddingOptions]) -> None:
        arguments: dict[str, Any] = {**options}
        # Other LlamaIndex classes call the model so, and dumps contain it.
        model_name = arguments.pop("model_name", None)
        if model is None and "embeddings" not in arguments:
            model = model_name
        super().__init__(model, **arguments)
        self.model_name = self.embeddings.model_name

    @classmethod
    def class_name(cls) -> str:
        """Return the name that LlamaIndex writes into dumps."""
        return "AutoEmbedding"

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """Return a copy with the changes of `update`, which are not validated."""
        copied = super().model_copy(update=update, deep=deep)
        copied.model_name = copied.embeddings.model_name
        return copied

    def _get_query_embedding(self, query: str) -> list[float]:
        return self.embeddings.embed_query(query)

    async def _aget_query_embedding(self, query: str) -> list[float]:
        return await self.embeddings.aembed_query(query)

    def _get_text_embedding(self, text: str) -> list[float]:
        return self.embeddings.embed_query(text)

    async def _aget_text_embedding(self, text: str) -> list[float]:
        return await self.embeddings.aembed_query(text)

    def _get_text_embeddings(self, texts: list[str]) -> list[list[float]]:
        return self.embeddings.embed_documents(texts)

    async def _aget_text_embeddings(self, texts: list[str]) -> list[list[float]]:
        return await self.embeddings.aembed_documents(texts)
