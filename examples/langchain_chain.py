"""A chain of prompt, model and parser that does not depend on a provider."""

from __future__ import annotations

from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import RunnablePassthrough

from langchain_autoprovider import AutoChatModel

prompt = ChatPromptTemplate.from_messages(
    [("system", "You explain words to children, in one sentence."), ("human", "What is {word}?")]
)
# In order of preference; the last one runs on this machine and needs no key.
llm = AutoChatModel(["claude-sonnet-4.5", "gpt-oss-120b", "smollm2-135m"], temperature=0)
chain = prompt | llm | StrOutputParser()

words = ["a provider", "a key"]
for word, text in zip(words, chain.batch(words), strict=True):
    print(f"{word}: {text.strip()}")

# Keep the whole answer, to see which provider sent it.
both = RunnablePassthrough.assign(answer=prompt | llm)
trace = both.invoke({"word": "a chain"})["answer"].response_metadata["autoprovider"]
print(f"\nAnswered by {trace['provider']} as {trace['model']!r}, degraded: {trace['degraded']}")
