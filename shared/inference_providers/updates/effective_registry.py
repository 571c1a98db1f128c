"""The active registry: the bundled one with everything that is merged into it.

Four layers, each merged into the ones before it:

1. the registry of this package;
2. the registry downloaded from `AUTOPROVIDER_REGISTRY_URL`, limited to the changes that
   `inference_providers.updates.merge_policy` allows;
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

__all__ = ["REGISTRY_VARIABLE", "active_registry", "fetch_registry", "require_source"]

REGISTRY_VARIABLE = "AUTOPROVIDER_REGISTRY"

logger = logging.getLogger(__name__)


class _UserLayers(NamedTuple):
    """What the user merges on top: the file of the environment, and an argument."""

    file: str | None
    argument: RegistrySource | None


def active_registry(
    source: RegistrySource | Registry | None = None,
    *,
    updates: UpdateSource | None = None,
    refresh: bool = False,
) -> Registry:
    """Return the active registry, with `source` on top.

    Args:
        source: A path, JSON text or dict to merge on top of everything else. A `Registry` is
            returned unchanged.
        updates: Where downloads come from, instead of the environment's settings.
        refresh: Whether to fetch first. If that fails, one line is logged and the last
            good registry is used.

    Raises:
        RegistryError: One of the user's files is not a valid registry.
        ConfigError: A setting for updates is malformed, or `refresh` has no URL.
    """
    if isinstance(source, Registry):
        return source
    bundled = Registry.load()
    if updates is None:
        updates = updater.update_source(Keys())
    if refresh:
        updates = require_source(updates)
        update = _fetched_or_cached(updates, bundled.document)
    else:
        update = updater.cached_update(updates, bundled.document) if updates else None
    layers = _UserLayers(Keys().setting(REGISTRY_VARIABLE), source)
    without_update = _with_user_layers(bundled, layers)
    if update is None or updates is None:
        return without_update
    # A provider that the user describes is the user's alone: the download adds nothing to it.
    user_providers, user_models = _added_by_user(without_update, bundled)
    allowed = tuple((p, host) for p, host in updates.allowed if p not in user_providers)
    updates = updates._replace(allowed=allowed)
    try:
        return _with_user_layers(_updated(bundled, updates, update.raw, user_models), layers)
    except RegistryError as error:
        logger.warning("The downloaded registry does not fit yours and is not used: %s", error)
        return without_update


def fetch_registry(updates: UpdateSource) -> tuple[Update, Registry]:
    """Fetch a newer registry; return it, and the bundled one with what it may change.

    Raises:
        FetchError: The server did not send a registry.
        UpdateError: The registry is refused.
    """
    bundled = Registry.load()
    update = updater.fetch_update(updates, bundled.document)
    return update, _updated(bundled, updates, update.raw)


def require_source(updates: UpdateSource | None) -> UpdateSource:
    """Return `updates`, which must be set.

    Raises:
        ConfigError: It is `None`, and no registry is published that could be the default.
    """
    if updates is None:
        msg = (
            "No registry is published for this version; set the https URL of one in"
            f" {updater.URL_VARIABLE}, or pass it as --url or update_url="
        )
        raise ConfigError(msg)
    return updates


@lru_cache(maxsize=4)  # every new model calls this with the same registries
def _added_by_user(user: Registry, bundled: Registry) -> tuple[frozenset[str], frozenset[str]]:
    """Return the providers that only the user's files know, and the models they name."""
    providers = frozenset(user.providers.keys() - bundled.providers.keys())
    their_models = _model_names(user.providers[provider_id] for provider_id in providers)
    new_models = _model_names(user.providers.values()) - _model_names(bundled.providers.values())
    return providers, their_models | new_models


def _model_names(providers: Iterable[Provider]) -> frozenset[str]:
    """Return the names of chat and embedding models, in lower case."""
    return frozenset(name.lower() for p in providers for name in (*p.models, *p.embeddings))


def _with_user_layers(registry: Registry, layers: _UserLayers) -> Registry:
    """Merge the user's file and argument into a registry.

    Raises:
        RegistryError: One of them is not a valid registry.
    """
    if layers.file is not None:
        try:
            registry = registry.merged(Path(layers.file))
        except RegistryError as error:
            msg = f"{REGISTRY_VARIABLE}={error}"
            raise RegistryError(msg) from error
    return registry if layers.argument is None else registry.merged(layers.argument)


def _fetched_or_cached(updates: UpdateSource, bundled: Document) -> Update | None:
    try:
        update = updater.fetch_update(updates, bundled)
    except (FetchError, UpdateError) as error:
        last = updater.cached_update(updates, bundled)
        document = last.document if last else bundled
        date = f"{document.generated_at:%Y-%m-%d}" if document.generated_at else "unknown date"
        logger.warning("The registry is not updated: %s; using the one of %s", error, date)
        return last
    if update.cache_error:
        logger.warning("The new registry is used, but not cached: %s", update.cache_error)
    return update


@lru_cache(maxsize=4)
def _updated(
    bundled: Registry,
    updates: UpdateSource,
    raw: bytes,
    user_models: frozenset[str] = frozenset(),
) -> Registry:
    downloaded = updater.decode_update(raw, updates.trusted_keys).document
    document = merge_policy.apply_download(
        bundled.document, downloaded, dict(updates.allowed), user_models
    )
    return Registry.from_document(document, f"{bundled.origin}, updated")
