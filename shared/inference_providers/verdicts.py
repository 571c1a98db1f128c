"""What a failure means: its class, and whether another route may do better.

* Exceptions are told by behaviour (a status, a body, the names in their ancestry),
  never by importing the SDK that raises them: openai 2 and 3 sit on two different
  HTTP libraries, and others on more.
* Status before code before text.
* What no rule knows is not a provider's failure: a bug raises as it is.
"""

from __future__ import annotations

import json
import re
import ssl
from enum import StrEnum
from http import HTTPStatus
from typing import Any, NamedTuple

from inference_providers.errors import BrokenAnswerError, LocalServerError

__all__ = ["FailureClass", "Verdict", "classify"]


class FailureClass(StrEnum):
    """What went wrong, in terms of what to do next."""

    RATE = "RATE"
    SIZE = "SIZE"
    QUOTA = "QUOTA"
    AUTH = "AUTH"
    MODEL = "MODEL"
    OVER = "OVER"
    CTX = "CTX"
    BAD = "BAD"
    POLICY = "POLICY"
    BROKEN = "BROKEN"

    @property
    def moves_on(self) -> bool:
        """Whether the next route is tried."""
        return self not in _STAYS


_STAYS = frozenset({FailureClass.CTX, FailureClass.BAD, FailureClass.POLICY})


class Verdict(NamedTuple):
    """A failure's class, and the HTTP status it came with, if any."""

    failure_class: FailureClass
    status: int | None = None


_BY_STATUS = {
    400: FailureClass.BAD,
    401: FailureClass.AUTH,
    402: FailureClass.QUOTA,
    403: FailureClass.AUTH,
    404: FailureClass.MODEL,
    408: FailureClass.OVER,
    409: FailureClass.OVER,
    410: FailureClass.MODEL,
    412: FailureClass.QUOTA,  # Fireworks: account suspended at its spending limit
    413: FailureClass.SIZE,
    425: FailureClass.OVER,
    429: FailureClass.RATE,
    498: FailureClass.OVER,  # Groq: flex capacity
}

_BY_SIGN: tuple[tuple[frozenset[int], tuple[str, ...], FailureClass], ...] = (
    # Providers say these with statuses that mean something else elsewhere.
    (
        frozenset({429, 400, 403}),
        (
            "insufficient_quota",
            "exceeded your current quota",
            "credit balance",
            "credit_balance",
            "spending limit",
            "spend_limit",
            "usage_limit",
            "billing",
            "any credits",
            "arrearage",
        ),
        FailureClass.QUOTA,
    ),
    (
        frozenset({400}),
        (
            "api key not valid",
            "valid api key",
            "incorrect api key",
            "invalid api key",
            "api_key_invalid",
        ),
        FailureClass.AUTH,
    ),
    (
        frozenset({400, 413}),
        (
            "context_length_exceeded",
            "maximum context length",
            "exceed_context_size",
            "context window",
            "maximum number of tokens allowed",
            "prompt is too long",
        ),
        FailureClass.CTX,
    ),
    (
        frozenset({400}),
        ("content_filter", "content management policy", "responsibleaipolicy"),
        FailureClass.POLICY,
    ),
    (
        frozenset({400}),
        ("model_not_found", "model_not_supported", "model_decommissioned"),
        FailureClass.MODEL,
    ),
    (frozenset({429}), ("request too large",), FailureClass.SIZE),
)

_TRANSPORT_NAMES = frozenset(
    {
        "APIConnectionError",
        "APITimeoutError",
        "ChunkedEncodingError",
        "ConnectionError",
        "ProtocolError",
        "RemoteProtocolError",
        "Timeout",
        "TransportError",
    }
)
"""Class names that openai, anthropic, httpx, httpx2 and requests give to a call cut short."""


def classify(error: BaseException) -> Verdict:
    """Say what a failure means."""
    status = _status(error)
    if status is not None:
        return Verdict(_by_status(status, error), status)
    if isinstance(error, BrokenAnswerError | json.JSONDecodeError):
        return Verdict(FailureClass.BROKEN)
    names = {cls.__name__ for cls in type(error).__mro__}
    network = (ConnectionError, TimeoutError, ssl.SSLError, LocalServerError)
    if isinstance(error, network) or names & _TRANSPORT_NAMES:
        return Verdict(FailureClass.OVER)
    if "APIError" in names:
        # An error event inside a stream: it has a body, but no status of its own.
        return Verdict(_by_status(_int(_field(error, "code")) or 500, error))
    return Verdict(FailureClass.BAD)


def _by_status(status: int, error: BaseException) -> FailureClass:
    text = _text(error)
    for statuses, signs, failure_class in _BY_SIGN:
        if status in statuses and any(sign in text for sign in signs):
            return failure_class
    if status in _BY_STATUS:
        return _BY_STATUS[status]
    if status < HTTPStatus.BAD_REQUEST:  # a redirect nobody follows, an error told with a success
        return FailureClass.BROKEN
    return FailureClass.BAD if status < HTTPStatus.INTERNAL_SERVER_ERROR else FailureClass.OVER


def _status(error: BaseException) -> int | None:
    for holder in (error, getattr(error, "response", None)):
        status = getattr(holder, "status_code", None)
        if isinstance(status, int):
            return status
    return None


def _field(error: BaseException, name: str) -> Any:
    body = getattr(error, "body", None)
    value = body.get(name) if isinstance(body, dict) else None
    return value if value is not None else getattr(error, name, None)


def _int(value: Any) -> int | None:
    return int(value) if re.fullmatch(r"[1-5]\d\d", str(value)) else None


def _text(error: BaseException) -> str:
    return f"{error} {getattr(error, 'body', None) or ''}".lower()
