"""Two fake providers that serve the same model, and LLMs that use them."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from llama_index.core import SimpleDirectoryReader, VectorStoreIndex
from llama_index.core.node_parser import SentenceSplitter

from factories import PAIR_KEYS, two_providers
from llamaindex_autoprovider import AutoEmbedding, AutoLLM

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from llama_index.core import Document
    from llama_index.core.llms import ChatResponse
    from llama_index.core.schema import BaseNode

    from factories import Pair


@pytest.fixture(autouse=True)
def _unset_event_loop() -> None:
    """Unset the event loop: LlamaIndex then runs one and closes it, otherwise it leaks one."""
    asyncio.set_event_loop(None)


@pytest.fixture
def pair(monkeypatch: pytest.MonkeyPatch) -> Iterator[Pair]:
    for name, value in PAIR_KEYS.items():
        monkeypatch.setenv(name, value)
    with two_providers(model="m") as providers:
        yield providers


@pytest.fixture
def embedded(_no_prompt_cache: None) -> AutoLLM:
    """The embedded model: real weights behind a real server."""
    return AutoLLM("smollm2-135m", temperature=0, max_tokens=60, seed=1)


async def _chat(llm: Any, messages: Any, **kwargs: Any) -> ChatResponse:
    return llm.chat(messages, **kwargs)


async def _achat(llm: Any, messages: Any, **kwargs: Any) -> ChatResponse:
    return await llm.achat(messages, **kwargs)


async def _stream_chat(llm: Any, messages: Any, **kwargs: Any) -> ChatResponse:
    return list(llm.stream_chat(messages, **kwargs))[-1]


async def _astream_chat(llm: Any, messages: Any, **kwargs: Any) -> ChatResponse:
    return [part async for part in await llm.astream_chat(messages, **kwargs)][-1]


@pytest.fixture(
    params=[_chat, _achat, _stream_chat, _astream_chat], ids=lambda f: f.__name__.strip("_")
)
def ask(request: pytest.FixtureRequest) -> Callable[..., Any]:
    """One of the four ways to call an LLM. The answer of a stream is its last response."""
    return request.param


@pytest.fixture(scope="session")
def embed_model() -> AutoEmbedding:
    """The embedded model as an embedding model."""
    return AutoEmbedding("smollm2-135m")


@pytest.fixture(scope="session")
def documents() -> list[Document]:
    """Real documents: those of this project."""
    root = Path(__file__).parents[2]
    return SimpleDirectoryReader(input_files=[root / "CONTRIBUTING.md"]).load_data()


def _split(documents: list[Document]) -> list[BaseNode]:
    splitter = SentenceSplitter(chunk_size=120, chunk_overlap=0)
    return splitter.get_nodes_from_documents(documents)[:12]


@pytest.fixture
def nodes(documents: list[Document]) -> list[BaseNode]:
    return _split(documents)


@pytest.fixture(scope="session")
def index(documents: list[Document], embed_model: AutoEmbedding) -> VectorStoreIndex:
    return VectorStoreIndex(_split(documents), embed_model=embed_model)
