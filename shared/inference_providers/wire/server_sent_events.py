"""Decodes server-sent events, https://html.spec.whatwg.org/multipage/server-sent-events.html.

* Lines end with LF, CR or CRLF; a byte order mark at the start is skipped.
* A blank line dispatches the event, if it has at least one `data` line, even an empty one.
* Comments, `id`, `retry` and unknown fields are skipped.
* A line that begins like JSON is reported apart from events: some servers send an error so.
* One deviation: an event that the end of the stream cuts off before its blank line is not
  discarded. Many servers leave out the last blank line.

Data stays bytes. Every delimiter is ASCII, so a character that is split between two reads needs no
special care, and JSON is decoded from bytes.
"""

from __future__ import annotations

from typing import NamedTuple

from inference_providers.errors import InvalidResponseError

__all__ = ["BARE", "MAX_EVENT_BYTES", "EventDecoder", "ServerSentEvent"]

BARE = ""
"""The type of a line that begins like JSON and belongs to no field: the standard ignores it."""

MAX_EVENT_BYTES = 64 * 1024 * 1024
"""The largest size of one event, or of a body without events."""

_BOM = b"\xef\xbb\xbf"


class ServerSentEvent(NamedTuple):
    """One event.

    Attributes:
        data: Its data lines, joined with LF.
        type: Its `event` field; `message` if it has none.
    """

    data: bytes
    type: str = "message"


class EventDecoder:
    """Decodes one stream of server-sent events."""

    def __init__(self) -> None:
        self._pending = bytearray()
        self._at_start = True
        self._after_cr = False

    def feed(self, data: bytes) -> list[ServerSentEvent]:
        """Return the events that `data` completes.

        Raises:
            InvalidResponseError: One event exceeds `MAX_EVENT_BYTES`.
        """
        if self._at_start:
            data = self._skip_bom(data)
        if self._after_cr or b"\r" in data:
            data = self._normalize_line_ends(data)
        pending = self._pending
        is_whole = not pending and data.startswith(b"data: ") and data.endswith(b"\n\n")
        if is_whole and data.find(b"\n") == len(data) - 2:  # one event, as most reads give
            return [ServerSentEvent(data[6:-2])]
        if not pending:
            complete, separator, rest = data.rpartition(b"\n\n")
        else:
            searched = len(pending) - 1
            pending += data
            end = pending.rfind(b"\n\n", searched)
            if end < 0:
                complete = separator = rest = b""
            else:
                complete, separator, rest = bytes(pending[:end]), b"\n\n", bytes(pending[end + 2 :])
                pending.clear()
        pending += rest
        if len(pending) > MAX_EVENT_BYTES:
            msg = f"one server-sent event exceeds {MAX_EVENT_BYTES} bytes"
            raise InvalidResponseError(msg)
        return _events(complete) if separator else []

    def end(self) -> list[ServerSentEvent]:
        """Return the event that the end of the stream cut off before its blank line, if any."""
        rest = bytes(self._pending)
        self._pending.clear()
        return _events(rest)

    def _skip_bom(self, data: bytes) -> bytes:
        data = bytes(self._pending) + data
        self._pending.clear()
        if len(data) < len(_BOM) and _BOM.startswith(data):
            self._pending += data
            return b""
        self._at_start = False
        return data.removeprefix(_BOM)

    def _normalize_line_ends(self, data: bytes) -> bytes:
        if self._after_cr and data:
            data = data.removeprefix(b"\n")
            self._after_cr = False
        if data.endswith(b"\r"):
            self._after_cr = True
        return data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")


def _events(blocks: bytes) -> list[ServerSentEvent]:
    events = []
    for block in blocks.split(b"\n\n"):
        if block.startswith(b"data: ") and b"\n" not in block:
            events.append(ServerSentEvent(block[6:]))
        elif block:
            events += _read_block(block)
    return events


def _read_block(block: bytes) -> list[ServerSentEvent]:
    data = []
    bare = []
    event_type = ""
    for line in block.split(b"\n"):
        name, _, value = line.partition(b":")
        if name == b"data":
            data.append(value.removeprefix(b" "))
        elif name == b"event":
            event_type = value.removeprefix(b" ").decode("utf-8", "replace")
        elif line.startswith(b"{"):
            bare.append(line)
    events = [ServerSentEvent(b"\n".join(data), event_type or "message")] if data else []
    if block.startswith(b"{") and not data:
        bare = [block]  # one value in several lines
    return [ServerSentEvent(value, BARE) for value in bare] + events
