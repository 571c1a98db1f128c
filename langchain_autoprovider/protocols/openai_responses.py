"""The conversion of OpenAI's Responses API, by langchain-openai's functions.

Those want objects with attributes, as the SDK builds them. Here dicts become such objects, without
validation: a provider may send fields and values that the SDK does not know.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from langchain_openai.chat_models.base import (
    _construct_lc_result_from_responses_api,
    _convert_responses_chunk_to_generation_chunk,
)
from openai.types.responses import Response, ResponseOutputItemAddedEvent

if TYPE_CHECKING:
    from langchain_core.outputs import ChatGenerationChunk, ChatResult

__all__ = ["ResponsesConverter", "response_result"]


def response_result(response: dict[str, Any], schema: Any) -> ChatResult:
    """Return a whole response as LangChain's result.

    Args:
        response: The response, as `read_response` returns it.
        schema: The request's `response_format`, if any.
    """
    return _construct_lc_result_from_responses_api(Response.construct(**response), schema)


class ResponsesConverter:
    """Converts the events of one stream.

    Args:
        schema: The request's `response_format`, if any.
    """

    def __init__(self, schema: Any) -> None:
        self._schema = schema
        self._position = (-1, -1, -1)
        self._output_indices: dict[str, int] = {}

    def convert(self, event: dict[str, Any]) -> ChatGenerationChunk | None:
        """Return an event as LangChain's chunk, or `None` if it has nothing for the caller."""
        index, output_index, sub_index, chunk = _convert_responses_chunk_to_generation_chunk(
            _as_object(event),
            *self._position,
            schema=self._schema,
            item_output_indices=self._output_indices,
        )
        self._position = (index, output_index, sub_index)
        return chunk


class _Event(SimpleNamespace):
    """An event as an object. What the provider left out is `None`, as in the SDK's objects."""

    def __getattr__(self, name: str) -> None:
        return None


def _as_object(event: dict[str, Any]) -> _Event:
    parts: dict[str, Any] = {}
    if "item" in event:
        parts["item"] = ResponseOutputItemAddedEvent.construct(item=event["item"]).item
    if "response" in event:
        parts["response"] = Response.construct(**event["response"])
    return _Event(**{**event, **parts})
