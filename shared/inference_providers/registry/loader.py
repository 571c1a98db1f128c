"""Registry files: their schema, how they are read, and the message when one is wrong.

* There is one schema, `Document`. A model may be a bare id, an object, or a list of either.
* A file in the format of the original project is converted first.
* Rules beyond types are in `inference_providers.registry.validation`.
* Every message names the file and the JSON path, and says what was found and expected.
"""

from __future__ import annotations

import codecs
import json
import os
import re
from datetime import date, datetime  # noqa: TC003 - msgspec reads annotations at run time
from pathlib import Path
from typing import Any, NamedTuple, NoReturn, get_args, get_type_hints

import msgspec

from inference_providers.errors import RegistryError, one_line
from inference_providers.model_names.canonical import did_you_mean
from inference_providers.registry import legacy_format, strict_json, validation
from inference_providers.types import Provider  # noqa: TC001 - msgspec reads annotations

__all__ = [
    "SCHEMA_VERSION",
    "Document",
    "RegistrySource",
    "RetiredModel",
    "RetiredProvider",
    "decode_document",
    "merge_patch",
    "read_source",
    "refuse",
    "require_strict_json",
]

SCHEMA_VERSION = 1
_CACHED_DICTS = 16
_SUGGESTED_ID_MAX_LENGTH = 60
_SUGGESTED_IDS_MAX = 1000
_EXAMPLES = {
    "Invalid RFC3339 encoded date": ", expected a date such as '2026-11-22'",
    "Invalid RFC3339 encoded datetime": ", expected a time such as '2026-11-22T00:00:00Z'",
}

_json_by_content: dict[bytes, bytes] = {}
"""The JSON of dicts, by their content in msgpack."""

RegistrySource = str | os.PathLike[str] | dict[str, Any]
"""A path, JSON text, or the decoded JSON object."""


class Origin(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where registry facts were taken from.

    Attributes:
        sha256: Hash of the part of the source that was used.
    """

    name: str
    version: str | None = None
    license: str | None = None
    url: str | None = None
    sha256: str | None = None


class RetiredProvider(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A provider that has closed: since when, and what to use instead."""

    note: str
    name: str | None = None
    since: date | None = None
    source: str | None = None


class RetiredModel(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A model that no listed provider serves any more, and what may replace it."""

    replaced_by: tuple[str, ...] = ()
    since: date | None = None
    note: str | None = None
    source: str | None = None


class Document(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A registry file. `schema` is for editors only."""

    schema: str | None = msgspec.field(default=None, name="$schema")
    schema_version: int = SCHEMA_VERSION
    generated_at: datetime | None = None
    sources: tuple[Origin, ...] = ()
    providers: dict[str, Provider] = {}
    retired_providers: dict[str, RetiredProvider] = {}
    retired_models: dict[str, RetiredModel] = {}
    aliases: dict[str, str] = {}
    auto_model_priority: tuple[str, ...] = ()


def read_source(source: RegistrySource) -> tuple[bytes, str]:
    """Return the JSON of a source, and what to call the source in messages.

    The JSON of a file or a text is not checked; `require_strict_json` does that.

    Raises:
        RegistryError: There is no such file, it cannot be read, or a dict is not JSON.
    """
    if isinstance(source, dict):
        return _dict_as_json(source), "the given registry"
    if isinstance(source, str) and source.lstrip("\ufeff \t\r\n").startswith("{"):
        return _without_bom(source.encode(errors="surrogatepass")), "the given JSON text"
    try:
        path = _source_path(source).expanduser()
        with path.open("rb") as file:
            return _without_bom(file.read(strict_json.MAX_BYTES + 1)), str(path)
    except OSError as error:
        msg = f"{path}: cannot be read: {error.strerror or error}"
        raise RegistryError(msg) from error
    except (TypeError, ValueError, RuntimeError) as error:  # not a path, or `~unknown-user`
        msg = f"{source!r}: {error}; expected a path, JSON text or a dict"
        raise RegistryError(msg) from error


def require_strict_json(raw: bytes, origin: str) -> None:
    """Refuse what is not strict JSON (see `inference_providers.registry.strict_json`).

    Raises:
        RegistryError: It is not; says what is wrong.
    """
    try:
        strict_json.decode(raw)
    except ValueError as error:
        raise RegistryError(one_line(f"{origin}: not valid JSON: {error}")) from error


def _dict_as_json(source: dict[str, Any]) -> bytes:
    """Return a dict as JSON; the same bytes object as long as its content is the same.

    Raises:
        RegistryError: It cannot be written as JSON.
    """
    try:
        content = msgspec.msgpack.encode(source)  # takes a tenth of the time that JSON takes
    except (TypeError, ValueError, OverflowError, RecursionError):
        content = None
    if content is not None and (raw := _json_by_content.get(content)):
        return raw
    try:
        plain = msgspec.to_builtins(source)
        # msgspec's own encoder would write NaN as null
        raw = json.dumps(plain, allow_nan=False, ensure_ascii=False).encode()
    except (TypeError, ValueError, RecursionError) as error:
        msg = f"the given registry cannot be written as JSON: {error}"
        raise RegistryError(msg) from error
    if content is not None:
        if len(_json_by_content) >= _CACHED_DICTS:
            _json_by_content.clear()
        _json_by_content[content] = raw
    return raw


def _source_path(source: str | os.PathLike[str]) -> Path:
    if isinstance(source, str) and not source.strip():  # Path("") is the current directory
        msg = "the path is empty"
        raise ValueError(msg)
    return Path(source)


def _without_bom(raw: bytes) -> bytes:
    """Remove the byte order mark that some editors on Windows write first."""
    return raw.removeprefix(codecs.BOM_UTF8)


def decode_document(raw: bytes, origin: str) -> tuple[Document, bytes]:
    """Return the document of a JSON text, and its JSON in the current schema.

    Raises:
        RegistryError: The text breaks the schema or a validation rule.
    """
    try:
        document = msgspec.json.decode(raw, type=Document)
    except msgspec.ValidationError:  # wrong, or in the original project's format
        plain = _json_object(raw, origin)
        raw = msgspec.json.encode(plain)
        document = _convert_document(plain, origin)
    if document.schema_version != SCHEMA_VERSION:
        complaint = f"got {document.schema_version}, expected {SCHEMA_VERSION}; update autoprovider"
        refuse("$.schema_version", complaint, origin)
    for path, complaint in validation.complaints(document.providers):
        refuse(path, complaint, origin)
    return document, raw


def _json_object(raw: bytes, origin: str, *, sparse: bool = False) -> dict[str, Any]:
    """Return a file's JSON object in the current schema, not validated yet."""
    try:
        document = msgspec.json.decode(raw, type=dict[str, Any])
    except msgspec.ValidationError as error:
        refuse("$", _got_expected(_Fault(str(error), "$", None, ())), origin)
    if legacy_format.is_legacy(document):
        return legacy_format.convert(document, sparse=sparse)
    return document


def refuse(path: str, complaint: str, origin: str) -> NoReturn:
    """Refuse a registry file.

    Raises:
        RegistryError: Always; names the file and the JSON path.
    """
    raise RegistryError(one_line(f"{origin}: at {path}: {complaint}"))


def merge_patch(base: bytes, patch: bytes, origin: str) -> bytes:
    """Return `base` with a JSON Merge Patch (RFC 7396) applied.

    Providers that the patch adds come first: adding a provider means wanting to use it.

    Raises:
        RegistryError: The patch is not a JSON object.
    """
    before = msgspec.json.decode(base)
    merged = _merged_value(before, _json_object(patch, origin, sparse=True))
    if isinstance(providers := merged.get("providers"), dict):
        old = before.get("providers", {})
        added = {name: row for name, row in providers.items() if name not in old}
        merged["providers"] = {**added, **providers}
    return msgspec.json.encode(merged)


def _merged_value(base: Any, patch: Any) -> Any:
    if not isinstance(patch, dict):
        return patch
    merged = dict(base) if isinstance(base, dict) else {}
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = _merged_value(merged.get(key), value)
    return merged


# Messages about what breaks the schema


class _Fault(NamedTuple):
    """What msgspec refuses.

    Attributes:
        complaint: msgspec's message without its path.
        path: The JSON path, with the real keys.
        value: What is at that path.
        schemas: The JSON Schemas of that place: one for each kind that the value may have.
    """

    complaint: str
    path: str
    value: Any
    schemas: tuple[dict[str, Any], ...]


def _convert_document(plain: dict[str, Any], origin: str) -> Document:
    """Return the document of a JSON object.

    Raises:
        RegistryError: The object breaks the schema.
    """
    try:
        return msgspec.convert(plain, Document)
    except msgspec.ValidationError as error:
        fault = _locate_fault(str(error), plain, Document)
    complaint = _got_expected(fault)
    if fault.complaint.startswith("Object missing"):
        # A row merged into an existing provider needs no name, so its id is probably misspelled.
        provider_id = fault.path.removeprefix("$.providers.")
        complaint += did_you_mean(provider_id, _ids_to_suggest(plain, provider_id))
    refuse(fault.path, complaint, origin)


def _ids_to_suggest(plain: dict[str, Any], misspelled: str) -> list[str]:
    """Return the provider ids to compare with a misspelled one: not too long, nor too many."""
    ids = [name for name in plain.get("providers", ()) if len(name) <= _SUGGESTED_ID_MAX_LENGTH]
    ids = ids[:_SUGGESTED_IDS_MAX]
    return [name for name in ids if name != misspelled] if misspelled in ids else []


def _locate_fault(error: str, value: Any, kind: Any, path: str = "$") -> _Fault:
    """Return what msgspec refused when it converted `value` to `kind`.

    msgspec writes `[...]` for the key of a mapping. All mappings are fields of `Document`
    and `Provider`, so the first entry that is refused alone is the one it means.
    """
    complaint, _, where = error.partition(" - at `$")
    steps = re.findall(r"\.(\w+)|\[(\d+|\.\.\.)\]", where)
    if ("", "...") in steps:
        field = steps[0][0]
        _, entry_kind = get_args(get_type_hints(kind)[field])
        for key, entry in value[field].items():
            try:
                msgspec.convert(entry, entry_kind)
            except msgspec.ValidationError as inner:
                return _locate_fault(str(inner), entry, entry_kind, f"{path}.{field}.{key}")
    for name, index in steps:
        value = value[name] if name else value[int(index)]
        path += f".{name}" if name else f"[{index}]"
    return _Fault(complaint, path, value, _schemas_at(kind, steps))


def _schemas_at(kind: Any, steps: list[tuple[str, str]]) -> tuple[dict[str, Any], ...]:
    """Return the JSON Schema of a type at a path of field names and list indices."""
    root = msgspec.json.schema(kind)

    def alternatives(schema: dict[str, Any]) -> list[dict[str, Any]]:
        if "$ref" in schema:
            return alternatives(root["$defs"][schema["$ref"].rpartition("/")[2]])
        if "anyOf" in schema:
            return [leaf for part in schema["anyOf"] for leaf in alternatives(part)]
        return [schema]

    schemas = alternatives(root)
    for name, _ in steps:
        inner = [s.get("properties", {}).get(name) if name else s.get("items") for s in schemas]
        schemas = [leaf for part in inner if isinstance(part, dict) for leaf in alternatives(part)]
    return tuple(schemas)


def _got_expected(fault: _Fault) -> str:
    """Return msgspec's complaint in the form `got …, expected …`."""
    complaint = fault.complaint
    if match := re.fullmatch(r"Expected (.+), got (.+)", complaint):
        return f"got {match[2]}, expected {match[1]}"
    if match := re.fullmatch(r"Expected (.+)", complaint):
        return f"got {fault.value!r}, expected {match[1]}"
    if match := re.fullmatch(r"Object missing required field `(.+)`", complaint):
        return f"required field {match[1]!r} is missing"
    if match := re.fullmatch(r"Object contains unknown field `(.+)`", complaint, re.DOTALL):
        fields = [name for schema in fault.schemas for name in schema.get("properties", ())]
        hint = did_you_mean(match[1], fields) or f", expected {', '.join(map(repr, fields))}"
        return f"got an unknown field {match[1]!r}{hint}"
    if match := re.fullmatch(r"Invalid enum value (.+)", complaint, re.DOTALL):
        values = [value for schema in fault.schemas for value in schema.get("enum", ())]
        return f"got {match[1]}, expected {' or '.join(map(repr, values))}"
    return complaint + _EXAMPLES.get(complaint, "")
