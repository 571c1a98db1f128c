"""How long a provider says to wait, in every spelling seen in the field.

* In a header: `retry-after-ms`; `retry-after` in seconds, as a duration or as a date;
  `x-ratelimit-reset-…`, `ratelimit-reset`, `anthropic-ratelimit-…-reset`.
* In the body: Google's `retryDelay`, `retry_after`, `resets_in_seconds`, an OpenRouter
  `metadata.headers`.
* In words: "try again in 9m38.016s", "wait 20 seconds", "regain access on 2026-02-01 at 00:00 UTC".

What a provider says for this failure (the first three) goes before when its windows
reset. Dates need to be told the time; without it they are ignored, and so is what
makes no sense: less than nothing, no number, more than a year.
"""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime, time, timedelta, timezone
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from inference_providers.failures.error_details import leaves

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["duration_s", "requested_wait_s", "until_midnight_pacific_s", "window_reset_s"]

YEAR_S = 366 * 86_400.0
"""A longer wait than this is a mistake of the sender."""

SENSIBLE_RESET_S = 3_600.0
"""A window that resets later says nothing of a limit that is not named."""

_EPOCH_S = 1e9
_EPOCH_MS = 1e11

_UNITS_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3_600.0, "d": 86_400.0, "w": 604_800.0}
_NUMBER = r"\d{1,15}(?:\.\d{1,12})?"
_UNIT = r"milliseconds?|msecs?|ms|seconds?|secs?|s|minutes?|mins?|m|hours?|hrs?|h|days?|d|weeks?|w"
_SPAN = rf"(?:{_NUMBER}\s?(?:{_UNIT})(?![a-z])[\s,]*(?:and\s)?|{_NUMBER}(?:ms|[smhd])(?=\d))+"
_WAIT = (
    rf"(?:try again|retry|retrying|wait|available again|resets?)\W+(?:\w+\W+){{0,3}}?"
    rf"(?P<span>{_SPAN})"
)
_DATE = (
    r"(?P<day>\d{4}-\d\d-\d\d)(?:T|\s+(?:at\s+)?)(?P<time>\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?)"
    r"\s?(?P<zone>Z\b|UTC|GMT|[+-]\d\d:?\d\d)"
)
_UNTIL = rf"(?:reset|regain|again|until|available|renew)\D{{0,40}}?{_DATE}"

_SECONDS_KEYS = frozenset(
    {"retrydelay", "retryafter", "retryafterseconds", "resetsinseconds", "retryinseconds"}
)
_MILLISECONDS_KEYS = frozenset({"retryafterms", "resetsinms"})
_MOMENT_KEYS = frozenset({"resetsat", "resetat", "xratelimitreset", "ratelimitreset"})


def requested_wait_s(
    headers: Mapping[str, str], body: Any, text: str, now: datetime | None
) -> float | None:
    """Return the wait a provider asks for, in seconds from `now`; `None` when it asks for none.

    Args:
        headers: Of the response, names in lower case.
        body: Decoded.
        text: The words of the body.
        now: The time, for what is given as a date.
    """
    found = (
        _sensible(_number(headers.get("retry-after-ms")), scale=0.001),
        _moment_s(headers.get("retry-after"), now),
        _in_body(body, now),
        _in_words(text, now),
    )
    return next((seconds for seconds in found if seconds is not None), None)


def window_reset_s(
    headers: Mapping[str, str], now: datetime | None, *, exhausted_only: bool
) -> float | None:
    """Return when the limit that ran out resets, in seconds from `now`.

    Each limit has a `…reset…` header and mostly a `…remaining…` one beside it. When no
    limit is at zero, the request was larger than what remained of one of them.
    Answers of all kinds carry these headers: ask only where a limit is what failed.

    Args:
        headers: Of the response, names in lower case.
        now: The time, for what is given as a date.
        exhausted_only: Leave out limits that are not at zero.
    """
    spent: list[float] = []
    others: list[float] = []
    for name, value in headers.items():
        if "ratelimit" not in name or "reset" not in name:
            continue
        if (seconds := _moment_s(value, now)) is not None:
            remaining = _number(headers.get(name.replace("reset", "remaining")))
            (spent if remaining == 0 else others).append(seconds)
    if spent or exhausted_only:
        return max(spent, default=None)
    return max((s for s in others if s <= SENSIBLE_RESET_S), default=None)


def duration_s(text: str) -> float | None:
    """Return a duration in seconds: "37", "37s", "6m0s", "20ms", "1 hour, 5 minutes"."""
    text = text.strip().lower()
    if (plain := _number(text)) is not None:
        return _sensible(plain)
    if not re.fullmatch(_SPAN, text):
        return None
    parts = re.findall(rf"({_NUMBER})\s?({_UNIT})", text)
    return _sensible(sum(float(amount) * _unit_s(unit) for amount, unit in parts))


def until_midnight_pacific_s(now: datetime) -> float:
    """Return the seconds to the next midnight in California, where Google's days begin."""
    try:
        zone: Any = ZoneInfo("America/Los_Angeles")
    except ZoneInfoNotFoundError:  # Windows without tzdata: standard time, at most an hour late
        zone = timezone(timedelta(hours=-8))
    tomorrow = now.astimezone(zone).date() + timedelta(days=1)
    return (datetime.combine(tomorrow, time.min, zone) - now).total_seconds()


def _unit_s(unit: str) -> float:
    return _UNITS_S["ms" if unit.startswith(("ms", "mil")) else unit[0]]


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        return float(value)
    except (ValueError, OverflowError):
        return None


def _sensible(seconds: float | None, scale: float = 1.0) -> float | None:
    if seconds is None or not math.isfinite(seconds) or not 0 <= seconds * scale <= YEAR_S:
        return None
    return seconds * scale


def _moment_s(value: Any, now: datetime | None) -> float | None:
    """Read a duration, a date, or seconds or milliseconds since 1970."""
    number = _number(value)
    if number is not None and number >= _EPOCH_S:
        number = number / 1000 if number >= _EPOCH_MS else number
        return None if now is None else _sensible(number - now.timestamp())
    if number is not None:
        return _sensible(number)
    if not isinstance(value, str) or not value.isascii():
        return None
    span = duration_s(value)
    return span if span is not None else _date_s(value, now)


def _date_s(value: str, now: datetime | None) -> float | None:
    if now is None:
        return None
    try:
        moment = datetime.fromisoformat(value.strip())
    except ValueError:
        try:
            moment = parsedate_to_datetime(value)
        except (ValueError, TypeError, OverflowError, IndexError):
            return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return _sensible((moment - now).total_seconds())


def _in_body(body: Any, now: datetime | None) -> float | None:
    for key, value, _ in leaves(body):
        name = re.sub(r"[^a-z]", "", key.lower())
        seconds = None
        if name in _SECONDS_KEYS:
            seconds = _moment_s(value, now)
        elif name in _MILLISECONDS_KEYS:
            seconds = _sensible(_number(value), scale=0.001)
        elif name in _MOMENT_KEYS:
            seconds = _moment_s(value, now)
        if seconds is not None:
            return seconds
    return None


def _in_words(text: str, now: datetime | None) -> float | None:
    for match in re.finditer(_WAIT, text, re.IGNORECASE):
        if (seconds := duration_s(match["span"].strip(" ,"))) is not None:
            return seconds
    if found := re.search(_UNTIL, text, re.IGNORECASE):
        zone = found["zone"].upper()
        zone = "+00:00" if zone in {"Z", "UTC", "GMT"} else zone
        return _date_s(f"{found['day']}T{found['time']}{zone}", now)
    return None
