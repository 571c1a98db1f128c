"""What the text rules cannot know: facts about single models.

Sources: the models.dev catalogue of 2026-09-28, and the makers' model cards. Names on the
right are canonical; a test checks that the rules leave them unchanged.
"""

from __future__ import annotations

__all__ = [
    "ACTIVE_PARAMETERS",
    "ALIASES",
    "FIRST_RELEASES",
    "LATEST_POINTERS",
    "PROVIDER_IDS",
    "SHORT_IDS",
]

ACTIVE_PARAMETERS = {
    "ernie-4.5-21b": "a3b",
    "ernie-4.5-300b": "a47b",
    "gemma-4-26b": "a4b",
    "nemotron-3-nano-30b": "a3b",
    "nemotron-3-super-120b": "a12b",
    "nemotron-3-ultra-550b": "a55b",
    "qwen3-235b": "a22b",
    "qwen3-30b": "a3b",
    "qwen3-coder-30b": "a3b",
    "qwen3-coder-480b": "a35b",
    "qwen3-next-80b": "a3b",
    "qwen3-omni-30b": "a3b",
    "qwen3-vl-235b": "a22b",
    "qwen3-vl-30b": "a3b",
    "qwen3.5-122b": "a10b",
    "qwen3.5-35b": "a3b",
    "qwen3.5-397b": "a17b",
    "qwen3.6-35b": "a3b",
    "qwen3.8-2.4t": "a95b",
}
"""Active parameters, which some providers leave out of a mixture-of-experts name."""

FIRST_RELEASES = {
    "deepseek-r1-0120": "deepseek-r1",
    "deepseek-v3-1226": "deepseek-v3",
    "deepseek-v4-flash-0423": "deepseek-v4-flash",
    "deepseek-v4-pro-0423": "deepseek-v4-pro",
    "kimi-k2-0711": "kimi-k2",
}
"""Dated names of the release that the undated name refers to; later dates are other models."""

ALIASES = {
    "beam": "beam-1.0-501b-a23b",
    "deepseek-flash": "deepseek-v4.1-flash",
    "devstral-2": "devstral-2512",
    "devstral-medium": "devstral-medium-2507",
    "devstral-small": "devstral-small-2507",
    "devstral-small-1.1": "devstral-small-2507",
    "devstral-small-2": "devstral-small-2512",
    "diffusiongemma": "diffusiongemma-26b-a4b",
    "dolphin-mistral-24b-venice-edition": "dolphin-mistral-24b",
    "gemini-2.5-pro-preview": "gemini-2.5-pro-preview-06-05",
    "gemini-3-flash": "gemini-3-flash-preview",
    "gemini-3-pro": "gemini-3-pro-preview",
    "gemini-3.1-pro": "gemini-3.1-pro-preview",
    "gemini-embedding": "gemini-embedding-001",
    "gpt-3.5-turbo": "gpt-3.5",
    "gpt-3.5-turbo-16k": "gpt-3.5",
    "gpt-4-0125-preview": "gpt-4-turbo",
    "gpt-4-1106-preview": "gpt-4-turbo",
    "gpt-4-classic": "gpt-4",
    "gpt-4o-20240513": "gpt-4o-2024-05-13",
    "gpt-4o-20241120": "gpt-4o-2024-11-20",
    "gpt-5.1-instant": "gpt-5.1-chat",
    "gpt-5.2-instant": "gpt-5.2-chat",
    "gpt-5.3-instant": "gpt-5.3-chat",
    "gpt-5.6": "gpt-5.6-sol",
    "grok-4.2": "grok-4.20",
    "grok-4.2-fast": "grok-4.20",
    "grok-4.2-fast-non-reasoning": "grok-4.20-non-reasoning",
    "kimi-k2.7": "kimi-k2.7-code",
    "l3-lunaris-8b": "l3-8b-lunaris",
    "l3.1-euryale-70b": "l3.1-70b-euryale-v2.2",
    "l3.3-euryale-70b": "l3.3-70b-euryale-v2.3",
    "llama-guard-4": "llama-guard-4-12b",
    "m2-her": "minimax-m2-her",
    "magistral-medium-1.2": "magistral-medium-2509",
    "magistral-small-1.1": "magistral-small-2507",
    "magistral-small-1.2": "magistral-small-2509",
    "mistral-3-14b": "ministral-14b",
    "mistral-4-119b": "mistral-small-4",
    "mistral-large-2": "mistral-large-2407",
    "mistral-large-2.1": "mistral-large-2411",
    "mistral-large-2512": "mistral-large-3",
    "mistral-medium-2505": "mistral-medium-3",
    "mistral-medium-2508": "mistral-medium-3.1",
    "mistral-medium-2604": "mistral-medium-3.5",
    "mistral-nemo-12b": "mistral-nemo",
    "mistral-small-24b": "mistral-small-3",
    "mistral-small-2501": "mistral-small-3",
    "mistral-small-2503": "mistral-small-3.1",
    "mistral-small-2506": "mistral-small-3.2",
    "mistral-small-2603": "mistral-small-4",
    "muse-ember": "muse-ember-1.0",
    "muse-spark-open-816b-a42b": "muse-spark-open",
    "muse-wonder": "muse-wonder-1.0",
    "nano-banana": "gemini-2.5-flash-image",
    "nano-banana-2": "gemini-3.1-flash-image",
    "nano-banana-2-lite": "gemini-3.1-flash-lite-image",
    "nano-banana-pro": "gemini-3-pro-image",
    "nemotron-120b-a12b": "nemotron-3-super-120b-a12b",
    "nemotron-3-120b-a12b": "nemotron-3-super-120b-a12b",
    "nemotron-3-nano": "nemotron-3-nano-30b-a3b",
    "nemotron-3-nano-omni-30b": "nemotron-3-nano-omni",
    "nemotron-3-nano-omni-30b-a3b": "nemotron-3-nano-omni",
    "nemotron-3-nano-omni-30b-a3b-reasoning": "nemotron-3-nano-omni",
    "nemotron-3-super": "nemotron-3-super-120b-a12b",
    "nemotron-3-ultra": "nemotron-3-ultra-550b-a55b",
    "nemotron-3.5-lightning-30b-a3b": "nemotron-3.5-lightning",
    "nemotron-3.5-super-vl-120b-a12b": "nemotron-3.5-super-vl",
    "north-mini-code-1.0": "north-mini-code",
    "qwen2.5-7b-vision": "qwen2.5-vl-7b",
    "qwen3-235b-a22b-instruct": "qwen3-235b-a22b-2507",
    "qwen3-235b-a22b-thinking": "qwen3-235b-a22b-thinking-2507",
    "qwen3-30b-a3b-instruct": "qwen3-30b-a3b-2507",
    "qwen3-30b-a3b-thinking": "qwen3-30b-a3b-thinking-2507",
    "qwen3-4b-instruct": "qwen3-4b-2507",
    "qwen3-4b-thinking": "qwen3-4b-thinking-2507",
    "qwen3-coder": "qwen3-coder-480b-a35b",
    "qwen3-vl": "qwen3-vl-235b-a22b",
    "qwen3-vl-thinking": "qwen3-vl-235b-a22b-thinking",
    "voxtral-small-24b": "voxtral-small",
}
"""Other names of a model: a marketing name, a date, a name without size or `preview`."""

LATEST_POINTERS = {
    "deepseek-v4-flash-latest": "deepseek-v4-flash-0731",
    "devstral-latest": "devstral-2512",
    "devstral-medium-latest": "devstral-2512",
}
"""Names for which `-latest` is a later model than the name without it."""

PROVIDER_IDS = {
    ("amazon", "deepseek.v3"): "deepseek-v3.1",
    ("amazon", "nvidia.nemotron-nano-12b-v2"): "nemotron-nano-12b-v2-vl",
    ("cortecs", "nemotron-nano-v2-12b"): "nemotron-nano-12b-v2-vl",
    ("fireworks", "qwen-max-latest"): "qwen3.8-max",
    ("nan", "gemma4"): "gemma-4-26b-a4b",
    ("nan", "qwen3.6"): "qwen3.6-35b-a3b",
    ("opencode", "grok-code"): "grok-code-fast-1",
    ("poe", "glm-4.7-n"): "glm-4.7",
    ("vercel", "qwen-3-235b"): "qwen3-235b-a22b-2507",
}
"""Ids with a special meaning at one provider, by the first word of the provider's id."""

SHORT_IDS = {"kimi": ("k", "kimi-")}
"""Providers (first word of the id) that leave out a prefix: how such ids begin, and the prefix."""
