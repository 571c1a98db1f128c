"""A random stress run: no wrong answer, no silent cut, no wrong usage, no connection left.

`STRESS_CALLS=2000 STRESS_SEED=11 pytest tests/faults/test_stress.py` runs another schedule.
"""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

from factories import eventually
from faults.stress import MALFORMED_CALL, MODES, PROVIDERS, Answer, Call, build_response, schedule
from inference_providers import AllRoutesFailed, StreamInterrupted
from inference_providers.errors import ContentFilteredError
from langchain_autoprovider import AutoChatModel
from raw_server import RawRequest, RawServer, Response

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("_no_backoff")]

CALLS = int(os.environ.get("STRESS_CALLS", "400"))
SEED = int(os.environ.get("STRESS_SEED", "1"))
THREADS = 10
COST = {"in": 1.0, "out": 4.0}
"""US dollars per million tokens."""
TOOL = {
    "type": "function",
    "function": {
        "name": "tool",
        "description": "Do it.",
        "parameters": {"type": "object", "properties": {}},
    },
}


class Servers:
    """The three providers, which find what to send by the nonce in the prompt."""

    def __init__(self, stack: ExitStack, calls: list[Call]) -> None:
        self._calls = {call.nonce: call for call in calls}
        self.servers = {
            name: stack.enter_context(
                RawServer(lambda request, name=name: self._respond(name, request))
            )
            for name in PROVIDERS
        }

    def _respond(self, name: str, request: RawRequest) -> Response:
        body = request.body
        messages = body.get("messages") or body["input"]
        content = messages[0]["content"] if isinstance(messages, list) else messages
        nonce = content if isinstance(content, str) else content[0]["text"]
        script = self._calls[nonce].scripts[name]
        return build_response(script, protocol=PROVIDERS[name], streams=bool(body.get("stream")))

    def registry(self) -> dict[str, Any]:
        """Return a registry with the three providers, in order."""
        model = {"id": "the-id", "cost": COST, "tools": True}
        return {
            "providers": {
                name: server.row(
                    {"m-1": model},
                    endpoints={
                        "default": {"protocol": PROVIDERS[name], "base_url": server.base_url}
                    },
                )
                for name, server in self.servers.items()
            }
        }


async def ask(model: Any, call: Call) -> Any:
    bound = model.bind_tools([TOOL]) if call.tools else model
    if call.mode == "invoke":
        return bound.invoke(call.nonce)
    if call.mode == "ainvoke":
        return await bound.ainvoke(call.nonce)
    if call.mode == "stream":
        return _merged(list(bound.stream(call.nonce)))
    return _merged([part async for part in bound.astream(call.nonce)])


def _merged(parts: list[Any]) -> Any:
    whole, *further = parts
    for part in further:
        whole += part
    return whole


def problem_with_answer(call: Call, answer: Any) -> str | None:
    """Return what is wrong with an answer, if anything."""
    trace = answer.response_metadata["autoprovider"]
    provider = trace["provider"]
    script = call.scripts[provider]
    if script.kind == "flawed":
        return _problem_with_flaw(script.oddity, answer) or _problem_with_order(call, provider)
    if script.kind != "good":
        return f"{provider} sent {script.oddity!r}, and it passed as good"
    return _problem_with_payload(script.answer, answer, trace)


def _problem_with_order(call: Call, provider: str) -> str | None:
    """Return why a flawed answer should not have been handed out, if there is a reason.

    Of a stream that has begun nothing can be taken back, and a content filter ends the call.
    """
    kinds = [call.scripts[name].kind for name in PROVIDERS]
    has_begun = call.mode.endswith("stream") and call.scripts[provider].oddity == "malformed call"
    if has_begun or call.hedged or "good" not in kinds:
        return None
    if "filtered" in kinds[: kinds.index("good")]:
        return None
    return f"{provider} was flawed and another one was good"


def _problem_with_flaw(oddity: str, answer: Any) -> str | None:
    if oddity == "empty":
        return None if not answer.text and not answer.tool_calls else "an empty answer has output"
    invalid = [c["args"] for c in answer.invalid_tool_calls]
    return (
        None
        if invalid == [MALFORMED_CALL["function"]["arguments"]] and not answer.tool_calls
        else f"invalid calls {invalid}"
    )


def _problem_with_payload(expected: Answer, answer: Any, trace: dict[str, Any]) -> str | None:
    usage = answer.usage_metadata
    tokens = usage and (usage["input_tokens"], usage["output_tokens"])
    cost = sum(n * COST[k] / 1e6 for n, k in zip(expected.usage, COST, strict=True))
    calls = [c["args"] for c in answer.tool_calls]
    if answer.text != expected.text:
        return f"text {answer.text!r}, expected {expected.text!r}"
    if calls != [*expected.calls] or answer.invalid_tool_calls:
        return f"calls {calls}, {answer.invalid_tool_calls}, expected {expected.calls}"
    if tokens != expected.usage:
        return f"usage {tokens}, expected {expected.usage}"
    if abs((trace["cost_usd"] or 0) - cost) > 1e-12:
        return f"cost {trace['cost_usd']}, expected {cost}"
    return None


def problem_with_error(call: Call, error: Exception) -> str | None:
    """Return what is wrong with an exception, if anything."""
    if isinstance(error, StreamInterrupted):
        script = call.scripts[error.route.provider]
        if script.kind == "good":
            return f"{script.oddity!r} of {error.route.provider} interrupted a stream"
        if not script.answer.text.startswith(error.partial.text):
            return f"partial {error.partial.text!r}, expected {script.answer.text!r}"
        return None if not error.partial.tool_calls else "a partial answer has tool calls"
    if isinstance(error, ContentFilteredError):
        is_filtered = any(s.kind == "filtered" for s in call.scripts.values())
        return None if is_filtered else "no content filter"
    if isinstance(error, AllRoutesFailed):
        good = [name for name, s in call.scripts.items() if s.kind in {"good", "flawed"}]
        return f"{good} would have answered: {error}" if good else None
    return f"{type(error).__name__}: {error}"


class Run:
    """The calls of one schedule, made in several threads."""

    def __init__(self, registry: dict[str, Any]) -> None:
        arguments: dict[str, Any] = {"registry": registry, "cooldown": False, "timeout": 60.0}
        self._model = AutoChatModel("m-1", **arguments)
        self._hedged = AutoChatModel("m-1", **arguments, hedge_after=0.02)
        self.counts: Counter[str] = Counter()
        self.problems: list[tuple[Call, str]] = []

    def make(self, calls: list[Call]) -> None:
        """Make these calls in this thread, those of asynchronous modes on one event loop."""
        for call in calls:
            if call.mode in {"invoke", "stream"}:
                asyncio.run(self._make(call))
        asyncio.run(self._make_together([c for c in calls if c.mode in {"ainvoke", "astream"}]))

    async def _make_together(self, calls: list[Call]) -> None:
        limit = asyncio.Semaphore(10)

        async def one(call: Call) -> None:
            async with limit:
                await self._make(call)

        await asyncio.gather(*map(one, calls))

    async def _make(self, call: Call) -> None:
        try:
            answer = await ask(self._hedged if call.hedged else self._model, call)
        except Exception as error:  # noqa: BLE001 - that is the question
            result, problem = type(error).__name__, problem_with_error(call, error)
        else:
            result, problem = "answered", problem_with_answer(call, answer)
        self.counts[result] += 1
        if problem:
            self.problems.append((call, problem))


@pytest.fixture
def calls() -> list[Call]:
    return schedule(SEED, CALLS)


@pytest.fixture
def servers(calls: list[Call]) -> Iterator[Servers]:
    with ExitStack() as stack:
        yield Servers(stack, calls)


async def test_random_faults_give_no_wrong_answer(calls: list[Call], servers: Servers) -> None:
    run = Run(servers.registry())
    with ThreadPoolExecutor(THREADS) as pool:
        [*pool.map(run.make, (calls[n::THREADS] for n in range(THREADS)))]
    print(f"seed {SEED}: {dict(run.counts)}")  # noqa: T201 - shown when it fails, and with -s
    assert [(c.nonce, c.mode, c.hedged, problem) for c, problem in run.problems] == []
    assert run.counts["answered"] > CALLS / 3
    assert {call.mode for call in calls} == {*MODES}
    for server in servers.servers.values():
        await eventually(lambda server=server: not server.busy)
