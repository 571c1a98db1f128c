"""Canonical model names: what the ids of different providers have in common.

* Text rules and a table of aliases only; no registry and no network.
* Tier, snapshot and quantization are separated from the name, except where they make
  another model (`deepseek-r1-0528`, `glm-5-turbo`, `kimi-k2-thinking`).
* A canonical name maps to itself.
"""

from __future__ import annotations

from difflib import get_close_matches
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from inference_providers.model_names.aliases import (
    ACTIVE_PARAMETERS,
    ALIASES,
    FIRST_RELEASES,
    LATEST_POINTERS,
    PROVIDER_IDS,
    SHORT_IDS,
)
from inference_providers.model_names.rules import (
    NO_TIER,
    OWN_WEIGHTS,
    SERVING_PREFIXES,
    SUFFIX_SYNONYMS,
    compiled_rules,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from inference_providers.model_names.rules import CompiledRewrite

__all__ = ["ModelName", "canonical_name", "did_you_mean", "parse_model_id"]

_MAX_ROUNDS = 4
_TO_UNDERSCORES = str.maketrans("-.", "__")

Fact = tuple[str, str]
"""What a part of an id states, and the part: `("tier", "free")`."""


class ModelName(NamedTuple):
    """What a provider's model id states: the model, and what is separated from its name."""

    name: str
    tier: str | None = None
    snapshot: str | None = None
    quantization: str | None = None


@lru_cache(maxsize=4096)
def parse_model_id(model_id: str, provider: str | None = None) -> ModelName:
    """Split a provider's model id into canonical name, tier, snapshot and quantization.

    Whether any provider serves the result is for the registry to say.

    Args:
        model_id: Any spelling of a model's name.
        provider: The provider's id, for ids that have a special meaning there.
    """
    facts: list[Fact] = []
    text = _without_path_and_tag("-".join(model_id.lower().split()).rstrip("/"), facts)
    brand = (provider or "").lower().partition("-")[0]
    text = PROVIDER_IDS.get((brand, text)) or LATEST_POINTERS.get(text) or _unbranded(text, brand)
    for _ in range(_MAX_ROUNDS):  # one rule may make another applicable
        before, text = text, _apply_rules(text, facts)
        if text == before:
            break
    return ModelName(
        text,
        tier=_joined(facts, "tier"),
        snapshot=_joined(facts, "snapshot"),
        quantization=_joined(facts, "quantization"),
    )


def canonical_name(model_id: str, provider: str | None = None) -> str:
    """Return the canonical name of a provider's model id.

    Case, organization, tier, snapshot, quantization and `-instruct`, `-chat` or `-it` are
    ignored, except where they make another model.
    """
    return parse_model_id(model_id, provider).name


def did_you_mean(name: str, names: Iterable[str]) -> str:
    """Return `; did you mean 'a' or 'b'?`, or an empty text if no name is similar."""
    similar = get_close_matches(name.lower(), list(names), n=3, cutoff=0.6)
    return f"; did you mean {' or '.join(map(repr, similar))}?" if similar else ""


def _without_path_and_tag(text: str, facts: list[Fact]) -> str:
    """Return the last path segment without `:tag` and `@place`; note what those state."""
    rules = compiled_rules()
    path, _, text = text.rpartition("/")
    first_segment = path.partition("/")[0]
    if first_segment in SERVING_PREFIXES:
        facts.append(("tier", first_segment))
    while region := rules.region.match(text):
        facts.append(("tier", region[1]))
        text = text[region.end() :]
    if path and text in {"community", "thinking"}:
        text = f"{path.rpartition('/')[2]}-{text}"
    if text.startswith("ft:"):  # fine-tuned weights: everything after it names them
        text = text.replace(":", "-")
    text, _, place = text.partition("@")
    if place not in NO_TIER:
        facts.append(("snapshot" if rules.date.fullmatch(place) else "tier", place))
    if ":" in text:
        return _without_tag(rules.revision.sub("", text), facts)
    return text


def _without_tag(text: str, facts: list[Fact]) -> str:
    """Split `name:tag`; a size or variant belongs to the name, anything else is a tier."""
    name, _, tag = text.partition(":")
    if name.endswith("-thinking") and tag.isdigit():  # a token budget, not a date
        name, tag = name.removesuffix("-thinking"), f"thinking:{tag}"
    if compiled_rules().part_of_name.match(tag):
        return f"{name}-{tag.replace(':', '-')}"
    if tag not in NO_TIER:
        facts.append(("tier", tag))
    return name


def _unbranded(text: str, brand: str) -> str:
    """Remove the provider's brand before a model family, or add what its ids leave out."""
    if brand in SHORT_IDS:
        letter, prefix = SHORT_IDS[brand]
        if text.startswith(letter) and text[1:2].isdigit():
            return f"{prefix}{text}"
    if not brand or brand in OWN_WEIGHTS or not text.startswith(f"{brand}-"):
        return text
    rules = compiled_rules()
    rest = text.removeprefix(f"{brand}-")
    is_label = rules.versioned.match(rest) and not rules.family.match(brand)
    return rest if is_label else text


def _apply_rules(text: str, facts: list[Fact]) -> str:
    """Apply every table once; note what is taken off."""
    rules = compiled_rules()
    text = _rewritten(text, rules.prefixes).strip("-")
    text = _without_suffixes(_rewritten(text, rules.spellings), facts)
    text = _rewritten(text, rules.endings).strip("-")
    if sized := rules.sized.match(text):
        active = ACTIVE_PARAMETERS.get(sized[0])
        if active is not None:
            text = f"{sized[0]}-{active}{text[sized.end() :]}"
    if text in FIRST_RELEASES:
        facts.append(("snapshot", text.rpartition("-")[2]))
        text = FIRST_RELEASES[text]
    return ALIASES.get(text, text)


def _rewritten(text: str, rules: tuple[CompiledRewrite, ...]) -> str:
    for needle, find, pattern, replacement in rules:
        if needle in text and find(text):
            text = pattern.sub(replacement, text)
    return text


def _without_suffixes(text: str, facts: list[Fact]) -> str:
    """Take suffixes off the end until the next one is part of the name; note them."""
    rules = compiled_rules()
    while match := rules.suffix.search(text):
        group = match.lastgroup or ""
        fact, names = rules.suffix_rules[group]
        if not names.match(text):
            break
        word = SUFFIX_SYNONYMS.get(match[group], match[group])
        if rules.gguf.match(word):  # written with underscores, which the first rules replace
            word = word.translate(_TO_UNDERSCORES)
        facts.append((fact, word))
        text = text[: match.start()]
    return text


def _joined(facts: list[Fact], kind: str) -> str | None:
    return "-".join(word for fact, word in reversed(facts) if fact == kind) or None
