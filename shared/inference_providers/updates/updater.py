"""Fetches a newer registry, keeps it, and lets it say no more than it may.

A file counts when all of this holds, in this order:

* It came over https from the configured host, uncompressed, within `MAX_BYTES` and
  `DEADLINE_S` (see `inference_providers.updates.https_get`).
* Where `trusted_keys` are set, one of them has signed it, its version is not below the
  one that is kept, and it has not expired. Expiry and signature are looked at again
  whenever the kept file is read.
* It is a registry in today's schema, with a date that is not older than the bundled
  one's nor the kept one's, and not in the future, where it would block what comes next.
* It lists at least `SMALLEST_SHARE` of the models of the bundled one.

What an accepted file may change is decided by `inference_providers.updates.merge_policy`. If
anything is wrong, the last good file is used, or else the bundled registry.
"""

from __future__ import annotations

import hashlib
import logging
import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

import msgspec

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
    "fetched",
    "kept",
    "opened",
    "source_of",
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
"""The file is kept inside JSON, which writes some characters as two."""

logger = logging.getLogger(__name__)


class UpdateSource(NamedTuple):
    """Where newer registries come from, and whom to believe.

    Attributes:
        url: An https URL.
        trusted_keys: Public keys, one of which must have signed; none: no signature
            is asked for.
        allowed: Provider ids with the host each is allowed for, for providers that
            only the download knows.
    """

    url: str
    trusted_keys: tuple[str, ...] = ()
    allowed: tuple[tuple[str, str], ...] = ()


class Update(NamedTuple):
    """A downloaded registry that has passed all checks, and is not bounded yet.

    `unkept` says why a new one could not be kept; it may be used all the same.
    """

    document: Document
    version: int | None
    expires: datetime | None
    raw: bytes
    etag: str | None = None
    unkept: str | None = None


class _Kept(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    body: str
    etag: str | None = None


def source_of(
    keys: Keys,
    *,
    url: str | None = None,
    trusted_keys: Iterable[str] | None = None,
    allow_providers: Iterable[str] | None = None,
) -> UpdateSource | None:
    """Return where updates come from: as given, else as the environment says.

    Returns:
        `None` where no URL is set.

    Raises:
        ConfigError: A URL, a key or an allowed provider is not what it should be.
    """
    url = url or keys.setting(URL_VARIABLE)
    if not url:
        return None
    _check_url(url)
    if trusted_keys is None:
        trusted_keys = _listed(keys.setting(KEYS_VARIABLE))
    if allow_providers is None:
        allow_providers = _listed(keys.setting(ALLOW_VARIABLE))
    allowed = merge_policy.allowances(allow_providers)
    return UpdateSource(url, signatures.check_keys(tuple(trusted_keys)), tuple(allowed.items()))


def fetched(source: UpdateSource, trusted: Document, *, now: datetime | None = None) -> Update:
    """Fetch the registry of `source`, check it and keep it; what comes says if that failed.

    Args:
        source: Where, and whom to believe.
        trusted: The bundled registry.
        now: The time of day; told by tests only.

    Raises:
        FetchError: It cannot be had.
        UpdateError: It is refused; what is kept stays.
    """
    now = now or datetime.now(UTC)
    last = _read(source)
    usable = last and not (_outdated(last, trusted, now) or _wrong(last, trusted, now))
    headers = {"If-None-Match": last.etag} if last and usable and last.etag else {}
    answer = https_get.get(
        source.url,
        headers=headers,
        max_bytes=MAX_BYTES,
        deadline_s=DEADLINE_S,
        redirects=MAX_REDIRECTS,
    )
    if answer.status == 304 and last and headers:  # noqa: PLR2004 - not modified
        return last
    if answer.status != 200:  # noqa: PLR2004 - OK
        msg = f"{urlsplit(source.url).hostname} answers HTTP {answer.status}"
        raise FetchError(msg)
    etag = answer.headers.get("etag", "")
    new = opened(answer.body, source.trusted_keys)._replace(
        etag=etag if re.fullmatch(r"[!-~]{1,200}", etag) else None
    )
    if wrong := _outdated(new, trusted, now) or _wrong(new, trusted, now) or _older(new, last):
        raise UpdateError(wrong)
    return new._replace(unkept=_keep(new, source))


def kept(source: UpdateSource, trusted: Document, *, now: datetime | None = None) -> Update | None:
    """Return what was fetched before and still counts; says in one log line why not."""
    now = now or datetime.now(UTC)
    last = _read(source)
    if last is None:
        return None
    if wrong := _outdated(last, trusted, now):
        if last.expires:  # that the package has become newer is nothing to be told of
            _say_unused(source, wrong)
        return None
    if wrong := _wrong(last, trusted, now):
        _say_unused(source, wrong)
        return None
    return last


def cache_file(source: UpdateSource) -> Path:
    """Return where the registry of a URL is kept."""
    import platformdirs  # noqa: PLC0415 - only who updates pays for it

    name = hashlib.sha256(source.url.encode()).hexdigest()[:16]
    cache = Path(platformdirs.user_cache_dir("autoprovider", appauthor=False))
    return cache / f"registry-{name}.json"


def _read(source: UpdateSource) -> Update | None:
    """Return what is kept, if it is safe to read and signed as it should be."""
    try:
        raw = private_files.read(cache_file(source), max_bytes=_CACHE_MAX_BYTES)
        found = msgspec.json.decode(raw, type=_Kept)
        return opened(found.body.encode(), source.trusted_keys)._replace(etag=found.etag)
    except FileNotFoundError:
        return None
    except OSError as error:
        _say_unused(source, error.strerror or str(error))
    except (ValueError, RecursionError, UpdateError) as error:
        _say_unused(source, str(error))
    return None


def _say_unused(source: UpdateSource, why: str) -> None:
    _say_once(cache_file(source), why)


@lru_cache(maxsize=64)
def _say_once(path: Path, why: str) -> None:
    """Log why a file is not used: once, however often it is looked at."""
    logger.warning("The registry kept in %s is not used: %s", path, why)


def _keep(new: Update, source: UpdateSource) -> str | None:
    """Keep what was fetched, or say why that cannot be done."""
    path = cache_file(source)
    content = msgspec.json.encode(_Kept(new.raw.decode(), new.etag))
    try:
        with private_files.locked(path.parent):
            # Another process may have kept a newer one while this one was on its way.
            if wrong := _older(new, _read(source)):
                raise UpdateError(wrong)
            private_files.replace(path, content)
    except OSError as error:
        return f"{path} cannot be written: {error.strerror or error}"
    return None


def _outdated(update: Update, trusted: Document, now: datetime) -> str | None:
    """Say what time has done to it: it has expired, or the package is newer."""
    if update.expires is not None and update.expires <= now:
        return f"it has expired on {update.expires:%Y-%m-%d}"
    made, has = update.document.generated_at, trusted.generated_at
    if made and has and _utc(made) < _utc(has):
        return f"it is older than the one of this package, {has:%Y-%m-%d}"
    return None


def _wrong(update: Update, trusted: Document, now: datetime) -> str | None:
    made = update.document.generated_at
    if made is None:
        return "it does not say when it was made (generated_at)"
    if _utc(made) > now + CLOCK_SKEW:
        return f"it was made on {made:%Y-%m-%d}, which is in the future"
    has = len(merge_policy.model_names(update.document.providers.values()))
    had = len(merge_policy.model_names(trusted.providers.values()))
    if has < SMALLEST_SHARE * had:
        return f"it lists {has} models, where this package lists {had}"
    return None


def _older(new: Update, last: Update | None) -> str | None:
    if last is None:
        return None
    if (new.version or 0) < (last.version or 0):
        return f"its version is {new.version}, and {last.version} is kept"
    was, made = last.document.generated_at, new.document.generated_at
    if was and made and _utc(made) < _utc(was):
        return f"it is of {made:%Y-%m-%d %H:%M}, and one of {was:%Y-%m-%d %H:%M} is kept"
    return None


def _utc(time: datetime) -> datetime:
    return time if time.tzinfo else time.replace(tzinfo=UTC)


@lru_cache(maxsize=4)
def opened(raw: bytes, trusted_keys: tuple[str, ...]) -> Update:
    """Return what a file holds, whatever the time.

    Raises:
        UpdateError: It is not signed as it should be, or no registry.
    """
    content = signatures.open_file(raw, trusted_keys, max_bytes=MAX_BYTES)
    try:
        document, _ = loader.decode_document(content.registry, "it")
    except RegistryError as error:
        raise UpdateError(str(error)) from error
    return Update(document, content.version, content.expires, raw)


def _check_url(url: str) -> None:
    parts = validation.split_url(url)
    if parts is None or parts.scheme != "https" or parts.username is not None:
        got = validation.redacted_url(url)
        msg = f"The registry's URL: got {got!r}, expected an https URL without a user name"
        raise ConfigError(msg)


def _listed(text: str | None) -> tuple[str, ...]:
    return tuple(part.strip() for part in (text or "").split(",") if part.strip())
