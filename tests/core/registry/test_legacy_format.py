"""The original project's own files load unchanged."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest

from inference_providers.errors import RegistryError, UnknownModelError
from inference_providers.registry.legacy_format import convert, is_legacy
from inference_providers.registry.registry import Registry

FILE = Path(__file__).parents[2] / "data" / "original-inference-providers.json"
ORIGINAL = json.loads(FILE.read_text())
SERVED = {
    model
    for name, row in ORIGINAL["providers"].items()
    for model in row["model_names"]
    if name != "localhost"
}


@pytest.fixture(scope="module")
def registry() -> Registry:
    return Registry.load(FILE)


def test_every_provider_and_model_of_the_original_file_is_there(registry: Registry) -> None:
    assert list(registry.providers) == [p for p in ORIGINAL["providers"] if p != "localhost"]
    assert set(registry.models) == SERVED
    for provider_id, provider in registry.providers.items():
        assert provider.models == ORIGINAL["providers"][provider_id]["model_names"]
        assert provider.name == ORIGINAL["providers"][provider_id]["name"]


def test_endpoints_and_keys_are_the_originals(registry: Registry) -> None:
    for provider_id, provider in registry.providers.items():
        connection = ORIGINAL["providers"][provider_id]["connection"]
        assert provider.auth.any_of == ((connection["api_key"],),)
        url = connection.get("endpoint", "https://api.openai.com/v1")
        assert provider.endpoints["default"].base_url == url.replace("$MODEL_NAME", "{model_id}")
    assert "{model_id}" in registry.providers["lepton"].endpoints["default"].base_url


def test_protocols_are_given_their_names_of_today(registry: Registry) -> None:
    spoken = {p: row.endpoints["default"].protocol for p, row in registry.providers.items()}
    assert spoken.pop("anthropic") == "anthropic"
    assert set(spoken.values()) == {"openai-chat"}


def test_the_template_for_local_ports_is_no_provider(registry: Registry) -> None:
    assert "localhost" in ORIGINAL["providers"]
    assert "localhost" not in registry.providers


def test_the_priority_list_keeps_its_order_and_only_what_is_served(registry: Registry) -> None:
    expected = [name for name in ORIGINAL["auto_model_priority"] if name in SERVED]
    assert list(registry.document.auto_model_priority) == expected
    assert len(expected) < len(ORIGINAL["auto_model_priority"])
    for name in expected:
        assert registry.target(name).model == name


def test_broken_providers_stay_out(registry: Registry) -> None:
    assert "replicate" in ORIGINAL["broken"]
    with pytest.raises(UnknownModelError):
        registry.target("falcon-40b")


@pytest.mark.parametrize("provider_id", ["openai", "groq", "perplexity"])
def test_a_sparse_file_as_in_the_original_readme_adds_its_model_and_nothing_else(
    provider_id: str,
) -> None:
    bundled = Registry.load()
    text = json.dumps({"providers": {provider_id: {"model_names": {"my-gpt": "gpt-x"}}}})
    merged = bundled.merged(text)
    assert merged.entries(provider_id, "my-gpt")[0].id == "gpt-x"
    before, after = bundled.providers[provider_id], merged.providers[provider_id]
    assert after.models == {**before.models, "my-gpt": "gpt-x"}
    assert msgspec.structs.replace(after, models={}) == msgspec.structs.replace(before, models={})
    assert set(merged.models) == {*bundled.models, "my-gpt"}


def test_a_sparse_file_may_change_an_endpoint_and_remove_a_provider() -> None:
    merged = Registry.load().merged(
        {
            "providers": {
                "groq": {"connection": {"endpoint": "https://proxy.test/v1"}},
                "openai": None,
            },
            "auto_model_priority": ["mixtral-8x7b"],
        }
    )
    groq = merged.providers["groq"]
    assert groq.endpoints["default"].base_url == "https://proxy.test/v1"
    assert groq.models == Registry.load().providers["groq"].models
    assert "openai" not in merged.providers
    assert merged.document.auto_model_priority == ("mixtral-8x7b",)


def test_the_whole_original_file_can_be_laid_over_the_bundled_one() -> None:
    merged = Registry.load().merged(FILE)
    assert set(merged.models) >= SERVED | set(Registry.load().models)


def test_a_row_without_a_key_needs_none() -> None:
    row = {"connection": {"endpoint": "http://127.0.0.1:6006/v1"}, "model_names": {"m": "x"}}
    registry = Registry.load({"providers": {"mine": row}})
    assert registry.providers["mine"].auth.any_of == ((),)
    assert registry.providers["mine"].name == "mine"


@pytest.mark.parametrize(
    ("document", "answer"),
    [
        (ORIGINAL, True),
        ({"providers": {"a": {"connection": {}}}}, True),
        ({"providers": {"a": {"models": {}}}}, False),
        ({"providers": {}}, False),
        ({"providers": []}, False),
        ([], False),
    ],
)
def test_the_format_is_told_by_its_rows(document: object, answer: bool) -> None:
    assert is_legacy(document) is answer


@pytest.mark.parametrize(
    ("row", "path"),
    [
        ({"model_names": ["m"]}, r"\$\.providers\.a\.models"),
        ({"model_names": None}, r"\$\.providers\.a\.models"),
        ({"model_names": {}, "connection": {"endpoint": 5}}, r"endpoints\.default\.base_url"),
        ({"model_names": {}, "connection": {"protocol": ["x"]}}, r"endpoints\.default\.protocol"),
        ({"model_names": {}, "connection": {"api_key": 5}}, r"\$\.providers\.a\.auth"),
        ({"model_names": {}, "name": 5}, r"\$\.providers\.a\.name"),
        ({"model_names": {}, "quirks": []}, r"\$\.providers\.a\.quirks"),
    ],
)
def test_a_broken_row_is_told_with_its_place(row: dict, path: str) -> None:
    with pytest.raises(RegistryError, match=path):
        Registry.load({"providers": {"a": row}})


@pytest.mark.parametrize("priority", [5, "gpt-4", [5]])
def test_a_broken_priority_list_is_told_with_its_place(priority: object) -> None:
    document = {
        "providers": {"a": {"model_names": {"m": "x"}}, "b": 5},
        "auto_model_priority": priority,
    }
    with pytest.raises(RegistryError, match=r"at \$"):
        Registry.load(document)


@pytest.mark.parametrize("read", [Registry.load, Registry.load().merged])
def test_what_is_in_todays_format_stays_beside_the_originals(read) -> None:
    endpoint = {"protocol": "openai-chat", "base_url": "https://new.test/v1"}
    new = {"name": "New", "endpoints": {"default": endpoint}, "models": {"m": "x"}}
    old = {"protocol": "openai", "endpoint": "https://old.test/v1"}
    both = {"name": "Both", "connection": old, "model_names": {"o": "y"}, "models": {"p": "z"},
            "quirks": {"max_n": 1}, "endpoints": {"more": endpoint}}  # fmt: skip
    made = read({"providers": {"new": new, "both": both}, "aliases": {"nick": "m"}})
    assert made.providers["new"].models == {"m": "x"}
    assert made.providers["both"].models == {"o": "y", "p": "z"}
    assert made.providers["both"].quirks.max_n == 1
    assert set(made.providers["both"].endpoints) == {"default", "more"}
    assert made.target("nick").model == "m"


def test_conversion_leaves_the_document_alone() -> None:
    before = json.dumps(ORIGINAL)
    convert(ORIGINAL)
    assert json.dumps(ORIGINAL) == before
