"""Why an answer ended, in the words of every protocol.

* An answer is good only if its finish reason is. A provider may report a failed generation with
  HTTP 200 and half of the text.
* The spelling does not matter: `MAX_TOKENS`, `max-tokens`, `maxTokens`, `FinishReason.MAX_TOKENS`.
* A word means what its own protocol says. If that protocol does not list it, it means what another
  protocol says, because gateways pass on the words of their upstreams.
* A word that no protocol lists is judged by its parts: `upstream_error` reports an error.
* A word that is still unknown is accepted if the answer has output, and refused if it has none.
"""

from __future__ import annotations

import re
from collections.abc import Mapping  # noqa: TC003 - msgspec reads annotations at run time
from typing import Any, Literal

from msgspec import Struct

from inference_providers.errors import ContentFilteredError, InvalidResponseError, one_line
from inference_providers.wire.exchange import excerpt

__all__ = [
    "ANTHROPIC",
    "BEDROCK",
    "CHAT",
    "COHERE",
    "GOOGLE",
    "MISTRAL",
    "REPLICATE",
    "RESPONSES",
    "FinishReason",
    "FinishReasons",
    "reason_word",
]

FinishReason = Literal["stop", "length", "context_window", "tool_calls", "content_filter", "error"]
"""`length` is the caller's limit and `context_window` the model's; `error` is a failed generation
that the provider reports with HTTP 200."""

_MAX_SHOWN_CHARS = 80
_MAX_READ_CHARS = 300

_NOT_FINISHED = frozenset({"null", "none", "not_finished"})
"""What DashScope and watsonx send in each chunk while the answer continues."""


class FinishReasons(Struct, frozen=True, kw_only=True):
    """How the answers of one protocol say why they ended.

    Attributes:
        keys: Keys of a message's metadata that hold the reason; the first one that is set counts.
            A dot separates the keys of nested objects.
        words: The meaning of the protocol's words, in snake_case.
    """

    keys: tuple[str, ...]
    words: Mapping[str, FinishReason]

    def word_in(self, metadata: Mapping[str, Any]) -> str | None:
        """Return the protocol's word for the reason, in lower case; `None` if there is none yet."""
        for key in self.keys:
            value = _nested_value(metadata, key) if "." in key else metadata.get(key)
            if word := reason_word(value):
                return word.lower()
        return None

    def reason_in(self, metadata: Mapping[str, Any]) -> FinishReason | None:
        """Return why the answer ended; `None` if it has not ended yet. Unknown means `stop`."""
        word = self.word_in(metadata)
        return None if word is None else self.meaning(word) or "stop"

    def meaning(self, word: str) -> FinishReason | None:
        """Return what a word means; `None` if it is unknown."""
        if reason := self.words.get(word):
            return reason
        name = _snake_case(word)
        detail = _snake_case(word.rpartition(":")[2])  # Gemini: `content_filter: RECITATION`
        for candidate in (name, detail):
            if reason := self.words.get(candidate) or _EVERY_WORD.get(_compact(candidate)):
                return reason
        return _meaning_of_parts(_compact(name))

    def is_error(self, word: str | None) -> bool:
        """Whether a word reports a failed generation."""
        return word is not None and self.meaning(word) == "error"

    def check(self, word: str | None, *, has_output: bool, text: str = "") -> None:
        """Accept an answer that ended with `word`, or raise.

        Args:
            word: The protocol's word; `None` if the answer gives no reason, which is accepted
                with output: many servers leave it out of whole answers.
            has_output: Whether the answer has text, reasoning, a refusal or a tool call.
            text: The answer's text, for the exception.

        Raises:
            ContentFilteredError: The answer was withheld or cut by a content filter.
            InvalidResponseError: The generation failed, or there is neither a known reason nor
                output.
        """
        meaning = None if word is None else self.meaning(word)
        if meaning == "content_filter":
            msg = f"a content filter withheld or cut the answer: finish reason {_shown(word)}"
            raise ContentFilteredError(msg, partial=text)
        if meaning == "error":
            msg = f"the provider reports that the generation failed: finish reason {_shown(word)}"
            raise InvalidResponseError(msg)
        if meaning is None and not has_output:
            reason = "no finish reason" if word is None else f"finish reason {_shown(word)}"
            msg = f"an answer without output and with {reason}"
            raise InvalidResponseError(msg)


def reason_word(value: Any) -> str | None:
    """Return a finish reason as a word, or `None` if the value says that the answer continues."""
    if isinstance(value, str):
        word = value.strip()
    elif isinstance(value, int | float) and not isinstance(value, bool):
        word = str(value)
    else:
        word = getattr(value, "name", None) or ""  # an SDK's enum
    return word if word and word.lower() not in _NOT_FINISHED else None


def _shown(word: str | None) -> str:
    return repr(one_line(excerpt(word or "", _MAX_SHOWN_CHARS)))


def _nested_value(metadata: Mapping[str, Any], path: str) -> Any:
    value: Any = metadata
    for key in path.split("."):
        value = value.get(key) if isinstance(value, dict) else None
    return value


def _snake_case(word: str) -> str:
    """Return `FinishReason.MAX_TOKENS`, `max-tokens` and `maxTokens` as `max_tokens`."""
    word = word[:_MAX_READ_CHARS].strip().rpartition(".")[2]
    word = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", word).lower()
    word = re.sub(r"[^a-z0-9]+", "_", word).strip("_")
    return re.sub(r"^(?:finish|stop)_reason_(?!unspecified)", "", word)


def _compact(name: str) -> str:
    """Return a word without separators. Merged chunks may repeat it; then it is returned once."""
    compact = name.replace("_", "")
    repeated = re.fullmatch(r"(.{3,}?)\1+", compact)
    return repeated[1] if repeated else compact


CHAT = FinishReasons(
    keys=("finish_reason",),
    words={
        # OpenAI: chat.completions, `finish_reason` in the SDK's types.
        "stop": "stop",
        "length": "length",
        "tool_calls": "tool_calls",
        "function_call": "tool_calls",
        "content_filter": "content_filter",
        # DeepSeek: the enum of its Rust client, docs.rs/crate/ds-api
        "insufficient_system_resource": "error",
        # OpenRouter, as users report it, and the AI SDK's LanguageModelV2FinishReason
        "error": "error",
        # Z.ai, as several public clients map its words; its own documents were not checked
        "sensitive": "content_filter",
        "network_error": "error",
        "model_context_window_exceeded": "context_window",
        # vLLM, vllm/v1/engine/__init__.py
        "abort": "error",
        # watsonx, ibm.github.io/watsonx-ai-node-sdk: TextGenResult.StopReason
        "eos_token": "stop",
        "stop_sequence": "stop",
        "token_limit": "length",
        "time_limit": "error",
        "cancelled": "error",
        # Unverified: no document of a vendor was found for these.
        "eos": "stop",
        "end_turn": "stop",
        "normal": "stop",
        "repetition": "error",
        # The AI SDK's LanguageModelV2FinishReason; Gemini's word below means the same.
        "other": "error",
    },
)

RESPONSES = FinishReasons(
    keys=("incomplete_details.reason", "status"),
    words={
        # OpenAI: `ResponseStatus` and `IncompleteDetails` in the SDK's types.
        "completed": "stop",
        "max_output_tokens": "length",
        "max_messages": "length",
        "steered": "error",
        "content_filter": "content_filter",
        "incomplete": "error",
        "failed": "error",
        "cancelled": "error",
        "queued": "error",
        "in_progress": "error",
    },
)

ANTHROPIC = FinishReasons(
    keys=("stop_reason",),
    words={
        # anthropic.types.StopReason and BetaStopReason
        "end_turn": "stop",
        "stop_sequence": "stop",
        "pause_turn": "stop",
        "compaction": "stop",
        "max_tokens": "length",
        "model_context_window_exceeded": "context_window",
        "tool_use": "tool_calls",
        "refusal": "content_filter",
    },
)

GOOGLE = FinishReasons(
    keys=("finish_reason", "prompt_feedback.block_reason"),
    words={
        # google.genai.types.FinishReason
        "stop": "stop",
        "max_tokens": "length",
        "continuation": "length",
        "safety": "content_filter",
        "recitation": "content_filter",
        "blocklist": "content_filter",
        "prohibited_content": "content_filter",
        "spii": "content_filter",
        "image_safety": "content_filter",
        "image_prohibited_content": "content_filter",
        "image_recitation": "content_filter",
        "escalation": "content_filter",
        "model_armor": "content_filter",
        "language": "error",
        "other": "error",
        "image_other": "error",
        "no_image": "error",
        "malformed_function_call": "error",
        "malformed_response": "error",
        "unexpected_tool_call": "error",
        "too_many_tool_calls": "error",
        "missing_thought_signature": "error",
        "pup_limited_disabled": "error",
        # google.genai.types.BlockedReason
        "jailbreak": "content_filter",
    },
)

MISTRAL = FinishReasons(
    keys=("finish_reason",),
    words={
        # docs.mistral.ai/api: ChatCompletionChoice
        "stop": "stop",
        "length": "length",
        "model_length": "context_window",
        "tool_calls": "tool_calls",
        "error": "error",
    },
)

COHERE = FinishReasons(
    keys=("finish_reason",),
    words={
        # cohere.types: ChatFinishReason, ChatStreamEndEventFinishReason, FinishReason
        "complete": "stop",
        "stop_sequence": "stop",
        "max_tokens": "length",
        "tool_call": "tool_calls",
        "error_toxic": "content_filter",
        "error_limit": "error",
        "error": "error",
        "timeout": "error",
        "user_cancel": "error",
    },
)

BEDROCK = FinishReasons(
    keys=("stopReason",),
    words={
        # botocore's bedrock-runtime model: StopReason
        "end_turn": "stop",
        "stop_sequence": "stop",
        "max_tokens": "length",
        "model_context_window_exceeded": "context_window",
        "tool_use": "tool_calls",
        "content_filtered": "content_filter",
        "guardrail_intervened": "content_filter",
        "malformed_model_output": "error",
        "malformed_tool_use": "error",
        # Amazon Titan, docs.aws.amazon.com/bedrock: model-parameters-titan-text
        "finished": "stop",
        "stop_criteria_met": "stop",
        "rag_query_when_rag_disabled": "error",
        # Unverified: a shorter form of `finished`.
        "finish": "stop",
    },
)

REPLICATE = FinishReasons(
    keys=("finish_reason",),
    words={
        # replicate.com/docs/reference/http: the status of a prediction
        "succeeded": "stop",
        "failed": "error",
        "canceled": "error",
        "aborted": "error",
    },
)

_EVERY_WORD: Mapping[str, FinishReason] = {
    _compact(word): reason
    for reasons in (RESPONSES, REPLICATE, COHERE, BEDROCK, ANTHROPIC, MISTRAL, GOOGLE, CHAT)
    for word, reason in reasons.words.items()
}

_FILTERED = (
    r"filter|safety|moderat|sensitiv|prohibit|policy|policies|blocked|blocklist|harm|toxic"
    r"|refus|guardrail|recitation|risk|censor|violat|copyright|jailbreak|unsafe"
)
_FAILED = (
    r"error|fail|malformed|invalid|abort|cancel|timeout|timedout|exception|unavailable"
    r"|insufficient|overload|exhausted|disconnect|interrupt|crash|kill|quota|ratelimit"
    r"|unclosed|incomplete"
)
_PARTS: tuple[tuple[str, FinishReason], ...] = (
    (r"no(?:ne)?error|success", "stop"),
    (_FILTERED, "content_filter"),
    (_FAILED, "error"),
    (r"contextwindow|contextlength|contextlimit", "context_window"),
    (r"length|max\w*tokens|tokenlimit|maxoutput|truncat|toolong", "length"),
    (r"toolcall|tooluse|functioncall", "tool_calls"),
    (r"^(?:eos|endof|stop|complete|done|finish)", "stop"),
)
"""Parts of words, without separators; the first that occurs decides."""


def _meaning_of_parts(compact: str) -> FinishReason | None:
    for pattern, reason in _PARTS:
        if re.search(pattern, compact):
            return reason
    return None
