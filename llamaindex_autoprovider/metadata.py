"""What LlamaIndex knows about a model: facts that hold for every route that may serve it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llama_index.core.base.llms.types import LLMMetadata

if TYPE_CHECKING:
    from inference_providers.types import Plan

__all__ = ["metadata_of"]

_WINDOW_PER_OUTPUT = 4
"""LlamaIndex reserves `num_output` tokens of the window; at most a quarter may be reserved."""
_DEFAULTS = LLMMetadata()


def metadata_of(plan: Plan, *, model_name: str, max_tokens: int | None) -> LLMMetadata:
    """Return the metadata of all routes of `plan`, including those in a cooldown.

    * The context window is the smallest known one, so a prompt that fills it fits wherever the
      call ends. If none is known, LlamaIndex's default applies.
    * The length of the answer is `max_tokens`, or else the smallest known limit.
    * Tools can be called if any route supports them: a request with tools goes to no other.
      Without any route this is true as well, so that the call can say which key is missing.
    """
    models = [route.model_info for route in (*plan.routes, *plan.cooling_down)]
    window = min((it.context for it in models if it.context), default=_DEFAULTS.context_window)
    limit = min((it.output for it in models if it.output), default=_DEFAULTS.num_output)
    return LLMMetadata(
        context_window=window,
        num_output=max_tokens or min(limit, window // _WINDOW_PER_OUTPUT),
        is_chat_model=True,
        is_function_calling_model=not models or any(it.tools is not False for it in models),
        model_name=model_name,
    )
