"""The active registry: the package's, a download, the user's file, the program's argument."""

from __future__ import annotations

import json
import logging
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from inference_providers import ProviderList
from inference_providers.credentials import Keys
from inference_providers.errors import ConfigError, FetchError, RegistryError
from inference_providers.registry.registry import Registry
from inference_providers.testing import FakeProvider
from inference_providers.updates import effective_registry, updater
from langchain_autoprovider import AutoChatModel

if TYPE_CHECKING:
    from pathlib import Path

BUNDLED = Registry.load()


def groq(model: str) -> dict[str, Any]:
    """Return a file in which the model `which` at Groq has this id."""
    return {"providers": {"groq": {"models": {"which": model}}}}


def downloaded(*changes: dict[str, Any], later: int = 1) -> bytes:
    """Return the bundled registry with changes, dated `later` seconds after it."""
    registry = BUNDLED
    for change in changes:
        registry = registry.merged(change)
    value = registry.as_dict()
    value["generated_at"] = (BUNDLED.document.generated_at + timedelta(seconds=later)).isoformat()
    return json.dumps(value).encode()


def ids(registry: Registry) -> list[str]:
    return [entry.id for entry in registry.entries("groq", "which")]


@pytest.fixture
def publish(site, page, caches, monkeypatch):
    """Return a function that publishes a registry at the URL of the environment."""
    del caches
    monkeypatch.setenv(updater.URL_VARIABLE, site.url())

    def set_page(body: bytes, status: int = 200) -> None:
        site.pages["/registry.json"] = page(body, status)

    return set_page


def refreshed() -> Registry:
    return effective_registry.active_registry(refresh=True)


def test_active_registry_is_the_bundled_one_by_default() -> None:
    assert effective_registry.active_registry() is BUNDLED
    assert effective_registry.active_registry(BUNDLED.merged(groq("x"))) is BUNDLED.merged(
        groq("x")
    )


def test_active_registry_lays_each_layer_over_the_others(
    publish, tmp_path: Path, monkeypatch
) -> None:
    assert ids(effective_registry.active_registry()) == []
    publish(downloaded(groq("from-the-download")))
    assert ids(effective_registry.active_registry()) == [], "nothing is fetched unless asked for"
    assert ids(refreshed()) == ids(effective_registry.active_registry()) == ["from-the-download"]
    file = tmp_path / "mine.json"
    file.write_text(json.dumps(groq("from-the-file")))
    monkeypatch.setenv(effective_registry.REGISTRY_VARIABLE, str(file))
    assert ids(effective_registry.active_registry()) == ids(refreshed()) == ["from-the-file"]
    assert ids(effective_registry.active_registry(groq("from-the-program"))) == ["from-the-program"]
    assert ids(ProviderList(json_merge=groq("from-the-program")).registry) == ["from-the-program"]


def test_active_registry_is_the_same_for_all_entry_points(
    publish, tmp_path: Path, monkeypatch
) -> None:
    publish(downloaded({"providers": {"groq": {"models": {"fetched": "f"}}}}))
    assert "fetched" in ProviderList(auto_update=True).registry.models
    file = tmp_path / "mine.json"
    file.write_text(json.dumps(groq("of-the-file")))
    monkeypatch.setenv(effective_registry.REGISTRY_VARIABLE, str(file))
    monkeypatch.setenv("GROQ_API_KEY", "gsk-made-up")
    for name, model_id in (("groq/which", "of-the-file"), ("groq/fetched", "f")):
        (route,) = AutoChatModel(name).routes
        (same,) = ProviderList().find_model_providers(name)
        assert (route, same.model_id) == (same, model_id)


def test_json_override_replaces_all_layers(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv(effective_registry.REGISTRY_VARIABLE, str(tmp_path / "missing.json"))
    with FakeProvider() as fake:
        providers = ProviderList(json_override={"providers": {"own": fake.row({"m": "x"})}})
    assert list(providers.registry.providers) == ["own"]
    with pytest.raises(ConfigError, match="pass either json_override or auto_update"):
        ProviderList(json_override={}, auto_update=True)


def test_active_registry_names_a_faulty_file(tmp_path: Path, monkeypatch) -> None:
    file = tmp_path / "mine.json"
    file.write_text('{"providers": {"groq": {"name": 5}}}')
    monkeypatch.setenv(effective_registry.REGISTRY_VARIABLE, str(file))
    with pytest.raises(RegistryError) as caught:
        AutoChatModel("gpt-oss-120b")
    expected = f"AUTOPROVIDER_REGISTRY={file}: at $.providers.groq.name: got `int`, expected `str`"
    assert str(caught.value) == expected
    monkeypatch.setenv(effective_registry.REGISTRY_VARIABLE, str(tmp_path / "missing.json"))
    with pytest.raises(RegistryError, match=r"^AUTOPROVIDER_REGISTRY=.*: cannot be read: No such"):
        ProviderList()
    monkeypatch.delenv(effective_registry.REGISTRY_VARIABLE)
    with pytest.raises(RegistryError, match=r"^the given registry: at "):
        AutoChatModel("gpt-oss-120b", registry={"providers": {"groq": {"name": 5}}})


def test_active_registry_uses_a_download_it_cannot_cache(
    publish, tmp_path: Path, monkeypatch, caplog
) -> None:
    publish(downloaded(groq("good")))
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert ids(refreshed()) == ["good"]
    start = "The new registry is used, but not cached: "
    assert any(record.getMessage().startswith(start) for record in caplog.records)


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        (b"<html>", 200, "the file is malformed"),
        (b"", 503, "responded with HTTP 503"),
        (downloaded(later=-1), 200, "older than the registry of this package"),
    ],
    ids=["html", "503", "older"],
)
def test_active_registry_logs_trouble_in_one_line(
    publish, body: bytes, status: int, message: str, caplog
) -> None:
    publish(body, status)
    with caplog.at_level(logging.INFO, "inference_providers"):
        assert refreshed() is BUNDLED
    (record,) = caplog.records
    assert message in record.getMessage()
    assert record.getMessage().startswith("The registry is not updated: ")
    publish(downloaded(groq("good")))
    assert ids(refreshed()) == ["good"]
    publish(body, status)
    assert ids(refreshed()) == ["good"]


def test_active_registry_drops_a_download_that_does_not_fit(publish, caplog) -> None:
    """The download puts a model on an endpoint that the user's file removes."""
    assert "responses" in BUNDLED.providers["openai"].endpoints
    models = {name: None for name, row in BUNDLED.providers["openai"].models.items()}
    mine = {"providers": {"openai": {"endpoints": {"responses": None}, "models": models}}}
    publish(downloaded({"providers": {"openai": {"models": {
        "odd": {"id": "odd", "endpoint": "responses"}}}}}))  # fmt: skip
    refreshed()
    assert effective_registry.active_registry(mine).providers["openai"].models == {}
    assert "does not fit yours" in caplog.text


NEW = {
    "name": "New",
    "auth": {"any_of": [["OPENAI_API_KEY"]]},
    "endpoints": {
        "default": {"protocol": "openai-chat", "base_url": "https://api.new.test/v1"},
        "more": {"protocol": "openai-chat", "base_url": "https://api.new.test/v2"},
    },
    "models": {"which": "new-id"},
}


def with_new() -> bytes:
    value = json.loads(downloaded())
    value["providers"]["new"] = NEW
    return json.dumps(value).encode()


def test_active_registry_adds_an_allowed_provider(publish, monkeypatch) -> None:
    publish(with_new())
    assert "new" not in refreshed().providers
    allowed = ProviderList(auto_update=True, allow_providers=["new@api.new.test"]).registry
    assert allowed.providers["new"].auth.any_of == (("NEW_API_KEY",),)
    monkeypatch.setenv(updater.ALLOW_VARIABLE, "new@api.new.test")
    assert "new" in effective_registry.active_registry().providers
    monkeypatch.setenv(updater.ALLOW_VARIABLE, "new@elsewhere.test")
    assert "new" not in effective_registry.active_registry().providers


def test_download_adds_nothing_to_a_provider_of_the_user(publish, monkeypatch) -> None:
    publish(with_new())
    monkeypatch.setenv(updater.ALLOW_VARIABLE, "new@api.new.test")
    refreshed()
    endpoint = {"protocol": "openai-chat", "base_url": "https://mine.test/v1"}
    mine = {"name": "Mine", "endpoints": {"default": endpoint}, "models": {"own": "x"}}
    provider = effective_registry.active_registry({"providers": {"new": mine}}).providers["new"]
    assert provider == Registry.load({"providers": {"new": mine}}).providers["new"]


@pytest.mark.parametrize("name", ["our-model", "Our-Model"])
@pytest.mark.parametrize("kind", ["models", "embeddings"])
def test_downloaded_alias_does_not_replace_a_users_model(publish, kind: str, name: str) -> None:
    """Otherwise prompts for the user's own server would go to another one."""
    publish(downloaded({"aliases": {"our-model": "gpt-oss-120b", "their-name": "gpt-oss-120b"}}))
    assert refreshed().target("our-model").model == "gpt-oss-120b"
    endpoint = {"protocol": "openai-chat", "base_url": "https://mine.test/v1"}
    mine = {"name": "Mine", "endpoints": {"default": endpoint}, kind: {name: "x"}}
    active = effective_registry.active_registry({"providers": {"mine": mine}})
    registry = active.embeddings if kind == "embeddings" else active
    assert registry.target("our-model").model == name
    assert registry.models[name] == ("mine",)
    assert active.document.aliases["their-name"] == "gpt-oss-120b"


def test_downloaded_alias_may_replace_a_model_that_is_gone(publish) -> None:
    listed = {p: {"models": {"gpt-oss-120b": None}} for p in BUNDLED.models["gpt-oss-120b"]}
    change = {"providers": listed, "aliases": {"gpt-oss-120b": "gpt-oss-20b"}}
    publish(downloaded(change))
    assert refreshed().target("gpt-oss-120b").model == "gpt-oss-20b"
    endpoint = {"protocol": "openai-chat", "base_url": "https://mine.test/v1"}
    mine = {"name": "Mine", "endpoints": {"default": endpoint}, "models": {"gpt-oss-120b": "x"}}
    active = effective_registry.active_registry({"providers": {"mine": mine}})
    assert active.target("gpt-oss-120b").model == "gpt-oss-120b"


def test_auto_update_requires_a_url() -> None:
    with pytest.raises(ConfigError, match=r"URL of one in AUTOPROVIDER_REGISTRY_URL"):
        ProviderList(auto_update=True)
    with pytest.raises(ConfigError, match="update_url="):
        ProviderList.get_updated_provider_list()
    with pytest.raises(ConfigError, match="expected an https URL"):
        ProviderList(auto_update=True, update_url="http://own.test/r.json")


def test_get_updated_provider_list_suits_json_override(publish) -> None:
    publish(downloaded(groq("fetched")))
    value = ProviderList.get_updated_provider_list()
    assert ids(ProviderList(json_override=value).registry) == ["fetched"]
    value["providers"].clear()
    assert ids(ProviderList(json_override=ProviderList.get_updated_provider_list()).registry)


def test_update_url_affects_one_program_only(site, page, caches, monkeypatch) -> None:
    """A URL that only one program names changes nothing for this user's other programs."""
    del caches, monkeypatch
    site.pages["/registry.json"] = page(downloaded(groq("fetched")))
    assert ids(ProviderList(auto_update=True, update_url=site.url()).registry) == ["fetched"]
    assert ids(ProviderList().registry) == []
    assert ids(ProviderList(update_url=site.url()).registry) == ["fetched"]
    assert len(site.requests) == 1


def test_fetch_registry_raises_what_went_wrong(publish) -> None:
    publish(b"", 500)
    with pytest.raises(FetchError, match="responded with HTTP 500"):
        effective_registry.fetch_registry(updater.update_source(Keys()))
