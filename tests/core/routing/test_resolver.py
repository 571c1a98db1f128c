"""The resolver connects registry, keys and this machine, and binds keys to origins."""

from __future__ import annotations

import logging
import traceback
from typing import TYPE_CHECKING, Any

import pytest

from factories import provider_row, route
from inference_providers.credentials import Keys
from inference_providers.errors import (
    ConfigError,
    KeyBindingError,
    LocalServerError,
    UnknownModelError,
)
from inference_providers.local import discovery, llama_server
from inference_providers.registry.registry import Registry
from inference_providers.routing.resolver import Resolver
from inference_providers.testing import FakeProvider
from inference_providers.types import Needs, Plan, Selection

if TYPE_CHECKING:
    from pathlib import Path

SECRET = "sk-canary-0123456789"


def resolver_for(
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


def local_server(base_url: str, *variables: str) -> dict:
    """Build the row of a model server on this machine."""
    endpoint = {"protocol": "openai-chat", "base_url": base_url, "base_url_env": list(variables)}
    return provider_row({}, kind="local", endpoints={"default": endpoint})


async def plan_of(resolver: Resolver, *, is_async: bool) -> Plan:
    return await resolver.aplan() if is_async else resolver.plan()


sync_and_async = pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give local servers time to answer on a busy machine."""
    monkeypatch.setattr(discovery, "DEADLINE_S", 30.0)


# Errors of the selection


@pytest.mark.parametrize("argument", ["only", "exclude", "order"])
def test_resolver_refuses_an_unknown_provider_id(argument: str) -> None:
    with pytest.raises(ConfigError, match=f"^{argument}: 'b' is not a provider"):
        resolver_for({"a": provider_row({"m": "x"})}, **{argument: ("b",)})


def test_resolver_refuses_a_key_for_an_unknown_provider() -> None:
    with pytest.raises(ConfigError, match=r"^api_keys: 'b' is not a provider") as caught:
        resolver_for({"a": provider_row({"m": "x"})}, given={"b": SECRET})
    assert SECRET not in str(caught.value)


def test_resolver_refuses_an_unknown_model() -> None:
    with pytest.raises(UnknownModelError, match="did you mean 'model'"):
        resolver_for({"a": provider_row({"model": "x"})}, "modell")


def test_plan_skips_unsupported_protocols() -> None:
    registry = Registry.load({"providers": {"a": provider_row({"m": "x"})}})
    unsupported_protocols = {"openai-chat": "install it"}
    resolver = Resolver(
        Selection(models=("m",)), registry, Keys(environ={}), lambda _: unsupported_protocols
    )
    assert [skip.reason for skip in resolver.plan().skipped] == ["install it"]


# Access


def test_access_binds_the_key_to_its_providers_endpoints() -> None:
    provider = provider_row({"m": "x"}, "A_KEY")
    provider["endpoints"]["eu"] = {"protocol": "openai-chat", "base_url": "https://eu.a.test/v1"}
    resolver = resolver_for({"a": provider}, "m", environ={"A_KEY": SECRET})
    access = resolver.access(resolver.plan().routes[0])
    assert access.base_url == "https://a.test/v1"
    assert access.key.value_for("https://a.test/v1") == SECRET
    assert access.key.value_for("https://eu.a.test/v1") == SECRET
    with pytest.raises(KeyBindingError, match=r"A_KEY belongs to a\.test, eu\.a\.test"):
        access.key.value_for("https://b.test/v1")


def test_access_without_a_key_has_none() -> None:
    resolver = resolver_for({"a": provider_row({"m": "x"})}, "m")
    access = resolver.access(resolver.plan().routes[0])
    assert (access.base_url, access.key) == ("https://a.test/v1", None)


def test_access_names_a_key_that_was_unset_after_planning() -> None:
    environ = {"A_KEY": SECRET}
    resolver = resolver_for({"a": provider_row({"m": "x"}, "A_KEY")}, "m", environ=environ)
    route = resolver.plan().routes[0]
    del environ["A_KEY"]
    with pytest.raises(ConfigError, match=r"^a: set A_KEY"):
        resolver.access(route)


def test_access_follows_every_change_of_the_environment() -> None:
    environ = {"A_KEY": SECRET}
    resolver = resolver_for({"a": provider_row({"m": "x"}, "A_KEY")}, "m", environ=environ)
    route = resolver.plan().routes[0]
    access = resolver.access(route)
    assert resolver.access(route) is access
    for value in ("other-secret", SECRET):
        environ["A_KEY"] = value
        assert resolver.access(route).key.value_for(access.base_url) == value
    del environ["A_KEY"]
    with pytest.raises(ConfigError, match="set A_KEY"):
        resolver.access(route)


def test_plan_uses_a_key_that_is_set_later() -> None:
    environ: dict[str, str] = {}
    resolver = resolver_for({"a": provider_row({"m": "x"}, "A_KEY")}, "m", environ=environ)
    assert resolver.plan().routes == ()
    environ["A_KEY"] = SECRET
    assert [str(route) for route in resolver.plan().routes] == ["a/m"]


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
def test_access_fills_the_url_with_model_id_and_variables(
    template: str, model_id: str, filled: str
) -> None:
    provider = provider_row({"m": model_id}, base_url=template)
    provider["auth"] = {"any_of": [["ACCOUNT", "ADDRESS", "A_KEY"]]}
    environ = {"ACCOUNT": "acc", "ADDRESS": "https://own.a.test/", "A_KEY": SECRET}
    resolver = resolver_for({"a": provider}, "m", environ=environ)
    access = resolver.access(resolver.plan().routes[0])
    assert access.base_url == filled
    assert access.key.value_for(filled) == SECRET


@pytest.mark.parametrize("name", ["evil.test/", "evil.test#", "evil.test?", "x@evil.test/x"])
def test_access_refuses_a_value_that_changes_the_host(name: str) -> None:
    provider = provider_row({"m": name}, "A_KEY", base_url="https://{model_id}.a.test/v1")
    resolver = resolver_for({"a": provider}, "m", environ={"A_KEY": SECRET})
    with pytest.raises(ConfigError, match=r"which is outside '\.a\.test'"):
        resolver.access(resolver.plan().routes[0])


def test_access_binds_a_local_servers_key_to_its_address() -> None:
    with FakeProvider(models=("m",)) as fake:
        provider = provider_row({}, "A_KEY", base_url=fake.base_url, kind="local")
        resolver = resolver_for({"a": provider}, "a/m", environ={"A_KEY": SECRET})
        access = resolver.access(resolver.plan().routes[0])
        assert access.base_url == fake.base_url
        assert access.key.value_for(fake.base_url) == SECRET
    with pytest.raises(KeyBindingError):
        access.key.value_for("https://a.test/v1")


def test_access_without_the_embedded_file_says_what_to_run() -> None:
    resolver = resolver_for({"e": provider_row({"m": "no-such.gguf"}, kind="embedded")}, "m")
    with pytest.raises(LocalServerError, match="run `autoprovider local install`"):
        resolver.access(route("e", model_id="no-such.gguf", kind="embedded"))


@pytest.mark.usefixtures("weights_file")
async def test_access_starts_the_embedded_server() -> None:
    resolver = Resolver(
        Selection(models=("smollm2-135m",)), Registry.load(), Keys(environ={}), lambda _: {}
    )
    access = await resolver.aaccess(resolver.plan().routes[0])
    assert access.base_url.startswith("http://127.0.0.1:")
    assert access.key.value_for(access.base_url)
    assert resolver.access(resolver.plan().routes[0]).base_url == access.base_url
    with pytest.raises(KeyBindingError):
        access.key.value_for("https://a.test/v1")


# When models on this machine are looked for


@sync_and_async
@pytest.mark.parametrize(
    ("models", "selection", "has_key", "is_looked_for"),
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
async def test_plan_looks_for_local_servers_only_where_needed(
    models: tuple[str, ...],
    selection: dict,
    has_key: bool,
    is_looked_for: bool,
    is_async: bool,
) -> None:
    with FakeProvider(models=("m",)) as fake:
        providers = {
            "a": provider_row({"m": "x"}, "A_KEY"),
            "s": provider_row({}, base_url=fake.base_url, kind="local"),
        }
        environ = {"A_KEY": SECRET} if has_key else {}
        resolver = resolver_for(providers, *models, environ=environ, **selection)
        plan = await plan_of(resolver, is_async=is_async)
    assert bool(fake.listings) is is_looked_for
    assert ("s" in {route.provider for route in plan.routes}) is is_looked_for


@sync_and_async
async def test_plan_reuses_the_answers_of_local_servers(
    is_async: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with FakeProvider(models=("m",)) as fake:
        resolver = resolver_for(
            {"s": provider_row({}, base_url=fake.base_url, kind="local")}, "s/m"
        )
        for _ in range(3):
            assert len((await plan_of(resolver, is_async=is_async)).routes) == 1
        assert len(fake.listings) == 1
        monkeypatch.setattr("inference_providers.routing.local_lookups.SERVERS_FOR_S", 0.0)
        await plan_of(resolver, is_async=is_async)
        assert len(fake.listings) == 2


@sync_and_async
@pytest.mark.parametrize("local", [False, True])
async def test_plan_follows_a_server_that_moved(local: bool, is_async: bool) -> None:
    providers = {
        "a": provider_row({"m": "x"}, "A_KEY"),
        "s": local_server("http://127.0.0.1:9/v1", "S_URL"),
    }
    with FakeProvider(models=("m",)) as first, FakeProvider(models=("m",)) as second:
        environ = {"S_URL": first.base_url}
        resolver = resolver_for(providers, "m", environ=environ, local=local)
        (route,) = (await plan_of(resolver, is_async=is_async)).routes
        assert route.endpoint.base_url == first.base_url
        environ["S_URL"] = second.base_url
        (route,) = (await plan_of(resolver, is_async=is_async)).routes
        assert route.endpoint.base_url == second.base_url


@sync_and_async
@pytest.mark.parametrize("local", [False, True])
async def test_plan_drops_a_local_server_that_stopped(
    local: bool, is_async: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    with FakeProvider(models=("m",)) as fake:
        providers = {
            "a": provider_row({"m": "x"}, "A_KEY"),
            "s": local_server(fake.base_url),
        }
        resolver = resolver_for(providers, "m", local=local)
        assert len((await plan_of(resolver, is_async=is_async)).routes) == 1
    monkeypatch.setattr("inference_providers.routing.local_lookups.SERVERS_FOR_S", 0.0)
    assert (await plan_of(resolver, is_async=is_async)).routes == ()


def test_plan_looks_once_whatever_the_needs() -> None:
    with FakeProvider(models=("m",)) as fake:
        resolver = resolver_for(
            {"s": provider_row({}, base_url=fake.base_url, kind="local")}, "s/m"
        )
        assert len(resolver.plan(Needs(tools=True)).routes) == 1
        assert len(resolver.plan().routes) == 1
    assert len(fake.listings) == 1


# The last resort


EMBEDDED = {"e": provider_row({"tiny": "tiny.gguf"}, kind="embedded")}


@pytest.fixture
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Install a file, under the name the registry entry has."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    (tmp_path / "autoprovider").mkdir()
    (tmp_path / "autoprovider" / "tiny.gguf").write_bytes(b"GGUF")
    monkeypatch.setattr(llama_server, "available", lambda: None)


@sync_and_async
@pytest.mark.usefixtures("tiny")
async def test_plan_warns_of_the_last_resort_once(
    is_async: bool,
    caplog: pytest.LogCaptureFixture,
) -> None:
    resolver = resolver_for(EMBEDDED)
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            plan = await plan_of(resolver, is_async=is_async)
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
def test_plan_does_not_warn_without_the_last_resort(
    models: tuple, environ: dict, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        resolver = resolver_for(
            {"a": provider_row({"m": "x"}, "A_KEY"), **EMBEDDED}, *models, environ=environ
        )
        assert len(resolver.plan().routes) == 1
    assert caplog.records == []


def counting(monkeypatch: pytest.MonkeyPatch, name: str) -> list[object]:
    """Return a list that grows with each call of a function of `discovery`."""
    calls: list[object] = []
    function = getattr(discovery, name)

    def counted(*args: object) -> object:
        calls.append(args)
        return function(*args)

    monkeypatch.setattr(discovery, name, counted)
    return calls


@sync_and_async
@pytest.mark.usefixtures("tiny")
@pytest.mark.parametrize(
    ("models", "environ", "is_looked_for"),
    [
        (("m",), {"A_KEY": SECRET}, False),
        (("a/m",), {}, False),
        (("m",), {}, False),
        ((), {"A_KEY": SECRET}, False),
        ((), {}, True),
        (("tiny",), {"A_KEY": SECRET}, True),
        (("m", "e/tiny"), {"A_KEY": SECRET}, True),
        (("m",), {"A_KEY": SECRET, "AUTOPROVIDER_GGUF": "/x/M.gguf"}, True),
        (("m",), {"A_KEY": SECRET, "AUTOPROVIDER_GGUF": "/x/other.gguf"}, False),
    ],
)
async def test_plan_looks_for_embedded_files_only_where_needed(
    models: tuple[str, ...],
    environ: dict,
    is_looked_for: bool,
    is_async: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    calls = counting(monkeypatch, "find_embedded")
    resolver = resolver_for(
        {"a": provider_row({"m": "x"}, "A_KEY"), **EMBEDDED}, *models, environ=environ
    )
    await plan_of(resolver, is_async=is_async)
    assert bool(calls) is is_looked_for


def test_plan_forgets_a_file_whose_variable_is_unset(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(llama_server, "available", lambda: None)
    file = tmp_path / "m.gguf"
    file.write_bytes(b"GGUF")
    environ = {"AUTOPROVIDER_GGUF": str(file)}
    providers = {"a": provider_row({"m": "x"}, "A_KEY"), **EMBEDDED}
    resolver = resolver_for(providers, "m", environ=environ)
    assert [route.provider for route in resolver.plan().routes] == ["e"]
    del environ["AUTOPROVIDER_GGUF"]
    assert resolver.plan().routes == ()


# A key where a name belongs


@pytest.mark.parametrize("place", ["model", "case", "only", "exclude", "order", "given"])
def test_resolver_does_not_print_a_key_that_is_passed_as_a_name(place: str) -> None:
    given = {SECRET: "another-key"} if place == "given" else {}
    models = {"model": SECRET, "case": SECRET.upper()}
    fields: dict[str, Any] = {"models": (models.get(place, "m"),)}
    if place in {"only", "exclude", "order"}:
        fields[place] = (SECRET,)
    registry = Registry.load({"providers": {"a": provider_row({"m": "x"}, "A_KEY")}})
    keys = Keys(given, environ={"A_KEY": SECRET})
    with pytest.raises(ConfigError) as caught:
        Resolver(Selection(**fields), registry, keys, lambda _: {})
    assert SECRET.lower() not in "".join(traceback.format_exception(caught.value)).lower()
    assert "[A_KEY]" in str(caught.value)
