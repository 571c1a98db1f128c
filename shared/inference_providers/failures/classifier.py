"""Classifies a failure: what went wrong, what to cool down, and for how long.

* Exceptions are recognized by behaviour (a status, a body, the class names in their ancestry),
  never by importing the SDK that raises them: openai 2 and openai 3 use two different
  HTTP libraries, and other SDKs use more.
* Status comes before code, and code before text. A rule lists the statuses at which its sign
  counts; the first matching rule decides. If none matches, the status alone does.
* An unknown 4xx is bad_request, an unknown 5xx is overloaded.
* An exception that no rule knows is not a provider's failure: a bug is raised as it is.

`error_details` reads the exception, `rules` holds the knowledge, `retry_after` reads waits.
"""

from __future__ import annotations

import re
from datetime import UTC
from http import HTTPStatus
from typing import TYPE_CHECKING

from inference_providers.errors import InvalidResponseError
from inference_providers.failures import error_details, patterns, retry_after, rules
from inference_providers.failures.classes import Classification, FailureClass, Scope

if TYPE_CHECKING:
    from datetime import datetime

    from inference_providers.failures.error_details import ErrorDetails

__all__ = ["classify", "is_recognized"]

_MAX_CAUSES = 5

_RETRY_AFTER_CLASSES = frozenset(
    {
        FailureClass.RATE_LIMITED,
        FailureClass.QUOTA_EXCEEDED,
        FailureClass.OVERLOADED,
        FailureClass.INVALID_RESPONSE,
    }
)
"""Classes for which a provider's Retry-After counts."""

_LIMIT_AND_REQUESTED = (
    r"(?i)limit:? ~?(?P<limit>\d[\d,]{0,14}).{0,60}?requested:? ~?(?P<requested>\d[\d,]{0,14})"
)
_PARAMETER_CODE = r"(?:unsupported|unknown)_(?:param|value)"


def classify(error: BaseException, now: datetime | None = None) -> Classification:
    """Classify a failure. Never raises.

    Args:
        error: What an SDK raised, or our own `InvalidResponseError` for an unusable answer.
        now: The time in UTC, to read waits given as dates; without it those are ignored.
    """
    if now is not None and now.tzinfo is None:
        now = now.replace(tzinfo=UTC)
    chain = _cause_chain(error)
    for cause in chain:
        details = error_details.read_details(cause)
        if details is not None:
            return _classify_details(details, error, now)
    return _classify_by_name(chain)


def is_recognized(error: BaseException) -> bool:
    """Whether an exception carries a provider's response, or has a class that a rule knows.

    `classify` takes any other exception for a bug.
    """
    chain = _cause_chain(error)
    if any(error_details.read_details(cause) is not None for cause in chain):
        return True
    names = _class_names(chain)
    return not names.isdisjoint(rules.BY_EXCEPTION_NAME)


def _cause_chain(error: BaseException) -> list[BaseException]:
    """Return `error` and what it was raised from.

    A built-in exception ends the chain: a `KeyError` raised while handling a failure is a bug.
    """
    chain = [error]
    while len(chain) < _MAX_CAUSES and type(chain[-1]).__module__ != "builtins":
        cause = chain[-1].__cause__
        if cause is None:
            break
        chain.append(cause)
    return chain


def _class_names(chain: list[BaseException]) -> set[str]:
    return {cls.__name__ for cause in chain for cls in type(cause).__mro__}


def _classify_by_name(chain: list[BaseException]) -> Classification:
    names = _class_names(chain)
    for name, (failure_class, scope) in rules.BY_EXCEPTION_NAME.items():
        if name in names:
            return Classification(failure_class, scope=scope)
    return Classification(FailureClass.BAD_REQUEST)


def _classify_details(
    details: ErrorDetails, error: BaseException, now: datetime | None
) -> Classification:
    status = details.status or _implied_status(details.codes)
    rule = next((rule for rule in rules.RULES if _matches(rule, status, details)), None)
    failure_class = rule.failure_class if rule else _class_by_status(status, details, error)
    if failure_class is FailureClass.RATE_LIMITED and _exceeds_its_limit(details.text):
        rule, failure_class = None, FailureClass.REQUEST_TOO_LARGE
    is_invalid = failure_class is FailureClass.INVALID_RESPONSE
    is_bad_request = failure_class is FailureClass.BAD_REQUEST
    return Classification(
        failure_class=failure_class,
        status=details.http_status if is_invalid else details.status or details.http_status,
        scope=_scope(failure_class, rule),
        retry_after_s=_requested_wait_s(details, failure_class, rule, now),
        parameter=_rejected_parameter(details) if is_bad_request else None,
    )


def _implied_status(codes: tuple[str, ...]) -> int | None:
    for pattern, status in rules.IMPLIED_STATUS:
        if any(re.fullmatch(pattern, code) for code in codes):
            return status
    return None


def _matches(rule: rules.Rule, status: int | None, details: ErrorDetails) -> bool:
    """Whether the rule's sign is present at one of its statuses; any rule may match without one."""
    if status is not None and status not in rule.statuses:
        return False
    if rule.sign is rules.Sign.CODE:
        return any(re.fullmatch(rule.pattern, code) for code in details.codes)
    return re.search(rule.pattern, details.text, re.IGNORECASE) is not None


def _class_by_status(
    status: int | None, details: ErrorDetails, error: BaseException
) -> FailureClass:
    """Return the class of a failure that matches no rule."""
    if status is None:
        answered = details.http_status is not None or isinstance(error, InvalidResponseError)
        return FailureClass.INVALID_RESPONSE if answered else FailureClass.OVERLOADED
    if status in rules.BY_STATUS:
        return rules.BY_STATUS[status]
    # OpenAI's SDKs honour this header, so a provider that sends it asks for a retry.
    should_retry = details.headers.get("x-should-retry", "").lower() == "true"
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR or should_retry:
        return FailureClass.OVERLOADED
    return FailureClass.BAD_REQUEST


def _exceeds_its_limit(text: str) -> bool:
    """Whether the request alone asks for more than its limit, so that waiting does not help."""
    match = re.search(_LIMIT_AND_REQUESTED, text)
    if match is None:
        return False
    limit, requested = (int(number.replace(",", "")) for number in match.groups())
    return 0 < limit < requested


def _scope(failure_class: FailureClass, rule: rules.Rule | None) -> Scope:
    if rule is not None and rule.scope is not None:
        return rule.scope
    return rules.DEFAULT_SCOPES.get(failure_class, Scope.NONE)


def _requested_wait_s(
    details: ErrorDetails,
    failure_class: FailureClass,
    rule: rules.Rule | None,
    now: datetime | None,
) -> float | None:
    if failure_class not in _RETRY_AFTER_CLASSES:
        return None
    periodic = rule is not None and rule.periodic
    if periodic and any("per_day_per_project" in code for code in details.codes):
        # Gemini sends the minute's `retryDelay` even when the day's quota is used up.
        return None if now is None else retry_after.until_midnight_pacific_s(now)
    wait_s = retry_after.requested_wait_s(details.headers, details.body, details.text, now)
    if wait_s is None and (periodic or failure_class is FailureClass.RATE_LIMITED):
        return retry_after.window_reset_s(details.headers, now, exhausted_only=periodic)
    return wait_s


def _rejected_parameter(details: ErrorDetails) -> str | None:
    """Return the name of the parameter that the provider calls unsupported or unknown."""
    if any(re.match(_PARAMETER_CODE, code) for code in details.codes):
        leaves = error_details.leaves(details.body)
        params = (value for key, value, _ in leaves if key == "param" and isinstance(value, str))
        if name := next(params, None):
            return name
    return patterns.unsupported_parameter(details.text)
