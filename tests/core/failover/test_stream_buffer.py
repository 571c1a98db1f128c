"""StreamBuffer: chunks are held back until the first output; time is an argument."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from factories import route
from inference_providers.errors import ContentFilteredError, InvalidResponseError
from inference_providers.failover.events import Attempt, Failure, Flaw, Success
from inference_providers.failover.stream_buffer import ChunkSignals, StreamBuffer
from inference_providers.settings import FailoverSettings
from inference_providers.wire.exchange import END_GRACE_S

if TYPE_CHECKING:
    from collections.abc import Sequence

    from inference_providers.failover.events import AttemptRecord

STARTED_AT = 100.0
SETTINGS = FailoverSettings(first_token_timeout_s=5.0, inter_chunk_timeout_s=3.0)
ROLE, FINISH = "", "."


class TextInspector:
    """Chunks are texts; one that ends with `.` has a finish reason."""

    def __init__(self, fault: Exception | None = None, flaw: Flaw | None = None) -> None:
        self._fault = fault
        self._flaw = flaw

    def inspect(self, chunk: str) -> ChunkSignals:
        return ChunkSignals(output=chunk not in {ROLE, FINISH}, finish=chunk.endswith(FINISH))

    def fault(self) -> Exception | None:
        return self._fault

    def flaw(self) -> Flaw | None:
        return self._flaw

    def join(self, chunks: Sequence[str]) -> str:
        return "".join(chunks)

    def final_chunk(self, attempts: tuple[AttemptRecord, ...]) -> str:
        return f"{len(attempts)} attempts"


def new_buffer(
    fault: Exception | None = None,
    flaw: Flaw | None = None,
    *,
    timeout_s: float = 10.0,
    remaining_s: float = 20.0,
) -> StreamBuffer[str]:
    attempt = Attempt(number=1, route=route("a"), timeout_s=timeout_s, remaining_s=remaining_s)
    return StreamBuffer(TextInspector(fault, flaw), attempt, SETTINGS, STARTED_AT)


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
    fault = InvalidResponseError("a tool call is cut")
    buffer = new_buffer(fault)
    buffer.add(FINISH, STARTED_AT)
    outcome, _ = buffer.end(STARTED_AT)
    assert isinstance(outcome, Failure)
    assert outcome.error is fault
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
    buffer.add("lo", STARTED_AT + 3.5)
    assert buffer.deadline == STARTED_AT + 6
    assert buffer.timeout_message() == "no further output within 3 s"


def test_deadline_after_output_is_moved_by_output_only() -> None:
    buffer = new_buffer()
    buffer.add("Hel", STARTED_AT)
    buffer.add(ROLE, STARTED_AT + 2.9)
    assert buffer.deadline == STARTED_AT + 3
    with pytest.raises(TimeoutError, match="no further output within 3 s"):
        buffer.add(ROLE, STARTED_AT + 3)


def test_deadline_after_the_finish_reason_is_a_grace() -> None:
    buffer = new_buffer()
    buffer.add("Hello", STARTED_AT)
    buffer.add(FINISH, STARTED_AT + 1)
    buffer.add(ROLE, STARTED_AT + 2)
    assert buffer.deadline == STARTED_AT + 1 + END_GRACE_S


def test_deadline_after_the_finish_reason_is_within_the_call() -> None:
    buffer = new_buffer(remaining_s=3.0)
    buffer.add("Hello.", STARTED_AT)
    assert buffer.deadline == STARTED_AT + 3


def test_fail_after_the_finish_reason_is_a_success() -> None:
    buffer = new_buffer()
    buffer.add("Hello", STARTED_AT)
    buffer.add(FINISH, STARTED_AT)
    buffer.add(ROLE, STARTED_AT)
    outcome, held_back = buffer.fail(ConnectionError("cut"), STARTED_AT)
    assert isinstance(outcome, Success)
    assert held_back == []


def test_fail_after_the_finish_reason_still_finds_a_fault() -> None:
    fault = ContentFilteredError("filtered")
    buffer = new_buffer(fault)
    buffer.add("Hello.", STARTED_AT)
    outcome, _ = buffer.fail(ConnectionError("cut"), STARTED_AT)
    assert isinstance(outcome, Failure)
    assert outcome.error is fault


def test_fail_in_output_after_a_finish_reason_is_a_failure() -> None:
    """Some gateways send a finish reason too early, or with each chunk."""
    buffer = new_buffer()
    buffer.add("Hel.", STARTED_AT)
    buffer.add("lo", STARTED_AT + 4)
    assert buffer.deadline == STARTED_AT + 7, "the grace ended an answer that went on"
    error = ConnectionError("cut")
    outcome, _ = buffer.fail(error, STARTED_AT + 5)
    assert isinstance(outcome, Failure)
    assert outcome.error is error
    success, _ = buffer.end(STARTED_AT + 5)
    assert isinstance(success, Success), "the provider ended it properly"


def test_end_with_a_flaw_is_a_success_that_is_held_back() -> None:
    buffer = new_buffer(flaw=Flaw.EMPTY_ANSWER)
    buffer.add(FINISH, STARTED_AT)
    success = Success(ms=0.0, at=STARTED_AT, flaw=Flaw.EMPTY_ANSWER)
    assert buffer.end(STARTED_AT) == (success, [FINISH])
    assert success.may_be_replaced


def test_end_with_a_flaw_after_output_cannot_be_replaced() -> None:
    buffer = new_buffer(flaw=Flaw.UNKNOWN_TOOL)
    buffer.add("Hello.", STARTED_AT)
    success, held_back = buffer.end(STARTED_AT)
    assert isinstance(success, Success)
    assert (success.flaw, success.may_be_replaced, held_back) == (Flaw.UNKNOWN_TOOL, False, [])
