"""The same script in both frameworks and four modes: same routes, classes, trace and requests."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, NamedTuple

import openai
import pytest
from llama_index.core.llms import ChatMessage

from factories import PAIR_KEYS, two_providers
from inference_providers import AllRoutesFailed, NoRouteError, StreamInterrupted, reset_health
from inference_providers.testing import Reply
from langchain_autoprovider import AutoChatModel
from llamaindex_autoprovider import AutoLLM

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Mapping

    from factories import Pair

TOOL = {
    "type": "function",
    "function": {
        "name": "multiply",
        "description": "Multiply.",
        "parameters": {"type": "object", "properties": {"a": {"type": "integer"}}},
    },
}
TOOL_CALL = Reply("", tool_calls=({"name": "multiply", "arguments": {"a": 3}},))
TRUNCATED_CALL = Reply("", tool_calls=({"name": "multiply", "arguments": '{"a": '},))
SECOND_ANSWERS = ("second", None)


class Script(NamedTuple):
    """The replies of two providers, and the expected outcome of each call.

    An outcome lists the providers that were tried, each with its failure class or flaw. It ends
    with the exception that is raised, if any.
    """

    first: tuple[Reply, ...]
    second: tuple[Reply, ...] = (Reply("from second"),)
    calls: tuple[tuple[Any, ...], ...] = ()
    arguments: Mapping[str, Any] = {}
    fields: Mapping[str, Any] = {}
    streamed: tuple[tuple[Any, ...], ...] | None = None
    """The outcomes of streams, if they differ."""


SCRIPTS = {
    "answers": Script((Reply("Hi"),), calls=((("first", None),),)),
    "overloaded": Script((Reply(status=503),), calls=((("first", "overloaded"), SECOND_ANSWERS),)),
    "cools down afterwards": Script(
        (Reply(status=401),), calls=((("first", "auth_failed"), SECOND_ANSWERS), (SECOND_ANSWERS,))
    ),
    "rate limited": Script(
        (Reply(status=429),), calls=((("first", "rate_limited"), SECOND_ANSWERS),)
    ),
    "out of credit": Script(
        (Reply(status=402),), calls=((("first", "quota_exceeded"), SECOND_ANSWERS),)
    ),
    "lacks the model": Script(
        (Reply(status=404),), calls=((("first", "model_not_found"), SECOND_ANSWERS),)
    ),
    "no usable answer": Script(
        (Reply(body="<html>"),), calls=((("first", "invalid_response"), SECOND_ANSWERS),)
    ),
    "an error in HTTP 200": Script(
        (Reply(body={"error": {"message": "no", "code": 502}}),),
        calls=((("first", "overloaded"), SECOND_ANSWERS),),
    ),
    "resets": Script((Reply(fault="reset"),), calls=((("first", "overloaded"), SECOND_ANSWERS),)),
    "wrong request": Script((Reply(status=400),), calls=((openai.BadRequestError,),)),
    "all fail": Script(
        (Reply(status=401),),
        (Reply(status=503),),
        calls=((("first", "auth_failed"), ("second", "overloaded"), AllRoutesFailed),),
    ),
    "too few attempts": Script(
        (Reply(status=503),),
        calls=((("first", "overloaded"), AllRoutesFailed),),
        arguments={"max_retries": 0},
    ),
    "pinned": Script((Reply("Hi"),), calls=((SECOND_ANSWERS,),), arguments={"only": ["second"]}),
    "another model": Script(
        (Reply("Hi"),), calls=((("first", None),),), arguments={"model": ["gpt-oss-120b", "m"]}
    ),
    "no key": Script(
        (Reply("Hi"),),
        calls=((NoRouteError,),),
        # Otherwise the message would depend on servers on this machine.
        arguments={"model": "gpt-oss-120b", "only": ["groq", "cerebras"]},
    ),
    "reasons": Script((Reply("so", reasoning="hm"),), calls=((("first", None),),)),
    "calls a tool": Script(
        (Reply(status=503),),
        (TOOL_CALL,),
        calls=((("first", "overloaded"), SECOND_ANSWERS),),
        fields={"tools": [TOOL], "tool_choice": "any"},
    ),
    "fields": Script(
        (Reply("Hi"),),
        calls=((("first", None),),),
        arguments={"temperature": 0.5, "max_tokens": 7, "seed": 3, "stop": ["END"]},
        fields={"top_p": 0.9},
    ),
    "cut before output": Script(
        (Reply("Hi", cut_after=1),),
        calls=((("first", None),),),
        streamed=((("first", "invalid_response"), SECOND_ANSWERS),),
    ),
    "cut after output": Script(
        (Reply("one two three", cut_after=3),),
        calls=((("first", None),),),
        streamed=((StreamInterrupted,),),
    ),
    "a tool call cut short": Script(
        (TRUNCATED_CALL,),
        calls=((("first", "malformed_tool_call"), SECOND_ANSWERS),),
        fields={"tools": [TOOL]},
        streamed=((StreamInterrupted,),),
    ),
    "a tool call cut at max_tokens": Script(
        (TRUNCATED_CALL._replace(finish_reason="length"),),
        calls=((("first", None),),),
        fields={"tools": [TOOL]},
        streamed=((StreamInterrupted,),),
    ),
}


COST = {"cost": {"in": 2.0, "out": 10.0}}


@pytest.fixture
def pair(monkeypatch: pytest.MonkeyPatch) -> Iterator[Pair]:
    for name, value in PAIR_KEYS.items():
        monkeypatch.setenv(name, value)
    with two_providers(model="m") as providers:
        yield providers


def play(pair: Pair, script: Script) -> None:
    reset_health()
    pair.first.replies, pair.second.replies = list(script.first), list(script.second)


def take_requests(pair: Pair) -> list[Any]:
    """Return and clear the bodies that each provider received."""
    bodies = [[it.body for it in provider.requests] for provider in (pair.first, pair.second)]
    pair.first.requests.clear()
    pair.second.requests.clear()
    return bodies


async def _langchain(mode: str, model: AutoChatModel, fields: Mapping[str, Any]) -> dict[str, Any]:
    match mode:
        case "sync":
            answer = model.invoke("Hi", **fields)
        case "async":
            answer = await model.ainvoke("Hi", **fields)
        case "stream":
            answer = list(model.stream("Hi", **fields))[-1]
        case _:
            answer = [chunk async for chunk in model.astream("Hi", **fields)][-1]
    return answer.response_metadata["autoprovider"]


async def _llamaindex(mode: str, llm: AutoLLM, fields: Mapping[str, Any]) -> dict[str, Any]:
    messages = [ChatMessage("Hi")]
    match mode:
        case "sync":
            answer = llm.chat(messages, **fields)
        case "async":
            answer = await llm.achat(messages, **fields)
        case "stream":
            answer = list(llm.stream_chat(messages, **fields))[-1]
        case _:
            answer = [part async for part in await llm.astream_chat(messages, **fields)][-1]
    return answer.additional_kwargs["autoprovider"]


FRAMEWORKS: dict[type, Callable[..., Awaitable[dict[str, Any]]]] = {
    AutoChatModel: _langchain,
    AutoLLM: _llamaindex,
}


ERRORS = (AllRoutesFailed, NoRouteError, StreamInterrupted, openai.BadRequestError)


async def _outcome_of(ask: Awaitable[dict[str, Any]]) -> tuple[tuple[Any, ...], Any]:
    """Return the outcome of a call in the form of the table, and its details."""
    try:
        trace = await ask
    except ERRORS as error:
        raised = next(kind for kind in ERRORS if isinstance(error, kind))
        attempts = getattr(error, "attempts", ())
        failures = [(it.route.provider, it.failure_class) for it in attempts]
        return (*failures, raised), (type(error), str(error))
    attempts = [(it["provider"], it["class"] or it.get("flaw")) for it in trace["attempts"]]
    return tuple(attempts), _without_times(trace)


def _without_times(trace: dict[str, Any]) -> Any:
    """Return a trace without durations, which differ between any two calls."""
    text = re.sub(r'"(ms|ttft_ms)": [\d.]+', r'"\1": 0', json.dumps(trace))
    return json.loads(re.sub(r"for \d+ s", "for N s", text))


@pytest.mark.parametrize("mode", ["sync", "async", "stream", "async stream"])
@pytest.mark.parametrize("script", SCRIPTS.values(), ids=SCRIPTS)
async def test_both_frameworks_try_the_same_routes(pair: Pair, script: Script, mode: str) -> None:
    expected = script.streamed if script.streamed and "stream" in mode else script.calls
    observed: dict[type, Any] = {}
    for framework, ask in FRAMEWORKS.items():
        play(pair, script)
        arguments = {"model": "m", "registry": pair.registry(model_info=COST), **script.arguments}
        model = framework(**arguments)
        outcomes = [await _outcome_of(ask(mode, model, script.fields)) for _ in expected]
        assert tuple(outcome for outcome, _ in outcomes) == expected, framework.__name__
        observed[framework] = [details for _, details in outcomes], take_requests(pair)
    assert observed[AutoLLM] == observed[AutoChatModel]
