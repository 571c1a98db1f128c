"""Refuses the chunks of a stream that LangChain could not merge.

LangChain merges chunks by addition, and raises a `TypeError` to the caller if a key has values of
two types, or of a type that it cannot add. Such chunks are an invalid response of the provider, so
they are refused before they are passed on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from inference_providers.errors import InvalidResponseError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from langchain_core.outputs import ChatGenerationChunk

__all__ = ["MergeCheck"]


class MergeCheck:
    """Remembers the first value of each key in the chunks of one stream."""

    def __init__(self) -> None:
        self._first: dict[tuple[object, ...], Any] = {}

    def add(self, chunk: ChatGenerationChunk) -> None:
        """Accept a chunk that can be added to those before it.

        Raises:
            InvalidResponseError: It cannot be added.
        """
        message = chunk.message
        # LangChain moves `generation_info` into the metadata.
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
