"""The registry file: its schema, how it is read, and what is said when it is wrong.

* One schema (`Document`); a model may be a bare string, an object, or a list.
* A file in the format of the original project is converted first.
* What goes beyond types is `inference_providers.registry.validation`' to say.
* Whatever is wrong is said with file, JSON path, and got / expected.
"""

from __future__ import annotations

import codecs
import json
import os
import re
from datetime import date, datetime  # noqa: TC003 - msgspec reads annotations at run time
from pathlib import Path
from typing import Any, NoReturn

import msgspec

from inference_providers.errors import RegistryError, one_line
from inference_providers.model_names.canonical import did_you_mean
from inference_providers.registry import legacy_format, strict_json, validation
from inference_providers.types import Provider  # noqa: TC001 - as above

__all__ = [
    "Document",
    "RegistrySource",
    "RetiredModel",
    "RetiredProvider",
    "decode",
    "merge",
    "read",
    "refuse",
]

SCHEMA_VERSION = 1
_NEAR_LENGTH = 60
_NEAR_COUNT = 1000
_SUCH_AS = {
    "Invalid RFC3339 encoded date": ", expected one such as '2026-11-22'",
    "Invalid RFC3339 encoded datetime": ", expected one such as '2026-11-22T00:00:00Z'",
}

RegistrySource = str | os.PathLike[str] | dict[str, Any]
"""A path, JSON text, or the decoded JSON object."""


class Origin(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where registry facts were taken from; the hash is of what was read of it."""

    name: str
    version: str | None = None
    license: str | None = None
    url: str | None = None
    sha256: str | None = None


class RetiredProvider(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A provider that has closed: since when, and what to do."""

    note: str
    name: str | None = None
    since: date | None = None
    source: str | None = None


class RetiredModel(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A model nobody listed serves any more, and what may replace it."""

    replaced_by: tuple[str, ...] = ()
    since: date | None = None
    note: str | None = None
    source: str | None = None


class Document(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The registry file, as it stands on disk. `schema` is for editors."""

    schema: str | None = msgspec.field(default=None, name="$schema")
    schema_version: int = SCHEMA_VERSION
    generated_at: datetime | None = None
    sources: tuple[Origin, ...] = ()
    providers: dict[str, Provider] = {}
    retired_providers: dict[str, RetiredProvider] = {}
    retired_models: dict[str, RetiredModel] = {}
    aliases: dict[str, str] = {}
    auto_model_priority: tuple[str, ...] = ()


def read(source: RegistrySource) -> tuple[bytes, str]:
    """Return the bytes of a source, and what to call it in messages.

    Raises:
        RegistryError: There is no such file, it cannot be read, or it is not JSON of
            the strict kind (see `inference_providers.registry.strict_json`).
    """
    raw, origin = _bytes_of(source)
    try:
        strict_json.decode(raw)
    except ValueError as error:
        msg = f"{origin}: not JSON: {error}"
        raise RegistryError(msg) from error
    return raw, origin


def _bytes_of(source: RegistrySource) -> tuple[bytes, str]:
    if isinstance(source, dict):
        try:
            plain = msgspec.to_builtins(source)  # msgspec itself would write NaN as null
            text = json.dumps(plain, allow_nan=False, ensure_ascii=False)
            return text.encode(), "the given registry"
        except (TypeError, ValueError, RecursionError) as error:
            msg = f"the given registry cannot be written as JSON: {error}"
            raise RegistryError(msg) from error
    if isinstance(source, str) and source.lstrip("\ufeff \t\r\n").startswith("{"):
        return _bare(source.encode(errors="surrogatepass")), "the given JSON text"
    try:
        path = _named(source).expanduser()
        with path.open("rb") as file:
            return _bare(file.read(strict_json.MAX_BYTES + 1)), str(path)
    except OSError as error:
        msg = f"{path}: cannot be read: {error.strerror or error}"
        raise RegistryError(msg) from error
    except (TypeError, ValueError, RuntimeError) as error:  # no path at all, or `~nobody`
        msg = f"{source!r}: {error}; expected a path, JSON text or a dict"
        raise RegistryError(msg) from error


def _named(source: str | os.PathLike[str]) -> Path:
    if isinstance(source, str) and not source.strip():  # pathlib takes it for this directory
        msg = "it is empty"
        raise ValueError(msg)
    return Path(source)


def _bare(raw: bytes) -> bytes:
    """Return a file without the mark that editors on Windows begin one with."""
    return raw.removeprefix(codecs.BOM_UTF8)


def _as_object(raw: bytes, origin: str, *, sparse: bool = False) -> dict[str, Any]:
    try:
        document = msgspec.json.decode(raw, type=dict[str, Any])
    except msgspec.ValidationError as error:
        refuse("$", _got_expected(str(error), [], None), origin)
    if legacy_format.is_original(document):
        return legacy_format.convert(document, sparse=sparse)
    return document


def decode(raw: bytes, origin: str) -> tuple[Document, bytes]:
    """Return the document that `read` gave, and the JSON it stands for in today's schema.

    Raises:
        RegistryError: Not the schema; says file, JSON path, got / expected.
    """
    try:
        document = msgspec.json.decode(raw, type=Document)
    except msgspec.ValidationError:
        # The slow road tells what is wrong, and reads the original project's format.
        plain = _as_object(raw, origin)
        raw = msgspec.json.encode(plain)
        document = _validated(plain, origin)
    _check(document, origin)
    return document, raw


def _validated(plain: dict[str, Any], origin: str) -> Document:
    try:
        return msgspec.convert(plain, Document)
    except msgspec.ValidationError as error:
        complaint, _, path = str(error).partition(" - at `")
        steps = re.findall(r"\.(\w+)|\[(\d+|\.\.\.)\]", path)
        providers = plain.get("providers")
        providers = providers if isinstance(providers, dict) else {}
        # Names that are very long, or very many, would take long to compare.
        known = [name for name in providers if len(name) <= _NEAR_LENGTH][:_NEAR_COUNT]
        where, value = _spelled_out(plain, steps, str(error))
        told = _got_expected(complaint, steps, value)
        if "got no" in told and (rest := where.removeprefix("$.providers.")) in known:
            known.remove(rest)  # a row laid over one that is there would not need it
            told += did_you_mean(rest, known)
        refuse(where, told, origin)


def _got_expected(complaint: str, steps: list[tuple[str, str]], value: Any) -> str:
    if match := re.fullmatch(r"Expected (.+), got (.+)", complaint):
        return f"got {match[2]}, expected {match[1]}"
    if match := re.fullmatch(r"Expected (.+)", complaint):
        return f"got {value!r}, expected {match[1]}"
    if match := re.fullmatch(r"Object missing required field `(.+)`", complaint):
        return f"got no {match[1]!r}, expected one"
    if match := re.fullmatch(r"Object contains unknown field `(.+)`", complaint, re.DOTALL):
        fields = [field for place in _places(steps) for field in place.get("properties", ())]
        hint = did_you_mean(match[1], fields) or f", expected {', '.join(map(repr, fields))}"
        return f"got an unknown field {match[1]!r}{hint}"
    if match := re.fullmatch(r"Invalid enum value (.+)", complaint, re.DOTALL):
        values = [value for place in _places(steps) for value in place.get("enum", ())]
        return f"got {match[1]}, expected {' or '.join(map(repr, values))}"
    return complaint + _SUCH_AS.get(complaint, "")


def _places(steps: list[tuple[str, str]]) -> list[dict[str, Any]]:
    """Return what the schema has at a path: one or more, where a value may be of several kinds."""
    whole = msgspec.json.schema(Document)

    def flat(part: dict[str, Any]) -> list[dict[str, Any]]:
        if "$ref" in part:
            return flat(whole["$defs"][part["$ref"].rpartition("/")[2]])
        return (
            [each for kind in part["anyOf"] for each in flat(kind)] if "anyOf" in part else [part]
        )

    places = flat(whole)
    for name, index in steps:
        inner = "additionalProperties" if index == "..." else "items"
        found = [
            place.get("properties", {}).get(name) if name else place.get(inner) for place in places
        ]
        places = [each for part in found if isinstance(part, dict) for each in flat(part)]
    return places


def _spelled_out(plain: dict[str, Any], steps: list[tuple[str, str]], said: str) -> tuple[str, Any]:
    """Put the real key in place of each `[...]` that msgspec writes for one; say what is there.

    The key is found by asking: the half of the keys for which the document is refused
    with the words `said` is halved again, until one is left.
    """
    done: list[str] = []
    value: Any = plain
    for name, index in steps:
        if index == "...":
            value, key = _narrowed(plain, value, said)
        elif index:
            key = index
            value = value[int(index)]
        else:
            key = name
            value = value[name]
        done.append(f"[{index}]" if index.isdigit() else f".{key}")
    return "$" + "".join(done), value


def _narrowed(plain: dict[str, Any], mapping: dict[str, Any], said: str) -> tuple[Any, str]:
    """Leave in `mapping`, a part of `plain`, the one entry for which it is refused."""
    entries = list(mapping.items())
    while len(entries) > 1:
        half = entries[: len(entries) // 2]
        mapping.clear()
        mapping.update(half)
        entries = half if _complaint(plain) == said else entries[len(half) :]
    mapping.clear()
    mapping.update(entries)
    key, value = entries[0]
    return value, key


def _complaint(plain: dict[str, Any]) -> str | None:
    try:
        msgspec.convert(plain, Document)
    except msgspec.ValidationError as error:
        return str(error)
    return None


def _check(document: Document, origin: str) -> None:
    if document.schema_version != SCHEMA_VERSION:
        got = document.schema_version
        refuse(
            "$.schema_version", f"got {got}, expected {SCHEMA_VERSION}; update autoprovider", origin
        )
    for where, complaint in validation.complaints(document.providers):
        refuse(where, complaint, origin)


def refuse(where: str, complaint: str, origin: str) -> NoReturn:
    """Raise `RegistryError` for a place in a file, by its JSON path."""
    raise RegistryError(one_line(f"{origin}: at {where}: {complaint}"))


def merge(base: bytes, patch: bytes, origin: str) -> bytes:
    """Lay one JSON document over another, as JSON Merge Patch (RFC 7396) does.

    Providers it adds come before those that were there: who adds one wants to use it.
    """
    before = msgspec.json.decode(base)
    merged = _merge(before, _as_object(patch, origin, sparse=True))
    if isinstance(providers := merged.get("providers"), dict):
        added = {
            name: row for name, row in providers.items() if name not in before.get("providers", {})
        }
        merged["providers"] = {**added, **providers}
    return msgspec.json.encode(merged)


def _merge(base: Any, patch: Any) -> Any:
    if not isinstance(patch, dict):
        return patch
    merged = dict(base) if isinstance(base, dict) else {}
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = _merge(merged.get(key), value)
    return merged
