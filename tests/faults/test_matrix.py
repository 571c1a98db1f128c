"""Every fault in all four modes: the answer, the trace, who rests; nothing cut passes as whole.

The first provider plays the fault and the second answers. What is expected is the
policy's table, not what the code does.
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

pytestmark = pytest.mark.usefixtures("_long_rests")

SHORT_S = 3.0
"""For a whole call: the first provider may take half of it, the second has the other half."""
BOTH_SHORT = {"first_token_timeout": SHORT_S / 2, "inter_chunk_timeout": SHORT_S / 2}


class Outcome(NamedTuple):
    """What becomes of a call.

    `failure` is the class and status of the first provider's failure, `None` where it
    answers; `rests` the scope of the rest it earns; `raises` what comes instead of the
    second provider's answer.
    """

    failure: tuple[str, int | None] | None
    rests: str | None = None
    raises: type[Exception] | None = None


class Case(NamedTuple):
    """A fault, as a whole answer and as a stream; `whole` of `None` is a server that is down."""

    name: str
    whole: Reply | None
    streamed: Reply | None
    of_whole: Outcome
    of_stream: Outcome
    limits: Mapping[str, float] = {}


ANSWERS = Outcome(None)
UNREACHED = Outcome(("overloaded", None), "host")
BROKEN = Outcome(("invalid_response", None), "model")
NOT_JSON = Outcome(("invalid_response", 200), "model")
SILENT = Outcome(("overloaded", None), "model")


def over(status: int | None) -> Outcome:
    return Outcome(("overloaded", status), "model")


def refused(failure_class: str, status: int) -> Outcome:
    return Outcome((failure_class, status), raises=openai.BadRequestError)


def interrupted(outcome: Outcome) -> Outcome:
    return outcome._replace(raises=StreamInterrupted)


def case(
    name: str,
    reply: Reply | None,
    outcome: Outcome,
    *,
    streamed: Reply | None = None,
    of_stream: Outcome | None = None,
    **limits: float,
) -> Case:
    return Case(name, reply, streamed or reply, outcome, of_stream or outcome, limits)


def error(message: str, code: Any = None, kind: str = "invalid_request_error") -> dict[str, Any]:
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


def json_text(text: str) -> Reply:
    return Reply(body=text, headers={"content-type": "application/json"})


LONG = "one two three four five six"
SAID = "one two"
UPSTREAM = error("Provider returned error", 502)
ERROR_EVENT = (
    'event: error\ndata: {"error": {"message": "Overloaded", "type": "overloaded_error"}}\n\n'
)
NULL_CHOICES = {"id": "x", "object": "chat.completion.chunk", "model": "m", "choices": None}
CUT = {"cut_after": 3}
"""After the role and two words."""

STATUSES = [
    case("500", Reply(status=500), over(500)),
    case("502 page", Reply(status=502, body="<html>Bad Gateway</html>"), over(502)),
    case("503 retry-after", Reply(status=503, headers={"retry-after": "7"}), over(503)),
    case("529", Reply(status=529, body=error("Overloaded", kind="overloaded_error")), over(529)),
    case("599 unknown", Reply(status=599, body="?"), over(599)),
    case("408", Reply(status=408), over(408)),
    case("429", Reply(status=429), Outcome(("rate_limited", 429), "route")),
    case(
        "429 retry-after",
        Reply(status=429, headers={"retry-after": "30"}),
        Outcome(("rate_limited", 429), "route"),
    ),
    case(
        "429 credit used up",
        Reply(
            status=429,
            body=error(
                "You exceeded your current quota", "insufficient_quota", "insufficient_quota"
            ),
        ),
        Outcome(("quota_exceeded", 429), "key"),
    ),
    case(
        "429 request too large",
        Reply(
            status=429,
            body=error(
                "Request too large for gpt-4o (TPM): Limit 30000, Requested 40000.", "tokens"
            ),
        ),
        Outcome(("request_too_large", 429)),
    ),
    case(
        "402",
        Reply(status=402, body=error("Insufficient Balance")),
        Outcome(("quota_exceeded", 402), "key"),
    ),
    case("401", Reply(status=401), Outcome(("auth_failed", 401), "key")),
    case("403", Reply(status=403), Outcome(("auth_failed", 403), "key")),
    case(
        "400 wrong key",
        Reply(
            status=400,
            body={"code": "invalid-argument", "error": "Incorrect API key provided: xa***."},
        ),
        Outcome(("auth_failed", 400), "key"),
    ),
    case("404", Reply(status=404), Outcome(("model_not_found", 404), "route")),
    case(
        "400",
        Reply(status=400, body=error("messages: must not be empty")),
        refused("bad_request", 400),
    ),
    case("400 teapot", Reply(status=400, body="?"), refused("bad_request", 400)),
    case(
        "400 prompt too long",
        Reply(
            status=400,
            body=error("maximum context length is 4097 tokens", "context_length_exceeded"),
        ),
        refused("context_overflow", 400),
    ),
    case(
        "400 content filter",
        Reply(status=400, body=error("The response was filtered", "content_filter")),
        refused("content_filtered", 400),
    ),
    case(
        "307 to another host",
        Reply(status=307, headers={"location": "http://127.0.0.1:9/v1"}),
        Outcome(("invalid_response", 307), "model"),
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
        "keep-alive for ever",
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

NO_ANSWERS = [
    case("page", Reply(body="<html>Sign in</html>"), BROKEN),
    case("invalid JSON", json_text('{"id": "x", "choi'), NOT_JSON, of_stream=BROKEN),
    case("JSON that is a word", json_text('"maintenance"'), BROKEN),
    case("empty JSON", json_text(""), NOT_JSON, of_stream=BROKEN),
    case("empty body", Reply(body=""), BROKEN),
    case("bytes", Reply(body=b"\xff\xfe\x00\x80" * 9), BROKEN),
    case(
        "bytes said to be JSON",
        Reply(body=b"\xff\xfe\x00\x80" * 9, headers={"content-type": "application/json"}),
        NOT_JSON,
        of_stream=BROKEN,
    ),
    case("error in a 200", Reply(body=UPSTREAM), over(502), of_stream=BROKEN),
    case(
        "null choices", Reply(body={**NULL_CHOICES}), BROKEN,
        streamed=Reply(cut_after=1, at_cut=NULL_CHOICES),
    ),
    case(
        "no choices", Reply(body={**NULL_CHOICES, "choices": []}), BROKEN,
        streamed=Reply(cut_after=0, at_cut={**NULL_CHOICES, "choices": []}),
    ),
]  # fmt: skip

STREAMS_WITHOUT_OUTPUT = [
    ("only [DONE]", Reply(cut_after=0, at_cut="data: [DONE]\n\n"), BROKEN),
    ("nothing", Reply(cut_after=0), BROKEN),
    ("only the role", Reply(cut_after=1), BROKEN),
    ("only comments", Reply(keep_alive_s=0.1, cut_after=0), BROKEN),
    ("error first", Reply(cut_after=1, at_cut=UPSTREAM), over(502)),
    ("error event first", Reply(cut_after=1, at_cut=ERROR_EVENT), over(None)),
    ("invalid JSON first", Reply(cut_after=1, at_cut='data: {"id": "x", "cho\n\n'), BROKEN),
    ("bytes first", Reply(cut_after=1, at_cut=b"data: \xff\xfe\x00\n\n"), BROKEN),
    ("reset first", Reply(cut_after=1, fault="reset"), UNREACHED),
    ("broken off first", Reply(cut_after=1, fault="close"), UNREACHED),
    ("stall first", Reply(cut_after=1, fault="hang"), SILENT),
]

STREAMS_CUT = [
    ("ends early", Reply(LONG, **CUT), BROKEN),
    ("no finish reason", Reply(SAID, finish_reason=None), BROKEN),
    ("[DONE] early", Reply(LONG, **CUT, at_cut="data: [DONE]\n\n"), BROKEN),
    ("error", Reply(LONG, **CUT, at_cut=UPSTREAM), over(502)),
    ("error event", Reply(LONG, **CUT, at_cut=ERROR_EVENT), over(None)),
    ("invalid JSON", Reply(LONG, **CUT, at_cut='data: {"id": "x", "cho\n\n'), BROKEN),
    ("bytes", Reply(LONG, **CUT, at_cut=b"data: \xff\xfe\x00\n\n"), BROKEN),
    ("null choices", Reply(LONG, **CUT, at_cut=NULL_CHOICES), BROKEN),
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


def names(cases: list[Any]) -> list[str]:
    return [a_case[0] for a_case in cases]


async def check(
    pair: Pair, ask: Callable[..., Any], reply: Reply | None, want: Outcome, **limits: float
) -> None:
    """Ask twice: what comes of the fault, then whether the next call spares the first provider."""
    if reply is None:
        pair.take_first_down()
    else:
        pair.plays(reply)
    model = pair.model(**{"timeout": 30.0, **limits})
    if want.raises:
        with pytest.raises(want.raises) as caught:
            await ask(model, "Hi")
        if isinstance(caught.value, AllRoutesFailed):
            (attempt,) = caught.value.attempts
            assert (attempt.failure_class, attempt.status) == want.failure
        if isinstance(caught.value, StreamInterrupted):
            assert caught.value.partial.text == SAID
            assert caught.value.route.provider == "first"
            assert f"first/m-1: {want.failure[0]}" in str(caught.value)
        assert not pair.second.requests
    else:
        answer = await ask(model, "Hi")
        assert answer.text == ("from second" if want.failure else "from first")
        assert tried(answer) == expected(want)
    assert len(pair.first.requests) == (reply is not None), "an SDK retried on its own"
    assert [row[0].lower() for row in health().rows] == ([want.rests] if want.rests else [])
    await check_next_call(pair, ask, model, want)


async def check_next_call(pair: Pair, ask: Callable[..., Any], model: Any, want: Outcome) -> None:
    before = len(pair.first.requests)
    pair.plays(Reply("well again"))
    again = await ask(model, "Hi")
    if want.rests:
        assert again.text == "from second"
        assert len(pair.first.requests) == before
        assert tried(again) == [("second", "success", None, None)]
        (skip,) = [s for s in trace_of(again)["skipped"] if s["provider"] == "first"]
        assert ("key was refused" if want.failure[0] == "auth_failed" else "cooling down") in skip[
            "reason"
        ]
    else:
        assert again.text == "well again"


def trace_of(answer: Any) -> dict[str, Any]:
    return answer.response_metadata["autoprovider"]


def tried(answer: Any) -> list[tuple[str, str, str | None, int | None]]:
    attempts = trace_of(answer)["attempts"]
    return [(a["provider"], a["outcome"], a["class"], a["status"]) for a in attempts]


def expected(want: Outcome) -> list[tuple[str, str, str | None, int | None]]:
    if want.failure is None:
        return [("first", "success", None, None)]
    return [("first", "failure", *want.failure), ("second", "success", None, None)]


CASES = [*STATUSES, *CONNECTIONS, *NO_ANSWERS]


@pytest.mark.parametrize("fault", CASES, ids=names(CASES))
async def test_a_fault_before_any_output(
    pair: Pair, ask: Callable[..., Any], mode: str, fault: Case
) -> None:
    if mode.endswith("stream"):
        limits = BOTH_SHORT if fault.limits else {}
        await check(pair, ask, fault.streamed, fault.of_stream, **limits)
    else:
        await check(pair, ask, fault.whole, fault.of_whole, **fault.limits)


@pytest.mark.parametrize("mode", ["stream", "astream"], indirect=True)
@pytest.mark.parametrize("fault", STREAMS_WITHOUT_OUTPUT, ids=names(STREAMS_WITHOUT_OUTPUT))
async def test_a_stream_that_shows_nothing(
    pair: Pair, ask: Callable[..., Any], fault: tuple[str, Reply, Outcome]
) -> None:
    _, reply, want = fault
    await check(pair, ask, reply, want, **(BOTH_SHORT if reply.fault == "hang" else {}))


@pytest.mark.parametrize("mode", ["stream", "astream"], indirect=True)
@pytest.mark.parametrize("fault", STREAMS_CUT, ids=names(STREAMS_CUT))
async def test_a_stream_cut_after_output_is_interrupted(
    pair: Pair, ask: Callable[..., Any], fault: tuple[str, Reply, Outcome]
) -> None:
    _, reply, want = fault
    endless = reply.fault in {"hang", "endless_body"}
    await check(pair, ask, reply, interrupted(want), **(BOTH_SHORT if endless else {}))


@pytest.mark.parametrize("mode", ["invoke", "ainvoke"], indirect=True)
@pytest.mark.parametrize("fault", BODIES_CUT, ids=names(BODIES_CUT))
async def test_a_whole_answer_cut_in_its_middle(
    pair: Pair, ask: Callable[..., Any], fault: tuple[str, Reply, Outcome, dict[str, float]]
) -> None:
    _, reply, want, limits = fault
    await check(pair, ask, reply, want, **limits)
