"""Ask questions about documents with LlamaIndex, on any provider that a key is set for."""

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
    """Prints who answered each call; LlamaIndex's engines keep only the text."""

    def handle(self, event: Any, **_kwargs: Any) -> None:
        """Print the trace of an answer."""
        if isinstance(event, LLMChatEndEvent) and event.response:
            trace = event.response.additional_kwargs["autoprovider"]
            print(f"\n\nAnswered by {trace['provider']} as {trace['model_id']!r}", end=" ")
            print(f"after {len(trace['attempts'])} attempt(s).")


get_dispatcher().add_event_handler(WhoAnswered())

# Without a key, both use the embedded model. Name the embedding model: all vectors of an
# index must come from the same one.
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
print(f"Indexed {len(index.docstore.docs)} chunks of {len(documents)} document(s).\n")

print(f"Asking {llm.routes[0]}: {QUESTION}\n")
engine = index.as_query_engine(llm=llm, similarity_top_k=2, streaming=True)
for token in engine.query(QUESTION).response_gen:
    print(token, end="", flush=True)
