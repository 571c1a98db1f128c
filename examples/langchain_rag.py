"""Questions about real files: this project's README, in a vector store that runs in process."""

from __future__ import annotations

from pathlib import Path

from langchain_core.documents import Document
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import RunnablePassthrough
from langchain_core.vectorstores import InMemoryVectorStore

from langchain_autoprovider import AutoChatModel, AutoEmbeddings

README = Path(__file__).parents[1] / "README.md"
SHORTEST, LONGEST = 80, 160  # characters of a passage
QUESTION = "Which exit codes does the command have?"

# Vectors of two models cannot be compared, so embeddings are of one model: with a key,
# "text-embedding-3-small" or "bge-m3" find far better than the small one used here.
embeddings = AutoEmbeddings("smollm2-135m")
store = InMemoryVectorStore(embeddings)
paragraphs = [part.strip() for part in README.read_text(encoding="utf-8").split("\n\n")]
store.add_documents(
    [
        Document(text[:LONGEST], metadata={"source": README.name, "paragraph": n})
        for n, text in enumerate(paragraphs)
        if len(text) > SHORTEST and not text.startswith("```")
    ]
)


def as_text(documents: list[Document]) -> str:
    """Put what was found into one text."""
    return "\n\n".join(document.page_content for document in documents)


prompt = ChatPromptTemplate.from_template(
    "Answer from this text only.\n\n{context}\n\nQuestion: {question}"
)
llm = AutoChatModel(temperature=0, max_tokens=60)
retriever = store.as_retriever(search_kwargs={"k": 2})
chain = (
    RunnablePassthrough.assign(found=lambda asked: retriever.invoke(asked["question"]))
    .assign(context=lambda state: as_text(state["found"]))
    .assign(answer=prompt | llm)
)

state = chain.invoke({"question": QUESTION})
print(QUESTION)
for document in state["found"]:
    where = document.metadata
    print(f"  {where['source']}, paragraph {where['paragraph']}: {document.page_content[:70]!r}…")
print(StrOutputParser().invoke(state["answer"]).strip())
trace = state["answer"].response_metadata["autoprovider"]
print(f"\nAnswered by {trace['provider']} as {trace['model']!r}")
