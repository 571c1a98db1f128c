"""A random schedule of calls with faults mixed in, and the results that each call may have.

Every random choice is made before the first call, from one seed. Each prompt contains a nonce that
tells the servers what to send; nothing depends on the clock or on the order in which threads run.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from chat_wire import DONE, chunk, completion, event, tool_call, usage_chunk
from raw_server import (
    HOLD,
    RESET,
    Response,
    chunked,
    compressed,
    encode,
    http,
    in_segments,
    until_close,
)
from responses_wire import call_item, response, response_events, text_item
from wire_formats import sse

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["MODES", "PROVIDERS", "Answer", "Call", "Script", "build_response", "schedule"]

MODES = ("invoke", "ainvoke", "stream", "astream")
PROVIDERS = {"first": "openai-chat", "second": "openai-chat", "third": "openai-responses"}
"""Each provider's protocol."""

Kind = Literal["good", "fails", "filtered", "flawed"]
VOCABULARY = (
    "alpha",
    "béta",
    "日本",
    "🙂",
    "gamma\u2028",
    "delta\n",
    '"eps"',
    "{zeta}",
    "data: ",
    "\\n",
)


class Answer(NamedTuple):
    """What a provider answers to one call.

    Attributes:
        words: The text, in the parts of a stream.
        calls: The arguments of its tool calls.
        usage: Input and output tokens.
    """

    words: tuple[str, ...]
    calls: tuple[dict[str, Any], ...]
    usage: tuple[int, int]

    @property
    def text(self) -> str:
        """The whole text."""
        return "".join(self.words)


class Script(NamedTuple):
    """What one provider sends for one call.

    Attributes:
        oddity: Its name in the tables below.
        kind: Whether the answer counts as good.
        answer: The answer that the fault spoils, or the oddity decorates.
        cut: After how many events of a stream the fault comes.
    """

    oddity: str
    kind: Kind
    answer: Answer
    cut: int


class Call(NamedTuple):
    """One call of the schedule; `nonce` is in its prompt and in every answer to it."""

    nonce: str
    mode: str
    tools: bool
    hedged: bool
    scripts: dict[str, Script]


STATUSES = {
    "500": "500 Internal Server Error", "502": "502 Bad Gateway", "503": "503 Service Unavailable",
    "529": "529 Overloaded", "408": "408 Request Timeout", "429": "429 Too Many Requests",
    "402": "402 Payment Required", "401": "401 Unauthorized", "404": "404 Not Found",
}  # fmt: skip
BEFORE_OUTPUT = (
    "reset", "empty body", "no content", "page", "cut JSON", "null", "error object", "error event",
    "failed end", "null choices", "nested", "half of a gzip",
)  # fmt: skip
IN_THE_MIDDLE = (
    "reset later", "end later", "DONE later", "error later", "error event later", "cut later",
    "garbage later", "number later", "failed end later",
)  # fmt: skip
FLAWS = ("empty", "malformed call")
FILTERS = ("filtered", "filtered later")
ODDITIES = (
    "plain", "comments", "pings", "CRLF", "small writes", "gzip", "no DONE", "other form",
    "repeated end", "cumulative usage", "null delta", "index 0", "no index", "object arguments",
    "names again",
    "silent end", "roles", "usage twice", "cut at the end", "null fields",
)  # fmt: skip


def schedule(seed: int, count: int, fault_share: float = 0.45) -> list[Call]:
    """Return `count` calls; each provider fails in `fault_share` of them."""
    rng = random.Random(seed)
    return [_call(rng, f"n{seed}x{number}", fault_share) for number in range(count)]


def _call(rng: random.Random, nonce: str, fault_share: float) -> Call:
    tools = rng.random() < 0.3
    scripts = {
        name: _script(rng, f"{nonce}.{name}", fault_share, tools=tools) for name in PROVIDERS
    }
    return Call(nonce, rng.choice(MODES), tools, rng.random() < 0.15, scripts)


def _script(rng: random.Random, mark: str, fault_share: float, *, tools: bool) -> Script:
    words = tuple(f"{mark}-{n} {rng.choice(VOCABULARY)} " for n in range(rng.randrange(2, 9)))
    calls = tuple({"mark": f"{mark}-{n}", "n": n} for n in range(rng.randrange(1, 4)) if tools)
    if tools and rng.random() < 0.5:
        words = ()
    answer = Answer(words, calls, (rng.randrange(10, 5000), rng.randrange(1, 900)))
    kind: Kind = "good"
    options: tuple[str, ...] = ODDITIES
    if rng.random() < fault_share:
        kind, options = rng.choice(
            (
                ("fails", tuple(STATUSES)),
                ("fails", BEFORE_OUTPUT),
                ("fails", BEFORE_OUTPUT),
                ("fails", IN_THE_MIDDLE),
                ("fails", IN_THE_MIDDLE),
                ("flawed", FLAWS),
                ("filtered", FILTERS),
            )
        )
    return Script(rng.choice(options), kind, answer, rng.randrange(1, 4))


def build_response(script: Script, *, protocol: str, streams: bool) -> Response:
    """Return the bytes of a script."""
    if script.oddity in STATUSES:
        body = {"error": {"message": f"scripted {script.oddity}", "code": int(script.oddity)}}
        return http(body, status=STATUSES[script.oddity])
    if special := _SPECIAL.get(script.oddity):
        return special()
    wire = _Chat(script) if protocol == "openai-chat" else _Responses(script)
    if streams == (script.oddity == "other form"):
        return _broken_body(script, wire.whole())
    return _frame(script.oddity, wire.events(), wire.encode)


FAILURE = {"error": {"message": "scripted failure", "code": 503}}
_SPECIAL: dict[str, Callable[[], Response]] = {
    "reset": lambda: Response((RESET,)),
    "empty body": lambda: http(""),
    "no content": lambda: http("", status="204 No Content"),
    "page": lambda: http("<html>Sign in</html>", kind="text/html"),
    "cut JSON": lambda: http('{"id": "x", "choi'),
    "null": lambda: http("null"),
    "error object": lambda: http(FAILURE),
    "error event": lambda: chunked("event: error\ndata: ", event(FAILURE)[6:]),
    "null choices": lambda: http({"id": "x", "choices": None, "output": None}),
    "nested": lambda: http('{"choices":' * 3000 + "1" + "}" * 3000),
    "half of a gzip": lambda: http(
        compressed(b"{}" * 99, "gzip")[:15], **{"content-encoding": "gzip"}
    ),
}


def _broken_body(script: Script, body: dict[str, Any]) -> Response:
    """Return a whole answer, broken off as the oddity says."""
    if script.oddity not in IN_THE_MIDDLE or script.oddity == "failed end later":
        return http(body)
    if script.oddity in {"error later", "error event later"}:
        return http({**body, **FAILURE})
    data = encode(body)
    half = data[: len(data) * script.cut // 4]
    if script.oddity == "reset later":
        return http(half, RESET, length=len(data))
    return http(half, length=len(data) if script.oddity == "cut later" else None)


def _frame(oddity: str, events: list[Any], encode: Callable[[Any], bytes]) -> Response:
    """Return a stream of `events`, decorated or broken off as `oddity` says."""
    return _FRAMES.get(oddity, lambda parts: chunked(*parts))([encode(item) for item in events])


_PINGS = b"event: ping\n\nid: 1\nretry: 1\n\ndata:\n\n"
_FRAMES: dict[str, Callable[[list[bytes]], Response]] = {
    "comments": lambda parts: chunked(*(b": ping\n\n" + part for part in parts)),
    "pings": lambda parts: chunked(*(_PINGS + part for part in parts)),
    "CRLF": lambda parts: chunked(b"".join(parts).replace(b"\n", b"\r\n")),
    "small writes": lambda parts: until_close(*in_segments(b"".join(parts), 7)),
    "gzip": lambda parts: chunked(
        *in_segments(compressed(b"".join(parts), "gzip"), 5), **{"content-encoding": "gzip"}
    ),
    "reset later": lambda parts: chunked(*parts, RESET, ends=False),
    "cut at the end": lambda parts: chunked(*parts[:-1], ends=False),
    "silent end": lambda parts: chunked(*parts[:-1], HOLD),
    "cut later": lambda parts: chunked(*parts, ends=False),
    "end later": lambda parts: until_close(*parts),
}


MALFORMED_CALL = tool_call("tool", '{"amount": 1,000}', index=0, id="call_0")
_ENDS_WITHOUT_OUTPUT = {
    "failed end": [chunk({}, "insufficient_system_resource"), DONE],
    "filtered": [chunk({}, "content_filter"), DONE],
    "empty": [chunk({"content": ""}), chunk({}, "stop"), DONE],
}


class _Chat:
    """An answer in the chat protocol."""

    def __init__(self, script: Script) -> None:
        self._oddity = script.oddity
        self._answer = script.answer
        self._cut = script.cut
        prompt, generated = script.answer.usage
        self._usage = {
            "prompt_tokens": prompt,
            "completion_tokens": generated,
            "total_tokens": prompt + generated,
        }

    def whole(self) -> dict[str, Any]:
        """Return the body of a whole answer."""
        answer, oddity = self._answer, self._oddity
        calls = [self._tool_call(n, arguments) for n, arguments in enumerate(answer.calls)]
        message: dict[str, Any] = {"role": "assistant", "content": answer.text or None}
        if calls:
            message["tool_calls"] = calls
        finish: Any = "tool_calls" if calls else "stop"
        match oddity:
            case "failed end" | "failed end later":
                finish = "insufficient_system_resource"
            case "filtered" | "filtered later":
                finish = "content_filter"
            case "empty":
                message, finish = {"role": "assistant", "content": ""}, "stop"
            case "malformed call":
                finish = "tool_calls"
                message["tool_calls"] = [MALFORMED_CALL]
            case "roles":
                message["role"] = "model"
            case "null fields":
                message |= {"refusal": None, "function_call": None, "reasoning": None}
        return completion(message, finish, usage=self._usage)

    def _tool_call(self, n: int, arguments: Any) -> dict[str, Any]:
        if self._oddity != "object arguments":
            arguments = event(arguments)[6:].decode().strip()
        return tool_call("tool", arguments, index=n, id=f"call_{n}")

    def events(self) -> list[Any]:
        """Return the events of a stream."""
        output = [*self._texts(), *self._calls()]
        finish = "tool_calls" if self._answer.calls else "stop"
        end = self._end(finish)
        match self._oddity:
            case "failed end" | "filtered" | "empty":
                output, end = [], _ENDS_WITHOUT_OUTPUT[self._oddity]
            case "malformed call":
                output = [chunk({"tool_calls": [MALFORMED_CALL]})]
                end = self._end("tool_calls")
            case oddity if oddity in _BREAKS or oddity in IN_THE_MIDDLE:
                output, end = output[: self._cut], _BREAKS.get(oddity, [])
        return [*output, *end]

    def _end(self, finish: str) -> list[Any]:
        last = [chunk({}, finish), usage_chunk(self._usage), DONE]
        match self._oddity:
            case "no DONE":
                return last[:2]
            case "repeated end":
                return [
                    chunk({}, finish),
                    chunk({}, finish),
                    chunk({"content": ""}, finish),
                    *last[1:],
                ]
            case "null delta":
                return [chunk(None, finish), *last[1:]]
            case "usage twice":
                return [chunk({}, finish, usage=self._usage), *last[1:]]
        return last

    def _texts(self) -> list[Any]:
        count = len(self._answer.words)
        fields: dict[str, Any] = {"role": "model"} if self._oddity == "roles" else {}
        if self._oddity == "null fields":
            fields = {"role": None, "tool_calls": None, "refusal": None}
        texts = [chunk({**fields, "content": word}) for word in self._answer.words]
        if self._oddity == "cumulative usage":
            for n, item in enumerate(texts):
                item["usage"] = {
                    **self._usage,
                    "completion_tokens": self._usage["completion_tokens"] * n // count,
                }
        return texts

    def _calls(self) -> list[Any]:
        deltas: list[Any] = []
        for n, arguments in enumerate(self._answer.calls):
            call = self._tool_call(n, arguments)
            text = call["function"]["arguments"]
            place: dict[str, Any] = {"index": n}
            if self._oddity == "index 0":
                place = {"index": 0}
            elif self._oddity == "no index":
                place = {}
            call = {**{k: v for k, v in call.items() if k != "index"}, **place}
            if isinstance(text, dict):
                deltas.append(call)
                continue
            function = {"name": "tool"} if self._oddity == "names again" else {}
            deltas.append({**call, "function": {"name": "tool", "arguments": ""}})
            deltas += (
                {**place, "function": {**function, "arguments": part}}
                for part in (text[:7], text[7:])
            )
        return [chunk({"tool_calls": [delta]}) for delta in deltas]

    @staticmethod
    def encode(item: Any) -> bytes:
        """Return an event's bytes."""
        return event(item)


_BREAKS = {
    "DONE later": [DONE],
    "error later": [FAILURE, DONE],
    "error event later": ["event: error\n", FAILURE],
    "garbage later": ['data: {"id": "x", "cho\n\n'],
    "number later": ["data: 7\n\n"],
    "failed end later": [chunk({}, "error"), DONE],
    "filtered later": [chunk({}, "content_filter"), DONE],
}


class _Responses:
    """An answer in the Responses protocol."""

    def __init__(self, script: Script) -> None:
        self._oddity = script.oddity
        self._cut = script.cut
        answer = script.answer
        prompt, generated = answer.usage
        usage = {
            "input_tokens": prompt,
            "output_tokens": generated,
            "total_tokens": prompt + generated,
        }
        self._items = [text_item(answer.text)] if answer.words else []
        self._items += [call_item("tool", arguments, n) for n, arguments in enumerate(answer.calls)]
        self._fields: dict[str, Any] = {"usage": usage}
        match script.oddity:
            case "empty":
                self._items = []
            case "malformed call":
                self._items = [call_item("tool", MALFORMED_CALL["function"]["arguments"])]
            case "failed end" | "failed end later":
                self._fields |= {
                    "status": "failed",
                    "error": {"code": "server_error", "message": "x"},
                }
            case "filtered" | "filtered later":
                reason = {"reason": "content_filter"}
                self._fields |= {"status": "incomplete", "incomplete_details": reason}
        if script.oddity in {"failed end", "filtered"}:
            self._items = []

    def whole(self) -> dict[str, Any]:
        """Return the body of a whole answer."""
        return response(*self._items, **self._fields)

    def events(self) -> list[Any]:
        """Return the events of a stream."""
        events = response_events(*self._items, **self._fields)
        if self._oddity in {"failed end later", "filtered later"}:
            return events
        if self._oddity in _BREAKS:
            return [*events[: 4 + self._cut], *_BREAKS[self._oddity]]
        if self._oddity in IN_THE_MIDDLE:
            return events[: 4 + self._cut]
        return [*events, DONE] if self._oddity in {"silent end", "cut at the end"} else events

    @staticmethod
    def encode(item: Any) -> bytes:
        """Return an event's bytes."""
        return sse([item]) if isinstance(item, dict) and "type" in item else event(item)
