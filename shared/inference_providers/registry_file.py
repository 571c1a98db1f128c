"""The registry file: its schema, how it is read, and what is said when it is wrong.

* One schema (`Document`); a model may be a bare string, an object, or a list.
* A file in the format of the original project is converted first.
* Whatever is wrong is said with file, JSON path, and got / expected.
"""

from __future__ import annotations

import os
import re
from datetime import date, datetime  # noqa: TC003 - msgspec reads annotations at run time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from inference_providers import original_format
from inference_providers.errors import RegistryError
from inference_providers.routes import Model, Provider

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = [
    "Document",
    "RegistrySource",
    "RetiredModel",
    "RetiredProvider",
    "decode",
    "merge",
    "read",
]

SCHEMA_VERSION = 1

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
    """The registry file, as it stands on disk."""

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
        RegistryError: There is no such file, or it cannot be read.
    """
    if isinstance(source, dict):
        try:
            return msgspec.json.encode(source), "the given registry"
        except (TypeError, ValueError) as error:
            msg = f"the given registry cannot be written as JSON: {error}"
            raise RegistryError(msg) from error
    if isinstance(source, str) and source.lstrip().startswith("{"):
        return source.encode(), "the given JSON text"
    path = Path(source).expanduser()
    try:
        return path.read_bytes(), str(path)
    except OSError as error:
        msg = f"{path}: cannot be read: {error.strerror or error}"
        raise RegistryError(msg) from error


def _as_object(raw: bytes, origin: str, *, sparse: bool = False) -> dict[str, Any]:
    try:
        document = msgspec.json.decode(raw)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        msg = f"{origin}: not JSON: {error}"
        raise RegistryError(msg) from error
    if not isinstance(document, dict):
        msg = f"{origin}: at $: got {type(document).__name__}, expected an object"
        raise RegistryError(msg)
    if original_format.is_original(document):
        return original_format.convert(document, sparse=sparse)
    return document


def decode(raw: bytes, origin: str) -> tuple[Document, bytes]:
    """Return the document and the JSON it stands for in today's schema.

    Raises:
        RegistryError: Not JSON, or not the schema; says file, JSON path, got / expected.
    """
    try:
        document = msgspec.json.decode(raw, type=Document)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
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
        where = _spelled_out(plain, path.rstrip("`") or "$")
        msg = f"{origin}: at {where}: {_got_expected(complaint)}"
        raise RegistryError(msg) from error


def _got_expected(complaint: str) -> str:
    match = re.fullmatch(r"Expected (.+), got (.+)", complaint)
    return f"got {match[2]}, expected {match[1]}" if match else complaint


def _spelled_out(plain: dict[str, Any], path: str) -> str:
    """Put the real key in place of each `[...]` that msgspec writes for one.

    The key is found by asking: of the documents with only one of the keys left, it
    is the one that is still refused.
    """
    steps = re.findall(r"\.(\w+)|\[(\d+|\.\.\.)\]", path)
    done: list[str] = []
    value: Any = plain
    for name, index in steps:
        if index == "...":
            value, key = _narrowed(plain, value)
        elif index:
            key = index
            value = value[int(index)]
        else:
            key = name
            value = value[name]
        done.append(f"[{index}]" if index.isdigit() else f".{key}")
    return "$" + "".join(done)


def _narrowed(plain: dict[str, Any], mapping: dict[str, Any]) -> tuple[Any, str]:
    whole = dict(mapping)
    for key, value in whole.items():
        mapping.clear()
        mapping[key] = value
        try:
            msgspec.convert(plain, Document)
        except msgspec.ValidationError:
            return value, key
    return whole, "*"


def _check(document: Document, origin: str) -> None:
    for where, complaint in _complaints(document):
        msg = f"{origin}: at {where}: {complaint}"
        raise RegistryError(msg)


def _complaints(document: Document) -> Iterator[tuple[str, str]]:
    if document.schema_version != SCHEMA_VERSION:
        got = document.schema_version
        yield "$.schema_version", f"got {got}, expected {SCHEMA_VERSION}; update autoprovider"
    for provider_id, provider in document.providers.items():
        at = f"$.providers.{provider_id}"
        if not re.fullmatch(r"[a-z0-9][a-z0-9._-]*", provider_id):
            yield at, "a provider's id is made of lower-case letters, digits, '.', '_' and '-'"
        if not provider.auth.any_of:
            yield f"{at}.auth.any_of", "got no alternative, expected [[]] where no key is needed"
        for variable in (name for names in provider.auth.any_of for name in names):
            if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", variable):
                yield f"{at}.auth.any_of", "got something else, expected the name of a variable"
        for name, endpoint in provider.endpoints.items():
            if not re.match(r"https?://[^/]", endpoint.base_url):
                complaint = f"got {endpoint.base_url!r}, expected an http(s) URL"
                yield f"{at}.endpoints.{name}.base_url", complaint
        yield from _model_complaints(at, provider)


def _model_complaints(at: str, provider: Provider) -> Iterator[tuple[str, str]]:
    for model, listed in provider.models.items():
        for entry in listed if isinstance(listed, tuple) else (listed,):
            endpoint = entry.endpoint if isinstance(entry, Model) else "default"
            if endpoint not in provider.endpoints:
                known = ", ".join(map(repr, provider.endpoints)) or "none"
                yield f"{at}.models.{model}", f"got endpoint {endpoint!r}, expected one of {known}"


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
