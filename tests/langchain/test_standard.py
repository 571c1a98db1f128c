"""LangChain's own contract suites on the embedded model, inherited as they are.

What a model of this size cannot take (images, documents, sound) is left out here by
`conftest.py`, and asked in `test_standard_scripted.py`.
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
    def _listed_by_core(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Put us on core's list of classes it may load: the suite loads by that list only."""
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


@pytest.mark.usefixtures("_read_anew")
@pytest.mark.filterwarnings("ignore:Benchmark fixture was not used")  # measured with recordings
class TestEmbedded(ChatModelIntegrationTests):
    @property
    def chat_model_class(self) -> type[AutoChatModel]:
        return AutoChatModel

    @property
    def chat_model_params(self) -> dict[str, Any]:
        # Machines may be busy; and what a model says by chance would fail the suite by chance.
        return {"model": "embedded/smollm2-135m", "timeout": 600, "temperature": 0}

    @property
    def model_override_value(self) -> str:
        return "smollm2-135m"

    @property
    def structured_output_kwargs(self) -> dict[str, Any]:
        """Have it call a tool: held to a schema alone, it is not told what to write there."""
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
    """Nothing is recorded: the server is on this machine."""
    return {"ignore_localhost": True}
