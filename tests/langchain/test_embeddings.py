"""`AutoEmbeddings` over providers of one model, sync and async."""

from __future__ import annotations

import asyncio
import pickle
from typing import TYPE_CHECKING, Any

import openai
import pytest

from factories import PAIR_KEYS
from inference_providers import AllRoutesFailed, ConfigError, NoRouteError, UnknownModelError
from inference_providers.testing import FakeProvider, Reply
from langchain_autoprovider import AutoEmbeddings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from inference_providers.testing import Request


def vectors(length: int = 3) -> Callable[[Request], Reply]:
    """Build a provider's replies: one vector per text, which starts with the text's length."""

    def reply(request: Request) -> Reply:
        data = [
            {"index": n, "embedding": [float(len(text))] + [0.5] * (length - 1)}
            for n, text in enumerate(request.body["input"])
        ]
        usage = {"prompt_tokens": 7, "total_tokens": 7}
        return Reply(body={"object": "list", "data": data[::-1], "usage": usage})

    return reply


class EmbeddingPair:
    """`first` and `second` serve `e-1`, each with its own id for it; `second` serves `e-2`."""

    def __init__(self, first: FakeProvider, second: FakeProvider) -> None:
        self.first = first
        self.second = second

    def embeddings(
        self, name: Any = "e-1", first: Any = None, second: Any = None, **arguments: Any
    ) -> AutoEmbeddings:
        rows = {
            "first": self.first.row({}, key="FIRST_KEY", embeddings={"e-1": first or "first-id"}),
            "second": self.second.row(
                {}, key="SECOND_KEY", embeddings={"e-1": second or "second-id", "e-2": "other-id"}
            ),
        }
        return AutoEmbeddings(name, registry={"providers": rows}, **arguments)


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> Iterator[EmbeddingPair]:
    for name, value in PAIR_KEYS.items():
        monkeypatch.setenv(name, value)
    with FakeProvider(vectors()) as first, FakeProvider(vectors()) as second:
        yield EmbeddingPair(first, second)


async def _sync(embeddings: AutoEmbeddings, texts: list[str]) -> list[list[float]]:
    return embeddings.embed_documents(texts)


async def _async(embeddings: AutoEmbeddings, texts: list[str]) -> list[list[float]]:
    return await embeddings.aembed_documents(texts)


@pytest.fixture(params=[_sync, _async], ids=["sync", "async"])
def embed(request: pytest.FixtureRequest) -> Callable[..., Any]:
    return request.param


async def test_embed_documents_keeps_the_order_of_texts(
    served: EmbeddingPair, embed: Callable[..., Any]
) -> None:
    embeddings = served.embeddings(batch_size=2)
    result = await embed(embeddings, ["a", "bb", "ccc", "dddd", "eeeee"])
    assert [vector[0] for vector in result] == [1, 2, 3, 4, 5]
    batches = [request.body["input"] for request in served.first.requests]
    assert batches == [["a", "bb"], ["ccc", "dddd"], ["eeeee"]]
    assert await embed(embeddings, []) == []


async def test_request_has_only_the_common_parameters(
    served: EmbeddingPair, embed: Callable[..., Any]
) -> None:
    await embed(served.embeddings(), ["a"])
    (request,) = served.first.requests
    assert request.path == "/v1/embeddings"
    assert request.body == {"model": "first-id", "input": ["a"]}
    assert request.headers["authorization"] == "Bearer first-key-value"


async def test_embeddings_fail_over_to_the_next_provider(
    served: EmbeddingPair, embed: Callable[..., Any]
) -> None:
    traces: list[dict[str, Any]] = []
    served.first.replies = [Reply(status=503)]
    entry = {"id": "second-id", "cost": {"in": 2.0, "out": 0.0}}
    embeddings = served.embeddings(second=entry, on_trace=traces.append)
    assert len(await embed(embeddings, ["a"])) == 1
    assert served.second.requests[0].body["model"] == "second-id"
    (trace,) = traces
    assert trace["provider"] == "second"
    assert [attempt["class"] for attempt in trace["attempts"]] == ["overloaded", None]
    assert trace["cost_usd"] == pytest.approx(14e-6)


@pytest.mark.parametrize(
    "reply",
    [
        Reply(body={"object": "list", "data": []}),
        Reply(body={"error": {"message": "overloaded"}}),
        Reply(body={"data": [{"index": 0, "embedding": "not a list"}]}),
        Reply(body="<html>"),
        vectors(4),
    ],
    ids=["no vectors", "error", "text", "page", "other length"],
)
async def test_response_without_the_vectors_is_a_failure(
    served: EmbeddingPair, embed: Callable[..., Any], reply: Any
) -> None:
    served.first.replies = [reply]
    embeddings = served.embeddings(second={"id": "second-id", "dimensions": 3})
    assert len((await embed(embeddings, ["a"]))[0]) == 3
    assert served.second.requests


@pytest.mark.parametrize("numbers", ["", "NaN, 1, 1", "1, Infinity, -Infinity", "1, 1, -1e999"])
async def test_vectors_that_cannot_be_compared_are_a_failure(
    served: EmbeddingPair, embed: Callable[..., Any], numbers: str
) -> None:
    body = f'{{"data": [{{"index": 0, "embedding": [{numbers}]}}]}}'
    served.first.replies = [Reply(body=body)]
    assert len((await embed(served.embeddings(), ["a"]))[0]) == 3
    assert served.second.requests


async def test_vectors_count_without_index_and_usage(
    served: EmbeddingPair, embed: Callable[..., Any]
) -> None:
    data = [{"index": None, "embedding": [1.0, 2.0]}]
    served.first.replies = [Reply(body={"data": data, "usage": {"prompt_tokens": None}})]
    traces: list[dict[str, Any]] = []
    embeddings = served.embeddings(on_trace=traces.append)
    assert await embed(embeddings, ["a"]) == [[1.0, 2.0]]
    assert traces[0]["provider"] == "first"


async def test_vectors_of_one_object_keep_their_length(
    served: EmbeddingPair, embed: Callable[..., Any]
) -> None:
    embeddings = served.embeddings(cooldown=False)
    await embed(embeddings, ["a"])
    served.first.replies = [Reply(status=503)]
    served.second.replies = [vectors(4)]
    with pytest.raises(AllRoutesFailed, match="vectors have 4 dimensions, not 3"):
        await embed(embeddings, ["a"])


async def test_copy_for_another_model_may_have_another_length(
    served: EmbeddingPair, embed: Callable[..., Any]
) -> None:
    embeddings = served.embeddings()
    await embed(embeddings, ["a"])
    served.second.replies = [vectors(4)]
    other = embeddings.model_copy(update={"model": "e-2"})
    assert len((await embed(other, ["a"]))[0]) == 4
    assert len((await embed(embeddings, ["a"]))[0]) == 3


def test_provider_with_another_dimension_is_skipped(served: EmbeddingPair) -> None:
    embeddings = served.embeddings(
        first={"id": "first-id", "dimensions": 3}, second={"id": "second-id", "dimensions": 4}
    )
    assert [route.provider for route in embeddings.routes] == ["first"]
    (skipped,) = [skip for skip in embeddings.explain().skipped if skip.provider == "second"]
    assert skipped.reason == "its vectors have 4 dimensions, not 3"


def test_expected_dimension_does_not_depend_on_keys(
    served: EmbeddingPair, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("FIRST_KEY")
    embeddings = served.embeddings(
        first={"id": "first-id", "dimensions": 3}, second={"id": "second-id", "dimensions": 4}
    )
    with pytest.raises(NoRouteError, match=r"4 dimensions, not 3; first: set FIRST_KEY"):
        embeddings.embed_query("a")


def test_dimensions_requests_a_shorter_vector(served: EmbeddingPair) -> None:
    embeddings = served.embeddings(first={"id": "first-id", "dimensions": 8}, dimensions=3)
    assert len(embeddings.embed_query("a")) == 3
    assert served.first.requests[0].body["dimensions"] == 3


def test_bad_request_raises_the_providers_own_exception(served: EmbeddingPair) -> None:
    served.first.replies = [Reply(status=400, body={"error": {"message": "input too long"}})]
    with pytest.raises(openai.BadRequestError, match="input too long"):
        served.embeddings().embed_query("a")
    assert not served.second.requests


def test_embeddings_of_different_models_are_refused(served: EmbeddingPair) -> None:
    with pytest.raises(ConfigError, match="cannot be compared: name one of 'e-1', 'e-2'"):
        served.embeddings(["e-1", "e-2"])
    with pytest.raises(ConfigError, match="embeddings need the name of a model"):
        served.embeddings(None)
    pinned = served.embeddings(["second/e-1", "first/e-1"])
    assert [route.provider for route in pinned.routes] == ["second", "first"]


def test_embeddings_of_a_chat_model_are_refused() -> None:
    with pytest.raises(UnknownModelError, match="gpt-oss-120b"):
        AutoEmbeddings("gpt-oss-120b")


def test_protocol_without_embeddings_is_skipped(served: EmbeddingPair) -> None:
    row = served.first.row({}, embeddings={"e-9": "id"})
    row["endpoints"]["default"]["protocol"] = "google-genai"
    embeddings = AutoEmbeddings("e-9", registry={"providers": {"far": row}})
    (skipped,) = [skip for skip in embeddings.explain().skipped if skip.provider == "far"]
    assert skipped.reason == (
        "this version cannot request embeddings with the protocol 'google-genai'"
    )


def test_embeddings_pickle_and_survive_event_loops(served: EmbeddingPair) -> None:
    unpickled = pickle.loads(pickle.dumps(served.embeddings()))
    assert len(unpickled.embed_query("a")) == 3
    assert [len(asyncio.run(unpickled.aembed_query("a"))) for _ in range(2)] == [3, 3]


def test_embeddings_never_show_a_key(served: EmbeddingPair) -> None:
    embeddings = served.embeddings("first/e-1", api_key="secret-value")
    embeddings.embed_query("a")
    assert served.first.requests[0].headers["authorization"] == "Bearer secret-value"
    assert "secret-value" not in f"{embeddings!r} {embeddings.model_dump()}"
    with pytest.raises(TypeError, match="cannot be pickled"):
        pickle.dumps(embeddings)


async def test_embedded_model_tells_similar_texts(embed: Callable[..., Any]) -> None:
    texts = ["The cat sleeps on the sofa.", "A cat is sleeping on a couch.", "Interest rates rose."]
    cat, same, other = await embed(AutoEmbeddings("smollm2-135m"), texts)
    assert len(cat) == 576

    def similarity(one: list[float], two: list[float]) -> float:
        return sum(a * b for a, b in zip(one, two, strict=True))

    assert similarity(cat, same) > similarity(cat, other)
