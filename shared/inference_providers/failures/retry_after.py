"""Reads how long a provider asks to wait, in every spelling seen in the field.

* In a header: `retry-after-ms`; `retry-after` in seconds, as a duration or as a date;
  `x-ratelimit-reset-…`, `ratelimit-reset`, `anthropic-ratelimit-…-reset`.
* In the body: Google's `retryDelay`, `retry_after`, `resets_in_seconds`, OpenRouter's
  `metadata.headers`.
* In words: "try again in 9m38.016s", "wait 20 seconds", "regain access on 2026-02-01 at 00:00 UTC".

A wait requested for this failure (`requested_wait_s`) takes precedence over the reset of a
rate-limit window (`window_reset_s`). A date is ignored without the current time. So is a value
that makes no sense: negative, not a number, or more than a year.
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
"""Longer waits are ignored."""

MAX_OTHER_RESET_S = 3_600.0
"""Later resets are ignored, unless the window is known to be exhausted."""

_EPOCH_S = 1e9
"""A number from here on is a time in seconds since 1970, not a duration."""
_EPOCH_MS = 1e11
"""A number from here on is a time in milliseconds since 1970."""

_UNITS_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3_600.0, "d": 86_400.0, "w": 604_800.0}
_NUMBER = r"\d{1,15}(?:\.\d{1,12})?"
_UNIT = r"milliseconds?|msecs?|ms|seconds?|secs?|s|minutes?|mins?|m|hours?|hrs?|h|days?|d|weeks?|w"
_DURATION = rf"(?:{_NUMBER}\s?(?:{_UNIT})(?![a-z])[\s,]*(?:and\s)?|{_NUMBER}(?:ms|[smhd])(?=\d))+"
_WAIT = (
    rf"(?:try again|retry|retrying|wait|available again|resets?)\W+(?:\w+\W+){{0,3}}?"
    rf"(?P<duration>{_DURATION})"
)
_DATE = (
    r"(?P<day>\d{4}-\d\d-\d\d)(?:T|\s+(?:at\s+)?)(?P<time>\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?)"
    r"\s?(?P<zone>Z\b|UTC|GMT|[+-]\d\d:?\d\d)"
)
_UNTIL = rf"(?:reset|regain|again|until|available|renew)\D{{0,40}}?{_DATE}"

# Body keys, in lower case without punctuation.
_WAIT_KEYS = frozenset(
    {"retrydelay", "retryafter", "retryafterseconds", "resetsinseconds", "retryinseconds"}
    | {"resetsat", "resetat", "xratelimitreset", "ratelimitreset"}
)
_WAIT_MS_KEYS = frozenset({"retryafterms", "resetsinms"})


def requested_wait_s(
    headers: Mapping[str, str], body: Any, text: str, now: datetime | None
) -> float | None:
    """Return the wait that a provider asks for, in seconds from `now`; `None` if it asks for none.

    Headers come before the body, and the body before words.

    Args:
        headers: Response headers, names in lower case.
        body: The decoded body.
        text: The words of the body.
        now: The time, to read dates.
    """
    waits = (
        _plausible_s(_parse_number(headers.get("retry-after-ms")), scale=0.001),
        _parse_wait_s(headers.get("retry-after"), now),
        _wait_in_body_s(body, now),
        _wait_in_words_s(text, now),
    )
    return next((seconds for seconds in waits if seconds is not None), None)


def window_reset_s(
    headers: Mapping[str, str], now: datetime | None, *, exhausted_only: bool
) -> float | None:
    """Return when the exhausted rate-limit window resets, in seconds from `now`.

    Each limit has a `…reset…` header and usually a `…remaining…` one. If none is at
    zero, the request was larger than what remained of one of them, and the latest reset within
    the hour counts. Successful responses carry these headers, too: call this only if a
    limit is what failed, or with `exhausted_only`.

    Args:
        headers: Response headers, names in lower case.
        now: The time, to read dates.
        exhausted_only: Whether to ignore limits that are not at zero.
    """
    exhausted: list[float] = []
    others: list[float] = []
    for name, value in headers.items():
        if "ratelimit" not in name or "reset" not in name:
            continue
        seconds = _parse_wait_s(value, now)
        if seconds is None:
            continue
        remaining = _parse_number(headers.get(name.replace("reset", "remaining")))
        if remaining == 0:
            exhausted.append(seconds)
        else:
            others.append(seconds)
    if exhausted or exhausted_only:
        return max(exhausted, default=None)
    return max((seconds for seconds in others if seconds <= MAX_OTHER_RESET_S), default=None)


def duration_s(text: str) -> float | None:
    """Return a duration in seconds: "37", "37s", "6m0s", "20ms", "1 hour, 5 minutes"."""
    text = text.strip().lower()
    number = _parse_number(text)
    if number is not None:
        return _plausible_s(number)
    if not re.fullmatch(_DURATION, text):
        return None
    parts = re.findall(rf"({_NUMBER})\s?({_UNIT})", text)
    return _plausible_s(sum(float(amount) * _unit_s(unit) for amount, unit in parts))


def until_midnight_pacific_s(now: datetime) -> float:
    """Return the seconds to the next midnight in California, where Google's quota days begin."""
    try:
        zone: Any = ZoneInfo("America/Los_Angeles")
    except ZoneInfoNotFoundError:  # Windows without tzdata: standard time, at most an hour late
        zone = timezone(timedelta(hours=-8))
    tomorrow = now.astimezone(zone).date() + timedelta(days=1)
    return (datetime.combine(tomorrow, time.min, zone) - now).total_seconds()


def _unit_s(unit: str) -> float:
    return _UNITS_S["ms" if unit.startswith(("ms", "mil")) else unit[0]]


def _parse_number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        return float(value)
    except (ValueError, OverflowError):
        return None


def _plausible_s(value: float | None, scale: float = 1.0) -> float | None:
    """Return `value * scale` if it is a finite wait of at most a year."""
    if value is None or not math.isfinite(value) or not 0 <= value * scale <= YEAR_S:
        return None
    return value * scale


def _parse_wait_s(value: Any, now: datetime | None) -> float | None:
    """Return the wait given as a duration, a date, or a time since 1970."""
    number = _parse_number(value)
    if number is not None and number >= _EPOCH_S:
        if now is None:
            return None
        timestamp_s = number / 1000 if number >= _EPOCH_MS else number
        return _plausible_s(timestamp_s - now.timestamp())
    if number is not None:
        return _plausible_s(number)
    if not isinstance(value, str) or not value.isascii():
        return None
    duration = duration_s(value)
    return duration if duration is not None else _wait_until_s(value, now)


def _wait_until_s(date: str, now: datetime | None) -> float | None:
    """Return the wait until an ISO or HTTP date; without a zone it is UTC."""
    if now is None:
        return None
    try:
        moment = datetime.fromisoformat(date.strip())
    except ValueError:
        try:
            moment = parsedate_to_datetime(date)
        except (ValueError, TypeError, OverflowError, IndexError):
            return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return _plausible_s((moment - now).total_seconds())


def _wait_in_body_s(body: Any, now: datetime | None) -> float | None:
    for key, value, _ in leaves(body):
        name = re.sub(r"[^a-z]", "", key.lower())
        seconds = None
        if name in _WAIT_KEYS:
            seconds = _parse_wait_s(value, now)
        elif name in _WAIT_MS_KEYS:
            seconds = _plausible_s(_parse_number(value), scale=0.001)
        if seconds is not None:
            return seconds
    return None


def _wait_in_words_s(text: str, now: datetime | None) -> float | None:
    for match in re.finditer(_WAIT, text, re.IGNORECASE):
        seconds = duration_s(match["duration"].strip(" ,"))
        if seconds is not None:
            return seconds
    date = re.search(_UNTIL, text, re.IGNORECASE)
    if date is None:
        return None
    zone = date["zone"].upper()
    offset = "+00:00" if zone in {"Z", "UTC", "GMT"} else zone
    return _wait_until_s(f"{date['day']}T{date['time']}{offset}", now)
