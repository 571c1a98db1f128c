"""The rules of canonical names, as tables; `canonical` applies them in order.

A rule belongs here if it would be right for a model that does not exist yet. What is
true of one model only belongs in `aliases`.
"""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "NO_TIER",
    "OWN_WEIGHTS",
    "SERVING_PREFIXES",
    "SUFFIX_SYNONYMS",
    "CompiledRules",
    "compiled_rules",
]


class Rewrite(NamedTuple):
    """One spelling that is replaced by another.

    Attributes:
        needle: What the text must contain; a cheap test before the pattern is tried.
        pattern: What is replaced.
        replacement: What it is replaced by.
        why: What the rule is for, with an example.
    """

    needle: str
    pattern: str
    replacement: str
    why: str


class Suffix(NamedTuple):
    """Words at the end of a name that are not part of it.

    Attributes:
        fact: What the word states: `tier`, `snapshot`, `quantization`, or `dropped` if it
            states nothing.
        words: A pattern for the words.
        names: A pattern for the start of the names to which the rule applies; empty for all.
        why: What the rule is for.
    """

    fact: str
    words: str
    names: str
    why: str


CompiledRewrite = tuple[str, "Callable[[str], re.Match[str] | None]", re.Pattern[str], str]
"""A `Rewrite`: needle, a test that is cheaper than replacing, pattern, replacement.

A plain tuple, because unpacking a NamedTuple takes a fifth of the time of parsing a name.
"""


# Words that the rules below share

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

_SERVED = (
    r"(?:claude|deepseek|devstral|gemini|gemma|glm|gpt|hy|inkling|kimi|ling|llama|mimo|"
    r"minimax|mistral|nemotron|o|qwen|step)-?[a-z]*-?\d"
)
_HYBRID = (
    r"claude|deepseek-v(?:3\.|[4-9])|ernie-5\.[1-9]|gemini-(?:2\.5|[3-9])|gemma-4|"
    r"glm-(?:4\.[5-9]|[5-9])|gpt-5|kimi-k(?:2\.|[3-9])|mimo|minimax-m|qwen3\.[5-9]"
)


# Words with a fixed meaning

OWN_WEIGHTS = frozenset({"snowflake"})
"""Providers whose prefix means their own weights, not a label."""
SERVING_PREFIXES = frozenset({"pro", "tee"})
"""First segments of a path that say how a model is served, not who made it."""
NO_TIER = frozenset({"", "default", "latest"})
"""Tags that state no tier."""
SUFFIX_SYNONYMS = {
    "no-think": "no-thinking",
    "nothink": "no-thinking",
    "nothinking": "no-thinking",
    "think": "thinking",
    "thought": "thinking",
}

# The rules, in the order they are applied

_PREFIXES = (
    Rewrite("_", r"(?<=\d)_(?=\d)", ".", why="an underscore between digits is a dot: qwen3_5"),
    Rewrite("_", "_", "-", why="every other underscore is a hyphen"),
    Rewrite("--", "--+", "-", why="one hyphen between words"),
    Rewrite(
        ".",
        r"^deepseek\.(?=[rv]\d)",
        "deepseek-",
        why="Bedrock writes `vendor.model`, and here the vendor is part of the name",
    ),
    Rewrite(".", rf"^(?:{_VENDOR}|mistral)\.(?=[a-z])", "", why="Bedrock: `vendor.model`"),
    Rewrite(
        "-",
        rf"^(?:{_RESELLER}-(?:{_VENDOR}-)?|{_VENDOR}-)(?={_FAMILY})",
        "",
        why="reseller and vendor before a model family",
    ),
    Rewrite(
        "mistral-",
        r"^mistral-(?=[a-z]+tral\b)",
        "",
        why="`mistral-devstral`; but `mistral-nemotron` is a name",
    ),
    Rewrite("duo-chat", r"^duo-chat-(?=gpt-)", "", why="GitLab"),
    Rewrite(
        "duo-chat",
        r"^duo-chat-(?=(?:opus|sonnet|haiku|fable)-\d)",
        "claude-",
        why="GitLab leaves out `claude`",
    ),
    Rewrite(
        "open-", r"^open-(?=[a-z]+[sx]tral-)", "", why="Mistral's open weights: `open-codestral`"
    ),
    Rewrite("labs-", r"^labs-(?=[a-z]+stral)", "", why="Mistral's previews: `labs-devstral`"),
    Rewrite(
        "-seed", r"^(?:doubao|dola)-(?=seed-)", "", why="one model, named differently by country"
    ),
    Rewrite("stepfun-", r"^stepfun-(?=\d)", "step-", why="StepFun's models are `step-…`"),
)
"""First: one separator between words, and no maker or reseller before the name."""

_SPELLINGS = (
    Rewrite("p", r"(?<=\d)p(?=\d)", ".", why="Fireworks writes a dot as `p`: k2p6"),
    Rewrite(
        "",
        r"^(claude|ernie|gemini|gemma|glm|gpt|granite|grok|kimi|mistral|phi|veo)(?=\d)",
        r"\1-",
        why="a hyphen between family and version: gemma3",
    ),
    Rewrite("flux.", r"^flux\.(?=\d)", "flux-", why="`flux.2`"),
    Rewrite("llama", r"\bllama-?v?(?=\d)", "llama-", why="`llama3`, `llama-v3`"),
    Rewrite("mistral-", r"^(mistral-(?:large|medium|small))(?=\d)", r"\1-", why="`mistral-large2`"),
    Rewrite("cogito", r"^cogito-(?=\d[.-])", "cogito-v", why="Cogito's versions have a `v`"),
    Rewrite("vl", r"^(qwen\d(?:\.\d)?)vl(?=-|$)", r"\1-vl", why="Ollama: `qwen2.5vl`"),
    Rewrite(
        "",
        r"^(qwen|lfm|hy|solar-pro|solar-mini)-(?=\d(?:[.-]|$))",
        r"\1",
        why="these families have no hyphen before the version: `qwen-3`",
    ),
    Rewrite("claude", r"^(claude-[a-z]+)(?=\d)", r"\1-", why="`claude-sonnet4`"),
    Rewrite(
        "deepseek-",
        r"^deepseek-(?=\d(?:[.-]|$))",
        "deepseek-v",
        why="DeepSeek's versions have a `v`",
    ),
    Rewrite("-v-", r"-v-(?=\d)", "-v", why="`v-3` is `v3`"),
    Rewrite("distill-qwen", r"(?<=distill-qwen-)(\d)-(?=\db)", r"\1.", why="`distill-qwen-2-5b`"),
    Rewrite(
        "",
        r"^((?:gpt-|grok-|qwen|minimax-m|mimo-v|kimi-k|glm-|deepseek-v|gemini-|llama-|claude-[a-z]+-)"
        r"\d)(?=\d(?:-|$))",
        r"\1.",
        why="Venice writes no dot: `gpt-54`",
    ),
    Rewrite("l3", r"^(l3)(?=\d-)", r"\1.", why="`l3-1-…`"),
    Rewrite("t-", r"-(\d)-(?=\dt-)", r"-\1.", why="`2-4t` is a size with a dot"),
    Rewrite(
        "-",
        r"-(?<=\d-)(?<![\d.]\d-)(?=(?:[1-9]\d?|0|\dv)(?:-|$))",
        ".",
        why="a version with a hyphen: `sonnet-4-5`",
    ),
    Rewrite(
        "gemini-",
        r"^gemini-(flash(?:-lite|-8b)?|pro)-(\d\.\d)(?=-|$)",
        r"gemini-\2-\1",
        why="`gemini-flash-1.5`",
    ),
    Rewrite(
        ".0",
        r"^(gemini-[3-9]|claude(?:-[a-z]+)?-[3-9]|(?:deepseek-v|fugu-ultra-v|glm-|grok-|imagen-|"
        r"kimi-k|llama-|minimax-m|veo-)\d)\.0(?=-|$)",
        r"\1",
        why="`4.0` is `4` in these families",
    ),
    Rewrite(
        ".0", r"^(mistral-[a-z]+-\d)\.0(?:[.-]\d\d?)?(?=-|$)", r"\1", why="`mistral-large-3.0`"
    ),
    Rewrite(
        "claude",
        r"^claude-([4-9](?:\.\d+)?)-([a-z]{4,})",
        r"claude-\2-\1",
        why="Claude 4 and later: tier before version",
    ),
    Rewrite(
        "claude",
        r"^claude-(opus|sonnet|haiku)-(3(?:\.\d)?)(?=-|$)",
        r"claude-\2-\1",
        why="Claude 3: version before tier",
    ),
    Rewrite(
        "nemotron-",
        r"\bnemotron-(nano|super|ultra|lightning)-(\d(?:\.\d)?)(?=-\d+b)",
        r"nemotron-\2-\1",
        why="Nemotron: version before class",
    ),
    Rewrite(
        "nemotron-",
        r"\bnemotron-nano-v2-(\d+b)",
        r"nemotron-nano-\1-v2",
        why="`nemotron-nano-v2-12b`",
    ),
    Rewrite(
        "-omni-",
        r"-omni-reasoning-(\d+b(?:-a\d+b)?)",
        r"-omni-\1-reasoning",
        why="`omni-reasoning-30b`",
    ),
    Rewrite(
        "llama-4",
        r"^(llama-4-[a-z]+)-17b(?:-\d+e)?",
        r"\1",
        why="Llama 4 has one size of each name",
    ),
    Rewrite("deepseek-chat", r"^deepseek-chat-(?=v\d)", "deepseek-", why="`deepseek-chat-v3.1`"),
    Rewrite("-ga-", r"-ga-2\d(?=\d{4}$)", "-", why="Volcengine's release marker: `-ga-260731`"),
    Rewrite(
        "-2",
        r"^(deepseek-(?:r1|v3)|kimi-k2(?:-instruct)?)-(?:20)?2[45]-?([01]\d)-?([0-3]\d)$",
        r"\1-\2\3",
        why="releases whose day names the model; some write the year before it",
    ),
    Rewrite(
        "minimax-",
        r"^(minimax-m\d(?:\.\d)?)-lightning",
        r"\1-highspeed",
        why="the earlier word for `highspeed`",
    ),
    Rewrite(
        "llama-3.2",
        r"^(llama-3\.2)-vision-(\d+b)$",
        r"\1-\2-vision",
        why="Ollama: `llama-3.2-vision:11b`",
    ),
    Rewrite(
        "granite-",
        r"^granite-(\d)-(?=[a-z])",
        r"granite-\1.0-",
        why="Granite's versions have a minor: `granite-4-h-small`",
    ),
    Rewrite(
        "-generate",
        r"^((?:imagen|veo)-.+)-generate(?=-)",
        r"\1",
        why="Google: `veo-3.0-fast-generate-001`",
    ),
    Rewrite("grok", r"^(grok-.*)-beta(?=-|$)", r"\1", why="Grok's beta is the model"),
    Rewrite(
        "grok", r"^(grok-.*)-(\d{4})((?:-non)?-reasoning)$", r"\1\3-\2", why="the date comes last"
    ),
)
"""Then: one way to write versions, and one order of words."""

_SUFFIXES = (
    Suffix(
        "quantization",
        r"(?:ud-)?i?q\d(?:[-.](?:[01klms]|nl|x?xs|xl))*|awq|gptq|exl[23]|mlx|bnb|autoround|"
        r"fp(?:4|6|8|16)(?:-dynamic)?|nvfp4|mxfp[468]|b?f16|f32|dwq|qat|quantized|int[48](?:-mixed-ar)?|(?:[2-8]|16)bit|w\d+a\d+",
        "",
        why="how weights are stored",
    ),
    Suffix(
        "tier",
        r"free|batch|tee|tput|high-throughput|original|cs|fw|el|sambanova|cloud|nitro|priority|"
        r"spot|eco|cheaper|contributor|together|no-?think(?:ing)?",
        "",
        why="how a model is served or billed",
    ),
    Suffix(
        "tier",
        r"fast-api|fast|ultrafast|flex|speed|short",
        _SERVED,
        why="speed, of models whose own names do not contain the word",
    ),
    Suffix(
        "tier",
        r"turbo",
        r"deepseek|gemma|glm-4|gpt-oss|kimi-k\d\.|llama|minimax-m|qwen.*\db\b",
        why="`turbo` is a tier of these; `gpt-4-turbo` is a model",
    ),
    Suffix("tier", r"lite|basic", "llama", why="Together's tiers of Llama"),
    Suffix("tier", r"search", "gemini", why="Gemini with Google Search"),
    Suffix(
        "tier",
        r"(?<!extended-)thinking|think|thought",
        _HYBRID,
        why="thinking is a switch of these; `kimi-k2-thinking` is a model",
    ),
    Suffix(
        "tier",
        r"minimal|low|medium|x?high",
        r"claude|gemini-[3-9]|gpt-(?:[5-9]|oss)|o\d",
        why="reasoning effort",
    ),
    Suffix(
        "tier",
        r"32768|8192|4096|\d+k|1m",
        r"claude|deepseek|gemma|glm-(?:4-|[4-9]\.|[5-9])|gpt-oss|inkling|kimi|llama|mimo|"
        r"minimax-m[2-9]|mixtral|nemotron|qwen(?:2\.5(?!.*-1m)|3)",
        why="context window",
    ),
    Suffix(
        "snapshot",
        _DATE,
        r"(?!command-r(?:-plus)?-0[34]-2024|gpt-4o-2024-?(?:05-?13|11-?20)|"
        r"gemini-\d\.\d-(?:pro|flash|flash-lite)-preview-)",
        why="a release date; but each dated preview of a Gemini is a model",
    ),
    Suffix(
        "snapshot",
        r"\d{4}",
        r"(?:glm|gpt|grok|mistral-(?:nemo|saba)|o\d|phi|pixtral|voxtral)-",
        why="a month and day, or year and month",
    ),
    Suffix("snapshot", r"00\d", r"gemini-\d|imagen|veo", why="Google's releases: `-001`"),
    Suffix(
        "snapshot",
        r"v0\.?\d",
        r"codestral|ministral|mistral|mixtral|zephyr",
        why="Mistral's releases: `-v0.3`",
    ),
    Suffix("snapshot", r"v2", r"claude", why="Claude 2's rerelease"),
    Suffix("dropped", r"(?<!non-)reasoning", r"grok-\d", why="what Grok does by default"),
    Suffix(
        "dropped", r"v1", r"(?:claude|llama|nova|palmyra|qwen)(?!.*embed)", why="the only version"
    ),
    Suffix("dropped", r"versatile|instant", r"llama-\d", why="Groq's words for one Llama each"),
    Suffix("dropped", r"paddle|pt", "ernie", why="Baidu's weights for PaddlePaddle or PyTorch"),
    Suffix("dropped", r"latest|default|maas|hf|gguf|ggml", "", why="says nothing about the model"),
    Suffix(
        "dropped",
        r"instruct|chat|it",
        r"(?!gpt-(?:\d|chat$)|deepseek-chat$|multilingual-e5|qwen3-(?:235b|30b|4b)(?:-a\d+b)?-instruct$)",
        why="instruction-tuned is the default of chat models",
    ),
)
"""Then: words at the end that are not part of the name, taken off while there are any."""

_ENDINGS = (
    Rewrite(
        "-i",
        r"-(?:instruct|it)(?=-)(?<!e5-large-instruct)",
        "",
        why="`instruct` inside a name: `kimi-k2-instruct-0905`",
    ),
    Rewrite(
        "",
        r"^((?:deepseek-(?:v\d|r1)|kimi-k\d|glm-(?:4\.|[5-9])|minimax-m\d)[a-z0-9.-]*?)"
        r"-(?:\d{3}b|\d(?:\.\d)?t)(?:-a\d+b)?$",
        r"\1",
        why="in these families a version has one size",
    ),
    Rewrite(
        "stral",
        r"^((?:mistral-(?:large|medium|small)|devstral(?:-small)?)-\d(?:\.\d)?)-\d{2,3}b$",
        r"\1",
        why="Mistral's sizes say nothing beyond the version",
    ),
    Rewrite(
        "stral",
        r"^(mistral-(?:large|medium|small)|devstral(?:-small|-medium)?|magistral-[a-z]+)"
        r"(?:-\d(?:\.\d)?)?(?:-\d{2,3}b)?-(\d{4})$",
        r"\1-\2",
        why="a month replaces version and size: `devstral-small-1.1-24b-2507`",
    ),
    Rewrite(
        "phi-4",
        r"^(phi-4(?:-mini)?(?:-reasoning)?)-(?:14|3\.8)b$",
        r"\1",
        why="each Phi 4 has one size",
    ),
    Rewrite(
        "command-", r"^(command-(?:a|r|r-plus|r7b))-\d+b$", r"\1", why="each Command has one size"
    ),
    Rewrite(
        "ministral-3",
        r"^ministral-3-(?=\d+b)",
        "ministral-",
        why="Ministral 3 is called by its size",
    ),
    Rewrite("-2512", r"^(ministral-.+)-2512$", r"\1", why="the only release of Ministral 3"),
    Rewrite(
        "llama-3.2",
        r"^(llama-3\.2-(?:11|90)b)$",
        r"\1-vision",
        why="Llama 3.2 at 11b and 90b exists only with vision",
    ),
    Rewrite(
        "-preview",
        r"^(gpt-(?!4-\d{4}).+|kimi-.+)-preview$",
        r"\1",
        why="these previews became the release",
    ),
)
"""Last: what can be decided only without the suffixes."""


class CompiledRules(NamedTuple):
    """The tables above, compiled.

    Attributes:
        prefixes: `_PREFIXES`.
        spellings: `_SPELLINGS`.
        endings: `_ENDINGS`.
        suffix: Finds any suffix; the name of the group that matched is a key of `suffix_rules`.
        suffix_rules: The fact a suffix states, and the names that may have it.
        date: A date as providers write it.
        family: A model family at the beginning.
        versioned: A model family followed by a version.
        region: A region before a Bedrock id.
        revision: The revision after a Bedrock id.
        part_of_name: A tag after a colon that belongs to the name: a size, a date, a variant.
        sized: A name up to its size, if no active parameters follow.
        gguf: A quantization of llama.cpp.
    """

    prefixes: tuple[CompiledRewrite, ...]
    spellings: tuple[CompiledRewrite, ...]
    endings: tuple[CompiledRewrite, ...]
    suffix: re.Pattern[str]
    suffix_rules: dict[str, tuple[str, re.Pattern[str]]]
    date: re.Pattern[str]
    family: re.Pattern[str]
    versioned: re.Pattern[str]
    region: re.Pattern[str]
    revision: re.Pattern[str]
    part_of_name: re.Pattern[str]
    sized: re.Pattern[str]
    gguf: re.Pattern[str]


@cache
def compiled_rules() -> CompiledRules:
    """Compile the tables on first use, so that importing this module is cheap."""
    groups = "|".join(f"(?P<_{n}>{suffix.words})" for n, suffix in enumerate(_SUFFIXES))
    return CompiledRules(
        prefixes=tuple(map(_compiled, _PREFIXES)),
        spellings=tuple(map(_compiled, _SPELLINGS)),
        endings=tuple(map(_compiled, _ENDINGS)),
        suffix=re.compile(rf"(?<=.)[-.](?:{groups})$"),
        suffix_rules={
            f"_{n}": (suffix.fact, re.compile(suffix.names)) for n, suffix in enumerate(_SUFFIXES)
        },
        date=re.compile(_DATE),
        family=re.compile(_FAMILY),
        versioned=re.compile(rf"{_FAMILY}.*\d"),
        region=re.compile(
            r"(us-gov|us|eu|apac|global|jp|au|ca|in|sa|me|af)\.(?=[a-z0-9-]+\.[a-z])"
        ),
        revision=re.compile(r"-v?\d+:\d+(?::\w+)?$"),
        part_of_name=re.compile(
            r"(?:0\d|1[0-2])[0-3]\d$|(?:\d+x|e)?\d+(?:\.\d+)?[bmt]\b|(?:i?q|fp|v)\d|"
            r"(?:chat|instruct|it|maverick|scout)\b"
        ),
        sized=re.compile(r".+?-\d+(?:\.\d+)?[bt](?=-(?!a\d)|$)"),
        gguf=re.compile(r"(?:ud-)?i?q\d"),
    )


def _compiled(rule: Rewrite) -> CompiledRewrite:
    pattern = re.compile(rule.pattern)
    find = pattern.match if rule.pattern.startswith("^") else pattern.search
    return rule.needle, find, pattern, rule.replacement
