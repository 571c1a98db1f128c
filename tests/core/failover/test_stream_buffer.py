"""StreamBuffer: chunks are held back until the first output; time is an argument."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from factories import route
from inference_providers.errors import InvalidResponseError
from inference_providers.failover.events import Attempt, Failure, Success
from inference_providers.failover.stream_buffer import ChunkSignals, StreamBuffer
from inference_providers.settings import FailoverSettings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from inference_providers.failover.events import AttemptRecord

STARTED_AT = 100.0
SETTINGS = FailoverSettings(first_token_timeout_s=5.0, inter_chunk_timeout_s=3.0)
ROLE, FINISH = "", "."


class TextInspector:
    """Chunks are texts; `.` is a finish reason."""

    def __init__(self, fault: str | None = None) -> None:
        self._fault = fault

    def inspect(self, chunk: str) -> ChunkSignals:
        return ChunkSignals(output=chunk not in {ROLE, FINISH}, finish=chunk == FINISH)

    def fault(self) -> str | None:
        return self._fault

    def join(self, chunks: Sequence[str]) -> str:
        return "".join(chunks)

    def final_chunk(self, attempts: tuple[AttemptRecord, ...]) -> str:
        return f"{len(attempts)} attempts"


def new_buffer(
    fault: str | None = None, *, timeout_s: float = 10.0, remaining_s: float = 20.0
) -> StreamBuffer[str]:
    attempt = Attempt(number=1, route=route("a"), timeout_s=timeout_s, remaining_s=remaining_s)
    return StreamBuffer(TextInspector(fault), attempt, SETTINGS, STARTED_AT)


def test_add_holds_chunks_back_until_the_first_output() -> None:
    buffer = new_buffer()
    assert buffer.add(ROLE, STARTED_AT + 1) == []
    assert buffer.add("Hel", STARTED_AT + 2) == [ROLE, "Hel"]
    assert buffer.add("lo", STARTED_AT + 3) == ["lo"]


def test_end_is_a_success_with_the_time_to_the_first_output() -> None:
    buffer = new_buffer()
    buffer.add("Hello", STARTED_AT + 0.25)
    buffer.add(FINISH, STARTED_AT + 0.5)
    success = Success(ms=750.0, at=STARTED_AT + 0.75, first_output_ms=250.0)
    assert buffer.end(STARTED_AT + 0.75) == (success, [])


def test_end_without_output_hands_on_the_held_chunks() -> None:
    buffer = new_buffer()
    buffer.add(ROLE, STARTED_AT)
    buffer.add(FINISH, STARTED_AT)
    outcome, held_back = buffer.end(STARTED_AT)
    assert isinstance(outcome, Success)
    assert outcome.first_output_ms is None
    assert held_back == [ROLE, FINISH]


def test_end_without_finish_reason_is_a_failure() -> None:
    buffer = new_buffer()
    buffer.add("Hel", STARTED_AT)
    outcome, held_back = buffer.end(STARTED_AT)
    assert isinstance(outcome, Failure)
    assert isinstance(outcome.error, InvalidResponseError)
    assert "without a finish reason" in str(outcome.error)
    assert (outcome.began, outcome.partial, held_back) == (True, "Hel", [])


def test_end_with_a_fault_of_the_inspector_is_a_failure() -> None:
    buffer = new_buffer("a tool call is cut")
    buffer.add(FINISH, STARTED_AT)
    outcome, _ = buffer.end(STARTED_AT)
    assert isinstance(outcome, Failure)
    assert str(outcome.error) == "a tool call is cut"
    assert (outcome.began, outcome.partial) == (False, None)


@pytest.mark.parametrize(("timeout_s", "due_in_s"), [(10.0, 5.0), (4.0, 4.0)])
def test_deadline_of_the_first_output_is_the_shorter_limit(
    timeout_s: float, due_in_s: float
) -> None:
    buffer = new_buffer(timeout_s=timeout_s)
    assert buffer.deadline == STARTED_AT + due_in_s
    assert buffer.timeout_message() == f"no output within {due_in_s:g} s"


def test_deadline_is_not_moved_by_chunks_without_output() -> None:
    buffer = new_buffer()
    buffer.add(ROLE, STARTED_AT + 4.9)
    assert buffer.deadline == STARTED_AT + 5.0
    with pytest.raises(TimeoutError, match="no output within 5 s"):
        buffer.add(ROLE, STARTED_AT + 5.0)


def test_deadline_after_output_is_per_chunk_and_within_the_call() -> None:
    buffer = new_buffer(remaining_s=6.0)
    buffer.add("Hel", STARTED_AT + 1)
    assert buffer.deadline == STARTED_AT + 4
    buffer.add(ROLE, STARTED_AT + 2)
    assert buffer.deadline == STARTED_AT + 5
    buffer.add("lo", STARTED_AT + 4)
    assert buffer.deadline == STARTED_AT + 6
    assert buffer.timeout_message() == "no further output within 3 s"
