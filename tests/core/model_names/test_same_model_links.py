"""The rules against the links that people drew in models.dev.

`tests/data/README.md` says where both files come from.
"""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

import pytest

from inference_providers.model_names.canonical import canonical_name

DATA = Path(__file__).parents[2] / "data"


class Link(NamedTuple):
    provider: str
    model_id: str
    same_as: str


LINKS = [Link(*link) for link in json.loads((DATA / "same-model-links.json").read_text())["links"]]
IDS = {
    (provider, model_id)
    for provider, ids in json.loads((DATA / "models-dev-ids.json").read_text())["ids"].items()
    for model_id in ids
}

DISAGREEMENTS = {
    Link("anyapi", "deepseek/deepseek-r1", "deepseek/deepseek-reasoner"): (
        "the rules are right: deepseek-reasoner is whatever DeepSeek serves now, R1 is one model"
    ),
    Link(
        "cloudflare-workers-ai",
        "@cf/deepseek-ai/deepseek-r1-distill-qwen-32b",
        "deepseek/deepseek-r1",
    ): "the rules are right: a distilled Qwen of 32B is not R1",
    Link("helicone", "mistral-small", "mistral/mistral-small-2506"): (
        "the link is right here; the undated name moves with each release, so text cannot know"
    ),
    Link("moonshotai", "kimi-k2.7-code-highspeed", "moonshotai/kimi-k2.7-code"): (
        "the rules are right: three other links keep the highspeed model apart"
    ),
    Link("moonshotai-cn", "kimi-k2.7-code-highspeed", "moonshotai/kimi-k2.7-code"): (
        "the rules are right: three other links keep the highspeed model apart"
    ),
    Link("neon", "claude-sonnet-4", "anthropic/claude-sonnet-4-5-20250929"): (
        "the rules are right: Sonnet 4 is not Sonnet 4.5"
    ),
    Link("routing-run", "route/mimo-v2.5", "xiaomi/mimo-v2.5-pro"): (
        "the rules are right: MiMo V2.5 and V2.5 Pro are two models; this provider lists both"
    ),
    Link("snowflake-cortex", "mistral-large2", "mistral/mistral-large-latest"): (
        "the rules are right: Mistral Large 2 is the release of 2407, not the latest"
    ),
    Link("umans-ai-coding-plan", "umans-coder", "moonshotai/kimi-k2.7-code"): (
        "neither is right: the brand's model changes; the newer catalogue calls it GLM"
    ),
}
"""Links that the rules do not follow, and which of the two is right."""

ONE_MODEL = (
    {"anthropic/claude-haiku-4-5", "anthropic/claude-haiku-4-5-20251001"},
    {"anthropic/claude-opus-4-0", "anthropic/claude-opus-4-20250514"},
    {"anthropic/claude-opus-4-1", "anthropic/claude-opus-4-1-20250805"},
    {"anthropic/claude-opus-4-5", "anthropic/claude-opus-4-5-20251101"},
    {"anthropic/claude-sonnet-4-0", "anthropic/claude-sonnet-4-20250514"},
    {"anthropic/claude-sonnet-4-5", "anthropic/claude-sonnet-4-5-20250929"},
)
"""Link targets that are snapshots of one public model."""


def test_link_data_is_complete() -> None:
    assert len(LINKS) == 670
    assert len(IDS) == 8261


def test_canonical_name_follows_all_links_not_listed_above() -> None:
    differ = {
        link
        for link in LINKS
        if canonical_name(link.model_id, link.provider) != canonical_name(link.same_as)
    }
    assert differ == set(DISAGREEMENTS)
    assert len(differ) <= 0.02 * len(LINKS)


def test_canonical_name_keeps_link_targets_apart() -> None:
    targets = defaultdict(set)
    for link in LINKS:
        if link not in DISAGREEMENTS:
            targets[canonical_name(link.model_id, link.provider)].add(link.same_as)
    merged = [models for models in targets.values() if len(models) > 1]
    assert sorted(map(sorted, merged)) == sorted(map(sorted, ONE_MODEL))


APART = [
    # later releases under the same name
    ("gpt-4o", "gpt-4o-2024-05-13"),
    ("gpt-4o-2024-08-06", "gpt-4o-2024-11-20"),
    ("gpt-4o-2024-05-13", "gpt-4o-2024-11-20"),
    ("kimi-k2-0711", "kimi-k2-0905"),
    ("kimi-k2", "kimi-k2-0905"),
    ("deepseek-r1", "deepseek-r1-0528"),
    ("deepseek-v3", "deepseek-v3-0324"),
    ("deepseek-v3.1", "deepseek-v3.1-terminus"),
    ("deepseek-v3.2", "deepseek-v3.2-exp"),
    ("deepseek-v3.2", "deepseek-v3.2-speciale"),
    ("deepseek-v4-flash", "deepseek-v4-flash-0731"),
    ("deepseek-v4-flash-0423", "deepseek-v4-flash-0731"),
    ("deepseek-v4-pro", "deepseek-v4-pro-0813"),
    ("deepseek-v4-flash", "deepseek-v4.1-flash"),
    ("mistral-large-2402", "mistral-large-2407"),
    ("mistral-large-2407", "mistral-large-2411"),
    ("mistral-large-2411", "mistral-large-2512"),
    ("mistral-large-2402", "mistral-large-2512"),
    ("mistral-medium-2505", "mistral-medium-2508"),
    ("mistral-medium-2508", "mistral-medium-2604"),
    ("mistral-small-2503", "mistral-small-2506"),
    ("mistral-small-2506", "mistral-small-2603"),
    ("mistral-small-24b-instruct-2501", "mistral-small-3.1-24b-instruct"),
    ("ministral-8b-instruct-2410", "ministral-8b-2512"),
    ("codestral-2501", "codestral-2508"),
    ("devstral-small-2505", "devstral-small-2507"),
    ("devstral-small-2507", "labs-devstral-small-2512"),
    ("devstral-2512", "labs-devstral-small-2512"),
    ("qwen3-235b-a22b", "qwen3-235b-a22b-instruct-2507"),
    ("qwen3-235b-a22b-instruct-2507", "qwen3-235b-a22b-thinking-2507"),
    ("qwen3-235b-a22b", "qwen3-235b-a22b-thinking"),
    ("qwen3-30b-a3b", "qwen3-30b-a3b-instruct-2507"),
    ("qwen3.8-max", "qwen3.8-max-0902"),
    ("step-3.5-flash", "step-3.5-flash-2603"),
    ("gemini-2.5-flash", "gemini-2.5-flash-preview-05-20"),
    ("gemini-2.5-flash-preview-04-17", "gemini-2.5-flash-preview-05-20"),
    ("gemini-2.5-flash-preview-05-20", "gemini-2.5-flash-preview-09-2025"),
    ("gemini-2.5-flash-lite-preview-06-17", "gemini-2.5-flash-lite-preview-09-2025"),
    ("gemini-2.5-pro-preview-03-25", "gemini-2.5-pro-preview-05-06"),
    ("gemini-2.5-pro-preview", "gemini-2.5-pro-preview-05-06"),
    ("gemini-3.1-flash-lite", "gemini-3.1-flash-lite-preview"),
    ("llama-3.3-nemotron-super-49b-v1", "llama-3.3-nemotron-super-49b-v1.5"),
    ("claude-opus-4", "claude-opus-4-1"),
    ("nova-lite-v1", "nova-2-lite-v1"),
    ("deepseek-v4-flash", "deepseek-v4-flash-latest"),
    ("devstral-medium-2507", "devstral-medium-latest"),
    ("gemini-embedding-001", "gemini-embedding-2"),
    ("gemini-3-pro-image", "gemini-3-pro-image-preview"),
    ("qwen3-max", "qwen3-max-preview"),
    # sizes
    ("gpt-oss-20b", "gpt-oss-120b"),
    ("llama-3.1-8b-instruct", "llama-3.1-70b-instruct"),
    ("gemma-3-12b-it", "gemma-3-27b-it"),
    ("gemma-4-26b-a4b-it", "gemma-4-31b-it"),
    ("qwen3-coder", "qwen3-coder-30b-a3b-instruct"),
    ("qwen3-30b-a3b", "qwen3-32b"),
    ("gpt-4.1", "gpt-4.1-mini"),
    ("gpt-5.4-mini", "gpt-5.4-nano"),
    ("deepseek-r1", "deepseek-r1-distill-llama-70b"),
    ("deepseek-r1-distill-qwen-14b", "deepseek-r1-distill-qwen-32b"),
    ("deepseek-r1-0528", "deepseek-r1-0528-qwen3-8b"),
    ("llama-4-scout-17b-16e-instruct", "llama-4-maverick-17b-128e-instruct"),
    ("nemotron-3-nano-30b-a3b", "nemotron-3-super-120b-a12b"),
    ("command-r-08-2024", "command-r-plus-08-2024"),
    ("qwen3.8-max", "qwen3.8-2.4t-a95b"),
    ("mimo-v2.5", "mimo-v2.5-pro"),
    ("minimax-m1", "minimax-m1-80k"),
    ("devstral-small-2507", "devstral-medium-2507"),
    # vision, audio, image
    ("glm-4.5", "glm-4.5v"),
    ("glm-5-turbo", "glm-5v-turbo"),
    ("qwen3-235b-a22b-instruct-2507", "qwen3-vl-235b-a22b-instruct"),
    ("qwen2.5-72b-instruct", "qwen2.5-vl-72b-instruct"),
    ("nemotron-3-nano-30b-a3b", "nemotron-3-nano-omni-30b-a3b-reasoning"),
    ("gemini-2.5-flash", "gemini-2.5-flash-image"),
    ("gemini-2.5-flash", "gemini-2.5-flash-tts"),
    ("mimo-v2-flash", "mimo-v2-omni"),
    ("llama-3.2-11b-vision-instruct", "llama-3.2-3b-instruct"),
    # thinking variants that are other models
    ("kimi-k2", "kimi-k2-thinking"),
    ("kimi-k2-thinking", "kimi-k2-thinking-turbo"),
    ("qwen3-next-80b-a3b-instruct", "qwen3-next-80b-a3b-thinking"),
    ("qwen3-vl-235b-a22b-instruct", "qwen3-vl-235b-a22b-thinking"),
    ("qwen3-max", "qwen3-max-thinking"),
    ("ernie-4.5-21b-a3b", "ernie-4.5-21b-a3b-thinking"),
    ("trinity-large-preview-free", "trinity-large-thinking"),
    ("doubao-seed-1-6", "doubao-seed-1-6-thinking-250715"),
    ("grok-4.20-reasoning", "grok-4.20-non-reasoning"),
    ("grok-4.2-fast", "grok-4.2-fast-non-reasoning"),
    ("phi-4-mini-instruct", "phi-4-mini-reasoning"),
    ("sonar-pro", "sonar-reasoning-pro"),
    # code and other uses
    ("qwen2.5-72b-instruct", "qwen2.5-coder-32b-instruct"),
    ("qwen3-coder-plus", "qwen3-coder-flash"),
    ("qwen3-coder-next", "qwen3-coder-480b-a35b-instruct"),
    ("gpt-5.2", "gpt-5.2-codex"),
    ("gpt-5.1-codex", "gpt-5.1-codex-max"),
    ("gpt-5.3-codex", "gpt-5.3-codex-spark"),
    ("gpt-5", "gpt-5-chat"),
    ("gpt-5.1", "gpt-5.1-chat-latest"),
    ("gpt-3.5-turbo", "gpt-3.5-turbo-instruct"),
    ("gemini-3.1-pro-preview", "gemini-3.1-pro-preview-customtools"),
    ("gemma-4-31b-it", "gemma-4-31b-it-novelist"),
    ("o3", "o3-deep-research"),
    ("gpt-oss-20b", "gpt-oss-safeguard-20b"),
    ("llama-3.3-70b-instruct", "snowflake-llama3.3-70b"),
    ("multilingual-e5-large-instruct", "e5-large-v2"),
    # tiers that are models
    ("glm-5", "glm-5-turbo"),
    ("glm-4.5", "glm-4.5-air"),
    ("glm-4.7-flash", "glm-4.7-flashx"),
    ("glm-5.3-flash", "glm-5.3-flashx"),
    ("gpt-5.6-sol", "gpt-5.6-sol-pro"),
    ("gpt-5.6", "gpt-5.6-terra"),
    ("gpt-4", "gpt-4-turbo"),
    ("gemini-2.5-flash", "gemini-2.5-flash-lite"),
    ("gpt-5", "gpt-5-pro"),
    ("grok-4", "grok-4-fast"),
    ("qwen-plus", "qwen-turbo"),
    ("minimax-m2.7", "minimax-m2.7-highspeed"),
    ("minimax-m2.1", "minimax-m2.1-lightning"),
    ("fugu-ultra-v1-1", "fugu-ultra-v2"),
    ("granite-4.0-h-micro", "granite-4-h-small"),
    ("veo-3.1-generate-001", "veo-3.1-generate-preview"),
    ("veo-3.1-generate-001", "veo-3.1-fast-generate-001"),
    ("mimo-v2.5-pro", "mimo-v2.5-pro-ultraspeed"),
    ("kimi-k2.7-code", "kimi-k2.7-code-highspeed"),
    ("seed-2.0-lite", "seed-2.0-mini"),
    ("morph-v3-fast", "morph-v3-large"),
    ("flux-2-flex", "flux-2-pro"),
]


@pytest.mark.parametrize(("one", "other"), APART)
def test_canonical_name_keeps_two_models_apart(one: str, other: str) -> None:
    assert canonical_name(one) != canonical_name(other)


def test_models_to_keep_apart_exist_in_models_dev() -> None:
    listed = {model_id.lower().rsplit("/", 1)[-1] for _, model_id in IDS}
    assert {model_id for pair in APART for model_id in pair} - listed == set()
    assert len(APART) >= 60


def test_canonical_name_is_stable_for_all_models_dev_ids() -> None:
    once = {canonical_name(model_id, provider) for provider, model_id in IDS}
    once |= {canonical_name(model_id) for _, model_id in IDS}
    assert {name for name in once if canonical_name(name) != name} == set()


def test_canonical_name_unites_many_models_across_providers() -> None:
    served = defaultdict(set)
    for provider, model_id in IDS:
        served[canonical_name(model_id, provider)].add(provider)
    assert sum(len(providers) > 1 for providers in served.values()) >= 500
