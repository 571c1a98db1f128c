"""No key appears in anything of LlamaIndex that is printed, dumped, traced, stored or pickled."""

from __future__ import annotations

import logging
import pickle
import traceback
from typing import TYPE_CHECKING, Any

import pytest
from llama_index.core import Document, SummaryIndex
from llama_index.core.callbacks import CallbackManager, LlamaDebugHandler
from llama_index.core.extractors import SummaryExtractor
from llama_index.core.ingestion import IngestionPipeline
from llama_index.core.instrumentation import get_dispatcher
from llama_index.core.instrumentation.event_handlers import BaseEventHandler
from llama_index.core.llms import ChatMessage
from llama_index.core.schema import TextNode

from inference_providers.testing import FakeProvider, Reply
from llamaindex_autoprovider import AutoEmbedding, AutoLLM

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CANARY = "sk-canary-0123456789abcdef"
PASSED_IN = "sk-given-canary-0123456789"
ECHO = {"error": {"message": f"Incorrect API key provided: {CANARY}", "detail": [CANARY]}}


class EventRecorder(BaseEventHandler):
    """Records every event of LlamaIndex's instrumentation as text."""

    texts: list[str]

    def handle(self, event: Any, **_kwargs: Any) -> None:
        self.texts.append(f"{event!r} {vars(event)!r}")


@pytest.fixture
def surfaces(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> Iterator[list[str]]:
    """Texts that must not hold a key, including events and logs; checked after the test."""
    monkeypatch.setenv("CANARY_KEY", CANARY)
    recorder, dispatcher = EventRecorder(texts=[]), get_dispatcher()
    dispatcher.add_event_handler(recorder)
    with caplog.at_level(logging.DEBUG):
        yield recorder.texts
    dispatcher.event_handlers.remove(recorder)
    recorder.texts.append(caplog.text)
    assert any(recorder.texts)
    for text in recorder.texts:
        assert CANARY not in text
        assert PASSED_IN not in text


def registry(fake: FakeProvider) -> dict[str, Any]:
    return {"providers": {"fake": fake.row({"m": "id"}, key="CANARY_KEY")}}


def test_llm_surfaces_hold_no_key(surfaces: list[str]) -> None:
    debug = LlamaDebugHandler(print_trace_on_end=False)
    with FakeProvider() as fake:
        for keys in ({}, {"fake": PASSED_IN}):
            llm = AutoLLM(
                "m",
                registry=registry(fake),
                api_keys=keys,
                callback_manager=CallbackManager([debug]),
            )
            answer = llm.chat([ChatMessage("Hi")])
            parts = list(llm.stream_complete("Hi"))
            surfaces += [
                repr(llm), str(llm), f"{llm}", repr(llm.to_dict()), llm.to_json(),
                llm.model_dump_json(), repr(llm.to_payload()), repr(llm.metadata),
                repr(vars(llm)), repr(llm.chat_model), str(llm.explain()), repr(llm.routes),
                answer.model_dump_json(), repr(parts), repr(llm.as_structured_llm(Document)),
            ]  # fmt: skip
        sent = [request.headers["authorization"] for request in fake.requests]
    assert sent == [f"Bearer {CANARY}"] * 2 + [f"Bearer {PASSED_IN}"] * 2, "the keys were not used"
    surfaces.append(repr([vars(event) for event in debug.get_events()]))


@pytest.mark.parametrize("kind", [AutoLLM, AutoEmbedding])
@pytest.mark.parametrize(
    "keys", [PASSED_IN, [PASSED_IN], {"fake": [PASSED_IN]}, {"fake": {"key": PASSED_IN}}]
)
def test_errors_do_not_quote_malformed_keys(surfaces: list[str], kind: type, keys: Any) -> None:
    with pytest.raises(ValueError, match="api_keys") as caught:
        kind("m", api_keys=keys)
    surfaces.append("".join(traceback.format_exception(caught.value)))


def test_pickles_hold_no_key(surfaces: list[str]) -> None:
    with FakeProvider() as fake:
        llm = AutoLLM("m", registry=registry(fake))
        llm.complete("Hi")
        surfaces.append(pickle.dumps(llm).decode("latin-1"))
        with pytest.raises(TypeError) as caught:
            pickle.dumps(AutoLLM("m", registry=registry(fake), api_keys={"fake": PASSED_IN}))
        surfaces.append("".join(traceback.format_exception(caught.value)))


def test_stored_pipelines_and_indexes_hold_no_key(surfaces: list[str], tmp_path: Path) -> None:
    with FakeProvider() as fake:
        llm = AutoLLM("m", registry=registry(fake), api_keys={"fake": PASSED_IN})
        extractor = SummaryExtractor(llm=llm, num_workers=1, show_progress=False)
        pipeline = IngestionPipeline(transformations=[extractor])
        nodes = pipeline.run(nodes=[TextNode(text="A text.")])
        index = SummaryIndex(nodes)
        index.as_query_engine(llm=llm).query("What?")
        pipeline.persist(str(tmp_path / "pipeline"))
        index.storage_context.persist(str(tmp_path / "index"))
        surfaces += [extractor.to_json(), repr(extractor)]
        assert len(fake.requests) > 1
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) > 3
    surfaces += [path.read_text() for path in files]


@pytest.mark.parametrize("status", [400, 401, 429, 500])
def test_key_echoed_by_a_provider_is_scrubbed(surfaces: list[str], status: int) -> None:
    with FakeProvider(Reply(status=status, body=ECHO)) as fake:
        llm = AutoLLM("m", registry=registry(fake), cooldown=False, max_retries=0)
        for call in (llm.complete, lambda prompt: list(llm.stream_complete(prompt))):
            with pytest.raises(Exception, match=r"\[CANARY_KEY\]") as caught:
                call("Hi")
            surfaces.append("".join(traceback.format_exception(caught.value)))
