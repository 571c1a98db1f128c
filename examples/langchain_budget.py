"""A run with a budget: once the budget is used up, no further call is made."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.outputs import ChatGeneration, LLMResult

from langchain_autoprovider import AutoChatModel

README = Path(__file__).parents[1] / "README.md"


class BudgetSpentError(Exception):
    """The budget is used up."""


class Budget(BaseCallbackHandler):
    """Counts the tokens and cost of all calls, and refuses a call when the budget is used up."""

    raise_error = True  # otherwise LangChain would log the exception and continue

    def __init__(self, tokens: int, usd: float) -> None:
        self.tokens_left = tokens
        self.usd_left = usd
        self.answered_by: dict[str, int] = {}

    def on_chat_model_start(self, *_: Any, **__: Any) -> None:
        """Refuse a call if the budget is used up."""
        if self.tokens_left <= 0 or self.usd_left <= 0:
            msg = f"the budget is used up: {self.tokens_left} tokens, {self.usd_left:.4f} USD left"
            raise BudgetSpentError(msg)

    def on_llm_end(self, response: LLMResult, **_: Any) -> None:
        """Count the tokens and the cost of an answer."""
        for generation in response.generations[0]:  # one list per prompt; a chat has one prompt
            if not isinstance(generation, ChatGeneration):
                continue
            message: Any = generation.message
            trace = message.response_metadata["autoprovider"]
            self.tokens_left -= (message.usage_metadata or {}).get("total_tokens", 0)
            self.usd_left -= trace["cost_usd"] or 0.0  # None if the price is unknown
            provider = trace["provider"]
            self.answered_by[provider] = self.answered_by.get(provider, 0) + 1


budget = Budget(tokens=400, usd=0.01)
llm = AutoChatModel(temperature=0, max_tokens=30, callbacks=[budget])
for section in README.read_text(encoding="utf-8").split("\n## ")[1:]:
    try:
        summary = llm.invoke(f"Say in one sentence what this is about:\n\n{section[:400]}")
    except BudgetSpentError as stop:
        print(f"Stopped: {stop}.")
        break
    print(f"{section.splitlines()[0]}: {summary.text.strip()}")
for provider, count in budget.answered_by.items():
    print(f"Answered by {provider}: {count}")
