"""Canonical names follow from text alone."""

from __future__ import annotations

import pytest

from inference_providers.names import canonical_name, did_you_mean
from inference_providers.registry import Registry


@pytest.mark.parametrize(
    ("model_id", "canonical"),
    [
        ("gpt-4.1", "gpt-4.1"),
        ("  GPT-4.1 ", "gpt-4.1"),
        ("meta-llama/Llama-3.3-70B-Instruct", "llama-3.3-70b"),
        ("accounts/fireworks/models/kimi-k2p6", "kimi-k2.6"),
        ("meta-llama/Llama-3.3-70B-Instruct:free", "llama-3.3-70b"),
        ("mistralai/Mixtral-8x7B-Instruct-v0.1", "mixtral-8x7b"),
        ("llama3.2:latest", "llama-3.2"),
        ("llama3.2:3b", "llama-3.2-3b"),
        ("qwen3:0.6b", "qwen3-0.6b"),
        ("/models/Qwen3-4B-Q4_K_M.gguf", "qwen3-4b"),
        ("TheBloke/Mistral-7B-Instruct-v0.2-AWQ", "mistral-7b"),
        ("claude-sonnet-4-5", "claude-sonnet-4.5"),
        ("gemma3-12b-it", "gemma-3-12b"),
        ("SmolLM2-135M-Instruct.Q4_1.gguf", "smollm2-135m"),
        ("gpt-5-chat", "gpt-5-chat"),
        ("gpt-5.1-chat", "gpt-5.1-chat"),
        ("", ""),
    ],
)
def test_a_providers_own_id_suggests_its_canonical_name(model_id: str, canonical: str) -> None:
    assert canonical_name(model_id) == canonical


def test_canonical_names_of_the_registry_are_fixed_points() -> None:
    moved = {name: new for name in Registry.load().models if (new := canonical_name(name)) != name}
    assert moved == {}


def test_applying_the_rules_twice_changes_nothing() -> None:
    registry = Registry.load()
    ids = {
        entry.id
        for provider_id, provider in registry.providers.items()
        for model in provider.models
        for entry in registry.entries(provider_id, model)
    }
    once = {canonical_name(model_id) for model_id in ids}
    assert len(once) > 100
    assert {name for name in once if canonical_name(name) != name} == set()


def test_near_names_are_suggested_nearest_first() -> None:
    known = ["llama-3.3-70b", "llama-3.1-8b", "gpt-4o"]
    assert did_you_mean("Lama-3.3-70b", known).startswith("; did you mean 'llama-3.3-70b'")


def test_nothing_is_suggested_when_no_name_is_near() -> None:
    assert did_you_mean("zzz", ["llama-3.3-70b"]) == ""
