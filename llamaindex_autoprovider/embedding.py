"""`AutoEmbedding`: LlamaIndex's embeddings on `AutoEmbeddings`' routes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Self

from llama_index.core.base.embeddings.base import BaseEmbedding
from pydantic import Field

from langchain_autoprovider.embeddings import (
    AutoEmbeddings,  # noqa: TC001 - pydantic reads annotations at run time
)
from llamaindex_autoprovider.delegate import Standing

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["AutoEmbedding"]


class AutoEmbedding(Standing, BaseEmbedding):
    """Embeddings by one model, served by whichever provider of it holds a key.

    MessageFormat what `AutoEmbeddings` takes, and stands on one: it fails over between providers
    of the same model and dimension only, since an index cannot hold two kinds of vectors.
    Further arguments are LlamaIndex's own: `embed_batch_size`, `num_workers` and the like.

    ```python
    Settings.embed_model = AutoEmbedding("text-embedding-3-small")
    Settings.embed_model.explain()      # who would serve, who would not, and why
    ```

    Raises:
        UnknownModelError: A name is unknown or retired; says what is near.
        ConfigError: No model is named, or different ones.
        RegistryError: The registry file is not what it should be.
    """

    stands_on: ClassVar[str] = "embeddings"

    embeddings: AutoEmbeddings = Field(exclude=True, repr=False)
    """What asks the routes."""

    def __init__(self, model: str | Sequence[str] | None = None, **kwargs: Any) -> None:
        # Other classes of LlamaIndex are told the model so, and dumps repeat it.
        called = kwargs.pop("model_name", None)
        super().__init__(called if model is None else model, **kwargs)
        self.model_name = self.embeddings.model_name

    @classmethod
    def class_name(cls) -> str:
        """Return the name that LlamaIndex writes down."""
        return "AutoEmbedding"

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """Return another one like this, with the changes of `update`, which are not checked."""
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
