"""What error reporters see of an exception, and how to look for a key in it."""

from __future__ import annotations

import base64
import traceback
from contextlib import suppress
from functools import cache, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from inference_providers import Registry

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["key_in", "seen_of"]

TESTS = str(Path(__file__).parent)
MAX_DEPTH = 6
LOCALS_DEPTH = 3
"""The depth at which local variables start: reporters do not look as deep into them."""
MIN_RUN = 10


@cache
def _signs_of(key: str) -> tuple[list[str], list[str]]:
    """Return the runs to look for, and shorter pieces of which each run has one."""
    encoded = [base64.b64encode(b"x" * before + key.encode())[4:-4].decode() for before in range(3)]
    encoded = [each.lower() for each in (key, quote(key, safe=""), key.encode().hex(), *encoded)]
    runs = {
        each[start : start + MIN_RUN]
        for each in encoded
        for start in range(len(each) - MIN_RUN + 1)
    }
    half = MIN_RUN // 2
    pieces = {each[at : at + half] for each in encoded for at in range(0, len(each), half + 1)}
    return sorted(runs), [piece for piece in pieces if len(piece) == half]


@lru_cache(maxsize=10_000)
def key_in(text: str, key: str) -> str | None:
    """Return the part of `key` that is in `text`: a run of it, in any case, or an encoding."""
    text = text.lower()
    runs, pieces = _signs_of(key)
    if not any(piece in text for piece in pieces):
        return None
    return next((run for run in runs if run in text), None)


def seen_of(error: BaseException) -> Iterator[tuple[str, str]]:
    """Yield every text that `error` shows, each with where it is.

    As sentry does, looks at the local variables of every frame of every exception of the chain,
    and at what they contain. Frames of the tests are left out: they know the key.
    """
    seen: set[int] = set()
    pending: list[Any] = [error]
    while pending:
        link = pending.pop()
        if link is None or id(link) in seen:
            continue
        seen.add(id(link))
        name = type(link).__name__
        yield name, "".join(traceback.format_exception(link))
        yield from _values(name, link, seen, 0)
        pending += [link.__cause__, link.__context__, *getattr(link, "exceptions", ())]
        for frame, line in traceback.walk_tb(link.__traceback__):
            file = frame.f_code.co_filename
            if not file.startswith(TESTS) and "_pytest" not in file:
                where = f"{name} at {file}:{line} in {frame.f_code.co_name}"
                for variable, value in frame.f_locals.items():
                    yield from _values(f"{where}: {variable}", value, seen, LOCALS_DEPTH)


def _values(where: str, value: Any, seen: set[int], depth: int) -> Iterator[tuple[str, str]]:
    if isinstance(value, str | int | float | type | None):
        yield where, str(value)
        return
    if isinstance(value, bytes | bytearray | memoryview):
        yield where, bytes(value).decode("latin-1")
        return
    if isinstance(value, Registry) and depth > 0:
        yield from ((f"{where}{below}", text) for below, text in _shown_by_registry(value))
        return
    shown: set[str] = set()
    for show in (str, repr) if depth < LOCALS_DEPTH else (repr,):
        with suppress(Exception):  # then no tool can show it
            shown.add(show(value))
    yield from ((where, text) for text in shown)
    if depth >= MAX_DEPTH or id(value) in seen:
        return
    if not isinstance(value, BaseException):
        seen.add(id(value))
    for name, below in _below(value):
        yield from _values(f"{where}.{name}", below, seen, depth + 1)


_last_registry: list[tuple[Registry, list[tuple[str, str]]]] = []


def _shown_by_registry(registry: Registry) -> list[tuple[str, str]]:
    """Return what a registry shows.

    All failures of one model have the same one, which never changes and takes megabytes to write:
    it is written once.
    """
    if not _last_registry or _last_registry[0][0] is not registry:
        _last_registry[:] = [(registry, [*_values("", registry, set(), 0)])]
    return _last_registry[0][1]


def _below(value: Any) -> list[tuple[str, Any]]:
    try:
        if isinstance(value, dict):
            return [(f"{key!r}", each) for key, each in value.items()]
        if isinstance(value, list | tuple | set | frozenset):
            return [(f"[{n}]", each) for n, each in enumerate(value)]
        below = list(vars(value).items())
    except Exception:  # noqa: BLE001 - then no tool can show it
        return []
    if isinstance(value, BaseException):
        names = ("args", "filename", "filename2", "object", "reason", "message", "body", "response")
        below += [(name, getattr(value, name, None)) for name in names]
    return below
