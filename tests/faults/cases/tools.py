"""Tool calls as providers stream them, and malformed ones."""

from __future__ import annotations

import json
from typing import Any

from chat_wire import DONE, FINISHED, TEXT, chunk, completion, tool_call, usage_chunk
from faults.cases.case import (
    Answers,
    Case,
    Expected,
    Flawed,
    HandedOut,
    Interrupted,
    message,
    plain_request,
    stream_request,
    text_stream,
)

PARIS = {"city": "Paris"}
ROME = {"city": "Rome"}
ONE = Answers("", calls=(("weather", PARIS),))
BOTH = Answers("", calls=(("weather", PARIS), ("weather", ROME)))
END = (chunk({}, "tool_calls"), usage_chunk(), DONE)
HALVES = ('{"city":', '"Paris"}')


def text_of(arguments: dict[str, Any]) -> str:
    return json.dumps(arguments)


def calls(*parts: Any) -> dict[str, Any]:
    """Return a chunk with these parts of tool calls."""
    return chunk({"tool_calls": list(parts)})


def call(arguments: Any, **fields: Any) -> dict[str, Any]:
    return tool_call("weather", arguments, **fields)


def fragment(arguments: Any, **fields: Any) -> dict[str, Any]:
    return {"function": {"arguments": arguments}, **fields}


def streamed(name: str, *parts: Any, expected: Any = ONE, source: str = "") -> Case:
    """Return a case for a stream with one chunk for each list of parts."""
    items = (calls(*part) if isinstance(part, list) else part for part in parts)
    return stream_request(name, *items, *END, expected=expected, source=source)


PARALLEL = [
    streamed("parallel calls at index 0",
             [call(text_of(PARIS), index=0, id="a")], [call(text_of(ROME), index=0, id="b")],
             expected=BOTH, source="ollama#15457, gcli2api#406, Dynamo#4723, LibreChat#260"),
    streamed("parallel calls at index 0 in one chunk",
             [call(text_of(PARIS), index=0, id="a"), call(text_of(ROME), index=0, id="b")],
             expected=BOTH, source="litellm#33678"),
    streamed("parallel calls at index 0 in fragments",
             [call("", index=0, id="a")], *([fragment(h, index=0)] for h in HALVES),
             [call("", index=0, id="b")], [fragment('{"city":', index=0)],
             [fragment('"Rome"}', index=0)],
             expected=BOTH, source="plexus#691, smolagents#1958"),
    streamed("three calls at index 0",
             *([call(text_of({"n": n}), index=0, id=f"c{n}")] for n in range(3)),
             expected=Answers("", calls=tuple(("weather", {"n": n}) for n in range(3)))),
    streamed("parallel calls, no index",
             [call(text_of(PARIS), id="a")], [call(text_of(ROME), id="b")], expected=BOTH,
             source="term-llm#314"),
    streamed("parallel calls, no index, one chunk",
             [call(text_of(PARIS), id="a"), call(text_of(ROME), id="b")], expected=BOTH,
             source="term-llm#314"),
    streamed("parallel fragments in turn",
             [call("", index=0, id="a"), call("", index=1, id="b")],
             [fragment('{"city":', index=0), fragment('{"city":', index=1)],
             [fragment('"Rome"}', index=1)], [fragment('"Paris"}', index=0)], expected=BOTH),
    streamed("index from 1",
             [call(text_of(PARIS), index=1, id="a")], [call(text_of(ROME), index=2, id="b")],
             expected=BOTH),
    streamed("same id at two indices",
             [call(text_of(PARIS), index=0, id="a")], [call(text_of(ROME), index=1, id="a")],
             expected=BOTH, source="hermes#72766"),
    streamed("parallel calls without ids",
             [call(text_of(PARIS), index=0)], [call(text_of(ROME), index=1)], expected=BOTH,
             source="continue#13225"),
]  # fmt: skip

FRAGMENTS = [
    streamed("good fragments", [call("", index=0, id="a")],
             *([fragment(h, index=0)] for h in HALVES)),
    streamed("fragments without index", [call("", id="a")], *([fragment(h)] for h in HALVES),
             source="ollama#7881, AstrBot#6692"),
    streamed("first with index, fragments without", [call("", index=0, id="a")],
             *([fragment(h)] for h in HALVES), source="ollama#7881"),
    streamed("index null", [call("", index=None, id="a")],
             *([fragment(h, index=None)] for h in HALVES)),
    streamed("index as text", [call("", index="0", id="a")],
             *([fragment(h, index="0")] for h in HALVES)),
    streamed("id in each fragment", [call("", index=0, id="a")],
             *([fragment(h, index=0, id="a")] for h in HALVES), source="codex#7517"),
    streamed("id empty in fragments", [call("", index=0, id="a")],
             *([fragment(h, index=0, id="")] for h in HALVES), source="langchain#40044"),
    streamed("id null in fragments", [call("", index=0, id="a")],
             *([fragment(h, index=0, id=None, type=None)] for h in HALVES)),
    streamed("id in a later fragment", [call("", index=0)], [fragment(HALVES[0], index=0, id="a")],
             [fragment(HALVES[1], index=0)]),
    streamed("name in each fragment", [call("", index=0, id="a")],
             *([call(h, index=0)] for h in HALVES),
             source="langchain#40044, hermes#11984"),
    streamed("name empty in fragments", [call("", index=0, id="a")],
             *([{"index": 0, "function": {"name": "", "arguments": h}}] for h in HALVES)),
    streamed("name null in fragments", [call("", index=0, id="a")],
             *([{"index": 0, "function": {"name": None, "arguments": h}}] for h in HALVES)),
    streamed("name before arguments null", [call(None, index=0, id="a")],
             *([fragment(h, index=0)] for h in HALVES)),
    streamed("everything in each fragment", [call(HALVES[0], index=0, id="a")],
             [call(HALVES[1], index=0, id="a")], source="MiniMax, NIM: hermes#11984"),
    streamed("arguments as an object", [call(PARIS, index=0, id="a")], source="the issue"),
    streamed("empty calls in deltas", chunk({"content": "", "tool_calls": []}),
             [call(text_of(PARIS), index=0, id="a")], chunk({"tool_calls": None}),
             chunk({"tool_calls": []})),
    streamed("empty deltas before", *[chunk({}, tool_call_generating=True)] * 3,
             [call(text_of(PARIS), index=0, id="a")], source="vmlx#219"),
    streamed("type missing", [{k: v for k, v in call(text_of(PARIS), index=0, id="a").items()
                               if k != "type"}]),
    stream_request("finish stop with a call", calls(call(text_of(PARIS), index=0, id="a")),
                   *FINISHED, expected=ONE, source="trial"),
    text_stream("text, then a call", calls(call(text_of(PARIS), index=0, id="a")), *END,
                expected=Answers(calls=(("weather", PARIS),))),
    stream_request("call in the last chunk", chunk({"tool_calls": [
        call(text_of(PARIS), index=0, id="a")]}, "tool_calls"), *END[1:], expected=ONE,
        source="Gemini: gcli2api#406"),
]  # fmt: skip

NO_ARGUMENTS = Answers("", calls=(("weather", {}),))


def both(name: str, arguments: Any, expected: Expected, **fields: Any) -> Case:
    """Return a case with one call: in a whole answer, and in one chunk."""
    body = {"role": "assistant", "content": None, "tool_calls": [call(arguments, index=0, id="a")]}
    return message(name, body, expected, finish="tool_calls", **fields)


ARGUMENTS = [
    both("arguments: object", PARIS, ONE),
    both("arguments: text", text_of(PARIS), ONE),
    both("arguments: null as text", "null", NO_ARGUMENTS, source="trial"),
    both("arguments: empty", "", NO_ARGUMENTS, source="trial"),
    both("arguments: null", None, NO_ARGUMENTS, source="vllm#9693"),
    both("arguments: blanks around", f"\n {text_of(PARIS)} \n", ONE),
    both("arguments: empty object", {}, NO_ARGUMENTS),
]


def malformed(name: str, text: str, expected_stream: Expected | None = None, **fields: Any) -> Case:
    """Return a case with one malformed call beside a good one."""
    parts = [call(text_of(PARIS), index=0, id="a"), call(text, index=1, id="b")]
    answer = Answers("", calls=(("weather", PARIS),), invalid=(("weather", text),))
    return message(
        name,
        {"role": "assistant", "content": None, "tool_calls": parts},
        Flawed(answer),
        expected_stream or HandedOut(answer),
        finish="tool_calls",
        **fields,
    )


MALFORMED = [
    malformed("malformed: cut", '{"city": "Ro', Interrupted("", message="truncated"),
              source="vllm#53269"),
    malformed("malformed: cut in a number", '{"n": 1.', Interrupted("", message="truncated")),
    malformed("malformed: text", '"Rome"'),
    malformed("malformed: list", '["Rome"]'),
    malformed("malformed: number", "7"),
    malformed("malformed: two objects", '{"city": "Rome"}{"city": "Oslo"}',
              Interrupted("", message="malformed"), source="plexus#691"),
    malformed("malformed: words", "Rome, please"),
    malformed("malformed: single quotes", "{'city': 'Rome'}"),
    malformed("malformed: thousands", '{"amount": 1,000}'),
]  # fmt: skip

NAMELESS = Flawed(Answers("", calls=(("", {}),)))
NOT_A_CALL = [
    plain_request("call without a name",
                  completion({"tool_calls": [{"id": "a", "function": {"arguments": "{}"}}]},
                             "tool_calls"), NAMELESS, source="trial"),
    plain_request("call without a function",
                  completion({"tool_calls": [{"id": "a", "type": "function"}]}, "tool_calls"),
                  NAMELESS),
    plain_request("call without an id",
                  completion({"tool_calls": [tool_call("weather", text_of(PARIS))]}, "tool_calls"),
                  ONE, source="continue#13225"),
    plain_request("call as an object",
                  completion({"tool_calls": tool_call("weather", text_of(PARIS))}, "tool_calls"),
                  ONE),
    plain_request("legacy function call",
                  completion({"content": None, "function_call": {
                      "name": "weather", "arguments": text_of(PARIS)}}, "function_call"),
                  ONE, source="OpenAI's documents"),
    stream_request("legacy function call in fragments",
                   chunk({"function_call": {"name": "weather", "arguments": ""}}),
                   *(chunk({"function_call": {"arguments": half}}) for half in HALVES),
                   chunk({}, "function_call"), *END[1:], expected=ONE),
    plain_request("text beside an empty list", completion({"content": TEXT, "tool_calls": []}),
                  Answers()),
]  # fmt: skip

CASES = [*PARALLEL, *FRAGMENTS, *ARGUMENTS, *MALFORMED, *NOT_A_CALL]
