"""A registry file is read strictly; errors name file, JSON path, value and expectation."""

from __future__ import annotations

import copy
import json
import math
import time
from typing import TYPE_CHECKING

import pytest

from factories import provider_row
from inference_providers.errors import RegistryError
from inference_providers.registry import loader
from inference_providers.registry.registry import Registry
from inference_providers.types import Cost, Model

if TYPE_CHECKING:
    from pathlib import Path

GOOD = {
    "providers": {
        "a": provider_row({"m": "id", "n": {"id": "n-id"}, "o": ["o-1", {"id": "o-2"}]}, "A_KEY"),
        "b": {
            "name": "B",
            "endpoints": {"default": {"protocol": "openai-chat", "base_url": "https://b.test/v1"}},
        },
    }
}


def changed(value, *path) -> dict:
    """Return GOOD with one place changed."""
    document = copy.deepcopy(GOOD)
    place = document
    for step in path[:-1]:
        place = place.setdefault(step, {}) if isinstance(place, dict) else place[step]
    place[path[-1]] = value
    return document


def test_load_takes_a_path_text_or_dict(tmp_path: Path) -> None:
    file = tmp_path / "mine.json"
    file.write_text(json.dumps(GOOD))
    sources = [file, str(file), json.dumps(GOOD), "\n " + json.dumps(GOOD), GOOD]
    documents = [Registry.load(source).document for source in sources]
    assert all(document == documents[0] for document in documents)
    assert list(documents[0].providers) == ["a", "b"]


def test_load_expands_the_home_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "mine.json").write_text(json.dumps(GOOD))
    assert list(Registry.load("~/mine.json").providers) == ["a", "b"]


def test_load_takes_a_model_as_text_object_or_list() -> None:
    registry = Registry.load(GOOD)
    assert registry.entries("a", "m") == (Model(id="id", input=()),)
    assert registry.entries("a", "n") == (Model(id="n-id"),)
    assert {entry.id for entry in registry.entries("a", "o")} == {"o-1", "o-2"}


@pytest.mark.parametrize(
    ("document", "message"),
    [
        (changed(5, "providers", "a", "name"), "at $.providers.a.name: got `int`, expected `str`"),
        (changed({}, "providers", "b", "endpoints", "default"), "$.providers.b.endpoints.default"),
        (changed([1], "providers", "a", "models", "m"), "at $.providers.a.models.m[0]"),
        (changed("x", "providers", "a", "modles"),
         "at $.providers.a: got an unknown field 'modles'; did you mean 'models'"),
        (changed({"id": "x", "contxt": 5}, "providers", "a", "models", "o"),
         "at $.providers.a.models.o: got an unknown field 'contxt'; did you mean 'context'"),
        (changed([{"id": "x", "tire": "free"}], "providers", "a", "models", "o"),
         "at $.providers.a.models.o[0]: got an unknown field 'tire'; did you mean 'tier'"),
        ({"zzz": {}}, "at $: got an unknown field 'zzz', expected '$schema', 'schema_version', "),
        (changed([["A_KEY"]], "providers", "a", "auth", "xyz"),
         "got an unknown field 'xyz', expected 'any_of', 'opt_in', 'opt_in_variables'"),
        ({"providers": {"a": {}}}, "at $.providers.a: required field 'name' is missing"),
        (changed({"id": "x", "input": ["text", "images"]}, "providers", "a", "models", "n"),
         "at $.providers.a.models.n.input[1]: got 'images', expected 'audio' or 'image' or 'pdf'"),
        (changed("planet", "providers", "b", "kind"),
         "at $.providers.b.kind: got 'planet', expected 'cloud' or 'direct' or 'embedded' or"),
        (changed("2026-11-22", "generated_at"), "expected a time such as '2026-11-22T00:00:00Z'"),
        (changed({"id": "x", "cost": {"in": "free", "out": 0}}, "providers", "a", "models", "n"),
         "at $.providers.a.models.n.cost.in: got `str`, expected `float`"),
        (changed({"id": "x", "shutdown": "soon"}, "providers", "a", "models", "m"),
         "at $.providers.a.models.m.shutdown: Invalid RFC3339 encoded date, expected a date such"),
        (changed("note", "retired_providers", "x"), "at $.retired_providers.x"),
        (changed([], "aliases"), "at $.aliases: got `array`, expected `object`"),
        (changed(2, "schema_version"), "$.schema_version: got 2, expected 1; update autoprovider"),
        (changed(GOOD["providers"]["a"], "providers", "Bad Id"), "at $.providers.Bad Id: "),
        (changed([["A KEY"]], "providers", "a", "auth", "any_of"), "expected a variable's name"),
        (changed([["$(id)"]], "providers", "a", "auth", "any_of"), "expected a variable's name"),
        (changed([], "providers", "a", "auth", "any_of"), "expected [[]] if no key is needed"),
        (changed("ftp://a.test", "providers", "a", "endpoints", "default", "base_url"),
         "$.providers.a.endpoints.default.base_url: got 'ftp://a.test', expected an http(s) URL"),
        (changed("a.test/v1", "providers", "a", "endpoints", "default", "base_url"), "http(s) URL"),
        (changed({"id": "x", "endpoint": "eu"}, "providers", "a", "models", "m"),
         "at $.providers.a.models.m: got endpoint 'eu', expected one of 'default'"),
    ],
)  # fmt: skip
def test_load_names_the_place_of_a_fault(document: dict, message: str) -> None:
    with pytest.raises(RegistryError) as caught:
        Registry.load(document)
    assert str(caught.value).startswith("the given registry: at $")
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"context": 0}, "context: got 0, expected `int` >= 1"),
        ({"output": -1}, "output: got -1, expected `int` >= 1"),
        ({"dimensions": -(10**30)}, f"dimensions: got -{10**30}, expected `int` >= 1"),
        ({"cost": {"in": -1, "out": 0}}, "cost.in: got -1, expected `float` >= 0.0"),
        ({"cost": {"in": 0, "out": -0.5}}, "cost.out: got -0.5, expected `float` >= 0.0"),
        ({"limits": {"rpm": 0}}, "limits.rpm: got 0, expected `int` >= 1"),
        ({"quirks": {"max_n": 0}}, "quirks.max_n: got 0, expected `int` >= 1"),
    ],
)
def test_load_refuses_a_number_out_of_range(fields: dict, message: str) -> None:
    document = changed({"id": "x", **fields}, "providers", "a", "models", "n")
    with pytest.raises(RegistryError) as caught:
        Registry.load(document)
    assert str(caught.value) == f"the given registry: at $.providers.a.models.n.{message}"


def test_load_accepts_a_price_of_zero() -> None:
    free = changed({"id": "x", "cost": {"in": 0, "out": 0}}, "providers", "a", "models", "n")
    assert Registry.load(free).entries("a", "n")[0].cost == Cost(input=0, output=0)


def test_load_suggests_the_id_of_a_misspelled_provider() -> None:
    with pytest.raises(RegistryError) as caught:
        Registry.load().merged({"providers": {"grok": {"models": {"m": "x"}}}})
    message = "at $.providers.grok: required field 'name' is missing; did you mean 'groq'"
    assert message in str(caught.value)
    long = "grok" * 50
    with pytest.raises(RegistryError, match=r"is missing$"):  # to compare them would take long
        Registry.load({"providers": {long + "a": {}, long: {}}})


def test_load_names_the_first_of_two_faults() -> None:
    with pytest.raises(RegistryError, match=r"at \$\.providers\.b\.name: got `int`"):
        Registry.load({**changed(5, "providers", "b", "name"), "aliases": []})


def test_load_finds_a_fault_among_very_many_rows_fast() -> None:
    rows: dict = {f"p{n}": {"name": "", "endpoints": {}} for n in range(4_000)}
    aliases = {f"a{n}": "b" for n in range(20_000)}
    start = time.process_time()
    with pytest.raises(RegistryError, match=r"at \$\.providers\.wrong\.kind: "):
        Registry.load(
            {"providers": {**rows, "wrong": {**rows["p0"], "kind": 5}}, "aliases": aliases}
        )
    assert time.process_time() - start < 3, "each row was converted with all aliases"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not valid JSON"),
        ('{"providers": {}} trailing', "not valid JSON"),
        ("{" + '"a":[' * 100_000, "not valid JSON"),
        ('{"schema_version": NaN}', "not valid JSON"),
    ],
)
def test_load_refuses_text_that_is_not_json(text: str, message: str) -> None:
    with pytest.raises(RegistryError, match="the given JSON text: ") as caught:
        Registry.load(text)
    assert message in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"[]", b'"text"', b"null", b"\xff\xfe{}", b"\x00"])
def test_load_names_a_file_that_is_not_an_object(content: bytes, tmp_path: Path) -> None:
    file = tmp_path / "broken.json"
    file.write_bytes(content)
    with pytest.raises(RegistryError) as caught:
        Registry.load(file)
    assert str(caught.value).startswith(f"{file}: ")


def test_load_names_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(RegistryError, match=r"missing\.json: cannot be read: No such file"):
        Registry.load(tmp_path / "missing.json")
    with pytest.raises(RegistryError, match="cannot be read: Is a directory"):
        Registry.load(str(tmp_path))


@pytest.mark.parametrize(
    "source", ["~nobody-here/x.json", "a\0b.json", "", " ", b"{}", ["x.json"], 5]
)
def test_load_refuses_a_source_that_is_not_a_path(source: object) -> None:
    with pytest.raises(RegistryError, match=r"; expected a path, JSON text or a dict$") as caught:
        Registry.load(source)
    assert str(caught.value).startswith(f"{source!r}: ")


def test_load_accepts_a_byte_order_mark(tmp_path: Path) -> None:
    file = tmp_path / "registry.json"
    file.write_text(json.dumps(GOOD), encoding="utf-8-sig")
    whole = Registry.load(GOOD).document
    assert Registry.load(file).document == whole
    assert Registry.load(file.read_text(encoding="utf-8")).document == whole
    assert Registry.load({}).merged(file).providers == whole.providers


@pytest.mark.parametrize("content", ["[]", "null", "5"])
def test_load_says_what_a_file_contains_instead_of_an_object(content: str, tmp_path: Path) -> None:
    file = tmp_path / "mine.json"
    file.write_text(content)
    got = {"[]": "array", "null": "null", "5": "int"}[content]
    for read in (Registry.load, Registry.load().merged):
        with pytest.raises(RegistryError) as caught:
            read(file)
        assert str(caught.value) == f"{file}: at $: got `{got}`, expected `object`"


@pytest.mark.parametrize("number", [math.nan, math.inf])
def test_load_refuses_nan_and_infinity_in_a_dict(number: float) -> None:
    document = changed(
        {"id": "x", "cost": {"in": number, "out": 0}}, "providers", "a", "models", "n"
    )
    with pytest.raises(RegistryError, match="cannot be written as JSON: Out of range float"):
        Registry.load(document)


@pytest.mark.parametrize("value", [{1, 2}, object(), "\ud800"])
def test_load_refuses_a_dict_that_is_not_json(value: object) -> None:
    with pytest.raises(RegistryError, match="the given registry"):
        Registry.load({"providers": {}, "aliases": {"a": value}})


def test_load_does_not_change_a_given_dict() -> None:
    broken = changed({"id": "x", "shutdown": "soon"}, "providers", "a", "models", "m")
    before = copy.deepcopy(broken)
    with pytest.raises(RegistryError):
        Registry.load(broken)
    assert broken == before


def test_merge_patch_follows_rfc_7396() -> None:
    cases = [  # the table in the RFC, where both sides are objects
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b"}, {"a": None}, {}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    ]
    for base, patch, result in cases:
        merged = loader.merge_patch(json.dumps(base).encode(), json.dumps(patch).encode(), "x")
        assert json.loads(merged) == result
