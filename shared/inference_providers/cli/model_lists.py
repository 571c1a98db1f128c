"""Fetches the list of models that a provider itself publishes.

The key goes to the host it is bound to and nowhere else: no redirect is followed, and size
and time are bounded.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import msgspec

from inference_providers.errors import FetchError
from inference_providers.routing.backend import find_backend
from inference_providers.updates import https_get

if TYPE_CHECKING:
    from inference_providers.routing.backend import Access, ModelListing
    from inference_providers.types import Endpoint, Provider

__all__ = ["fetch_model_ids", "listing_endpoint"]

MAX_BYTES = 8 << 20
DEADLINE_S = 15.0
DEFAULT_PATH = "/models"
MAX_ID_CHARS = 200

_NEXT_PAGE_KEYS = ("has_more", "next_page_token", "nextPageToken", "next")
"""Keys of a list that has more pages. The models on those would count as gone."""
_CHAT_TYPES = frozenset({"chat", "language", "text-generation", "text", "llm", "model"})
"""Values of `type` of a model that chats."""
_PURPOSES = (
    ("supportedGenerationMethods", "generateContent"),  # Gemini
    ("endpoints", "chat"),  # Cohere
)
"""Fields that list what a model is for, each with what a chat model has in it."""


def listing_endpoint(provider: Provider) -> tuple[str, Endpoint, ModelListing] | None:
    """Return the first endpoint that lists models, with its name and how to request the list."""
    for name, endpoint in provider.endpoints.items():
        listing = find_backend().model_listing(endpoint.protocol)
        if endpoint.models_path and listing is not None:
            return name, endpoint, listing
    return None


def fetch_model_ids(access: Access, endpoint: Endpoint, listing: ModelListing) -> list[str]:
    """Return the provider's own ids of its chat models.

    Models of other kinds are left out if the list says what they are.

    Raises:
        FetchError: The provider cannot be reached, or sends an error, one page of several or
            something that is not a list of models.
    """
    path = endpoint.models_path
    if path == DEFAULT_PATH and listing.path is not None:
        path = listing.path
    url = f"{access.base_url.rstrip('/')}{path}"
    headers = listing.headers_for(access.key.value_for(url)) if access.key else {}
    response = https_get.get(url, headers=headers, max_bytes=MAX_BYTES, deadline_s=DEADLINE_S)
    if response.status != HTTPStatus.OK:
        is_rejected = response.status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}
        hint = f"; check {access.key.variable}" if access.key and is_rejected else ""
        msg = f"{url} responded with HTTP {response.status}{hint}"
        raise FetchError(msg)
    ids = (_chat_model_id(row) for row in _decode_rows(response.body, url))
    return [model_id for model_id in ids if model_id]


def _decode_rows(body: bytes, url: str) -> list[Any]:
    try:
        document = msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError):
        document = None
    rows = document
    if isinstance(document, dict):
        if any(document.get(key) for key in _NEXT_PAGE_KEYS):
            msg = f"{url} sent one page of its list only"
            raise FetchError(msg)
        rows = document.get("data", document.get("models"))
    if not isinstance(rows, list) or not rows:
        msg = f"{url} did not send a list of models"
        raise FetchError(msg)
    return rows


def _chat_model_id(row: Any) -> str | None:
    if not isinstance(row, dict):
        return None
    kind = row.get("type")
    if isinstance(kind, str) and kind.lower() not in _CHAT_TYPES:
        return None
    for field, chat in _PURPOSES:
        purposes = row.get(field)
        if isinstance(purposes, list) and not any(chat in str(purpose) for purpose in purposes):
            return None
    model_id = row.get("id", row.get("name"))
    if not isinstance(model_id, str) or not model_id.isprintable():
        return None
    return model_id.removeprefix("models/") if 0 < len(model_id) <= MAX_ID_CHARS else None
