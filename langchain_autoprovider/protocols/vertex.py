"""Vertex AI's OpenAI-compatible endpoint, opened by a Google credentials file.

The variable of the key, `GOOGLE_APPLICATION_CREDENTIALS`, holds the path of that file;
what is sent is a token which google-auth gets for it, and renews.
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
from google.oauth2.service_account import Credentials as AccountCredentials

from inference_providers.errors import ConfigError
from langchain_autoprovider.protocols import openai as openai_protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from langchain_core.language_models import BaseChatModel

    from inference_providers.routing.backend import Access
    from inference_providers.types import Route

__all__ = ["aconnect", "client", "connect"]

_SCOPES = ("https://www.googleapis.com/auth/cloud-platform",)


_MAKERS: Mapping[str, Callable[..., Any]] = {
    "service_account": AccountCredentials.from_service_account_info,
    "authorized_user": UserCredentials.from_authorized_user_info,
}
"""The kinds of credentials files that are taken; others name programs to run, or hosts to ask."""


class _Token:
    """Gives the token of one credentials file; threads get it one by one."""

    def __init__(self, access: Access) -> None:
        if access.key is None:
            msg = "Vertex AI needs a credentials file; set GOOGLE_APPLICATION_CREDENTIALS"
            raise ConfigError(msg)
        self._credentials = _credentials(access.key.value_for(access.base_url))
        self._lock = threading.Lock()

    def get(self) -> str:
        """Return a token that is valid now."""
        with self._lock:
            if not self._credentials.valid:
                self._credentials.refresh(Request())
            return str(self._credentials.token)

    async def aget(self) -> str:
        """Return a token, without blocking the event loop."""
        return await asyncio.to_thread(self.get)


def _credentials(path: str) -> Any:
    """Read a credentials file.

    Raises:
        DefaultCredentialsError: It cannot be used; says why.
    """
    unusable: Any = DefaultCredentialsError
    try:
        told = json.loads(Path(path).read_text())
        kind = told.get("type")
        if kind in _MAKERS:
            return _MAKERS[kind](told, scopes=_SCOPES)
    except (OSError, ValueError) as error:
        msg = f"the credentials file cannot be used: {error}"
        raise unusable(msg) from error
    msg = f"the credentials file is of type {kind!r}; use one of {', '.join(_MAKERS)}"
    raise unusable(msg)


def connect(route: Route, access: Access) -> BaseChatModel:
    """Return the chat model of a route, for calls without an event loop."""
    return openai_protocol.connect(route, access, _Token(access).get)


async def aconnect(route: Route, access: Access) -> tuple[BaseChatModel, object]:
    """Return the chat model of a route for the running event loop, and what keeps it open."""
    token = await asyncio.to_thread(_Token, access)
    return await openai_protocol.aconnect(route, access, token.aget)


def client(route: Route, access: Access) -> Any:
    """Return a plain `openai.OpenAI`."""
    return openai_protocol.client(route, access, _Token(access).get)
