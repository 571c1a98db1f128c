"""Converts answers of OpenAI's Responses API with langchain-openai's functions.

Those expect objects with attributes, as the SDK creates them. `_WireObject` wraps a plain dict
instead: the SDK's classes validate each part first, which costs more than the conversion, and warn
about unknown values.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain_openai.chat_models.base import (
    _construct_lc_result_from_responses_api,
    _convert_responses_chunk_to_generation_chunk,
)

from langchain_autoprovider.protocols.malformed_calls import (
    add_malformed_calls,
    take_malformed_items,
)

if TYPE_CHECKING:
    from langchain_core.outputs import ChatGenerationChunk, ChatResult

__all__ = ["ResponsesConverter", "response_result"]

_SDK_ONLY = frozenset({"output_text", "parsed"})
"""Attributes that the SDK computes; langchain-openai checks whether an object has them."""


def response_result(response: dict[str, Any], schema: Any) -> ChatResult:
    """Return a whole response as LangChain's result.

    Args:
        response: The response, as `read_response` returns it.
        schema: The request's `response_format`, if any.
    """
    malformed = take_malformed_items(response)
    whole: Any = _WireObject(response)
    result = _construct_lc_result_from_responses_api(whole, schema)
    add_malformed_calls(result.generations[0].message, malformed)
    return result


class ResponsesConverter:
    """Converts the events of one stream.

    Args:
        schema: The request's `response_format`, if any.
    """

    def __init__(self, schema: Any) -> None:
        self._schema = schema
        self._positions: dict[int, tuple[int, int, int]] = {}
        self._last_index = -1

    def convert(self, event: dict[str, Any]) -> ChatGenerationChunk | None:
        """Return an event as LangChain's chunk, or `None` if it has nothing for the caller.

        LangChain counts an item again whenever another one was in between. Each event is converted
        at the position of its own item, since items may arrive interleaved.
        """
        output_index = event.get("output_index", -1)
        index, position, part = self._positions.get(output_index, (self._last_index, -1, -1))
        if event.get("content_index", event.get("summary_index", part)) != part:
            index = self._last_index
        index, position, part, chunk = _convert_responses_chunk_to_generation_chunk(
            _WireObject(event), index, position, part, schema=self._schema
        )
        self._last_index = max(self._last_index, index)
        if position == output_index:
            self._positions[output_index] = (index, position, part)
        return chunk


class _WireObject:
    """A dict as an object. What the provider left out is `None`, as in the SDK's objects."""

    def __init__(self, fields: dict[str, Any]) -> None:
        self._fields = fields

    def __getattr__(self, name: str) -> Any:
        if name in _SDK_ONLY:
            raise AttributeError(name)
        return _as_object(self._fields.get(name))

    def model_dump(self, *, exclude_none: bool = False, **_: Any) -> dict[str, Any]:
        """Return the dict; with `exclude_none`, without the keys that are null."""
        return _without_none(self._fields) if exclude_none else dict(self._fields)


def _as_object(value: Any) -> Any:
    if isinstance(value, dict):
        return _WireObject(value)
    return [_as_object(item) for item in value] if isinstance(value, list) else value


def _without_none(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_none(part) for name, part in value.items() if part is not None}
    return [_without_none(item) for item in value] if isinstance(value, list) else value
