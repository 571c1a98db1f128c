"""What a failure means: its class, what must rest for it and for how long.

* Exceptions are told by behaviour (a status, a body, the names in their ancestry),
  never by importing the SDK that raises them: openai 2 and 3 sit on two different
  HTTP libraries, and others on more.
* Status before code before text: each row of `_TABLE` says at which statuses its sign
  counts, and the first row that fits decides. Where none fits, the bare status does.
* An unknown 4xx is bad_request, an unknown 5xx is overloaded.
* What no rule knows is not a provider's failure: a bug raises as it is.

What was said is read by `inference_providers.failures.error_details`, times by `inference_providers.failures.retry_after`.
"""

# ruff: noqa: E501
from __future__ import annotations

import re
from datetime import UTC
from http import HTTPStatus
from typing import TYPE_CHECKING, NamedTuple

from inference_providers.errors import InvalidResponseError
from inference_providers.failures import error_details, patterns, retry_after
from inference_providers.failures.classes import Classification, FailureClass, Scope

if TYPE_CHECKING:
    from datetime import datetime

__all__ = ["classify"]


(
    RATE_LIMITED,
    REQUEST_TOO_LARGE,
    QUOTA_EXCEEDED,
    AUTH_FAILED,
    MODEL_NOT_FOUND,
    OVERLOADED,
    CONTEXT_OVERFLOW,
    BAD_REQUEST,
    CONTENT_FILTERED,
    INVALID_RESPONSE,
) = FailureClass

_SCOPES = {
    RATE_LIMITED: Scope.ROUTE,
    QUOTA_EXCEEDED: Scope.KEY,
    AUTH_FAILED: Scope.KEY,
    MODEL_NOT_FOUND: Scope.ROUTE,
    OVERLOADED: Scope.MODEL,
    INVALID_RESPONSE: Scope.MODEL,
}
"""What rests unless a row says otherwise; nothing for the classes that are not here."""


class _Row(NamedTuple):
    """At these statuses this sign, in a code or in the text, has this meaning."""

    statuses: frozenset[int]
    where: str
    sign: str
    failure_class: FailureClass
    scope: Scope | None = None
    daily: bool = False


def _at(*statuses: int) -> frozenset[int]:
    return frozenset(statuses)


_WRONG = _at(400, 422)
_DENIED = _at(400, 401, 403, 404, 412, 422)
_CODE, _TEXT = "code", "text"

_TABLE: tuple[_Row, ...] = (
    # 1. Signs whose words mislead: they would be taken for something else below.
    # OpenRouter says whose limit it was; the pool it shares with all has nothing to do with the key
    _Row(_at(429), _CODE, r"upstream_provider.*|upstream_rate.*", RATE_LIMITED, Scope.MODEL),
    _Row(_at(429), _TEXT, r"rate-limited upstream", RATE_LIMITED, Scope.MODEL),
    _Row(_at(402, 429), _CODE, r"openrouter_in_flight_budget", RATE_LIMITED),  # frees up with the answers
    _Row(_at(429), _CODE, r"openrouter_free_tier_daily", QUOTA_EXCEEDED, daily=True),
    # Gemini words every limit as a quota with billing; its quotaId tells, per model or not
    _Row(_at(429), _CODE, r".*_per_day_.*per_model.*", QUOTA_EXCEEDED, Scope.ROUTE, daily=True),
    _Row(_at(429), _CODE, r".*_per_day(_.*)?", QUOTA_EXCEEDED, daily=True),
    _Row(_at(429), _CODE, r".*_per_minute(_.*)?", RATE_LIMITED),
    # DashScope's `insufficient_quota` may be tokens per minute, told by where its link leads
    _Row(_at(429), _TEXT, r"error-code#token-limit|increase your quota limit", RATE_LIMITED),
    # A request that alone is more than a minute's allowance
    _Row(_at(413, 429), _TEXT, patterns.TOO_LARGE, REQUEST_TOO_LARGE),
    _Row(_at(413), _CODE, r"tokens_limit_reached|rate_limit_exceeded", REQUEST_TOO_LARGE),
    # Days before the codes: Cerebras's `token_quota_exceeded` is said of minutes and of days
    _Row(_at(429), _TEXT, patterns.DAILY_SOON, RATE_LIMITED),
    _Row(_at(403, 429), _TEXT, r"\bspend", QUOTA_EXCEEDED),
    _Row(_at(402, 403, 429), _TEXT, patterns.DAILY, QUOTA_EXCEEDED, daily=True),
    # 2. Codes and types, wherever they stand.
    _Row(_at(429), _CODE, r"(?:token|request|rpm|tpm)s?_quota_exceeded", RATE_LIMITED),  # Cerebras: minutes
    _Row(_at(403, 429), _CODE, r"set_limit_exceeded|allocation_quota.*", QUOTA_EXCEEDED, Scope.ROUTE),
    _Row(_at(429), _CODE, r"1113|1308|1309|131[013-9]|132[01]", QUOTA_EXCEEDED),  # Z.ai
    _Row(_at(429), _CODE, r"3036|4006", QUOTA_EXCEEDED, daily=True),  # Cloudflare: neurons of the day
    _Row(_at(400, 403), _CODE, r"30001|1008", QUOTA_EXCEEDED),  # SiliconFlow, MiniMax
    _Row(
        _at(400, 401, 403, 404, 429),
        _CODE,
        r"insufficient_(?:\w+_)?(?:quota|credits?|balance|funds?)(?:_.*)?|.*payment_.*|credits?_error"
        r"|out_of_credits?|not_enough_.*|.*free_tier_only|no_credits?|billing.*"
        r"|.*(?:credit|balance|fund)s?_.*(?:low|exhausted|depleted|insufficient|exceeded|required)"
        r"|(?:.*_)?(?:spend|spending|usage|budget)_limit.*|.*overdue.*|arrear.*"
        r"|(?:.*_)?(?:exceeded_current_)?quota(?:_exceeded|_exhausted|_limit|_error).*",
        QUOTA_EXCEEDED,
    ),
    _Row(
        _at(400, 403, 429, 503),
        _CODE,
        r"slow_down|(?:.*_)?(?:rate_?limit|too_many_req|throttl|request_limit).*|limit_requests"
        r"|limit_burst_rate|1302|1303|ramp_limit.*|too_many_tokens_error",
        RATE_LIMITED,
    ),
    _Row(
        _at(400, 403, 404, 429),
        _CODE,
        r".*overload.*|.*capacity.*|.*busy|(?:.*_)?unavailable(?:_error|_exception)?|.*not_ready.*"
        r"|3040|3505|1305|.*loading",
        OVERLOADED,
    ),
    _Row(
        _at(400, 403, 404, 422),
        _CODE,
        r".*api_?key.*|(?:invalid|incorrect|missing|expired|no)_(?:auth.*|credentials?|token)"
        r"|unauthori[sz]ed.*|unauthenticated|authentication.*|auth_.*|.*unrecognized_client.*"
        r"|expired_token.*|invalid_signature.*",
        AUTH_FAILED,
    ),
    _Row(
        _at(400, 403, 413, 422, 429, 500),
        _CODE,
        r".*context_?(?:length|window|size|limit).*|.*(?:prompt|input|request)_(?:is_)?too_(?:long|large)"
        r"|string_above_max_length|max_(?:context|input|prompt).*|3051|1261",
        CONTEXT_OVERFLOW,
    ),
    _Row(
        _at(400, 403, 422),
        _CODE,
        r".*content_?(?:filter|policy|moderation|safety).*|.*moderation.*|1301"
        r"|data_?inspection.*|.*safety.*|.*policy_violation.*|.*sensitive.*|invalid_prompt|unsafe.*"
        r"|prohibited_content|.*risk_?control.*|refusal|flagged_input",
        CONTENT_FILTERED,
    ),
    _Row(
        _at(400, 401, 403, 404, 422),
        _CODE,
        r".*model.*(?:not_?(?:found|exist|support|available|open|allow|enable).*|unavailable|access.*"
        r"|deprecated|decommissioned|retired|terms.*|permission.*|blocked.*|not_exists?)"
        r"|(?:invalid|unknown|no_such|unsupported)_model.*|deployment_?not_?found|5007|3042|1211"
        r"|5018|3041|5016|20012",
        MODEL_NOT_FOUND,
    ),
    _Row(
        _WRONG,
        _CODE,
        r"unsupported_(?:parameter|value|param).*|unknown_(?:parameter|param|field).*|invalid_function.*"
        r"|invalid_(?:type|value|schema|json)|missing_required.*|wrong_api_format|5006|extra_forbidden",
        BAD_REQUEST,
    ),
    # 3. Words. At 429 the plainest first: no money, then a pace, then anything about money.
    _Row(_at(429), _TEXT, r"exceeded model token limit", CONTEXT_OVERFLOW),  # Moonshot
    _Row(_at(429), _TEXT, patterns.BUSY, OVERLOADED),  # all callers' doing, not this one's
    _Row(_at(429), _TEXT, patterns.BROKE, QUOTA_EXCEEDED),
    _Row(_at(429), _TEXT, patterns.PACE, RATE_LIMITED),  # also where it goes on to sell a larger plan
    _Row(_at(429), _CODE, r"resource_exhausted", RATE_LIMITED),  # Gemini without details, and Vertex
    _Row(_at(429), _TEXT, patterns.MONEY, QUOTA_EXCEEDED),
    # The rest are told by what others read into them: a refusal names API keys, too
    _Row(_at(400, 403, 422, 498), _TEXT, patterns.UNSAFE, CONTENT_FILTERED),  # 498: Cohere
    _Row(_at(400, 403, 422), _TEXT, patterns.ANSWER_LENGTH, BAD_REQUEST),  # "maximum", but no overflow
    _Row(_at(400, 403, 413, 422), _TEXT, patterns.OVERFLOW, CONTEXT_OVERFLOW),  # 403: Together
    _Row(_at(500), _TEXT, r"context (?:length|window|size)|prompt is too long", CONTEXT_OVERFLOW),  # Ollama
    _Row(_at(500), _TEXT, r"insufficient (?:\w+ )?(?:balance|credits?)", QUOTA_EXCEEDED),  # MiniMax
    _Row(_WRONG, _TEXT, patterns.UNSUPPORTED, BAD_REQUEST),  # "… with this model" is not the model
    _Row(_DENIED, _TEXT, patterns.BILLING, QUOTA_EXCEEDED),  # Anthropic 400, xAI 403, OpenCode 401
    _Row(_at(400, 404, 422), _TEXT, patterns.CREDENTIAL, AUTH_FAILED),  # Gemini 400, xAI 400
    _Row(_at(400, 401, 403, 412, 422), _TEXT, patterns.ABSENT, MODEL_NOT_FOUND),  # also: not for you
    _Row(_at(412), _TEXT, r"lora|adapter|\bmodel|deployment", MODEL_NOT_FOUND),  # Fireworks
    _Row(_at(400), _TEXT, patterns.ELSEWHERE, AUTH_FAILED),  # Gemini
    _Row(_at(400, 403), _TEXT, r"rate[-_ ]?limit|too many requests|throttl", RATE_LIMITED),
    _Row(_at(400, 403), _TEXT, patterns.BUSY, OVERLOADED),
)  # fmt: skip
"""Where a sign counts, the sign, and its meaning. Rows that one provider made necessary say so."""

_IMPLIED: tuple[tuple[str, int], ...] = (
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
"""The status a code stands for, where neither HTTP nor the body names one: an error in a stream."""

_BY_STATUS = {
    401: AUTH_FAILED,
    402: QUOTA_EXCEEDED,
    403: AUTH_FAILED,
    404: MODEL_NOT_FOUND,
    408: OVERLOADED,
    409: OVERLOADED,  # a lock, by OpenAI's SDK worth another try
    410: MODEL_NOT_FOUND,
    412: QUOTA_EXCEEDED,  # Fireworks: the account is suspended
    413: REQUEST_TOO_LARGE,
    424: OVERLOADED,  # Bedrock: the model failed
    425: OVERLOADED,
    429: RATE_LIMITED,
    451: CONTENT_FILTERED,
    498: OVERLOADED,  # Groq: flex capacity
    499: OVERLOADED,  # Google: cancelled on their side
}
"""What a status means by itself, where its hundred does not say it."""

_BY_NAME: tuple[tuple[str, FailureClass, Scope], ...] = (
    ("ContextOverflowError", CONTEXT_OVERFLOW, Scope.NONE),
    ("ModelRefusalError ContentFilterFinishReasonError", CONTENT_FILTERED, Scope.NONE),
    ("ModelRateLimitError", RATE_LIMITED, Scope.ROUTE),
    ("ModelAuthenticationError ModelPermissionDeniedError", AUTH_FAILED, Scope.KEY),
    ("NoCredentialsError DefaultCredentialsError RefreshError", AUTH_FAILED, Scope.KEY),
    ("ModelNotFoundError", MODEL_NOT_FOUND, Scope.ROUTE),
    ("InvalidResponseError JSONDecodeError DecodingError SSEError", INVALID_RESPONSE, Scope.MODEL),
    ("ContentDecodingError DecodeError UnicodeDecodeError", INVALID_RESPONSE, Scope.MODEL),
    # No connection is the host's; a model that lets one wait says nothing of its neighbours
    (
        "ConnectTimeout ConnectTimeoutError ConnectError ConnectionError gaierror",
        OVERLOADED,
        Scope.HOST,
    ),
    ("APITimeoutError TimeoutError TimeoutException Timeout", OVERLOADED, Scope.MODEL),
    ("ReadTimeoutError ModelTimeoutError ModelAPIError", OVERLOADED, Scope.MODEL),
    ("APIConnectionError TransportError ProtocolError RemoteProtocolError", OVERLOADED, Scope.HOST),
    ("ChunkedEncodingError SSLError ClientPayloadError IncompleteRead", OVERLOADED, Scope.HOST),
    (
        "ClientConnectionError HTTPClientError ModelConnectionError LocalServerError",
        OVERLOADED,
        Scope.HOST,
    ),
)
"""What an exception without an answer means, by a class name in its ancestry.

The names are those of openai, anthropic, httpx, httpx2, requests, urllib3, aiohttp,
botocore, google.auth, langchain-core and Python. The first row that fits decides.
"""

_MAX_CAUSES = 5


def classify(error: BaseException, now: datetime | None = None) -> Classification:
    """Say what a failure means. Never raises.

    Args:
        error: What an SDK raised, or our own for an answer that is none.
        now: The time, in UTC, for waits given as a date; without it those are ignored.
    """
    if now is not None and now.tzinfo is None:
        now = now.replace(tzinfo=UTC)
    chain = _chain(error)
    for cause in chain:
        if (said := error_details.read(cause)) is not None:
            return _verdict(said, error, now)
    names = {cls.__name__ for cause in chain for cls in type(cause).__mro__}
    for known, failure_class, scope in _BY_NAME:
        if names.intersection(known.split()):
            return Classification(failure_class, scope=scope)
    return Classification(BAD_REQUEST)


def _chain(error: BaseException) -> list[BaseException]:
    """Return `error` and what it was raised from. A bug does not inherit: `KeyError` ends it."""
    chain = [error]
    while len(chain) < _MAX_CAUSES and type(chain[-1]).__module__ != "builtins":
        cause = chain[-1].__cause__
        if cause is None:
            break
        chain.append(cause)
    return chain


def _verdict(
    said: error_details.Evidence, error: BaseException, now: datetime | None
) -> Classification:
    status = said.status or _implied(said.codes)
    row = next((row for row in _TABLE if _fits(row, status, said)), None)
    failure_class = row.failure_class if row else _bare(status, said, error)
    if failure_class is RATE_LIMITED and _outgrown(said.text):
        row, failure_class = None, REQUEST_TOO_LARGE
    daily = row.daily if row else False
    scope = (row.scope if row else None) or _SCOPES.get(failure_class, Scope.NONE)
    return Classification(
        failure_class=failure_class,
        status=said.http if failure_class is INVALID_RESPONSE else said.status,
        scope=scope,
        retry_after_s=_rest_s(said, failure_class, now, daily=daily),
        parameter=_parameter(said) if failure_class is BAD_REQUEST else None,
    )


def _implied(codes: tuple[str, ...]) -> int | None:
    found = (s for sign, s in _IMPLIED for code in codes if re.fullmatch(sign, code))
    return next(found, None)


def _fits(row: _Row, status: int | None, said: error_details.Evidence) -> bool:
    """Say whether a row's sign is there; without any status, all rows count."""
    if status is not None and status not in row.statuses:
        return False
    if row.where == _CODE:
        return any(re.fullmatch(row.sign, code) for code in said.codes)
    return re.search(row.sign, said.text, re.IGNORECASE) is not None


def _bare(status: int | None, said: error_details.Evidence, error: BaseException) -> FailureClass:
    """Say what is meant where no row fits: by the status, or that there is none."""
    if status is None:
        no_answer = said.http is not None or isinstance(error, InvalidResponseError)
        return INVALID_RESPONSE if no_answer else OVERLOADED
    if known := _BY_STATUS.get(status):
        return known
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return OVERLOADED
    return OVERLOADED if said.headers.get("x-should-retry", "").lower() == "true" else BAD_REQUEST


def _outgrown(text: str) -> bool:
    """Say whether a request asks for more than its limit, so that waiting does not help."""
    sign = r"(?i)limit:? ~?(\d[\d,]{0,14}).{0,60}?requested:? ~?(\d[\d,]{0,14})"
    found = re.search(sign, text)
    limit, asked = (int(n.replace(",", "")) for n in found.groups()) if found else (0, 0)
    return 0 < limit < asked


def _rest_s(
    said: error_details.Evidence, failure_class: FailureClass, now: datetime | None, *, daily: bool
) -> float | None:
    if failure_class not in {RATE_LIMITED, QUOTA_EXCEEDED, OVERLOADED, INVALID_RESPONSE}:
        return None
    if daily and any("per_day_per_project" in code for code in said.codes):
        # Gemini; its `retryDelay` is of the minute even then
        return None if now is None else retry_after.until_midnight_pacific_s(now)
    cooldown_s = retry_after.requested_wait_s(said.headers, said.body, said.text, now)
    if cooldown_s is None and (daily or failure_class is RATE_LIMITED):
        return retry_after.window_reset_s(said.headers, now, exhausted_only=daily)
    return cooldown_s


def _parameter(said: error_details.Evidence) -> str | None:
    """Return the name of the parameter that is called unsupported or unknown."""
    if any(re.match(r"(?:unsupported|unknown)_(?:param|value)", code) for code in said.codes):
        named = (
            v for k, v, _ in error_details.leaves(said.body) if k == "param" and isinstance(v, str)
        )
        if name := next(named, None):
            return name
    return patterns.unsupported_name(said.text)
