"""`AutoEmbeddings` over providers of one model, sync and async."""

from __future__ import annotations

import asyncio
import pickle
from typing import TYPE_CHECKING, Any

import openai
import pytest

from inference_providers import AllRoutesFailed, ConfigError, NoRouteError, UnknownModelError
from inference_providers.testing import FakeProvider, Reply
from langchain_autoprovider import AutoEmbeddings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from inference_providers.testing import Request


def vectors(length: int = 3) -> Callable[[Request], Reply]:
    """Return a provider's answer: a vector per text that begins with the text's length."""

    def answer(request: Request) -> Reply:
        data = [
            {"index": n, "embedding": [float(len(text))] + [0.5] * (length - 1)}
            for n, text in enumerate(request.body["input"])
        ]
        usage = {"prompt_tokens": 7, "total_tokens": 7}
        return Reply(body={"object": "list", "data": data[::-1], "usage": usage})

    return answer


class Served:
    """`first` and `second` serve `e-1`, each under its own id."""

    def __init__(self, first: FakeProvider, second: FakeProvider) -> None:
        self.first = first
        self.second = second

    def embeddings(
        self, name: Any = "e-1", first: Any = None, second: Any = None, **kwargs: Any
    ) -> AutoEmbeddings:
        rows = {
            "first": self.first.row({}, key="FIRST_KEY", embeddings={"e-1": first or "first-id"}),
            "second": self.second.row(
                {}, key="SECOND_KEY", embeddings={"e-1": second or "second-id", "e-2": "other-id"}
            ),
        }
        return AutoEmbeddings(name, registry={"providers": rows}, **kwargs)


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    monkeypatch.setenv("FIRST_KEY", "first-key-value")
    monkeypatch.setenv("SECOND_KEY", "second-key-value")
    with FakeProvider(vectors()) as first, FakeProvider(vectors()) as second:
        yield Served(first, second)


async def _documents(embeddings: AutoEmbeddings, texts: list[str]) -> list[list[float]]:
    return embeddings.embed_documents(texts)


async def _adocuments(embeddings: AutoEmbeddings, texts: list[str]) -> list[list[float]]:
    return await embeddings.aembed_documents(texts)


@pytest.fixture(params=[_documents, _adocuments], ids=["sync", "async"])
def embed(request: pytest.FixtureRequest) -> Callable[..., Any]:
    return request.param


async def test_each_text_has_its_vector_in_order(served: Served, embed: Callable[..., Any]) -> None:
    embeddings = served.embeddings(batch_size=2)
    found = await embed(embeddings, ["a", "bb", "ccc", "dddd", "eeeee"])
    assert [vector[0] for vector in found] == [1, 2, 3, 4, 5]
    sent = [request.body["input"] for request in served.first.requests]
    assert sent == [["a", "bb"], ["ccc", "dddd"], ["eeeee"]]
    assert await embed(embeddings, []) == []


async def test_a_request_says_only_what_every_provider_takes(
    served: Served, embed: Callable[..., Any]
) -> None:
    await embed(served.embeddings(), ["a"])
    (request,) = served.first.requests
    assert request.path == "/v1/embeddings"
    assert request.body == {"model": "first-id", "input": ["a"]}
    assert request.headers["authorization"] == "Bearer first-key-value"


async def test_it_moves_to_the_next_provider_of_the_model(
    served: Served, embed: Callable[..., Any]
) -> None:
    told: list[dict[str, Any]] = []
    served.first.replies = [Reply(status=503)]
    entry = {"id": "second-id", "cost": {"in": 2.0, "out": 0.0}}
    embeddings = served.embeddings(second=entry, on_trace=told.append)
    assert len(await embed(embeddings, ["a"])) == 1
    assert served.second.requests[0].body["model"] == "second-id"
    (trace,) = told
    assert trace["provider"] == "second"
    assert [a["class"] for a in trace["attempts"]] == ["overloaded", None]
    assert trace["cost_usd"] == pytest.approx(14e-6)


@pytest.mark.parametrize(
    "broken",
    [
        Reply(body={"object": "list", "data": []}),
        Reply(body={"error": {"message": "overloaded"}}),
        Reply(body={"data": [{"index": 0, "embedding": "no list"}]}),
        Reply(body="<html>"),
        vectors(4),
    ],
    ids=["none", "error", "text", "page", "other length"],
)
async def test_vectors_that_are_none_are_a_failure(
    served: Served, embed: Callable[..., Any], broken: Any
) -> None:
    served.first.replies = [broken]
    embeddings = served.embeddings(second={"id": "second-id", "dimensions": 3})
    assert len((await embed(embeddings, ["a"]))[0]) == 3
    assert served.second.requests


async def test_vectors_of_one_object_never_change_their_length(
    served: Served, embed: Callable[..., Any]
) -> None:
    embeddings = served.embeddings(cooldown=False)
    await embed(embeddings, ["a"])
    served.first.replies = [Reply(status=503)]
    served.second.replies = [vectors(4)]
    with pytest.raises(AllRoutesFailed, match="vectors have 4 dimensions, not 3"):
        await embed(embeddings, ["a"])


def test_a_provider_with_another_dimension_is_passed_over(served: Served) -> None:
    embeddings = served.embeddings(
        first={"id": "first-id", "dimensions": 3}, second={"id": "second-id", "dimensions": 4}
    )
    assert [route.provider for route in embeddings.routes] == ["first"]
    (skipped,) = [skip for skip in embeddings.explain().skipped if skip.provider == "second"]
    assert skipped.reason == "its vectors have 4 dimensions, not 3"


def test_which_dimension_is_meant_does_not_hang_on_keys(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("FIRST_KEY")
    embeddings = served.embeddings(
        first={"id": "first-id", "dimensions": 3}, second={"id": "second-id", "dimensions": 4}
    )
    with pytest.raises(NoRouteError, match=r"4 dimensions, not 3; first: set FIRST_KEY"):
        embeddings.embed_query("a")


def test_a_shorter_vector_is_asked_for(served: Served) -> None:
    embeddings = served.embeddings(first={"id": "first-id", "dimensions": 8}, dimensions=3)
    assert len(embeddings.embed_query("a")) == 3
    assert served.first.requests[0].body["dimensions"] == 3


def test_a_request_that_is_wrong_raises_the_providers_own_exception(served: Served) -> None:
    served.first.replies = [Reply(status=400, body={"error": {"message": "input too long"}})]
    with pytest.raises(openai.BadRequestError, match="input too long"):
        served.embeddings().embed_query("a")
    assert not served.second.requests


def test_different_models_are_refused(served: Served) -> None:
    with pytest.raises(ConfigError, match="of one model, and 'e-1', 'e-2' are named; name one"):
        served.embeddings(["e-1", "e-2"])
    with pytest.raises(ConfigError, match="of one model, and none is named"):
        served.embeddings(None)
    pins = served.embeddings(["second/e-1", "first/e-1"])
    assert [route.provider for route in pins.routes] == ["second", "first"]


def test_a_chat_model_is_none() -> None:
    with pytest.raises(UnknownModelError, match="gpt-oss-120b"):
        AutoEmbeddings("gpt-oss-120b")


def test_a_provider_that_speaks_another_protocol_is_passed_over(served: Served) -> None:
    row = served.first.row({}, embeddings={"e-9": "id"})
    row["endpoints"]["default"]["protocol"] = "google-genai"
    embeddings = AutoEmbeddings("e-9", registry={"providers": {"far": row}})
    (skipped,) = [skip for skip in embeddings.explain().skipped if skip.provider == "far"]
    assert "embeddings are not asked over 'google-genai'" in skipped.reason


def test_it_goes_where_programs_go(served: Served) -> None:
    again = pickle.loads(pickle.dumps(served.embeddings()))
    assert len(again.embed_query("a")) == 3
    assert [len(asyncio.run(again.aembed_query("a"))) for _ in range(2)] == [3, 3]


def test_no_key_is_shown(served: Served) -> None:
    embeddings = served.embeddings("first/e-1", api_key="a-key-that-was-given")
    embeddings.embed_query("a")
    assert served.first.requests[0].headers["authorization"] == "Bearer a-key-that-was-given"
    assert "a-key-that-was-given" not in f"{embeddings!r} {embeddings.model_dump()}"
    with pytest.raises(TypeError, match="cannot be pickled"):
        pickle.dumps(embeddings)


async def test_the_embedded_model_tells_likeness(embed: Callable[..., Any]) -> None:
    texts = ["The cat sleeps on the sofa.", "A cat is sleeping on a couch.", "Interest rates rose."]
    cat, same, other = await embed(AutoEmbeddings("smollm2-135m"), texts)
    assert len(cat) == 576

    def likeness(one: list[float], two: list[float]) -> float:
        return sum(a * b for a, b in zip(one, two, strict=True))

    assert likeness(cat, same) > likeness(cat, other)
