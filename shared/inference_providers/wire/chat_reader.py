"""Reads answers of OpenAI's chat completions: bytes in, plain dicts out, each answer judged.

* Streams and whole answers are distinguished by their bytes, whichever was requested.
* The output has OpenAI's form, whatever the input: text as strings, reasoning under
  `reasoning_content`, each tool call with its own index, counts as integers, every role
  `assistant`.
* The finish reason, the usage, the model and the id are returned once, in the last chunk, which is
  returned only if the answer is good.
* A stream must have a finish reason: without one, it looks the same as a stream that was cut off.
  A whole answer may lack it: many servers leave it out, and a body that is cut off is not JSON.
* A legacy `function_call` becomes a tool call.
* Only the first choice of a stream is read; a whole answer keeps all its choices.
* An error object is raised wherever it is; the model's own text is never searched for errors.

Nothing but `InvalidResponseError`, `ProviderError` and `ContentFilteredError` is raised, whatever
the bytes are. An empty answer with a good finish reason is accepted here.
"""

from __future__ import annotations

from typing import Any

from inference_providers.errors import InvalidResponseError
from inference_providers.wire.answer_body import BodyReader, read_json
from inference_providers.wire.chat_messages import (
    Message,
    choice_message,
    choice_reason,
    read_logprobs,
    read_message,
)
from inference_providers.wire.finish_reasons import CHAT
from inference_providers.wire.reported_errors import invalid_response, raise_reported_error
from inference_providers.wire.text_parts import SurrogateJoiner
from inference_providers.wire.tool_calls import ToolCallAssembler
from inference_providers.wire.usage import merge_usage, read_usage

__all__ = ["ChatReader", "read_completion"]

_TEXT_METADATA = ("id", "model", "system_fingerprint", "service_tier")
_SEVERITY = {"error": 3, "content_filter": 2, "length": 1, "context_window": 1}
_NO_REASON = "the stream ended without a finish reason"


def read_completion(data: bytes) -> dict[str, Any]:
    """Return a whole answer as a `chat.completion`, read from JSON or from a stream.

    Raises:
        ContentFilteredError: The answer was withheld or cut by a content filter.
        InvalidResponseError: The answer is not usable.
        ProviderError: It is an error object.
    """
    body = read_json(data)
    if body is not None:
        return _read_completion(body)
    reader = ChatReader()
    return _join(reader.feed(data) + reader.end())


class ChatReader(BodyReader):
    """Reads one stream.

    Attributes:
        finished: Whether a finish reason was read: the answer is whole, and silence or a cut
            after it is harmless.
        done: Whether the end mark was read: there is nothing left to read.
    """

    def __init__(self) -> None:
        super().__init__()
        self._is_whole = False
        self._metadata: dict[str, Any] = {}
        self._usage: dict[str, Any] | None = None
        self._reason: str | None = None
        self._texts: list[str] = []
        self._has_reasoning = False
        self._has_refusal = False
        self._calls = ToolCallAssembler()
        self._content_joiner = SurrogateJoiner()
        self._reasoning_joiner = SurrogateJoiner()

    @property
    def finished(self) -> bool:
        """Whether a finish reason was read."""
        return self._reason is not None

    def end(self) -> list[dict[str, Any]]:
        """Return the remaining chunks; the last one has the finish reason.

        Raises:
            ContentFilteredError: The answer was withheld or cut by a content filter.
            InvalidResponseError: The answer is not usable, or it was cut.
            ProviderError: It is an error object.
        """
        chunks = self.end_body()
        if self._is_whole:
            return chunks
        if self._reason is None:
            raise InvalidResponseError(_NO_REASON)
        delta = self._left_over()
        has_output = bool(self._texts or self._calls or self._has_reasoning or self._has_refusal)
        CHAT.check(self._reason, has_output=has_output, text="".join(self._texts))
        last = _chunk(delta, None)
        last["choices"][0]["finish_reason"] = self._reason
        last |= self._metadata
        if self._usage is not None:
            last["usage"] = self._usage
        return [*chunks, last]

    def read_whole(self, body: Any) -> list[dict[str, Any]]:
        """Read a body that is JSON instead of a stream."""
        self._is_whole = True
        return _as_chunks(_read_completion(body))

    def read_event(self, body: dict[str, Any], event_type: str) -> list[dict[str, Any]]:
        """Read one event; return the chunks to pass on."""
        choices = body.get("choices")
        is_error = event_type == "error"
        if is_error or not choices or "error" in body or "base_resp" in body:
            is_answer = choices is not None or body.get("object") == "chat.completion.chunk"
            raise_reported_error(body, is_answer=is_answer, is_error=is_error)
        self._read_metadata(body)
        choice = _first_choice(choices) if choices else None
        return [] if choice is None else self._read_choice(choice)

    def _read_metadata(self, body: dict[str, Any]) -> None:
        usage = body.get("usage")
        if usage is None and "x_groq" in body:
            groq = body["x_groq"]
            usage = groq.get("usage") if isinstance(groq, dict) else None
        if usage:
            self._add_usage(usage)
        metadata = self._metadata
        for name in _TEXT_METADATA:
            if name not in metadata:
                value = body.get(name)
                if value and isinstance(value, str):
                    metadata[name] = value

    def _add_usage(self, raw: Any) -> None:
        usage = read_usage(raw)
        if usage is not None:
            self._usage = merge_usage(self._usage, usage)

    def _read_choice(self, choice: dict[str, Any]) -> list[dict[str, Any]]:
        if "error" in choice:
            raise_reported_error({"error": choice["error"]}, is_answer=True)
        if "usage" in choice:  # Moonshot
            self._add_usage(choice["usage"])
        delta = choice.get("delta")
        if delta is None:
            delta = self._read_message(choice)
        elif not isinstance(delta, dict):
            msg = "a chunk whose delta is not an object"
            raise invalid_response(msg)
        elif delta:
            delta = self._read_delta(delta)
        logprobs = read_logprobs(choice.get("logprobs"))
        if choice.get("finish_reason") is not None and (word := choice_reason(choice)):
            self._add_reason(word)
        return [_chunk(delta, logprobs)] if delta or logprobs else []

    def _add_reason(self, word: str) -> None:
        """Keep the worst reason: some servers send `stop` after the real one."""
        if self._reason is None or (
            word != self._reason and _severity(word) >= _severity(self._reason)
        ):
            self._reason = word

    def _read_delta(self, raw: dict[str, Any]) -> dict[str, Any]:
        content = raw.get("content")
        if type(content) is str and len(raw) == 1 + ("role" in raw):  # nearly every chunk
            text = self._content_joiner.feed(content)
            if not text:
                return {}
            self._texts.append(text)
            return {"content": text}
        return self._emit(read_message(raw))

    def _emit(self, message: Message) -> dict[str, Any]:
        """Return the delta to pass on for a message or a part of one."""
        delta: dict[str, Any] = {}
        content = message.content
        if isinstance(content, str):
            content = self._content_joiner.feed(content) if content else ""
            if content:
                self._texts.append(content)
        elif content:
            self._texts.append("".join(block.get("text", "") for block in content))
        if content:
            delta["content"] = content
        if message.reasoning and (text := self._reasoning_joiner.feed(message.reasoning)):
            delta["reasoning_content"] = text
            self._has_reasoning = True
        if message.refusal:
            delta["refusal"] = message.refusal
            self._has_refusal = True
        if message.tool_calls and (calls := self._calls.add(message.tool_calls)):
            delta["tool_calls"] = calls
        return delta

    def _read_message(self, choice: dict[str, Any]) -> dict[str, Any]:
        """Read a whole message that was sent instead of a delta.

        At the end of a stream it repeats the deltas; only what they lacked counts.
        """
        raw = choice_message(choice)
        if raw is None:
            return {}
        message = read_message(raw)
        text = "".join(self._texts)
        self._texts = [text] if text else []
        if text and isinstance(message.content, str):
            is_repeated = message.content.startswith(text)
            content = message.content[len(text) :] if is_repeated else message.content
            message = message._replace(content=content)
        if self._has_reasoning:
            message = message._replace(reasoning="")
        if self._calls:
            message = message._replace(tool_calls=None)
        return self._emit(message)

    def _left_over(self) -> dict[str, Any]:
        """Return what was held back until the end."""
        delta: dict[str, Any] = {}
        if text := self._content_joiner.end():
            self._texts.append(text)
            delta["content"] = text
        if text := self._reasoning_joiner.end():
            delta["reasoning_content"] = text
        if calls := self._calls.end():
            delta["tool_calls"] = calls
        return delta


def _severity(word: str) -> int:
    return _SEVERITY.get(CHAT.meaning(word) or "", 0)


def _first_choice(choices: Any) -> dict[str, Any] | None:
    """Return the choice of a chunk that is streamed, if the chunk has it."""
    if isinstance(choices, dict):
        choices = [choices]
    if not isinstance(choices, list):
        msg = "a chunk whose choices are not a list"
        raise invalid_response(msg)
    for choice in choices:
        if choice is None:
            continue
        if not isinstance(choice, dict):
            msg = "a chunk with a choice that is not an object"
            raise invalid_response(msg)
        index = choice.get("index")
        if not isinstance(index, int) or index == 0:
            return choice
    return None


def _chunk(delta: dict[str, Any], logprobs: dict[str, Any] | None) -> dict[str, Any]:
    delta["role"] = "assistant"
    choice: dict[str, Any] = {"index": 0, "delta": delta, "finish_reason": None}
    if logprobs is not None:
        choice["logprobs"] = logprobs
    return {"object": "chat.completion.chunk", "choices": [choice]}


# Whole answers


def _read_completion(body: Any) -> dict[str, Any]:
    if isinstance(body, list) and len(body) == 1:  # Gemini wraps its errors
        body = body[0]
    if not isinstance(body, dict):
        msg = f"HTTP 200 whose body is a {type(body).__name__}, not an object"
        raise invalid_response(msg)
    choices = body.get("choices")
    raise_reported_error(body, is_answer=bool(choices))
    choices = [choices] if isinstance(choices, dict) else choices
    if not isinstance(choices, list) or not choices:
        msg = "HTTP 200 without choices"
        raise InvalidResponseError(msg, body=body)
    completion: dict[str, Any] = {
        "object": "chat.completion",
        "choices": [_read_whole_choice(choice, index) for index, choice in enumerate(choices)],
    }
    for name in _TEXT_METADATA:
        value = body.get(name)
        if value and isinstance(value, str):
            completion[name] = value
    first = choices[0]
    usage = read_usage(body.get("usage")) or read_usage(first.get("usage"))
    if usage is not None:
        completion["usage"] = usage
    return completion


def _read_whole_choice(choice: Any, index: int) -> dict[str, Any]:
    if not isinstance(choice, dict):
        msg = "HTTP 200 with a choice that is not an object"
        raise invalid_response(msg)
    if "error" in choice:
        raise_reported_error({"error": choice["error"]}, is_answer=True)
    raw = choice_message(choice)
    if raw is None:
        msg = "HTTP 200 with a choice that has no message"
        raise invalid_response(msg)
    message = read_message(raw).as_answer()
    word = choice_reason(choice)
    text = message["content"] if isinstance(message["content"], str) else ""
    has_output = any(part for name, part in message.items() if name != "role")
    CHAT.check(word, has_output=has_output, text=text)
    result: dict[str, Any] = {"index": index, "message": message, "finish_reason": word}
    if logprobs := read_logprobs(choice.get("logprobs")):
        result["logprobs"] = logprobs
    return result


def _as_chunks(completion: dict[str, Any]) -> list[dict[str, Any]]:
    """Return a whole answer as the chunks of a stream."""
    choice = completion["choices"][0]
    delta = dict(choice["message"])
    if calls := delta.get("tool_calls"):
        delta["tool_calls"] = [{"index": index, **call} for index, call in enumerate(calls)]
    last = _chunk({}, None)
    last["choices"][0]["finish_reason"] = choice["finish_reason"] or "stop"
    last |= {name: completion[name] for name in (*_TEXT_METADATA, "usage") if name in completion}
    return [_chunk(delta, choice.get("logprobs")), last]


def _join(chunks: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the chunks of a stream as a whole answer."""
    message: dict[str, Any] = {"role": "assistant", "content": ""}
    calls: dict[int, dict[str, Any]] = {}
    logprobs: dict[str, list[Any]] = {}
    for chunk in chunks:
        choice = chunk["choices"][0]
        delta = choice["delta"]
        for name in ("content", "reasoning_content", "refusal"):
            if part := delta.get(name):
                message[name] = _add_content(message.get(name) or "", part)
        for call in delta.get("tool_calls", ()):
            _add_call(calls, call)
        for name, tokens in (choice.get("logprobs") or {}).items():
            logprobs.setdefault(name, []).extend(tokens or ())
    if calls:
        message["tool_calls"] = list(calls.values())
    last = chunks[-1]
    reason = last["choices"][0]["finish_reason"]
    choice = {"index": 0, "message": message, "finish_reason": reason}
    if logprobs:
        choice["logprobs"] = logprobs
    return {**last, "object": "chat.completion", "choices": [choice]}


def _add_content(old: Any, new: Any) -> Any:
    if isinstance(old, str) and isinstance(new, str):
        return old + new
    blocks = [
        part if isinstance(part, list) else [{"type": "text", "text": part}] if part else []
        for part in (old, new)
    ]
    return blocks[0] + blocks[1]


def _add_call(calls: dict[int, dict[str, Any]], delta: dict[str, Any]) -> None:
    empty = {"id": None, "type": "function", "function": {"name": "", "arguments": ""}}
    call = calls.setdefault(delta["index"], empty)
    call["id"] = call["id"] or delta.get("id")
    for name, part in delta["function"].items():
        call["function"][name] += part or ""
