"""One script, both frameworks, four modes: the same routes, the same classes, the same trace."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, NamedTuple

import openai
import pytest
from llama_index.core.llms import ChatMessage

from inference_providers import AllRoutesFailed, NoRouteError, StreamInterrupted, reset_health
from inference_providers.testing import FakeProvider, Reply
from langchain_autoprovider import AutoChatModel
from llamaindex_autoprovider import AutoLLM

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Mapping

    from inference_providers.testing import Request

TOOL = {
    "type": "function",
    "function": {
        "name": "multiply",
        "description": "Multiply.",
        "parameters": {"type": "object", "properties": {"a": {"type": "integer"}}},
    },
}
A_CALL = Reply("", tool_calls=({"name": "multiply", "arguments": {"a": 3}},))
A_CUT_CALL = Reply("", tool_calls=({"name": "multiply", "arguments": '{"a": '},))
ANSWERED = ("second", None)


class Script(NamedTuple):
    """What the first and the second provider answer, and what is to come of each call.

    A call comes to the providers tried, each with the class of its failure, or to an
    exception, after them.
    """

    first: tuple[Reply, ...]
    second: tuple[Reply, ...] = (Reply("from second"),)
    calls: tuple[tuple[Any, ...], ...] = ()
    arguments: Mapping[str, Any] = {}
    fields: Mapping[str, Any] = {}
    streamed: tuple[tuple[Any, ...], ...] | None = None
    """What is to come of each call where it is a stream, if something else."""


SCRIPTS = {
    "answers": Script((Reply("Hi"),), calls=((("first", None),),)),
    "overloaded": Script((Reply(status=503),), calls=((("first", "overloaded"), ANSWERED),)),
    "rests afterwards": Script(
        (Reply(status=401),), calls=((("first", "auth_failed"), ANSWERED), (ANSWERED,))
    ),
    "limited": Script((Reply(status=429),), calls=((("first", "rate_limited"), ANSWERED),)),
    "out of credit": Script((Reply(status=402),), calls=((("first", "quota_exceeded"), ANSWERED),)),
    "lacks the model": Script(
        (Reply(status=404),), calls=((("first", "model_not_found"), ANSWERED),)
    ),
    "no answer": Script(
        (Reply(body="<html>"),), calls=((("first", "invalid_response"), ANSWERED),)
    ),
    "an error in a success": Script(
        (Reply(body={"error": {"message": "no", "code": 502}}),),
        calls=((("first", "overloaded"), ANSWERED),),
        streamed=((("first", "invalid_response"), ANSWERED),),  # it is no stream
    ),
    "resets": Script((Reply(fault="reset"),), calls=((("first", "overloaded"), ANSWERED),)),
    "wrong request": Script((Reply(status=400),), calls=((openai.BadRequestError,),)),
    "nobody answers": Script(
        (Reply(status=401),),
        (Reply(status=503),),
        calls=((("first", "auth_failed"), ("second", "overloaded"), AllRoutesFailed),),
    ),
    "too few attempts": Script(
        (Reply(status=503),),
        calls=((("first", "overloaded"), AllRoutesFailed),),
        arguments={"max_retries": 0},
    ),
    "pinned": Script((Reply("Hi"),), calls=((ANSWERED,),), arguments={"only": ["second"]}),
    "another model": Script(
        (Reply("Hi"),), calls=((("first", None),),), arguments={"model": ["gpt-oss-120b", "m"]}
    ),
    "no key": Script(
        (Reply("Hi"),),
        calls=((NoRouteError,),),
        # Without this, what the machine's own servers answer in time would be in the message.
        arguments={"model": "gpt-oss-120b", "only": ["groq", "cerebras"]},
    ),
    "thinks": Script((Reply("so", reasoning="hm"),), calls=((("first", None),),)),
    "calls a tool": Script(
        (Reply(status=503),),
        (A_CALL,),
        calls=((("first", "overloaded"), ANSWERED),),
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
        streamed=((("first", "invalid_response"), ANSWERED),),
    ),
    "cut after output": Script(
        (Reply("one two three", cut_after=3),),
        calls=((("first", None),),),
        streamed=((StreamInterrupted,),),
    ),
    "a tool call cut short": Script(
        (A_CUT_CALL,),
        calls=((("first", "invalid_response"), ANSWERED),),
        fields={"tools": [TOOL]},
        streamed=((StreamInterrupted,),),
    ),
    "a tool call cut at the caller's own limit": Script(
        (A_CUT_CALL._replace(finish_reason="length"),),
        calls=((("first", None),),),
        fields={"tools": [TOOL]},
        streamed=((StreamInterrupted,),),
    ),
}


class Stage(NamedTuple):
    """The two providers, their registry, and what either framework asks of them."""

    first: FakeProvider
    second: FakeProvider

    def registry(self) -> dict[str, Any]:
        priced = {"id": "first-id", "cost": {"in": 2.0, "out": 10.0}}
        return {
            "providers": {
                "first": self.first.row({"m": priced}, key="FIRST_KEY"),
                "second": self.second.row({"m": "second-id"}, key="SECOND_KEY"),
            }
        }

    def plays(self, script: Script) -> None:
        reset_health()
        self.first.replies, self.second.replies = list(script.first), list(script.second)

    def heard(self) -> list[tuple[str, Any]]:
        """Return what came over the wire since, and forget it."""

        def bodies(name: str, requests: list[Request]) -> list[tuple[str, Any]]:
            return [(name, request.body) for request in requests]

        came = bodies("first", self.first.requests) + bodies("second", self.second.requests)
        self.first.requests.clear()
        self.second.requests.clear()
        return came


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    monkeypatch.setenv("FIRST_KEY", "first-key-value")
    monkeypatch.setenv("SECOND_KEY", "second-key-value")
    with FakeProvider() as first, FakeProvider() as second:
        yield Stage(first, second)


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
    asked = [ChatMessage("Hi")]
    match mode:
        case "sync":
            answer = llm.chat(asked, **fields)
        case "async":
            answer = await llm.achat(asked, **fields)
        case "stream":
            answer = list(llm.stream_chat(asked, **fields))[-1]
        case _:
            answer = [part async for part in await llm.astream_chat(asked, **fields)][-1]
    return answer.additional_kwargs["autoprovider"]


FRAMEWORKS: dict[type, Callable[..., Awaitable[dict[str, Any]]]] = {
    AutoChatModel: _langchain,
    AutoLLM: _llamaindex,
}


async def _came_of(ask: Awaitable[dict[str, Any]]) -> tuple[tuple[Any, ...], Any]:
    """Return what came of a call in the table's form, and all that is told of it."""
    try:
        trace = await ask
    except (AllRoutesFailed, NoRouteError, StreamInterrupted, openai.BadRequestError) as error:
        base = next(
            kind
            for kind in (AllRoutesFailed, NoRouteError, StreamInterrupted, openai.BadRequestError)
            if isinstance(error, kind)
        )
        attempts = getattr(error, "attempts", ())
        tried = [(tried.route.provider, tried.failure_class) for tried in attempts]
        return (*tried, base), (type(error), str(error))
    tried = [(attempt["provider"], attempt["class"]) for attempt in trace["attempts"]]
    return tuple(tried), _timeless(trace)


def _timeless(trace: dict[str, Any]) -> Any:
    """Return a trace without what two calls never have in common."""
    told = re.sub(r'"(ms|ttft_ms)": [\d.]+', r'"\1": 0', json.dumps(trace))
    return json.loads(re.sub(r"for \d+ s", "for N s", told))


@pytest.mark.parametrize("mode", ["sync", "async", "stream", "async stream"])
@pytest.mark.parametrize("script", SCRIPTS.values(), ids=SCRIPTS)
async def test_both_frameworks_go_the_same_way(stage: Stage, script: Script, mode: str) -> None:
    expected = script.streamed if script.streamed and "stream" in mode else script.calls
    told: dict[type, Any] = {}
    for framework, ask in FRAMEWORKS.items():
        stage.plays(script)
        model = framework(**{"model": "m", "registry": stage.registry(), **script.arguments})
        came = [await _came_of(ask(mode, model, script.fields)) for _ in expected]
        assert tuple(outcome for outcome, _ in came) == expected, framework.__name__
        told[framework] = [details for _, details in came], stage.heard()
    assert told[AutoLLM] == told[AutoChatModel]
