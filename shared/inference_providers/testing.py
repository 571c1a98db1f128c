"""A provider on loopback that plays a script, for tests of what a real one does when it fails.

```python
with FakeProvider(Reply(status=429), Reply("hello")) as fake:
    registry = {"providers": {"fake": fake.row({"mixtral-8x7b": "m"})}}
    AutoChatModel("fake/mixtral-8x7b", registry=registry).invoke("Hi")
    fake.requests[0].body["messages"]
```
It is a real HTTP server, so SDKs, streams and broken connections are the real thing.
"""

from __future__ import annotations

import json
import threading
import time
from contextlib import suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, NamedTuple, Self

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from types import TracebackType

__all__ = ["FakeProvider", "Reply", "Request"]


class Reply(NamedTuple):
    """What to answer one request with.

    Attributes:
        text: The answer, sent as a completion, or word by word where a stream is asked.
        status: The HTTP status.
        body: Sent as it is in place of a completion: JSON, or text.
        headers: Further headers.
        tool_calls: Calls in OpenAI's form: `{"name": …, "arguments": {…}}` each.
        finish_reason: What the answer ends with; `None` leaves it out.
        cut_after: Close the connection after this many chunks of a stream.
        delay_s: Seconds before the first byte.
        chunk_delay_s: Seconds before each further chunk of a stream.
    """

    text: str = "Hello from a fake provider"
    status: int = 200
    body: Any = None
    headers: Mapping[str, str] = {}
    tool_calls: tuple[dict[str, Any], ...] = ()
    finish_reason: str | None = "stop"
    cut_after: int | None = None
    delay_s: float = 0.0
    chunk_delay_s: float = 0.0


class Request(NamedTuple):
    """What came over the wire. Header names are in lower case."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: Any


class FakeProvider:
    """An OpenAI-compatible server on a free loopback port.

    It plays its replies in order, and the last one for ever. `GET /v1/models` lists
    `models`. Use it as a context manager.

    Attributes:
        requests: The chat requests that came, in order.
        listings: The requests for the list of models that came.
    """

    def __init__(self, *replies: Reply, models: tuple[str, ...] = ()) -> None:
        self.replies = list(replies) or [Reply()]
        self.models = models
        self.requests: list[Request] = []
        self.listings: list[Request] = []
        self._lock = threading.Lock()
        self._server = _Server(("127.0.0.1", 0), self._handler())
        # A small interval, since leaving the context waits for it.
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True
        )

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def base_url(self) -> str:
        """Where it listens, as clients want it: `http://127.0.0.1:PORT/v1`."""
        return f"http://127.0.0.1:{self._server.server_port}/v1"

    def row(
        self, models: Mapping[str, Any], *, key: str | None = None, **row: Any
    ) -> dict[str, Any]:
        """Return a provider row for a registry.

        Args:
            models: Canonical name → model id or entry.
            key: The variable its key is read from; none is needed without.
            **row: Further fields of the row.
        """
        return {
            "name": "Fake",
            "auth": {"any_of": [[key] if key else []]},
            "endpoints": {"default": {"protocol": "openai-chat", "base_url": self.base_url}},
            "models": dict(models),
            **row,
        }

    def _next(self, request: Request) -> Reply:
        with self._lock:
            self.requests.append(request)
            return self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        provider = self

        class Handler(_Handler):
            fake = provider

        return Handler


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128  # with the default of 5, a batch waits a second to connect


class _Handler(BaseHTTPRequestHandler):
    fake: FakeProvider
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base's name
        """Say nothing: stderr is the test's."""

    def do_GET(self) -> None:
        """List the models."""
        self.fake.listings.append(self._request(None))
        listing = {"object": "list", "data": [{"id": name} for name in self.fake.models]}
        self._send(Reply(body=listing))

    def do_POST(self) -> None:
        """Play the next reply."""
        raw = self.rfile.read(int(self.headers.get("content-length", 0)))
        body = json.loads(raw or "null")
        reply = self.fake._next(self._request(body))  # noqa: SLF001 - one class in two parts
        time.sleep(reply.delay_s)
        if reply.body is None and reply.status == HTTPStatus.OK and body.get("stream"):
            self._stream(reply, body)
        elif reply.body is None and reply.status == HTTPStatus.OK:
            self._send(reply._replace(body=_completion(reply, body)))
        else:
            self._send(reply)

    def _request(self, body: Any) -> Request:
        headers = {name.lower(): value for name, value in self.headers.items()}
        return Request(self.command, self.path, headers, body)

    def _send(self, reply: Reply) -> None:
        error = {"error": {"message": f"scripted {reply.status}", "code": reply.status}}
        body: Any = error if reply.body is None else reply.body
        payload = (body if isinstance(body, str) else json.dumps(body)).encode()
        self.send_response(reply.status)
        kind = "text/html" if isinstance(body, str) else "application/json"
        for name, value in {"content-type": kind, **reply.headers}.items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(payload)))
        with suppress(BrokenPipeError, ConnectionResetError):  # the client may have left
            self.end_headers()
            self.wfile.write(payload)

    def _stream(self, reply: Reply, asked: Any) -> None:
        self.close_connection = True
        self.send_response(reply.status)
        self.send_header("content-type", "text/event-stream")
        self.send_header("connection", "close")
        for name, value in reply.headers.items():
            self.send_header(name, value)
        self.end_headers()
        try:
            for n, chunk in enumerate(_chunks(reply, asked)):
                if n == reply.cut_after:
                    return
                self.wfile.write(f"data: {json.dumps(chunk)}\n\n".encode())
                self.wfile.flush()
                time.sleep(reply.chunk_delay_s)
            self.wfile.write(b"data: [DONE]\n\n")
        except (BrokenPipeError, ConnectionResetError):
            pass  # the client stopped reading, as it may


def _head(kind: str, asked: Any) -> dict[str, Any]:
    return {"id": "fake-1", "object": kind, "created": 1, "model": asked.get("model", "")}


def _usage(reply: Reply) -> dict[str, int]:
    said = len(reply.text.split())
    return {"prompt_tokens": 10, "completion_tokens": said, "total_tokens": 10 + said}


def _calls(reply: Reply) -> list[dict[str, Any]]:
    return [
        {
            "index": n,
            "id": f"call_{n}",
            "type": "function",
            "function": {"name": call["name"], "arguments": json.dumps(call["arguments"])},
        }
        for n, call in enumerate(reply.tool_calls)
    ]


def _completion(reply: Reply, asked: Any) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": reply.text}
    if reply.tool_calls:
        message["tool_calls"] = _calls(reply)
    choice = {"index": 0, "message": message, "finish_reason": reply.finish_reason}
    return {**_head("chat.completion", asked), "choices": [choice], "usage": _usage(reply)}


def _chunks(reply: Reply, asked: Any) -> Iterator[dict[str, Any]]:
    head = _head("chat.completion.chunk", asked)

    def chunk(delta: dict[str, Any], finish_reason: str | None = None) -> dict[str, Any]:
        choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
        return {**head, "choices": [choice]}

    yield chunk({"role": "assistant", "content": ""})
    for n, word in enumerate(reply.text.split()):
        yield chunk({"content": f" {word}" if n else word})
    for call in _calls(reply):
        yield chunk({"tool_calls": [call]})
    if reply.finish_reason is not None:
        yield chunk({}, reply.finish_reason)
    if (asked.get("stream_options") or {}).get("include_usage"):
        yield {**head, "choices": [], "usage": _usage(reply)}
