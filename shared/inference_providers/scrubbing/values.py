"""Removing a key from values of any type, however deep and whatever refers to itself.

Nothing is recursive: a body nested 100,000 deep is scrubbed like any other.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    from inference_providers.scrubbing.texts import TextScrubber

__all__ = ["ValueScrubber", "printed"]

_HARMLESS = (bool, float, complex, type(None), type)
_SEQUENCES = (list, tuple, set, frozenset, deque)
_CONTAINERS = (Mapping, *_SEQUENCES)


class ValueScrubber:
    """Returns values without a secret. What does not contain it is returned as it is.

    * Texts and bytes are scrubbed, containers are copied with their members scrubbed.
    * An exception is returned as it is, and added to `exceptions`: it is scrubbed in place.
    * Any other object that shows the secret when it is printed is replaced by its scrubbed text,
      and so is one that has the secret in an attribute.

    Attributes:
        exceptions: The exceptions that were come across.
    """

    def __init__(self, texts: TextScrubber) -> None:
        self.exceptions: list[BaseException] = []
        self._texts = texts
        self._results: dict[int, tuple[Any, Any]] = {}
        """By the id of an object: the object, which keeps its id in use, and its replacement."""

    def scrub(self, value: Any) -> Any:
        """Return `value` without the secret."""
        pending = [(value, False)]
        while pending:
            item, is_expanded = pending.pop()
            if is_expanded:
                self._results[id(item)] = item, self._copy(item)
            elif id(item) not in self._results:
                # An object that contains itself finds this entry, and keeps itself inside.
                self._results[id(item)] = item, item
                if isinstance(item, _CONTAINERS):
                    pending.append((item, True))
                    with suppress(Exception):
                        pending += ((member, False) for member in _members(item))
                else:
                    self._results[id(item)] = item, self._leaf(item)
        return self._results[id(value)][1]

    def shows_secret(self, value: Any) -> bool:
        """Whether printing `value` shows the secret."""
        return any(self._texts.text(text) is not text for text in printed(value))

    def _leaf(self, item: Any) -> Any:
        if isinstance(item, str):
            return self._texts.text(item)
        if isinstance(item, bytes | bytearray | memoryview):
            data = bytes(item)
            scrubbed = self._texts.data(data)
            return item if scrubbed is data else type(item)(scrubbed)
        if isinstance(item, BaseException):
            self.exceptions.append(item)
            return item
        if isinstance(item, _HARMLESS):
            return item
        return self._object(item)

    def _object(self, item: Any) -> Any:
        for text in printed(item):
            if (scrubbed := self._texts.text(text)) is not text:
                return scrubbed
        attributes = getattr(item, "__dict__", None)
        if not isinstance(attributes, dict):
            return item
        hidden = {
            name: scrubbed
            for name, value in list(attributes.items())
            if isinstance(value, str | bytes | bytearray)
            and (scrubbed := self._leaf(value)) is not value
        }
        if not hidden:
            return item
        if "status_code" in attributes:  # an HTTP response, which is useful for its status
            attributes.update(hidden)
            return item
        return next(iter(printed(item)), "")

    def _copy(self, item: Any) -> Any:
        try:
            members = list(_members(item))
            scrubbed = [self._results.get(id(m), (m, m))[1] for m in members]
        except Exception:  # noqa: BLE001 - a container of somebody else's may fail in any way
            return item
        if all(new is old for new, old in zip(scrubbed, members, strict=True)):
            return item
        if isinstance(item, Mapping):
            copied: Any = dict(zip(scrubbed[::2], scrubbed[1::2], strict=True))
        else:
            copied = scrubbed
        return _as_type(item, copied)


def printed(value: Any) -> Iterable[str]:
    """Yield what printing `value` shows; nothing if it cannot be printed."""
    shows: tuple[Callable[[Any], str], ...] = (str, repr)
    for show in shows:
        with suppress(Exception):  # somebody else's `__repr__`, or one that is nested too deep
            yield show(value)


def _members(item: Any) -> Iterable[Any]:
    if not isinstance(item, Mapping):
        yield from item
        return
    for key, value in item.items():
        yield key
        yield value


def _as_type(item: Any, members: Any) -> Any:
    """Return scrubbed members as the type of `item`, or as a plain container if that fails."""
    constructor = getattr(type(item), "_make", type(item))  # `_make` is a named tuple's
    if isinstance(item, deque):
        constructor = deque
    with suppress(Exception):
        return constructor(members)
    if isinstance(item, Mapping):
        return members
    plain = next(kind for kind in _SEQUENCES if isinstance(item, kind))
    return plain(members)
