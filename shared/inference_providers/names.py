"""Canonical model names: what providers' own ids have in common.

* Text rules only, applied in the order of `_RULES`; no registry, no network.
* The result is a fixed point: a canonical name maps to itself.
* What the rules cannot know (marketing names, brand names) stands in the
  registry as an alias or as an explicit id.
"""

from __future__ import annotations

import re
from difflib import get_close_matches
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["ModelName", "canonical_name", "did_you_mean", "parse_model_id"]

_RULES: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        (r"^.*/", ""),  # organisation, accounts/…/models/, publishers/…
        (r":(?:latest|free|nitro|floor|exacto)$", ""),  # routing tags name no other weights
        (r":(?=\d+(?:\.\d+)?[bm]\b)", "-"),  # Ollama writes the size as a tag
        (r"(?:[-_.](?:gguf|awq|gptq|fp8|fp16|bf16|int4|int8|q\d(?:_[0-9a-z]+)*))+$", ""),
        (r"\b(llama|gemma|phi)(?=\d)", r"\1-"),  # llama3.2 → llama-3.2
        (r"(?<=\d)p(?=\d)", "."),  # Fireworks writes a dot as p
        (r"(?<=[a-z]-\d)-(?=\d(?:-|$))", "."),  # claude-sonnet-4-5 → 4.5
        (r"(?<!gpt-\d)(?<!gpt-\d\.\d)-(?:instruct|chat|it)(?=$|-v?\d+(?:\.\d+)*$)", ""),
        (r"-v0\.\d$", ""),
    )
)


class ModelName(NamedTuple):
    """What a provider's own id says: the model, and the facts kept apart from it."""

    name: str
    tier: str | None = None
    snapshot: str | None = None
    quantization: str | None = None


@lru_cache(maxsize=4096)
def parse_model_id(model_id: str, provider: str | None = None) -> ModelName:
    """Split a provider's own id into canonical name, tier, snapshot and quantization.

    `provider` matters for ids that only their own provider understands.
    """
    del provider
    name = model_id.strip().lower()
    for pattern, replacement in _RULES:
        name = pattern.sub(replacement, name)
    return ModelName(name)


def canonical_name(model_id: str, provider: str | None = None) -> str:
    """Return the canonical name that a provider's own id suggests.

    Case, organisation prefix, quantization and `-instruct`/`-chat`/`-it` do not
    matter. Whether anybody serves the result is the registry's to say.
    """
    return parse_model_id(model_id, provider).name


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return `; did you mean 'a' or 'b'?`, or nothing when no name is near."""
    near = get_close_matches(name.lower(), list(known), n=3, cutoff=0.6)
    return f"; did you mean {' or '.join(map(repr, near))}?" if near else ""
