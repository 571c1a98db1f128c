"""A provider that answers at once, so that only the client's own work is measured.

It uses no SDK and parses no JSON: it finds the end of each request and writes prepared bytes. A
stream is written in one piece; all requests to `/down/` get a 503.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any

CHUNKS = 200
"""Pieces of text in a stream."""

_USAGE = {"prompt_tokens": 12, "completion_tokens": CHUNKS, "total_tokens": CHUNKS + 12}


def _response(status: str, content_type: str, body: bytes) -> bytes:
    head = (
        f"HTTP/1.1 {status}\r\ncontent-type: {content_type}\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def _event(**fields: Any) -> bytes:
    chunk = {"id": "c-1", "object": "chat.completion.chunk", "created": 1, "model": "m", **fields}
    return b"data: " + json.dumps(chunk).encode() + b"\n\n"


def _delta(delta: dict[str, Any], finish_reason: str | None = None) -> bytes:
    return _event(choices=[{"index": 0, "delta": delta, "finish_reason": finish_reason}])


_MESSAGE = {"role": "assistant", "content": "one two three four five"}
_COMPLETION = {
    "id": "c-1",
    "object": "chat.completion",
    "created": 1,
    "model": "m",
    "choices": [{"index": 0, "message": _MESSAGE, "finish_reason": "stop"}],
    "usage": _USAGE,
}
WHOLE = _response("200 OK", "application/json", json.dumps(_COMPLETION).encode())
STREAM = _response(
    "200 OK",
    "text/event-stream",
    _delta({"role": "assistant", "content": ""})
    + b"".join(_delta({"content": f" word{n}"}) for n in range(CHUNKS))
    + _delta({}, "stop")
    + _event(choices=[], usage=_USAGE)
    + b"data: [DONE]\n\n",
)
DOWN = _response(
    "503 Service Unavailable", "application/json", b'{"error": {"message": "overloaded"}}'
)


class Provider(asyncio.Protocol):
    """One connection."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        assert isinstance(transport, asyncio.WriteTransport)
        self._transport = transport
        self._received = b""

    def data_received(self, data: bytes) -> None:
        """Answer each request that is complete."""
        self._received += data
        head, end, body = self._received.partition(b"\r\n\r\n")
        if not end:
            return
        _, field, rest = head.lower().partition(b"content-length:")
        length = int(rest.partition(b"\r\n")[0]) if field else 0
        if len(body) < length:
            return
        self._received = body[length:]
        if head.startswith(b"POST /down/"):
            self._transport.write(DOWN)
        elif b'"stream":true' in body or b'"stream": true' in body:
            self._transport.write(STREAM)
        else:
            self._transport.write(WHOLE)


async def main() -> None:
    """Print the port, and serve until the process is killed."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Provider, "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
