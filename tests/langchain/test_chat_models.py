"""`AutoChatModel` over two providers, in all four modes."""

from __future__ import annotations

import asyncio
import gc
import json
import pickle
from copy import deepcopy
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import openai
import pytest
from langchain_core.callbacks import UsageMetadataCallbackHandler
from langchain_core.language_models import BaseChatModel
from langchain_core.load import dumpd, load
from langchain_core.runnables.fallbacks import RunnableWithFallbacks

from inference_providers import (
    AllRoutesFailed,
    ConfigError,
    NoRouteError,
    RegistryError,
    StreamInterrupted,
    UnknownModelError,
)
from inference_providers.errors import ProviderError
from inference_providers.testing import FakeProvider, Reply
from langchain_autoprovider import AutoChatModel
from langchain_autoprovider.protocols import connections

if TYPE_CHECKING:
    from collections.abc import Callable

    from factories import Pair

TRACE_KEYS = {
    "model", "provider", "model_id", "degraded", "attempts", "skipped", "ttft_ms", "cost_usd",
}  # fmt: skip
ATTEMPT_KEYS = {"provider", "model", "model_id", "outcome", "class", "status", "ms"}


def trace_of(message: Any) -> dict[str, Any]:
    return message.response_metadata["autoprovider"]


def attempts_of(message: Any) -> list[tuple[str, str, str | None, int | None]]:
    return [
        (a["provider"], a["outcome"], a["class"], a["status"])
        for a in trace_of(message)["attempts"]
    ]


async def test_invoke_uses_the_first_route(pair: Pair, ask: Callable[..., Any]) -> None:
    answer = await ask(pair.model(), "Hi")
    assert answer.text == "from first"
    assert attempts_of(answer) == [("first", "success", None, None)]
    assert not pair.second.requests
    sent = pair.first.requests[0]
    assert sent.body["model"] == "first-id"
    assert sent.body["messages"] == [{"role": "user", "content": "Hi"}]
    assert sent.headers["authorization"] == "Bearer first-key-value"


@pytest.mark.parametrize(
    ("reply", "failure_class", "status"),
    [
        (Reply(status=503), "overloaded", 503),
        (Reply(status=500), "overloaded", 500),
        (Reply(status=429), "rate_limited", 429),
        (Reply(status=401), "auth_failed", 401),
        (Reply(status=404), "model_not_found", 404),
        (Reply(status=402), "quota_exceeded", 402),
        (Reply(body="<html>Sign in</html>"), "invalid_response", None),
        (Reply(status=307, headers={"location": "http://127.0.0.1:9/v1"}), "invalid_response", 307),
    ],
    ids=lambda value: str(value.status) if isinstance(value, Reply) else None,
)
async def test_failure_moves_to_the_next_route(
    pair: Pair, ask: Callable[..., Any], reply: Reply, failure_class: str, status: int | None
) -> None:
    pair.plays(reply)
    answer = await ask(pair.model(), "Hi")
    assert answer.text == "from second"
    expected = [("first", "failure", failure_class, status), ("second", "success", None, None)]
    assert attempts_of(answer) == expected
    assert len(pair.first.requests) == 1, "a provider's SDK retried on its own"


@pytest.mark.parametrize("is_async", [False, True])
async def test_error_in_a_200_body_is_classified_by_its_code(pair: Pair, is_async: bool) -> None:
    pair.plays(Reply(body={"error": {"message": "Provider returned error", "code": 502}}))
    answer = await pair.model().ainvoke("Hi") if is_async else pair.model().invoke("Hi")
    assert attempts_of(answer)[0] == ("first", "failure", "overloaded", 502)


async def test_refused_connection_moves_to_the_next_route(
    pair: Pair, ask: Callable[..., Any]
) -> None:
    with FakeProvider() as gone:
        registry = pair.registry()
        registry["providers"]["first"] = gone.row({"m-1": "first-id"}, key="FIRST_KEY")
    model = AutoChatModel("m-1", registry=registry)
    answer = await ask(model, "Hi")
    assert answer.text == "from second"
    assert attempts_of(answer)[0] == ("first", "failure", "overloaded", None)


async def test_bad_request_raises_the_providers_own_exception(
    pair: Pair, ask: Callable[..., Any]
) -> None:
    pair.plays(Reply(status=400))
    with pytest.raises(openai.BadRequestError) as caught:
        await ask(pair.model(), "Hi")
    assert "raised by first/m-1" in caught.value.__notes__[0]
    assert not pair.second.requests


async def test_all_routes_failed_lists_every_attempt(pair: Pair, ask: Callable[..., Any]) -> None:
    pair.plays(Reply(status=401))
    pair.second.replies = [Reply(status=503)]
    with pytest.raises(AllRoutesFailed) as caught:
        await ask(pair.model(), "Hi")
    assert "first/m-1: auth_failed (HTTP 401), check FIRST_KEY" in str(caught.value)
    assert "second/m-1: overloaded (HTTP 503)" in str(caught.value)
    cause = caught.value.__cause__
    assert isinstance(cause, ProviderError)
    assert cause.status_code == 503
    assert [attempt.route.provider for attempt in caught.value.attempts] == ["first", "second"]


async def test_trace_has_exactly_the_documented_keys(pair: Pair, ask: Callable[..., Any]) -> None:
    pair.plays(Reply(status=503))
    answer = await ask(pair.model(["m-1", "gpt-oss-120b"]), "Hi")
    trace = trace_of(answer)
    assert set(trace) == TRACE_KEYS
    assert {frozenset(attempt) for attempt in trace["attempts"]} == {frozenset(ATTEMPT_KEYS)}
    assert {frozenset(skip) for skip in trace["skipped"]} == {
        frozenset({"provider", "model", "reason"})
    }
    assert json.loads(json.dumps(trace)) == trace
    assert (trace["model"], trace["provider"], trace["model_id"]) == ("m-1", "second", "second-id")
    groq = next(skip for skip in trace["skipped"] if skip["provider"] == "groq")
    assert groq == {"provider": "groq", "model": "gpt-oss-120b", "reason": "set GROQ_API_KEY"}


async def test_trace_is_degraded_when_a_later_model_answers(
    pair: Pair, ask: Callable[..., Any]
) -> None:
    answer = await ask(pair.model(["gpt-oss-120b", "m-1"]), "Hi")
    assert trace_of(answer)["degraded"] is True
    assert trace_of(await ask(pair.model("m-1"), "Hi"))["degraded"] is False


async def test_cost_usd_uses_registry_prices_and_reported_tokens(
    pair: Pair, ask: Callable[..., Any]
) -> None:
    registry = pair.registry()
    entry = {"id": "first-id", "cost": {"in": 2.0, "out": 10.0}}
    registry["providers"]["first"]["models"] = {"m-1": entry}
    answer = await ask(AutoChatModel("m-1", registry=registry), "Hi")
    assert answer.usage_metadata["input_tokens"] == 10
    assert answer.usage_metadata["output_tokens"] == 2
    assert trace_of(answer)["cost_usd"] == pytest.approx((10 * 2 + 2 * 10) / 1e6)


def test_stream_has_the_trace_on_its_last_chunk_only(pair: Pair) -> None:
    chunks = list(pair.model().stream("Hi"))
    with_trace = [n for n, chunk in enumerate(chunks) if "autoprovider" in chunk.response_metadata]
    assert with_trace == [len(chunks) - 1]
    assert trace_of(chunks[-1])["ttft_ms"] > 0
    assert chunks[-1].chunk_position == "last"


def test_stream_fails_over_silently_before_output(pair: Pair) -> None:
    pair.plays(Reply(cut_after=1))  # a role-only chunk, then the end
    chunks = list(pair.model().stream("Hi"))
    assert "".join(chunk.text for chunk in chunks) == "from second"
    assert attempts_of(chunks[-1])[0] == ("first", "failure", "invalid_response", None)


@pytest.mark.parametrize("ask", ["stream", "astream"])
async def test_stream_broken_after_output_is_interrupted(pair: Pair, ask: str) -> None:
    pair.plays(Reply("one two three", cut_after=3))
    received = []

    async def read() -> None:
        if ask == "stream":
            for chunk in pair.model().stream("Hi"):
                received.append(chunk.text)  # noqa: PERF401 - what came before the error counts
        else:
            async for chunk in pair.model().astream("Hi"):
                received.append(chunk.text)  # noqa: PERF401

    with pytest.raises(StreamInterrupted) as caught:
        await read()
    assert "".join(received) == "one two"
    assert caught.value.partial.text == "one two"
    assert caught.value.route.provider == "first"
    assert not pair.second.requests


async def test_batch_sends_every_prompt(pair: Pair) -> None:
    assert [m.text for m in pair.model().batch(["a", "b", "c"])] == ["from first"] * 3
    assert [m.text for m in await pair.model().abatch(["a", "b"])] == ["from first"] * 2
    prompts = sorted(r.body["messages"][0]["content"] for r in pair.first.requests)
    assert prompts == ["a", "a", "b", "b", "c"]


async def test_usage_callback_counts_tokens_once(pair: Pair, ask: Callable[..., Any]) -> None:
    counter = UsageMetadataCallbackHandler()
    model = pair.model().with_config(callbacks=[counter])
    await ask(model, "Hi")
    (usage,) = counter.usage_metadata.values()
    assert usage["total_tokens"] == 12


async def test_standard_parameters_reach_the_request(pair: Pair, ask: Callable[..., Any]) -> None:
    model = pair.model(temperature=0.5, max_tokens=7, top_p=0.9, seed=3, stop=["END"], timeout=30)
    await ask(model, "Hi")
    body = pair.first.requests[0].body
    expected = {"temperature": 0.5, "max_tokens": 7, "top_p": 0.9, "seed": 3, "stop": ["END"]}
    assert {name: body.get(name) for name in expected} == expected
    assert "timeout" not in body


def test_call_overrides_parameters_and_the_model(pair: Pair) -> None:
    model = pair.model("gpt-oss-120b", temperature=0.5)
    answer = model.invoke("Hi", temperature=0.1, stop=["X"], model="m-1")
    assert answer.text == "from first"
    body = pair.first.requests[0].body
    assert (body["temperature"], body["stop"], body["model"]) == (0.1, ["X"], "first-id")


def test_only_exclude_and_order_choose_providers(pair: Pair) -> None:
    def providers(**kwargs: Any) -> list[str]:
        return [route.provider for route in pair.model(**kwargs).routes]

    assert providers() == ["first", "second"]
    assert providers(only=["second"]) == ["second"]
    assert providers(exclude=["first"]) == ["second"]
    assert providers(order=["second"]) == ["second", "first"]
    assert [route.provider for route in pair.model("second/m-1").routes] == ["second"]


def test_sort_orders_the_providers_of_a_model(pair: Pair) -> None:
    registry = pair.registry()
    for provider, price in {"first": 2.0, "second": 1.0}.items():
        entry = {"id": f"{provider}-id", "cost": {"in": price, "out": price}}
        registry["providers"][provider]["models"] = {"m-1": entry}

    def served_by(sort: Any, **kwargs: Any) -> str:
        model = AutoChatModel("m-1", registry=registry, sort=sort, **kwargs)
        return trace_of(model.invoke("Hi"))["provider"]

    assert served_by("registry") == "first"
    assert served_by("price") == "second"
    assert served_by("price", order=["first"]) == "first"
    assert {served_by("random") for _ in range(20)} == {"first", "second"}


def test_sort_by_latency_avoids_the_slow_provider(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("random.random", lambda: 0.5)  # no exploring
    pair.plays(Reply("from first", delay_s=2.0))
    model = pair.model(sort="latency")
    providers = [trace_of(model.invoke("Hi"))["provider"] for _ in range(6)]
    assert providers == ["first", *["second"] * 5]


def test_api_keys_take_precedence_over_the_environment(pair: Pair) -> None:
    pair.model(api_keys={"first": "given-key"}).invoke("Hi")
    assert pair.first.requests[0].headers["authorization"] == "Bearer given-key"


def test_key_may_be_set_after_construction(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FIRST_KEY")
    monkeypatch.delenv("SECOND_KEY")
    model = pair.model()
    with pytest.raises(NoRouteError, match="first: set FIRST_KEY; second: set SECOND_KEY"):
        model.invoke("Hi")
    monkeypatch.setenv("SECOND_KEY", "late-key-value")
    assert model.invoke("Hi").text == "from second"


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"model": "gpt-oss-12b"}, UnknownModelError, "did you mean 'gpt-oss-120b'"),
        ({"model": "gpt-4"}, UnknownModelError, "'gpt-4' is retired since 2026-10-23; use"),
        ({"model": "anyscale/mixtral-8x7b"}, UnknownModelError, "'Anyscale' is closed"),
        ({"model": "groq/gpt-4o"}, UnknownModelError, "'groq' does not list 'gpt-4o'"),
        ({"only": ["grok"]}, ConfigError, "only: 'grok' is not a provider; did you mean 'groq'"),
        ({"api_keys": {"groq": ""}}, ConfigError, r"api_keys\['groq'\] is empty"),
        ({"api_keys": {"groq": "a\nb"}}, ConfigError, r"api_keys\['groq'\] contains a line break"),
        ({"registry": "/nowhere.json"}, RegistryError, "/nowhere.json: cannot be read"),
        ({"registry": {"providers": {"x": {"name": 5}}}}, RegistryError, r"\$\.providers\.x\.name"),
    ],
)  # fmt: skip
def test_constructor_refuses_what_cannot_work(
    arguments: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        AutoChatModel(**arguments)


def test_constructor_refuses_a_misspelled_argument() -> None:
    with pytest.raises(ValueError, match="temprature") as caught:
        AutoChatModel("gpt-oss-120b", temprature=0)  # type: ignore[call-arg]
    notes = ["unknown argument 'temprature'; did you mean 'temperature'?"]
    assert caught.value.__notes__ == notes


def test_model_name_is_the_first_name() -> None:
    model = AutoChatModel(["gpt-oss-120b", "gpt-oss-20b"])
    assert isinstance(model, BaseChatModel)
    assert model.model_name == "gpt-oss-120b"
    assert AutoChatModel().model_name == "auto"


def test_explain_gives_routes_and_reasons_for_the_rest(pair: Pair) -> None:
    plan = pair.model(["m-1", "gpt-oss-120b"]).explain()
    assert [str(route) for route in plan.routes] == ["first/m-1", "second/m-1"]
    text = str(plan)
    assert "FIRST_KEY" in text
    assert "set GROQ_API_KEY" in text
    assert "first-key-value" not in text
    assert plan._repr_html_().startswith("<pre")


def test_pickle_holds_the_names_of_keys_only(pair: Pair) -> None:
    model = pair.model(temperature=0.2)
    model.invoke("Hi")
    dump = pickle.dumps(model)
    assert b"first-key-value" not in dump
    assert pickle.loads(dump).invoke("Hi").text == "from first"
    with pytest.raises(TypeError, match="a model with api_keys cannot be pickled; set"):
        pickle.dumps(pair.model(api_keys={"first": "given-key"}))


@pytest.mark.parametrize("deep", [False, True])
def test_model_copy_uses_its_own_arguments(pair: Pair, deep: bool) -> None:
    model = pair.model(temperature=0.2)
    model.invoke("Hi")
    other = model.model_copy(update={"only": ("second",), "temperature": 0.4}, deep=deep)
    assert other.invoke("Hi").text == "from second"
    assert pair.second.requests[-1].body["temperature"] == 0.4
    assert model.invoke("Hi").text == "from first"


def test_routing_fields_can_be_assigned(pair: Pair) -> None:
    model = pair.model()
    assert model.invoke("Hi").text == "from first"
    model.exclude = ["first"]
    assert model.invoke("Hi").text == "from second"
    with pytest.raises(ConfigError, match="only: 'frist' is not a provider; did you mean 'first'"):
        model.only = ["frist"]
    assert model.only == ()
    model.temperature = 0.4
    assert model.invoke("Hi").text == "from second"
    assert pair.second.requests[-1].body["temperature"] == 0.4


def test_deepcopy_keeps_api_keys(pair: Pair) -> None:
    model = deepcopy(pair.model(api_keys={"first": "given-key"}))
    assert model.invoke("Hi").text == "from first"
    assert pair.first.requests[-1].headers["authorization"] == "Bearer given-key"


@pytest.mark.filterwarnings("ignore:.*is in beta")
def test_dumpd_and_load_restore_the_model(pair: Pair) -> None:
    model = pair.model(only=["second"], temperature=0.2)
    allowed = {"allowed_objects": [AutoChatModel], "valid_namespaces": ["langchain_autoprovider"]}
    loaded = load(dumpd(model), **allowed)
    assert loaded == model
    assert loaded.invoke("Hi").text == "from second"


def test_as_fallbacks_is_langchains_own_chain(pair: Pair) -> None:
    pair.plays(Reply(status=503))
    chain = pair.model().as_fallbacks()
    assert isinstance(chain, RunnableWithFallbacks)
    assert chain.invoke("Hi").text == "from second"
    with pytest.raises(ConfigError, match="a fallback chain needs two"):
        pair.model(only=["first"]).as_fallbacks()


def test_ainvoke_works_in_successive_event_loops(pair: Pair) -> None:
    model = pair.model()
    for _ in range(4):
        assert asyncio.run(model.ainvoke("Hi")).text == "from first"


def test_astream_notices_a_hang_up_while_its_loop_was_paused(pair: Pair) -> None:
    pair.first.replies = [Reply(status=503), Reply("from first")] * 3

    async def ask() -> str:
        model = pair.model("first/m-1", max_retries=0, cooldown=False)
        return "".join([chunk.text async for chunk in model.astream("Hi")])

    with asyncio.Runner() as runner:
        for _ in range(3):
            with pytest.raises(AllRoutesFailed, match="HTTP 503"):  # leaves an open connection
                runner.run(ask())
            pair.first.hang_up()  # the loop cannot see this before its next run
            assert runner.run(ask()) == "from first"


def test_concurrent_threads_share_one_connection(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "_connections", {})
    pair.model().batch([str(n) for n in range(16)], config={"max_concurrency": 16})
    assert len(connections._connections) == 1


def test_old_connections_are_dropped(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "MAX_CONNECTIONS", 2)
    monkeypatch.setattr(connections, "_connections", {})
    for n in range(4):
        assert pair.model(api_keys={"first": f"key-{n}-value"}).invoke("Hi").text == "from first"
    assert len(connections._connections) == 2


def test_none_means_default_for_max_retries_and_timeout(pair: Pair) -> None:
    assert pair.model(max_retries=None, timeout=None) == pair.model()


def test_max_retries_limits_the_attempts(pair: Pair) -> None:
    pair.plays(Reply(status=503))
    with pytest.raises(AllRoutesFailed, match="1 attempt"):
        pair.model(max_retries=0).invoke("Hi")
    assert not pair.second.requests


async def test_first_calls_at_once_share_one_connection(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = pair.model()
    for _ in range(3):
        monkeypatch.setattr(connections, "_loop_connections", WeakKeyDictionary())
        answers = await asyncio.gather(*(model.ainvoke("Hi") for _ in range(30)))
        assert {answer.text for answer in answers} == {"from first"}
        gc.collect()  # closes the connections that no call uses
