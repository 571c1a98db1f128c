"""Errors in the body of a response, in the provider's own words.

* An error is recognized by its place in the body, never by its words: a model may write about
  errors.
* Keys that were sent are removed from everything that is kept, before it is cut.
"""

from __future__ import annotations

from typing import Any

from inference_providers.errors import InvalidResponseError, ProviderError, one_line
from inference_providers.failures.error_details import read_details
from inference_providers.wire import json_codec
from inference_providers.wire.exchange import excerpt, scrub_sent_keys

__all__ = ["error_text", "invalid_response", "raise_reported_error"]

_MAX_MESSAGE_CHARS = 2_000
_MAX_MESSAGE_DEPTH = 6
_HTTP_OK = 200
_NO_ERROR: tuple[Any, ...] = (
    *(None, False, 0, _HTTP_OK, [], {}),
    *("", "0", "200", "success", "ok", "OK"),
)
"""Values of an error's fields that mean there is no error."""

_ERROR_KEYS = ("errors", "detail", "message", "msg", "error_msg", "error_message", "error_code")
"""Keys that mark a body without an answer as an error."""

_MESSAGE_KEYS = (
    *("message", "msg", "error_msg", "error_message", "detail", "error", "errors", "status_msg"),
    *("title", "code", "type"),
)
"""Keys under which providers put their message, the likeliest first."""


def raise_reported_error(body: dict[str, Any], *, is_answer: bool, is_error: bool = False) -> None:
    """Raise the error that a body reports, if it reports one.

    Args:
        body: A decoded body or event.
        is_answer: Whether it holds an answer or a part of one; then only an `error` counts.
        is_error: Whether the type of the event is `error`.

    Raises:
        ProviderError: With the provider's message, and the status that the body names; 200 if
            it names none.
    """
    error = body.get("error")
    if error is not None and _is_set(error):
        raise _provider_error(body, error if isinstance(error, dict | list | str) else body)
    base = body.get("base_resp")  # MiniMax
    if isinstance(base, dict) and base.get("status_code") not in _NO_ERROR:
        raise _provider_error({"error": base}, base)
    if is_error:
        raise _provider_error({"error": body}, body)
    if is_answer:
        return
    is_error = body.get("object") == "error" or body.get("type") == "error"
    if is_error or any(_is_message(body.get(key)) for key in _ERROR_KEYS):
        raise _provider_error(body, body)


def invalid_response(message: str, data: bytes | str = b"") -> InvalidResponseError:
    """Return the error for a response that is not an answer, with an excerpt of `data`."""
    text = data.decode("utf-8", "replace") if isinstance(data, bytes) else data
    beginning = one_line(excerpt(text.removeprefix("\ufeff").lstrip()))
    return InvalidResponseError(f"{message}: {beginning!r}" if beginning else message)


def error_text(error: Any) -> str:
    """Return the message in an error of any shape, or its code; empty if it has neither."""
    for _ in range(_MAX_MESSAGE_DEPTH):
        if isinstance(error, list) and error:
            error = error[0]
        elif isinstance(error, dict):
            values = (error.get(key) for key in _MESSAGE_KEYS)
            error = next((v for v in values if v and isinstance(v, str | list | dict)), None)
        else:
            break
    return error if isinstance(error, str) else ""


def _is_set(error: Any) -> bool:
    if isinstance(error, dict):
        return any(value not in _NO_ERROR for value in error.values())
    return error not in _NO_ERROR


def _is_message(value: Any) -> bool:
    return isinstance(value, str | int | list) and value not in _NO_ERROR


def _provider_error(body: dict[str, Any], error: Any) -> ProviderError:
    text = error_text(error) or "the provider reported an error"
    message = one_line(excerpt(text, _MAX_MESSAGE_CHARS))
    body = _without_keys({key: value for key, value in body.items() if key != "choices"}, message)
    reported = ProviderError(message, status_code=_HTTP_OK, body=body)
    details = read_details(reported)
    if details is not None and details.status is not None:
        reported.status_code = details.status
    return reported


def _without_keys(body: dict[str, Any], message: str) -> Any:
    """Return a body without the keys that were sent; only its message if it cannot be encoded."""
    try:
        return json_codec.decode(scrub_sent_keys(json_codec.encode(body).decode()).encode())
    except (ValueError, TypeError):
        return {"error": {"message": message}}
