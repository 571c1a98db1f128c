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


def test_convert_keeps_every_provider_and_model(registry: Registry) -> None:
    assert list(registry.providers) == [p for p in ORIGINAL["providers"] if p != "localhost"]
    assert set(registry.models) == SERVED
    for provider_id, provider in registry.providers.items():
        assert provider.models == ORIGINAL["providers"][provider_id]["model_names"]
        assert provider.name == ORIGINAL["providers"][provider_id]["name"]


def test_convert_keeps_endpoints_and_keys(registry: Registry) -> None:
    for provider_id, provider in registry.providers.items():
        connection = ORIGINAL["providers"][provider_id]["connection"]
        assert provider.auth.any_of == ((connection["api_key"],),)
        url = connection.get("endpoint", "https://api.openai.com/v1")
        assert provider.endpoints["default"].base_url == url.replace("$MODEL_NAME", "{model_id}")
    assert "{model_id}" in registry.providers["lepton"].endpoints["default"].base_url


def test_convert_renames_protocols(registry: Registry) -> None:
    protocols = {p: row.endpoints["default"].protocol for p, row in registry.providers.items()}
    assert protocols.pop("anthropic") == "anthropic"
    assert set(protocols.values()) == {"openai-chat"}


def test_convert_leaves_out_the_template_for_local_ports(registry: Registry) -> None:
    assert "localhost" in ORIGINAL["providers"]
    assert "localhost" not in registry.providers


def test_convert_keeps_served_names_of_the_priority_list(registry: Registry) -> None:
    expected = [name for name in ORIGINAL["auto_model_priority"] if name in SERVED]
    assert list(registry.document.auto_model_priority) == expected
    assert len(expected) < len(ORIGINAL["auto_model_priority"])
    for name in expected:
        assert registry.target(name).model == name


def test_convert_leaves_out_broken_providers(registry: Registry) -> None:
    assert "replicate" in ORIGINAL["broken"]
    with pytest.raises(UnknownModelError):
        registry.target("falcon-40b")


@pytest.mark.parametrize("provider_id", ["openai", "groq", "perplexity"])
def test_merged_legacy_file_adds_only_its_model(
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


def test_merged_legacy_file_changes_and_removes_providers() -> None:
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


def test_merged_takes_the_whole_original_file() -> None:
    merged = Registry.load().merged(FILE)
    assert set(merged.models) >= SERVED | set(Registry.load().models)


def test_convert_of_a_row_without_api_key_needs_no_key() -> None:
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
def test_is_legacy_depends_on_the_rows(document: object, answer: bool) -> None:
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
def test_load_names_the_place_in_a_broken_legacy_row(row: dict, path: str) -> None:
    with pytest.raises(RegistryError, match=path):
        Registry.load({"providers": {"a": row}})


@pytest.mark.parametrize("priority", [5, "gpt-4", [5]])
def test_load_names_the_place_of_a_broken_priority_list(priority: object) -> None:
    document = {
        "providers": {"a": {"model_names": {"m": "x"}}, "b": 5},
        "auto_model_priority": priority,
    }
    with pytest.raises(RegistryError, match=r"at \$"):
        Registry.load(document)


@pytest.mark.parametrize("read", [Registry.load, Registry.load().merged])
def test_convert_keeps_what_is_in_the_current_format(read) -> None:
    endpoint = {"protocol": "openai-chat", "base_url": "https://new.test/v1"}
    new = {"name": "New", "endpoints": {"default": endpoint}, "models": {"m": "x"}}
    old = {"protocol": "openai", "endpoint": "https://old.test/v1"}
    both = {"name": "Both", "connection": old, "model_names": {"o": "y"}, "models": {"p": "z"},
            "quirks": {"max_n": 1}, "endpoints": {"more": endpoint}}  # fmt: skip
    registry = read({"providers": {"new": new, "both": both}, "aliases": {"nick": "m"}})
    assert registry.providers["new"].models == {"m": "x"}
    assert registry.providers["both"].models == {"o": "y", "p": "z"}
    assert registry.providers["both"].quirks.max_n == 1
    assert set(registry.providers["both"].endpoints) == {"default", "more"}
    assert registry.target("nick").model == "m"


def test_convert_does_not_change_its_argument() -> None:
    before = json.dumps(ORIGINAL)
    convert(ORIGINAL)
    assert json.dumps(ORIGINAL) == before
