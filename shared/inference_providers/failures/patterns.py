"""Families of codes and wordings: how providers say that credit, a model or capacity is missing.

Text patterns are searched without regard to case. A family holds what was seen in the field and
close variants, but never a bare word that a tool name or a schema in the caller's request may
contain, because errors quote those: "credit balance is too low", not "credit". Every quantifier
that spans words is bounded, since some texts are long.

Code patterns match a whole code in snake_case.
"""

from __future__ import annotations

import re

__all__ = [
    "ANSWER_LENGTH",
    "AUTH",
    "AUTH_CODE",
    "BILLING",
    "CONTENT_FILTER",
    "CONTENT_FILTER_CODE",
    "CONTEXT_OVERFLOW",
    "CONTEXT_OVERFLOW_CODE",
    "INVALID_PARAMETER_CODE",
    "MODEL_UNAVAILABLE",
    "MODEL_UNAVAILABLE_CODE",
    "MONEY_WORDS",
    "NO_CREDIT",
    "NO_CREDIT_CODE",
    "OVERLOADED",
    "OVERLOADED_CODE",
    "PERIODIC_QUOTA",
    "RATE_LIMIT",
    "RATE_LIMIT_CODE",
    "REQUEST_TOO_LARGE",
    "ROLLING_DAY",
    "UNSUPPORTED_PARAMETER",
    "UNSUPPORTED_REGION",
    "unsupported_parameter",
]


def _any(*patterns: str) -> str:
    return "|".join(patterns)


# Codes

NO_CREDIT_CODE = _any(
    r"insufficient_(?:\w+_)?(?:quota|credits?|balance|funds?)(?:_.*)?|.*payment_.*|credits?_error",
    r"out_of_credits?|not_enough_.*|.*free_tier_only|no_credits?|billing.*",
    r".*(?:credit|balance|fund)s?_.*(?:low|exhausted|depleted|insufficient|exceeded|required)",
    r"(?:.*_)?(?:spend|spending|usage|budget)_limit.*|.*overdue.*|arrear.*",
    r"(?:.*_)?(?:exceeded_current_)?quota(?:_exceeded|_exhausted|_limit|_error).*",
)
RATE_LIMIT_CODE = _any(
    r"(?:.*_)?(?:rate_?limit|too_many_req|throttl|request_limit).*|limit_requests",
    r"slow_down|ramp_limit.*|limit_burst_rate|too_many_tokens_error",
    r"1302|1303",  # Z.ai
)
OVERLOADED_CODE = _any(
    r".*overload.*|.*capacity.*|.*busy|(?:.*_)?unavailable(?:_error|_exception)?",
    r".*not_ready.*|.*loading",
    r"3040|3505|1305",  # Cloudflare, Mistral, Z.ai
)
AUTH_CODE = _any(
    r".*api_?key.*|(?:invalid|incorrect|missing|expired|no)_(?:auth.*|credentials?|token)",
    r"unauthori[sz]ed.*|unauthenticated|authentication.*|auth_.*|.*unrecognized_client.*",
    r"expired_token.*|invalid_signature.*",
)
CONTEXT_OVERFLOW_CODE = _any(
    r".*context_?(?:length|window|size|limit).*|.*(?:prompt|input|request)_(?:is_)?too_(?:long|large)",
    r"string_above_max_length|max_(?:context|input|prompt).*",
    r"3051|1261",  # Mistral, Z.ai
)
CONTENT_FILTER_CODE = _any(
    r".*content_?(?:filter|policy|moderation|safety).*|.*moderation.*|.*safety.*|unsafe.*",
    r"data_?inspection.*|.*policy_violation.*|.*sensitive.*|invalid_prompt|prohibited_content",
    r".*risk_?control.*|refusal|flagged_input",
    r"1301",  # Z.ai
)
MODEL_UNAVAILABLE_CODE = _any(
    r".*model.*(?:not_?(?:found|exist|support|available|open|allow|enable).*|unavailable|access.*"
    r"|deprecated|decommissioned|retired|terms.*|permission.*|blocked.*|not_exists?)",
    r"(?:invalid|unknown|no_such|unsupported)_model.*|deployment_?not_?found",
    r"5007|5016|5018|3041|3042",  # Cloudflare
    r"1211|20012",  # Z.ai, SiliconFlow
)
INVALID_PARAMETER_CODE = _any(
    r"unsupported_(?:parameter|value|param).*|unknown_(?:parameter|param|field).*",
    r"invalid_function.*|invalid_(?:type|value|schema|json)|missing_required.*|wrong_api_format",
    r"extra_forbidden",
    r"5006",  # Cloudflare
)

# Texts

_GAP = r"\W+(?:[\w'-]+\W+){0,4}?"
"""Up to four words in between."""

_USED_UP = (
    r"(?:too low|insufficient|exhausted|depleted|used up|negative|ran out|expired|exceeded|reached)"
)

NO_CREDIT = _any(
    r"insufficient[_ ](?:\w+[_ ])?(?:credit|balance|fund|quota)",
    rf"\b(?:credit|balance|fund)s?{_GAP}{_USED_UP}",
    r"\b(?:not enough|doesn't have|no|any|more|all) (?:\w+ ){0,3}(?:credit|fund)s?\b(?! card)",
    r"not enough (?:\w+ )?balance",
    r"(?:run|ran|running|out) (?:out )?of (?:\w+ )?(?:credit|fund|balance|money)",
    r"(?:spend|spending|usage|key)[_ ]limits?\b|quota is not enough",
    r"in arrears|past due|unpaid (?:invoice|bill|balance|order)|overdue (?:invoice|bill|balance)",
    r"(?:account|payment|invoice|bill|balance) (?:\w+ ){0,3}overdue|in good standing",
    r"payment required|inference prohibited|credit card on file|\btop[- ]up\b|\brecharge\b",
    r"prepa(?:y|id)|欠费|余额不足|额度不足",
)
"""The account has no money left; unambiguous at any status."""

BILLING = _any(
    NO_CREDIT,
    r"billing (?:details|account|is|issue|hard|not|to)|(?:enable|update|your) billing",
    r"payment[_ ](?:method|instrument|is)",
    rf"\b(?:quota|allocation|allowance|budget|trial|free tier){_GAP}{_USED_UP}",
    r"(?:exceeded|exhausted|used(?: up)?) (?:\w+ ){0,4}(?:quota|credits?|allocation|budget)",
    r"account (?:[\w-]+ ){0,3}(?:suspended|inactive|deactivated)",
)
"""About money, in phrases that an error about something else does not contain."""

MONEY_WORDS = r"quota|trial|billing|payment|credit|balance|subscri|budget|allowance|suspended|额度"
"""Words that mean money at status 429, if no rate is mentioned."""

PERIODIC_QUOTA = _any(
    r"(?:per|each|/)[-_ ]{0,2}(?:day|month|week)\b|by ?day\b|\b(?:daily|monthly|weekly)\b",
    r"(?:day|hour)[- ](?:\w+ )?(?:quota|allowance|limit)|limit reached for \d+ hour|\b[tr]pd\b",
)
"""A quota that renews each day, week or month."""

ROLLING_DAY = (
    r"(?:(?:per|/)[- ]?day|\b[tr]pd\b).*(?:try again|retry|wait)\D{0,24}"
    r"(?:\d{1,3}(?:\.\d+)? ?(?:ms|s)|\d{1,2} ?m(?:in|\d|\b))"
)
"""A sliding window of a day that frees up within the hour (Groq)."""

RATE_LIMIT = _any(
    r"per[-_ ]?(?:minute|min|second|sec|hour)\b|/ ?(?:min|sec|s\b|hour)|\b[rt]p[mshd]\b",
    r"rate[-_ ]?limit|too many (?:\w+ )?requests|requests?[_ ]per|throttl|concurren",
    r"频率|速率|并发",
)
"""Too many requests or tokens per minute, or too many at once."""

REQUEST_TOO_LARGE = r"request (?:body )?too large for|reduce your message size"
"""This one request exceeds the limit of a minute."""

_KEY_WORDS = (
    r"(?:api[-_ ]?keys?|access[-_ ]keys?|credentials?"
    r"|(?:auth|authentication|authorization|access|bearer|api|security)[-_ ]tokens?)"
)
_REJECTED_KEY = (
    r"(?:invalid|incorrect|not valid|expired|missing|wrong|revoked|disabled|not found|malformed"
    r"|unauthori[sz]ed|not provided|required|leaked|does ?n[o']t match|not recogni[sz]ed)"
)
AUTH = _any(
    rf"(?:{_REJECTED_KEY}|\bvalid\b|provide an?|\bno\b) (?:\w+ ){{0,2}}['\"`]?{_KEY_WORDS}",
    rf"\b{_KEY_WORDS}\b['\"`:]*(?: \S+){{0,6}}? {_REJECTED_KEY}",
    r"authentication (?:\w+ )?(?:fail|error|required)|not authenticated|unauthorized\b",
    r"header\W+authorization|unable to locate credentials|token .{0,20}expired",
)
"""The key is missing or rejected."""

_TOO_LONG = (
    r"(?:exceed|larger|longer|greater|maximum|\bmax\b|too (?:long|large|many|big)|overflow|beyond"
    r"|limit|reduce|fit)"
)
_WINDOW = r"context[-_ ]?(?:length|window|size|limit)"
CONTEXT_OVERFLOW = _any(
    rf"{_TOO_LONG}.{{0,80}}?\b{_WINDOW}|{_WINDOW}.{{0,60}}?{_TOO_LONG}",
    r"(?:prompt|inputs?|conversation|messages?|request|query|text)\W+(?:\w+\W+){0,3}?too long",
    r"(?:prompt|input)\W+(?:\w+\W+){0,3}?too large|string too long|prompt has .{0,20}tokens",
    r"(?:input|prompt|total|requested|message)\W+(?:\S+ ){0,6}?tokens?\b.{0,60}?"
    r"(?:exceed|longer|larger)",
    r"exceed\w* (?:[\w']+ ){0,6}?(?:input |prompt |context )?tokens?\b",
    r"too many (?:\w+ )?tokens|token limit exceeded",
    r"inputs?`?(?:[_ ]tokens)? ?\+ ?`?max_(?:new_)?tokens|current length is .{0,20}while limit",
    r"max(?:imum)? (?:input|prompt|sequence) length|input length (?:should|must|exceed|and)",
    r"reduce (?:the|your) (?:length|prompt|input|messages?)|longer than the (?:maximum|max|model)",
    r"超过.{0,12}长度",
)
"""The conversation does not fit the model's context window."""

ANSWER_LENGTH = _any(
    r"(?<!\+ )(?<!\+ `)\bmax_(?:completion_|output_|new_)?tokens\b[`'\"]?:? ?"
    r"(?:is too (?:large|high)|must be|should be|cannot|\d+ >|\(\d+\) exceeds)"
    r"(?!.*context length is)",
    r"(?:invalid|range of) max_tokens|maximum tokens you requested",
    r"(?:exceed|maximum|allowed|at most).{0,40}(?:output|completion) tokens",
)
"""`max_tokens` is out of range; the conversation itself would fit."""

CONTENT_FILTER = _any(
    r"content[-_ ]?(?:filter|management|policy|moderation)|responsible ?ai",
    r"\b(?:by|for|fail\w*|requires?|of) (?:\w+ )?moderation|moderation (?:fail|block|flag)",
    r"(?:inputs?|prompt|content|request|messages?|text|output)\W+(?:\w+\W+){0,6}?flagged",
    r"flagged (?:as|by|for)|considered high risk|content exists risk|敏感|不安全",
    r"(?:usage|safety) (?:polic|guideline|system|filter|check|setting|reason)",
    r"(?:prohibited|inappropriate|sensitive|unsafe|harmful|illegal) (?:\w+ )?"
    r"(?:content|information|word)",
    r"violat\w+ (?:\S+ ){0,5}(?:polic|guideline|terms)",
)
"""The prompt or the answer was refused for its content."""

_MODEL = (
    r"\b(?:model|deployment|engine)s?\b[\s:]*(?:id |name )?"
    r"[\[`'\"«]?[\w./:@ -]{0,100}?[\]`'\"»]*,? (?:(?:is|was|are|has been|have been|could|can) )?"
)
MODEL_UNAVAILABLE = _any(
    rf"{_MODEL}(?:cannot |not )(?:be )?(?:found|exist|supported|available|deployed|enabled|valid"
    r"|accessible|allowed)",
    rf"{_MODEL}(?:(?:does|do) ?n[o']t exist|unavailable|unknown|deprecated|decommissioned|retired"
    r"|discontinued|no longer|invalid|blocked|disabled)",
    r"not a (?:valid|known|supported) (?:\w+ )?model|no models? loaded|模型不存在",
    r"(?:unknown|invalid|no such|unsupported|unrecogni[sz]ed|incorrect) model\b",
    r"(?:no|not|n't) (?:\w+ )?(?:have |has )?(?:access|entitled|authorized|permission)\w* "
    r"(?:(?:to|for|use) )*(?:\w+ ){0,4}models?\b",
    r"\bgated\b|non-serverless|not activated|not found for account|model access (?:is )?denied",
    r"on-demand throughput isn",
)
"""The model does not exist, was retired, or is not available to this account."""

OVERLOADED = _any(
    r"overload|(?:at|over|out of|no) capacity|capacity (?:\w+ )?exceeded|no more data centers",
    r"(?:server|model|engine|service)s? (?:\w+ ){0,2}busy|(?:temporarily|currently) unavailable",
    r"(?:is|currently|still) loading|loading model|warming up|high demand|繁忙|负载",
)
"""The provider is busy or still starting."""

UNSUPPORTED_REGION = r"(?:country|region|location)\b.{0,40}not (?:supp|avail|allow)"
"""The provider does not serve the caller's country."""

_NAME = r"[`'\"\\\[]{0,4}(?P<name>[A-Za-z_][\w.\[\]]{0,80})[`'\"\\\]]{0,4}"
_REJECTED = (
    r"(?:not (?:supported|permitted|allowed|a valid (?:field|parameter))|unsupported|deprecated)"
)
_PARAMETER = r"(?:parameter|param|argument|field|keyword|key|property|name|option)s?(?:\(s\))?"
_EXTRA_INPUT = r"extra (?:inputs|fields) (?:are )?not permitted"
_UNQUOTED_NAME = r"[a-z]+(?:_[a-z]+)+|tools|stop|seed|stream|logprobs|temperature|n"
"""Parameter names that are recognizable without quotes."""

_NO_SUPPORT = r"does ?n[o']t support (?:the |this )?"
_UNSUPPORTED_PARAMETERS = (
    (
        r"(?:unsupported|unknown|unrecogni[sz]ed|unexpected|extraneous)(?: \w+){0,2}? "
        rf"(?:{_PARAMETER}|value)(?: supplied| received| in (?:object|request))?:?"
        rf"(?: {_PARAMETER})? ?{_NAME}"
    ),
    rf"{_PARAMETER} (?:is |are )?not supported(?: \w+){{0,4}}: ?{_NAME}",
    rf"{_PARAMETER} (?!is |are ){_NAME} (?:\w+ ){{0,6}}?{_REJECTED}",
    rf"(?<!model )(?<!models )[`'\"]{_NAME}(?: of type \S+)? (?:is|are) {_REJECTED}(?! by any)",
    rf"\b(?P<name>{_UNQUOTED_NAME}) (?:is|are) {_REJECTED}",
    rf"{_NO_SUPPORT}{_PARAMETER}:? {_NAME}",
    rf"{_NO_SUPPORT}[`'\"]{_NAME}",
    rf"{_NO_SUPPORT}(?P<name>{_UNQUOTED_NAME})\b",
    rf"(?<![\w.]){_NAME}: {_EXTRA_INPUT}",
    rf"{_EXTRA_INPUT}\W+field:? {_NAME}",
    rf"loc\W+body\W+{_NAME}.{{0,80}}extra",
    rf"\bbody (?P<name>\w+(?: \w+){{0,5}}?) {_EXTRA_INPUT}",
)
"""Each pattern has a group `name`; the first match names the parameter."""

UNSUPPORTED_PARAMETER = _any(*(sign.replace("?P<name>", "?:") for sign in _UNSUPPORTED_PARAMETERS))
"""A request parameter is unknown or unsupported."""


def unsupported_parameter(text: str) -> str | None:
    """Return the parameter that `text` calls unsupported, in OpenAI's spelling, if there is one.

    A nested parameter is joined with dots, as in "messages.user.name". "model" does not count.
    """
    matches = (re.search(pattern, text, re.IGNORECASE) for pattern in _UNSUPPORTED_PARAMETERS)
    match = next((match for match in matches if match), None)
    if match is None or match["name"] == "model":
        return None
    name = match["name"].strip(" .")
    if "[" not in name:
        name = name.rstrip("]")
    return re.sub(r"(?<=[a-z])([A-Z])", r"_\1", name.replace(" ", ".")).lower()
