"""Removing a key from values of any type, however deep and whatever refers to itself.

Nothing is recursive: a body nested 100,000 deep is scrubbed like any other.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    from inference_providers.scrubbing.texts import TextScrubber

__all__ = ["ValueScrubber", "printed"]

_HARMLESS = (bool, float, complex, type(None), type)
_TEXTS = (str, bytes, bytearray, memoryview)
_SEQUENCES = (list, tuple, set, frozenset, deque)
_CONTAINERS = (Mapping, *_SEQUENCES)
_MAX_OBJECTS = 1_000
"""Objects whose attributes are searched: an exception may refer to nearly everything."""

Members = list[Any]


class ValueScrubber:
    """Returns values without a secret. A value that does not contain it is returned unchanged.

    * Texts and bytes are scrubbed; containers are copied, with their members scrubbed.
    * An exception is returned as it is, and added to `exceptions`: it is scrubbed in place.
    * An HTTP response is scrubbed in place: it is needed for its status and headers.
    * Any other object that shows the secret when it is printed is replaced by its scrubbed text,
      and so is one that has the secret in an attribute.

    Attributes:
        exceptions: The exceptions that were found.
    """

    def __init__(self, texts: TextScrubber) -> None:
        self.exceptions: list[BaseException] = []
        self._texts = texts
        self._objects_left = _MAX_OBJECTS
        self._results: dict[int, tuple[Any, Any]] = {}
        """By the id of an object: the object, which keeps its id in use, and its replacement."""

    def scrub(self, value: Any) -> Any:
        """Return `value` without the secret."""
        pending: list[tuple[Any, Members | None]] = [(value, None)]
        while pending:
            item, members = pending.pop()
            with suppress(Exception):  # a third-party object may fail in any way
                if members is not None:
                    self._results[id(item)] = item, self._with_scrubbed(item, members)
                elif id(item) not in self._results:
                    self._results[id(item)] = item, item  # for containers that contain themselves
                    replacement = self._leaf(item)
                    self._results[id(item)] = item, replacement
                    if replacement is item and (members := self._members(item)):
                        pending.append((item, members))
                        pending += [(member, None) for member in members]
        scrubbed = self._results[id(value)][1]
        # Where a container is inside itself, its copy holds the original.
        with suppress(Exception):  # as above
            if isinstance(scrubbed, _CONTAINERS) and self.shows_secret(scrubbed):
                return self._texts.text(repr(scrubbed))
        return scrubbed

    def shows_secret(self, value: Any) -> bool:
        """Whether printing `value` shows the secret."""
        return any(self._texts.text(text) is not text for text in printed(value))

    def _leaf(self, item: Any) -> Any:
        """Return the replacement of a value that is not searched."""
        if isinstance(item, str):
            return self._texts.text(item)
        if isinstance(item, bytes | bytearray | memoryview):
            data = bytes(item)  # a copy, of a bytearray too
            scrubbed = self._texts.data(data)
            return item if scrubbed is data else type(item)(scrubbed)
        if isinstance(item, BaseException):
            self.exceptions.append(item)
            return item
        if isinstance(item, (*_HARMLESS, *_CONTAINERS)) or _is_response(item):
            return item
        shown = (self._texts.text(text) for text in printed(item) if self._shows(text))
        return next(shown, item)

    def _shows(self, text: str) -> bool:
        return self._texts.text(text) is not text

    def _members(self, item: Any) -> Members:
        """Return what a container or an object holds."""
        if isinstance(item, Mapping):
            return [member for pair in item.items() for member in pair]
        if isinstance(item, _SEQUENCES):
            return list(item)
        if isinstance(item, (*_HARMLESS, *_TEXTS, BaseException, ModuleType)):
            return []
        attributes = getattr(item, "__dict__", None)
        if not isinstance(attributes, dict) or not self._objects_left:
            return []
        self._objects_left -= 1
        return list(attributes.values())

    def _with_scrubbed(self, item: Any, members: Members) -> Any:
        """Return a container or an object whose members have been scrubbed."""
        scrubbed = [self._results.get(id(m), (m, m))[1] for m in members]
        if all(new is old for new, old in zip(scrubbed, members, strict=True)):
            return item
        if isinstance(item, Mapping):
            pairs = zip(scrubbed[::2], scrubbed[1::2], strict=True)
            return _as_type(item, dict(pairs), dict)
        for kind in _SEQUENCES:
            if isinstance(item, kind):
                return _as_type(item, scrubbed, kind)
        if not _is_response(item):
            return self._texts.text(next(iter(printed(item)), ""))
        attributes = vars(item)
        attributes.update(zip(list(attributes), scrubbed, strict=True))
        return item


def _is_response(item: Any) -> bool:
    attributes = getattr(item, "__dict__", None)
    return isinstance(attributes, dict) and "status_code" in attributes


def printed(value: Any) -> Iterable[str]:
    """Yield what printing `value` shows; nothing if it cannot be printed."""
    shows: tuple[Callable[[Any], str], ...] = (str, repr)
    for show in shows:
        with suppress(Exception):  # a third-party `__repr__`, or one that recurses too deep
            yield show(value)


def _as_type(item: Any, members: Any, plain: Callable[[Any], Any]) -> Any:
    """Return scrubbed members as the type of `item`, or as a plain container if that fails."""
    if isinstance(item, deque):
        return deque(members, item.maxlen)
    constructor = getattr(type(item), "_make", type(item))  # `_make` is a named tuple's
    with suppress(Exception):
        return constructor(members)
    return plain(members)
