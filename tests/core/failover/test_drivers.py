"""The four drivers run one engine: same routes, same commitments, nothing swallowed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Generator, Sequence
from typing import Any, NamedTuple

import pytest

import factories
from inference_providers.credentials import Key
from inference_providers.errors import AllRoutesFailed, InvalidResponseError, StreamInterrupted
from inference_providers.failover import drivers
from inference_providers.failover.engine import failover
from inference_providers.failover.events import (
    Attempt,
    AttemptRecord,
    Flaw,
    Success,
    answering_record,
)
from inference_providers.failover.stream_buffer import ChunkSignals
from inference_providers.settings import FailoverSettings
from inference_providers.wire.exchange import current_exchange

KEY_VALUE = "sk-0123456789abcdef"


class Chunk(NamedTuple):
    """One chunk of a stream; the last one has a `flaw`, or an empty answer that is `at_limit`."""

    text: str = ""
    finish: bool = False
    attempts: tuple[AttemptRecord, ...] = ()
    flaw: Flaw | None = None
    at_limit: bool = False


ROLE, FINISH, LIMIT = Chunk(), Chunk(finish=True), Chunk(finish=True, at_limit=True)
HELLO = [ROLE, Chunk("Hel"), Chunk(""), Chunk("lo"), FINISH]


class TextInspector:
    def __init__(self, attempt: Attempt) -> None:
        self.attempt = attempt
        self._flaw: Flaw | None = Flaw.EMPTY_ANSWER

    def inspect(self, chunk: Chunk) -> ChunkSignals:
        self._flaw = chunk.flaw if chunk.flaw or chunk.text or chunk.at_limit else self._flaw
        return ChunkSignals(output=bool(chunk.text), finish=chunk.finish)

    def fault(self) -> Exception | None:
        return None

    def flaw(self) -> Flaw | None:
        return self._flaw

    def join(self, chunks: Sequence[Chunk]) -> str:
        return "".join(chunk.text for chunk in chunks)

    def final_chunk(self, attempts: tuple[AttemptRecord, ...]) -> Chunk:
        return Chunk(attempts=attempts)


Script = dict[str, Any]
"""Provider → an answer or chunks; an exception (also among chunks) is raised.

The answer `""` is empty, and a tuple is an answer with its flaw.
"""


def judge(_: Attempt, answer: Any) -> Flaw | None:
    if isinstance(answer, tuple):
        return answer[1]
    return None if answer else Flaw.EMPTY_ANSWER


class ScriptedRun:
    """Runs a script through a driver; sync and async look the same from outside."""

    def __init__(self, script: Script, *, is_async: bool) -> None:
        self.script = script
        self.is_async = is_async
        self.called: list[str] = []
        self.closed: list[str] = []
        self.opened: list[Generator[Chunk]] = []  # kept alive, or it would be closed
        plan = factories.plan(*map(factories.route, script))
        settings = FailoverSettings(max_attempts=9, retry_budget=0)
        self.engine = failover(plan, settings=settings, now=time.monotonic())

    def record(self, attempt: Attempt) -> None:
        self.called.append(attempt.route.provider)
        exchange = current_exchange()
        assert exchange is not None
        exchange.record_key(Key("A_KEY", KEY_VALUE, ()))

    def send(self, attempt: Attempt) -> Any:
        self.record(attempt)
        reply = self.script[attempt.route.provider]
        if isinstance(reply, BaseException):
            raise reply
        return reply

    async def asend(self, attempt: Attempt) -> Any:
        await asyncio.sleep(0)
        return self.send(attempt)

    def open(self, attempt: Attempt) -> Generator[Chunk]:
        self.record(attempt)
        try:
            for reply in self.script[attempt.route.provider]:
                if isinstance(reply, BaseException):
                    raise reply
                yield reply
        finally:
            self.closed.append(attempt.route.provider)

    def open_kept(self, attempt: Attempt) -> Generator[Chunk]:
        self.opened.append(self.open(attempt))
        return self.opened[-1]

    async def aopen(self, attempt: Attempt) -> AsyncGenerator[Chunk]:
        self.record(attempt)
        try:
            for reply in self.script[attempt.route.provider]:
                await asyncio.sleep(0)
                if isinstance(reply, BaseException):
                    raise reply
                yield reply
        finally:
            await asyncio.sleep(0)
            self.closed.append(attempt.route.provider)

    async def call(self) -> tuple[Any, tuple[AttemptRecord, ...]]:
        if self.is_async:
            return await drivers.acall(self.engine, self.asend, judge)
        return drivers.call(self.engine, self.send, judge)

    async def stream(self, *, into: list[Chunk], stop_after: int | None = None) -> list[Chunk]:
        """Read the stream into `into`; stop after `stop_after` chunks."""
        if self.is_async:
            chunks = drivers.astream(self.engine, self.aopen, TextInspector)
            while len(into) != stop_after:
                if (chunk := await anext(chunks, None)) is None:
                    return into
                into.append(chunk)
            await chunks.aclose()
        else:
            plain = drivers.stream(self.engine, self.open_kept, TextInspector)
            while len(into) != stop_after:
                if (chunk := next(plain, None)) is None:
                    return into
                into.append(chunk)
            plain.close()
        return into


MakeRun = Callable[[Script], ScriptedRun]


@pytest.fixture(params=[False, True], ids=["sync", "async"])
def run(request: pytest.FixtureRequest) -> MakeRun:
    return lambda script: ScriptedRun(script, is_async=request.param)


def texts(chunks: Sequence[Chunk]) -> str:
    return "".join(chunk.text for chunk in chunks)


# Calls


async def test_call_returns_the_answer_and_all_attempts(run: MakeRun) -> None:
    scripted = run({"a": ConnectionError("no"), "b": "answer", "c": "unused"})
    answer, attempts = await scripted.call()
    assert answer == "answer"
    assert scripted.called == ["a", "b"]
    assert [(a.route.provider, a.failure_class) for a in attempts] == [
        ("a", "overloaded"),
        ("b", None),
    ]
    assert all(a.outcome.ms >= 0 for a in attempts)


async def test_call_scrubs_the_keys_it_sent_from_every_error(run: MakeRun) -> None:
    error, bug = ConnectionError(f"no {KEY_VALUE}"), TypeError(f"bug {KEY_VALUE}")
    with pytest.raises(TypeError, match=r"bug \[A_KEY\]"):
        await run({"a": error, "b": bug}).call()
    assert str(error) == "no [A_KEY]"


async def test_stream_scrubs_the_keys_it_sent_from_every_error(run: MakeRun) -> None:
    first, cut = ConnectionError(f"no {KEY_VALUE}"), ConnectionError(f"cut {KEY_VALUE}")
    scripted = run({"a": [ROLE, first], "b": [Chunk("Hel"), cut]})
    with pytest.raises(StreamInterrupted, match=r"cut \[A_KEY\]"):
        await scripted.stream(into=[])
    assert (str(first), str(cut)) == ("no [A_KEY]", "cut [A_KEY]")


async def test_call_raises_a_bug_unchanged_and_tries_no_other_route(run: MakeRun) -> None:
    bug = TypeError("a bug of ours")
    scripted = run({"a": bug, "b": "unused"})
    with pytest.raises(TypeError) as caught:
        await scripted.call()
    assert caught.value is bug
    assert scripted.called == ["a"]


async def test_call_raises_from_the_last_error_when_all_fail(run: MakeRun) -> None:
    last = ConnectionError("last")
    with pytest.raises(AllRoutesFailed) as caught:
        await run({"a": ConnectionError("first"), "b": last}).call()
    assert caught.value.__cause__ is last


async def test_call_with_an_empty_answer_moves_on(run: MakeRun) -> None:
    answer, attempts = await run({"a": "", "b": "answer"}).call()
    assert answer == "answer"
    assert list(map(str, attempts)) == ["a/m: answered (empty_answer)", "b/m: answered"]


@pytest.mark.parametrize("then", ["", ConnectionError("no"), TypeError("a bug")], ids=repr)
async def test_call_keeps_a_flawed_answer_if_none_is_better(run: MakeRun, then: Any) -> None:
    flawed = ("half a call", Flaw.MALFORMED_TOOL_CALL)
    answer, attempts = await run({"a": flawed, "b": then}).call()
    assert answer == flawed
    assert answering_record(attempts).route.provider == "a"


async def test_call_prefers_any_answer_to_an_empty_one(run: MakeRun) -> None:
    flawed = ("half a call", Flaw.MALFORMED_TOOL_CALL)
    answer, attempts = await run({"a": "", "b": flawed, "c": ""}).call()
    assert answer == flawed
    assert answering_record(attempts).route.provider == "b"


@pytest.mark.parametrize("stop", [KeyboardInterrupt, SystemExit, asyncio.CancelledError])
async def test_call_lets_ctrl_c_and_cancellation_through(
    run: MakeRun, stop: type[BaseException]
) -> None:
    scripted = run({"a": stop(), "b": "unused"})
    with pytest.raises(stop):
        await scripted.call()
    assert scripted.called == ["a"]


# Streams


async def test_stream_yields_every_chunk_and_the_final_chunk(run: MakeRun) -> None:
    scripted = run({"a": HELLO, "b": HELLO})
    *chunks, last = await scripted.stream(into=[])
    assert chunks == HELLO
    assert [a.route.provider for a in last.attempts] == ["a"]
    outcome = last.attempts[0].outcome
    assert isinstance(outcome, Success)
    assert 0 <= outcome.first_output_ms <= outcome.ms
    assert (scripted.called, scripted.closed) == (["a"], ["a"])


async def test_stream_holds_back_chunks_before_the_first_output(run: MakeRun) -> None:
    scripted = run({"a": [ROLE, ROLE, ConnectionError("cut")], "b": HELLO})
    *chunks, last = await scripted.stream(into=[])
    assert chunks == HELLO, "chunks of the failed route came through"
    assert [a.route.provider for a in last.attempts] == ["a", "b"]
    assert scripted.closed == ["a", "b"]


async def test_stream_commits_at_its_first_output(run: MakeRun) -> None:
    error = ConnectionError("cut")
    scripted = run({"a": [ROLE, Chunk("Hel"), error], "b": HELLO})
    seen: list[Chunk] = []
    with pytest.raises(StreamInterrupted) as caught:
        await scripted.stream(into=seen)
    assert texts(seen) == caught.value.partial == "Hel"
    assert caught.value.__cause__ is error
    assert caught.value.route.provider == "a"
    assert (scripted.called, scripted.closed) == (["a"], ["a"])


@pytest.mark.parametrize("chunks", [[], [ROLE], [ROLE, ROLE]])
async def test_stream_without_output_and_finish_reason_fails_over(
    run: MakeRun, chunks: list[Chunk]
) -> None:
    *seen, last = await run({"a": chunks, "b": HELLO}).stream(into=[])
    assert texts(seen) == "Hello"
    assert [a.failure_class for a in last.attempts] == ["invalid_response", None]


async def test_stream_without_finish_reason_after_output_is_broken(run: MakeRun) -> None:
    scripted = run({"a": [ROLE, Chunk("Hel")], "b": HELLO})
    with pytest.raises(StreamInterrupted, match="without a finish reason") as caught:
        await scripted.stream(into=[])
    assert caught.value.partial == "Hel"
    assert isinstance(caught.value.__cause__, InvalidResponseError)
    assert scripted.called == ["a"]


async def test_stream_without_output_at_a_limit_is_an_answer(run: MakeRun) -> None:
    *chunks, last = await run({"a": [ROLE, LIMIT], "b": HELLO}).stream(into=[])
    assert chunks == [ROLE, LIMIT]
    assert last.attempts[0].outcome.first_output_ms is None
    assert len(last.attempts) == 1


async def test_stream_with_an_empty_answer_moves_on(run: MakeRun) -> None:
    scripted = run({"a": [ROLE, FINISH], "b": HELLO})
    *chunks, last = await scripted.stream(into=[])
    assert chunks == HELLO, "chunks of the empty answer came through"
    assert list(map(str, last.attempts)) == ["a/m: answered (empty_answer)", "b/m: answered"]
    assert scripted.closed == ["a", "b"]


@pytest.mark.parametrize("then", [[ROLE, ConnectionError("cut")], [], [TypeError("bug")], [FINISH]])
async def test_stream_keeps_an_empty_answer_if_none_is_better(
    run: MakeRun, then: list[Any]
) -> None:
    scripted = run({"a": [ROLE, FINISH], "b": then})
    *chunks, last = await scripted.stream(into=[])
    assert chunks == [ROLE, FINISH]
    assert answering_record(last.attempts).route.provider == "a"
    assert scripted.closed == ["a", "b"]


async def test_stream_that_breaks_after_an_empty_answer_is_broken(run: MakeRun) -> None:
    scripted = run({"a": [ROLE, FINISH], "b": [Chunk("Hel"), ConnectionError("cut")]})
    with pytest.raises(StreamInterrupted) as caught:
        await scripted.stream(into=[])
    assert caught.value.route.provider == "b"


async def test_stream_with_a_flaw_after_output_is_handed_out(run: MakeRun) -> None:
    flawed = [Chunk("call"), Chunk(finish=True, flaw=Flaw.MALFORMED_TOOL_CALL)]
    scripted = run({"a": flawed, "b": HELLO})
    *chunks, last = await scripted.stream(into=[])
    assert chunks == flawed
    assert [a.outcome.flaw for a in last.attempts] == [Flaw.MALFORMED_TOOL_CALL]
    assert scripted.called == ["a"]


async def test_stream_that_is_cut_after_its_finish_reason_is_whole(run: MakeRun) -> None:
    scripted = run({"a": [*HELLO, ConnectionError("cut")], "b": HELLO})
    *chunks, last = await scripted.stream(into=[])
    assert chunks == HELLO
    assert isinstance(last.attempts[0].outcome, Success)


async def test_stream_raises_a_bug_unchanged(run: MakeRun) -> None:
    scripted = run({"a": [ROLE, TypeError("a bug")], "b": HELLO})
    with pytest.raises(TypeError, match="a bug"):
        await scripted.stream(into=[])
    assert (scripted.called, scripted.closed) == (["a"], ["a"])


@pytest.mark.parametrize("read", [1, 2, 3])
async def test_stream_is_closed_when_the_consumer_stops(run: MakeRun, read: int) -> None:
    scripted = run({"a": HELLO, "b": HELLO})
    await scripted.stream(into=[], stop_after=read)
    assert (scripted.called, scripted.closed) == (["a"], ["a"])


@pytest.mark.parametrize("stop", [KeyboardInterrupt, asyncio.CancelledError, GeneratorExit])
@pytest.mark.parametrize("before", [[], [ROLE], [ROLE, Chunk("Hel")]])
async def test_stream_is_closed_by_ctrl_c_and_cancellation(
    run: MakeRun, stop: type[BaseException], before: list[Chunk]
) -> None:
    scripted = run({"a": [*before, stop()], "b": HELLO})
    with pytest.raises(stop):
        await scripted.stream(into=[])
    assert (scripted.called, scripted.closed) == (["a"], ["a"])


async def test_astream_is_closed_when_its_task_is_cancelled() -> None:
    closed = asyncio.Event()

    async def forever(_: Attempt) -> AsyncGenerator[Chunk]:
        try:
            yield Chunk("Hel")
            await asyncio.sleep(60)
        finally:
            closed.set()

    scripted = ScriptedRun({"a": [], "b": []}, is_async=True)
    seen: list[Chunk] = []
    reading = asyncio.Event()

    async def read() -> None:
        async for chunk in drivers.astream(scripted.engine, forever, TextInspector):
            seen.append(chunk)
            reading.set()

    task = asyncio.create_task(read())
    await reading.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert closed.is_set()
    assert texts(seen) == "Hel"


async def test_stream_error_thrown_by_the_consumer_is_not_a_failure() -> None:
    scripted = ScriptedRun({"a": HELLO, "b": HELLO}, is_async=False)
    chunks = drivers.stream(scripted.engine, scripted.open_kept, TextInspector)
    next(chunks)
    with pytest.raises(ConnectionError, match="the consumer's"):
        chunks.throw(ConnectionError("the consumer's own"))
    assert (scripted.called, scripted.closed) == (["a"], ["a"])
