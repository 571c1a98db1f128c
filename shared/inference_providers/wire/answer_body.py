"""The body of a 2xx: a stream of server-sent events, JSON, or something else."""

from __future__ import annotations

from typing import Any

from inference_providers.errors import InferenceProvidersError, InvalidResponseError
from inference_providers.wire import json_codec
from inference_providers.wire.reported_errors import invalid_response, raise_reported_error
from inference_providers.wire.server_sent_events import (
    BARE,
    MAX_EVENT_BYTES,
    EventDecoder,
    ServerSentEvent,
)

__all__ = ["BodyReader", "read_json"]

_BOM = b"\xef\xbb\xbf"
_SPACE = b" \t\r\n"
_HEAD_BYTES = 16_384  # far more than an excerpt: keys are removed before the excerpt is cut
_TOO_LARGE = f"the body exceeds {MAX_EVENT_BYTES} bytes"
_NO_EVENT = frozenset({b"", b"[DONE]", b"[done]"})


def read_json(data: bytes) -> Any:
    """Return the value of a JSON body; `None` if the body is something else, such as a stream.

    Raises:
        InvalidResponseError: It begins like JSON, but is not valid JSON.
    """
    data = data.lstrip(_SPACE).removeprefix(_BOM).lstrip(_SPACE)
    if data[:1] not in {b"{", b"["}:
        return None
    if len(data) > MAX_EVENT_BYTES:
        raise InvalidResponseError(_TOO_LARGE)
    try:
        return json_codec.decode(data)
    except ValueError:
        msg = "HTTP 200 whose body is not JSON, or was cut"
        raise invalid_response(msg, data[:_HEAD_BYTES]) from None


class BodyReader:
    """Detects the type of a body, whatever was requested, and decodes it.

    Whitespace before the body is skipped: some servers keep a connection alive with it.

    Attributes:
        done: Whether the end mark was read: there is nothing left to read.
    """

    def __init__(self) -> None:
        self.done = False
        self._decoder = EventDecoder()
        self._lead = b""
        self._head = b""
        self._json: bytearray | None = None
        self._is_read = False
        self._fault: InferenceProvidersError | None = None
        self._bare: dict[str, Any] | None = None

    @property
    def finished(self) -> bool:
        """Whether the answer is complete, so that unreadable data after it does no harm."""
        raise NotImplementedError

    def feed(self, data: bytes) -> list[dict[str, Any]]:
        """Return the chunks or events that `data` completes.

        Raises:
            ContentFilteredError: The answer was withheld or cut by a content filter.
            InvalidResponseError: The bytes do not belong to an answer.
            ProviderError: The provider reports an error.
        """
        if not self._is_read and self._json is None:
            data = self._begin(data)
        if self._json is not None:
            self._json += data
            if len(self._json) > MAX_EVENT_BYTES:
                raise InvalidResponseError(_TOO_LARGE)
            return []
        if self._fault is not None:
            raise self._fault
        chunks: list[dict[str, Any]] = []
        try:
            for event in self._decoder.feed(data):
                if self.done:
                    break
                chunks += self._read(event)
        except InferenceProvidersError as fault:
            if not chunks:
                raise
            # Whether output came before the fault must not depend on how the bytes were split.
            self._fault = fault
            self.done = True
        return chunks

    def end_body(self) -> list[dict[str, Any]]:
        """Return the chunks or events that the end of the body completes.

        Raises:
            InvalidResponseError: The body is neither JSON nor a stream.
        """
        if self._fault is not None:
            raise self._fault
        if self._json is not None:
            return self.read_whole(read_json(bytes(self._json)))
        chunks: list[dict[str, Any]] = []
        for event in () if self.done else self._decoder.end():
            chunks += self._read_cut(event)
        if self._bare is not None and not self.finished:
            raise_reported_error(self._bare, is_answer=False)
        if not self._is_read:
            is_empty = not self._head.strip()
            kind = "an empty body" if is_empty else "neither JSON nor an event stream"
            msg = f"HTTP 200 with {kind}"
            raise invalid_response(msg, self._head)
        return chunks

    def read_whole(self, body: Any) -> list[dict[str, Any]]:
        """Read a body that is JSON instead of a stream."""
        raise NotImplementedError

    def read_event(self, body: dict[str, Any], event_type: str) -> list[dict[str, Any]]:
        """Read one event; return what to pass on."""
        raise NotImplementedError

    def _begin(self, data: bytes) -> bytes:
        """Skip whitespace and a byte order mark, and detect the type of the body."""
        if not self._head:
            data = (self._lead + data).lstrip(_SPACE)
            self._lead = data if len(data) < len(_BOM) and _BOM.startswith(data) else b""
            if self._lead:
                return b""
            data = data.removeprefix(_BOM).lstrip(_SPACE)
            if data[:1] in {b"{", b"["}:
                self._json = bytearray()
        if len(self._head) < _HEAD_BYTES:
            self._head += data[: _HEAD_BYTES - len(self._head)]
        if self._head[:1] == b"<" and len(self._head) >= _HEAD_BYTES:
            msg = "HTTP 200 with neither JSON nor an event stream"
            raise invalid_response(msg, self._head)
        return data

    def _read(self, event: ServerSentEvent) -> list[dict[str, Any]]:
        if event.type == BARE:
            self._keep_bare(event.data)
            return []
        self._is_read = True
        try:
            body = json_codec.decode(event.data)
        except ValueError:
            return self._read_text(event)
        return self._read_body(body, event)

    def _keep_bare(self, data: bytes) -> None:
        """Keep JSON that a server sent without `data:`; it may say why the stream ended."""
        if self._bare is None and _is_json(data):
            body = json_codec.decode(data)
            self._bare = body if isinstance(body, dict) else None

    def _read_body(self, body: Any, event: ServerSentEvent) -> list[dict[str, Any]]:
        self._is_read = True
        if type(body) is dict:
            return self.read_event(body, event.type)
        if body is None:
            return []
        if isinstance(body, list) and all(type(item) is dict for item in body):
            # Gemini wraps its errors.
            return [chunk for item in body for chunk in self._read_body(item, event)]
        if event.type == "error":
            raise_reported_error({"error": body}, is_answer=False)
        if self.finished:
            return []
        msg = f"an event that is a {type(body).__name__}, not an object"
        raise invalid_response(msg, event.data[:_HEAD_BYTES])

    def _read_cut(self, event: ServerSentEvent) -> list[dict[str, Any]]:
        """Read an event without its blank line; what was cut off is skipped."""
        chunks: list[dict[str, Any]] = []
        bodies = [event.data]
        if b"\n" in event.data and not _is_json(event.data):
            bodies = event.data.split(b"\n")  # no blank lines between events
        for data in bodies:
            if _is_json(data):
                chunks += self._read(event._replace(data=data))
        return chunks

    def _read_text(self, event: ServerSentEvent) -> list[dict[str, Any]]:
        """Read an event that is not JSON."""
        text = event.data.strip()
        if text.upper() == b"[DONE]":
            self.done = True
            return []
        if not text or text.startswith(b":"):  # `data: : OPENROUTER PROCESSING`
            return []
        lines = event.data.split(b"\n")
        if len(lines) > 1 and all(line.strip() in _NO_EVENT or _is_json(line) for line in lines):
            return [chunk for line in lines for chunk in self._read(ServerSentEvent(line))]
        if event.type == "error":
            message = text.decode("utf-8", "replace")
            raise_reported_error({"error": {"message": message}}, is_answer=False)
        if self.finished or event.type != "message":
            return []
        msg = "an event that is not JSON"
        raise invalid_response(msg, event.data[:_HEAD_BYTES])


def _is_json(data: bytes) -> bool:
    try:
        json_codec.decode(data)
    except ValueError:
        return False
    return True
