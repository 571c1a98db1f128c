"""Errors that are both autoprovider's and LangChain's.

Each class derives from one in `inference_providers.errors` and from the langchain-core error
for the same failure. So `except ModelRateLimitError` catches it, and LangChain's `is_retryable`
is set.
"""

from __future__ import annotations

import pickle
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
    ModelRefusalError,
)

from inference_providers.errors import (
    AllRoutesFailed,
    ContentFilteredError,
    NoRouteError,
    PromptTooLongError,
    ProviderError,
)
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
    "AnswerFiltered",
    "LangChainErrors",
    "PromptTooLong",
    "with_bases",
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


class AnswerFiltered(ContentFilteredError, ModelRefusalError):
    """The provider's content filter withheld the answer, or cut it off; see `partial`."""


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
        """Return the provider's own exception, so that it pickles; an overflow is also LangChain's.

        For OpenAI's protocols it is the exception of OpenAI's SDK, which is created only here.
        """
        is_overflow = classification.failure_class is FailureClass.CONTEXT_OVERFLOW
        if isinstance(error, ContentFilteredError):
            return _continued(AnswerFiltered(*error.args, partial=error.partial), error)
        if isinstance(error, ProviderError):
            # It loads OpenAI's SDK, which this module must not.
            from langchain_autoprovider.protocols.openai_errors import openai_error  # noqa: PLC0415

            error = _continued(openai_error(error, is_overflow=is_overflow), error)
        if is_overflow and not isinstance(error, ContextOverflowError):
            return with_bases(error, ContextOverflowError)
        return error if _can_be_pickled(error) else with_bases(error)


def with_bases(error: Exception, *bases: type[Exception]) -> Exception:
    """Return a copy of `error` that pickles and whose class also derives from `bases`.

    So both `except ContextOverflowError` and `except openai.BadRequestError` catch an overflow.
    Attributes that cannot be pickled, such as a connection, are `None` after unpickling.
    """
    return _continued(_restore(type(error), bases, error.args, vars(error)), error)


def _continued(copy: Exception, error: Exception) -> Exception:
    """Return `copy` with the traceback, the cause and the notes of `error`."""
    copy.__cause__ = error.__cause__
    copy.__context__ = error.__context__
    copy.__suppress_context__ = error.__suppress_context__
    if notes := getattr(error, "__notes__", None):
        copy.__notes__ = [*notes]
    return copy.with_traceback(error.__traceback__)


def _restore(
    original: type[Exception],
    bases: tuple[type[Exception], ...],
    args: tuple[Any, ...],
    state: dict[str, Any],
) -> Exception:
    """Create an error that derives from `original` and `bases`, without calling a constructor.

    The constructors of SDK exceptions differ and need objects such as the HTTP response.
    """
    derived: Any = _derived_class  # to mypy, a class of exceptions has no hash
    kind: type[Exception] = derived(original, bases)
    restored = kind.__new__(kind, *args)
    restored.args = args
    vars(restored).update(state)
    return restored


@cache
def _derived_class(original: Any, bases: tuple[Any, ...]) -> type[Exception]:
    def reduce(error: Exception) -> tuple[Any, ...]:
        # By name, pickle would find `original`, not the class created here.
        args = tuple(arg if _can_be_pickled(arg) else str(arg) for arg in error.args)
        state = {
            name: value if _can_be_pickled(value) else None for name, value in vars(error).items()
        }
        return _restore, (_importable_class(original), bases, args, state)

    namespace = {"__module__": original.__module__, "__reduce__": reduce}
    return type(original.__name__, (original, *bases), namespace)


def _importable_class(kind: type[Exception]) -> type[Exception]:
    """Return the nearest ancestor that pickle finds by name; some SDKs create their classes."""
    return next(ancestor for ancestor in kind.__mro__ if _can_be_pickled(ancestor))


def _can_be_pickled(value: object) -> bool:
    """Whether `value` survives pickling; many exceptions can be pickled, but not unpickled."""
    try:
        return type(pickle.loads(pickle.dumps(value))) is type(value)  # noqa: S301 - our own bytes
    except Exception:  # noqa: BLE001 - any failure means no
        return False
