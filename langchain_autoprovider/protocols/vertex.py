"""Vertex AI's OpenAI-compatible endpoint, with a Google credentials file.

The key variable, `GOOGLE_APPLICATION_CREDENTIALS`, holds the path of that file. google-auth uses
the file to obtain and renew the token that requests carry.
"""

from __future__ import annotations

import asyncio
import json
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import openai
from google.auth.exceptions import DefaultCredentialsError
from google.auth.transport.requests import Request
from google.oauth2.credentials import Credentials as UserCredentials
from google.oauth2.service_account import Credentials as ServiceAccountCredentials

from inference_providers.errors import ConfigError
from langchain_autoprovider.protocols import openai as openai_protocol
from langchain_autoprovider.protocols.connector import Connector

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from inference_providers.routing.backend import Access
    from inference_providers.types import Route

__all__ = ["CONNECTOR"]

_SCOPES = ("https://www.googleapis.com/auth/cloud-platform",)

_CREDENTIAL_TYPES: Mapping[str, Callable[..., Any]] = {
    "service_account": ServiceAccountCredentials.from_service_account_info,
    "authorized_user": UserCredentials.from_authorized_user_info,
}
"""The accepted types of credentials files. Others can name programs to run or hosts to call."""


class _TokenSource:
    """Obtains tokens with one credentials file. Thread-safe."""

    def __init__(self, access: Access) -> None:
        if access.key is None:
            msg = "Vertex AI needs a credentials file; set GOOGLE_APPLICATION_CREDENTIALS"
            raise ConfigError(msg)
        self._credentials = _load_credentials(access.key.value_for(access.base_url))
        self._lock = threading.Lock()

    def token(self) -> str:
        """Return a valid token, renewed if necessary."""
        with self._lock:
            if not self._credentials.valid:
                self._credentials.refresh(Request())
            return str(self._credentials.token)

    async def atoken(self) -> str:
        """Return a token, without blocking the event loop."""
        return await asyncio.to_thread(self.token)


def _load_credentials(path: str) -> Any:
    """Load a credentials file.

    Raises:
        DefaultCredentialsError: The file cannot be read, or its type is not accepted.
    """
    unusable: Any = DefaultCredentialsError
    try:
        content = json.loads(Path(path).read_text())
        kind = content.get("type")
        if kind in _CREDENTIAL_TYPES:
            return _CREDENTIAL_TYPES[kind](content, scopes=_SCOPES)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error  # without the path
        msg = f"the credentials file cannot be used: {reason}"
        raise unusable(msg) from None
    msg = f"the credentials file is of type {kind!r}; use one of {', '.join(_CREDENTIAL_TYPES)}"
    raise unusable(msg)


def _build(route: Route, access: Access, http: Any) -> openai_protocol.OpenAIRoute:
    return openai_protocol.build(route, access, http, _TokenSource(access).token)


async def _abuild(route: Route, access: Access, http: Any) -> openai_protocol.OpenAIRoute:
    source = await asyncio.to_thread(_TokenSource, access)
    return await openai_protocol.abuild(route, access, http, source.atoken)


def _plain_client(route: Route, access: Access) -> openai.OpenAI | None:
    return openai_protocol.plain_client(route, access, _TokenSource(access).token)


CONNECTOR = Connector(
    build=_build,
    abuild=_abuild,
    http_client=openai.DefaultHttpxClient,
    async_http_client=openai.DefaultAsyncHttpxClient,
    plain_client=_plain_client,
)
