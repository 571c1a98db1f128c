"""What real providers send, in all four modes: beside a healthy provider, and alone.

The first provider sends what a case says, byte by byte; the second one is healthy.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from faults.cases import ends, framing, messages, tools
from faults.cases.case import (
    Answers,
    Case,
    Filtered,
    Flawed,
    HandedOut,
    Interrupted,
    MovesOn,
)
from inference_providers import AllRoutesFailed, StreamInterrupted
from inference_providers.errors import ContentFilteredError

if TYPE_CHECKING:
    from collections.abc import Callable

    from factories import Pair
    from faults.cases.case import Expected
    from raw_server import RawServer

pytestmark = pytest.mark.usefixtures("_no_backoff", "_short_grace")

CASES = [*framing.CASES, *messages.CASES, *ends.CASES, *tools.CASES]
FROM_SECOND = "from second"


def attempts_of(answer: Any) -> list[tuple[str, str, str | None]]:
    attempts = answer.response_metadata["autoprovider"]["attempts"]
    return [(a["provider"], a["outcome"], a["class"]) for a in attempts]


def check_answer(answer: Any, expected: Answers) -> None:
    """Check the provider's own answer."""
    assert answer.text == expected.text
    assert [(c["name"], c["args"]) for c in answer.tool_calls] == [*expected.calls]
    assert [(c["name"], c["args"]) for c in answer.invalid_tool_calls] == [*expected.invalid]
    assert (answer.additional_kwargs.get("reasoning_content") or "") == expected.reasoning
    assert (answer.additional_kwargs.get("refusal") or "") == expected.refusal
    usage = answer.usage_metadata
    assert (usage and (usage["input_tokens"], usage["output_tokens"])) == expected.usage
    assert type(answer).__name__ in {"AIMessage", "AIMessageChunk"}


def check_trace(answer: Any, expected: Expected) -> None:
    """Check the attempts of an answer of the second provider."""
    first, second = attempts_of(answer)
    assert answer.text == FROM_SECOND
    assert second == ("second", "success", None)
    if isinstance(expected, MovesOn):
        assert first[:2] == ("first", "failure")
        assert expected.failure_class in {None, first[2]}
        status = answer.response_metadata["autoprovider"]["attempts"][0]["status"]
        assert expected.status in {None, status}
    else:
        assert first == ("first", "flawed", None)


async def check_failure(call: Callable[[], Any], expected: Expected) -> bool:
    """Check the exception of a call that must raise; whether it was such a case."""
    if isinstance(expected, Interrupted):
        with pytest.raises(StreamInterrupted, match=expected.message or None) as broken:
            await call()
        assert broken.value.partial.text == expected.partial
        assert broken.value.partial.tool_calls == []
        assert f": {expected.failure_class}" in str(broken.value)
    elif isinstance(expected, Filtered):
        with pytest.raises(ContentFilteredError) as filtered:
            await call()
        assert filtered.value.partial == expected.partial
    else:
        return False
    return True


def prepare(faulty: RawServer, case: Case, mode: str) -> Expected:
    """Let `faulty` send what the case says in this mode; return what is expected."""
    streams = mode.endswith("stream")
    response = case.streamed if streams else case.whole
    if response is None:
        pytest.skip("only for the other kind of requests")
    faulty.answer = lambda _: response
    return case.expected_stream if streams else case.expected


def modes(cases: list[Case]) -> list[Any]:
    """Return each case with each mode that it has a response for."""
    kinds = {"whole": ("invoke", "ainvoke"), "streamed": ("stream", "astream")}
    return [
        pytest.param(case, mode, id=f"{case.name}-{mode}")
        for case in cases
        for kind, names in kinds.items()
        if getattr(case, kind) is not None
        for mode in names
    ]


@pytest.mark.parametrize(("case", "mode"), modes(CASES), indirect=["mode"])
async def test_answer_beside_a_healthy_provider(
    faulty_pair: Pair, faulty: RawServer, ask: Callable[..., Any], mode: str, case: Case
) -> None:
    expected = prepare(faulty, case, mode)
    model = faulty_pair.model()
    if await check_failure(lambda: ask(model, "Hi"), expected):
        assert not faulty_pair.second.requests
        return
    answer = await ask(model, "Hi")
    if isinstance(expected, Answers | HandedOut):
        is_flawed = isinstance(expected, HandedOut)
        check_answer(answer, expected.answer if is_flawed else expected)
        assert attempts_of(answer) == [("first", "flawed" if is_flawed else "success", None)]
    else:
        check_trace(answer, expected)
    assert len(faulty.requests) == 1


@pytest.mark.parametrize(("case", "mode"), modes(CASES), indirect=["mode"])
async def test_answer_of_the_only_provider(
    faulty_pair: Pair, faulty: RawServer, ask: Callable[..., Any], mode: str, case: Case
) -> None:
    expected = prepare(faulty, case, mode)
    model = faulty_pair.model(only="first", max_retries=0)  # else it waits out a rate limit
    if await check_failure(lambda: ask(model, "Hi"), expected):
        return
    if isinstance(expected, MovesOn):
        with pytest.raises(AllRoutesFailed) as failed:
            await ask(model, "Hi")
        classes = {a.failure_class for a in failed.value.attempts}
        assert expected.failure_class is None or classes == {expected.failure_class}
        assert re.search(expected.message, str(failed.value.__cause__))
        return
    answer = await ask(model, "Hi")
    assert isinstance(expected, Answers | Flawed | HandedOut)
    check_answer(answer, expected if isinstance(expected, Answers) else expected.answer)
