"""`AutoLLM` over two providers, in every call mode that LlamaIndex has."""

from __future__ import annotations

import asyncio
import json
import pickle
from typing import TYPE_CHECKING, Any

import openai
import pytest
from langchain_core.caches import InMemoryCache
from langchain_core.callbacks import get_usage_metadata_callback
from langchain_core.globals import set_llm_cache
from llama_index.core import Settings
from llama_index.core.base.llms.base import BaseLLM
from llama_index.core.base.llms.types import (
    ChatMessage,
    MessageRole,
    TextBlock,
    ThinkingBlock,
    ToolCallBlock,
)
from llama_index.core.callbacks import CallbackManager, LlamaDebugHandler, TokenCountingHandler
from llama_index.core.callbacks.schema import CBEventType
from llama_index.core.instrumentation import get_dispatcher
from llama_index.core.instrumentation.event_handlers import BaseEventHandler
from llama_index.core.llms import LLM
from llama_index.core.llms.function_calling import FunctionCallingLLM
from llama_index.core.prompts import PromptTemplate
from llama_index.core.rate_limiter import BaseRateLimiter

from factories import PAIR_KEYS
from inference_providers import (
    AllRoutesFailed,
    ConfigError,
    NoRouteError,
    StreamInterrupted,
    UnknownModelError,
)
from inference_providers.registry.registry import Registry
from inference_providers.routing.resolver import Resolver
from inference_providers.testing import Reply
from langchain_autoprovider import AutoChatModel
from llamaindex_autoprovider import AutoLLM

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from factories import Pair

HI = [ChatMessage("Hi")]


def attempts_of(response: Any) -> list[tuple[str, str, str | None]]:
    attempts = response.additional_kwargs["autoprovider"]["attempts"]
    return [(it["provider"], it["outcome"], it["class"]) for it in attempts]


async def _complete(llm: AutoLLM) -> Any:
    return llm.complete("Hi")


async def _acomplete(llm: AutoLLM) -> Any:
    return await llm.acomplete("Hi")


async def _stream_complete(llm: AutoLLM) -> Any:
    return list(llm.stream_complete("Hi"))[-1]


async def _astream_complete(llm: AutoLLM) -> Any:
    return [part async for part in await llm.astream_complete("Hi")][-1]


@pytest.fixture(
    params=[_complete, _acomplete, _stream_complete, _astream_complete],
    ids=lambda f: f.__name__.strip("_"),
)
def complete(request: pytest.FixtureRequest) -> Callable[..., Any]:
    return request.param


def test_auto_llm_is_a_function_calling_llm() -> None:
    llm = AutoLLM("gpt-oss-120b")
    for base in (BaseLLM, LLM, FunctionCallingLLM):
        assert isinstance(llm, base)
    assert AutoLLM.class_name() == "AutoLLM"


async def test_chat_sends_messages_and_settings(pair: Pair, ask: Callable[..., Any]) -> None:
    answer = await ask(pair.llm(temperature=0.5, max_tokens=7), HI, stop="END")
    assert answer.message == ChatMessage("from first", role=MessageRole.ASSISTANT)
    assert attempts_of(answer) == [("first", "success", None)]
    body = pair.first.requests[0].body
    expected = {"model": "first-id", "temperature": 0.5, "max_tokens": 7, "stop": ["END"]}
    assert {name: body.get(name) for name in expected} == expected
    assert body["messages"] == [{"role": "user", "content": "Hi"}]


async def test_complete_sends_the_prompt_as_a_user_message(
    pair: Pair, complete: Callable[..., Any]
) -> None:
    answer = await complete(pair.llm())
    assert answer.text == "from first"
    assert attempts_of(answer) == [("first", "success", None)]
    assert pair.first.requests[0].body["messages"] == [{"role": "user", "content": "Hi"}]


async def test_chat_fails_over_to_the_next_route(pair: Pair, ask: Callable[..., Any]) -> None:
    pair.plays(Reply(status=503))
    answer = await ask(pair.llm(), HI)
    assert answer.message.content == "from second"
    assert attempts_of(answer) == [("first", "failure", "overloaded"), ("second", "success", None)]


async def test_complete_fails_over_to_the_next_route(
    pair: Pair, complete: Callable[..., Any]
) -> None:
    pair.plays(Reply(status=429))
    answer = await complete(pair.llm())
    assert answer.text == "from second"
    assert attempts_of(answer) == [
        ("first", "failure", "rate_limited"),
        ("second", "success", None),
    ]


async def test_cooldowns_are_shared_with_auto_chat_model(
    pair: Pair, ask: Callable[..., Any]
) -> None:
    pair.plays(Reply(status=401))
    AutoChatModel("m", registry=pair.registry()).invoke("Hi")
    answer = await ask(pair.llm(), HI)
    assert attempts_of(answer) == [("second", "success", None)]
    assert len(pair.first.requests) == 1


async def test_bad_request_raises_the_providers_exception(
    pair: Pair, ask: Callable[..., Any]
) -> None:
    pair.plays(Reply(status=400))
    with pytest.raises(openai.BadRequestError):
        await ask(pair.llm(), HI)
    assert not pair.second.requests


async def test_all_routes_failed_lists_each_attempt(pair: Pair, ask: Callable[..., Any]) -> None:
    pair.plays(Reply(status=401))
    pair.second.replies = [Reply(status=503)]
    with pytest.raises(
        AllRoutesFailed, match=r"first/m: auth_failed \(HTTP 401\), check FIRST_KEY"
    ):
        await ask(pair.llm(), HI)


async def test_no_route_error_names_the_missing_key(
    pair: Pair, ask: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    llm = pair.llm()
    monkeypatch.delenv("FIRST_KEY")
    monkeypatch.delenv("SECOND_KEY")
    assert llm.metadata.is_function_calling_model, "otherwise agents would blame the model"
    with pytest.raises(NoRouteError, match="set FIRST_KEY"):
        await ask(llm, HI)


@pytest.mark.parametrize("is_async", [False, True])
async def test_interrupted_stream_holds_a_partial_chat_message(pair: Pair, is_async: bool) -> None:
    pair.plays(Reply("one two three", cut_after=3))
    received = []

    async def read() -> None:
        if is_async:
            async for part in await pair.llm().astream_chat(HI):
                received.append(part.delta)  # noqa: PERF401 - what came before the error counts
        else:
            for part in pair.llm().stream_chat(HI):
                received.append(part.delta)  # noqa: PERF401

    with pytest.raises(StreamInterrupted) as caught:
        await read()
    assert "".join(received) == "one two"
    assert caught.value.partial == ChatMessage("one two", role="assistant")
    assert caught.value.route.provider == "first"


@pytest.mark.parametrize("is_async", [False, True])
async def test_stream_chat_yields_deltas_and_all_text_so_far(pair: Pair, is_async: bool) -> None:
    pair.plays(Reply("one two three", reasoning="let me see"))
    if is_async:
        parts = [part async for part in await pair.llm().astream_chat(HI)]
    else:
        parts = list(pair.llm().stream_chat(HI))
    assert "".join(part.delta for part in parts) == "one two three"
    thoughts = "".join(part.additional_kwargs.get("thinking_delta", "") for part in parts)
    assert thoughts == "let me see"
    texts = [part.message.content or "" for part in parts]
    assert texts == sorted(texts, key=len)
    assert parts[-1].message.blocks == [
        ThinkingBlock(content="let me see"),
        TextBlock(text="one two three"),
    ]
    has_trace = ["autoprovider" in part.additional_kwargs for part in parts]
    assert has_trace == [False] * (len(parts) - 1) + [True]
    assert parts[-1].additional_kwargs["autoprovider"]["ttft_ms"] > 0


async def test_reasoning_becomes_a_thinking_block(pair: Pair, ask: Callable[..., Any]) -> None:
    pair.plays(Reply("so", reasoning="hm"))
    answer = await ask(pair.llm(), HI)
    assert answer.message.blocks == [ThinkingBlock(content="hm"), TextBlock(text="so")]


async def test_refusal_becomes_text(pair: Pair, ask: Callable[..., Any]) -> None:
    pair.plays(Reply(refusal="I cannot help with that."))
    answer = await ask(pair.llm(), HI)
    assert answer.message == ChatMessage("I cannot help with that.", role="assistant")
    parts = list(pair.llm().stream_chat(HI))
    assert "".join(part.delta for part in parts) == "I cannot help with that."


def in_parts(*texts: str, streamed: bool) -> Reply:
    """Return an answer whose text is a list of parts, in OpenAI's protocol."""
    parts = [{"type": "text", "text": text} for text in texts]
    if not streamed:
        message = {"role": "assistant", "content": parts}
        return Reply(body={"choices": [{"index": 0, "finish_reason": "stop", "message": message}]})
    choices = [{"index": 0, "delta": {"content": [part]}, "finish_reason": None} for part in parts]
    choices.append({"index": 0, "delta": {}, "finish_reason": "stop"})
    events = "".join(f"data: {json.dumps({'choices': [choice]})}\n\n" for choice in choices)
    return Reply(
        body=f"{events}data: [DONE]\n\n".encode(), headers={"content-type": "text/event-stream"}
    )


# OpenAI's type for a chunk expects a string there.
@pytest.mark.filterwarnings("ignore:Pydantic serializer warnings")
async def test_adjacent_text_parts_become_one_block(pair: Pair, ask: Callable[..., Any]) -> None:
    """Gemini and Anthropic split a text into parts; LlamaIndex would put line ends between."""
    pair.plays(in_parts("Hel", "lo", streamed="stream" in ask.__name__))
    answer = await ask(pair.llm(), HI)
    assert answer.message.content == "Hello"


async def test_closing_a_stream_closes_the_connection(pair: Pair) -> None:
    pair.plays(Reply("one two three", cut_after=2, fault="hang"))
    stream = pair.llm().stream_chat(HI)
    assert next(stream)
    stream.close()
    parts = await pair.llm().astream_chat(HI)
    assert await anext(parts)
    await parts.aclose()
    for _ in range(200):
        if len(pair.first.abandoned) == 2:
            break
        await asyncio.sleep(0.05)
    assert len(pair.first.abandoned) == 2


async def test_usage_is_in_raw_and_additional_kwargs(pair: Pair, ask: Callable[..., Any]) -> None:
    answer = await ask(pair.llm(), HI)
    usage = {"prompt_tokens": 10, "completion_tokens": 2, "total_tokens": 12}
    assert answer.raw["usage"] == usage
    assert {name: answer.additional_kwargs[name] for name in usage} == usage
    assert (answer.raw["finish_reason"], answer.raw["model_name"]) == ("stop", "first-id")


class Events(BaseEventHandler):
    """Collects instrumentation events."""

    received: list[Any]

    def handle(self, event: Any, **_kwargs: Any) -> None:
        self.received.append(event)


@pytest.fixture
def events() -> Iterator[list[Any]]:
    handler = Events(received=[])
    dispatcher = get_dispatcher()
    dispatcher.add_event_handler(handler)
    yield handler.received
    dispatcher.event_handlers.remove(handler)


async def test_instrumentation_reports_one_chat(
    pair: Pair, ask: Callable[..., Any], events: list[Any]
) -> None:
    await ask(pair.llm(), HI)
    names = [type(event).__name__ for event in events]
    assert names[0] == "LLMChatStartEvent"
    assert names[-1] == "LLMChatEndEvent"
    assert set(names[1:-1]) <= {"LLMChatInProgressEvent"}
    assert events[0].model_dict["class_name"] == "AutoLLM"
    assert events[-1].response.message.content == "from first"
    assert attempts_of(events[-1].response) == [("first", "success", None)]
    assert events[0].span_id
    assert events[0].span_id == events[-1].span_id


async def test_instrumentation_reports_one_completion(
    pair: Pair, complete: Callable[..., Any], events: list[Any]
) -> None:
    await complete(pair.llm())
    names = [type(event).__name__ for event in events]
    assert names[0] == "LLMCompletionStartEvent"
    assert names[-1] == "LLMCompletionEndEvent"
    assert set(names[1:-1]) <= {"LLMCompletionInProgressEvent"}


async def test_callbacks_report_one_call_with_its_tokens(
    pair: Pair, ask: Callable[..., Any]
) -> None:
    debug, counter = LlamaDebugHandler(print_trace_on_end=False), TokenCountingHandler()
    await ask(pair.llm(callback_manager=CallbackManager([debug, counter])), HI)
    ((start, end),) = debug.get_event_pairs(CBEventType.LLM)
    assert start.payload["messages"] == HI
    assert end.payload["response"].message.content == "from first"
    assert (counter.prompt_llm_token_count, counter.completion_llm_token_count) == (10, 2)


async def test_callbacks_receive_the_exception(pair: Pair, ask: Callable[..., Any]) -> None:
    pair.plays(Reply(status=400))
    debug = LlamaDebugHandler(print_trace_on_end=False)
    with pytest.raises(openai.BadRequestError) as caught:
        await ask(pair.llm(callback_manager=CallbackManager([debug])), HI)
    ((_, end),) = debug.get_event_pairs(CBEventType.LLM)
    assert end.payload["exception"] is caught.value


async def test_langchain_callbacks_and_cache_are_not_used(
    pair: Pair, ask: Callable[..., Any]
) -> None:
    set_llm_cache(InMemoryCache())
    try:
        with get_usage_metadata_callback() as counter:
            await ask(pair.llm(), HI)
            await ask(pair.llm(), HI)
    finally:
        set_llm_cache(None)
    assert len(pair.first.requests) == 2
    assert counter.usage_metadata == {}


class Limiter(BaseRateLimiter):
    """Counts its calls."""

    acquired = 0

    def acquire(self, num_tokens: int = 0) -> None:  # noqa: ARG002
        self.acquired += 1

    async def async_acquire(self, num_tokens: int = 0) -> None:  # noqa: ARG002
        self.acquired += 1


async def test_rate_limiter_is_acquired_once_per_call(pair: Pair, ask: Callable[..., Any]) -> None:
    pair.plays(Reply(status=503))
    limiter = Limiter()
    await ask(pair.llm(rate_limiter=limiter), HI)
    assert limiter.acquired == 1


def test_metadata_holds_for_every_usable_route(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    registry = pair.registry()
    providers = registry["providers"]
    narrow = {"id": "first-id", "context": 64_000, "output": 2_000, "tools": False}
    providers["first"]["models"]["m"] = narrow
    providers["second"]["models"]["m"] = {"id": "second-id", "context": 32_000, "output": 30_000}
    llm = AutoLLM("m", registry=registry)

    def facts() -> tuple[int, int, bool]:
        metadata = llm.metadata
        return (
            metadata.context_window,
            metadata.num_output,
            metadata.is_function_calling_model,
        )

    assert facts() == (32_000, 2_000, True)
    pair.plays(Reply(status=503))
    assert llm.complete("Hi").text == "from second"
    assert facts() == (32_000, 2_000, True), "a route in a cooldown counts: it comes back"
    monkeypatch.delenv("FIRST_KEY")
    assert facts() == (32_000, 8_000, True), "at most a quarter of the window"
    monkeypatch.delenv("SECOND_KEY")
    monkeypatch.setenv("FIRST_KEY", "first-key-value")
    assert facts() == (64_000, 2_000, False)
    assert AutoLLM("m", registry=registry, max_tokens=100).metadata.num_output == 100


def test_metadata_defaults_to_llamaindexs_values(pair: Pair) -> None:
    metadata = pair.llm().metadata
    assert (metadata.context_window, metadata.num_output) == (3900, 256)
    assert (metadata.model_name, metadata.is_chat_model) == ("m", True)
    assert metadata.system_role is MessageRole.SYSTEM
    assert AutoLLM().metadata.model_name == "auto"


@pytest.fixture
def planned(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The plans that may look for servers on this machine, as they are made."""
    names: list[str] = []

    def count(name: str) -> None:
        method = getattr(Resolver, name)

        def counted(*arguments: Any) -> Any:
            names.append(name)
            return method(*arguments)

        monkeypatch.setattr(Resolver, name, counted)

    count("plan")
    count("aplan")
    return names


async def test_chat_plans_once(pair: Pair, ask: Callable[..., Any], planned: list[str]) -> None:
    await ask(pair.llm(), HI)
    assert len(planned) == 1


def test_metadata_makes_a_full_plan_only_without_routes(
    pair: Pair, planned: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    llm = pair.llm()
    assert llm.metadata
    assert not planned
    for name in PAIR_KEYS:
        monkeypatch.delenv(name)
    assert llm.metadata
    assert planned == ["plan"]


async def test_metadata_in_an_event_loop_makes_no_full_plan(
    pair: Pair, planned: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in PAIR_KEYS:
        monkeypatch.delenv(name)
    assert pair.llm().metadata
    assert not planned


def test_settings_read_as_attributes_and_show_in_repr(pair: Pair) -> None:
    llm = pair.llm(temperature=0.5, stop=["END"], max_retries=2, system_prompt="Be brief.")
    assert (llm.model, llm.temperature, llm.stop, llm.max_attempts) == ("m", 0.5, ["END"], 3)
    assert [str(route) for route in llm.routes] == ["first/m", "second/m"]
    assert "FIRST_KEY" in str(llm.explain())
    assert repr(llm) == (
        "AutoLLM(model='m', max_attempts=3, temperature=0.5, stop=['END'],"
        " system_prompt='Be brief.')"
    )
    with pytest.raises(AttributeError):
        _ = llm.nothing_like_it


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"model": "gpt-oss-12b"}, UnknownModelError, "did you mean 'gpt-oss-120b'"),
        ({"temprature": 0}, ValueError, "temprature"),
        (
            {"callbacks": [], "cache": True},
            ConfigError,
            "LangChain settings are not accepted: cache, callbacks",
        ),
        (
            {"chat_model": AutoChatModel("gpt-oss-120b"), "seed": 1},
            ConfigError,
            "chat_model or its settings, not both",
        ),
    ],
)
def test_constructor_refuses_invalid_arguments(
    arguments: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        AutoLLM(**arguments)


def test_chat_model_may_be_passed_in(pair: Pair) -> None:
    chat = AutoChatModel("m", registry=pair.registry())
    assert AutoLLM(chat_model=chat).complete("Hi").text == "from first"


def test_to_dict_and_from_dict_round_trip(pair: Pair) -> None:
    llm = pair.llm(temperature=0.2, only=["second"], system_prompt="Be brief.")
    loaded = AutoLLM.from_dict(json.loads(llm.to_json()))
    assert loaded.to_dict() == llm.to_dict()
    assert loaded.complete("Hi").text == "from second"
    assert AutoLLM.model_validate_json(llm.model_dump_json()).to_dict() == llm.to_dict()
    merged = AutoLLM("m", registry=Registry.load().merged(pair.registry()))
    assert "registry" not in json.loads(merged.to_json())


def test_pickle_holds_no_key(pair: Pair) -> None:
    llm = pair.llm(temperature=0.2, system_prompt="Be brief.")
    llm.complete("Hi")
    dump = pickle.dumps(llm)
    assert b"first-key-value" not in dump
    loaded = pickle.loads(dump)
    assert loaded.to_dict() == llm.to_dict()
    assert loaded.complete("Hi").text == "from first"
    with pytest.raises(TypeError, match="a model with api_keys cannot be pickled; set"):
        pickle.dumps(pair.llm(api_keys={"first": "given-key"}))


@pytest.mark.parametrize("deep", [False, True])
def test_model_copy_changes_settings_and_fields(pair: Pair, deep: bool) -> None:
    llm = pair.llm(temperature=0.2, system_prompt="Be brief.")
    llm.complete("Hi")
    changes = {"temperature": 0.4, "only": ("second",), "system_prompt": "Be long."}
    other = llm.model_copy(update=changes, deep=deep)
    assert (other.temperature, other.system_prompt) == (0.4, "Be long.")
    assert other.complete("Hi").text == "from second"
    assert pair.second.requests[0].body["temperature"] == 0.4
    assert (llm.temperature, llm.complete("Hi").text) == (0.2, "from first")


def test_assigning_a_setting_suggests_model_copy(pair: Pair) -> None:
    llm = pair.llm()
    with pytest.raises(ConfigError, match=r"use model_copy\(update={'temperature': ...}\)"):
        llm.temperature = 0.4
    llm.system_prompt = "Be brief."
    assert llm.to_dict()["system_prompt"] == "Be brief."


def test_acomplete_works_in_successive_event_loops(pair: Pair) -> None:
    llm = pair.llm()
    for _ in range(4):
        assert asyncio.run(llm.acomplete("Hi")).text == "from first"


def test_global_settings_accept_auto_llm(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Settings, "_llm", None)
    Settings.llm = pair.llm(system_prompt="Be brief.")
    assert Settings.llm.predict(PromptTemplate("Say {it}"), it="Hi") == "from first"
    assert pair.first.requests[0].body["messages"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Say Hi"},
    ]


def test_completion_to_prompt_skips_formatted_prompts(pair: Pair) -> None:
    llm = pair.llm(completion_to_prompt=lambda prompt: f"<{prompt}>")
    llm.complete("Hi")
    llm.complete("Hi", formatted=True)
    prompts = [request.body["messages"][0]["content"] for request in pair.first.requests]
    assert prompts == ["<Hi>", "Hi"]


async def test_chat_sends_tool_calls_and_results(pair: Pair, ask: Callable[..., Any]) -> None:
    call = ToolCallBlock(tool_call_id="c1", tool_name="add", tool_kwargs={"a": 1})
    history = [
        ChatMessage("Be brief.", role="system"),
        ChatMessage("1 + 1?"),
        ChatMessage([call], role="assistant"),
        ChatMessage("2", role="tool", additional_kwargs={"tool_call_id": "c1"}),
    ]
    await ask(pair.llm(), history)
    function = {"name": "add", "arguments": '{"a": 1}'}
    assert pair.first.requests[0].body["messages"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "1 + 1?"},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"id": "c1", "type": "function", "function": function}],
        },
        {"role": "tool", "content": "2", "tool_call_id": "c1"},
    ]


async def test_embedded_model_answers(embedded: AutoLLM, ask: Callable[..., Any]) -> None:
    answer = await ask(embedded, [ChatMessage("Write one sentence about the sea.")])
    assert len(answer.message.content.split()) > 3
    assert answer.additional_kwargs["autoprovider"]["provider"] == "embedded"
    assert answer.additional_kwargs["completion_tokens"] > 1
    assert embedded.metadata.context_window == 2048
