"""What a status, a code or a wording means: the classifier's knowledge, as data.

* A rule has a pattern for a code or for the text, the statuses at which it counts, and a meaning.
* `RULES` is ordered and the first match decides: misleading signs first, then codes, then words.
* If no rule matches, the status decides: `BY_STATUS`, then whether it is a 4xx or a 5xx.
* An exception without a response is classified by the names in its ancestry: `BY_EXCEPTION_NAME`.

A rule that exists because of one provider names that provider.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, NamedTuple

from inference_providers.failures import patterns
from inference_providers.failures.classes import FailureClass, Scope

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet

__all__ = [
    "BY_EXCEPTION_NAME",
    "BY_STATUS",
    "DEFAULT_SCOPES",
    "IMPLIED_STATUS",
    "RULES",
    "Rule",
    "Sign",
]

RATE_LIMITED = FailureClass.RATE_LIMITED
REQUEST_TOO_LARGE = FailureClass.REQUEST_TOO_LARGE
QUOTA_EXCEEDED = FailureClass.QUOTA_EXCEEDED
AUTH_FAILED = FailureClass.AUTH_FAILED
MODEL_NOT_FOUND = FailureClass.MODEL_NOT_FOUND
OVERLOADED = FailureClass.OVERLOADED
CONTEXT_OVERFLOW = FailureClass.CONTEXT_OVERFLOW
BAD_REQUEST = FailureClass.BAD_REQUEST
CONTENT_FILTERED = FailureClass.CONTENT_FILTERED
INVALID_RESPONSE = FailureClass.INVALID_RESPONSE

DEFAULT_SCOPES = {
    RATE_LIMITED: Scope.ROUTE,
    QUOTA_EXCEEDED: Scope.KEY,
    AUTH_FAILED: Scope.KEY,
    MODEL_NOT_FOUND: Scope.ROUTE,
    OVERLOADED: Scope.MODEL,
    INVALID_RESPONSE: Scope.MODEL,
}
"""What the cooldown covers unless a rule says otherwise; the other classes start none."""


class Sign(Enum):
    """What a rule's pattern is matched against."""

    CODE = "code"
    """Any of the codes, whole, in snake_case."""
    TEXT = "text"
    """The text, anywhere, without regard to case."""


class Rule(NamedTuple):
    """The meaning of a sign at certain statuses.

    Attributes:
        statuses: HTTP statuses at which the rule counts.
        sign: What `pattern` is matched against.
        pattern: A regular expression.
        failure_class: What the sign means.
        scope: What the cooldown covers; `None` for the class's default.
        periodic: Whether this is a quota that renews each day, week or month.
    """

    statuses: AbstractSet[int]
    sign: Sign
    pattern: str
    failure_class: FailureClass
    scope: Scope | None
    periodic: bool


def _code(
    statuses: AbstractSet[int],
    pattern: str,
    failure_class: FailureClass,
    scope: Scope | None = None,
    *,
    periodic: bool = False,
) -> Rule:
    return Rule(statuses, Sign.CODE, pattern, failure_class, scope, periodic)


def _text(
    statuses: AbstractSet[int],
    pattern: str,
    failure_class: FailureClass,
    scope: Scope | None = None,
    *,
    periodic: bool = False,
) -> Rule:
    return Rule(statuses, Sign.TEXT, pattern, failure_class, scope, periodic)


_INVALID = {400, 422}
_DENIED = {400, 401, 403, 404, 412, 422}

_MISLEADING = (
    # OpenRouter names the limit that was hit. The pool it shares with everyone is not this key's.
    _code({429}, r"upstream_provider.*|upstream_rate.*", RATE_LIMITED, Scope.MODEL),
    _text({429}, r"rate-limited upstream", RATE_LIMITED, Scope.MODEL),
    # OpenRouter: money reserved for running requests, free again when they end.
    _code({402, 429}, r"openrouter_in_flight_budget", RATE_LIMITED),
    _code({429}, r"openrouter_free_tier_daily", QUOTA_EXCEEDED, periodic=True),
    # Gemini describes every limit as a quota with billing; only its quotaId tells them apart.
    _code({429}, r".*_per_day_.*per_model.*", QUOTA_EXCEEDED, Scope.ROUTE, periodic=True),
    _code({429}, r".*_per_day(_.*)?", QUOTA_EXCEEDED, periodic=True),
    _code({429}, r".*_per_minute(_.*)?", RATE_LIMITED),
    # DashScope's `insufficient_quota` may mean tokens per minute; the link in its text shows it.
    _text({429}, r"error-code#token-limit|increase your quota limit", RATE_LIMITED),
    # OpenAI, Groq, GitHub Models: the request alone exceeds the limit of a minute.
    _text({413, 429}, patterns.REQUEST_TOO_LARGE, REQUEST_TOO_LARGE),
    _code({413}, r"tokens_limit_reached|rate_limit_exceeded", REQUEST_TOO_LARGE),
    # Days before codes: Cerebras sends `token_quota_exceeded` for minutes and for days.
    _text({429}, patterns.ROLLING_DAY, RATE_LIMITED),
    # xAI: a spending limit is raised by hand, even where the text calls it monthly.
    _text({403, 429}, r"\bspend", QUOTA_EXCEEDED),
    _text({402, 403, 429}, patterns.PERIODIC_QUOTA, QUOTA_EXCEEDED, periodic=True),
)

_CODES = (
    # Cerebras: the minute's quota, since days were matched above.
    _code({429}, r"(?:token|request|rpm|tpm)s?_quota_exceeded", RATE_LIMITED),
    # Volcengine, DashScope: a limit or a free tier of one model.
    _code({403, 429}, r"set_limit_exceeded|allocation_quota.*", QUOTA_EXCEEDED, Scope.ROUTE),
    # Z.ai: out of balance, or a plan's limit of hours, days or weeks.
    _code({429}, r"1113|1308|1309|131[013-9]|132[01]", QUOTA_EXCEEDED),
    # Cloudflare: the day's neurons are used up.
    _code({429}, r"3036|4006", QUOTA_EXCEEDED, periodic=True),
    # SiliconFlow, MiniMax: insufficient balance.
    _code({400, 403}, r"30001|1008", QUOTA_EXCEEDED),
    # MiniMax: its error codes, in a 200 without another status.
    _code({400, 401}, r"1004|2049", AUTH_FAILED),
    _code({400, 422}, r"102[67]", CONTENT_FILTERED),
    _code({400, 429}, r"1039|1041", RATE_LIMITED),
    _code({400, 401, 403, 404, 429}, patterns.NO_CREDIT_CODE, QUOTA_EXCEEDED),
    _code({400, 403, 429, 503}, patterns.RATE_LIMIT_CODE, RATE_LIMITED),
    _code({400, 403, 404, 429}, patterns.OVERLOADED_CODE, OVERLOADED),
    _code({400, 403, 404, 422}, patterns.AUTH_CODE, AUTH_FAILED),
    _code({400, 403, 413, 422, 429, 500}, patterns.CONTEXT_OVERFLOW_CODE, CONTEXT_OVERFLOW),
    _code({400, 403, 422}, patterns.CONTENT_FILTER_CODE, CONTENT_FILTERED),
    _code({400, 401, 403, 404, 422}, patterns.MODEL_UNAVAILABLE_CODE, MODEL_NOT_FOUND),
    _code(_INVALID, patterns.INVALID_PARAMETER_CODE, BAD_REQUEST),
)

_WORDS_AT_429 = (
    # Moonshot sends this with 429 and with 400.
    _text({429}, r"exceeded model token limit", CONTEXT_OVERFLOW),
    # Caused by all callers together, not by this key.
    _text({429}, patterns.OVERLOADED, OVERLOADED),
    _text({429}, patterns.NO_CREDIT, QUOTA_EXCEEDED),
    # Before the words about money: OpenAI's rate limits go on to advertise a larger plan.
    _text({429}, patterns.RATE_LIMIT, RATE_LIMITED),
    # Gemini without details, and Vertex.
    _code({429}, r"resource_exhausted", RATE_LIMITED),
    _text({429}, patterns.MONEY_WORDS, QUOTA_EXCEEDED),
)

_WORDS = (
    # First the content filter: its refusals mention policies, keys and models. Cohere uses 498.
    _text({400, 403, 422, 498}, patterns.CONTENT_FILTER, CONTENT_FILTERED),
    # A maximum of the answer, not of the window.
    _text({400, 403, 422}, patterns.ANSWER_LENGTH, BAD_REQUEST),
    # Together uses 403.
    _text({400, 403, 413, 422}, patterns.CONTEXT_OVERFLOW, CONTEXT_OVERFLOW),
    # Ollama.
    _text({500}, r"context (?:length|window|size)|prompt is too long", CONTEXT_OVERFLOW),
    # MiniMax.
    _text({500}, r"insufficient (?:\w+ )?(?:balance|credits?)", QUOTA_EXCEEDED),
    # Before the model: a parameter "not supported with this model" is not a missing model.
    _text(_INVALID, patterns.UNSUPPORTED_PARAMETER, BAD_REQUEST),
    # Anthropic uses 400, xAI 403, OpenCode Zen 401, Fireworks 412.
    _text(_DENIED, patterns.BILLING, QUOTA_EXCEEDED),
    # Gemini and xAI use 400.
    _text({400, 404, 422}, patterns.AUTH, AUTH_FAILED),
    # Before the model, since it comes back.
    _text({400, 403}, r"temporarily unavailable", OVERLOADED),
    # Includes models that this account may not use: Bedrock, Hugging Face, Together.
    _text({400, 401, 403, 412, 422}, patterns.MODEL_UNAVAILABLE, MODEL_NOT_FOUND),
    # Fireworks: the deployment of this model is not up.
    _text({412}, r"lora|adapter|\bmodel|deployment", MODEL_NOT_FOUND),
    # Gemini.
    _text({400}, patterns.UNSUPPORTED_REGION, AUTH_FAILED),
    _text({400, 403}, r"rate[-_ ]?limit|too many requests|throttl", RATE_LIMITED),
    _text({400, 403}, patterns.OVERLOADED, OVERLOADED),
)

RULES: tuple[Rule, ...] = (*_MISLEADING, *_CODES, *_WORDS_AT_429, *_WORDS)
"""All rules, in the order in which they are tried."""

IMPLIED_STATUS: tuple[tuple[str, int], ...] = (
    (r"invalid_request.*|bad_request.*|invalid_argument|failed_precondition|validation.*", 400),
    (r"authentication.*|unauthenticated|unauthorized.*", 401),
    (r"billing_error", 402),
    (r"permission.*|forbidden.*|access_denied.*", 403),
    (r"not_found.*|resource_not_found.*", 404),
    (r"request_too_large", 413),
    (r"rate_limit.*|resource_exhausted|insufficient_quota|throttl.*|too_many_requests.*", 429),
    (r"(?:.*_)?overloaded.*|unavailable|service_unavailable.*", 503),
    (r"(?:.*_)?time_?out.*|deadline_exceeded", 504),
    (r"(?:.*_)?(?:server|api|internal|provider|stream)_error.*|internal.*|aborted|error", 500),
)
"""The status that a code stands for, for an error in a stream, which has no HTTP status."""

BY_STATUS = {
    401: AUTH_FAILED,
    402: QUOTA_EXCEEDED,
    403: AUTH_FAILED,
    404: MODEL_NOT_FOUND,
    408: OVERLOADED,
    409: OVERLOADED,  # a lock timeout: OpenAI's SDK retries it
    410: MODEL_NOT_FOUND,
    412: QUOTA_EXCEEDED,  # Fireworks: the account is suspended
    413: REQUEST_TOO_LARGE,
    424: OVERLOADED,  # Bedrock: the model failed
    425: OVERLOADED,
    429: RATE_LIMITED,
    451: CONTENT_FILTERED,
    498: OVERLOADED,  # Groq: flex capacity exceeded
    499: OVERLOADED,  # Google: cancelled on their side
}
"""What a status means by itself, if 4xx or 5xx alone does not say it."""

BY_EXCEPTION_NAME: dict[str, tuple[FailureClass, Scope]] = {
    # langchain-core, raised by its provider packages
    "ContextOverflowError": (CONTEXT_OVERFLOW, Scope.NONE),
    "ModelRefusalError": (CONTENT_FILTERED, Scope.NONE),
    "ContentFilterFinishReasonError": (CONTENT_FILTERED, Scope.NONE),  # openai
    "ContentFilteredError": (CONTENT_FILTERED, Scope.NONE),  # ours
    "ModelRateLimitError": (RATE_LIMITED, Scope.ROUTE),
    "ModelAuthenticationError": (AUTH_FAILED, Scope.KEY),
    "ModelPermissionDeniedError": (AUTH_FAILED, Scope.KEY),
    # botocore and google.auth: no credentials were found, or they could not be renewed
    "NoCredentialsError": (AUTH_FAILED, Scope.KEY),
    "DefaultCredentialsError": (AUTH_FAILED, Scope.KEY),
    "RefreshError": (AUTH_FAILED, Scope.KEY),
    "ModelNotFoundError": (MODEL_NOT_FOUND, Scope.ROUTE),
    # A body that cannot be read
    "InvalidResponseError": (INVALID_RESPONSE, Scope.MODEL),  # ours
    "JSONDecodeError": (INVALID_RESPONSE, Scope.MODEL),  # json, requests
    "DecodingError": (INVALID_RESPONSE, Scope.MODEL),  # httpx, httpx2
    "SSEError": (INVALID_RESPONSE, Scope.MODEL),  # httpx-sse
    "ContentDecodingError": (INVALID_RESPONSE, Scope.MODEL),  # requests
    "DecodeError": (INVALID_RESPONSE, Scope.MODEL),  # urllib3
    "UnicodeDecodeError": (INVALID_RESPONSE, Scope.MODEL),
    # No connection: the host's fault
    "ConnectTimeout": (OVERLOADED, Scope.HOST),  # httpx, httpx2, requests
    "ConnectTimeoutError": (OVERLOADED, Scope.HOST),  # urllib3, botocore
    "ConnectError": (OVERLOADED, Scope.HOST),  # httpx, httpx2
    "ConnectionError": (OVERLOADED, Scope.HOST),  # Python, requests
    "gaierror": (OVERLOADED, Scope.HOST),
    # A slow model says nothing about its neighbours on the same host
    "APITimeoutError": (OVERLOADED, Scope.MODEL),  # openai, anthropic
    "TimeoutError": (OVERLOADED, Scope.MODEL),
    "TimeoutException": (OVERLOADED, Scope.MODEL),  # httpx, httpx2
    "Timeout": (OVERLOADED, Scope.MODEL),  # requests
    "ReadTimeoutError": (OVERLOADED, Scope.MODEL),  # urllib3, botocore
    "ModelTimeoutError": (OVERLOADED, Scope.MODEL),  # langchain-core
    "ModelAPIError": (OVERLOADED, Scope.MODEL),  # langchain-core
    # A connection that broke: the host's fault
    "APIConnectionError": (OVERLOADED, Scope.HOST),  # openai, anthropic
    "TransportError": (OVERLOADED, Scope.HOST),  # httpx, httpx2, google.auth
    "ProtocolError": (OVERLOADED, Scope.HOST),  # urllib3
    "RemoteProtocolError": (OVERLOADED, Scope.HOST),  # httpx, httpx2
    "ChunkedEncodingError": (OVERLOADED, Scope.HOST),  # requests
    "SSLError": (OVERLOADED, Scope.HOST),  # ssl, requests, urllib3
    "ClientPayloadError": (OVERLOADED, Scope.HOST),  # aiohttp
    "IncompleteRead": (OVERLOADED, Scope.HOST),  # http.client, urllib3
    "ClientConnectionError": (OVERLOADED, Scope.HOST),  # aiohttp
    "HTTPClientError": (OVERLOADED, Scope.HOST),  # botocore
    "ModelConnectionError": (OVERLOADED, Scope.HOST),  # langchain-core
    "LocalServerError": (OVERLOADED, Scope.HOST),  # ours
}
"""What an exception without a response means, by a class name in its ancestry.

The order matters: the first name found in the ancestry of the exception or its causes decides.
"""
