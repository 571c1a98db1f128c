"""An agent with tools: any provider may serve a turn, even in the middle of a tool loop."""

from __future__ import annotations

from typing import Any

from langchain.agents import create_agent
from langchain_core.messages import AIMessage
from langchain_core.tools import tool

from langchain_autoprovider import AutoChatModel


@tool
def count_words(text: str) -> int:
    """Count the words of a text."""
    return len(text.split())


@tool
def count_letters(text: str) -> int:
    """Count the letters of a text."""
    return sum(letter.isalpha() for letter in text)


llm = AutoChatModel(temperature=0, max_tokens=60)
agent: Any = create_agent(llm, [count_words, count_letters])
question = {"messages": [("human", "How many words are in 'the quick brown fox'?")]}
state = agent.invoke(question, {"recursion_limit": 12})
for message in state["messages"]:
    print(f"{message.type}: {message.text.strip()}")
    if isinstance(message, AIMessage):
        trace = message.response_metadata["autoprovider"]
        for call in message.tool_calls:
            print(f"  calls {call['name']} with {call['args']}")
        print(f"  Answered by {trace['provider']} as {trace['model']!r}")
