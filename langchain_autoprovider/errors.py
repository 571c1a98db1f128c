"""Errors that are both autoprovider's and LangChain's.

Each class derives from one in `inference_providers.errors` and from the langchain-core error
for the same failure. So `except ModelRateLimitError` catches it, and LangChain's `is_retryable`
is set.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from langchain_core.exceptions import (
    ContextOverflowError,
    ModelAPIError,
    ModelAuthenticationError,
    ModelConnectionError,
    ModelNotFoundError,
    ModelPermissionDeniedError,
    ModelRateLimitError,
)

from inference_providers.errors import AllRoutesFailed, NoRouteError, PromptTooLongError
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
    """Every route failed, the last one because of a rate limit; see `retry_after`."""


class AllRoutesRefusedKeys(AllRoutesFailed, ModelAuthenticationError):
    """Every route failed, the last one because the provider rejected its key."""


class AllRoutesOutOfCredit(AllRoutesFailed, ModelPermissionDeniedError):
    """Every route failed, the last one because its credit is used up."""


class AllRoutesLackModel(AllRoutesFailed, ModelNotFoundError):
    """Every route failed, the last one because the provider does not have the model."""


class AllRoutesOverloaded(AllRoutesFailed, ModelAPIError):
    """Every route failed, the last one because of an overload or an invalid response."""


class AllRoutesUnreachable(AllRoutesFailed, ModelConnectionError):
    """Every route failed, the last one without an HTTP response."""


class PromptTooLong(PromptTooLongError, ContextOverflowError):
    """The prompt exceeds the context window of every route; the message has the sizes."""


_BY_FAILURE_CLASS: dict[str | None, type[AllRoutesFailed]] = {
    FailureClass.RATE_LIMITED: AllRoutesLimited,
    FailureClass.REQUEST_TOO_LARGE: AllRoutesLimited,
    FailureClass.QUOTA_EXCEEDED: AllRoutesOutOfCredit,
    FailureClass.AUTH_FAILED: AllRoutesRefusedKeys,
    FailureClass.MODEL_NOT_FOUND: AllRoutesLackModel,
    FailureClass.OVERLOADED: AllRoutesOverloaded,
    FailureClass.INVALID_RESPONSE: AllRoutesOverloaded,
}


class LangChainErrors(Errors):
    """The exceptions that end a call, in LangChain's terms."""

    def no_route(self, error: NoRouteError) -> NoRouteError:
        """Return the error for a plan without routes, as an overflow if the prompt is too long."""
        return PromptTooLong(*error.args) if isinstance(error, PromptTooLongError) else error

    def all_routes_failed(
        self, message: str, attempts: Sequence[AttemptRecord], retry_after: float | None
    ) -> AllRoutesFailed:
        """Return the error that fits the last attempt.

        If there was no attempt, every route is in a cooldown, and a rate limit fits best.
        """
        if not attempts:
            return AllRoutesLimited(message, attempts, retry_after)
        last = attempts[-1]
        if last.failure_class == FailureClass.OVERLOADED and last.status is None:
            return AllRoutesUnreachable(message, attempts, retry_after)
        kind = _BY_FAILURE_CLASS.get(last.failure_class, AllRoutesFailed)
        return kind(message, attempts, retry_after)

    def wrong_request(self, error: Exception, classification: Classification) -> Exception:
        """Return the provider's own exception; an overflow is also LangChain's.

        langchain-openai recognises a context overflow only by OpenAI's wording.
        """
        is_overflow = classification.failure_class is FailureClass.CONTEXT_OVERFLOW
        if is_overflow and not isinstance(error, ContextOverflowError):
            return _as_context_overflow(error)
        return error


def _as_context_overflow(error: Exception) -> Exception:
    """Return a copy of `error` whose class also derives from `ContextOverflowError`.

    So both `except ContextOverflowError` and `except openai.BadRequestError` catch it.
    """
    copied = _restore_overflow(type(error), error.args, vars(error))
    copied.__cause__ = error.__cause__
    copied.__context__ = error.__context__
    copied.__suppress_context__ = error.__suppress_context__
    return copied.with_traceback(error.__traceback__)


def _restore_overflow(original: type, args: tuple[Any, ...], state: dict[str, Any]) -> Exception:
    """Create an overflow error that derives from `original`, without calling a constructor.

    The constructors of SDK exceptions differ and need objects such as the HTTP response.
    """
    restored = Exception.__new__(_overflow_class(original), *args)
    restored.args = args
    vars(restored).update(state)
    return restored


@cache
def _overflow_class(original: type) -> type[Exception]:
    def reduce(error: Exception) -> tuple[Any, ...]:
        # By name, pickle would find `original`, not the class created here.
        return _restore_overflow, (original, error.args, vars(error))

    namespace = {"__module__": original.__module__, "__reduce__": reduce}
    return type(original.__name__, (original, ContextOverflowError), namespace)
