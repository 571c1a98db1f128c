"""JSON schemas in the subset that OpenAI's strict mode accepts.

A provider that is sent `strict` guarantees the shape of its answer, and refuses a schema outside
the subset. `strict_schema` brings a schema into the subset if that costs the caller nothing:

* Every object is closed and requires all of its properties, so an optional property must accept
  null or an empty list, which mean the same as leaving it out.
* A default other than these, an object with any keys, and a keyword outside the subset have no
  strict form. A caller who wants `strict` all the same can pass `strict=True`.
* `allOf` with one entry and a `$ref` with a description are written without them.

An answer that is valid under the strict form is also valid under the caller's schema.
Source: https://developers.openai.com/api/docs/guides/structured-outputs, read 2026-11-28.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["strict_schema"]

Schema = dict[str, Any]

_VALUES = {"enum", "const"}
_BOUNDS = {"multipleOf", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"}
_KEYWORDS = {
    "object": {"properties", "required", "additionalProperties"},
    "array": {"items", "minItems", "maxItems"},
    "string": {"pattern", "format", *_VALUES},
    "integer": _BOUNDS | _VALUES,
    "number": _BOUNDS | _VALUES,
    "boolean": _VALUES,
    "null": _VALUES,
}
_ANNOTATIONS = {"title", "description"}
_DEFINITIONS = ("$defs", "definitions")
_FORMATS = (
    *("date-time", "time", "date", "duration"),
    *("email", "hostname", "ipv4", "ipv6", "uuid"),
)
_MAX_PROPERTIES = 5000
_MAX_LEVELS = 10
_MAX_ENUM_VALUES = 1000
_MAX_NAME_CHARS = 120_000
"""Characters in all names of properties and definitions, and in all enum and const values."""
_MAX_STEPS = 100
"""How deep a schema may be nested before it is left alone: it may refer to itself."""


def strict_schema(schema: Any) -> Schema | None:
    """Return a schema's form for strict mode, or `None` if it has none.

    The schema itself is not changed.
    """
    try:
        strict = _Converter(schema).convert()
    except _NoStrictFormError:
        return None
    return strict if _is_within_limits(strict) else None


class _NoStrictFormError(Exception):
    """A part of the schema has no strict form."""


class _Converter:
    def __init__(self, root: Any) -> None:
        if not isinstance(root, dict):
            raise _NoStrictFormError
        self._root: Schema = root

    def convert(self) -> Schema:
        definitions: Schema = {}
        for keyword in _DEFINITIONS:
            if keyword in self._root:
                named = _dict(self._root[keyword])
                definitions[keyword] = {name: self._node(it, 0) for name, it in named.items()}
        ignored = {*_DEFINITIONS, "$schema"}
        root = {name: it for name, it in self._root.items() if name not in ignored}
        if root.keys() == {"$ref"}:  # pydantic's form of a model that contains itself
            root = self._resolve(root["$ref"])
        strict = self._node(root, 0)
        if strict.get("type") != "object":
            raise _NoStrictFormError
        return {**strict, **definitions}

    def _node(self, schema: Any, steps: int) -> Schema:
        """Return the strict form of a schema that is `steps` deep inside the root."""
        if steps > _MAX_STEPS:
            raise _NoStrictFormError
        node = _dict(schema)
        if "$ref" in node:
            return self._reference(node, steps)
        if "allOf" in node:
            return self._node(_merge_only_entry(node), steps + 1)
        if "anyOf" in node:
            _check_keywords(node, {"anyOf"})
            variants = [self._node(it, steps + 1) for it in _list(node["anyOf"])]
            if not variants:
                raise _NoStrictFormError
            return {**node, "anyOf": variants}
        return self._typed(node, steps)

    def _typed(self, node: Schema, steps: int) -> Schema:
        kinds = _types_of(node)
        _check_keywords(node, {"type"}.union(*(_KEYWORDS[kind] for kind in kinds)))
        if "enum" in node:
            _list(node["enum"])
        if node.get("format", _FORMATS[0]) not in _FORMATS:
            raise _NoStrictFormError
        strict = dict(node)
        if "array" in kinds:
            strict["items"] = self._node(node.get("items"), steps + 1)
        if "object" in kinds:
            strict |= self._object(node, steps)
        return strict

    def _object(self, node: Schema, steps: int) -> Schema:
        properties = _dict(node.get("properties"))
        required = _list(node.get("required", []))
        if node.get("additionalProperties", False) is not False:
            raise _NoStrictFormError
        if not all(isinstance(name, str) and name in properties for name in required):
            raise _NoStrictFormError
        strict: Schema = {}
        for name, it in properties.items():
            strict[name] = self._node(_without_neutral_default(it), steps + 1)
            if name not in required and not self._can_be_left_blank(strict[name], steps):
                raise _NoStrictFormError
        return {
            "properties": strict,
            "required": list(properties),
            "additionalProperties": False,
        }

    def _reference(self, node: Schema, steps: int) -> Schema:
        """Keep a reference to a definition; beside other keywords, replace it with its target."""
        target = self._resolve(node["$ref"])
        if len(node) == 1:
            return dict(node)
        siblings = {name: it for name, it in node.items() if name != "$ref"}
        if siblings.keys() - _ANNOTATIONS:
            raise _NoStrictFormError
        return self._node({**target, **siblings}, steps + 1)

    def _resolve(self, reference: Any) -> Schema:
        if not isinstance(reference, str):
            raise _NoStrictFormError
        start, _, path = reference.partition("/")
        keyword, _, name = path.partition("/")
        if start != "#" or keyword not in _DEFINITIONS:
            raise _NoStrictFormError
        return _dict(_dict(self._root.get(keyword)).get(name))

    def _can_be_left_blank(self, strict: Schema, steps: int) -> bool:
        """Whether a value can say as much as a property that is left out: null or no items."""
        if steps > _MAX_STEPS:
            raise _NoStrictFormError
        if "$ref" in strict:
            return self._can_be_left_blank(self._resolve(strict["$ref"]), steps + 1)
        if "anyOf" in strict:
            return any(self._can_be_left_blank(it, steps + 1) for it in strict["anyOf"])
        kinds = _types_of(strict)
        return "null" in kinds or ("array" in kinds and not strict.get("minItems"))


def _check_keywords(node: Schema, allowed: set[str]) -> None:
    if node.keys() - allowed - _ANNOTATIONS:
        raise _NoStrictFormError


def _types_of(node: Schema) -> list[str]:
    kinds = node.get("type")
    kinds = kinds if isinstance(kinds, list) else [kinds]
    if not kinds or not all(isinstance(it, str) and it in _KEYWORDS for it in kinds):
        raise _NoStrictFormError
    return kinds


def _dict(value: Any) -> Schema:
    if not isinstance(value, dict):
        raise _NoStrictFormError
    return value


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise _NoStrictFormError
    return value


def _merge_only_entry(node: Schema) -> Schema:
    """Return a schema with the only entry of its `allOf` merged into it."""
    entries = _list(node["allOf"])
    others = {name: it for name, it in node.items() if name != "allOf"}
    if len(entries) != 1 or others.keys() - _ANNOTATIONS:
        raise _NoStrictFormError
    return {**_dict(entries[0]), **others}


def _without_neutral_default(schema: Any) -> Any:
    """Drop a default of null or of no items, which the model can write itself."""
    if not isinstance(schema, dict) or schema.get("default", 0) not in (None, []):
        return schema
    return {name: it for name, it in schema.items() if name != "default"}


def _is_within_limits(strict: Schema) -> bool:
    """Whether a schema in strict form is small enough for strict mode."""
    properties = names = 0
    for node, level in _nodes(strict, 1):
        values = [*node.get("enum", ()), *([node["const"]] if "const" in node else ())]
        if len(values) > _MAX_ENUM_VALUES or ("properties" in node and level > _MAX_LEVELS):
            return False
        properties += len(node.get("properties", ()))
        words = [*node.get("properties", ()), *values]
        for keyword in _DEFINITIONS:
            words += node.get(keyword, ())
        names += sum(len(str(word)) for word in words)
    return properties <= _MAX_PROPERTIES and names <= _MAX_NAME_CHARS


def _nodes(strict: Schema, level: int) -> Iterator[tuple[Schema, int]]:
    """Yield every schema inside a strict one, with the number of objects around it."""
    yield strict, level
    inner = level + 1 if "properties" in strict else level
    for it in strict.get("properties", {}).values():
        yield from _nodes(it, inner)
    for it in strict.get("anyOf", ()):
        yield from _nodes(it, level)
    if "items" in strict:
        yield from _nodes(strict["items"], level)
    for keyword in _DEFINITIONS:
        for it in strict.get(keyword, {}).values():
            yield from _nodes(it, 1)
