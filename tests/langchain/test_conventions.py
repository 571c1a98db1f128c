"""LangChain's conventions: callbacks, caches, events, configuration, tracing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from langchain_core.caches import InMemoryCache
from langchain_core.callbacks import BaseCallbackHandler, UsageMetadataCallbackHandler
from langchain_core.load import dumps, loads
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage
from langchain_core.rate_limiters import BaseRateLimiter
from langchain_core.runnables import ConfigurableField
from pydantic import BaseModel

from inference_providers import AllRoutesFailed
from inference_providers.testing import FakeProvider, Reply
from langchain_autoprovider import AutoChatModel

if TYPE_CHECKING:
    from collections.abc import Callable

    from factories import Pair

WORDS = Reply("one two three")
COUNTED = {"input_tokens": 10, "output_tokens": 3, "total_tokens": 13}


class Sum(BaseModel):
    """A sum."""

    total: int


class Listener(BaseCallbackHandler):
    """Records the events that a callback receives."""

    def __init__(self) -> None:
        self.starts = 0
        self.tokens: list[str] = []
        self.ends: list[Any] = []
        self.errors: list[BaseException] = []

    def on_chat_model_start(self, *_: Any, **__: Any) -> None:
        self.starts += 1

    def on_llm_new_token(self, token: Any, **_: Any) -> None:
        self.tokens.append(token)

    def on_llm_end(self, response: Any, **_: Any) -> None:
        self.ends.append(response)

    def on_llm_error(self, error: BaseException, **_: Any) -> None:
        self.errors.append(error)


@pytest.mark.parametrize("streaming", [False, True], ids=["whole", "streaming"])
async def test_callbacks_fire_once_also_after_a_failed_route(
    pair: Pair, ask: Callable[..., Any], streaming: bool
) -> None:
    pair.plays(Reply(status=503))
    pair.second.replies = [WORDS]
    listener, usage = Listener(), UsageMetadataCallbackHandler()
    arguments = {"streaming": True} if streaming else {}
    model = pair.model(callbacks=[listener, usage], **arguments)
    answer = await ask(model, "Hi")
    assert listener.starts == len(listener.ends) == 1
    assert not listener.errors
    assert {**usage.usage_metadata["second-id"]}.items() >= COUNTED.items()
    assert answer.usage_metadata.items() >= COUNTED.items()
    streamed = streaming or "stream" in ask.__name__
    assert [token for token in listener.tokens if token] == (
        ["one", " two", " three"] if streamed else []
    )
    message = listener.ends[0].generations[0][0].message
    assert message.response_metadata["autoprovider"]["provider"] == "second"


async def test_callbacks_receive_a_failure_once(pair: Pair, ask: Callable[..., Any]) -> None:
    pair.first.replies = pair.second.replies = [Reply(status=503)]
    listener = Listener()
    with pytest.raises(AllRoutesFailed) as caught:
        await ask(pair.model(callbacks=[listener]), "Hi")
    assert listener.errors == [caught.value]
    assert not listener.ends


async def test_astream_events_has_each_token_once(pair: Pair) -> None:
    pair.plays(WORDS)
    data_of: dict[str, list[Any]] = {}
    async for event in pair.model().astream_events("Hi", version="v2"):
        data_of.setdefault(event["event"], []).append(event["data"])
    texts = [data["chunk"].text for data in data_of["on_chat_model_stream"]]
    assert [text for text in texts if text] == ["one", " two", " three"]
    assert len(data_of["on_chat_model_start"]) == len(data_of["on_chat_model_end"]) == 1
    (end,) = data_of["on_chat_model_end"]
    assert end["output"].usage_metadata.items() >= COUNTED.items()


def test_stream_events_v3_end_with_the_trace(pair: Pair) -> None:
    pair.plays(Reply(status=503))
    pair.second.replies = [WORDS]
    stream = pair.model().stream_events("Hi", version="v3")
    texts = [
        event["delta"]["text"]
        for event in stream
        if event["event"] == "content-block-delta" and event["delta"].get("text")
    ]
    assert texts == ["one", " two", " three"]
    assert stream.output.response_metadata["autoprovider"]["provider"] == "second"
    assert stream.output.usage_metadata.items() >= COUNTED.items()


async def test_cached_answer_keeps_its_trace(pair: Pair, ask: Callable[..., Any]) -> None:
    cache = InMemoryCache()
    first = await ask(pair.model(cache=cache, temperature=0), "Hi")
    cached = await ask(pair.model(cache=cache, temperature=0), "Hi")
    assert cached.text == first.text
    if "stream" in ask.__name__:  # LangChain caches no streams
        assert len(pair.first.requests) == 2
        return
    assert cached.response_metadata["autoprovider"] == first.response_metadata["autoprovider"]
    assert len(pair.first.requests) == 1
    await ask(pair.model(cache=cache, temperature=1), "Hi")
    assert len(pair.first.requests) == 2


@pytest.mark.parametrize("how", ["copied", "set"])
def test_cache_distinguishes_the_arguments(pair: Pair, how: str) -> None:
    model = pair.model("first/m-1", cache=InMemoryCache())
    assert model.invoke("Hi").text == "from first"
    for changes in ({"temperature": 0.5}, {"model": "second/m-1"}):
        if how == "copied":
            model = model.model_copy(update=changes)
        else:
            for name, value in changes.items():
                setattr(model, name, value)
        answer = model.invoke("Hi")
    assert len(pair.first.requests) == 2
    assert answer.text == "from second"


def test_cache_key_holds_no_api_key(pair: Pair) -> None:
    cache_keys: list[str] = []

    class Recording(InMemoryCache):
        def lookup(self, prompt: str, llm_string: str) -> Any:
            cache_keys.append(llm_string)
            return super().lookup(prompt, llm_string)

    pair.model(cache=Recording(), api_keys={"first": "a-given-key"}).invoke("Hi")
    assert cache_keys
    assert "a-given-key" not in cache_keys[0]


@pytest.mark.filterwarnings("ignore:.*is in beta")
def test_dumps_leaves_out_keys_and_loads_restores(pair: Pair) -> None:
    model = pair.model("first/m-1", api_key="a-given-key", temperature=0.5)
    text = dumps(model)
    assert "a-given-key" not in text
    loaded = loads(
        text, allowed_objects=[AutoChatModel], valid_namespaces=["langchain_autoprovider"]
    )
    assert loaded.temperature == 0.5
    loaded.invoke("Hi")
    assert pair.first.requests[0].headers["authorization"] == "Bearer first-key-value"


async def test_configurable_fields_change_a_call(pair: Pair, ask: Callable[..., Any]) -> None:
    names = {name: ConfigurableField(id=name) for name in ("model", "temperature")}
    model = pair.model().configurable_fields(**names)
    chosen = model.with_config(configurable={"model": "second/m-1", "temperature": 0.25})
    assert (await ask(chosen, "Hi")).text == "from second"
    assert pair.second.requests[0].body["temperature"] == 0.25
    assert (await ask(model, "Hi")).text == "from first"


async def test_configurable_alternatives_include_the_model(
    pair: Pair, ask: Callable[..., Any]
) -> None:
    model = pair.model("first/m-1").configurable_alternatives(
        ConfigurableField(id="which"), other=pair.model("second/m-1")
    )
    assert (await ask(model, "Hi")).text == "from first"
    other = model.with_config(configurable={"which": "other"})
    assert (await ask(other, "Hi")).text == "from second"


@pytest.mark.parametrize("how", ["invoke", "ainvoke"])
async def test_with_retry_and_with_fallbacks_work(pair: Pair, how: str) -> None:
    pair.plays(Reply(status=500), Reply("at last"))
    model = pair.model("first/m-1", max_attempts=1, cooldown=False)
    retrying = model.with_retry(stop_after_attempt=2, wait_exponential_jitter=False)
    answer = retrying.invoke("Hi") if how == "invoke" else await retrying.ainvoke("Hi")
    assert answer.text == "at last"
    pair.plays(Reply(status=500))
    with_fallback = model.with_fallbacks([pair.model("second/m-1")])
    answer = with_fallback.invoke("Hi") if how == "invoke" else await with_fallback.ainvoke("Hi")
    assert answer.text == "from second"


def test_fallback_chain_binds_tools_and_schemas(pair: Pair) -> None:
    call = {"name": "Sum", "arguments": {"total": 5}}
    pair.plays(Reply(status=503))
    pair.second.replies = [Reply("", tool_calls=(call,))]
    model = pair.model("first/m-1", cooldown=False)
    chain: Any = model.with_fallbacks([pair.model("second/m-1")])
    assert chain.bind_tools([Sum]).invoke("2 + 3?").tool_calls[0]["name"] == "Sum"
    structured = chain.with_structured_output(Sum, method="function_calling")
    assert structured.invoke("2 + 3?") == Sum(total=5)
    assert chain.explain().routes[0].provider == "first"


class Counting(BaseRateLimiter):
    """Lets every call pass and counts it."""

    def __init__(self) -> None:
        self.passed = 0

    def acquire(self, *, blocking: bool = True) -> bool:
        self.passed += 1
        return blocking

    async def aacquire(self, *, blocking: bool = True) -> bool:
        return self.acquire(blocking=blocking)


async def test_rate_limiter_is_used_once_per_call(pair: Pair, ask: Callable[..., Any]) -> None:
    pair.plays(Reply(status=503))
    limiter = Counting()
    await ask(pair.model(rate_limiter=limiter), "Hi")
    assert limiter.passed == 1


@pytest.mark.parametrize("how", ["batch", "abatch"])
async def test_batch_keeps_order_and_isolates_failures(how: str) -> None:
    def echo(request: Any) -> Reply:
        prompt = request.body["messages"][0]["content"]
        return Reply(status=400) if prompt == "bad" else Reply(prompt)

    with FakeProvider(echo) as fake:
        model = AutoChatModel("fake/m", registry={"providers": {"fake": fake.row({"m": "m"})}})
        prompts = ["a", "b", "bad", *map(str, range(20))]
        limits: Any = {"max_concurrency": 4}
        if how == "batch":
            answers = model.batch(prompts, limits, return_exceptions=True)
        else:
            answers = await model.abatch(prompts, limits, return_exceptions=True)
    assert isinstance(answers[2], Exception)
    texts = [answer.text for answer in answers if isinstance(answer, AIMessage)]
    assert texts == [prompt for prompt in prompts if prompt != "bad"]


def test_get_num_tokens_needs_no_tokenizer(embedded: AutoChatModel) -> None:
    assert embedded.get_num_tokens("x" * 40) == 10
    messages = [SystemMessage("Be brief."), HumanMessage("x" * 400)]
    assert 100 < embedded.get_num_tokens_from_messages(messages) < 130
    custom = AutoChatModel(custom_get_token_ids=lambda text: list(range(len(text))))
    assert custom.get_num_tokens("four") == 4


def test_ls_params_hold_the_standard_parameters() -> None:
    model = AutoChatModel("gpt-oss-120b", temperature=0.5, max_tokens=9, stop=["x"])
    assert model._get_ls_params() == {
        "ls_provider": "autoprovider",
        "ls_model_name": "gpt-oss-120b",
        "ls_model_type": "chat",
        "ls_temperature": 0.5,
        "ls_max_tokens": 9,
        "ls_stop": ["x"],
    }
    assert model._get_ls_params(model="another")["ls_model_name"] == "another"
    assert AutoChatModel()._get_ls_params()["ls_model_name"] == "auto"


async def test_answer_metadata_names_the_provider(ask: Callable[..., Any]) -> None:
    thinking = Reply("5", reasoning="2 and 3", tool_calls=({"name": "add", "arguments": {}},))
    with FakeProvider(thinking) as fake:
        row = fake.row({"m": {"id": "own-id", "cost": {"in": 1.0, "out": 2.0}}})
        model = AutoChatModel("fake/m", registry={"providers": {"fake": row}})
        answer = await ask(model, "Hi")
    metadata = answer.response_metadata
    assert (metadata["model_provider"], metadata["model_name"]) == ("fake", "own-id")
    assert [block["type"] for block in answer.content_blocks] == ["reasoning", "text", "tool_call"]
    assert metadata["autoprovider"]["cost_usd"] == pytest.approx((10 * 1.0 + 1 * 2.0) / 1e6)


@pytest.mark.parametrize(
    ("provider", "model_provider"), [("groq", "groq-openai"), ("openai", "openai")]
)
def test_content_translator_follows_the_protocol(provider: str, model_provider: str) -> None:
    with FakeProvider(Reply("5", reasoning="2 and 3")) as fake:
        row = fake.row({"m": "m"})
        answer = AutoChatModel(f"{provider}/m", registry={"providers": {provider: row}}).invoke(
            "Hi"
        )
    assert answer.response_metadata["model_provider"] == model_provider
    assert answer.content_blocks[-1] == {"type": "text", "text": "5"}
