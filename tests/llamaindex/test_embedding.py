"""`AutoEmbedding` over two providers and on the embedded model."""

from __future__ import annotations

import json
import pickle
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from llama_index.core import Settings, VectorStoreIndex
from llama_index.core.callbacks import CallbackManager, LlamaDebugHandler
from llama_index.core.callbacks.schema import CBEventType
from llama_index.core.embeddings import BaseEmbedding
from llama_index.core.ingestion import IngestionPipeline

from factories import PAIR_KEYS
from inference_providers import AllRoutesFailed, ConfigError
from inference_providers.testing import FakeProvider, Reply
from llamaindex_autoprovider import AutoEmbedding

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from llama_index.core.schema import BaseNode

    from inference_providers.testing import Request


def vectors(request: Request) -> Reply:
    """Answer one vector per text; its second number is the text's length."""
    data = [
        {"index": n, "embedding": [1.0, float(len(text)), 0.0]}
        for n, text in enumerate(request.body["input"])
    ]
    return Reply(body={"data": data, "usage": {"prompt_tokens": len(data)}})


class EmbeddingPair(NamedTuple):
    """Two providers, `first` and `second`, that serve the embedding model `e`."""

    first: FakeProvider
    second: FakeProvider

    def registry(self) -> dict[str, Any]:
        def row(fake: FakeProvider, name: str) -> dict[str, Any]:
            return fake.row({}, key=f"{name.upper()}_KEY", embeddings={"e": f"{name}-id"})

        return {
            "providers": {"first": row(self.first, "first"), "second": row(self.second, "second")}
        }

    def model(self, **arguments: Any) -> AutoEmbedding:
        return AutoEmbedding("e", registry=self.registry(), **arguments)


@pytest.fixture
def pair(monkeypatch: pytest.MonkeyPatch) -> Iterator[EmbeddingPair]:
    for name, value in PAIR_KEYS.items():
        monkeypatch.setenv(name, value)
    with FakeProvider(vectors) as first, FakeProvider(vectors) as second:
        yield EmbeddingPair(first, second)


async def _query(model: AutoEmbedding) -> list[list[float]]:
    return [model.get_query_embedding("abc")]


async def _aquery(model: AutoEmbedding) -> list[list[float]]:
    return [await model.aget_query_embedding("abc")]


async def _text(model: AutoEmbedding) -> list[list[float]]:
    return [model.get_text_embedding("abc")]


async def _atext(model: AutoEmbedding) -> list[list[float]]:
    return [await model.aget_text_embedding("abc")]


async def _batch(model: AutoEmbedding) -> list[list[float]]:
    return model.get_text_embedding_batch(["abc"])


async def _abatch(model: AutoEmbedding) -> list[list[float]]:
    return await model.aget_text_embedding_batch(["abc"])


@pytest.fixture(
    params=[_query, _aquery, _text, _atext, _batch, _abatch], ids=lambda f: f.__name__.strip("_")
)
def embed(request: pytest.FixtureRequest) -> Callable[..., Any]:
    return request.param


async def test_embedding_calls_send_one_request(
    pair: EmbeddingPair, embed: Callable[..., Any]
) -> None:
    debug = LlamaDebugHandler(print_trace_on_end=False)
    assert await embed(pair.model(callback_manager=CallbackManager([debug]))) == [[1.0, 3.0, 0.0]]
    (sent,) = pair.first.requests
    assert sent.body == {"model": "first-id", "input": ["abc"]}
    assert len(debug.get_event_pairs(CBEventType.EMBEDDING)) == 1


async def test_embedding_fails_over_to_the_next_provider(
    pair: EmbeddingPair, embed: Callable[..., Any]
) -> None:
    pair.first.replies = [Reply(status=503)]
    traces: list[dict[str, Any]] = []
    assert await embed(pair.model(on_trace=traces.append)) == [[1.0, 3.0, 0.0]]
    (trace,) = traces
    assert [(it["provider"], it["class"]) for it in trace["attempts"]] == [
        ("first", "overloaded"),
        ("second", None),
    ]


async def test_all_routes_failed_names_the_key_to_check(
    pair: EmbeddingPair, embed: Callable[..., Any]
) -> None:
    pair.first.replies = pair.second.replies = [Reply(status=401)]
    with pytest.raises(AllRoutesFailed, match="check FIRST_KEY"):
        await embed(pair.model())


def test_embed_batch_size_splits_requests(pair: EmbeddingPair) -> None:
    model = pair.model(embed_batch_size=2)
    embedded = model.get_text_embedding_batch(["a", "bb", "ccc", "dddd", "eeeee"])
    assert [vector[1] for vector in embedded] == [1.0, 2.0, 3.0, 4.0, 5.0]
    assert [len(request.body["input"]) for request in pair.first.requests] == [2, 2, 1]


def test_index_build_fails_over_between_batches(pair: EmbeddingPair, nodes: list[BaseNode]) -> None:
    pair.first.replies = [vectors, Reply(status=503)]
    model = pair.model(embed_batch_size=2)
    index = VectorStoreIndex(nodes[:6], embed_model=model)
    assert len(index.vector_store.data.embedding_dict) == 6
    assert (len(pair.first.requests), len(pair.second.requests)) == (2, 2)
    assert index.as_retriever(similarity_top_k=2).retrieve("abc")


def test_index_refuses_vectors_of_another_length(
    pair: EmbeddingPair, nodes: list[BaseNode]
) -> None:
    other = Reply(body={"data": [{"index": 0, "embedding": [1.0]}]})
    pair.first.replies = [vectors, Reply(status=503)]
    pair.second.replies = [other]
    model = pair.model(embed_batch_size=1)
    with pytest.raises(AllRoutesFailed, match="1 dimensions, not 3"):
        VectorStoreIndex(nodes[:3], embed_model=model)


def test_auto_embedding_is_a_base_embedding(
    pair: EmbeddingPair, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = pair.model(batch_size=7)
    assert isinstance(model, BaseEmbedding)
    assert (model.class_name(), model.model_name, model.batch_size) == ("AutoEmbedding", "e", 7)
    assert repr(model) == "AutoEmbedding(model='e', batch_size=7)"
    assert [str(route) for route in model.routes] == ["first/e", "second/e"]
    assert "FIRST_KEY" in str(model.explain())
    monkeypatch.setattr(Settings, "_embed_model", None)
    Settings.embed_model = model
    assert Settings.embed_model.get_text_embedding("ab")[1] == 2.0


@pytest.mark.parametrize("deep", [False, True])
def test_model_copy_updates_model_name(pair: EmbeddingPair, deep: bool) -> None:
    model = pair.model(embed_batch_size=2)
    other = model.model_copy(update={"model": "first/e"}, deep=deep)
    assert (other.model_name, other.to_dict()["model_name"]) == ("first/e", "first/e")
    assert (model.model_name, other.embed_batch_size) == ("e", 2)


def test_model_name_is_an_alias_of_model(pair: EmbeddingPair) -> None:
    model = AutoEmbedding(model_name="e", registry=pair.registry())
    assert (model.model, model.get_text_embedding("ab")[1]) == ("e", 2.0)


def test_constructor_requires_a_model() -> None:
    with pytest.raises(ConfigError, match="embeddings need the name of a model"):
        AutoEmbedding()


def test_dumps_and_pickles_hold_no_key(pair: EmbeddingPair) -> None:
    model = pair.model(api_keys={"first": "given-key-value"})
    assert model.get_text_embedding("a")
    for text in (model.to_json(), repr(model), repr(model.to_payload()), repr(vars(model))):
        assert "key-value" not in text
    loaded = AutoEmbedding.from_dict(json.loads(model.to_json()))
    assert loaded.to_dict() == model.to_dict()
    dump = pickle.dumps(loaded)
    assert b"key-value" not in dump
    assert pickle.loads(dump).get_text_embedding("ab")[1] == 2.0
    with pytest.raises(TypeError, match="a model with api_keys cannot be pickled"):
        pickle.dumps(model)


def test_pickling_a_callback_raises(pair: EmbeddingPair) -> None:
    """LlamaIndex would drop the model from the pickle without a word."""
    with pytest.raises((pickle.PicklingError, AttributeError), match="lambda"):
        pickle.dumps(pair.model(on_trace=lambda _: None))


def test_embedded_model_ranks_related_texts_higher() -> None:
    model = AutoEmbedding("smollm2-135m")
    query = model.get_query_embedding("Cats are pets.")
    assert len(query) == 576
    related, unrelated = model.get_text_embedding_batch(
        ["Dogs are pets.", "The register sums integers modulo 2 ** 32."]
    )
    assert model.similarity(query, related) > model.similarity(query, unrelated)


async def test_ingestion_pipeline_embeds_nodes(nodes: list[BaseNode]) -> None:
    pipeline = IngestionPipeline(transformations=[AutoEmbedding("smollm2-135m")])
    embedded = await pipeline.arun(nodes=nodes[:3])
    assert [len(node.embedding) for node in embedded] == [576] * 3
