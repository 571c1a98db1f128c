"""LangChain's contract suites for embeddings, unchanged, on the embedded model."""

from __future__ import annotations

from typing import Any

from langchain_tests.integration_tests import EmbeddingsIntegrationTests
from langchain_tests.unit_tests import EmbeddingsUnitTests

from langchain_autoprovider import AutoEmbeddings


class TestUnit(EmbeddingsUnitTests):
    @property
    def embeddings_class(self) -> type[AutoEmbeddings]:
        return AutoEmbeddings

    @property
    def embedding_model_params(self) -> dict[str, Any]:
        return {"model": "embedded/smollm2-135m"}

    @property
    def init_from_env_params(self) -> tuple[dict[str, str], dict[str, Any], dict[str, Any]]:
        arguments = {"model": "smollm2-135m", "max_retries": 1}
        return {"GROQ_API_KEY": "test"}, arguments, {"max_attempts": 2, "api_keys": {}}


class TestEmbedded(EmbeddingsIntegrationTests):
    @property
    def embeddings_class(self) -> type[AutoEmbeddings]:
        return AutoEmbeddings

    @property
    def embedding_model_params(self) -> dict[str, Any]:
        return {"model": "smollm2-135m"}
