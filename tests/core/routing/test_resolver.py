"""The resolver wires registry, keys and this machine, and binds keys to hosts."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pytest

from factories import provider_row, route
from inference_providers.credentials import Keys
from inference_providers.errors import (
    ConfigError,
    KeyBindingError,
    LocalServerError,
    UnknownModelError,
)
from inference_providers.local import discovery
from inference_providers.registry.registry import Registry
from inference_providers.routing.resolver import Resolver
from inference_providers.testing import FakeProvider
from inference_providers.types import Needs, Plan, Selection

if TYPE_CHECKING:
    from pathlib import Path

SECRET = "sk-canary-0123456789"


def resolver(
    providers: dict,
    *models: str,
    environ: dict | None = None,
    given: dict | None = None,
    **selection,
) -> Resolver:
    priority = [model for provider in providers.values() for model in provider["models"]]
    registry = Registry.load({"providers": providers, "auto_model_priority": priority})
    chosen = Selection(models=models, **selection)
    keys = Keys(given, environ={} if environ is None else environ)
    return Resolver(chosen, registry, keys, lambda _: {})


async def planned(made: Resolver, *, is_async: bool) -> Plan:
    return await made.aplan() if is_async else made.plan()


either = pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give local servers time to answer on a busy machine."""
    monkeypatch.setattr(discovery, "DEADLINE_S", 30.0)


# What is wrong is said at once


@pytest.mark.parametrize("argument", ["only", "exclude", "order"])
def test_an_unknown_provider_id_is_refused_and_its_argument_named(argument: str) -> None:
    with pytest.raises(ConfigError, match=f"^{argument}: 'b' is not a provider"):
        resolver({"a": provider_row({"m": "x"})}, **{argument: ("b",)})


def test_a_key_given_for_an_unknown_provider_is_refused_without_showing_it() -> None:
    with pytest.raises(ConfigError, match=r"^api_keys: 'b' is not a provider") as caught:
        resolver({"a": provider_row({"m": "x"})}, given={"b": SECRET})
    assert SECRET not in str(caught.value)


def test_an_unknown_model_is_refused() -> None:
    with pytest.raises(UnknownModelError, match="did you mean 'model'"):
        resolver({"a": provider_row({"model": "x"})}, "modell")


def test_a_protocol_the_caller_cannot_speak_is_a_reason() -> None:
    registry = Registry.load({"providers": {"a": provider_row({"m": "x"})}})
    unsupported_protocols = {"openai-chat": "install it"}
    made = Resolver(
        Selection(models=("m",)), registry, Keys(environ={}), lambda _: unsupported_protocols
    )
    assert [skip.reason for skip in made.plan().skipped] == ["install it"]


# Access


def test_access_binds_the_key_to_the_hosts_of_its_provider() -> None:
    provider = provider_row({"m": "x"}, "A_KEY")
    provider["endpoints"]["eu"] = {"protocol": "openai-chat", "base_url": "https://eu.a.test/v1"}
    made = resolver({"a": provider}, "m", environ={"A_KEY": SECRET})
    access = made.access(made.plan().routes[0])
    assert access.base_url == "https://a.test/v1"
    assert access.key.value_for("https://a.test/v1") == SECRET
    assert access.key.value_for("https://eu.a.test/v1") == SECRET
    with pytest.raises(KeyBindingError, match=r"A_KEY belongs to a\.test, eu\.a\.test"):
        access.key.value_for("https://b.test/v1")


def test_access_without_a_key_has_none() -> None:
    made = resolver({"a": provider_row({"m": "x"})}, "m")
    access = made.access(made.plan().routes[0])
    assert (access.base_url, access.key) == ("https://a.test/v1", None)


def test_a_key_that_was_unset_after_planning_is_said() -> None:
    environ = {"A_KEY": SECRET}
    made = resolver({"a": provider_row({"m": "x"}, "A_KEY")}, "m", environ=environ)
    route = made.plan().routes[0]
    del environ["A_KEY"]
    with pytest.raises(ConfigError, match=r"^a: set A_KEY"):
        made.access(route)


def test_a_key_set_later_is_used() -> None:
    environ: dict[str, str] = {}
    made = resolver({"a": provider_row({"m": "x"}, "A_KEY")}, "m", environ=environ)
    assert made.plan().routes == ()
    environ["A_KEY"] = SECRET
    assert [str(route) for route in made.plan().routes] == ["a/m"]


@pytest.mark.parametrize(
    ("template", "model_id", "filled"),
    [
        ("https://{model_id}.a.test/v1", "llama-7b", "https://llama-7b.a.test/v1"),
        ("https://a.test/{model_id}/v1", "org/llama-7b", "https://a.test/org/llama-7b/v1"),
        ("https://a.test/{ACCOUNT}/{model_id}", "m", "https://a.test/acc/m"),
        ("https://{ACCOUNT}.a.test/v1", "m", "https://acc.a.test/v1"),
        ("https://{ADDRESS}/v1", "m", "https://own.a.test/v1"),
    ],
)
def test_a_url_is_filled_with_the_model_id_and_variables(
    template: str, model_id: str, filled: str
) -> None:
    provider = provider_row({"m": model_id}, base_url=template)
    provider["auth"] = {"any_of": [["ACCOUNT", "ADDRESS", "A_KEY"]]}
    environ = {"ACCOUNT": "acc", "ADDRESS": "https://own.a.test/", "A_KEY": SECRET}
    made = resolver({"a": provider}, "m", environ=environ)
    access = made.access(made.plan().routes[0])
    assert access.base_url == filled
    assert access.key.value_for(filled) == SECRET


@pytest.mark.parametrize("name", ["evil.test/", "evil.test#", "evil.test?", "x@evil.test/x"])
def test_no_value_filled_into_a_url_changes_whose_host_it_is(name: str) -> None:
    provider = provider_row({"m": name}, "A_KEY", base_url="https://{model_id}.a.test/v1")
    made = resolver({"a": provider}, "m", environ={"A_KEY": SECRET})
    with pytest.raises(ConfigError, match=r"which is outside '\.a\.test'"):
        made.access(made.plan().routes[0])


def test_the_key_of_a_local_server_goes_where_it_was_found() -> None:
    with FakeProvider(models=("m",)) as fake:
        provider = provider_row({}, "A_KEY", base_url=fake.base_url, kind="local")
        made = resolver({"a": provider}, "a/m", environ={"A_KEY": SECRET})
        access = made.access(made.plan().routes[0])
        assert access.base_url == fake.base_url
        assert access.key.value_for(fake.base_url) == SECRET
    with pytest.raises(KeyBindingError):
        access.key.value_for("https://a.test/v1")


def test_the_embedded_model_without_its_file_says_what_to_run() -> None:
    made = resolver({"e": provider_row({"m": "no-such.gguf"}, kind="embedded")}, "m")
    with pytest.raises(LocalServerError, match="run `autoprovider local install`"):
        made.access(route("e", model_id="no-such.gguf", kind="embedded"))


@pytest.mark.usefixtures("weights_file")
async def test_the_embedded_server_starts_when_its_route_is_accessed() -> None:
    made = Resolver(
        Selection(models=("smollm2-135m",)), Registry.load(), Keys(environ={}), lambda _: {}
    )
    access = await made.aaccess(made.plan().routes[0])
    assert access.base_url.startswith("http://127.0.0.1:")
    assert access.key.value_for(access.base_url)
    assert made.access(made.plan().routes[0]).base_url == access.base_url
    with pytest.raises(KeyBindingError):
        access.key.value_for("https://a.test/v1")


# Scrubbing


def test_the_routes_key_is_taken_out_of_an_error() -> None:
    environ = {"A_KEY": SECRET}
    made = resolver({"a": provider_row({"m": "x"}, "A_KEY")}, "m", environ=environ)
    route = made.plan().routes[0]
    error = ValueError(f"401: bad key {SECRET}")
    made.scrub(route, error)
    assert str(error) == "401: bad key [A_KEY]"
    given = resolver({"a": provider_row({"m": "x"}, "A_KEY")}, "m", given={"a": SECRET})
    error = ValueError(f"401: bad key {SECRET}")
    given.scrub(route, error)
    assert str(error) == "401: bad key [api_keys['a']]"
    del environ["A_KEY"]
    error = ValueError("nothing to compare with")
    made.scrub(route, error)
    assert str(error) == "nothing to compare with"


# When this machine's servers are asked


@either
@pytest.mark.parametrize(
    ("models", "selection", "keyed", "looks"),
    [
        (("m",), {}, True, False),
        (("m",), {}, False, True),
        ((), {}, True, False),
        ((), {}, False, True),
        (("m",), {"local": True}, True, True),
        (("s/m",), {}, True, True),
        (("m", "s/m"), {}, True, True),
        (("m",), {"order": ("s",)}, True, True),
        (("m",), {"only": ("a", "s")}, True, True),
        (("m",), {"only": ("a",)}, True, False),
        (("m",), {"only": ("a",)}, False, False),
        (("m",), {"exclude": ("s",)}, False, False),
    ],
)
async def test_local_servers_are_asked_only_where_that_is_called_for(
    models: tuple[str, ...],
    selection: dict,
    keyed: bool,
    looks: bool,
    is_async: bool,
) -> None:
    with FakeProvider(models=("m",)) as fake:
        providers = {
            "a": provider_row({"m": "x"}, "A_KEY"),
            "s": provider_row({}, base_url=fake.base_url, kind="local"),
        }
        environ = {"A_KEY": SECRET} if keyed else {}
        made = resolver(providers, *models, environ=environ, **selection)
        plan = await planned(made, is_async=is_async)
    assert bool(fake.listings) is looks
    assert ("s" in {route.provider for route in plan.routes}) is looks


@either
async def test_a_look_is_believed_for_a_while(
    is_async: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with FakeProvider(models=("m",)) as fake:
        made = resolver({"s": provider_row({}, base_url=fake.base_url, kind="local")}, "s/m")
        for _ in range(3):
            assert len((await planned(made, is_async=is_async)).routes) == 1
        assert len(fake.listings) == 1
        monkeypatch.setattr("inference_providers.routing.local_lookups.SERVERS_FOR_S", 0.0)
        await planned(made, is_async=is_async)
        assert len(fake.listings) == 2


def test_needs_do_not_send_it_looking_twice() -> None:
    with FakeProvider(models=("m",)) as fake:
        made = resolver({"s": provider_row({}, base_url=fake.base_url, kind="local")}, "s/m")
        assert len(made.plan(Needs(tools=True)).routes) == 1
        assert len(made.plan().routes) == 1
    assert len(fake.listings) == 1


# The last resort


EMBEDDED = {"e": provider_row({"tiny": "tiny.gguf"}, kind="embedded")}


@pytest.fixture
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Install a file, under the name the registry entry has."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    (tmp_path / "autoprovider").mkdir()
    (tmp_path / "autoprovider" / "tiny.gguf").write_bytes(b"GGUF")
    monkeypatch.setattr(discovery.llama_server, "available", lambda: None)


@either
@pytest.mark.usefixtures("tiny")
async def test_the_last_resort_is_said_exactly_once(
    is_async: bool,
    caplog: pytest.LogCaptureFixture,
) -> None:
    made = resolver(EMBEDDED)
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            plan = await planned(made, is_async=is_async)
            assert [str(route) for route in plan.routes] == ["e/tiny"]
    (record,) = caplog.records
    assert record.name == "inference_providers.routing.resolver"
    assert record.getMessage() == (
        "No provider has a key and no local server was found;"
        " the embedded model 'tiny' answers on this machine"
    )


@pytest.mark.usefixtures("tiny")
@pytest.mark.parametrize(
    ("models", "environ"), [(("tiny",), {}), (("e/tiny",), {}), ((), {"A_KEY": SECRET})]
)
def test_nothing_is_said_where_it_is_not_the_last_resort(
    models: tuple, environ: dict, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        made = resolver(
            {"a": provider_row({"m": "x"}, "A_KEY"), **EMBEDDED}, *models, environ=environ
        )
        assert len(made.plan().routes) == 1
    assert caplog.records == []
