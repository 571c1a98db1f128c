"""Errors that a provider reports inside an HTTP 200, in its own words.

* An error is recognised by its place in the body, never by its words: a model may write about
  errors.
* Keys that were sent are removed from everything that is kept, before it is cut.
"""

from __future__ import annotations

from typing import Any

from inference_providers.errors import InvalidResponseError, ProviderError, one_line
from inference_providers.failures.error_details import read_details
from inference_providers.wire import json_codec
from inference_providers.wire.exchange import current_exchange

__all__ = ["invalid_response", "raise_reported_error", "scrub"]

_EXCERPT_CHARS = 200
_MAX_MESSAGE_CHARS = 2_000
_HTTP_OK = 200
_NO_ERROR: tuple[Any, ...] = (
    *(None, False, 0, _HTTP_OK, [], {}),
    *("", "0", "200", "success", "ok", "OK"),
)
"""Values of an error's fields that mean there is no error."""

_ERROR_KEYS = ("errors", "detail", "message", "msg", "error_msg", "error_message", "error_code")
"""Keys that mark a body without an answer as an error."""

_MESSAGE_KEYS = (
    *("message", "msg", "detail", "error_msg", "error_message", "error", "errors", "status_msg"),
)


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
    excerpt = one_line(scrub(text).removeprefix("\ufeff").lstrip()[:_EXCERPT_CHARS])
    return InvalidResponseError(f"{message}: {excerpt!r}" if excerpt else message)


def scrub(text: str) -> str:
    """Return `text` without the keys that this attempt has sent."""
    exchange = current_exchange()
    return text if exchange is None else exchange.scrub(text)


def _is_set(error: Any) -> bool:
    if isinstance(error, dict):
        return any(value not in _NO_ERROR for value in error.values())
    return error not in _NO_ERROR


def _is_message(value: Any) -> bool:
    return isinstance(value, str | int | list) and value not in _NO_ERROR


def _provider_error(body: dict[str, Any], error: Any) -> ProviderError:
    body = _without_keys({key: value for key, value in body.items() if key != "choices"})
    message = one_line(scrub(_message_of(error))[:_MAX_MESSAGE_CHARS])
    reported = ProviderError(message, status_code=_HTTP_OK, body=body)
    details = read_details(reported)
    if details is not None and details.status is not None:
        reported.status_code = details.status
    return reported


def _message_of(error: Any) -> str:
    """Return the message of an error of any shape."""
    for _ in range(4):
        if isinstance(error, list) and error:
            error = error[0]
        elif isinstance(error, dict):
            parts = (error.get(key) for key in _MESSAGE_KEYS)
            messages = (part for part in parts if isinstance(part, str | list | dict) and part)
            error = next(messages, error.get("code") or error.get("type") or "")
        else:
            break
    return error if isinstance(error, str) and error else "the provider reported an error"


def _without_keys(body: dict[str, Any]) -> Any:
    try:
        return json_codec.decode(scrub(json_codec.encode(body).decode()).encode())
    except (ValueError, TypeError):
        return {"error": {"message": _message_of(body)}}
