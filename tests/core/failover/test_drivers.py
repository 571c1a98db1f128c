"""The four drivers run one policy: same routes, same commitments, nothing swallowed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Generator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

import factories
from inference_providers.errors import AllRoutesFailed, InvalidResponseError, StreamInterrupted
from inference_providers.failover import drivers
from inference_providers.failover.engine import failover
from inference_providers.failover.events import Attempt, AttemptRecord, Success
from inference_providers.failover.stream_buffer import ChunkSignals
from inference_providers.settings import FailoverSettings

if TYPE_CHECKING:
    from inference_providers.types import Route


class Chunk(NamedTuple):
    text: str = ""
    finish: bool = False
    tried: tuple[AttemptRecord, ...] = ()


ROLE, FINISH = Chunk(), Chunk(finish=True)
HELLO = [ROLE, Chunk("Hel"), Chunk(""), Chunk("lo"), FINISH]


class ChunkInspector:
    def __init__(self, attempt: Attempt) -> None:
        self.attempt = attempt

    def inspect(self, chunk: Chunk) -> ChunkSignals:
        return ChunkSignals(output=bool(chunk.text), finish=chunk.finish)

    def fault(self) -> str | None:
        return None

    def join(self, chunks: Sequence[Chunk]) -> str:
        return "".join(chunk.text for chunk in chunks)

    def final_chunk(self, attempts: tuple[AttemptRecord, ...]) -> Chunk:
        return Chunk(tried=attempts)


Script = dict[str, Any]
"""Provider → an answer or chunks; an exception (also among chunks) is raised."""


class Run:
    """Runs a script through a driver; both kinds of drivers look the same from outside."""

    def __init__(self, script: Script, *, is_async: bool) -> None:
        self.script = script
        self.is_async = is_async
        self.called: list[str] = []
        self.closed: list[str] = []
        self.opened: list[Generator[Chunk]] = []  # kept, or losing them would close them
        self.scrubbed: list[tuple[str, Exception]] = []
        plan = factories.plan(*map(factories.route, script))
        settings = FailoverSettings(max_attempts=9, retry_budget=0)
        self.engine = failover(plan, settings=settings, now=time.monotonic())

    def scrub(self, where: Route, error: Exception) -> None:
        self.scrubbed.append((where.provider, error))

    def send(self, attempt: Attempt) -> Any:
        self.called.append(attempt.route.provider)
        planned = self.script[attempt.route.provider]
        if isinstance(planned, BaseException):
            raise planned
        return planned

    async def asend(self, attempt: Attempt) -> Any:
        await asyncio.sleep(0)
        return self.send(attempt)

    def open(self, attempt: Attempt) -> Generator[Chunk]:
        self.called.append(attempt.route.provider)
        try:
            for planned in self.script[attempt.route.provider]:
                if isinstance(planned, BaseException):
                    raise planned
                yield planned
        finally:
            self.closed.append(attempt.route.provider)

    def open_and_keep(self, attempt: Attempt) -> Generator[Chunk]:
        self.opened.append(self.open(attempt))
        return self.opened[-1]

    async def aopen(self, attempt: Attempt) -> AsyncGenerator[Chunk]:
        self.called.append(attempt.route.provider)
        try:
            for planned in self.script[attempt.route.provider]:
                await asyncio.sleep(0)
                if isinstance(planned, BaseException):
                    raise planned
                yield planned
        finally:
            await asyncio.sleep(0)
            self.closed.append(attempt.route.provider)

    async def call(self) -> tuple[Any, tuple[AttemptRecord, ...]]:
        if self.is_async:
            return await drivers.acall(self.engine, self.asend, self.scrub)
        return drivers.call(self.engine, self.send, self.scrub)

    async def stream(self, *, into: list[Chunk], stop_after: int | None = None) -> list[Chunk]:
        """Read the stream into `into`, stopping early after so many chunks."""
        if self.is_async:
            chunks = drivers.astream(self.engine, self.aopen, ChunkInspector, self.scrub)
            while len(into) != stop_after:
                if (chunk := await anext(chunks, None)) is None:
                    return into
                into.append(chunk)
            await chunks.aclose()
        else:
            plain = drivers.stream(self.engine, self.open_and_keep, ChunkInspector, self.scrub)
            while len(into) != stop_after:
                if (chunk := next(plain, None)) is None:
                    return into
                into.append(chunk)
            plain.close()
        return into


MakeRun = Callable[[Script], Run]


@pytest.fixture(params=[False, True], ids=["sync", "async"])
def run(request: pytest.FixtureRequest) -> MakeRun:
    return lambda script: Run(script, is_async=request.param)


def texts(chunks: Sequence[Chunk]) -> str:
    return "".join(chunk.text for chunk in chunks)


# Calls


async def test_a_call_returns_the_answer_and_what_was_tried(run: MakeRun) -> None:
    going = run({"a": ConnectionError("no"), "b": "answer", "c": "unused"})
    answer, tried = await going.call()
    assert answer == "answer"
    assert going.called == ["a", "b"]
    assert [(t.route.provider, t.failure_class) for t in tried] == [
        ("a", "overloaded"),
        ("b", None),
    ]
    assert all(t.outcome.ms >= 0 for t in tried)


async def test_an_error_is_scrubbed_before_anybody_sees_it(run: MakeRun) -> None:
    error, bug = ConnectionError("no"), TypeError("bug")
    going = run({"a": error, "b": bug})
    with pytest.raises(TypeError):
        await going.call()
    assert going.scrubbed == [("a", error), ("b", bug)]


async def test_a_bug_raises_as_it_is_and_does_not_move_on(run: MakeRun) -> None:
    bug = TypeError("a bug of ours")
    going = run({"a": bug, "b": "unused"})
    with pytest.raises(TypeError) as caught:
        await going.call()
    assert caught.value is bug
    assert going.called == ["a"]


async def test_when_all_fail_the_last_error_is_the_cause(run: MakeRun) -> None:
    last = ConnectionError("last")
    with pytest.raises(AllRoutesFailed) as caught:
        await run({"a": ConnectionError("first"), "b": last}).call()
    assert caught.value.__cause__ is last


@pytest.mark.parametrize("stop", [KeyboardInterrupt, SystemExit, asyncio.CancelledError])
async def test_stopping_the_program_is_no_failure_of_a_route(
    run: MakeRun, stop: type[BaseException]
) -> None:
    going = run({"a": stop(), "b": "unused"})
    with pytest.raises(stop):
        await going.call()
    assert (going.called, going.scrubbed) == (["a"], [])


# Streams


async def test_a_stream_hands_on_every_chunk_and_ends_with_the_trace(run: MakeRun) -> None:
    going = run({"a": HELLO, "b": HELLO})
    *chunks, last = await going.stream(into=[])
    assert chunks == HELLO
    assert [t.route.provider for t in last.tried] == ["a"]
    outcome = last.tried[0].outcome
    assert isinstance(outcome, Success)
    assert 0 <= outcome.first_output_ms <= outcome.ms
    assert (going.called, going.closed) == (["a"], ["a"])


async def test_chunks_before_the_first_output_are_held_back(run: MakeRun) -> None:
    going = run({"a": [ROLE, ROLE, ConnectionError("cut")], "b": HELLO})
    *chunks, last = await going.stream(into=[])
    assert chunks == HELLO, "chunks of the route that failed came through"
    assert [t.route.provider for t in last.tried] == ["a", "b"]
    assert going.closed == ["a", "b"]


async def test_a_stream_commits_at_its_first_output(run: MakeRun) -> None:
    error = ConnectionError("cut")
    going = run({"a": [ROLE, Chunk("Hel"), error], "b": HELLO})
    seen: list[Chunk] = []
    with pytest.raises(StreamInterrupted) as caught:
        await going.stream(into=seen)
    assert texts(seen) == caught.value.partial == "Hel"
    assert caught.value.__cause__ is error
    assert caught.value.route.provider == "a"
    assert (going.called, going.closed) == (["a"], ["a"])
    assert going.scrubbed == [("a", error)]


@pytest.mark.parametrize("chunks", [[], [ROLE], [ROLE, ROLE]])
async def test_a_stream_without_finish_and_output_fails_over(
    run: MakeRun, chunks: list[Chunk]
) -> None:
    *seen, last = await run({"a": chunks, "b": HELLO}).stream(into=[])
    assert texts(seen) == "Hello"
    assert [t.failure_class for t in last.tried] == ["invalid_response", None]


async def test_a_stream_without_finish_after_output_is_interrupted(run: MakeRun) -> None:
    going = run({"a": [ROLE, Chunk("Hel")], "b": HELLO})
    with pytest.raises(StreamInterrupted, match="without a finish reason") as caught:
        await going.stream(into=[])
    assert caught.value.partial == "Hel"
    assert isinstance(caught.value.__cause__, InvalidResponseError)
    assert going.called == ["a"]


async def test_a_finished_stream_without_output_is_an_empty_answer(run: MakeRun) -> None:
    *chunks, last = await run({"a": [ROLE, FINISH], "b": HELLO}).stream(into=[])
    assert chunks == [ROLE, FINISH]
    assert last.tried[0].outcome.first_output_ms is None
    assert len(last.tried) == 1


async def test_a_bug_in_a_stream_raises_as_it_is(run: MakeRun) -> None:
    going = run({"a": [ROLE, TypeError("a bug")], "b": HELLO})
    with pytest.raises(TypeError, match="a bug"):
        await going.stream(into=[])
    assert (going.called, going.closed) == (["a"], ["a"])


@pytest.mark.parametrize("read", [1, 2, 3])
async def test_a_consumer_that_stops_closes_the_stream_at_once(run: MakeRun, read: int) -> None:
    going = run({"a": HELLO, "b": HELLO})
    await going.stream(into=[], stop_after=read)
    assert (going.called, going.closed, going.scrubbed) == (["a"], ["a"], [])


@pytest.mark.parametrize("stop", [KeyboardInterrupt, asyncio.CancelledError, GeneratorExit])
@pytest.mark.parametrize("before", [[], [ROLE], [ROLE, Chunk("Hel")]])
async def test_stopping_the_program_closes_the_stream_and_propagates(
    run: MakeRun, stop: type[BaseException], before: list[Chunk]
) -> None:
    going = run({"a": [*before, stop()], "b": HELLO})
    with pytest.raises(stop):
        await going.stream(into=[])
    assert (going.called, going.closed, going.scrubbed) == (["a"], ["a"], [])


async def test_a_cancelled_task_closes_the_stream_it_waits_on() -> None:
    closed = asyncio.Event()

    async def forever(_: Attempt) -> AsyncGenerator[Chunk]:
        try:
            yield Chunk("Hel")
            await asyncio.sleep(60)
        finally:
            closed.set()

    going = Run({"a": [], "b": []}, is_async=True)
    seen: list[Chunk] = []
    reading = asyncio.Event()

    async def read() -> None:
        async for chunk in drivers.astream(going.engine, forever, ChunkInspector, going.scrub):
            seen.append(chunk)
            reading.set()

    task = asyncio.create_task(read())
    await reading.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert closed.is_set()
    assert texts(seen) == "Hel"


async def test_an_exception_thrown_in_by_the_consumer_is_no_failure_of_the_route() -> None:
    going = Run({"a": HELLO, "b": HELLO}, is_async=False)
    chunks = drivers.stream(going.engine, going.open_and_keep, ChunkInspector, going.scrub)
    next(chunks)
    with pytest.raises(ConnectionError, match="the consumer's"):
        chunks.throw(ConnectionError("the consumer's own"))
    assert (going.called, going.closed, going.scrubbed) == (["a"], ["a"], [])
