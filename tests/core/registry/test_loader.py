"""A registry file is read strictly, and what is wrong is told with file, path, got and expected."""

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


def test_a_path_a_text_and_a_dict_give_the_same_registry(tmp_path: Path) -> None:
    file = tmp_path / "mine.json"
    file.write_text(json.dumps(GOOD))
    sources = [file, str(file), json.dumps(GOOD), "\n " + json.dumps(GOOD), GOOD]
    documents = [Registry.load(source).document for source in sources]
    assert all(document == documents[0] for document in documents)
    assert list(documents[0].providers) == ["a", "b"]


def test_a_home_directory_is_expanded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "mine.json").write_text(json.dumps(GOOD))
    assert list(Registry.load("~/mine.json").providers) == ["a", "b"]


def test_a_model_is_a_text_an_object_or_a_list() -> None:
    registry = Registry.load(GOOD)
    assert registry.entries("a", "m") == (Model(id="id", input=()),)
    assert registry.entries("a", "n") == (Model(id="n-id"),)
    assert {entry.id for entry in registry.entries("a", "o")} == {"o-1", "o-2"}


@pytest.mark.parametrize(
    ("document", "said"),
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
def test_a_fault_is_told_with_its_place(document: dict, said: str) -> None:
    with pytest.raises(RegistryError) as caught:
        Registry.load(document)
    assert str(caught.value).startswith("the given registry: at $")
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("fields", "said"),
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
def test_a_number_that_counts_nothing_is_refused(fields: dict, said: str) -> None:
    document = changed({"id": "x", **fields}, "providers", "a", "models", "n")
    with pytest.raises(RegistryError) as caught:
        Registry.load(document)
    assert str(caught.value) == f"the given registry: at $.providers.a.models.n.{said}"


def test_what_costs_nothing_costs_zero() -> None:
    free = changed({"id": "x", "cost": {"in": 0, "out": 0}}, "providers", "a", "models", "n")
    assert Registry.load(free).entries("a", "n")[0].cost == Cost(input=0, output=0)


def test_a_row_over_a_provider_that_is_misspelt_is_told_which_are_near() -> None:
    with pytest.raises(RegistryError) as caught:
        Registry.load().merged({"providers": {"grok": {"models": {"m": "x"}}}})
    said = "at $.providers.grok: required field 'name' is missing; did you mean 'groq'"
    assert said in str(caught.value)
    long = "grok" * 50
    with pytest.raises(RegistryError, match=r"is missing$"):  # to compare them would take long
        Registry.load({"providers": {long + "a": {}, long: {}}})


def test_of_two_faults_the_place_of_the_first_is_told() -> None:
    with pytest.raises(RegistryError, match=r"at \$\.providers\.b\.name: got `int`"):
        Registry.load({**changed(5, "providers", "b", "name"), "aliases": []})


def test_one_fault_among_very_many_rows_is_found_at_once() -> None:
    rows: dict = {f"p{n}": {"name": "", "endpoints": {}} for n in range(4_000)}
    aliases = {f"a{n}": "b" for n in range(20_000)}
    begun = time.process_time()
    with pytest.raises(RegistryError, match=r"at \$\.providers\.wrong\.kind: "):
        Registry.load(
            {"providers": {**rows, "wrong": {**rows["p0"], "kind": 5}}, "aliases": aliases}
        )
    assert time.process_time() - begun < 3, "each row was tried by itself, with all aliases"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "not valid JSON"),
        ('{"providers": {}} trailing', "not valid JSON"),
        ("{" + '"a":[' * 100_000, "not valid JSON"),
        ('{"schema_version": NaN}', "not valid JSON"),
    ],
)
def test_a_text_that_is_not_json_is_refused(text: str, said: str) -> None:
    with pytest.raises(RegistryError, match="the given JSON text: ") as caught:
        Registry.load(text)
    assert said in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"[]", b'"text"', b"null", b"\xff\xfe{}", b"\x00"])
def test_a_file_that_holds_no_object_is_refused_by_name(content: bytes, tmp_path: Path) -> None:
    file = tmp_path / "broken.json"
    file.write_bytes(content)
    with pytest.raises(RegistryError) as caught:
        Registry.load(file)
    assert str(caught.value).startswith(f"{file}: ")


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(RegistryError, match=r"missing\.json: cannot be read: No such file"):
        Registry.load(tmp_path / "missing.json")
    with pytest.raises(RegistryError, match="cannot be read: Is a directory"):
        Registry.load(str(tmp_path))


@pytest.mark.parametrize(
    "source", ["~nobody-here/x.json", "a\0b.json", "", " ", b"{}", ["x.json"], 5]
)
def test_what_is_no_path_is_told(source: object) -> None:
    with pytest.raises(RegistryError, match=r"; expected a path, JSON text or a dict$") as caught:
        Registry.load(source)
    assert str(caught.value).startswith(f"{source!r}: ")


def test_a_file_may_begin_with_the_mark_of_an_editor_on_windows(tmp_path: Path) -> None:
    file = tmp_path / "registry.json"
    file.write_text(json.dumps(GOOD), encoding="utf-8-sig")
    whole = Registry.load(GOOD).document
    assert Registry.load(file).document == whole
    assert Registry.load(file.read_text(encoding="utf-8")).document == whole
    assert Registry.load({}).merged(file).providers == whole.providers


@pytest.mark.parametrize("content", ["[]", "null", "5"])
def test_what_is_no_object_is_told_in_words_of_json(content: str, tmp_path: Path) -> None:
    file = tmp_path / "mine.json"
    file.write_text(content)
    got = {"[]": "array", "null": "null", "5": "int"}[content]
    for read in (Registry.load, Registry.load().merged):
        with pytest.raises(RegistryError) as caught:
            read(file)
        assert str(caught.value) == f"{file}: at $: got `{got}`, expected `object`"


@pytest.mark.parametrize("number", [math.nan, math.inf])
def test_a_number_of_a_dict_that_json_has_not_is_refused_as_in_a_file(number: float) -> None:
    dear = changed({"id": "x", "cost": {"in": number, "out": 0}}, "providers", "a", "models", "n")
    with pytest.raises(RegistryError, match="cannot be written as JSON: Out of range float"):
        Registry.load(dear)


@pytest.mark.parametrize("value", [{1, 2}, object(), "\ud800"])
def test_a_dict_that_is_not_json_is_refused(value: object) -> None:
    with pytest.raises(RegistryError, match="the given registry"):
        Registry.load({"providers": {}, "aliases": {"a": value}})


def test_the_loader_leaves_a_given_dict_alone() -> None:
    broken = changed({"id": "x", "shutdown": "soon"}, "providers", "a", "models", "m")
    before = copy.deepcopy(broken)
    with pytest.raises(RegistryError):
        Registry.load(broken)
    assert broken == before


def test_merge_follows_rfc_7396() -> None:
    cases = [  # the RFC's own table, where both sides are objects
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
