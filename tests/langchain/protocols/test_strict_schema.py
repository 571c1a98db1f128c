"""Which JSON schemas have a strict form, and that it means no more than the schema."""

from __future__ import annotations

from copy import deepcopy
from datetime import datetime  # noqa: TC003 - pydantic reads it
from enum import Enum
from typing import TYPE_CHECKING, Annotated, Any, Literal

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.utils.function_calling import convert_to_json_schema
from openai.lib._pydantic import to_strict_json_schema
from pydantic import BaseModel, ConfigDict, Field
from typing_extensions import TypedDict

from langchain_autoprovider.protocols.strict_schema import strict_schema

if TYPE_CHECKING:
    from collections.abc import Iterator

STRING = {"type": "string"}
NULL = {"type": "null"}


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


class Address(BaseModel):
    """An address."""

    street: str
    country: str | None = None


class Tree(BaseModel):
    label: str
    children: list[Tree] = []


class Customer(BaseModel):
    """A customer."""

    name: str = Field(description="the full name")
    age: int | None = None
    kind: Literal["private", "business"]
    colour: Colour
    since: datetime
    home: Address
    office: Address | None = None
    tags: list[str] = Field(default_factory=list)
    score: Annotated[float, Field(ge=0, le=1)]


class WithDefault(BaseModel):
    limit: int = 5


class WithAnyKeys(BaseModel):
    counts: dict[str, int]


class WithAnyValue(BaseModel):
    value: Any


class WithExtraKeys(BaseModel):
    model_config = ConfigDict(extra="allow")
    name: str


class WithLength(BaseModel):
    name: str = Field(min_length=1)


class WithTuple(BaseModel):
    pair: tuple[int, str]


class AllRequired(TypedDict):
    """A person."""

    name: str
    age: int


def nodes(schema: Any) -> Iterator[dict[str, Any]]:
    """Yield every object and array of a JSON value."""
    if isinstance(schema, dict):
        yield schema
        for value in schema.values():
            yield from nodes(value)
    elif isinstance(schema, list):
        for value in schema:
            yield from nodes(value)


def assert_strict(schema: dict[str, Any]) -> None:
    """Check the two rules of strict mode that every schema must obey."""
    for node in nodes(schema):
        if node.get("type") == "object":
            assert node["additionalProperties"] is False
            assert node["required"] == list(node["properties"])


def wrap(part: Any, *, required: bool = True) -> dict[str, Any]:
    """Return the schema of an object whose only property has the schema `part`."""
    names = ["it"] if required else []
    return {"type": "object", "properties": {"it": part}, "required": names}


@pytest.mark.parametrize(
    "schema",
    [
        Address.model_json_schema(),
        Tree.model_json_schema(),
        Customer.model_json_schema(),
        convert_to_json_schema(Customer),
    ],
    ids=["simple", "recursive", "all kinds", "all kinds by langchain"],
)
def test_strict_schema_of_pydantic_models(schema: Any) -> None:
    before = deepcopy(schema)
    strict = strict_schema(schema)
    assert strict is not None
    assert_strict(strict)
    assert schema == before


@pytest.mark.parametrize("model", [Address, Customer])
def test_strict_schema_agrees_with_the_openai_sdk(model: type[BaseModel]) -> None:
    assert strict_schema(model.model_json_schema()) == to_strict_json_schema(model)


@pytest.mark.parametrize(
    "schema",
    [WithDefault, WithAnyKeys, WithAnyValue, WithExtraKeys, WithLength, WithTuple],
)
def test_strict_schema_refuses_what_would_change(schema: Any) -> None:
    assert strict_schema(convert_to_json_schema(schema)) is None


def test_strict_schema_of_a_typed_dict() -> None:
    strict = strict_schema(convert_to_json_schema(AllRequired))
    assert strict is not None
    assert strict["required"] == ["name", "age"]
    assert strict["additionalProperties"] is False


@pytest.mark.parametrize(
    "part",
    [
        {"type": ["string", "null"]},
        {"anyOf": [STRING, NULL]},
        {"anyOf": [STRING, NULL], "default": None},
        {"type": "array", "items": STRING, "default": []},
        {"$ref": "#/$defs/Maybe"},
    ],
)
def test_strict_schema_requires_what_can_be_left_blank(part: dict[str, Any]) -> None:
    schema = {**wrap(part, required=False), "$defs": {"Maybe": {"anyOf": [STRING, NULL]}}}
    strict = strict_schema(schema)
    assert strict is not None
    assert strict["required"] == ["it"]
    assert "default" not in strict["properties"]["it"]


@pytest.mark.parametrize(
    "part",
    [
        STRING,
        {"type": "integer", "default": None},
        {"type": "array", "items": STRING, "minItems": 1},
        {"anyOf": [STRING, NULL], "default": "red"},
    ],
)
def test_strict_schema_never_makes_a_model_invent(part: dict[str, Any]) -> None:
    assert strict_schema(wrap(part, required=False)) is None


@pytest.mark.parametrize(
    "part",
    [
        True,
        None,
        {},
        {"type": "any"},
        {"type": []},
        {"type": "object"},
        {"type": "array"},
        {"anyOf": []},
        {"anyOf": "x"},
        {"oneOf": [STRING, NULL]},
        {"allOf": [STRING, STRING]},
        {"not": STRING},
        {"type": "string", "format": "uri"},
        {"type": "string", "format": []},
        {"type": "string", "minLength": 1},
        {"type": "string", "enum": "red"},
        {"$ref": "#/$defs/Missing"},
        {"$ref": "https://example.com/schema"},
        {"$ref": 5},
        {"type": "object", "properties": {}, "required": [[]]},
        {"type": "object", "properties": {}, "required": ["missing"]},
        {"type": "object", "properties": {}, "additionalProperties": STRING},
        {"type": "object", "properties": {}, "patternProperties": {}},
    ],
)
def test_strict_schema_refuses_other_keywords(part: Any) -> None:
    assert strict_schema(wrap(part)) is None


@pytest.mark.parametrize("root", [None, [], "x", {}, STRING, {"anyOf": [wrap(STRING)]}, True])
def test_strict_schema_needs_an_object_at_the_root(root: Any) -> None:
    assert strict_schema(root) is None


def test_strict_schema_merges_refs_and_all_of() -> None:
    named = {"description": "where", "title": "Where"}
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "properties": {
            "ref": {"$ref": "#/definitions/Place", **named},
            "all_of": {"allOf": [{"$ref": "#/definitions/Place"}], **named},
        },
        "required": ["ref", "all_of"],
        "definitions": {"Place": wrap(STRING)},
    }
    strict = strict_schema(schema)
    assert strict is not None
    place = {**wrap(STRING), "additionalProperties": False, **named}
    assert strict["properties"] == {"ref": place, "all_of": place}
    assert "$schema" not in strict


def test_strict_schema_ends_for_endless_schemas() -> None:
    loop = {"$ref": "#/$defs/Loop", "description": "itself"}
    assert strict_schema({**wrap(loop), "$defs": {"Loop": loop}}) is None
    bare = {"$ref": "#/$defs/Loop"}
    assert strict_schema({**wrap(bare, required=False), "$defs": {"Loop": bare}}) is None
    deep: dict[str, Any] = STRING
    for _ in range(5000):
        deep = {"anyOf": [deep]}
    assert strict_schema(wrap(deep)) is None


def nested(levels: int) -> dict[str, Any]:
    """Return a schema of `levels` objects, each inside the other."""
    schema: dict[str, Any] = STRING
    for _ in range(levels):
        schema = wrap(schema)
    return schema


def test_strict_schema_keeps_to_the_size_limits() -> None:
    assert strict_schema(nested(10))
    assert strict_schema(nested(11)) is None
    many = {f"p{number}": STRING for number in range(5001)}
    assert strict_schema({"type": "object", "properties": many, "required": [*many]}) is None
    assert strict_schema(wrap({"type": "string", "enum": [str(n) for n in range(1000)]}))
    assert strict_schema(wrap({"type": "string", "enum": [str(n) for n in range(1001)]})) is None
    assert strict_schema(wrap({"type": "string", "const": "x" * 120_001})) is None


SCALARS: st.SearchStrategy[tuple[dict[str, Any], Any]] = st.one_of(
    st.text(max_size=3).map(lambda value: (STRING, value)),
    st.integers(-3, 3).map(lambda value: ({"type": "integer", "minimum": -3}, value)),
    st.booleans().map(lambda value: ({"type": "boolean"}, value)),
    st.just((NULL, None)),
    st.sampled_from(["a", "b"]).map(lambda value: ({"enum": ["a", "b"], "type": "string"}, value)),
    st.text(max_size=3).map(lambda value: ({"type": "string", "default": "x"}, value)),
    st.text(max_size=3).map(lambda value: ({"type": "string", "maxLength": 9}, value)),
)


def containers(
    children: st.SearchStrategy[tuple[dict[str, Any], Any]],
) -> st.SearchStrategy[tuple[dict[str, Any], Any]]:
    """Return schemas of arrays, unions and objects, each with a valid value."""

    def array(pair: tuple[dict[str, Any], Any]) -> tuple[dict[str, Any], Any]:
        return {"type": "array", "items": pair[0]}, [pair[1]]

    def union(pair: tuple[dict[str, Any], Any]) -> tuple[dict[str, Any], Any]:
        return {"anyOf": [pair[0], NULL]}, pair[1]

    def obj(
        drawn: tuple[dict[str, tuple[dict[str, Any], Any]], set[str], dict[str, Any]],
    ) -> tuple[dict[str, Any], Any]:
        pairs, required, extra = drawn
        schema = {
            "type": "object",
            "properties": {name: pair[0] for name, pair in pairs.items()},
            "required": sorted(required & pairs.keys()),
            **extra,
        }
        return schema, {name: pair[1] for name, pair in pairs.items()}

    names = st.sampled_from("abc")
    extras = st.sampled_from([{}, {}, {"additionalProperties": False}, {"description": "d"}])
    objects = st.tuples(st.dictionaries(names, children, max_size=3), st.sets(names), extras)
    return st.one_of(children.map(array), children.map(union), objects.map(obj))


@given(st.recursive(SCALARS, containers, max_leaves=8), st.data())
def test_strict_form_allows_nothing_new(pair: tuple[Any, Any], data: st.DataObject) -> None:
    schema, value = wrap(pair[0]), {"it": pair[1]}
    strict = strict_schema(schema)
    if strict is None:
        return
    assert_strict(strict)
    jsonschema.validate(value, strict)  # complete values stay valid
    candidate = data.draw(st.one_of(st.just(value), mutations(value)))
    if jsonschema.Draft202012Validator(strict).is_valid(candidate):
        jsonschema.validate(candidate, schema)


def mutations(value: Any) -> st.SearchStrategy[Any]:
    """Return values that differ from `value` in one place."""
    if isinstance(value, dict) and value:
        name = st.sampled_from(sorted(value))
        left_out = name.map(lambda n: {k: v for k, v in value.items() if k != n})
        changed = name.flatmap(lambda n: mutations(value[n]).map(lambda v: {**value, n: v}))
        return st.one_of(left_out, changed, st.just({**value, "new": 1}))
    if isinstance(value, list) and value:
        return st.one_of(st.just([]), mutations(value[0]).map(lambda it: [it]))
    return st.sampled_from([None, "c", 7, True, [], {}])


_KEYWORDS = ("type", "properties", "required", "items", "anyOf", "allOf", "$ref", "$defs", "enum")
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3) | st.just("object"),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.sampled_from(_KEYWORDS) | st.text(max_size=2), inner, max_size=4),
    ),
    max_leaves=20,
)


@given(JSON)
def test_strict_schema_accepts_any_json(value: Any) -> None:
    strict = strict_schema(value)
    assert strict is None or strict["type"] == "object"
