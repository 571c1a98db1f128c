"""Bytes around a good answer: HTTP, compression, server-sent events."""

from __future__ import annotations

import json

from chat_wire import DONE, FINISHED, TEXT, WORDS, chunk, completion, event, usage_chunk, words
from faults.cases.case import (
    Answers,
    Case,
    MovesOn,
    any_request,
    plain_request,
    stream_request,
    text_stream,
)
from raw_server import HOLD, chunked, compressed, http, in_segments, until_close

GOOD = completion({"role": "assistant", "content": TEXT})
EVENTS = [*words(*WORDS), *FINISHED]
STREAM = b"".join(map(event, EVENTS))
SEPARATORS = "a\u2028b\u2029c\x85d\x0be\x0cf\x1cg é 日本 🙂"
"""Characters that `str.splitlines` takes for the end of a line, and some of several bytes."""
HINTS = b"HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n"
PING = ": ping\n\n"
OK = Answers()


def readable(text: str) -> bytes:
    """Return a stream of one text whose JSON has no escapes."""
    texts = (
        json.dumps(chunk({"content": text}), ensure_ascii=False),
        *map(json.dumps, EVENTS[-3:-1]),
    )
    return "".join(f"data: {text}\n\n" for text in texts).encode() + DONE.encode()


def between(*frames: str) -> list[object]:
    """Return the good stream with these frames before, between and after its events."""
    items: list[object] = [*frames]
    for item in EVENTS:
        items += [item, *frames]
    return items


def lines(old: str, new: str) -> bytes:
    return STREAM.replace(old.encode(), new.encode())


SERVER_SENT_EVENTS = [
    stream_request(name, *items, expected=OK, source=source)
    for name, source, items in [
        ("comments", "opencode#43519", between(PING)),
        ("comment in one line", "llmgateway#2334", between(": ping\n")),
        ("comment as data", "llm-gateway#2053", between("data: : OPENROUTER PROCESSING\n\n")),
        ("retry frames", "openai-python#2722", between("retry: 3000\n\n")),
        ("empty data", "hermes#111887", between("data:\n\n", "data: \n\n", "data\n\n")),
        ("ping events", "hermes#111887", between("event: ping\n\n")),
        ("ping events with data", "omnigent#1474", between("event: ping\ndata: {}\n\n")),
        ("keep-alive objects", "omnigent#1474", between('data: {"type":"ping"}\n\n')),
        ("ids and comments", "openai-python#2722", between("id: 7\n\n", PING)),
        ("unknown fields", "the standard", between("note: x\n\n", "\n", "\n\n")),
        ("CRLF", "the standard", [lines("\n", "\r\n")]),
        ("CR", "the standard", [lines("\n", "\r")]),
        ("CRLF split", "the standard", in_segments(lines("\n", "\r\n"), 1)),
        ("byte order mark", "the standard", [b"\xef\xbb\xbf" + STREAM]),
        ("no space after data", "the standard", [lines("data: ", "data:")]),
        ("named events", "the standard", [lines("data: ", "event: message\ndata: ")]),
        ("event ids", "llmgateway#2334", [lines("data: ", "id: 1\ndata: ")]),
        ("data over lines", "the standard", [lines(', "', ',\ndata: "')]),
        ("one byte each", "trial", in_segments(STREAM, 1)),
        ("all in one", "trial", [STREAM]),
        ("DONE without space", "trial", [*EVENTS[:-1], "data:[DONE]\n\n"]),
        ("DONE and no blank line", "trial", [*EVENTS[:-1], "data: [DONE]"]),
        ("DONE, then open", "trial", [*EVENTS, HOLD]),
        ("DONE, then half a chunk", "trial", [*EVENTS, 'data: {"id": "x", "cho\n\n']),
        ("DONE, then an answer", "trial", [*EVENTS, chunk({"content": "!"})]),
        ("DONE twice", "trial", [*EVENTS, DONE]),
        ("no DONE", "trial", EVENTS[:-1]),
    ]
]

CHARACTERS = [
    stream_request(name, *parts, expected=Answers(SEPARATORS), source="langchain#31019")
    for name, parts in [
        ("line separators in JSON", [readable(SEPARATORS)]),
        ("characters split", in_segments(readable(SEPARATORS), 1)),
    ]
]

HTTP_STREAMS = [
    Case(f"stream: {name}", "trial", None, response, OK, OK)
    for name, response in [
        ("until close", until_close(STREAM)),
        ("HTTP/1.0", until_close(STREAM, version="HTTP/1.0")),
        ("with a length", http(STREAM, kind="text/event-stream")),
        ("too long a length", http(STREAM, kind="text/event-stream", length=len(STREAM) + 99)),
        ("no content type", chunked(STREAM, kind=None)),
        ("said to be JSON", chunked(STREAM, kind="application/json")),
        ("said to be text", chunked(STREAM, kind="text/plain")),
        ("said to be a page", chunked(STREAM, kind="text/html; charset=utf-8")),
        ("said to be latin-1", chunked(STREAM, kind="text/event-stream; charset=latin-1")),
        ("201", chunked(STREAM, status="201 Created")),
        ("without a reason", chunked(STREAM, status="200")),
        ("cut after DONE", chunked(STREAM, ends=False)),
        *(
            (
                coding,
                chunked(
                    *in_segments(compressed(STREAM, coding), 3),
                    **{"content-encoding": coding},
                ),
            )
            for coding in ("gzip", "deflate")
        ),
        ("early hints", chunked(STREAM)._replace(
            steps=(HINTS, *chunked(STREAM).steps)
        )),
    ]
]  # fmt: skip

NO_ANSWER = MovesOn()
CUT = MovesOn("overloaded")
BODY = json.dumps(GOOD)
HTTP_BODIES = [
    plain_request(name, body, expected, source="trial", **arguments)
    for name, body, expected, arguments in [
        ("good", GOOD, OK, {}),
        ("HTTP/1.0", GOOD, OK, {"version": "HTTP/1.0"}),
        ("no content type", GOOD, OK, {"kind": None}),
        ("said to be text", GOOD, OK, {"kind": "text/plain"}),
        ("said to be a page", GOOD, OK, {"kind": "text/html"}),
        ("said to be events", GOOD, OK, {"kind": "text/event-stream"}),
        ("said to be latin-1", BODY, OK, {"kind": "application/json; charset=latin-1"}),
        ("continue before", GOOD, OK, {"before": b"HTTP/1.1 100 Continue\r\n\r\n"}),
        ("early hints before", GOOD, OK, {"before": HINTS}),
        ("201", GOOD, OK, {"status": "201 Created"}),
        ("202", GOOD, OK, {"status": "202 Accepted"}),
        ("203", GOOD, OK, {"status": "203 Non-Authoritative Information"}),
        ("spaces before JSON", " \n" * 3000 + BODY, OK, {}),
        ("spaces after JSON", BODY + "\n \r\n", OK, {}),
        ("byte order mark", b"\xef\xbb\xbf" + BODY.encode(), OK, {}),
        ("NaN inside", BODY.replace('"created": 1', '"created": NaN'), OK, {}),
        ("huge number inside", BODY.replace('"created": 1', '"created": 1' + "0" * 400), OK, {}),
        ("deep extra field", BODY[:-1] + ', "x": ' + "[" * 200 + "]" * 200 + "}", OK, {}),
        ("duplicate keys", BODY[:-1] + f', "choices": {json.dumps(GOOD["choices"])}}}', OK, {}),
        ("204", "", NO_ANSWER, {"status": "204 No Content"}),
        ("empty", "", NO_ANSWER, {}),
        ("blank", " \n", NO_ANSWER, {}),
        ("half of it", BODY[: len(BODY) // 2], NO_ANSWER, {}),
        ("too short a length", BODY, MovesOn(None), {"length": len(BODY) // 2}),
        ("too long a length", BODY, CUT, {"length": len(BODY) + 99}),
        ("two answers", BODY + BODY, NO_ANSWER, {}),
        ("page", "<html>Sign in</html>", NO_ANSWER, {"kind": "text/html"}),
        ("half of a gzip", compressed(BODY.encode(), "gzip")[:40], NO_ANSWER,
         {"content-encoding": "gzip"}),
        ("not the gzip it says", BODY, NO_ANSWER, {"content-encoding": "gzip"}),
        ("gzip", compressed(BODY.encode(), "gzip"), OK, {"content-encoding": "gzip"}),
        ("deflate", compressed(BODY.encode(), "deflate"), OK, {"content-encoding": "deflate"}),
        ("identity", BODY, OK, {"content-encoding": "identity"}),
    ]
]  # fmt: skip

OTHER_FORM = [
    any_request("plain answer", http(GOOD), OK, source="tinyagents#56"),
    any_request("stream", chunked(STREAM), OK, source="loreai#605, unsloth#6570, 9router#3492"),
    any_request("stream said to be JSON", chunked(STREAM, kind="application/json"), OK,
                source="gac#78, modlens#94"),
    any_request("plain answer in one event", chunked(event(GOOD), DONE), OK,
                source="open-webui#193"),
    any_request("JSON after blank lines", chunked("\n", " ", "\n", BODY, kind="application/json"),
                OK, source="omlx#3595"),
]  # fmt: skip

BIG = "word " * 600_000
LARGE = [
    stream_request("3 MB delta", chunk({"content": BIG}), *FINISHED, expected=Answers(BIG)),
    stream_request(
        "5000 deltas",
        b"".join(event(chunk({"content": "x"})) for _ in range(5000)),
        *FINISHED,
        expected=Answers("x" * 5000),
    ),
]

CASES = [
    *SERVER_SENT_EVENTS,
    *CHARACTERS,
    *HTTP_STREAMS,
    *HTTP_BODIES,
    *OTHER_FORM,
    *LARGE,
    text_stream("usage before the end", chunk({}, "stop"), usage_chunk(), DONE, expected=OK),
]
