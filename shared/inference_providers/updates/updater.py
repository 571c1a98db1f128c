"""Fetches a newer registry, checks it, and caches it.

A file is accepted when all of this holds, in this order:

* It came over https from the configured host, uncompressed, within `MAX_BYTES` and
  `DEADLINE_S` (see `inference_providers.updates.https_get`).
* If `trusted_keys` are set, one of them has signed it, its version is not below the cached
  one's, and it has not expired. Signature and expiry are checked again whenever the cached
  file is read.
* It is a registry in the current schema. Its date is not older than the bundled or the
  cached registry's, and not in the future, where it would block all later files.
* It lists at least `SMALLEST_SHARE` of the bundled registry's models.

What an accepted file may change is decided by `inference_providers.updates.merge_policy`.
If anything is wrong, the last good file is used, or else the bundled registry.
"""

from __future__ import annotations

import hashlib
import logging
import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

import msgspec

from inference_providers.credentials import UrlOrigin
from inference_providers.errors import ConfigError, FetchError, RegistryError, UpdateError
from inference_providers.registry import loader, validation
from inference_providers.updates import https_get, merge_policy, private_files, signatures

if TYPE_CHECKING:
    from collections.abc import Iterable

    from inference_providers.credentials import Keys
    from inference_providers.registry.loader import Document

__all__ = [
    "ALLOW_VARIABLE",
    "KEYS_VARIABLE",
    "URL_VARIABLE",
    "Update",
    "UpdateSource",
    "cache_file",
    "cached_update",
    "decode_update",
    "fetch_update",
    "update_source",
]

URL_VARIABLE = "AUTOPROVIDER_REGISTRY_URL"
KEYS_VARIABLE = "AUTOPROVIDER_TRUSTED_KEYS"
ALLOW_VARIABLE = "AUTOPROVIDER_ALLOW_PROVIDERS"

MAX_BYTES = 2 << 20
DEADLINE_S = 10.0
MAX_REDIRECTS = 2
SMALLEST_SHARE = 0.5
CLOCK_SKEW = timedelta(days=1)
_CACHE_MAX_BYTES = 3 * MAX_BYTES
"""The cache holds the file as a JSON string, which escapes some characters."""
_PLAIN_ETAG = re.compile(r"[!-~]{1,200}")

logger = logging.getLogger(__name__)


class UpdateSource(NamedTuple):
    """Where newer registries come from, and what to trust.

    Attributes:
        url: An https URL.
        trusted_keys: Public keys, one of which must have signed; empty if no signature is
            required.
        allowed: Provider ids, each with the host it is allowed for, for providers that only
            the download knows.
    """

    url: str
    trusted_keys: tuple[str, ...] = ()
    allowed: tuple[tuple[str, str], ...] = ()


class Update(NamedTuple):
    """A downloaded registry that is well-formed; `merge_policy` has not been applied yet.

    Attributes:
        document: The registry.
        version: What its trusted signer stated.
        expires: What its signer stated.
        raw: The file as it was downloaded.
        etag: The server's entity tag.
        cache_error: Why a new file could not be cached; it may still be used.
    """

    document: Document
    version: int | None
    expires: datetime | None
    raw: bytes
    etag: str | None = None
    cache_error: str | None = None


class _CacheEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    body: str
    etag: str | None = None


def update_source(
    keys: Keys,
    *,
    url: str | None = None,
    trusted_keys: Iterable[str] | None = None,
    allow_providers: Iterable[str] | None = None,
) -> UpdateSource | None:
    """Return where updates come from: the arguments, and the environment for those left out.

    Returns:
        `None` if no URL is set.

    Raises:
        ConfigError: The URL, a key or an allowed provider is malformed.
        MissingPackageError: There are keys, but the package to verify with is missing.
    """
    url = url or keys.setting(URL_VARIABLE)
    if not url:
        return None
    _check_url(url)
    if trusted_keys is None:
        trusted_keys = _comma_separated(keys.setting(KEYS_VARIABLE))
    if allow_providers is None:
        allow_providers = _comma_separated(keys.setting(ALLOW_VARIABLE))
    allowed = merge_policy.allowed_hosts(allow_providers)
    return UpdateSource(url, signatures.check_keys(tuple(trusted_keys)), tuple(allowed.items()))


def fetch_update(source: UpdateSource, trusted: Document, *, now: datetime | None = None) -> Update:
    """Fetch the registry of `source`, check it and cache it.

    Args:
        source: The URL, and what to trust.
        trusted: The bundled registry.
        now: The time of day; only tests pass it.

    Returns:
        The new registry, with `cache_error` if it could not be cached; or the cached one
        if the server has no newer one.

    Raises:
        FetchError: The server did not send a registry.
        UpdateError: The registry is refused; the cached one is unchanged.
    """
    now = now or datetime.now(UTC)
    last = _read_cache(source)
    headers = {}
    if last and last.etag and not _reason_to_refuse(last, trusted, now):
        headers["If-None-Match"] = last.etag
    response = https_get.get(
        source.url,
        headers=headers,
        max_bytes=MAX_BYTES,
        deadline_s=DEADLINE_S,
        redirects=MAX_REDIRECTS,
    )
    if response.status == HTTPStatus.NOT_MODIFIED and last and headers:
        return last
    if response.status != HTTPStatus.OK:
        msg = f"{urlsplit(source.url).hostname} responded with HTTP {response.status}"
        raise FetchError(msg)
    etag = response.headers.get("etag", "")
    new = decode_update(response.body, source.trusted_keys)
    new = new._replace(etag=etag if _PLAIN_ETAG.fullmatch(etag) else None)
    if reason := _reason_to_refuse(new, trusted, now) or _older_than_cached(new, last):
        raise UpdateError(reason)
    return new._replace(cache_error=_write_cache(new, source))


def cached_update(
    source: UpdateSource, trusted: Document, *, now: datetime | None = None
) -> Update | None:
    """Return what was fetched before, if it is still valid.

    One log line says why a cached file is not used, except that a newer version of the
    package replaces it silently.
    """
    now = now or datetime.now(UTC)
    last = _read_cache(source)
    if last is None:
        return None
    outdated = _reason_outdated(last, trusted, now)
    reason = outdated or _reason_implausible(last, trusted, now)
    if reason is None:
        return last
    if last.expires or not outdated:
        _warn_unused(source, reason)
    return None


def cache_file(source: UpdateSource) -> Path:
    """Return where the registry of a URL is cached."""
    import platformdirs  # noqa: PLC0415 - only needed for updates

    name = hashlib.sha256(source.url.encode()).hexdigest()[:16]
    cache = Path(platformdirs.user_cache_dir("autoprovider", appauthor=False))
    return cache / f"registry-{name}.json"


def _read_cache(source: UpdateSource) -> Update | None:
    """Return the cached file, if it is safe to read and signed as required."""
    try:
        raw = private_files.read(cache_file(source), max_bytes=_CACHE_MAX_BYTES)
        entry = msgspec.json.decode(raw, type=_CacheEntry)
        return decode_update(entry.body.encode(), source.trusted_keys)._replace(etag=entry.etag)
    except FileNotFoundError:
        return None
    except OSError as error:
        _warn_unused(source, error.strerror or str(error))
    except (ValueError, RecursionError, UpdateError) as error:
        _warn_unused(source, str(error))
    return None


def _warn_unused(source: UpdateSource, reason: str) -> None:
    _warn_unused_once(cache_file(source), reason)


@lru_cache(maxsize=64)
def _warn_unused_once(path: Path, reason: str) -> None:
    """Log why a cached file is not used: once per process, however often it is read."""
    logger.warning("The cached registry %s is not used: %s", path, reason)


def _write_cache(new: Update, source: UpdateSource) -> str | None:
    """Cache a new registry, or return why that is not possible.

    Raises:
        UpdateError: Another process has cached a newer one in the meantime.
    """
    path = cache_file(source)
    content = msgspec.json.encode(_CacheEntry(new.raw.decode(), new.etag))
    try:
        with private_files.locked(path.parent):
            if reason := _older_than_cached(new, _read_cache(source)):
                raise UpdateError(reason)
            private_files.replace(path, content)
    except OSError as error:
        return f"{path} cannot be written: {error.strerror or error}"
    return None


def _reason_to_refuse(update: Update, trusted: Document, now: datetime) -> str | None:
    return _reason_outdated(update, trusted, now) or _reason_implausible(update, trusted, now)


def _reason_outdated(update: Update, trusted: Document, now: datetime) -> str | None:
    """Say that an update has expired, or that the package is newer."""
    if update.expires is not None and update.expires <= now:
        return f"it expired on {update.expires:%Y-%m-%d}"
    date, bundled_date = update.document.generated_at, trusted.generated_at
    if date and bundled_date and _with_time_zone(date) < _with_time_zone(bundled_date):
        return f"it is older than the registry of this package, {bundled_date:%Y-%m-%d}"
    return None


def _reason_implausible(update: Update, trusted: Document, now: datetime) -> str | None:
    """Say that an update has no date, a date in the future, or too few models."""
    date = update.document.generated_at
    if date is None:
        return "it has no date (generated_at)"
    if _with_time_zone(date) > now + CLOCK_SKEW:
        return f"its date, {date:%Y-%m-%d}, is in the future"
    count = len(merge_policy.chat_model_names(update.document.providers.values()))
    bundled_count = len(merge_policy.chat_model_names(trusted.providers.values()))
    if count < SMALLEST_SHARE * bundled_count:
        return f"it lists {count} models; the registry of this package lists {bundled_count}"
    return None


def _older_than_cached(new: Update, last: Update | None) -> str | None:
    """Say that a new file is older than the cached one, by version or by date."""
    if last is None:
        return None
    if (new.version or 0) < (last.version or 0):
        return f"its version is {new.version}; the cached one's is {last.version}"
    old_date, date = last.document.generated_at, new.document.generated_at
    if old_date and date and _with_time_zone(date) < _with_time_zone(old_date):
        return f"it is from {date:%Y-%m-%d %H:%M}; the cached one is from {old_date:%Y-%m-%d %H:%M}"
    return None


def _with_time_zone(time: datetime) -> datetime:
    return time if time.tzinfo else time.replace(tzinfo=UTC)


@lru_cache(maxsize=4)
def decode_update(raw: bytes, trusted_keys: tuple[str, ...]) -> Update:
    """Return the registry of a file, whatever the time.

    Raises:
        UpdateError: It is not signed as required, or not a registry.
    """
    content = signatures.open_file(raw, trusted_keys, max_bytes=MAX_BYTES)
    try:
        document, _ = loader.decode_document(content.registry, "the download")
    except RegistryError as error:
        raise UpdateError(str(error)) from error
    return Update(document, content.version, content.expires, raw)


def _check_url(url: str) -> None:
    """Accept an https URL without a user name.

    Raises:
        ConfigError: The URL is anything else.
    """
    origin = UrlOrigin.of(url)
    if origin is None or origin.scheme != "https" or urlsplit(url).username is not None:
        got = validation.redacted_url(url)
        msg = f"Registry URL: got {got!r}, expected an https URL without a user name"
        raise ConfigError(msg)


def _comma_separated(text: str | None) -> tuple[str, ...]:
    return tuple(part.strip() for part in (text or "").split(",") if part.strip())
