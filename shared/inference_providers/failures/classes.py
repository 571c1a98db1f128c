"""The failure classes, what a cooldown may cover, and the result of classifying a failure."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

__all__ = ["PASSES_SOON", "Classification", "FailureClass", "Scope"]


class FailureClass(StrEnum):
    """What went wrong. Each class has its own consequence for failover.

    The values appear in traces, exceptions and `health()`.
    """

    RATE_LIMITED = "rate_limited"
    """Too many requests or tokens per minute, or too many at once."""
    REQUEST_TOO_LARGE = "request_too_large"
    """This one request exceeds a rate limit or a size limit, so waiting does not help."""
    QUOTA_EXCEEDED = "quota_exceeded"
    """No credit, no budget, or the day's allowance is used up."""
    AUTH_FAILED = "auth_failed"
    """The key is missing, rejected, or lacks permission."""
    MODEL_NOT_FOUND = "model_not_found"
    """The provider does not serve this model, or not to this account."""
    OVERLOADED = "overloaded"
    """The provider cannot answer now: busy, broken, unreachable or too slow."""
    CONTEXT_OVERFLOW = "context_overflow"
    """The conversation does not fit the model's context window."""
    BAD_REQUEST = "bad_request"
    """The request is wrong, or the failure is not a provider's at all."""
    CONTENT_FILTERED = "content_filtered"
    """The prompt or the answer was refused for its content."""
    INVALID_RESPONSE = "invalid_response"
    """HTTP 200 without a usable answer, or a body that cannot be read."""

    @property
    def moves_on(self) -> bool:
        """Whether failover tries the next route by default."""
        return self not in _STAYS


_STAYS = frozenset(
    {FailureClass.CONTEXT_OVERFLOW, FailureClass.BAD_REQUEST, FailureClass.CONTENT_FILTERED}
)

PASSES_SOON = frozenset({FailureClass.OVERLOADED, FailureClass.INVALID_RESPONSE})
"""Classes of failures that often end within seconds, without anyone fixing anything."""


class Scope(StrEnum):
    """What a cooldown covers."""

    ROUTE = "route"
    """Provider, key and model."""
    KEY = "key"
    """Provider and key."""
    MODEL = "model"
    """Provider and model, whatever the key."""
    HOST = "host"
    """The endpoint's host."""
    NONE = "none"
    """No cooldown."""


class Classification(NamedTuple):
    """What a failure means.

    Attributes:
        failure_class: What went wrong.
        status: The HTTP status. For an error inside an HTTP 200, the status that its body names;
            200 if it names none.
        scope: What the cooldown covers.
        retry_after_s: How many seconds the provider asked to wait; `None` if it did not say.
        parameter: For `bad_request`, the parameter the provider calls unsupported or unknown.
    """

    failure_class: FailureClass
    status: int | None = None
    scope: Scope = Scope.NONE
    retry_after_s: float | None = None
    parameter: str | None = None
