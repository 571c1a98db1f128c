"""Every fault in all four modes: the answer, the trace, the cooldown; nothing cut passes as whole.

The first provider plays the fault and the second answers. The expectations are the documented
rules of failover, not what the code does.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import openai
import pytest

from inference_providers import AllRoutesFailed, StreamInterrupted, health
from inference_providers.testing import Reply

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from factories import Pair

pytestmark = pytest.mark.usefixtures("_long_cooldowns")

SHORT_S = 3.0
"""Timeout of a whole call: the first provider may use half of it, the second the rest."""
BOTH_SHORT = {"first_token_timeout": SHORT_S / 2, "inter_chunk_timeout": SHORT_S / 2}


class Expected(NamedTuple):
    """What a call must lead to.

    Attributes:
        failure: Class and status of the first provider's failure; `None` if it answers.
        cooldown: The scope of the cooldown that the failure starts, if any.
        raises: The exception that is raised, if the second provider does not answer.
    """

    failure: tuple[str, int | None] | None
    cooldown: str | None = None
    raises: type[Exception] | None = None


class Case(NamedTuple):
    """A fault, as a whole answer and as a stream. `None` for a reply is a server that is down."""

    name: str
    whole: Reply | None
    streamed: Reply | None
    expected_whole: Expected
    expected_stream: Expected
    limits: Mapping[str, float] = {}


ANSWERS = Expected(None)
UNREACHED = Expected(("overloaded", None), "host")
INVALID = Expected(("invalid_response", None), "model")
SILENT = Expected(("overloaded", None), "model")


def overloaded(status: int | None) -> Expected:
    return Expected(("overloaded", status), "model")


def rejected(failure_class: str, status: int) -> Expected:
    return Expected((failure_class, status), raises=openai.BadRequestError)


def interrupted(expected: Expected) -> Expected:
    return expected._replace(raises=StreamInterrupted)


def case(
    name: str,
    reply: Reply | None,
    expected: Expected,
    *,
    streamed: Reply | None = None,
    expected_stream: Expected | None = None,
    **limits: float,
) -> Case:
    return Case(name, reply, streamed or reply, expected, expected_stream or expected, limits)


def error(message: str, code: Any = None, kind: str = "invalid_request_error") -> dict[str, Any]:
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


def json_text(text: str) -> Reply:
    return Reply(body=text, headers={"content-type": "application/json"})


LONG = "one two three four five six"
TEXT_BEFORE_CUT = "one two"
UPSTREAM = error("Provider returned error", 502)
ERROR_EVENT = (
    'event: error\ndata: {"error": {"message": "Overloaded", "type": "overloaded_error"}}\n\n'
)
NULL_CHOICES = {"id": "x", "object": "chat.completion.chunk", "model": "m", "choices": None}
CUT = {"cut_after": 3}
"""Cuts a stream after the role and two words."""

STATUSES = [
    case("500", Reply(status=500), overloaded(500)),
    case("502 page", Reply(status=502, body="<html>Bad Gateway</html>"), overloaded(502)),
    case("503 retry-after", Reply(status=503, headers={"retry-after": "7"}), overloaded(503)),
    case(
        "529", Reply(status=529, body=error("Overloaded", kind="overloaded_error")), overloaded(529)
    ),
    case("599 unknown", Reply(status=599, body="?"), overloaded(599)),
    case("408", Reply(status=408), overloaded(408)),
    case("429", Reply(status=429), Expected(("rate_limited", 429), "route")),
    case(
        "429 retry-after",
        Reply(status=429, headers={"retry-after": "30"}),
        Expected(("rate_limited", 429), "route"),
    ),
    case(
        "429 credit used up",
        Reply(
            status=429,
            body=error(
                "You exceeded your current quota", "insufficient_quota", "insufficient_quota"
            ),
        ),
        Expected(("quota_exceeded", 429), "key"),
    ),
    case(
        "429 request too large",
        Reply(
            status=429,
            body=error(
                "Request too large for gpt-4o (TPM): Limit 30000, Requested 40000.", "tokens"
            ),
        ),
        Expected(("request_too_large", 429)),
    ),
    case(
        "402",
        Reply(status=402, body=error("Insufficient Balance")),
        Expected(("quota_exceeded", 402), "key"),
    ),
    case("401", Reply(status=401), Expected(("auth_failed", 401), "key")),
    case("403", Reply(status=403), Expected(("auth_failed", 403), "key")),
    case(
        "400 wrong key",
        Reply(
            status=400,
            body={"code": "invalid-argument", "error": "Incorrect API key provided: xa***."},
        ),
        Expected(("auth_failed", 400), "key"),
    ),
    case("404", Reply(status=404), Expected(("model_not_found", 404), "route")),
    case(
        "400",
        Reply(status=400, body=error("messages: must not be empty")),
        rejected("bad_request", 400),
    ),
    case("400 teapot", Reply(status=400, body="?"), rejected("bad_request", 400)),
    case(
        "400 prompt too long",
        Reply(
            status=400,
            body=error("maximum context length is 4097 tokens", "context_length_exceeded"),
        ),
        rejected("context_overflow", 400),
    ),
    case(
        "400 content filter",
        Reply(status=400, body=error("The response was filtered", "content_filter")),
        rejected("content_filtered", 400),
    ),
    case(
        "307 to another host",
        Reply(status=307, headers={"location": "http://127.0.0.1:9/v1"}),
        Expected(("invalid_response", 307), "model"),
    ),
]

CONNECTIONS = [
    case("refused port", None, UNREACHED),
    case("reset at once", Reply(fault="reset"), UNREACHED),
    case("closed at once", Reply(fault="close"), UNREACHED),
    case("endless headers", Reply(fault="endless_headers"), UNREACHED),
    case("hang", Reply(fault="hang"), SILENT, timeout=SHORT_S),
    case("slow first byte", Reply(delay_s=60), SILENT, timeout=SHORT_S),
    case(
        "endless keep-alive",
        Reply(keep_alive_s=math.inf),
        SILENT,
        timeout=SHORT_S,
    ),
    case(
        "endless body",
        Reply(fault="endless_body"),
        SILENT,
        timeout=SHORT_S,
    ),
    case("late but in time", Reply("from first", delay_s=0.1), ANSWERS),
    case("keep-alive for a while", Reply("from first", keep_alive_s=0.1), ANSWERS),
    case("slow chunks", Reply("from first", chunk_delay_s=0.05), ANSWERS),
]

INVALID_BODIES = [
    case("page", Reply(body="<html>Sign in</html>"), INVALID),
    case("invalid JSON", json_text('{"id": "x", "choi'), INVALID),
    case("JSON that is a word", json_text('"maintenance"'), INVALID),
    case("empty JSON", json_text(""), INVALID),
    case("empty body", Reply(body=""), INVALID),
    case("bytes", Reply(body=b"\xff\xfe\x00\x80" * 9), INVALID),
    case(
        "bytes said to be JSON",
        Reply(body=b"\xff\xfe\x00\x80" * 9, headers={"content-type": "application/json"}),
        INVALID,
    ),
    case("error in a 200", Reply(body=UPSTREAM), overloaded(502)),
    case(
        "null choices", Reply(body={**NULL_CHOICES}), INVALID,
        streamed=Reply(cut_after=1, at_cut=NULL_CHOICES),
    ),
    case(
        "no choices", Reply(body={**NULL_CHOICES, "choices": []}), INVALID,
        streamed=Reply(cut_after=0, at_cut={**NULL_CHOICES, "choices": []}),
    ),
]  # fmt: skip

STREAMS_WITHOUT_OUTPUT = [
    ("only [DONE]", Reply(cut_after=0, at_cut="data: [DONE]\n\n"), INVALID),
    ("nothing", Reply(cut_after=0), INVALID),
    ("only the role", Reply(cut_after=1), INVALID),
    ("only comments", Reply(keep_alive_s=0.1, cut_after=0), INVALID),
    ("error first", Reply(cut_after=1, at_cut=UPSTREAM), overloaded(502)),
    ("error event first", Reply(cut_after=1, at_cut=ERROR_EVENT), overloaded(200)),
    ("invalid JSON first", Reply(cut_after=1, at_cut='data: {"id": "x", "cho\n\n'), INVALID),
    ("bytes first", Reply(cut_after=1, at_cut=b"data: \xff\xfe\x00\n\n"), INVALID),
    ("reset first", Reply(cut_after=1, fault="reset"), UNREACHED),
    ("broken off first", Reply(cut_after=1, fault="close"), UNREACHED),
    ("stall first", Reply(cut_after=1, fault="hang"), SILENT),
]

STREAMS_CUT = [
    ("ends early", Reply(LONG, **CUT), INVALID),
    ("no finish reason", Reply(TEXT_BEFORE_CUT, finish_reason=None), INVALID),
    ("[DONE] early", Reply(LONG, **CUT, at_cut="data: [DONE]\n\n"), INVALID),
    ("error", Reply(LONG, **CUT, at_cut=UPSTREAM), overloaded(502)),
    ("error event", Reply(LONG, **CUT, at_cut=ERROR_EVENT), overloaded(None)),
    ("invalid JSON", Reply(LONG, **CUT, at_cut='data: {"id": "x", "cho\n\n'), INVALID),
    ("bytes", Reply(LONG, **CUT, at_cut=b"data: \xff\xfe\x00\n\n"), INVALID),
    ("null choices", Reply(LONG, **CUT, at_cut=NULL_CHOICES), INVALID),
    ("reset", Reply(LONG, **CUT, fault="reset"), UNREACHED),
    ("broken off", Reply(LONG, **CUT, fault="close"), UNREACHED),
    ("stall", Reply(LONG, **CUT, fault="hang"), SILENT),
    ("endless body after output", Reply(LONG, **CUT, fault="endless_body"), SILENT),
]

BODIES_CUT = [
    ("reset", Reply(LONG, **CUT, fault="reset"), UNREACHED, {}),
    ("broken off", Reply(LONG, **CUT, fault="close"), UNREACHED, {}),
    ("stall", Reply(LONG, **CUT, fault="hang"), SILENT, {"timeout": SHORT_S}),
]


def case_ids(cases: list[Any]) -> list[str]:
    return [case[0] for case in cases]


async def check(
    pair: Pair, ask: Callable[..., Any], reply: Reply | None, expected: Expected, **limits: float
) -> None:
    """Make two calls: one meets the fault, the next one must respect the cooldown."""
    if reply is None:
        pair.take_first_down()
    else:
        pair.plays(reply)
    model = pair.model(**{"timeout": 30.0, **limits})
    if expected.raises:
        with pytest.raises(expected.raises) as caught:
            await ask(model, "Hi")
        if isinstance(caught.value, AllRoutesFailed):
            (attempt,) = caught.value.attempts
            assert (attempt.failure_class, attempt.status) == expected.failure
        if isinstance(caught.value, StreamInterrupted):
            assert caught.value.partial.text == TEXT_BEFORE_CUT
            assert caught.value.route.provider == "first"
            assert f"first/m-1: {expected.failure[0]}" in str(caught.value)
        assert not pair.second.requests
    else:
        answer = await ask(model, "Hi")
        assert answer.text == ("from second" if expected.failure else "from first")
        assert attempts_of(answer) == expected_attempts(expected)
    assert len(pair.first.requests) == (reply is not None), "an SDK retried by itself"
    assert [row[0].lower() for row in health().rows] == (
        [expected.cooldown] if expected.cooldown else []
    )
    await check_next_call(pair, ask, model, expected)


async def check_next_call(
    pair: Pair, ask: Callable[..., Any], model: Any, expected: Expected
) -> None:
    requests_before = len(pair.first.requests)
    pair.plays(Reply("recovered"))
    again = await ask(model, "Hi")
    if expected.cooldown:
        assert again.text == "from second"
        assert len(pair.first.requests) == requests_before
        assert attempts_of(again) == [("second", "success", None, None)]
        words = "key was refused" if expected.failure[0] == "auth_failed" else "cooling down"
        (skip,) = [s for s in trace_of(again)["skipped"] if s["provider"] == "first"]
        assert words in skip["reason"]
    else:
        assert again.text == "recovered"


def trace_of(answer: Any) -> dict[str, Any]:
    return answer.response_metadata["autoprovider"]


def attempts_of(answer: Any) -> list[tuple[str, str, str | None, int | None]]:
    attempts = trace_of(answer)["attempts"]
    return [(a["provider"], a["outcome"], a["class"], a["status"]) for a in attempts]


def expected_attempts(expected: Expected) -> list[tuple[str, str, str | None, int | None]]:
    if expected.failure is None:
        return [("first", "success", None, None)]
    return [("first", "failure", *expected.failure), ("second", "success", None, None)]


CASES = [*STATUSES, *CONNECTIONS, *INVALID_BODIES]


@pytest.mark.parametrize("fault", CASES, ids=case_ids(CASES))
async def test_fault_before_any_output(
    pair: Pair, ask: Callable[..., Any], mode: str, fault: Case
) -> None:
    if mode.endswith("stream"):
        limits = BOTH_SHORT if fault.limits else {}
        await check(pair, ask, fault.streamed, fault.expected_stream, **limits)
    else:
        await check(pair, ask, fault.whole, fault.expected_whole, **fault.limits)


@pytest.mark.parametrize("mode", ["stream", "astream"], indirect=True)
@pytest.mark.parametrize("fault", STREAMS_WITHOUT_OUTPUT, ids=case_ids(STREAMS_WITHOUT_OUTPUT))
async def test_fault_in_a_stream_without_output(
    pair: Pair, ask: Callable[..., Any], fault: tuple[str, Reply, Expected]
) -> None:
    _, reply, expected = fault
    await check(pair, ask, reply, expected, **(BOTH_SHORT if reply.fault == "hang" else {}))


@pytest.mark.parametrize("mode", ["stream", "astream"], indirect=True)
@pytest.mark.parametrize("fault", STREAMS_CUT, ids=case_ids(STREAMS_CUT))
async def test_fault_in_a_stream_after_output_interrupts_it(
    pair: Pair, ask: Callable[..., Any], fault: tuple[str, Reply, Expected]
) -> None:
    _, reply, expected = fault
    endless = reply.fault in {"hang", "endless_body"}
    await check(pair, ask, reply, interrupted(expected), **(BOTH_SHORT if endless else {}))


@pytest.mark.parametrize("mode", ["invoke", "ainvoke"], indirect=True)
@pytest.mark.parametrize("fault", BODIES_CUT, ids=case_ids(BODIES_CUT))
async def test_fault_in_the_middle_of_a_whole_answer(
    pair: Pair, ask: Callable[..., Any], fault: tuple[str, Reply, Expected, dict[str, float]]
) -> None:
    _, reply, expected, limits = fault
    await check(pair, ask, reply, expected, **limits)
