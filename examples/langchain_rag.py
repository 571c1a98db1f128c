"""Questions about a real file, this project's README, in an in-process vector store."""

from __future__ import annotations

from pathlib import Path

from langchain_core.documents import Document
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import RunnablePassthrough
from langchain_core.vectorstores import InMemoryVectorStore

from langchain_autoprovider import AutoChatModel, AutoEmbeddings

README = Path(__file__).parents[1] / "README.md"
MIN_CHARS, MAX_CHARS = 80, 160  # of a passage
QUESTION = "Which frameworks does autoprovider work with?"

# Vectors of different models cannot be compared, so embeddings name one model. With a key,
# "text-embedding-3-small" or "bge-m3" give far better results than the small model used here.
embeddings = AutoEmbeddings("smollm2-135m")
store = InMemoryVectorStore(embeddings)
paragraphs = [part.strip() for part in README.read_text(encoding="utf-8").split("\n\n")]
store.add_documents(
    [
        Document(text[:MAX_CHARS], metadata={"source": README.name, "paragraph": n})
        for n, text in enumerate(paragraphs)
        if len(text) > MIN_CHARS and not text.startswith("```")
    ]
)


def join_texts(documents: list[Document]) -> str:
    """Return the texts of the documents as one string."""
    return "\n\n".join(document.page_content for document in documents)


prompt = ChatPromptTemplate.from_template(
    "Answer from this text only.\n\n{context}\n\nQuestion: {question}"
)
llm = AutoChatModel(temperature=0, max_tokens=60)
retriever = store.as_retriever(search_kwargs={"k": 2})
chain = (
    RunnablePassthrough.assign(documents=lambda state: retriever.invoke(state["question"]))
    .assign(context=lambda state: join_texts(state["documents"]))
    .assign(answer=prompt | llm)
)

state = chain.invoke({"question": QUESTION})
print(QUESTION)
for document in state["documents"]:
    source = document.metadata
    print(f"  {source['source']}, paragraph {source['paragraph']}: {document.page_content[:70]!r}…")
print(StrOutputParser().invoke(state["answer"]).strip())
trace = state["answer"].response_metadata["autoprovider"]
print(f"\nAnswered by {trace['provider']} as {trace['model']!r}")
