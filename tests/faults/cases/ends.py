"""How answers end: finish reasons, cuts, silence; and errors inside a success."""

from __future__ import annotations

from typing import Any

from chat_wire import (
    DONE,
    FINISHED,
    TEXT,
    WORDS,
    chunk,
    completion,
    stream,
    usage_chunk,
    whole,
    words,
)
from faults.cases.case import (
    Answers,
    Case,
    Interrupted,
    MovesOn,
    any_request,
    message,
    stream_request,
    text_stream,
)
from raw_server import HOLD, RESET, chunked, http

OK = Answers()
NO_ANSWER = MovesOn()
SAID = {"content": TEXT}

FAILED = (
    "error", "ERROR", "Error", "insufficient_system_resource", "network_error", "failed",
    "MALFORMED_FUNCTION_CALL", "malformed_function_call",
)  # fmt: skip
"""DeepSeek, OpenRouter, Mistral, Z.ai, vLLM, Gemini; see hax#15, mastra#20302, agent-os#2214."""

GOOD = (
    "stop", "STOP", "end_turn", "eos", "eos_token", "stop_sequence", "COMPLETE", "completed",
    "a_new_reason",
)  # fmt: skip

FINISH_REASONS = [
    *(
        message(f"failed: {word}", SAID, MovesOn(), Interrupted(), finish=word, source="hax#15")
        for word in FAILED
    ),
    *(
        message(f"failed without output: {word}", {"content": content}, MovesOn(), finish=word,
                source="mastra#20302")
        for word in FAILED
        for content in ("", None)
    ),
    *(message(f"good: {word}", SAID, OK, finish=word) for word in GOOD),
    *(message(f"limit: {word}", SAID, OK, finish=word, source="speakr#349")
      for word in ("length", "max_tokens", "MAX_TOKENS")),
    message("unknown without output", {"content": ""}, NO_ANSWER, finish="a_new_reason"),
    message("tool_calls without a call", SAID, OK, finish="tool_calls", source="litellm#6929"),
    message("length without text", {"content": ""}, Answers(""), finish="length",
            source="ragleap#336"),
    text_stream("stop, then error", chunk({}, "stop"), chunk({}, "error"), *FINISHED[1:],
                expected=Interrupted()),
]  # fmt: skip

CUTS = [
    text_stream(f"finished, then {name}", *after, expected=expected, source="trial")
    for name, after, expected in [
        ("the end", [chunk({}, "stop"), usage_chunk()], OK),
        ("the end without usage", [chunk({}, "stop")], Answers(usage=None)),
        ("silence", [chunk({}, "stop"), usage_chunk(), HOLD], OK),
        ("silence without usage", [chunk({}, "stop"), HOLD], Answers(usage=None)),
    ]
]
CUTS += [
    Case("finished, then cut", "trial", None,
         stream(*words(*WORDS), *FINISHED[:2], ends=False), OK, OK),
    Case("cut after text", "trial", None,
         stream(*words(*WORDS), ends=False), OK, Interrupted(TEXT, "overloaded")),
    text_stream("the end after text", expected=Interrupted(), source="agent-afk#635, maka#2297"),
    text_stream("DONE after text", DONE, expected=Interrupted(), source="litellm#42140"),
    text_stream("usage after text", usage_chunk(), DONE, expected=Interrupted()),
    stream_request("nothing", expected=NO_ANSWER),
    stream_request("DONE only", DONE, expected=NO_ANSWER),
    stream_request("usage only", usage_chunk(), DONE, expected=NO_ANSWER),
    stream_request("comments only", ": ping\n\n", expected=NO_ANSWER),
    stream_request("role only", *words(), expected=NO_ANSWER),
    stream_request("reset first", *words(), RESET, expected=MovesOn("overloaded")),
]  # fmt: skip


def error(name: str, body: Any, expected: MovesOn, *, source: str = "trial") -> list[Case]:
    """Return the cases of an error: as a body, as the first event, after output."""
    streamed = stream(body, DONE)
    after_output = stream(*words(*WORDS), body, DONE)
    interrupted = Interrupted(TEXT, expected.failure_class, expected.message)
    return [
        any_request(f"error as body: {name}", http(body), expected, source=source),
        Case(f"error as first event: {name}", source, None, streamed, expected, expected),
        Case(f"error as event: {name}", source, None, after_output, expected, interrupted),
    ]


def failure(text: str, code: Any = None, **fields: Any) -> dict[str, Any]:
    return {"error": {"message": text, "code": code, **fields}}


ERRORS = [
    *error("401", failure("Invalid key", 401), MovesOn("auth_failed", 401, "Invalid key")),
    *error("402", failure("No credit left", 402),
           MovesOn("quota_exceeded", 402, "No credit left")),
    *error("429", failure("Slow down", 429), MovesOn("rate_limited", 429, "Slow down")),
    *error("502", failure("Provider returned error", 502),
           MovesOn("overloaded", 502, "Provider returned error"), source="OpenRouter's documents"),
    *error("503 as text", failure("Try later", "503"),
           MovesOn("overloaded", message="Try later")),
    *error("a word", {"error": "the server is overloaded"},
           MovesOn("overloaded", message="the server is overloaded")),
    *error("null choices", {**failure("Overloaded", 503), "choices": None},
           MovesOn("overloaded", 503)),
    *error("vLLM", {"object": "error", "message": "Internal error", "type": "InternalServerError",
                    "code": 500},
           MovesOn("overloaded", 500, "Internal error"), source="vllm#7026"),
    *error("Anthropic", {"type": "error",
                         "error": {"type": "overloaded_error", "message": "Overloaded"}},
           MovesOn("overloaded", message="Overloaded")),
]  # fmt: skip


def named_error(data: str, expected: MovesOn) -> list[Case]:
    frame = f"event: error\ndata: {data}\n\n"
    return [
        stream_request(f"error event {data}"[:60], frame, expected=expected, source="hermes"),
        text_stream(f"error event after output {data}"[:60], frame, source="hermes",
                    expected=Interrupted(TEXT, expected.failure_class, expected.message)),
    ]  # fmt: skip


ERROR_EVENTS = [
    *named_error(
        '{"error": {"message": "Overloaded", "code": 503}}',
        MovesOn("overloaded", 503, "Overloaded"),
    ),
    *named_error(
        '{"message": "Rate limit reached", "code": 429}',
        MovesOn("rate_limited", 429, "Rate limit reached"),
    ),
    *named_error("upstream is overloaded", MovesOn("overloaded", message="upstream is overloaded")),
]

BARE = '{"error": {"message": "Upstream is overloaded", "code": 503}}'
BARE_ERRORS = [
    stream_request(f"bare error {name}", before, BARE + after, source="trial",
                   expected=MovesOn("overloaded", 503, "Upstream is overloaded"))
    for name, before, after in [("after a comment", ": ping\n\n", "\n\n"),
                                ("and DONE", ": ping\n\n", "\n\ndata: [DONE]\n\n"),
                                ("at the end", "retry: 3000\n", "")]
] + [
    text_stream(f"bare error after output {name}", BARE + after, source="trial",
                expected=Interrupted(TEXT, "overloaded", "Upstream is overloaded"))
    for name, after in [("in a block", "\n\n"), ("at the end", ""),
                        ("and DONE", "\ndata: [DONE]\n\n")]
] + [
    text_stream("bare error after the end", chunk({}, "stop"), BARE + "\n\n", *FINISHED[1:],
                expected=Answers(), source="trial"),
    text_stream("bare JSON that is not an error", '{"ping": 1}\n\n', *FINISHED,
                expected=Answers(), source="trial"),
]  # fmt: skip

IN_CHOICE = {"index": 0, "error": {"code": 502, "message": "Upstream failed"}}
CHOICE_ERRORS: list[Case] = [
    any_request(
        "error in the choice",
        whole(completion({}, choices=[{**IN_CHOICE, "message": {"role": "assistant", "content": ""},
                                       "finish_reason": "error"}])),
        MovesOn("overloaded", 502, "Upstream failed"),
        source="OpenRouter",
    )._replace(streamed=stream(chunk({}, choices=[{**IN_CHOICE, "delta": {"content": ""},
                                                   "finish_reason": "error"}]), DONE)),
    text_stream("error in the choice after output",
                chunk({}, choices=[{**IN_CHOICE, "delta": {}, "finish_reason": "error"}]), DONE,
                expected=Interrupted(TEXT, "overloaded")),
    text_stream("error beside a delta", chunk({}, "error", **failure("Upstream failed", 502)), DONE,
                expected=Interrupted(TEXT, "overloaded"), source="OpenRouter's documents"),
]  # fmt: skip


def words_of_a_model(text: str) -> Case:
    """Return a case for a stream with these words, to both kinds of requests."""
    response = stream(chunk({"content": text}), *FINISHED)
    return any_request(f"says {text!r}", response, Answers(text), source="loreai#605, gac#78")


WORDS_OF_A_MODEL = [
    words_of_a_model("Your API key is invalid, rotate it."),
    words_of_a_model("You have insufficient credits."),
    words_of_a_model("hello"),
    words_of_a_model("429 Too Many Requests: rate limit exceeded"),
    words_of_a_model("maximum context length is 4097 tokens"),
    words_of_a_model("data: [DONE]"),
]

CASES = [
    *FINISH_REASONS,
    *CUTS,
    *ERRORS,
    *ERROR_EVENTS,
    *BARE_ERRORS,
    *CHOICE_ERRORS,
    *WORDS_OF_A_MODEL,
    any_request("page for a stream", chunked("<html>Sign in</html>", kind="text/html"), NO_ANSWER),
]
