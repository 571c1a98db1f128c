"""Retrieval over real documents: on the embedded model, and with failover on fake providers."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from llama_index.core import (
    StorageContext,
    SummaryIndex,
    TreeIndex,
    VectorStoreIndex,
    load_index_from_storage,
)
from llama_index.core.evaluation import FaithfulnessEvaluator
from llama_index.core.extractors import SummaryExtractor
from llama_index.core.ingestion import IngestionCache, IngestionPipeline
from llama_index.core.node_parser import SentenceSplitter
from llama_index.core.query_engine import RouterQueryEngine, SubQuestionQueryEngine
from llama_index.core.question_gen import LLMQuestionGenerator
from llama_index.core.selectors import PydanticSingleSelector
from llama_index.core.tools import QueryEngineTool
from llama_index.core.utils import get_tokenizer

from inference_providers import NoRouteError, StreamInterrupted
from inference_providers.testing import Reply
from llamaindex_autoprovider import AutoLLM

if TYPE_CHECKING:
    from pathlib import Path

    from llama_index.core.embeddings import BaseEmbedding
    from llama_index.core.schema import BaseNode

    from factories import Pair
QUESTION = "What does make lint do?"


@pytest.fixture
def brief(embedded: AutoLLM) -> AutoLLM:
    embedded.chat_model.max_tokens = 16
    return embedded


def test_query_engine_answers_from_documents(index: VectorStoreIndex, brief: AutoLLM) -> None:
    answer = index.as_query_engine(llm=brief, similarity_top_k=1).query(QUESTION)
    assert str(answer).strip()
    assert answer.source_nodes[0].metadata["file_name"] == "CONTRIBUTING.md"


def test_query_engine_streams(index: VectorStoreIndex, brief: AutoLLM) -> None:
    engine = index.as_query_engine(llm=brief, similarity_top_k=1, streaming=True)
    assert len(list(engine.query(QUESTION).response_gen)) > 2


async def test_query_engine_streams_asynchronously(index: VectorStoreIndex, brief: AutoLLM) -> None:
    engine = index.as_query_engine(llm=brief, similarity_top_k=1, streaming=True, use_async=True)
    answer = await engine.aquery(QUESTION)
    assert len([token async for token in answer.async_response_gen()]) > 2


def test_chat_engine_remembers_the_conversation(index: VectorStoreIndex, brief: AutoLLM) -> None:
    engine = index.as_chat_engine(chat_mode="condense_plus_context", llm=brief, similarity_top_k=1)
    assert str(engine.chat(QUESTION)).strip()
    assert "".join(engine.stream_chat("And make test?").response_gen).strip()
    assert [message.role for message in engine.chat_history] == ["user", "assistant"] * 2


@pytest.mark.parametrize(
    "mode", ["simple", "context", "condense_question", "condense_plus_context"]
)
def test_chat_engines_fail_over(pair: Pair, index: VectorStoreIndex, mode: str) -> None:
    pair.plays(Reply("an answer"), Reply(status=503))
    engine = index.as_chat_engine(chat_mode=mode, llm=pair.llm())
    assert str(engine.chat(QUESTION)) == "an answer"
    assert "".join(engine.stream_chat("And make test?").response_gen) == "from second"
    assert [message.content for message in engine.chat_history][1::2] == [
        "an answer",
        "from second",
    ]


def test_prompts_are_packed_into_the_context_window(pair: Pair, nodes: list[BaseNode]) -> None:
    def sizes(context: int) -> list[int]:
        pair.first.requests.clear()
        llm = AutoLLM("m", registry=pair.registry(model_info={"context": context, "output": 100}))
        SummaryIndex(nodes).as_query_engine(llm=llm).query(QUESTION)
        prompts = [request.body["messages"][-1]["content"] for request in pair.first.requests]
        return [len(get_tokenizer()(prompt)) for prompt in prompts]

    small, large = sizes(1_000), sizes(8_000)
    assert max(small) <= 900
    assert len(small) > len(large) == 1
    assert large[0] > 900


def test_faithfulness_evaluator_returns_a_result(index: VectorStoreIndex, brief: AutoLLM) -> None:
    answer = index.as_query_engine(llm=brief, similarity_top_k=1).query(QUESTION)
    result = FaithfulnessEvaluator(llm=brief).evaluate_response(response=answer)
    assert result.passing is ("yes" in (result.feedback or "").lower())
    assert result.feedback.strip()


def test_pipeline_extracts_with_the_embedded_model(
    nodes: list[BaseNode], brief: AutoLLM, embed_model: BaseEmbedding
) -> None:
    pipeline = IngestionPipeline(
        transformations=[
            SentenceSplitter(chunk_size=120, chunk_overlap=0),
            SummaryExtractor(llm=brief, num_workers=1, show_progress=False),
            embed_model,
        ]
    )
    extracted = pipeline.run(nodes=nodes[:2])
    assert len(extracted) > 1
    assert all(node.metadata["section_summary"].strip() and node.embedding for node in extracted)


def choice(index: int) -> Reply:
    arguments = {"index": index, "reason": "it fits"}
    return Reply("", tool_calls=({"name": "SingleSelection", "arguments": arguments},))


def test_router_query_engine_fails_over(pair: Pair, index: VectorStoreIndex) -> None:
    pair.plays(choice(2), Reply(status=503))
    pair.second.replies = [Reply("an answer")]
    llm = pair.llm()
    engine = RouterQueryEngine(
        selector=PydanticSingleSelector.from_defaults(llm=llm),
        query_engine_tools=[
            QueryEngineTool.from_defaults(
                index.as_query_engine(llm=llm, similarity_top_k=top), description=f"top {top}"
            )
            for top in (1, 2)
        ],
        llm=llm,
    )
    answer = engine.query(QUESTION)
    assert str(answer) == "an answer"
    assert len(answer.source_nodes) == 2, "the second engine was not chosen"
    assert (len(pair.first.requests), len(pair.second.requests)) == (2, 1)


def test_sub_question_query_engine_fails_over(pair: Pair, index: VectorStoreIndex) -> None:
    parts = [
        {"sub_question": "What does make lint do?", "tool_name": "docs"},
        {"sub_question": "What does make test do?", "tool_name": "docs"},
    ]
    pair.plays(Reply(f"```json\n{json.dumps(parts)}\n```"), Reply("it lints"), Reply(status=429))
    pair.second.replies = [Reply("it tests"), Reply("both")]
    llm = pair.llm()
    tool = QueryEngineTool.from_defaults(
        index.as_query_engine(llm=llm), name="docs", description="the project"
    )
    engine = SubQuestionQueryEngine.from_defaults(
        [tool],
        llm=llm,
        question_gen=LLMQuestionGenerator.from_defaults(llm=llm),
        use_async=False,
        verbose=False,
    )
    assert str(engine.query("What do make lint and make test do?")) == "both"
    last = pair.second.requests[-1].body["messages"][-1]["content"]
    assert "it lints" in last
    assert "it tests" in last


def test_tree_index_build_fails_over(pair: Pair, nodes: list[BaseNode]) -> None:
    pair.plays(Reply("a summary"), Reply(status=503))
    pair.second.replies = [Reply("another summary")]
    index = TreeIndex(nodes[:8], llm=pair.llm(), num_children=2, use_async=False)
    summaries = [node.get_content() for node in index.docstore.docs.values()]
    assert summaries.count("a summary") == 1
    assert summaries.count("another summary") > 1
    assert len(pair.first.requests) == 2


async def test_ingestion_pipeline_fails_over(pair: Pair, nodes: list[BaseNode]) -> None:
    pair.plays(Reply("one"), Reply(status=500))
    pair.second.replies = [Reply("two")]
    extractor = SummaryExtractor(llm=pair.llm(), num_workers=1, show_progress=False)
    pipeline = IngestionPipeline(transformations=[extractor])
    extracted = await pipeline.arun(nodes=nodes[:4])
    summaries = [node.metadata["section_summary"] for node in extracted]
    assert (summaries.count("one"), summaries.count("two")) == (1, 3)


def test_ingestion_cache_distinguishes_settings(pair: Pair, nodes: list[BaseNode]) -> None:
    cache = IngestionCache()

    def run(**arguments: Any) -> None:
        extractor = SummaryExtractor(llm=pair.llm(**arguments), num_workers=1, show_progress=False)
        IngestionPipeline(transformations=[extractor], cache=cache).run(
            nodes=[nodes[0].model_copy(deep=True)]  # the extractor writes into it
        )

    for arguments in ({}, {}, {"temperature": 0.5}):
        run(**arguments)
    assert len(pair.first.requests) == 2


@pytest.mark.parametrize("is_async", [False, True])
async def test_streamed_query_fails_over_before_output(
    pair: Pair, index: VectorStoreIndex, is_async: bool
) -> None:
    pair.plays(Reply(cut_after=1))  # a role-only chunk, then the end
    engine = index.as_query_engine(llm=pair.llm(), streaming=True, use_async=is_async)
    if is_async:
        answer = await engine.aquery(QUESTION)
        tokens = [token async for token in answer.async_response_gen()]
    else:
        tokens = list(engine.query(QUESTION).response_gen)
    assert "".join(tokens) == "from second"


def test_streamed_query_raises_stream_interrupted(pair: Pair, index: VectorStoreIndex) -> None:
    pair.plays(Reply("one two three", cut_after=3))
    engine = index.as_query_engine(llm=pair.llm(), streaming=True)
    with pytest.raises(StreamInterrupted):
        list(engine.query(QUESTION).response_gen)


@pytest.mark.parametrize("mode", ["compact", "refine", "tree_summarize", "simple_summarize"])
@pytest.mark.parametrize("is_async", [False, True])
async def test_query_without_routes_raises_no_route_error(
    pair: Pair,
    index: VectorStoreIndex,
    monkeypatch: pytest.MonkeyPatch,
    mode: str,
    is_async: bool,
) -> None:
    """LlamaIndex would answer "Empty Response" to a `ValueError`."""
    engine = index.as_query_engine(llm=pair.llm(), response_mode=mode)
    monkeypatch.delenv("FIRST_KEY")
    monkeypatch.delenv("SECOND_KEY")
    with pytest.raises(NoRouteError, match="set FIRST_KEY"):
        _ = await engine.aquery(QUESTION) if is_async else engine.query(QUESTION)


def test_persisted_index_holds_no_key(
    pair: Pair, index: VectorStoreIndex, embed_model: BaseEmbedding, tmp_path: Path
) -> None:
    index.storage_context.persist(str(tmp_path))
    storage = StorageContext.from_defaults(persist_dir=str(tmp_path))
    loaded = load_index_from_storage(storage, embed_model=embed_model)
    assert str(loaded.as_query_engine(llm=pair.llm()).query(QUESTION)) == "from first"
    assert not [
        path for path in tmp_path.rglob("*") if path.is_file() and b"key-value" in path.read_bytes()
    ]
