"""Canonical model names: what providers' own ids have in common.

* Text rules and a small table only; no registry, no network.
* Tier, snapshot and quantization are told apart from the name, unless they make
  another model of it (`deepseek-r1-0528`, `glm-5-turbo`, `kimi-k2-thinking`).
* The name is a fixed point: a canonical name maps to itself.
"""

from __future__ import annotations

from difflib import get_close_matches
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from inference_providers.model_names.aliases import (
    ACTIVE,
    ALIASES,
    FIRST_RELEASES,
    POINTERS,
    PROVIDER_IDS,
    SHORT_IDS,
)
from inference_providers.model_names.rules import OTHER_WORDS, OWN_WEIGHTS, SHELVES, UNMEANT, rules

if TYPE_CHECKING:
    from collections.abc import Iterable

    from inference_providers.model_names.rules import Rule

__all__ = ["ModelName", "canonical_name", "did_you_mean", "parse_model_id"]

_ROUNDS = 4
_UNDERSCORES = str.maketrans("-.", "__")


class ModelName(NamedTuple):
    """What a provider's own id says: the model, and the facts kept apart from it."""

    name: str
    tier: str | None = None
    snapshot: str | None = None
    quantization: str | None = None


@lru_cache(maxsize=4096)
def parse_model_id(model_id: str, provider: str | None = None) -> ModelName:
    """Split a provider's own id into canonical name, tier, snapshot and quantization.

    `provider` matters for ids that only their own provider understands. Whether
    anybody serves the result is the registry's to say.
    """
    text, facts = _untagged("-".join(model_id.lower().split()).rstrip("/"))
    brand = (provider or "").lower().partition("-")[0]
    text = PROVIDER_IDS.get((brand, text)) or POINTERS.get(text) or _unbranded(text, brand)
    for _ in range(_ROUNDS):  # one rule may make room for another
        before, text = text, _named(text, facts)
        if text == before:
            break
    return ModelName(
        text,
        tier=_joined(facts, "tier"),
        snapshot=_joined(facts, "snapshot"),
        quantization=_joined(facts, "quantization"),
    )


def canonical_name(model_id: str, provider: str | None = None) -> str:
    """Return the canonical name that a provider's own id suggests.

    Case, organisation prefix, tier, snapshot, quantization and
    `-instruct`/`-chat`/`-it` do not matter, where they make no other model.
    """
    return parse_model_id(model_id, provider).name


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return `; did you mean 'a' or 'b'?`, or nothing when no name is near."""
    near = get_close_matches(name.lower(), list(known), n=3, cutoff=0.6)
    return f"; did you mean {' or '.join(map(repr, near))}?" if near else ""


def _untagged(text: str) -> tuple[str, list[tuple[str, str]]]:
    """Return the last path segment without `:tag` and `@place`, and what those said."""
    facts: list[tuple[str, str]] = []
    path, _, text = text.rpartition("/")
    if (shelf := path.partition("/")[0]) in SHELVES:
        facts.append(("tier", shelf))
    while region := rules().region.match(text):
        facts.append(("tier", region[1]))
        text = text[region.end() :]
    if path and text in {"community", "thinking"}:
        text = f"{path.rpartition('/')[2]}-{text}"
    if text.startswith("ft:"):  # somebody's own weights, which the rest of it names
        text = text.replace(":", "-")
    text, _, place = text.partition("@")
    if place not in UNMEANT:
        facts.append(("snapshot" if rules().date.fullmatch(place) else "tier", place))
    if ":" in text:
        text = rules().revision.sub("", text)
        text, _, tag = text.partition(":")
        if text.endswith("-thinking") and tag.isdigit():  # a budget, not a date
            text, tag = text.removesuffix("-thinking"), f"thinking:{tag}"
        if rules().part_of_name.match(tag):
            text = f"{text}-{tag.replace(':', '-')}"
        elif tag not in UNMEANT:
            facts.append(("tier", tag))
    return text, facts


def _unbranded(text: str, brand: str) -> str:
    """Return `text` without the provider's brand before a maker's name, or made whole."""
    if brand in SHORT_IDS:
        letter, left_out = SHORT_IDS[brand]
        if text.startswith(letter) and text[1:2].isdigit():
            return f"{left_out}{text}"
    if not brand or brand in OWN_WEIGHTS or not text.startswith(f"{brand}-"):
        return text
    rest = text.removeprefix(f"{brand}-")
    ours = rules().versioned.match(rest) and not rules().family.match(brand)
    return rest if ours else text


def _named(text: str, facts: list[tuple[str, str]]) -> str:
    """Apply every table once, and note what is taken off."""
    text = _spelled(text, rules().prefixes).strip("-")
    text = _without_suffixes(_spelled(text, rules().spellings), facts)
    text = _spelled(text, rules().tail).strip("-")
    if (sized := rules().sized.match(text)) and (active := ACTIVE.get(sized[0])):
        text = f"{sized[0]}-{active}{text[sized.end() :]}"
    if text in FIRST_RELEASES:
        facts.append(("snapshot", text.rpartition("-")[2]))
        text = FIRST_RELEASES[text]
    return ALIASES.get(text, text)


def _spelled(text: str, rules: tuple[Rule, ...]) -> str:
    for needle, find, pattern, replacement in rules:
        if needle in text and find(text):
            text = pattern.sub(replacement, text)
    return text


def _without_suffixes(text: str, facts: list[tuple[str, str]]) -> str:
    """Take suffixes off the end while they are no part of the name, and note them."""
    suffix, stems = rules().suffix, rules().stems
    while found := suffix.search(text):
        group = found.lastgroup or ""
        fact, stem = stems[group]
        if not stem.match(text):
            break
        word = OTHER_WORDS.get(found[group], found[group])
        if rules().gguf.match(word):  # the spelling rules took its underscores
            word = word.translate(_UNDERSCORES)
        facts.append((fact, word))
        text = text[: found.start()]
    return text


def _joined(facts: list[tuple[str, str]], kind: str) -> str | None:
    return "-".join(fact for of, fact in reversed(facts) if of == kind) or None
