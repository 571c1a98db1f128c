"""`AutoEmbedding` over two providers and on the embedded model."""

from __future__ import annotations

import json
import pickle
from typing import TYPE_CHECKING, Any

import pytest
from llama_index.core import Settings, VectorStoreIndex
from llama_index.core.callbacks import CallbackManager, LlamaDebugHandler
from llama_index.core.callbacks.schema import CBEventType
from llama_index.core.embeddings import BaseEmbedding
from llama_index.core.ingestion import IngestionPipeline

from inference_providers import AllRoutesFailed, ConfigError
from inference_providers.testing import FakeProvider, Reply
from llamaindex_autoprovider import AutoEmbedding

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from llama_index.core.schema import BaseNode

    from inference_providers.testing import Request


def vectors(request: Request) -> Reply:
    """Answer vectors that tell the texts' lengths."""
    data = [
        {"index": n, "embedding": [1.0, float(len(text)), 0.0]}
        for n, text in enumerate(request.body["input"])
    ]
    return Reply(body={"data": data, "usage": {"prompt_tokens": len(data)}})


class Served:
    """`first` and `second` serve the embedding model `e`."""

    def __init__(self, first: FakeProvider, second: FakeProvider) -> None:
        self.first = first
        self.second = second

    def registry(self) -> dict[str, Any]:
        def row(fake: FakeProvider, name: str) -> dict[str, Any]:
            key = f"{name.upper()}_KEY"
            return fake.row({}, key=key, embeddings={"e": f"{name}-id"})

        return {
            "providers": {"first": row(self.first, "first"), "second": row(self.second, "second")}
        }

    def model(self, **arguments: Any) -> AutoEmbedding:
        return AutoEmbedding("e", registry=self.registry(), **arguments)


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    monkeypatch.setenv("FIRST_KEY", "first-key-value")
    monkeypatch.setenv("SECOND_KEY", "second-key-value")
    with FakeProvider(vectors) as first, FakeProvider(vectors) as second:
        yield Served(first, second)


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


async def test_a_text_is_embedded(served: Served, embed: Callable[..., Any]) -> None:
    debug = LlamaDebugHandler(print_trace_on_end=False)
    assert await embed(served.model(callback_manager=CallbackManager([debug]))) == [[1.0, 3.0, 0.0]]
    (sent,) = served.first.requests
    assert sent.body == {"model": "first-id", "input": ["abc"]}
    assert len(debug.get_event_pairs(CBEventType.EMBEDDING)) == 1


async def test_moves_to_the_next_provider(served: Served, embed: Callable[..., Any]) -> None:
    served.first.replies = [Reply(status=503)]
    told: list[dict[str, Any]] = []
    assert await embed(served.model(on_trace=told.append)) == [[1.0, 3.0, 0.0]]
    (trace,) = told
    assert [(a["provider"], a["class"]) for a in trace["attempts"]] == [
        ("first", "overloaded"),
        ("second", None),
    ]


async def test_all_providers_failing_is_told(served: Served, embed: Callable[..., Any]) -> None:
    served.first.replies = served.second.replies = [Reply(status=401)]
    with pytest.raises(AllRoutesFailed, match="check FIRST_KEY"):
        await embed(served.model())


def test_batches_are_llamaindexs(served: Served) -> None:
    model = served.model(embed_batch_size=2)
    found = model.get_text_embedding_batch(["a", "bb", "ccc", "dddd", "eeeee"])
    assert [vector[1] for vector in found] == [1.0, 2.0, 3.0, 4.0, 5.0]
    assert [len(request.body["input"]) for request in served.first.requests] == [2, 2, 1]


def test_a_provider_that_dies_while_an_index_is_built_is_replaced(
    served: Served, nodes: list[BaseNode]
) -> None:
    served.first.replies = [vectors, Reply(status=503)]
    model = served.model(embed_batch_size=2)
    index = VectorStoreIndex(nodes[:6], embed_model=model)
    assert len(index.vector_store.data.embedding_dict) == 6
    assert (len(served.first.requests), len(served.second.requests)) == (2, 2)
    assert index.as_retriever(similarity_top_k=2).retrieve("abc")


def test_vectors_of_another_length_do_not_enter_an_index(
    served: Served, nodes: list[BaseNode]
) -> None:
    other = Reply(body={"data": [{"index": 0, "embedding": [1.0]}]})
    served.first.replies = [vectors, Reply(status=503)]
    served.second.replies = [other]
    model = served.model(embed_batch_size=1)
    with pytest.raises(AllRoutesFailed, match="1 dimensions, not 3"):
        VectorStoreIndex(nodes[:3], embed_model=model)


def test_it_is_what_llamaindex_looks_for(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    model = served.model(batch_size=7)
    assert isinstance(model, BaseEmbedding)
    assert (model.class_name(), model.model_name, model.batch_size) == ("AutoEmbedding", "e", 7)
    assert repr(model) == "AutoEmbedding(model='e', batch_size=7)"
    assert [str(route) for route in model.routes] == ["first/e", "second/e"]
    assert "FIRST_KEY" in str(model.explain())
    monkeypatch.setattr(Settings, "_embed_model", None)
    Settings.embed_model = model
    assert Settings.embed_model.get_text_embedding("ab")[1] == 2.0


@pytest.mark.parametrize("deep", [False, True])
def test_a_copy_is_called_by_its_own_model(served: Served, deep: bool) -> None:
    model = served.model(embed_batch_size=2)
    other = model.model_copy(update={"model": "first/e"}, deep=deep)
    assert (other.model_name, other.to_dict()["model_name"]) == ("first/e", "first/e")
    assert (model.model_name, other.embed_batch_size) == ("e", 2)


def test_a_model_may_be_named_as_by_other_classes(served: Served) -> None:
    model = AutoEmbedding(model_name="e", registry=served.registry())
    assert (model.model, model.get_text_embedding("ab")[1]) == ("e", 2.0)


def test_a_model_must_be_named() -> None:
    with pytest.raises(ConfigError, match="embeddings need the name of a model"):
        AutoEmbedding()


def test_it_is_written_down_without_keys_and_read_back(served: Served) -> None:
    given = served.model(api_keys={"first": "given-key-value"})
    assert given.get_text_embedding("a")
    for told in (given.to_json(), repr(given), repr(given.to_payload()), repr(vars(given))):
        assert "key-value" not in told
    again = AutoEmbedding.from_dict(json.loads(given.to_json()))
    assert again.to_dict() == given.to_dict()
    dump = pickle.dumps(again)
    assert b"key-value" not in dump
    assert pickle.loads(dump).get_text_embedding("ab")[1] == 2.0
    with pytest.raises(TypeError, match="a model with api_keys cannot be pickled"):
        pickle.dumps(given)


def test_what_cannot_be_pickled_says_so(served: Served) -> None:
    """LlamaIndex would leave the model out, and what is read back would have none."""
    with pytest.raises((pickle.PicklingError, AttributeError), match="lambda"):
        pickle.dumps(served.model(on_trace=lambda _: None))


def test_the_real_model_finds_what_is_near() -> None:
    model = AutoEmbedding("smollm2-135m")
    near, far = "Dogs are pets.", "The register sums integers modulo 2 ** 32."
    asked = model.get_query_embedding("Cats are pets.")
    assert len(asked) == 576
    one, other = model.get_text_embedding_batch([near, far])
    assert model.similarity(asked, one) > model.similarity(asked, other)


async def test_a_pipeline_embeds_with_the_real_model(nodes: list[BaseNode]) -> None:
    pipeline = IngestionPipeline(transformations=[AutoEmbedding("smollm2-135m")])
    made = await pipeline.arun(nodes=nodes[:3])
    assert [len(node.embedding) for node in made] == [576] * 3
