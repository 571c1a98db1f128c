"""Canonical names follow from text alone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from inference_providers.model_names.aliases import (
    ACTIVE_PARAMETERS,
    ALIASES,
    FIRST_RELEASES,
    LATEST_POINTERS,
)
from inference_providers.model_names.canonical import (
    ModelName,
    canonical_name,
    did_you_mean,
    parse_model_id,
)
from inference_providers.registry.registry import Registry

ORIGINAL = Path(__file__).parents[2] / "data" / "original-inference-providers.json"


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
def test_canonical_name_of_a_model_id(model_id: str, canonical: str) -> None:
    assert canonical_name(model_id) == canonical


@pytest.mark.parametrize(
    ("model_id", "expected"),
    [
        ("gpt-4.1-2025-04-14", ModelName("gpt-4.1", snapshot="2025-04-14")),
        ("claude-haiku-4-5@20251001", ModelName("claude-haiku-4.5", snapshot="20251001")),
        ("command-r-08-2024", ModelName("command-r", snapshot="08-2024")),
        ("doubao-seed-1-6-250615", ModelName("seed-1.6", snapshot="250615")),
        ("deepseek-v3-1-250821", ModelName("deepseek-v3.1", snapshot="250821")),
        ("kimi-k2-thinking-251104", ModelName("kimi-k2-thinking", snapshot="251104")),
        ("qwen3.5-plus-02-15", ModelName("qwen3.5-plus", snapshot="02-15")),
        ("pixtral-12b-2409", ModelName("pixtral-12b", snapshot="2409")),
        ("grok-4.20-0309-reasoning", ModelName("grok-4.20", snapshot="0309")),
        ("kimi-k2-0711-preview", ModelName("kimi-k2", snapshot="0711")),
        ("mistral-7b-instruct-v0.2", ModelName("mistral-7b", snapshot="v0.2")),
        ("qwen/qwen3-coder:free", ModelName("qwen3-coder-480b-a35b", "free")),
        ("claude-opus-4.1:thinking:1024", ModelName("claude-opus-4.1", "thinking:1024")),
        ("claude-sonnet-4-thinking:8192", ModelName("claude-sonnet-4", "thinking:8192")),
        ("gemini-2.5-flash-nothink", ModelName("gemini-2.5-flash", "no-thinking")),
        ("openai/gpt-oss-120b-Turbo", ModelName("gpt-oss-120b", "turbo")),
        ("claude-3.7-sonnet-thought", ModelName("claude-3.7-sonnet", "thinking")),
        ("llama4-scout-instruct-basic", ModelName("llama-4-scout", "basic")),
        ("moonshotai/Kimi-K2.6-Fast", ModelName("kimi-k2.6", "fast")),
        ("glm-5.2-short-fast-flex", ModelName("glm-5.2", "short-fast-flex")),
        ("meta-llama/Llama-3.3-70B-Instruct-Turbo", ModelName("llama-3.3-70b", "turbo")),
        ("mixtral-8x7b-32768", ModelName("mixtral-8x7b", "32768")),
        ("o4-mini-high", ModelName("o4-mini", "high")),
        ("gpt-oss-120b-high", ModelName("gpt-oss-120b", "high")),
        ("claude-opus-4-6-low", ModelName("claude-opus-4.6", "low")),
        ("Qwen2.5-72B-Instruct-128K", ModelName("qwen2.5-72b", "128k")),
        ("route/mimo-v2.5-pro-202k", ModelName("mimo-v2.5-pro", "202k")),
        ("TEE/glm-5", ModelName("glm-5", "tee")),
        ("gemini-3.6-flash@eu", ModelName("gemini-3.6-flash", "eu")),
        (
            "us.anthropic.claude-opus-4-1-20250805-v1:0",
            ModelName("claude-opus-4.1", "us", "20250805"),
        ),
        (
            "@cf/meta/llama-3.3-70b-instruct-fp8-fast",
            ModelName("llama-3.3-70b", "fast", None, "fp8"),
        ),
        ("Qwen3_5-9B-Q4_K_M.gguf", ModelName("qwen3.5-9b", quantization="q4_k_m")),
        ("unsloth/Qwen3-8B.UD-Q4_K_XL", ModelName("qwen3-8b", quantization="ud_q4_k_xl")),
        ("llama3.1:8b-instruct-q8_0", ModelName("llama-3.1-8b", quantization="q8_0")),
        ("gemma-4-e4b-it-mlx-4bit", ModelName("gemma-4-e4b", quantization="mlx-4bit")),
        ("deepseek-v3.2-nvfp4", ModelName("deepseek-v3.2", quantization="nvfp4")),
        ("gemma-4-31b-16bit", ModelName("gemma-4-31b", quantization="16bit")),
        ("mistral-7b-instruct-v03", ModelName("mistral-7b", snapshot="v03")),
    ],
)
def test_parse_model_id_separates_facts_from_the_name(model_id: str, expected: ModelName) -> None:
    assert parse_model_id(model_id) == expected


@pytest.mark.parametrize(
    "name",
    [
        "cogito-8b",
        "deepseek-chat",
        "deepseek-v3.2-exp",
        "gemini-2.5-flash-lite",
        "gemini-2.5-flash-preview-09-2025",
        "glm-4.5-air",
        "glm-5-turbo",
        "gpt-3.5-turbo-instruct",
        "gpt-4-32k",
        "gpt-4-turbo",
        "gpt-5-chat",
        "grok-4-fast",
        "grok-code-fast-1",
        "imagen-4-fast",
        "kimi-k2-0905",
        "kimi-k2-thinking",
        "kimi-k2-thinking-turbo",
        "minimax-m2.7-highspeed",
        "moonshot-v1-32k",
        "multilingual-e5-large-instruct",
        "nemotron-nano-9b-v2",
        "nomic-embed-text-v1",
        "o1-preview",
        "phi-3-mini-128k",
        "qwen-turbo",
        "qwen2.5-7b-1m",
        "qwen3-235b-a22b-thinking-2507",
        "qwq-32b-preview",
        "step-3.5-flash-2603",
        "whisper-large-v3-turbo",
    ],
)
def test_parse_model_id_keeps_words_that_make_another_model(name: str) -> None:
    assert parse_model_id(name) == ModelName(name)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("claude-4.5-haiku", "claude-haiku-4-5"),
        ("gpt-4o", "gpt-4o-2024-08-06"),
        ("gpt-4o-20241120", "openai/gpt-4o-2024-11-20"),
        ("claude-sonnet-3.7", "claude-3-7-sonnet"),
        ("gemini-flash-1.5", "gemini-1.5-flash"),
        ("nvidia.nemotron-nano-3-30b", "nemotron-3-nano-30b-a3b"),
        ("openai-gpt-54-mini", "gpt-5.4-mini"),
        ("minimax-m25", "MiniMax-M2.5"),
        ("qwen-3-8-2-4t-a95b", "Qwen3.8-2.4T-A95B"),
        ("llama-v3p1-8b-instruct", "meta-llama-3.1-8b-instruct"),
        ("mistral-medium-3.5-128b", "mistral-medium-2604"),
        ("mistral-small-3.2", "Mistral-Small-3.2-24B-Instruct-2506"),
        ("mistral-large-3:675b", "mistral-large-2512"),
        ("devstral-2:123b", "devstral-2512"),
        ("kimi-k2:1t", "kimi-k2-instruct"),
        ("deepseek-v3.1:671b", "deepseek-chat-v3.1"),
        ("deepseek-v4-flash-ga-260731", "deepseek-v4-flash:0731"),
        ("qwen3-235b-a22b-instruct", "qwen3-235b-a22b-instruct-2507"),
        ("grok-4-20-beta-0309-non-reasoning", "grok-4.20-non-reasoning"),
        ("duo-chat-opus-4-6", "claude-opus-4-6"),
        ("c4ai-aya-expanse-32b", "aya-expanse-32b"),
        ("sarvamai-sarvam-30b", "sarvam-30b"),
        ("stepfun-ai-step-3.5-flash", "step-3.5-flash"),
        ("meta-llama-llama-4-scout", "llama-4-scout"),
        ("mistral-devstral-small-2505", "devstral-small-2505"),
        ("us.deepseek-ai.deepseek-r1-v1:0", "deepseek-r1"),
        ("black-forest-labs/FLUX.2-klein-4B", "flux_2-klein-4b"),
        ("veo3.1-fast", "veo-3.1-fast"),
        ("x-ai/grok-4.2-fast", "grok-4.20-0309-reasoning"),
        ("x-ai/grok-4.2-fast-non-reasoning", "grok-4.20-0309-non-reasoning"),
        ("mistralai/devstral-medium", "devstral-medium-2507"),
        ("mistralai/devstral-small", "devstral-small-2507"),
        ("devstral-latest", "devstral-2512"),
        ("devstral-medium-latest", "devstral-2512"),
        ("gpt-5.6", "gpt-5.6-sol"),
        ("google/diffusiongemma", "diffusiongemma-26B-A4B-it"),
        ("~deepseek/deepseek-v4-flash-latest", "deepseek-v4-flash-0731"),
        ("~deepseek/deepseek-flash-latest", "deepseek-v4.1-flash"),
        ("nano-banana-pro", "gemini-3-pro-image"),
        ("google/gemini-2.5-pro-preview", "gemini-2.5-pro-preview-06-05"),
        ("minimax/minimax-m2.1-lightning", "MiniMax-M2.1-highspeed"),
        ("minimax-m2.5-lightning", "MiniMax-M2.5-highspeed"),
        ("fugu-ultra-v2-0", "sakana/fugu-ultra-v2"),
        ("deepseek-v3.0", "deepseek-v3"),
        ("ibm/granite-4-h-small", "granite-4.0-h-small"),
        ("google/imagen-4.0-ultra", "imagen-4-ultra"),
        ("google/veo-3.0-fast-generate-001", "veo-3-fast"),
        ("google/google-paligemma", "paligemma"),
        ("open-codestral-mamba", "codestral-mamba"),
        ("llama4:scout", "Llama-4-Scout-17B-16E-Instruct"),
        ("phi4:14b", "microsoft/phi-4"),
        ("phi4-mini:3.8b", "phi-4-mini-instruct"),
        ("qwen2.5vl:7b", "Qwen2.5-VL-7B-Instruct"),
        ("granite3.3:8b", "ibm/granite-3-3-8b-instruct"),
        ("llama3.2-vision:11b", "llama-3.2-11b-vision-instruct"),
        ("command-r7b:7b", "command-r7b-12-2024"),
        ("command-a:111b", "command-a-03-2025"),
        ("nomic-embed-text:v1.5", "nomic-ai/nomic-embed-text-v1.5"),
        ("gemma3:27b-it-qat", "gemma-3-27b-it"),
        ("Llama-3.2-3B-Instruct-f16.gguf", "llama-3.2-3b"),
        ("mlx-community/Qwen3-30B-A3B-4bit-DWQ", "qwen3-30b-a3b"),
        ("RedHatAI/Llama-3.3-70B-Instruct-quantized.w4a16", "llama-3.3-70b"),
        ("kimi-k2-250905", "kimi-k2-0905"),
        ("kimi-k2-250711", "kimi-k2"),
        ("deepseek-r1-250120", "deepseek-r1"),
        ("deepseek-r1-250528", "deepseek-r1-0528"),
        ("deepseek-v3-2025-03-24", "deepseek-v3-0324"),
    ],
)
def test_canonical_name_is_the_same_for_two_spellings(one: str, other: str) -> None:
    assert canonical_name(one) == canonical_name(other)


@pytest.mark.parametrize(
    ("provider", "model_id", "canonical"),
    [
        ("deepseek", "deepseek-flash", "deepseek-v4.1-flash"),
        ("kimi-code-plan-cn", "k3", "kimi-k3"),
        ("kimi-coding", "k2p7", "kimi-k2.7-code"),
        ("", "k2-think", "k2-think"),
        ("amazon-bedrock", "us.deepseek.v3-v1:0", "deepseek-v3.1"),
        ("anybrand-ai", "anybrand-glm-5.1", "glm-5.1"),
        ("snowflake-cortex", "snowflake-llama3.3-70b", "snowflake-llama-3.3-70b"),
        ("opencode", "grok-code", "grok-code-fast-1"),
        ("fireworks-ai", "accounts/fireworks/routers/qwen-max-latest", "qwen3.8-max"),
        ("alibaba", "qwen-max-latest", "qwen-max"),
        ("vercel", "alibaba/qwen-3-235b", "qwen3-235b-a22b-2507"),
        ("cortecs", "nemotron-nano-v2-12b", "nemotron-nano-12b-v2-vl"),
        ("mistral", "mistral-nemotron", "mistral-nemotron"),
    ],
)
def test_canonical_name_depends_on_the_provider_for_some_ids(
    provider: str, model_id: str, canonical: str
) -> None:
    assert canonical_name(model_id, provider) == canonical


def test_canonical_name_keeps_fine_tuned_models_apart() -> None:
    one, other = (canonical_name(f"ft:gpt-4.1-mini-2025-04-14:org::{job}") for job in ("a1", "b2"))
    assert one == canonical_name(one) == "ft-gpt-4.1-mini-2025-04-14-org-a1"
    assert other not in {one, canonical_name("gpt-4.1-mini")}


def test_targets_of_aliases_are_canonical() -> None:
    targets = {*ALIASES.values(), *FIRST_RELEASES.values(), *LATEST_POINTERS.values()}
    targets |= {f"{total}-{active}" for total, active in ACTIVE_PARAMETERS.items()}
    assert {name for name in targets if canonical_name(name) != name} == set()


def test_aliases_are_applied() -> None:
    assert {alias for alias in ALIASES if canonical_name(alias) != ALIASES[alias]} == set()


def test_latest_pointers_differ_from_the_undated_name() -> None:
    for pointer, target in LATEST_POINTERS.items():
        assert canonical_name(pointer) == target
        assert canonical_name(pointer.removesuffix("-latest")) != target


def test_canonical_name_keeps_the_original_projects_names() -> None:
    original = json.loads(ORIGINAL.read_text())["providers"].values()
    names = {name for provider in original for name in provider["model_names"]}
    assert len(names) > 30
    assert {name for name in names if canonical_name(name) != name} == set()


def test_canonical_name_keeps_names_of_the_registry() -> None:
    moved = {name: new for name in Registry.load().models if (new := canonical_name(name)) != name}
    assert moved == {}


def test_canonical_name_of_registry_ids_is_canonical() -> None:
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


def test_did_you_mean_suggests_the_most_similar_name_first() -> None:
    names = ["llama-3.3-70b", "llama-3.1-8b", "gpt-4o"]
    assert did_you_mean("Lama-3.3-70b", names).startswith("; did you mean 'llama-3.3-70b'")


def test_did_you_mean_is_empty_if_no_name_is_similar() -> None:
    assert did_you_mean("zzz", ["llama-3.3-70b"]) == ""
