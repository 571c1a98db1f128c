"""Our errors, in LangChain's terms as well: `except ModelRateLimitError` and `is_retryable` work.

Each is a subclass of ours and of the langchain-core error that fits.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from langchain_core.exceptions import (
    ContextOverflowError,
    ModelAPIError,
    ModelAuthenticationError,
    ModelConnectionError,
    ModelNotFoundError,
    ModelPermissionDeniedError,
    ModelRateLimitError,
)

from inference_providers.errors import AllRoutesFailed, NoRouteError
from inference_providers.failover.engine import Errors
from inference_providers.failures.classes import Classification, FailureClass

if TYPE_CHECKING:
    from collections.abc import Sequence

    from inference_providers.failover.events import AttemptRecord

__all__ = [
    "AllRoutesLackModel",
    "AllRoutesLimited",
    "AllRoutesOutOfCredit",
    "AllRoutesOverloaded",
    "AllRoutesRefusedKeys",
    "AllRoutesUnreachable",
    "LangChainErrors",
    "PromptTooLong",
]


class AllRoutesLimited(AllRoutesFailed, ModelRateLimitError):
    """Every route failed, the last one at a rate limit; see `retry_after`."""


class AllRoutesRefusedKeys(AllRoutesFailed, ModelAuthenticationError):
    """Every route failed, the last one because its key was refused."""


class AllRoutesOutOfCredit(AllRoutesFailed, ModelPermissionDeniedError):
    """Every route failed, the last one because its credit is used up."""


class AllRoutesLackModel(AllRoutesFailed, ModelNotFoundError):
    """Every route failed, the last one because it does not have the model."""


class AllRoutesOverloaded(AllRoutesFailed, ModelAPIError):
    """Every route failed, the last one overloaded or with an answer that is none."""


class AllRoutesUnreachable(AllRoutesFailed, ModelConnectionError):
    """Every route failed, the last one without any HTTP answer."""


class PromptTooLong(NoRouteError, ContextOverflowError):
    """No route holds the prompt; the message has the numbers."""


_BY_CLASS: dict[str | None, type[AllRoutesFailed]] = {
    "rate_limited": AllRoutesLimited,
    "request_too_large": AllRoutesLimited,
    "quota_exceeded": AllRoutesOutOfCredit,
    "auth_failed": AllRoutesRefusedKeys,
    "model_not_found": AllRoutesLackModel,
    "overloaded": AllRoutesOverloaded,
    "invalid_response": AllRoutesOverloaded,
}


class LangChainErrors(Errors):
    """The exceptions a call ends with, in LangChain's terms."""

    def none_answered(
        self, message: str, attempts: Sequence[AttemptRecord], retry_after: float | None
    ) -> AllRoutesFailed:
        """Return the error that fits the last attempt; where all rest, a rate limit fits."""
        if not attempts:
            kind: type[AllRoutesFailed] = AllRoutesLimited
        elif attempts[-1].failure_class == "overloaded" and attempts[-1].status is None:
            kind = AllRoutesUnreachable
        else:
            kind = _BY_CLASS.get(attempts[-1].failure_class, AllRoutesFailed)
        return kind(message, attempts, retry_after)

    def wrong_request(self, error: Exception, classification: Classification) -> Exception:
        """Return the provider's own exception; a context overflow is LangChain's as well.

        langchain-openai tells an overflow by the wording of one provider only.
        """
        own = type(error)
        if classification.failure_class is FailureClass.CONTEXT_OVERFLOW and not issubclass(
            own, ContextOverflowError
        ):
            error.__class__ = _overflow_of(own)
        return error


def _overflow_of(own: type[Exception]) -> type[Exception]:
    return type(own.__name__, (own, ContextOverflowError), {"__module__": own.__module__})
