"""Removing a key from exceptions: their texts, their attributes, the exceptions they refer to.

SDKs differ in where they keep what a provider sent: in the arguments, in `message` or `body`, in
the response, in an exception that they wrap. So everything that an exception refers to is
searched. What cannot be changed and still shows the key is replaced by an exception that prints the
scrubbed text.
"""

from __future__ import annotations

import inspect
from contextlib import suppress
from types import GetSetDescriptorType, MemberDescriptorType
from typing import TYPE_CHECKING, Any, TypeVar, cast

from inference_providers.scrubbing.values import ValueScrubber, printed

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

    from inference_providers.scrubbing.texts import TextScrubber

__all__ = ["clear_frames", "scrub_exception"]

E = TypeVar("E", bound=BaseException)


def scrub_exception(error: E, texts: TextScrubber) -> E:
    """Remove the secret from an exception and from all that it refers to, in place.

    Returns:
        `error`, or an exception that replaces it if it cannot be changed. That one has the same
        name, and the nearest base class that allows subclasses.
    """
    values = ValueScrubber(texts)
    scrubbed: list[BaseException] = []
    pending: list[BaseException] = [error]
    seen: set[int] = set()
    while pending:
        link = pending.pop()
        if id(link) in seen:
            continue
        seen.add(id(link))
        scrubbed.append(link)
        _scrub_in_place(link, values)
        pending += (*_links(link), *values.exceptions)
        values.exceptions.clear()
    replacements = {
        id(link): _replacement(link, texts)
        for link in reversed(scrubbed)
        if values.shows_secret(link)
    }
    for link in (*scrubbed, *replacements.values()) if replacements else ():
        suppressed = link.__suppress_context__
        for name in ("__cause__", "__context__"):
            linked = getattr(link, name)
            _set(link, name, replacements.get(id(linked), linked))
        _set(link, "__suppress_context__", suppressed)
    return cast("E", replacements.get(id(error), error))


def clear_frames(error: BaseException) -> None:
    """Forget the local variables of the calls that `error` has ended.

    A traceback keeps them, headers and response bodies included, and error reporters print them.
    The lines of the traceback stay. Exceptions that a caller is handling are left alone.
    """
    running = frozenset(map(id, _running_frames()))
    pending = [error]
    seen: set[int] = set()
    while pending:
        link = pending.pop()
        step = link.__traceback__
        is_being_handled = step is not None and link is not error and id(step.tb_frame) in running
        if id(link) in seen or is_being_handled:
            continue
        seen.add(id(link))
        pending += _links(link)
        while step is not None:
            with suppress(RuntimeError):  # it is still running
                step.tb_frame.clear()
            step = step.tb_next


def _running_frames() -> Iterator[FrameType]:
    frame = inspect.currentframe()
    while frame is not None:
        yield frame
        frame = frame.f_back


def _links(error: BaseException) -> Iterator[BaseException]:
    """Yield the cause, the context and the members of a group."""
    if error.__cause__ is not None:
        yield error.__cause__
    if error.__context__ is not None:
        yield error.__context__
    if isinstance(error, BaseExceptionGroup):
        yield from error.exceptions


def _scrub_in_place(error: BaseException, values: ValueScrubber) -> None:
    with suppress(Exception):  # whatever goes wrong here must not replace the failure
        attributes = vars(error)
        for name, value in list(attributes.items()):
            attributes[name] = values.scrub(value)
    for name in _slots(type(error)):
        with suppress(Exception):  # it has no value
            value = getattr(error, name)
            is_args = name == "args"  # whatever is assigned to them becomes a tuple
            scrubbed = tuple(map(values.scrub, value)) if is_args else values.scrub(value)
            if scrubbed is not value:
                _set(error, name, scrubbed)


def _set(error: BaseException, name: str, value: Any) -> None:
    """Set an attribute if it can be set at all, even on a frozen exception."""
    with suppress(AttributeError, TypeError):
        object.__setattr__(error, name, value)


def _slots(kind: type) -> Iterator[str]:
    """Yield the attributes of a class that are not in `vars`, such as `OSError.filename`."""
    for base in kind.__mro__:
        for name, attribute in vars(base).items():
            is_slot = isinstance(attribute, MemberDescriptorType | GetSetDescriptorType)
            if is_slot and not name.startswith("__"):
                yield name


def _replacement(error: BaseException, texts: TextScrubber) -> BaseException:
    """Return an exception that prints the scrubbed text of `error`."""
    if isinstance(error, BaseExceptionGroup):
        replacement: BaseException = BaseExceptionGroup(texts.text(error.message), error.exceptions)
    else:
        text, shown = (texts.text(each) for each in (*printed(error), "", "")[:2])
        replacement = _restore(type(error), text, shown)
    replacement.__cause__, replacement.__context__ = error.__cause__, error.__context__
    replacement.__suppress_context__ = error.__suppress_context__
    for note in getattr(error, "__notes__", ()):
        replacement.add_note(note)
    return replacement.with_traceback(error.__traceback__)


def _restore(original: type[BaseException], text: str, shown: str) -> BaseException:
    """Create an exception with the name of `original` and the nearest base that works."""
    namespace = {
        "__module__": original.__module__,
        "__str__": lambda _: text,
        "__repr__": lambda _: shown,
        "__reduce__": lambda _: (_restore, (original, text, shown)),
    }
    for base in original.__mro__:
        with suppress(Exception):
            kind: Any = type(original.__name__, (base,), namespace)
            restored: BaseException = BaseException.__new__(kind)
            restored.args = (text,)
            return restored
    return Exception(text)
