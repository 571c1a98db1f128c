"""Token counts as providers send them, made safe to add up.

* Counts that are words, negative, fractional or NaN are dropped; integral floats and numbers in
  strings are accepted.
* Counts under the names of Anthropic, DeepSeek and Moonshot are read as well.
* Reports are never added up: a later one replaces an earlier one.
"""

from __future__ import annotations

import math
import re
from typing import Any, NamedTuple

__all__ = ["CHAT_NAMES", "RESPONSES_NAMES", "CountNames", "merge_usage", "read_usage"]

_MAX_TOKENS = 10**12
_CACHED = ("cached_tokens", "prompt_cache_hit_tokens", "cache_read_input_tokens")


class CountNames(NamedTuple):
    """How a protocol names its counts."""

    prompt: str
    answer: str
    prompt_details: str


CHAT_NAMES = CountNames("prompt_tokens", "completion_tokens", "prompt_tokens_details")
RESPONSES_NAMES = CountNames("input_tokens", "output_tokens", "input_tokens_details")


def read_usage(raw: Any, names: CountNames = CHAT_NAMES) -> dict[str, Any] | None:
    """Return a `usage` object with counts that are integers; `None` if it has no counts."""
    if not isinstance(raw, dict):
        return None
    usage: dict[str, Any] = {}
    for name, value in raw.items():
        if type(value) is int and 0 <= value <= _MAX_TOKENS:
            usage[name] = value
            continue
        is_details = name.endswith("_details")
        kept = _read_details(value) if is_details else _read_number(name, value)
        if kept is not None:
            usage[name] = kept
    for others in (CHAT_NAMES, RESPONSES_NAMES):
        for name, other in zip(names[:2], others[:2], strict=True):
            if name not in usage and isinstance(usage.get(other), int):
                usage[name] = usage[other]
    if names.prompt not in usage and names.answer not in usage and "total_tokens" not in usage:
        return None
    _add_cached(usage, names)
    _complete_total(usage, names)
    return usage


def merge_usage(old: dict[str, Any] | None, new: dict[str, Any]) -> dict[str, Any]:
    """Return the later of two chat reports, with the counts that only the earlier one has."""
    if old is None:
        return new
    merged = {**old, **{name: value for name, value in new.items() if value}}
    _complete_total(merged, CHAT_NAMES)
    return merged


def _read_number(name: str, value: Any) -> int | float | None:
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


def _read_details(raw: Any) -> dict[str, int] | None:
    if not isinstance(raw, dict):
        return None
    numbers = {name: _read_number(name, value) for name, value in raw.items()}
    return {name: number for name, number in numbers.items() if isinstance(number, int)} or None


def _add_cached(usage: dict[str, Any], names: CountNames) -> None:
    """Move cached tokens to OpenAI's field, and count no more of them than the prompt has."""
    details = usage.get(names.prompt_details)
    details = details if isinstance(details, dict) else {}
    cached = details.get("cached_tokens")
    for name in () if cached is not None else _CACHED:
        cached = usage.get(name) or cached
    if isinstance(cached, int):
        cached = min(cached, usage.get(names.prompt, cached))
        usage[names.prompt_details] = {**details, "cached_tokens": cached}


def _complete_total(usage: dict[str, Any], names: CountNames) -> None:
    """Set a total that is missing, or less than its parts."""
    counted = usage.get(names.prompt, 0) + usage.get(names.answer, 0)
    usage["total_tokens"] = max(usage.get("total_tokens", 0), counted)
