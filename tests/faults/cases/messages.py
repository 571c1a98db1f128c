"""Odd messages and deltas: roles, content, reasoning, nulls, usage, wrong types."""

from __future__ import annotations

from typing import Any

from chat_wire import (
    DONE,
    FINISHED,
    TEXT,
    USAGE,
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
    Expected,
    Filtered,
    Flawed,
    Interrupted,
    MovesOn,
    message,
    plain_request,
    stream_request,
    text_stream,
)

OK = Answers()
NO_ANSWER = MovesOn()
EMPTY = Flawed(Answers(""))
NAMELESS = Flawed(Answers("", calls=(("", {}),)))
SAID = {"content": TEXT}
THINKING = [
    {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]},
    {"type": "text", "text": TEXT},
]

ROLES = [
    message("no role", SAID, OK, source="trial"),
    *(
        message(f"role {role!r}", {"role": role, **SAID}, OK, source="trial")
        for role in ("assistant", None, "", "model", "user", "system", "bot", 7)
    ),
    stream_request(
        "role in each delta",
        *(chunk({"role": "assistant", "content": word}) for word in WORDS),
        *FINISHED,
        expected=OK,
        source="langchain#27853",
    ),
    stream_request(
        "role null in deltas",
        *(chunk({"role": None, "content": word}) for word in WORDS),
        *FINISHED,
        expected=OK,
    ),
]

CONTENT = [
    message("content parts", {"content": [{"type": "text", "text": TEXT}]}, OK,
            source="agent-framework#6978"),
    message("thinking and text", {"content": THINKING}, Answers(reasoning="hm"),
            source="agent-framework#6978"),
    message("reasoning_content", {**SAID, "reasoning_content": "hm"}, Answers(reasoning="hm"),
            source="DeepSeek's documents"),
    message("reasoning", {**SAID, "reasoning": "hm"}, Answers(reasoning="hm"),
            source="OpenRouter's and vLLM's documents"),
    message("reasoning null", {**SAID, "reasoning": None, "reasoning_content": None}, OK),
    message("reasoning twice", {**SAID, "reasoning": "hm", "reasoning_content": "hm"},
            Answers(reasoning="hm"), source="vllm#27755"),
    message("refusal", {"content": None, "refusal": "No."}, Answers("", refusal="No."),
            source="OpenAI's documents"),
    message("refusal null", {**SAID, "refusal": None}, OK),
    message("nulls everywhere", {**SAID, "tool_calls": None, "function_call": None, "audio": None,
                                 "annotations": None, "refusal": None}, OK, source="trial"),
    message("empty lists", {**SAID, "tool_calls": [], "annotations": []}, OK, source="trial"),
    message("unknown fields", {**SAID, "provider_specific_fields": {"x": [1]}, "prefix": 0}, OK),
    message("text that looks like an error", {"content": "Error: your API key is invalid."},
            Answers("Error: your API key is invalid."), source="loreai#605"),
    message("text that is JSON", {"content": '{"error": {"code": 401}}'},
            Answers('{"error": {"code": 401}}')),
    message("blank text", {"content": " \n"}, Flawed(Answers(" \n"))),
]  # fmt: skip

EMPTY_ANSWERS = [
    *(
        message(f"empty: {fields}", fields, EMPTY, source="litellm#14655, livekit#4066")
        for fields in (
            {"content": ""},
            {"content": None},
            {},
            {"role": "assistant", "content": "", "tool_calls": []},
            {"content": []},
            {"content": "", "reasoning_content": "", "refusal": ""},
        )
    ),
    message("reasoning without text", {"content": "", "reasoning_content": "hm"},
            Answers("", reasoning="hm"), source="trial"),
]  # fmt: skip

DELTAS = [
    text_stream("delta null at the end", chunk(None, "stop"), *FINISHED[1:], expected=OK,
                source="agent-framework#5734, bagofwords#742"),
    text_stream("no delta at the end",
                chunk({}, choices=[{"index": 0, "finish_reason": "stop"}]), *FINISHED[1:],
                expected=OK, source="bagofwords#742"),
    text_stream("delta null in between", chunk(None), *FINISHED, expected=OK),
    text_stream("empty deltas", *[chunk({})] * 3, chunk({"content": None}), *FINISHED, expected=OK),
    text_stream("choices null", chunk({}, choices=None), *FINISHED, expected=OK, source="trial"),
    text_stream("choices empty", chunk({}, choices=[]), *FINISHED, expected=OK),
    stream_request("Azure's prompt filter first",
                   chunk({}, choices=[], prompt_filter_results=[{"prompt_index": 0}], model=""),
                   *words(*WORDS), *FINISHED, expected=OK, source="langchain#19792"),
    text_stream("content filter results", chunk({}, "stop", choices=[
        {"index": 0, "delta": {}, "finish_reason": "stop",
         "content_filter_results": {"hate": {"filtered": False}}}]), *FINISHED[1:], expected=OK),
    text_stream("finish reason empty", chunk({}, ""), *FINISHED, expected=OK, source="trial"),
    text_stream("finish reason twice", *[chunk({}, "stop")] * 3, *FINISHED[1:], expected=OK,
                source="langchainjs#11084"),
    stream_request("finish reason in the last text", chunk({"content": WORDS[0]}),
                   chunk({"content": WORDS[1]}, "stop"), *FINISHED[1:], expected=OK,
                   source="llm-d-inference-sim#33"),
    stream_request("all in one chunk", chunk({"role": "assistant", "content": TEXT}, "stop",
                                             usage=USAGE), DONE, expected=OK),
    stream_request("message for delta", chunk({}, choices=[
        {"index": 0, "message": {"role": "assistant", "content": TEXT}, "finish_reason": "stop"}]),
        *FINISHED[1:], expected=OK, source="DashScope, MiniMax"),
    stream_request("two choices", *(
        chunk({}, choices=[{"index": n, "delta": {"content": f"{word}{n or ''}"},
                            "finish_reason": None}])
        for word in WORDS for n in (0, 1)), *FINISHED, expected=OK, source="trial"),
    stream_request("choice without index", *(
        chunk({}, choices=[{"delta": {"content": word}}]) for word in WORDS), *FINISHED,
        expected=OK),
    stream_request("chunks with the choice only", *(
        {"choices": [{"delta": {"content": word}}]} for word in WORDS),
        {"choices": [{"delta": {}, "finish_reason": "stop"}]}, *FINISHED[1:], expected=OK),
    text_stream("empty object", {}, *FINISHED, expected=OK),
    text_stream("id and model change", chunk({}, id="c-2", model="other"), *FINISHED, expected=OK,
                source="OpenRouter"),
    text_stream("model null", chunk({}, model=None, id=None, created=None, object=None), *FINISHED,
                expected=OK),
    text_stream("error null", chunk({}, error=None), *FINISHED, expected=OK),
]  # fmt: skip


def usages(
    name: str, *deltas: Any, last: Any = None, usage: Any = (10, 5), source: str = ""
) -> Case:
    """Return a case for a stream whose chunks report `deltas`, and the last one `last`."""
    items = [chunk({"content": word}, usage=u) for word, u in zip(WORDS, deltas, strict=True)]
    end = [usage_chunk(last)] if last is not None else []
    return stream_request(
        name, *items, chunk({}, "stop"), *end, DONE, expected=Answers(usage=usage), source=source
    )


def tokens(prompt: Any, generated: Any, **details: Any) -> dict[str, Any]:
    return {"prompt_tokens": prompt, "completion_tokens": generated, **details}


DETAILS = {"prompt_tokens_details": None, "completion_tokens_details": None}
USAGES = [
    usages("cumulative usage", tokens(10, 1), tokens(10, 2), last=USAGE, source="langchain#30429"),
    usages("the same usage in each chunk", USAGE, USAGE, last=USAGE,
           source="langchainjs#11054, #11457"),
    usages("usage in deltas only", tokens(10, 1), tokens(10, 5), source="rocketride#1780"),
    usages("usage null in deltas", None, None, last=USAGE, source="trial"),
    usages("usage empty in deltas", {}, {}, last=USAGE, source="trial"),
    usages("usage zero in deltas", tokens(0, 0), tokens(0, 0), last=USAGE),
    usages("usage first and last", USAGE, None, last=tokens(10, 5, **DETAILS)),
    usages("usage details null", None, None, last={**USAGE, **DETAILS}, source="trial"),
    usages("usage without a total", None, None, last=tokens(10, 5)),
    usages("usage null last", None, None, last=None, usage=None),
    usages("usage as floats", None, None, last=tokens(10.0, 5.0), source="trial"),
    text_stream("usage twice", chunk({}, "stop", usage=USAGE), usage_chunk(), DONE, expected=OK,
                source="rocketride#1780"),
    text_stream("usage after DONE is not read", chunk({}, "stop", usage=USAGE), DONE,
                usage_chunk(tokens(99, 99)), expected=OK),
    text_stream("usage with choices null", chunk({}, "stop"), usage_chunk(choices=None), DONE,
                expected=OK, source="trial"),
    text_stream("usage with an empty choice", chunk({}, "stop"),
                chunk({"content": ""}, usage=USAGE), DONE, expected=OK),
    *(
        plain_request(f"usage {usage!r}", completion(SAID, usage=usage), expected, source="trial")
        for usage, expected in [
            (None, Answers(usage=None)),
            ({}, Answers(usage=None)),
            (tokens(10.0, 5.0), OK),
            (tokens(10, 5, **DETAILS), OK),
            (tokens(10, 5, total_tokens=None), OK),
            (tokens("ten", "five"), Answers(usage=None)),
            ("none", Answers(usage=None)),
            ([], Answers(usage=None)),
            (7, Answers(usage=None)),
        ]
    ),
]  # fmt: skip


def shape(body: str) -> Case:
    """Return a case for a body that is not an answer; as an event it is the only one."""
    streamed = stream(f"data: {body}\n\n", DONE)
    return Case(f"body {body}"[:60], "trial", whole(body), streamed, NO_ANSWER, NO_ANSWER)


def choice(value: Any, **fields: Any) -> Case:
    """Return a case with `value` as the only choice of a whole answer."""
    return plain_request(
        f"choice {value!r}"[:70],
        completion({}, choices=[value], **fields),
        NO_ANSWER,
        source="one-api#1315, trial",
    )


def called(value: Any, expected: Expected = NO_ANSWER) -> Case:
    """Return a case with `value` for the tool calls, and nothing else."""
    return plain_request(
        f"tool calls {value!r}"[:70],
        completion({"role": "assistant", "content": None, "tool_calls": value}, "tool_calls"),
        expected,
        source="trial",
    )


SHAPES = [
    *map(
        shape,
        [
            "null", "[]", "0", "true", '"busy"', '""', "{}", '{"choices": null}',
            '{"choices": {}}', '{"choices": "overloaded"}', '{"choices": 1}', '{"choices": []}',
            '{"choices": [null]}', '{"choices": [[]]}', '{"choices": ["x"]}', '{"choices": [{}]}',
            "not JSON", "{", '{"choices": [{"message": ', "[" * 700,
            '{"a":' * 5000 + "1" + "}" * 5000,
        ],
    ),
    *map(
        choice,
        [
            {"index": 0, "message": None, "finish_reason": "stop"},
            {"index": 0, "finish_reason": "stop"},
            *({"index": 0, "message": value, "finish_reason": "stop"}
              for value in ("hi", 5, [], [1], True)),
            *({"index": 0, "message": {"content": c}, "finish_reason": "stop"}
              for c in ({"a": 1}, [5, {"a": 1}])),
        ],
    ),
    *map(called, ["x", 5, [1], ["x"], [[]], [{"function": "f"}], [{"function": [1]}]]),
    called([None], EMPTY),
    *(called(value, NAMELESS)
      for value in ({"a": 1}, [{}], [{"index": 0}], [{"function": None}], [{"function": {}}])),
    *(
        text_stream(f"{item!r} after output"[:60], item, *FINISHED,
                    expected=Interrupted(), source="trial")
        for item in ("data: {\n\n", "data: busy\n\n", b"data: \xff\xfe\x00\n\n", "data: 5\n\n",
                     'data: "busy"\n\n')
    ),
    *(
        text_stream(f"delta {delta!r} after output", chunk(delta), *FINISHED,
                    expected=Interrupted(), source="trial")
        for delta in ("hi", 5, [1])
    ),
    *(
        text_stream(f"choices {value!r} after output", chunk({}, choices=value), *FINISHED,
                    expected=Interrupted(), source="trial")
        for value in ("overloaded", 5, [5], ["x"])
    ),
    *(text_stream(f"harmless: {item!r}", item, *FINISHED, expected=OK)
      for item in ("data: null\n\n", "data: []\n\n", chunk({}, choices=[None]))),
    *(
        plain_request(f"odd {field} {value!r}", {**completion(SAID), field: value}, OK,
                      source="trial")
        for field, value in [("id", 7), ("id", None), ("id", {}), ("created", "now"),
                             ("model", None), ("model", 7), ("object", []),
                             ("system_fingerprint", 1.5), ("service_tier", {}),
                             ("error", None), ("error", ""), ("error", {})]
    ),
]  # fmt: skip

FILTERS = [
    message("content filter", {"content": TEXT}, Filtered(TEXT),
            Interrupted(TEXT, "content_filtered"), finish="content_filter", source="the issue"),
    message("content filter, null", {"content": None}, Filtered(), finish="content_filter",
            source="the issue"),
    message("content filter, empty", {"content": ""}, Filtered(), finish="content_filter",
            source="cherry-studio#16079"),
]  # fmt: skip

CASES = [*ROLES, *CONTENT, *EMPTY_ANSWERS, *DELTAS, *USAGES, *SHAPES, *FILTERS]
