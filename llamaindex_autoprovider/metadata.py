"""What LlamaIndex is told of a model: what holds for all routes that could serve it now."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llama_index.core.base.llms.types import LLMMetadata

if TYPE_CHECKING:
    from inference_providers.types import Plan

__all__ = ["metadata_of"]

_LARGEST_SHARE = 4
"""LlamaIndex keeps `num_output` of the window free of prompt: at most a quarter of it."""


def metadata_of(plan: Plan, model_name: str, max_tokens: int | None) -> LLMMetadata:
    """Return the facts about the routes of `plan`, resting ones included: they come back.

    * The window is the smallest that is known, so that a prompt made to fill it fits
      wherever the call ends. Where none is known, LlamaIndex's default holds.
    * The length of an answer is `max_tokens`, else the smallest limit that is known.
    * Tools can be called when any route takes them, since a request with tools goes to
      no other. Without a route it is left to the call to say what is missing.
    """
    facts = [route.model_info for route in (*plan.routes, *plan.cooling_down)]
    unknown = LLMMetadata()
    window = min((it.context for it in facts if it.context), default=unknown.context_window)
    limit = min((it.output for it in facts if it.output), default=unknown.num_output)
    return LLMMetadata(
        context_window=window,
        num_output=max_tokens or min(limit, window // _LARGEST_SHARE),
        is_chat_model=True,
        is_function_calling_model=not facts or any(it.tools is not False for it in facts),
        model_name=model_name,
    )
