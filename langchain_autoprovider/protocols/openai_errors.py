"""The exceptions of OpenAI's SDK, for callers who catch those.

Our own client and readers raise `ProviderError`. Only an error that reaches the caller becomes an
exception of the SDK, or langchain-openai's subclass of one. Its `response` and `request` are
objects of the SDK's HTTP library, and hold no key.
"""

from __future__ import annotations

import json
import sys
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import openai
from langchain_openai.chat_models import base

if TYPE_CHECKING:
    from inference_providers.errors import ProviderError

__all__ = ["openai_error"]

_HTTP_LIBRARY: Any = sys.modules[openai.DefaultHttpxClient.__mro__[1].__module__]
"""httpx for version 2 of the SDK, httpx2 for version 3."""

_BY_STATUS: dict[int, type[openai.APIStatusError]] = {
    400: base.OpenAIInvalidRequestError,
    401: base.OpenAIAuthenticationError,
    403: base.OpenAIPermissionDeniedError,
    404: base.OpenAIModelNotFoundError,
    409: openai.ConflictError,
    422: openai.UnprocessableEntityError,
    429: base.OpenAIRateLimitError,
}
_BODY_HEADERS = frozenset({"content-encoding", "content-length", "transfer-encoding"})
"""Headers about the bytes of the body, which is decoded by now."""


def openai_error(error: ProviderError, *, is_overflow: bool = False) -> openai.APIStatusError:
    """Return the SDK's exception for an error that a provider reported.

    Args:
        error: What the client or a reader raised. An error inside a 200 counts as a 400.
        is_overflow: Whether the prompt exceeded the model's context window.
    """
    status = max(error.status_code, HTTPStatus.BAD_REQUEST.value)
    kind = _BY_STATUS.get(status, openai.APIStatusError)
    if is_overflow and status == HTTPStatus.BAD_REQUEST:
        kind = base.OpenAIContextOverflowError
    elif status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        kind = base.OpenAIAPIError
    details = error.body.get("error", error.body) if isinstance(error.body, dict) else error.body
    return kind(_message(error, status), response=_response(error, status), body=details)


def _message(error: ProviderError, status: int) -> str:
    """Return the SDK's message, which callers search for codes."""
    if isinstance(error.body, dict | list):
        try:
            return f"Error code: {status} - {error.body}"
        except RecursionError:  # a body that is nested too deep
            pass
    return str(error)


def _response(error: ProviderError, status: int) -> Any:
    headers = [
        (name.encode("latin-1", "replace"), value.encode("latin-1", "replace"))
        for name, value in error.headers.items()
        if name not in _BODY_HEADERS
    ]
    request = _HTTP_LIBRARY.Request("POST", error.url)
    return _HTTP_LIBRARY.Response(
        status, headers=headers, content=_encode_body(error.body), request=request
    )


def _encode_body(body: Any) -> bytes:
    if isinstance(body, str):
        return body.encode(errors="replace")
    try:
        return json.dumps(body).encode()
    except RecursionError:  # nested too deep; the exception's `body` has it
        return b""
