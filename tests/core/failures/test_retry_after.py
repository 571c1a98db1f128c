"""A requested wait is read from headers, the body and words, in every spelling."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from zoneinfo import ZoneInfoNotFoundError

import pytest

from inference_providers.failures import retry_after

NOW = datetime(2026, 11, 22, 12, 0, 0, tzinfo=UTC)
IN_5_MINUTES = "Sun, 22 Nov 2026 12:05:00 GMT"


def wait_s(headers=None, body=None, text: str = "", now: datetime | None = NOW) -> float | None:
    return retry_after.requested_wait_s(headers or {}, body, text, now)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("37", 37), ("0", 0), ("1.5", 1.5), ("37s", 37), ("0.5s", 0.5), ("20ms", 0.02),
        ("6m0s", 360), ("1h2m3s", 3723), ("9m38.016s", 578.016), ("2 days", 172_800),
        ("20 seconds", 20), ("5 minutes", 300), ("1 hour, 5 minutes", 3900), ("3 hrs", 10_800),
        ("5 minutes and 3 seconds", 303), ("1 week", 604_800), ("10 secs", 10), ("7 mins", 420),
        ("500 milliseconds", 0.5), (" 12S ", 12), ("1d", 86_400),
    ],
)  # fmt: skip
def test_duration_s_reads_every_spelling(text: str, expected: float) -> None:
    assert retry_after.duration_s(text) == pytest.approx(expected)


@pytest.mark.parametrize(
    "text", ["", "soon", "-3", "nan", "inf", "1e99", "400 days", "5 apples", "ms", "6m0", "1..2s"]
)
def test_duration_s_rejects_implausible_text(text: str) -> None:
    assert retry_after.duration_s(text) is None


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"retry-after-ms": "1500"}, 1.5),
        ({"retry-after": "7"}, 7),
        ({"retry-after": "0.25"}, 0.25),
        ({"retry-after": "6m0s"}, 360),
        ({"retry-after": IN_5_MINUTES}, 300),
        ({"retry-after": "2026-11-22T12:01:00Z"}, 60),
        ({"retry-after": "2026-11-22T13:00:30+01:00"}, 30),
        ({"retry-after-ms": "1500", "retry-after": "7"}, 1.5),
        ({"retry-after-ms": "x", "retry-after": "7"}, 7),
        ({"retry-after": "-1"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "Sun, 22 Nov 2020 12:05:00 GMT"}, None),
        ({"retry-after": "99999999"}, None),
        ({"retry-after": "Sun, 99 Nov 2026 12:05:00 GMT"}, None),
        ({"retry-after": "soon"}, None),
        ({}, None),
    ],
)
def test_requested_wait_s_reads_retry_after_headers(headers: dict, expected: float | None) -> None:
    assert wait_s(headers) == expected


def test_requested_wait_s_ignores_dates_without_now() -> None:
    assert wait_s({"retry-after": IN_5_MINUTES}, now=None) is None
    assert wait_s({"retry-after": "1795348800"}, now=None) is None
    assert wait_s(text="You will regain access on 2026-12-01 at 00:00 UTC.", now=None) is None


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"error": {"details": [{"@type": "RetryInfo", "retryDelay": "37s"}]}}, 37),
        ([{"error": {"details": [{"retryDelay": "0.5s"}]}}], 0.5),
        ({"retry_after": 12}, 12),
        ({"error": {"retryAfterSeconds": "3.5"}}, 3.5),
        ({"retry_after_ms": 250}, 0.25),
        ({"error": {"resets_in_seconds": 90}}, 90),
        ({"error": {"resets_at": int(NOW.timestamp()) + 40}}, 40),
        ({"error": {"metadata": {"headers": {"X-RateLimit-Reset": "1795350600000"}}}}, 1800),
        ({"error": {"message": '{"error": {"details": [{"retryDelay": "9s"}]}}'}}, 9),
        ({"retryDelay": "-3s"}, None),
        ({"retryDelay": None}, None),
        ({"retryDelay": True}, None),
        ({"retryDelay": {"seconds": 3}}, None),
    ],
)
def test_requested_wait_s_reads_the_body(body: object, expected: float | None) -> None:
    assert wait_s(body=body) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Limit 200000, Used 162960. Please try again in 1.574s.", 1.574),
        ("Please try again in 9m38.016s. Need more tokens?", 578.016),
        ("Please try again in 6m0s", 360),
        ("please try again after 1 seconds", 1),
        ("Please retry in 37.5s.", 37.5),
        ("Please retry after 86400 seconds. Please contact", 86_400),
        ("Please wait 5631 seconds before retrying.", 5631),
        ("try again in about 2 hours", 7200),
        ("Expected available in 12 seconds.", None),
        ("Please try again later", None),
        ("Retry. Retry in 5s", 5),
        ("You will regain access on 2026-12-01 at 00:00 UTC.", 734_400),
        ("It will reset at 2026-11-22 21:32:12 +0800 CST", 5532),
        ("Limit resets at 2026-11-22T12:00:09.5Z", 9.5),
        ("Your limit will reset at 2026-08-27 21:31:39", None),  # in which time zone?
        ("try again in 99999 days", None),
    ],
)
def test_requested_wait_s_reads_words(text: str, expected: float | None) -> None:
    assert wait_s(text=text) == pytest.approx(expected)


def test_requested_wait_s_prefers_header_over_body_over_words() -> None:
    body = {"retryDelay": "2s"}
    assert wait_s({"retry-after": "1"}, body, "try again in 3s") == 1
    assert wait_s({}, body, "try again in 3s") == 2
    assert wait_s({"retry-after": "-1"}, {}, "try again in 3s") == 3


@pytest.mark.parametrize(
    ("headers", "expected", "reset_if_exhausted"),
    [
        ({"x-ratelimit-reset-requests": "20ms", "x-ratelimit-reset-tokens": "6m0s"}, 360, None),
        (
            {
                "x-ratelimit-reset-requests": "2m",
                "x-ratelimit-remaining-requests": "0",
                "x-ratelimit-reset-tokens": "6m0s",
                "x-ratelimit-remaining-tokens": "100",
            },
            120,
            120,
        ),
        (
            {
                "anthropic-ratelimit-tokens-reset": "2026-11-22T12:00:30Z",
                "anthropic-ratelimit-tokens-remaining": "0",
            },
            30,
            30,
        ),
        ({"x-ratelimit-reset": "1795350600000", "x-ratelimit-remaining": "0"}, 1800, 1800),
        ({"x-ratelimit-reset": "1795350600", "x-ratelimit-remaining": "0"}, 1800, 1800),
        ({"ratelimit-reset": "50", "ratelimit-remaining": "0"}, 50, 50),
        ({"x-ratelimit-reset-requests-day": "33011.38", "x-ratelimit-reset-tokens": "3"}, 3, None),
        ({"x-ratelimit-reset-requests": "soon"}, None, None),
        ({"x-ratelimit-limit-requests": "60"}, None, None),
    ],
)
def test_window_reset_s_reads_the_exhausted_window(
    headers: dict, expected: float | None, reset_if_exhausted: float | None
) -> None:
    assert retry_after.window_reset_s(headers, NOW, exhausted_only=False) == expected
    assert retry_after.window_reset_s(headers, NOW, exhausted_only=True) == reset_if_exhausted


@pytest.mark.parametrize(
    ("now", "hours"),
    [
        (datetime(2026, 11, 22, 12, tzinfo=UTC), 20),
        (datetime(2026, 7, 1, 12, tzinfo=UTC), 19),  # summer time
        (datetime(2026, 11, 22, 7, 59, tzinfo=UTC), 1 / 60),
    ],
)
def test_until_midnight_pacific_s_knows_summer_time(now: datetime, hours: float) -> None:
    assert retry_after.until_midnight_pacific_s(now) == pytest.approx(hours * 3600)


def test_until_midnight_pacific_s_works_without_time_zones(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(name: str) -> None:
        raise ZoneInfoNotFoundError(name)

    monkeypatch.setattr(retry_after, "ZoneInfo", fail)
    assert retry_after.until_midnight_pacific_s(NOW) == 20 * 3600
    assert retry_after.until_midnight_pacific_s(datetime(2026, 7, 1, 12, tzinfo=UTC)) == 20 * 3600


def test_requested_wait_s_is_finite() -> None:
    assert math.isfinite(wait_s({"retry-after": "31622400"}) or 0)
