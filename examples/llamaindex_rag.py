"""Ask your documents with LlamaIndex, on whichever provider the environment allows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from llama_index.core import SimpleDirectoryReader, VectorStoreIndex
from llama_index.core.instrumentation import get_dispatcher
from llama_index.core.instrumentation.event_handlers import BaseEventHandler
from llama_index.core.instrumentation.events.llm import LLMChatEndEvent
from llama_index.core.node_parser import SentenceSplitter

from llamaindex_autoprovider import AutoEmbedding, AutoLLM

QUESTION = "What does `make lint` do?"


class WhoAnswered(BaseEventHandler):
    """Tells who answered each call; LlamaIndex's engines keep the text only."""

    def handle(self, event: Any, **_kwargs: Any) -> None:
        """Print the trace of an answer."""
        if isinstance(event, LLMChatEndEvent) and event.response:
            trace = event.response.additional_kwargs["autoprovider"]
            print(f"\n\nAnswered by {trace['provider']} as {trace['model_id']!r}", end=" ")
            print(f"after {len(trace['attempts'])} attempt(s).")


get_dispatcher().add_event_handler(WhoAnswered())

# Without a key, both find the embedded model. The vectors of an index are of one model for
# ever, so that one is named.
llm = AutoLLM(temperature=0, max_tokens=60)
embed_model = AutoEmbedding("smollm2-135m")

documents = SimpleDirectoryReader(
    input_files=[Path(__file__).parents[1] / "CONTRIBUTING.md"]
).load_data()
index = VectorStoreIndex.from_documents(
    documents,
    transformations=[SentenceSplitter(chunk_size=200, chunk_overlap=0)],
    embed_model=embed_model,
)
print(f"{len(index.docstore.docs)} pieces of {len(documents)} document(s) are indexed.\n")

print(f"Asking {llm.routes[0]}: {QUESTION}\n")
engine = index.as_query_engine(llm=llm, similarity_top_k=2, streaming=True)
for token in engine.query(QUESTION).response_gen:
    print(token, end="", flush=True)
