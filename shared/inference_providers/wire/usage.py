"""Token counts as providers send them, made safe to add up.

* Counts that are words, negative, fractional or not a number are dropped; integral floats and
  numbers in strings are read.
* Other names of the same counts are read too: Anthropic's, DeepSeek's, Moonshot's.
* Nothing is ever summed: a later report replaces an earlier one.
"""

from __future__ import annotations

import math
import re
from typing import Any

__all__ = ["merge_usage", "read_usage"]

_MAX_TOKENS = 10**12
_TOTALS = ("prompt_tokens", "completion_tokens", "total_tokens")
_OTHER_NAMES = {"prompt_tokens": "input_tokens", "completion_tokens": "output_tokens"}
_CACHED_NAMES = ("cached_tokens", "prompt_cache_hit_tokens", "cache_read_input_tokens")


def read_usage(raw: Any) -> dict[str, Any] | None:
    """Return a `usage` object with counts that are integers; `None` if there is none in it."""
    if not isinstance(raw, dict):
        return None
    usage: dict[str, Any] = {}
    for name, value in raw.items():
        kept = _details(value) if isinstance(value, dict) else _number(name, value)
        if kept is not None:
            usage[name] = kept
    for name, other in _OTHER_NAMES.items():
        if name not in usage and isinstance(usage.get(other), int):
            usage[name] = usage[other]
    if not any(name in usage for name in _TOTALS):
        return None
    _add_cached(usage)
    _complete_total(usage)
    return usage


def merge_usage(old: dict[str, Any] | None, new: dict[str, Any]) -> dict[str, Any]:
    """Return the later of two reports, with the counts that only the earlier one has."""
    if old is None:
        return new
    merged = {**old, **{name: value for name, value in new.items() if value}}
    if not new.get("total_tokens"):
        merged.pop("total_tokens", None)
    _complete_total(merged)
    return merged


def _number(name: str, value: Any) -> int | float | None:
    """Return a count as an integer. Other numbers, such as a cost, may have fractions."""
    if isinstance(value, bool):
        return None
    if isinstance(value, str):
        value = int(value) if re.fullmatch(r"[0-9]{1,12}", value) else None
    if isinstance(value, float):
        if not math.isfinite(value):
            return None
        if value.is_integer():
            value = int(value)
    if not isinstance(value, int | float) or not 0 <= value <= _MAX_TOKENS:
        return None
    return value if isinstance(value, int) or not name.endswith("tokens") else None


def _details(raw: dict[str, Any]) -> dict[str, int] | None:
    details = {}
    for name, value in raw.items():
        number = _number(name, value)
        if isinstance(number, int):
            details[name] = number
    return details or None


def _add_cached(usage: dict[str, Any]) -> None:
    """Put cached tokens where OpenAI has them, and never count more than the prompt has."""
    details = usage.get("prompt_tokens_details")
    details = details if isinstance(details, dict) else {}
    cached = details.get("cached_tokens")
    if cached is None:
        cached = next((usage[name] for name in _CACHED_NAMES if usage.get(name)), None)
    if isinstance(cached, int):
        cached = min(cached, usage.get("prompt_tokens", cached))
        usage["prompt_tokens_details"] = {**details, "cached_tokens": cached}


def _complete_total(usage: dict[str, Any]) -> None:
    counted = usage.get("prompt_tokens", 0) + usage.get("completion_tokens", 0)
    usage["total_tokens"] = max(usage.get("total_tokens", 0), counted)
