"""Which registry is in force: the bundled one, and what is laid over it.

In this order, each over those before it:

1. the registry of this package;
2. what was downloaded from `AUTOPROVIDER_REGISTRY_URL`, as far as it may
   (`inference_providers.updates.merge_policy`);
3. the file that `AUTOPROVIDER_REGISTRY` names;
4. what the program passes as `registry=`.
"""

from __future__ import annotations

import logging
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from inference_providers.credentials import Keys
from inference_providers.errors import ConfigError, FetchError, RegistryError, UpdateError
from inference_providers.registry.registry import Registry
from inference_providers.updates import merge_policy, updater

if TYPE_CHECKING:
    from collections.abc import Iterable

    from inference_providers.registry.loader import Document, RegistrySource
    from inference_providers.types import Provider
    from inference_providers.updates.updater import Update, UpdateSource

__all__ = ["REGISTRY_VARIABLE", "fetched", "registry_here", "require_source"]

REGISTRY_VARIABLE = "AUTOPROVIDER_REGISTRY"

logger = logging.getLogger(__name__)


class _Own(NamedTuple):
    """What the user lays over everything else: a file the environment names, and an argument."""

    file: str | None
    source: RegistrySource | None


def registry_here(
    source: RegistrySource | Registry | None = None,
    *,
    updates: UpdateSource | None = None,
    refresh: bool = False,
) -> Registry:
    """Return the registry in force, with `source` on top; a `Registry` is returned as it is.

    Args:
        source: A path, JSON text or dict, laid over everything else.
        updates: Where downloads come from; the environment says where nothing is given.
        refresh: Fetch first. Trouble is logged in one line, and is no error.

    Raises:
        RegistryError: A file of the user is not what it should be.
        ConfigError: A setting for updates is not what it should be, or with `refresh`
            there is none.
    """
    if isinstance(source, Registry):
        return source
    bundled = Registry.load()
    if updates is None:
        updates = updater.source_of(Keys())
    if refresh:
        updates = require_source(updates)
        new = _fetched_or_kept(updates, bundled.document)
    else:
        new = updater.kept(updates, bundled.document) if updates else None
    own = _Own(Keys().setting(REGISTRY_VARIABLE), source)
    if new is None or updates is None:
        return _over(bundled, own)
    # A provider the user describes is the user's alone; nothing of a download's goes into it.
    mine = _over(bundled, own)
    described, named = _of_the_user(mine, bundled)
    allowed = tuple((p, host) for p, host in updates.allowed if p not in described)
    try:
        return _over(_bounded(bundled, updates._replace(allowed=allowed), new.raw, named), own)
    except RegistryError as error:
        logger.warning("The downloaded registry is not used: it does not fit yours: %s", error)
        return mine


def fetched(updates: UpdateSource) -> tuple[Update, Registry]:
    """Fetch a newer registry; return it, and the bundled one with what it may change.

    Raises:
        FetchError: It cannot be had.
        UpdateError: It is refused.
    """
    bundled = Registry.load()
    new = updater.fetched(updates, bundled.document)
    return new, _bounded(bundled, updates, new.raw)


def require_source(updates: UpdateSource | None) -> UpdateSource:
    """Return `updates`.

    Raises:
        ConfigError: There is none, and no address to fall back on.
    """
    if updates is None:
        msg = (
            "No registry is published for this version to fetch; give the https URL of one"
            f" in {updater.URL_VARIABLE}, as --url or as update_url="
        )
        raise ConfigError(msg)
    return updates


@lru_cache(maxsize=4)  # registries are loaded once, and this is asked for each model object
def _of_the_user(mine: Registry, bundled: Registry) -> tuple[frozenset[str], frozenset[str]]:
    """Return the providers that only the user's files know, and the models they name."""
    described = frozenset(mine.providers.keys() - bundled.providers.keys())
    theirs = _names(mine.providers[provider_id] for provider_id in described)
    new = _names(mine.providers.values()) - _names(bundled.providers.values())
    return described, theirs | new


def _names(rows: Iterable[Provider]) -> frozenset[str]:
    """Return the names of all models of some rows, in lower case."""
    return frozenset(name.lower() for row in rows for name in (*row.models, *row.embeddings))


def _over(registry: Registry, own: _Own) -> Registry:
    if own.file is not None:
        try:
            registry = registry.merged(Path(own.file))
        except RegistryError as error:
            msg = f"{REGISTRY_VARIABLE}={error}"
            raise RegistryError(msg) from error
    return registry if own.source is None else registry.merged(own.source)


def _fetched_or_kept(updates: UpdateSource, bundled: Document) -> Update | None:
    try:
        new = updater.fetched(updates, bundled)
    except (FetchError, UpdateError) as error:
        last = updater.kept(updates, bundled)
        of = last.document if last else bundled
        logger.warning("The registry is not updated: %s; using that of %s", error, _date(of))
        return last
    if new.unkept:
        logger.warning("The new registry is used, but not kept: %s", new.unkept)
    return new


def _date(document: Document) -> str:
    return f"{document.generated_at:%Y-%m-%d}" if document.generated_at else "no date"


@lru_cache(maxsize=4)
def _bounded(
    bundled: Registry, updates: UpdateSource, raw: bytes, named: frozenset[str] = frozenset()
) -> Registry:
    new = updater.opened(raw, updates.trusted_keys).document
    document = merge_policy.bounded(bundled.document, new, dict(updates.allowed), named)
    return Registry.from_document(document, f"{bundled.origin}, updated")
