"""LangChain's contract suites for chat models, unchanged, on the embedded model.

`conftest.py` deselects the tests that need a larger model (images, documents, audio);
`test_standard_scripted.py` runs them.
"""

from __future__ import annotations

import importlib
from typing import Any

import pytest
from langchain_tests.integration_tests import ChatModelIntegrationTests
from langchain_tests.unit_tests import ChatModelUnitTests

from langchain_autoprovider import AutoChatModel

load = importlib.import_module("langchain_core.load.load")  # its package has a function `load`


class TestUnit(ChatModelUnitTests):
    @pytest.fixture(autouse=True)
    def _known_to_langchain(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Add the class to those that langchain-core loads; the suite loads only those."""
        path = ("langchain_autoprovider", "chat_models", "AutoChatModel")
        monkeypatch.setitem(load.ALL_SERIALIZABLE_MAPPINGS, path, path)
        monkeypatch.setattr(load, "_default_class_paths_cache", {})

    @property
    def chat_model_class(self) -> type[AutoChatModel]:
        return AutoChatModel

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {"model": "groq/gpt-oss-120b"}

    @property
    def init_from_env_params(self) -> tuple[dict[str, str], dict[str, Any], dict[str, Any]]:
        return (
            {"GROQ_API_KEY": "test"},
            {"model": "groq/gpt-oss-120b", "max_retries": 2},
            {"model_name": "groq/gpt-oss-120b", "max_attempts": 3, "api_keys": {}},
        )


@pytest.mark.usefixtures("_no_prompt_cache")
@pytest.mark.filterwarnings("ignore:Benchmark fixture was not used")  # it times recordings
class TestEmbedded(ChatModelIntegrationTests):
    @property
    def chat_model_class(self) -> type[AutoChatModel]:
        return AutoChatModel

    @property
    def chat_model_params(self) -> dict[str, Any]:
        # The machine may be busy; and a random answer would fail the suite at random.
        return {"model": "embedded/smollm2-135m", "timeout": 600, "temperature": 0}

    @property
    def model_override_value(self) -> str:
        return "smollm2-135m"

    @property
    def structured_output_kwargs(self) -> dict[str, Any]:
        """Use a tool: with a schema alone, the model does not learn what to write."""
        return {"method": "function_calling"}

    @property
    def supports_json_mode(self) -> bool:
        return True

    @property
    def supports_anthropic_inputs(self) -> bool:
        return True

    @property
    def enable_vcr_tests(self) -> bool:
        return True


@pytest.fixture(scope="module")
def vcr_config() -> dict[str, Any]:
    """Record nothing: the server is on this machine."""
    return {"ignore_localhost": True}
