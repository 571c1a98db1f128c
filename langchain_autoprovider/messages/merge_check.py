"""Refuses the chunks of a stream that LangChain could not merge.

LangChain adds chunks up, and raises a `TypeError` to the caller if a key has values of two types,
or two values of a type that it cannot add. A provider that sends such chunks sends an invalid
response, so the chunk is refused before it is passed on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from inference_providers.errors import InvalidResponseError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from langchain_core.outputs import ChatGenerationChunk

__all__ = ["MergeCheck"]


class MergeCheck:
    """What the chunks of one stream have held so far, by its place."""

    def __init__(self) -> None:
        self._first: dict[tuple[object, ...], Any] = {}

    def add(self, chunk: ChatGenerationChunk) -> None:
        """Accept a chunk that can be added to the ones before.

        Raises:
            InvalidResponseError: It cannot.
        """
        message = chunk.message
        # LangChain moves the one into the other.
        self._add(("response_metadata",), message.response_metadata)
        self._add(("response_metadata",), chunk.generation_info or {})
        self._add(("additional_kwargs",), message.additional_kwargs)
        if isinstance(message.content, list):
            for block in message.content:
                if isinstance(block, dict) and isinstance(index := block.get("index"), int | str):
                    self._add(("content", index), block)

    def _add(self, place: tuple[object, ...], values: Mapping[str, Any]) -> None:
        for key, value in values.items():
            if value is None:
                continue
            first = self._first.setdefault((*place, key), value)
            if type(first) is not type(value) or not (_can_be_added(value) or first == value):
                msg = f"{key!r} has values that cannot be added up: {first!r:.40} and {value!r:.40}"
                raise InvalidResponseError(msg)
            if isinstance(value, dict):
                self._add((*place, key), value)


def _can_be_added(value: Any) -> bool:
    return isinstance(value, str | int | list | dict) and not isinstance(value, bool)
