"""`AutoChatModel` on the embedded model and its real HTTP server."""

from __future__ import annotations

import asyncio
import logging
import os
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langchain_core.tools import tool
from pydantic import BaseModel

from inference_providers.testing import FakeProvider
from langchain_autoprovider import AutoChatModel

if TYPE_CHECKING:
    from collections.abc import Callable


@tool
def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


@tool
def get_weather(city: str) -> str:
    """Tell the weather in a city."""
    return f"Sunny in {city}."


class Person(BaseModel):
    """A person."""

    name: str
    age: int


async def test_embedded_model_answers_in_every_mode(
    embedded: AutoChatModel, ask: Callable[..., Any]
) -> None:
    answer = await ask(embedded, "Hello")
    assert len(answer.text) > 3
    assert answer.usage_metadata["output_tokens"] > 1
    trace = answer.response_metadata["autoprovider"]
    assert (trace["provider"], trace["model"]) == ("embedded", "smollm2-135m")


async def test_embedded_model_answers_batches(embedded: AutoChatModel) -> None:
    for answers in (embedded.batch(["Hello", "Hi"]), await embedded.abatch(["Hello", "Hi"])):
        assert all(answer.text for answer in answers)


@pytest.mark.parametrize("tool_choice", ["add", {"type": "function", "function": {"name": "add"}}])
async def test_tool_choice_forces_the_tool(
    embedded: AutoChatModel, ask: Callable[..., Any], tool_choice: Any
) -> None:
    bound = embedded.bind_tools([get_weather, add], tool_choice=tool_choice)
    (call,) = (await ask(bound, "What is 2 + 3?")).tool_calls
    assert call["name"] == "add"
    assert set(call["args"]) == {"a", "b"}


def test_tool_result_is_accepted(embedded: AutoChatModel) -> None:
    bound = embedded.bind_tools([get_weather], tool_choice="any")
    question = HumanMessage("What is the weather in Paris?")
    calling = bound.invoke([question])
    assert isinstance(calling, AIMessage)
    (call,) = calling.tool_calls
    result = get_weather.invoke(call)
    assert isinstance(result, ToolMessage)
    assert embedded.invoke([question, calling, result]).text


@pytest.mark.parametrize("method", ["function_calling", "json_schema"])
async def test_structured_output_matches_the_schema(embedded: AutoChatModel, method: Any) -> None:
    structured = embedded.with_structured_output(Person, method=method)
    for answer in (structured.invoke("Anna is 31."), await structured.ainvoke("Anna is 31.")):
        assert isinstance(answer, Person)
        assert answer.age == 31
    assert list(structured.stream("Anna is 31."))[-1] == answer


def test_include_raw_reports_an_unparsable_answer(embedded: AutoChatModel) -> None:
    short = AutoChatModel("smollm2-135m", max_tokens=3, temperature=0)
    structured = short.with_structured_output(Person, method="json_schema", include_raw=True)
    answer: Any = structured.invoke("Anna is 31.")
    assert answer["parsed"] is None
    assert answer["parsing_error"] is not None
    assert isinstance(answer["raw"], AIMessage)
    dictionary = embedded.with_structured_output(Person.model_json_schema(), method="json_schema")
    assert dictionary.invoke("Anna is 31.")["age"] == 31


async def test_embedded_model_replaces_an_unreachable_provider(
    ask: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOWN_KEY", "down-key-value")
    with FakeProvider() as down:
        row = down.row({"m-1": "down-id"}, key="DOWN_KEY")
    registry = {"providers": {"down": row}}
    model = AutoChatModel(["down/m-1", "smollm2-135m"], registry=registry, max_tokens=10)
    trace = (await ask(model, "Hello")).response_metadata["autoprovider"]
    assert [a["outcome"] for a in trace["attempts"]] == ["failure", "success"]
    assert trace["attempts"][0]["class"] == "overloaded"
    assert trace["provider"] == "embedded"
    assert trace["degraded"] is True


def test_embedded_model_warns_once_as_last_resort(caplog: pytest.LogCaptureFixture) -> None:
    model = AutoChatModel(max_tokens=5)
    with caplog.at_level(logging.WARNING):
        model.invoke("Hello")
        trace = model.invoke("Hello").response_metadata["autoprovider"]
    assert trace["provider"] == "embedded"
    messages = [record.getMessage() for record in caplog.records]
    assert messages == [
        (
            "No provider has a key and no local server was found;"
            " the embedded model 'smollm2-135m' answers on this machine"
        )
    ]


def test_embedded_model_is_skipped_if_a_key_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GROQ_API_KEY", "gsk-made-up-value")
    plan = AutoChatModel().explain()
    assert {route.provider for route in plan.routes} == {"groq"}
    (row,) = [skip for skip in plan.skipped if skip.provider == "embedded"]
    assert "last resort" in row.reason


def test_other_gguf_file_is_named_after_the_file(
    weights_file: Any, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "Tiny-Talker-1B-Instruct.Q4_K_M.gguf"
    other.symlink_to(weights_file)
    monkeypatch.setenv("AUTOPROVIDER_GGUF", str(other))
    answer = AutoChatModel("embedded/tiny-talker-1b", max_tokens=5).invoke("Hello")
    assert answer.response_metadata["autoprovider"]["model_id"] == str(other)
    assert AutoChatModel(max_tokens=5).routes[0].model == "tiny-talker-1b"


def test_threads_and_event_loops_share_the_server(embedded: AutoChatModel) -> None:
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(embedded.invoke, ["Hello"] * 4))
    answers += [asyncio.run(embedded.ainvoke("Hello")) for _ in range(2)]
    assert all(answer.text for answer in answers)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks are POSIX")
def test_forked_child_can_use_the_server(embedded: AutoChatModel) -> None:
    embedded.invoke("Hello")
    child = os.fork()
    if child == 0:
        os._exit(0 if embedded.invoke("Hello").text else 1)
    assert os.waitpid(child, 0)[1] == 0
