"""Server-sent events as the standard says, from bytes that are cut anywhere."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference_providers.errors import InvalidResponseError
from inference_providers.wire import server_sent_events
from inference_providers.wire.server_sent_events import EventDecoder, ServerSentEvent


def decode(*pieces: bytes) -> list[ServerSentEvent]:
    decoder = EventDecoder()
    events = [event for piece in pieces for event in decoder.feed(piece)]
    return events + decoder.end()


def message(data: bytes) -> ServerSentEvent:
    return ServerSentEvent(data)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        # The examples of the standard.
        (b"data: YHOO\ndata: +2\ndata: 10\n\n", [message(b"YHOO\n+2\n10")]),
        (
            b": test stream\n\ndata: first\nid: 1\n\ndata:second\nid\n\ndata:  third\n\n",
            [message(b"first"), message(b"second"), message(b" third")],
        ),
        (b"data\n\ndata\ndata\n\n", [message(b""), message(b"\n")]),
        (b"data:test\n\ndata: test\n\n", [message(b"test"), message(b"test")]),
        # Its rules.
        (b"event: ping\n\ndata: a\n\n", [message(b"a")]),
        (b"event: x\ndata: a\n\n", [ServerSentEvent(b"a", "x")]),
        (b"event: x\nevent: y\ndata: a\n\n", [ServerSentEvent(b"a", "y")]),
        (b"event:\ndata: a\n\n", [message(b"a")]),
        (b"event: x\n\ndata: a\n\n", [message(b"a")]),
        (b"retry: 10\n\nid: 1\n\n", []),
        (b"Data: a\n\n data: b\n\n", []),
        (b"data : a\n\n", []),
        (b"data: a: b\n\n", [message(b"a: b")]),
        (b"data: a\rdata: b\r\rdata: c\r\n\r\n", [message(b"a\nb"), message(b"c")]),
        (b"\xef\xbb\xbfdata: a\n\n", [message(b"a")]),
        (b"\xef\xbb\xbf\xef\xbb\xbfdata: a\n\n", []),
        (b"data: \xef\xbb\xbf\n\n", [message(b"\xef\xbb\xbf")]),
        (b"data: a\x00b\n\n", [message(b"a\x00b")]),
        (b"data: a\r\ndata: b\r\n\r\n", [message(b"a\nb")]),
        (b"id: 1\ndata:  a \n\n", [message(b" a ")]),
        # The deviation: what the end of the stream cut off.
        (b"data: a\n\ndata: b\n", [message(b"a"), message(b"b")]),
        (b"data: a", [message(b"a")]),
        (b"", []),
    ],
)
def test_decoder_follows_the_standard(data: bytes, expected: list[ServerSentEvent]) -> None:
    assert decode(data) == expected
    assert decode(*(data[place : place + 1] for place in range(len(data)))) == expected


PARTS = [
    *(b"data", b"event", b":", b": ", b" ", b"\n", b"\r", b"\r\n", b"\n\n", b"a"),
    *(b"\xc3", b"\xa9", b"\xef\xbb\xbf", b"data: {}\n\n", b"id: 1\r\r"),
]
STREAMS = st.lists(st.sampled_from(PARTS), max_size=20).map(b"".join)


def by_the_standard(data: bytes) -> list[ServerSentEvent]:
    """Decode a whole stream the slow way: line by line, as the standard is written."""
    text = data.removeprefix(b"\xef\xbb\xbf").replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    events, lines, kind = [], [], b""
    for line in [*text.split(b"\n"), b""]:
        name, _, value = line.partition(b":")
        if not line:
            if lines:
                event_type = kind.decode("utf-8", "replace") or "message"
                events.append(ServerSentEvent(b"\n".join(lines), event_type))
            lines, kind = [], b""
        elif name == b"data":
            lines.append(value.removeprefix(b" "))
        elif name == b"event":
            kind = value.removeprefix(b" ")
    return events


@given(STREAMS, st.lists(st.integers(0, 1_000), max_size=5))
def test_decoder_agrees_with_the_standard_read_slowly(data: bytes, places: list[int]) -> None:
    edges = sorted({len(data) * place // 1_000 for place in places})
    pieces = [data[a:b] for a, b in zip([0, *edges], [*edges, len(data)], strict=True)]
    assert decode(*pieces) == by_the_standard(data)


def test_decoder_refuses_an_event_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_sent_events, "MAX_EVENT_BYTES", 1_000)
    decoder = EventDecoder()
    decoder.feed(b"data: " + b"x" * 900)
    with pytest.raises(InvalidResponseError, match="exceeds 1000 bytes"):
        decoder.feed(b"x" * 200)


def test_decoder_keeps_nothing_of_events_that_are_read() -> None:
    decoder = EventDecoder()
    for _ in range(1_000):
        assert len(decoder.feed(b"data: " + b"x" * 1_000 + b"\n\n")) == 1
    assert not decoder._pending
