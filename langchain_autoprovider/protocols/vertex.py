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

from google.auth.exceptions import DefaultCredentialsError
from google.auth.transport.requests import Request
from google.oauth2.credentials import Credentials as UserCredentials
from google.oauth2.service_account import Credentials as ServiceAccountCredentials

from inference_providers.credentials import Key
from inference_providers.errors import ConfigError
from inference_providers.wire.exchange import current_exchange
from langchain_autoprovider.protocols import openai as openai_protocol
from langchain_autoprovider.protocols.connector import WireConnector

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import openai

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
    """Obtains tokens with one credentials file. Thread-safe.

    The file is read when the first token is needed.
    """

    def __init__(self, access: Access) -> None:
        if access.key is None:
            msg = "Vertex AI needs a credentials file; set GOOGLE_APPLICATION_CREDENTIALS"
            raise ConfigError(msg)
        self._file = access.key
        self._url = access.base_url
        self._credentials: Any = None
        self._lock = threading.Lock()

    def key(self) -> Key:
        """Return a valid token, renewed if necessary, as a key that only the endpoint gets."""
        return Key("the Google access token", self.token(), [self._url])

    async def akey(self) -> Key:
        """Return a token, as `key` does, without blocking the event loop."""
        return self.key() if self._has_valid_token else await asyncio.to_thread(self.key)

    def token(self) -> str:
        """Return a valid token, renewed if necessary."""
        if not self._has_valid_token:
            with self._lock:
                if self._credentials is None:
                    self._credentials = self._load()
                if not self._credentials.valid:
                    self._credentials.refresh(Request())
        return str(self._credentials.token)

    def _load(self) -> Any:
        if (exchange := current_exchange()) is not None:
            exchange.record_key(self._file)  # errors name the path, which is the key's value
        return _load_credentials(self._file.value_for(self._url))

    @property
    def _has_valid_token(self) -> bool:
        return self._credentials is not None and bool(self._credentials.valid)


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


def _connect(route: Route, access: Access) -> openai_protocol.OpenAIRoute:
    source = _TokenSource(access)
    return openai_protocol.build(route, access, source.key, source.akey)


def _plain_client(route: Route, access: Access) -> openai.OpenAI | None:
    return openai_protocol.plain_client(route, access, _TokenSource(access).key)


CONNECTOR = WireConnector(connect=_connect, plain_client=_plain_client)
