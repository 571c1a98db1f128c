"""The spelling rules of canonical names, as tables; `names` applies them in order.

A rule stands here when it would be right for a model nobody has seen yet. What only
holds of one model stands in `name_aliases`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from typing import NamedTuple

__all__ = ["OTHER_WORDS", "OWN_WEIGHTS", "SHELVES", "UNMEANT", "Rule", "Rules", "rules"]

Raw = tuple[str, str, str]
"""What the name must contain, the pattern, its replacement."""
Rule = tuple[str, Callable[[str], re.Match[str] | None], re.Pattern[str], str]
"""The same, compiled, with a look that costs less than a replacement that is none."""

_FAMILY = (
    r"(?:aion|allam|apertus|aya|chatgpt|claude|codestral|codex|cogito|command|deepseek|"
    r"devstral|doubao|dola|embed|ernie|gemini|[a-z]*gemma|glm|gpt|granite|grok|hermes|hunyuan|hy\d|"
    r"inkling|jamba|kimi|laguna|lfm|ling|llama|longcat|magistral|mercury|mimo|minimax|"
    r"ministral|mistral|mixtral|muse|namazu|nemotron|north|nova|o\d|palmyra|phi|pixtral|qvq|"
    r"qwen|qwq|rerank|ring|sarvam|seed|solar|sonar|step|titan|trinity|voxtral|whisper|wizardlm)"
    r"(?![a-z])"
)
_VENDOR = (
    r"(?:ai21|aion-labs|alibaba|amazon|anthropic|arcee|baidu|bytedance|c4ai|cohere|"
    r"deepseek(?:-ai)?|google|ibm|inclusionai|meituan|meta(?:-llama)?|microsoft|minimax(?:ai)?|"
    r"mistral-?ai|moonshot(?:-?ai)?|nous(?:research)?|nvidia|openai|perplexity|qwen|sakana|"
    r"sarvam(?:ai)?|stepfun(?:-ai)?|tencent|upstage|writer|x-?ai|xiaomi(?:mimo)?|"
    r"z-?ai(?:-org)?|zhipu(?:ai)?)"
)
_RESELLER = r"(?:alicloud|azure|bailian|cerebras|coding|databricks|deep|groq|umans|xpersona)"

_MONTH = r"(?:0[1-9]|1[0-2])"
_DAY = r"(?:0[1-9]|[12]\d|3[01])"
_DATE = rf"20\d\d-?{_MONTH}-?{_DAY}|{_MONTH}-20\d\d|2[3-9]{_MONTH}{_DAY}|{_MONTH}-{_DAY}"

OWN_WEIGHTS = frozenset({"snowflake"})
"""Providers whose prefix means weights of their own, not a label."""
SHELVES = frozenset({"pro", "tee"})
"""First words of a path that say how a model is served, not who made it."""
UNMEANT = frozenset({"", "default", "latest"})
OTHER_WORDS = {
    "no-think": "no-thinking",
    "nothink": "no-thinking",
    "nothinking": "no-thinking",
    "think": "thinking",
    "thought": "thinking",
}

_PREFIXES: tuple[Raw, ...] = (
    ("_", r"(?<=\d)_(?=\d)", "."),
    ("_", "_", "-"),
    ("--", "--+", "-"),
    (".", r"^deepseek\.(?=[rv]\d)", "deepseek-"),  # here the vendor is the family
    (".", rf"^(?:{_VENDOR}|mistral)\.(?=[a-z])", ""),  # Bedrock
    ("-", rf"^(?:{_RESELLER}-(?:{_VENDOR}-)?|{_VENDOR}-)(?={_FAMILY})", ""),
    ("mistral-", r"^mistral-(?=[a-z]+tral\b)", ""),  # but Mistral Nemotron is a name
    ("duo-chat", r"^duo-chat-(?=gpt-)", ""),
    ("duo-chat", r"^duo-chat-(?=(?:opus|sonnet|haiku|fable)-\d)", "claude-"),
    ("open-", r"^open-(?=[a-z]+[sx]tral-)", ""),
    ("labs-", r"^labs-(?=[a-z]+stral)", ""),
    ("-seed", r"^(?:doubao|dola)-(?=seed-)", ""),  # one model, named by country
    ("stepfun-", r"^stepfun-(?=\d)", "step-"),
)
"""One mark between words; and who makes or resells a model is no part of its name."""

_SPELLINGS: tuple[Raw, ...] = (
    ("p", r"(?<=\d)p(?=\d)", "."),  # Fireworks writes a dot as p
    ("", r"^(claude|ernie|gemini|gemma|glm|gpt|granite|grok|kimi|mistral|phi|veo)(?=\d)", r"\1-"),
    ("flux.", r"^flux\.(?=\d)", "flux-"),
    ("llama", r"\bllama-?v?(?=\d)", "llama-"),
    ("mistral-", r"^(mistral-(?:large|medium|small))(?=\d)", r"\1-"),
    ("cogito", r"^cogito-(?=\d[.-])", "cogito-v"),
    ("vl", r"^(qwen\d(?:\.\d)?)vl(?=-|$)", r"\1-vl"),  # Ollama
    ("", r"^(qwen|lfm|hy|solar-pro|solar-mini)-(?=\d(?:[.-]|$))", r"\1"),
    ("claude", r"^(claude-[a-z]+)(?=\d)", r"\1-"),
    ("deepseek-", r"^deepseek-(?=\d(?:[.-]|$))", "deepseek-v"),
    ("-v-", r"-v-(?=\d)", "-v"),
    ("distill-qwen", r"(?<=distill-qwen-)(\d)-(?=\db)", r"\1."),
    (  # venice writes no dot
        "",
        (
            r"^((?:gpt-|grok-|qwen|minimax-m|mimo-v|kimi-k|glm-|deepseek-v|gemini-|llama-|claude-[a-z]+-)"
            r"\d)(?=\d(?:-|$))"
        ),
        r"\1.",
    ),
    ("l3", r"^(l3)(?=\d-)", r"\1."),
    ("t-", r"-(\d)-(?=\dt-)", r"-\1."),
    ("-", r"-(?<=\d-)(?<![\d.]\d-)(?=(?:[1-9]\d?|0|\dv)(?:-|$))", "."),  # sonnet-4-5 → 4.5
    ("gemini-", r"^gemini-(flash(?:-lite|-8b)?|pro)-(\d\.\d)(?=-|$)", r"gemini-\2-\1"),
    (
        ".0",
        (
            r"^(gemini-[3-9]|claude(?:-[a-z]+)?-[3-9]|(?:deepseek-v|fugu-ultra-v|glm-|grok-|imagen-|"
            r"kimi-k|llama-|minimax-m|veo-)\d)\.0(?=-|$)"
        ),
        r"\1",
    ),
    (".0", r"^(mistral-[a-z]+-\d)\.0(?:[.-]\d\d?)?(?=-|$)", r"\1"),
    ("claude", r"^claude-([4-9](?:\.\d+)?)-([a-z]{4,})", r"claude-\2-\1"),
    ("claude", r"^claude-(opus|sonnet|haiku)-(3(?:\.\d)?)(?=-|$)", r"claude-\2-\1"),
    (
        "nemotron-",
        r"\bnemotron-(nano|super|ultra|lightning)-(\d(?:\.\d)?)(?=-\d+b)",
        r"nemotron-\2-\1",
    ),
    ("nemotron-", r"\bnemotron-nano-v2-(\d+b)", r"nemotron-nano-\1-v2"),
    ("-omni-", r"-omni-reasoning-(\d+b(?:-a\d+b)?)", r"-omni-\1-reasoning"),
    ("llama-4", r"^(llama-4-[a-z]+)-17b(?:-\d+e)?", r"\1"),  # one size each
    ("deepseek-chat", r"^deepseek-chat-(?=v\d)", "deepseek-"),
    ("-ga-", r"-ga-2\d(?=\d{4}$)", "-"),
    (  # the day makes the model here, and some write the year before it
        "-2",
        r"^(deepseek-(?:r1|v3)|kimi-k2(?:-instruct)?)-(?:20)?2[45]-?([01]\d)-?([0-3]\d)$",
        r"\1-\2\3",
    ),
    ("minimax-", r"^(minimax-m\d(?:\.\d)?)-lightning", r"\1-highspeed"),  # its earlier word
    ("llama-3.2", r"^(llama-3\.2)-vision-(\d+b)$", r"\1-\2-vision"),
    ("granite-", r"^granite-(\d)-(?=[a-z])", r"granite-\1.0-"),
    ("-generate", r"^((?:imagen|veo)-.+)-generate(?=-)", r"\1"),
    ("grok", r"^(grok-.*)-beta(?=-|$)", r"\1"),
    ("grok", r"^(grok-.*)-(\d{4})((?:-non)?-reasoning)$", r"\1\3-\2"),
)
"""One way to write versions, and one order of words."""

_SERVED = (
    r"(?:claude|deepseek|devstral|gemini|gemma|glm|gpt|hy|inkling|kimi|ling|llama|mimo|"
    r"minimax|mistral|nemotron|o|qwen|step)-?[a-z]*-?\d"
)
_HYBRID = (
    r"claude|deepseek-v(?:3\.|[4-9])|ernie-5\.[1-9]|gemini-(?:2\.5|[3-9])|gemma-4|"
    r"glm-(?:4\.[5-9]|[5-9])|gpt-5|kimi-k(?:2\.|[3-9])|mimo|minimax-m|qwen3\.[5-9]"
)

_SUFFIXES = (
    (
        "quantization",
        (
            r"(?:ud-)?i?q\d(?:[-.](?:[01klms]|nl|x?xs|xl))*|awq|gptq|exl[23]|mlx|bnb|autoround|"
            r"fp(?:4|6|8|16)(?:-dynamic)?|nvfp4|mxfp[468]|b?f16|f32|dwq|qat|quantized|int[48](?:-mixed-ar)?|(?:[2-8]|16)bit|w\d+a\d+"
        ),
        "",
    ),
    (
        "tier",
        (
            r"free|batch|tee|tput|high-throughput|original|cs|fw|el|sambanova|cloud|nitro|priority|"
            r"spot|eco|cheaper|contributor|together|no-?think(?:ing)?"
        ),
        "",
    ),
    ("tier", r"fast-api|fast|ultrafast|flex|speed|short", _SERVED),
    ("tier", r"turbo", r"deepseek|gemma|glm-4|gpt-oss|kimi-k\d\.|llama|minimax-m|qwen.*\db\b"),
    ("tier", r"lite|basic", "llama"),
    ("tier", r"search", "gemini"),
    ("tier", r"(?<!extended-)thinking|think|thought", _HYBRID),
    ("tier", r"minimal|low|medium|x?high", r"claude|gemini-[3-9]|gpt-(?:[5-9]|oss)|o\d"),
    (
        "tier",
        r"32768|8192|4096|\d+k|1m",
        (
            r"claude|deepseek|gemma|glm-(?:4-|[4-9]\.|[5-9])|gpt-oss|inkling|kimi|llama|mimo|"
            r"minimax-m[2-9]|mixtral|nemotron|qwen(?:2\.5(?!.*-1m)|3)"
        ),
    ),
    (  # each day's preview of a Gemini is another model
        "snapshot",
        _DATE,
        (
            r"(?!command-r(?:-plus)?-0[34]-2024|gpt-4o-2024-?(?:05-?13|11-?20)|"
            r"gemini-\d\.\d-(?:pro|flash|flash-lite)-preview-)"
        ),
    ),
    ("snapshot", r"\d{4}", r"(?:glm|gpt|grok|mistral-(?:nemo|saba)|o\d|phi|pixtral|voxtral)-"),
    ("snapshot", r"00\d", r"gemini-\d|imagen|veo"),
    ("snapshot", r"v0\.?\d", r"codestral|ministral|mistral|mixtral|zephyr"),
    ("snapshot", r"v2", r"claude"),
    ("dropped", r"(?<!non-)reasoning", r"grok-\d"),  # what grok does when not told
    ("dropped", r"v1", r"(?:claude|llama|nova|palmyra|qwen)(?!.*embed)"),
    ("dropped", r"versatile|instant", r"llama-\d"),
    ("dropped", r"paddle|pt", "ernie"),
    ("dropped", r"latest|default|maas|hf|gguf|ggml", ""),
    (
        "dropped",
        r"instruct|chat|it",
        r"(?!gpt-(?:\d|chat$)|deepseek-chat$|multilingual-e5|qwen3-(?:235b|30b|4b)(?:-a\d+b)?-instruct$)",
    ),
)
"""Which fact, which words at the end say it, and of which names."""

_TAIL: tuple[Raw, ...] = (
    ("-i", r"-(?:instruct|it)(?=-)(?<!e5-large-instruct)", ""),
    (  # families in which a version has one size
        "",
        (
            r"^((?:deepseek-(?:v\d|r1)|kimi-k\d|glm-(?:4\.|[5-9])|minimax-m\d)[a-z0-9.-]*?)"
            r"-(?:\d{3}b|\d(?:\.\d)?t)(?:-a\d+b)?$"
        ),
        r"\1",
    ),
    (
        "stral",
        r"^((?:mistral-(?:large|medium|small)|devstral(?:-small)?)-\d(?:\.\d)?)-\d{2,3}b$",
        r"\1",
    ),
    (
        "stral",
        (
            r"^(mistral-(?:large|medium|small)|devstral(?:-small|-medium)?|magistral-[a-z]+)"
            r"(?:-\d(?:\.\d)?)?(?:-\d{2,3}b)?-(\d{4})$"
        ),
        r"\1-\2",
    ),
    ("phi-4", r"^(phi-4(?:-mini)?(?:-reasoning)?)-(?:14|3\.8)b$", r"\1"),
    ("command-", r"^(command-(?:a|r|r-plus|r7b))-\d+b$", r"\1"),
    ("ministral-3", r"^ministral-3-(?=\d+b)", "ministral-"),
    ("-2512", r"^(ministral-.+)-2512$", r"\1"),
    ("llama-3.2", r"^(llama-3\.2-(?:11|90)b)$", r"\1-vision"),  # there is no other
    ("-preview", r"^(gpt-(?!4-\d{4}).+|kimi-.+)-preview$", r"\1"),
)
"""What is settled once the suffixes are off."""


class Rules(NamedTuple):
    """The tables, compiled."""

    prefixes: tuple[Rule, ...]
    spellings: tuple[Rule, ...]
    tail: tuple[Rule, ...]
    suffix: re.Pattern[str]
    stems: dict[str, tuple[str, re.Pattern[str]]]
    """By the group of `suffix` that was found: the fact, and which names may have it."""
    date: re.Pattern[str]
    family: re.Pattern[str]
    versioned: re.Pattern[str]
    region: re.Pattern[str]
    revision: re.Pattern[str]
    part_of_name: re.Pattern[str]
    sized: re.Pattern[str]
    gguf: re.Pattern[str]


@cache
def rules() -> Rules:
    """Return the tables, compiled when first asked for: importing costs nothing."""
    words = "|".join(f"(?P<_{n}>{words})" for n, (_, words, _) in enumerate(_SUFFIXES))
    return Rules(
        prefixes=_compiled(_PREFIXES),
        spellings=_compiled(_SPELLINGS),
        tail=_compiled(_TAIL),
        suffix=re.compile(rf"(?<=.)[-.](?:{words})$"),
        stems={f"_{n}": (fact, re.compile(of)) for n, (fact, _, of) in enumerate(_SUFFIXES)},
        date=re.compile(_DATE),
        family=re.compile(_FAMILY),
        versioned=re.compile(rf"{_FAMILY}.*\d"),
        region=re.compile(
            r"(us-gov|us|eu|apac|global|jp|au|ca|in|sa|me|af)\.(?=[a-z0-9-]+\.[a-z])"
        ),
        revision=re.compile(r"-v?\d+:\d+(?::\w+)?$"),  # Bedrock
        part_of_name=re.compile(
            r"(?:0\d|1[0-2])[0-3]\d$|(?:\d+x|e)?\d+(?:\.\d+)?[bmt]\b|(?:i?q|fp|v)\d|"
            r"(?:chat|instruct|it|maverick|scout)\b"
        ),
        sized=re.compile(r".+?-\d+(?:\.\d+)?[bt](?=-(?!a\d)|$)"),
        gguf=re.compile(r"(?:ud-)?i?q\d"),
    )


def _compiled(raw: tuple[Raw, ...]) -> tuple[Rule, ...]:
    return tuple(
        (needle, found.match if pattern.startswith("^") else found.search, found, new)
        for needle, pattern, new in raw
        for found in (re.compile(pattern),)
    )
