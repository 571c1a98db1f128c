"""Word families: how providers say that money, a model or room is missing, and the like.

Patterns to be searched in a provider's text without regard to case. A family has what
was read in the field and its kin, never a bare word that a tool's name or a schema in
the caller's own request may hold: an error quotes those. So it is "credit balance is
too low", not "credit". Every quantifier that spans words is bounded, for texts are
long at times.
"""

from __future__ import annotations

import re

__all__ = [
    "ABSENT",
    "ANSWER_LENGTH",
    "BILLING",
    "BROKE",
    "BUSY",
    "CREDENTIAL",
    "DAILY",
    "DAILY_SOON",
    "ELSEWHERE",
    "MONEY",
    "OVERFLOW",
    "PACE",
    "TOO_LARGE",
    "UNSAFE",
    "UNSUPPORTED",
    "unsupported_name",
]


def _any(*patterns: str) -> str:
    return "|".join(patterns)


_GAP = r"\W+(?:[\w'-]+\W+){0,4}?"
"""At most four words between."""

_GONE = (
    r"(?:too low|insufficient|exhausted|depleted|used up|negative|ran out|expired|exceeded|reached)"
)

BROKE = _any(
    r"insufficient[_ ](?:\w+[_ ])?(?:credit|balance|fund|quota)",
    rf"\b(?:credit|balance|fund)s?{_GAP}{_GONE}",
    r"\b(?:not enough|doesn't have|no|any|more|all) (?:\w+ ){0,3}(?:credit|fund)s?\b(?! card)",
    r"not enough (?:\w+ )?balance",
    r"(?:run|ran|running|out) (?:out )?of (?:\w+ )?(?:credit|fund|balance|money)",
    r"(?:spend|spending|usage|key)[_ ]limits?\b|quota is not enough",
    r"in arrears|past due|unpaid (?:invoice|bill|balance|order)|overdue (?:invoice|bill|balance)",
    r"(?:account|payment|invoice|bill|balance) (?:\w+ ){0,3}overdue|in good standing",
    r"payment required|inference prohibited|credit card on file|\btop[- ]up\b|\brecharge\b",
    r"prepa(?:y|id)|欠费|余额不足|额度不足",
)
"""There is no money, without a doubt."""

BILLING = _any(
    BROKE,
    r"billing (?:details|account|is|issue|hard|not|to)|(?:enable|update|your) billing",
    r"payment[_ ](?:method|instrument|is)",
    rf"\b(?:quota|allocation|allowance|budget|trial|free tier){_GAP}{_GONE}",
    r"(?:exceeded|exhausted|used(?: up)?) (?:\w+ ){0,4}(?:quota|credits?|allocation|budget)",
    r"account (?:[\w-]+ ){0,3}(?:suspended|inactive|deactivated)",
)
"""About money, in a form that a body about something else does not have."""

MONEY = r"quota|trial|billing|payment|credit|balance|subscri|budget|allowance|suspended|额度"
"""Words that mean money at 429, when no pace is named."""

DAILY = _any(
    r"(?:per|each|/)[-_ ]{0,2}(?:day|month|week)\b|by ?day\b|\b(?:daily|monthly|weekly)\b",
    r"(?:day|hour)[- ](?:\w+ )?(?:quota|allowance|limit)|limit reached for \d+ hour|\b[tr]pd\b",
)
"""An allowance that the calendar renews."""

DAILY_SOON = (
    r"(?:(?:per|/)[- ]?day|\b[tr]pd\b).*(?:try again|retry|wait)\D{0,24}"
    r"(?:\d{1,3}(?:\.\d+)? ?(?:ms|s)|\d{1,2} ?m(?:in|\d|\b))"
)
"""A day's window that moves on, and frees up within the hour."""

PACE = _any(
    r"per[-_ ]?(?:minute|min|second|sec|hour)\b|/ ?(?:min|sec|s\b|hour)|\b[rt]p[mshd]\b",
    r"rate[-_ ]?limit|too many (?:\w+ )?requests|requests?[_ ]per|throttl|concurren",
    r"频率|速率|并发",
)
"""Too fast, or too many at once."""

TOO_LARGE = r"request (?:body )?too large for|reduce your message size"
"""One request above a minute's allowance."""

_KEY = (
    r"(?:api[-_ ]?keys?|access[-_ ]keys?|credentials?"
    r"|(?:auth|authentication|authorization|access|bearer|api|security)[-_ ]tokens?)"
)
_FAULT = (
    r"(?:invalid|incorrect|not valid|expired|missing|wrong|revoked|disabled|not found|malformed"
    r"|unauthori[sz]ed|not provided|required|leaked|does ?n[o']t match|not recogni[sz]ed)"
)
CREDENTIAL = _any(
    rf"(?:{_FAULT}|\bvalid\b|provide an?|\bno\b) (?:\w+ ){{0,2}}['\"`]?{_KEY}",
    rf"\b{_KEY}\b['\"`:]*(?: \S+){{0,6}}? {_FAULT}",
    r"authentication (?:\w+ )?(?:fail|error|required)|not authenticated|unauthorized\b",
    r"header\W+authorization|unable to locate credentials|token .{0,20}expired",
)
"""The key is not accepted, or not there."""

_LONG = (
    r"(?:exceed|larger|longer|greater|maximum|\bmax\b|too (?:long|large|many|big)|overflow|beyond"
    r"|limit|reduce|fit)"
)
_WINDOW = r"context[-_ ]?(?:length|window|size|limit)"
OVERFLOW = _any(
    rf"{_LONG}.{{0,80}}?\b{_WINDOW}|{_WINDOW}.{{0,60}}?{_LONG}",
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
"""The conversation does not fit the model's window."""

ANSWER_LENGTH = _any(
    r"(?<!\+ )(?<!\+ `)\bmax_(?:completion_|output_|new_)?tokens\b[`'\"]?:? ?"
    r"(?:is too (?:large|high)|must be|should be|cannot|\d+ >|\(\d+\) exceeds)"
    r"(?!.*context length is)",
    r"(?:invalid|range of) max_tokens|maximum tokens you requested",
    r"(?:exceed|maximum|allowed|at most).{0,40}(?:output|completion) tokens",
)
"""The limit set on the answer is out of range; the conversation would fit."""

UNSAFE = _any(
    r"content[-_ ]?(?:filter|management|policy|moderation)|responsible ?ai",
    r"\b(?:by|for|fail\w*|requires?|of) (?:\w+ )?moderation|moderation (?:fail|block|flag)",
    r"(?:inputs?|prompt|content|request|messages?|text|output)\W+(?:\w+\W+){0,6}?flagged",
    r"flagged (?:as|by|for)|considered high risk|content exists risk|敏感|不安全",
    r"(?:usage|safety) (?:polic|guideline|system|filter|check|setting|reason)",
    r"(?:prohibited|inappropriate|sensitive|unsafe|harmful|illegal) (?:\w+ )?"
    r"(?:content|information|word)",
    r"violat\w+ (?:\S+ ){0,5}(?:polic|guideline|terms)",
)
"""What was asked or answered is refused for what it says."""

_MODEL = (
    r"\b(?:model|deployment|engine)s?\b[\s:]*(?:id |name )?"
    r"[\[`'\"«]?[\w./:@ -]{0,100}?[\]`'\"»]*,? (?:(?:is|was|are|has been|have been|could|can) )?"
)
ABSENT = _any(
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
"""The model is not there, not any more, or not for this account."""

BUSY = _any(
    r"overload|(?:at|over|out of|no) capacity|capacity (?:\w+ )?exceeded|no more data centers",
    r"(?:server|model|engine|service)s? (?:\w+ ){0,2}busy|(?:temporarily|currently) unavailable",
    r"(?:is|currently|still) loading|loading model|warming up|high demand|繁忙|负载",
)
"""The provider has too much to do, or is not up yet."""

ELSEWHERE = r"(?:country|region|location)\b.{0,40}not (?:supp|avail|allow)"
"""The provider does not serve where the call comes from."""

_NAME = r"[`'\"\\\[]{0,4}(?P<name>[A-Za-z_][\w.\[\]]{0,80})[`'\"\\\]]{0,4}"
_REFUSED = (
    r"(?:not (?:supported|permitted|allowed|a valid (?:field|parameter))|unsupported|deprecated)"
)
_KIND = r"(?:parameter|param|argument|field|keyword|key|property|name|option)s?(?:\(s\))?"
_EXTRA = r"extra (?:inputs|fields) (?:are )?not permitted"
_PLAIN = r"[a-z]+(?:_[a-z]+)+|tools|stop|seed|stream|logprobs|temperature|n"
"""Names that are told from words without quotes."""

_NOT = r"does ?n[o']t support (?:the |this )?"
_UNSUPPORTED = (
    (
        r"(?:unsupported|unknown|unrecogni[sz]ed|unexpected|extraneous)(?: \w+){0,2}? "
        rf"(?:{_KIND}|value)(?: supplied| received| in (?:object|request))?:?(?: {_KIND})? ?{_NAME}"
    ),
    rf"{_KIND} (?:is |are )?not supported(?: \w+){{0,4}}: ?{_NAME}",
    rf"{_KIND} (?!is |are ){_NAME} (?:\w+ ){{0,6}}?{_REFUSED}",
    rf"(?<!model )(?<!models )[`'\"]{_NAME}(?: of type \S+)? (?:is|are) {_REFUSED}(?! by any)",
    rf"\b(?P<name>{_PLAIN}) (?:is|are) {_REFUSED}",
    rf"{_NOT}{_KIND}:? {_NAME}",
    rf"{_NOT}[`'\"]{_NAME}",
    rf"{_NOT}(?P<name>{_PLAIN})\b",
    rf"(?<![\w.]){_NAME}: {_EXTRA}",
    rf"{_EXTRA}\W+field:? {_NAME}",
    rf"loc\W+body\W+{_NAME}.{{0,80}}extra",
    rf"\bbody (?P<name>\w+(?: \w+){{0,5}}?) {_EXTRA}",
)
"""Each has a `name`; the first that fits tells it."""

UNSUPPORTED = _any(*(sign.replace("?P<name>", "?:") for sign in _UNSUPPORTED))
"""A request parameter is unknown or not supported."""


def unsupported_name(text: str) -> str | None:
    """Return the parameter that `text` calls unsupported, as OpenAI spells it; else `None`.

    A nested one has dots, "messages.user.name". The model is no parameter.
    """
    found = next((m for sign in _UNSUPPORTED if (m := re.search(sign, text, re.IGNORECASE))), None)
    if found is None or found["name"] == "model":
        return None
    name = found["name"].strip(" .")
    name = (name if "[" in name else name.rstrip("]")).replace(" ", ".")
    return re.sub(r"(?<=[a-z])([A-Z])", r"_\1", name).lower()
