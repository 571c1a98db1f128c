"""Streams through a reader, driven by hand: what is passed on, and when the stream ends."""

from __future__ import annotations

import time
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

import pytest

from inference_providers.errors import (
    InvalidResponseError,
    ProviderTimeoutError,
    ProviderUnreachableError,
)
from inference_providers.wire.chat_reader import ChatReader
from inference_providers.wire.exchange import END_GRACE_S, Exchange
from inference_providers.wire.streams import aread_stream, read_stream

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Generator

BROKEN = [ProviderTimeoutError, ProviderUnreachableError]
DONE = b"data: [DONE]\n\n"


def event(delta: str, reason: str = "null") -> bytes:
    return b'data: {"choices": [{"delta": %b, "finish_reason": %b}]}\n\n' % (
        delta.encode(),
        reason.encode(),
    )


WORD = event('{"content": "a"}')
FINISH = event("{}", '"stop"')


class Parts:
    """The bytes of a stream as a client yields them; a step may be an exception."""

    def __init__(self, *steps: bytes | type[Exception]) -> None:
        self.steps = list(steps)
        self.is_closed = False

    def sync(self) -> Generator[bytes]:
        try:
            while self.steps:
                step = self.steps.pop(0)
                if not isinstance(step, bytes):
                    raise step
                yield step
        finally:
            self.is_closed = True

    async def on_loop(self) -> AsyncGenerator[bytes]:
        for part in self.sync():
            yield part


async def read_sync(parts: Parts) -> list[Any]:
    return list(read_stream(ChatReader(), parts.sync()))


async def read_on_loop(parts: Parts) -> list[Any]:
    return [item async for item in aread_stream(ChatReader(), parts.on_loop())]


@pytest.fixture(params=[read_sync, read_on_loop])
def read(request: pytest.FixtureRequest) -> Callable[..., Any]:
    return request.param


def finish_reason(items: list[Any]) -> str:
    return items[-1]["choices"][0]["finish_reason"]


@pytest.mark.parametrize("error", BROKEN)
async def test_read_stream_raises_a_break_before_the_finish_reason(
    read: Callable[..., Any], error: type[Exception]
) -> None:
    parts = Parts(WORD, error)
    with pytest.raises(error):
        await read(parts)
    assert parts.is_closed


@pytest.mark.parametrize("error", BROKEN)
async def test_read_stream_ignores_a_break_after_the_finish_reason(
    read: Callable[..., Any], error: type[Exception]
) -> None:
    parts = Parts(WORD, FINISH, error)
    assert finish_reason(await read(parts)) == "stop"
    assert parts.is_closed


async def test_read_stream_refuses_an_end_without_a_finish_reason(
    read: Callable[..., Any],
) -> None:
    for parts in (Parts(WORD), Parts(WORD, DONE, WORD)):
        with pytest.raises(InvalidResponseError):
            await read(parts)
        assert parts.is_closed


async def test_read_stream_reads_nothing_after_the_end_mark(read: Callable[..., Any]) -> None:
    parts = Parts(WORD, FINISH, DONE, AssertionError)
    assert finish_reason(await read(parts)) == "stop"
    assert (parts.steps, parts.is_closed) == ([AssertionError], True)


def test_read_stream_passes_content_on_at_once() -> None:
    parts = Parts(WORD, WORD, FINISH, DONE)
    items = read_stream(ChatReader(), parts.sync())
    next(items)
    assert len(parts.steps) == 3
    items.close()
    assert parts.is_closed


async def test_aread_stream_passes_content_on_at_once() -> None:
    parts = Parts(WORD, WORD, FINISH, DONE)
    async with aclosing(aread_stream(ChatReader(), parts.on_loop())) as items:
        await anext(items)
        assert len(parts.steps) == 3


@pytest.mark.parametrize(("remaining_s", "grace_s"), [(2.0, 1.0), (600.0, END_GRACE_S)])
async def test_finish_reason_limits_the_rest_of_the_stream(
    read: Callable[..., Any], remaining_s: float, grace_s: float
) -> None:
    before = time.monotonic()
    with Exchange(before + remaining_s) as exchange:
        await read(Parts(WORD, FINISH))
    assert before + 0.9 * grace_s < exchange.ends_at <= time.monotonic() + grace_s
    with Exchange(before + remaining_s) as unfinished:
        with pytest.raises(ProviderTimeoutError):
            await read(Parts(WORD, ProviderTimeoutError))
        assert unfinished.ends_at == float("inf")
