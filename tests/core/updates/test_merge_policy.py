"""A download can change models; it cannot change where a key goes."""

from __future__ import annotations

import copy
import json
import time
from datetime import date
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import msgspec
import pytest
from hypothesis import assume, event, given, settings
from hypothesis import strategies as st

from factories import provider_row
from inference_providers.credentials import Keys
from inference_providers.errors import ConfigError, RegistryError
from inference_providers.registry import loader, validation
from inference_providers.registry.registry import Registry
from inference_providers.routing.context import PlanningContext
from inference_providers.routing.planner import plan
from inference_providers.routing.resolver import Resolver
from inference_providers.testing import FakeProvider
from inference_providers.types import LocalModels, Model, Selection
from inference_providers.updates import merge_policy
from langchain_autoprovider import AutoChatModel

if TYPE_CHECKING:
    from collections.abc import Iterator

    from inference_providers.registry.loader import Document


WHEEL: dict[str, Any] = {
    "generated_at": "2026-11-01T00:00:00Z",
    "providers": {
        "first": provider_row(
            {"big": "big-1", "small": {"id": "small-1", "cost": {"in": 1, "out": 2}}},
            "FIRST_API_KEY",
            base_url="https://api.first.test/v1",
        ),
        "cloud": provider_row(
            {"big": "c/big"}, None, base_url="https://{CLOUD_REGION}.cloud.test/{CLOUD_ACCOUNT}/v1",
            auth={"any_of": [["CLOUD_ACCOUNT", "CLOUD_REGION", "CLOUD_TOKEN"]]},
        ),
        "templated": provider_row(
            {"big": "t-big"}, "TEMPLATED_KEY", base_url="https://{model_id}.templated.test/v1"
        ),
        "shy": provider_row(
            {"big": "s-big"}, "SHY_KEY", base_url="https://shy.test/v1", auth={"opt_in": True}
        ),
        "first-cn": provider_row(
            {"big": "big-1"}, "FIRST_API_KEY", base_url="https://api.first.cn/v1",
            variant_of="first",
        ),
        "mine": provider_row({}, None, base_url="http://127.0.0.1:1/v1", kind="local"),
        "inside": provider_row(
            {"tiny": "tiny.gguf"}, None, base_url="http://127.0.0.1/v1", kind="embedded"
        ),
    },
    "retired_providers": {"dead": {"note": "use first"}},
    "retired_models": {"old": {"replaced_by": ["big"]}},
    "aliases": {"nick": "big"},
    "auto_model_priority": ["big", "small"],
}  # fmt: skip


def document(value: dict) -> Document:
    return loader.decode_document(json.dumps(value).encode(), "it")[0]


TRUSTED = document(WHEEL)


def updated(change: dict, allowed: dict | None = None) -> Document:
    """Return the wheel's registry after a changed copy of it is downloaded."""
    patch = json.dumps(change).encode()
    new = json.loads(loader.merge_patch(json.dumps(WHEEL).encode(), patch, "x"))
    return merge_policy.apply_download(TRUSTED, document(new), allowed)


# What may change


def test_apply_download_of_the_same_document_changes_nothing() -> None:
    same = Registry.from_document(updated({}), "it")
    wheel = Registry.from_document(TRUSTED, "it")
    assert same.models == wheel.models
    for provider_id in wheel.providers:
        for model in wheel.providers[provider_id].models:
            assert same.entries(provider_id, model) == wheel.entries(provider_id, model)
    assert (same.document.aliases, same.document.auto_model_priority) == (
        TRUSTED.aliases,
        TRUSTED.auto_model_priority,
    )


def test_download_may_change_models_and_their_facts() -> None:
    entry = {"id": "small-2", "context": 9, "cost": {"in": 3, "out": 4}, "shutdown": "2027-01-01",
             "tier": "fast", "snapshot": "2026-12"}  # fmt: skip
    result = updated(
        {"providers": {"first": {"models": {"big": None, "small": entry, "new": "n"}}}}
    )
    models = result.providers["first"].models
    assert set(models) == {"small", "new"}
    small = models["small"]
    assert (small.id, small.context, small.cost.output) == ("small-2", 9, 4)
    assert (small.shutdown, small.tier, small.snapshot) == (date(2027, 1, 1), "fast", "2026-12")


def test_download_cannot_set_rate_limits() -> None:
    entry = {"id": "small-2", "limits": {"rpm": 1}}
    result = updated({"providers": {"first": {"models": {"small": entry}}}})
    assert result.providers["first"].models["small"].limits is None


def test_download_may_change_aliases_priority_and_retired_models() -> None:
    result = updated(
        {
            "aliases": {"tiny-one": "small", "nick": "small"},
            "auto_model_priority": ["small", "big"],
            "retired_models": {"older": {"replaced_by": ["big", "nobody"], "note": "run evil"}},
            "generated_at": "2026-12-01T00:00:00Z",
        }
    )
    assert result.aliases == {"nick": "small", "tiny-one": "small"}
    assert result.auto_model_priority == ("small", "big")
    assert result.retired_models["older"].replaced_by == ("big",)
    assert result.retired_models["older"].note is None, (
        "text from outside would be shown to the user"
    )
    assert result.retired_models["old"] == TRUSTED.retired_models["old"]
    assert result.generated_at.month == 12


def test_download_cannot_remove_a_provider() -> None:
    assert updated({"providers": {"first": None}}).providers["first"] == TRUSTED.providers["first"]


# What may not


@pytest.mark.parametrize(
    "change",
    [
        {"endpoints": {"default": {"base_url": "https://evil.test/v1"}}},
        {"endpoints": {"default": {"protocol": "openai-responses"}}},
        {"endpoints": {"default": {"base_url_env": ["EVIL_URL"]}}},
        {"endpoints": {"default": {"models_path": "/evil"}}},
        {"endpoints": {"more": {"protocol": "openai-chat", "base_url": "https://evil.test"}}},
        {"auth": {"any_of": [["AWS_SECRET_ACCESS_KEY"]]}},
        {"auth": {"any_of": [["SHY_KEY"]]}},
        {"auth": {"opt_in": True}},
        {"kind": "local"},
        {"variant_of": "cloud"},
        {"quirks": {"max_tokens_field": "extra_headers"}},
        {"name": "\u001b[31mEvil", "docs": "https://evil.test", "source": "evil"},
    ],
    ids=lambda change: json.dumps(change)[:40],
)
@pytest.mark.parametrize("provider_id", ["first", "shy", "first-cn", "templated"])
def test_download_changes_only_models_of_a_known_provider(provider_id: str, change: dict) -> None:
    result = updated({"providers": {provider_id: change}}).providers[provider_id]
    trusted = TRUSTED.providers[provider_id]
    for field in set(trusted.__struct_fields__) - {"models", "embeddings"}:
        assert getattr(result, field) == getattr(trusted, field), field


def test_download_cannot_add_an_endpoint() -> None:
    endpoints = {"more": {"protocol": "openai-chat", "base_url": "https://evil.test"}}
    models = {"evil": {"id": "x", "endpoint": "more"}}
    result = updated({"providers": {"first": {"endpoints": endpoints, "models": models}}})
    assert set(result.providers["first"].models) == {"big", "small"}


def test_download_does_not_change_providers_on_this_machine() -> None:
    files = {"models": {"tiny": "/etc/passwd"}}
    result = updated({"providers": {"inside": files, "mine": files}})
    assert result.providers["inside"] == TRUSTED.providers["inside"]
    assert result.providers["mine"] == TRUSTED.providers["mine"]


@pytest.mark.parametrize(
    "model_id",
    ["evil.test/#", "evil.test\\", "x@evil.test:1?", "../../admin", "a b", "a\u001b[2J", "", "é",
     "x" * 300, "{CLOUD_TOKEN}"],
)  # fmt: skip
def test_download_cannot_add_a_model_id_that_changes_the_url(model_id: str) -> None:
    result = updated(
        {"providers": {"templated": {"models": {"new": model_id, "ok": "org/x@1:y~z"}}}}
    )
    assert set(result.providers["templated"].models) == {"big", "ok"}


@pytest.mark.parametrize("name", ["groq/x", "first:big", "A", "a\u001b[31m", " ", "ü", "../x"])
def test_download_cannot_add_a_malformed_name(name: str) -> None:
    result = updated(
        {
            "providers": {"first": {"models": {name: "x"}}},
            "aliases": {name: "big"},
            "auto_model_priority": [name, "small"],
            "retired_models": {name: {}},
        }
    )
    assert name not in result.providers["first"].models
    assert name not in result.aliases
    assert name not in result.retired_models
    assert result.auto_model_priority == ("small",)


def test_download_with_an_unknown_priority_keeps_the_wheels() -> None:
    without = {"models": {"big": None, "other": "other"}}
    rows = dict.fromkeys(("first", "cloud", "templated", "shy", "first-cn"), without)
    result = updated({"auto_model_priority": ["nobody"], "providers": rows})
    assert result.auto_model_priority == ("small",)


def test_download_cannot_pin_a_provider_in_the_priority() -> None:
    assert updated({"auto_model_priority": ["shy/big", "small"]}).auto_model_priority == ("small",)


def test_downloaded_alias_may_lead_to_an_embedding_model() -> None:
    change = {
        "aliases": {"vec": "vectors"},
        "providers": {"first": {"embeddings": {"vectors": "v"}}},
    }
    assert updated(change).aliases == {"nick": "big", "vec": "vectors"}


def test_downloaded_alias_hides_no_model_and_is_not_dangling() -> None:
    result = updated({"aliases": {"big": "small", "lost": "nobody", "nick": "big"}})
    assert result.aliases == {"nick": "big"}


@pytest.mark.parametrize(
    ("quirks", "is_kept"),
    [
        ({"drop_params": ["seed"], "max_n": 1, "stream_usage": False}, True),
        ({"max_tokens_field": "extra_headers"}, False),
        ({"drop_params": ["base_url"]}, False),
        ({"max_tokens_field": "timeout"}, False),
        ({"drop_params": ["messages"]}, False),
        ({"drop_params": ["X-Evil: 1"]}, False),
        ({"max_tokens_field": "n"}, False),
        ({"max_tokens_field": "best_of"}, False),
        ({"drop_params": ["seed", "extra_query"]}, False),
        ({"drop_params": ["n"], "max_tokens_field": "max_completion_tokens"}, True),
    ],
)
def test_downloaded_quirks_of_a_model_avoid_sdk_fields(quirks: dict, is_kept: bool) -> None:
    models = {"big": {"id": "b", "quirks": quirks}}
    result = updated({"providers": {"first": {"models": models}}}).providers["first"].models["big"]
    assert (result.quirks is not None) is is_kept


# Providers that only the download knows


NEW = provider_row({"big": "b"}, "OPENAI_API_KEY", base_url="https://api.new.test/v1")


def test_new_provider_must_be_allowed_for_its_host() -> None:
    change = {"providers": {"new": NEW}}
    assert "new" not in updated(change).providers
    assert "new" not in updated(change, {"new": "other.test"}).providers
    assert "new" not in updated(change, {"other": "api.new.test"}).providers
    result = updated(change, {"new": "api.new.test"})
    assert list(result.providers) == [*TRUSTED.providers, "new"]


@pytest.mark.parametrize(
    ("name", "shown"), [("New Host", "New Host"), ("\x1b[2JGroq", "api.new.test")]
)
def test_new_provider_with_an_unprintable_name_is_shown_as_host(name: str, shown: str) -> None:
    change = {"providers": {"new": {**NEW, "name": name}}}
    assert updated(change, {"new": "api.new.test"}).providers["new"].name == shown


def test_new_provider_reads_the_key_with_its_name_only() -> None:
    result = updated({"providers": {"new": NEW}}, {"new": "api.new.test"}).providers["new"]
    assert result.auth.any_of == (("NEW_API_KEY",),)
    assert not result.auth.opt_in


@pytest.mark.parametrize("at", ["row", "endpoint", "model"])
def test_downloaded_quirks_of_a_new_provider_avoid_sdk_fields(at: str) -> None:
    new = copy.deepcopy(NEW)
    new["models"] = {"big": {"id": "b"}}
    places = {"row": new, "endpoint": new["endpoints"]["default"], "model": new["models"]["big"]}
    for field, is_kept in (("extra_headers", False), ("max_completion_tokens", True)):
        places[at]["quirks"] = {"max_tokens_field": field}
        result = updated({"providers": {"new": new}}, {"new": "api.new.test"}).providers["new"]
        all_quirks = (
            result.quirks,
            result.endpoints["default"].quirks,
            result.models["big"].quirks,
        )
        fields = {quirks.max_tokens_field for quirks in all_quirks if quirks}
        assert (field in fields) is is_kept


@pytest.mark.parametrize(
    ("provider_id", "change"),
    [
        ("new", {"kind": "local"}),
        ("new", {"kind": "embedded"}),
        ("new", {"kind": "cloud"}),
        ("new", {"endpoints": {"default": {"base_url": "https://api.new.test.evil.test/v1"}}}),
        ("new", {"endpoints": {"default": {"base_url": "https://api.new.test:8443/v1"}}}),
        ("new", {"endpoints": {"default": {"base_url": "https://api.new.test/{FIRST_API_KEY}"}}}),
        ("new", {"endpoints": {"default": {"base_url": "https://{model_id}.new.test/v1"}}}),
        ("new", {"endpoints": {"default": {"base_url": "https://API.new.test/v1"}}}),
        ("new", {"endpoints": {"default": {"protocol": "made-up"}}}),
        ("dead", {}),
        ("aws-secret-access", {}),
        ("github", {}),
    ],
)
def test_new_provider_with_an_odd_kind_or_url_is_left_out(provider_id: str, change: dict) -> None:
    new = json.loads(loader.merge_patch(json.dumps(NEW).encode(), json.dumps(change).encode(), "x"))
    result = updated({"providers": {provider_id: new}}, {provider_id: "api.new.test"})
    assert provider_id not in result.providers


def test_new_provider_does_not_read_another_providers_key() -> None:
    """`templated` reads TEMPLATED_KEY, and `first` reads FIRST_API_KEY, as `first.` would."""
    evil = {"providers": {"first_": NEW, "first.": NEW, "shy": NEW}}
    result = updated(evil, dict.fromkeys(["first_", "first.", "shy"], "api.new.test"))
    assert set(result.providers) == {*TRUSTED.providers, "first_", "first."}
    variables = {result.providers[p].auth.any_of for p in ("first_", "first.")}
    assert variables == {(("FIRST__API_KEY",),)}
    wheel = copy.deepcopy(WHEEL)
    wheel["providers"]["other"] = wheel["providers"].pop("first")
    new = {**copy.deepcopy(wheel)}
    new["providers"]["first"] = NEW
    result = merge_policy.apply_download(document(wheel), document(new), {"first": "api.new.test"})
    assert "first" not in result.providers, "FIRST_API_KEY is bound to `other`"


def test_new_providers_yields_what_allowed_hosts_takes() -> None:
    new = {**copy.deepcopy(WHEEL)}
    new["providers"].update(
        new=NEW, dead=NEW, odd=provider_row({}, None, base_url="http://127.0.0.1/v1")
    )
    providers = list(merge_policy.new_providers(TRUSTED, document(new)))
    assert providers == [("new", "api.new.test")]
    settings = [f"{provider_id}@{host}" for provider_id, host in providers]
    assert merge_policy.allowed_hosts(settings) == {"new": "api.new.test"}


def test_new_providers_of_a_very_large_download_is_fast() -> None:
    new = {**copy.deepcopy(WHEEL)}
    new["providers"].update({f"p{n}": NEW for n in range(2_000)})
    downloaded = document(new)
    start = time.process_time()
    assert len(list(merge_policy.new_providers(TRUSTED, downloaded))) == 2_000
    assert time.process_time() - start < 3, "the whole document was read for each provider"


@pytest.mark.parametrize(
    "setting",
    ["new", "new@", "@api.new.test", "new@127.0.0.1", "new@localhost", "new@api.new.test:1",
     "new@api.new.test/v1", "New@api.new.test", "new@x@api.test", "new@https://api.new.test"],
)  # fmt: skip
def test_allowed_hosts_refuses_a_malformed_setting(setting: str) -> None:
    with pytest.raises(ConfigError, match="expected a provider's id and its host"):
        merge_policy.allowed_hosts([setting])


# Everything at once


class Environment(dict):
    """Records which variables are read."""

    def __init__(self, values: dict) -> None:
        super().__init__(values)
        self.read: set[str] = set()

    def get(self, name, default=None):
        self.read.add(name)
        return super().get(name, default)

    def __getitem__(self, name):
        self.read.add(name)
        return super().__getitem__(name)


VARIABLES = (
    "FIRST_API_KEY", "CLOUD_TOKEN", "CLOUD_ACCOUNT", "CLOUD_REGION", "TEMPLATED_KEY", "SHY_KEY",
    "AWS_SECRET_ACCESS_KEY", "GITHUB_TOKEN", "DATABASE_URL", "EVIL_URL", "NEW_API_KEY",
    "OPENAI_API_KEY", "HOME", "SSH_AUTH_SOCK",
)  # fmt: skip
VALUES = {name: f"canary-of-{name.lower().replace('_', '-')}" for name in VARIABLES}
HOSTS = {
    "FIRST_API_KEY": {"api.first.test", "api.first.cn"},
    "CLOUD_TOKEN": {f"{VALUES['CLOUD_REGION']}.cloud.test"},
    "SHY_KEY": {"shy.test"},
    "NEW_API_KEY": {"api.new.test"},
}
"""Where each key may go; TEMPLATED_KEY may also go to any host under templated.test."""
DECLARED = frozenset().union(*validation.declared_variables(TRUSTED.providers).values())

urls = st.sampled_from(
    ["https://evil.test/v1", "https://api.first.test@evil.test", "https://evil.test/{FIRST_API_KEY}",
     "https://{SHY_KEY}.evil.test/v1", "https://{model_id}/v1", "https://api.new.test/v1",
     "https://api.first.test/v1", "http://127.0.0.1:1/v1", "https://evil.test:443/v1"]
)  # fmt: skip
names = st.sampled_from(
    ["big", "small", "new", "nick", "tiny", "old", "first/big", "shy/big", "new/big", "shy:big",
     "mine/x", "evil"]
) | st.text("abc/:@.-{}", max_size=6)  # fmt: skip
ids = st.sampled_from(
    ["big-1", "evil.test/", "evil.test#", "evil.test\\x", "x@evil.test", "{SHY_KEY}", "a/../b",
     "evil.test?", "tiny.gguf", "//evil.test"]
) | st.text(max_size=8)  # fmt: skip
quirks = st.fixed_dictionaries(
    {},
    optional={
        "max_tokens_field": st.sampled_from(["max_tokens", "extra_headers", "base_url"]),
        "drop_params": st.lists(st.sampled_from(["user", "extra_query", "x"]), max_size=1),
    },
)
entries = ids | st.fixed_dictionaries(
    {"id": ids},
    optional={
        "endpoint": st.sampled_from(["default", "more"]),
        "tier": st.sampled_from(["free", None]),
        "snapshot": st.sampled_from(["2026-01-01", None]),
        "quirks": quirks,
    },
)
models = st.dictionaries(names, entries | st.lists(entries, min_size=1, max_size=2), max_size=4)
endpoint = st.fixed_dictionaries(
    {"protocol": st.sampled_from(["openai-chat", "other"]), "base_url": urls},
    optional={
        "base_url_env": st.lists(st.sampled_from(VARIABLES), max_size=2),
        "models_path": st.sampled_from(["/models", "/../x", "/@evil.test"]),
    },
)
rows = st.fixed_dictionaries(
    {
        "name": st.text(max_size=4),
        "endpoints": st.fixed_dictionaries({"default": endpoint}, optional={"more": endpoint}),
        "models": models,
    },
    optional={
        "auth": st.fixed_dictionaries(
            {"any_of": st.lists(st.lists(st.sampled_from(VARIABLES), max_size=2), min_size=1,
                                max_size=2)},
            optional={"opt_in": st.booleans()},
        ),
        "kind": st.sampled_from(["direct", "gateway", "cloud", "local", "embedded"]),
        "quirks": quirks,
        "variant_of": st.sampled_from(["first", None]),
    },
)  # fmt: skip
registries = st.fixed_dictionaries(
    {"providers": st.dictionaries(
        st.sampled_from([*WHEEL["providers"], "new", "dead", "aws-secret-access", "evil"]), rows,
        max_size=5)},
    optional={
        "aliases": st.dictionaries(names, names, max_size=3),
        "auto_model_priority": st.lists(names, max_size=4),
        "retired_models": st.dictionaries(
            names, st.fixed_dictionaries({}, optional={"replaced_by": st.lists(names, max_size=2)}),
            max_size=2),
        "retired_providers": st.dictionaries(names, st.just({"note": "x"}), max_size=1),
    },
)  # fmt: skip
ALLOWED = st.sampled_from(
    [{}, {"new": "api.new.test"}, {"new": "api.new.test", "evil": "api.first.test"}]
)


def parsed(new: dict) -> Document | None:
    try:
        return document(new)
    except RegistryError:  # the whole document is refused
        return None


def sent(registry: Registry, environ: Environment) -> Iterator[tuple[str, str]]:
    """Yield host and key of every call that any name could lead to; an absent key is `""`."""
    keys = Keys(environ=environ)
    local_models = {"mine": LocalModels(base_url="http://127.0.0.1:1/v1", models=("big",))}
    context = PlanningContext(keys=keys, today=date(2026, 11, 22), local_models=local_models)
    requests: list[tuple[str, ...]] = [(), *((name,) for name in registry.models)]
    requests += [(f"{p}/{name}",) for p, row in registry.providers.items() for name in row.models]
    resolver = Resolver(Selection(), registry, keys, lambda _: {})
    # A provider that is named in `order` is used even if its key is opt-in.
    order = tuple(registry.providers)
    for names in requests:
        for route in plan(Selection(models=names, order=order), registry, context).routes:
            if route.kind == "embedded":
                assert route.model_id == "tiny.gguf"
                continue
            try:
                access = resolver.access(route)
            except ConfigError:
                continue
            host = urlsplit(access.base_url).hostname
            yield host, access.key.value_for(access.base_url) if access.key else ""
            assert not any(
                value in access.base_url
                for name, value in VALUES.items()
                if name not in {"CLOUD_REGION", "CLOUD_ACCOUNT"}
            )


@given(new=registries, allowed=ALLOWED)
def test_no_download_sends_a_key_elsewhere(new: dict, allowed: dict) -> None:
    downloaded = parsed(new)
    event("valid" if downloaded else "refused as a whole")
    assume(downloaded is not None)
    result = merge_policy.apply_download(TRUSTED, downloaded, allowed)
    environ = Environment(VALUES)
    registry = Registry.from_document(result, "it")
    assert msgspec.json.decode(registry.raw, type=loader.Document) == result
    for host, value in sent(registry, environ):
        if not value:
            assert host == "127.0.0.1"
            continue
        (variable,) = (name for name, key in VALUES.items() if key == value)
        is_templated = variable == "TEMPLATED_KEY" and host.endswith(".templated.test")
        assert is_templated or host in HOSTS.get(variable, set()), f"{variable} goes to {host}"
    assert environ.read <= DECLARED | set(map(merge_policy.key_variable, allowed))


@settings(max_examples=25)
@given(new=registries)
def test_no_download_makes_a_call_reach_another_server(new: dict) -> None:
    """The same over HTTP: one server is the wheel's, the other the download's."""
    import os

    os.environ["CANARY_KEY"] = "canary-value"
    try:
        with FakeProvider() as good, FakeProvider() as evil:
            wheel = {"providers": {"first": good.row({"big": "b"}, key="CANARY_KEY")}}
            text = json.dumps(new).replace("https://evil.test/v1", evil.base_url)
            downloaded = parsed(json.loads(text))
            if downloaded is None:
                return
            allowed = {"new": "api.new.test"}
            result = merge_policy.apply_download(document(wheel), downloaded, allowed)
            registry = Registry.from_document(result, "it")
            for name in registry.models:
                AutoChatModel(name, registry=registry, cooldown=False).invoke("Hi")
        assert evil.requests == evil.listings == []
        assert all("canary-value" in str(request.headers) for request in good.requests)
    finally:
        del os.environ["CANARY_KEY"]


def test_sent_sees_what_an_unchecked_download_would_do() -> None:
    """The property above can fail: without `apply_download`, keys do go elsewhere."""
    new = copy.deepcopy(WHEEL)
    new["providers"]["first"]["endpoints"]["default"]["base_url"] = "https://evil.test/v1"
    new["providers"]["shy"]["auth"] = {"any_of": [["GITHUB_TOKEN"]]}
    environ = Environment(VALUES)
    seen = set(sent(Registry.from_document(document(new), "it"), environ))
    assert ("evil.test", VALUES["FIRST_API_KEY"]) in seen
    assert "GITHUB_TOKEN" in environ.read


def test_apply_download_keeps_the_whole_bundled_registry() -> None:
    wheel = Registry.load()
    result = merge_policy.apply_download(wheel.document, wheel.document)
    result = Registry.from_document(result, "it")
    assert result.models == wheel.models
    for provider_id, provider in wheel.providers.items():
        for model in provider.models:
            assert result.entries(provider_id, model) == wheel.entries(provider_id, model)
    assert result.document.aliases == wheel.document.aliases
    assert result.document.retired_models == wheel.document.retired_models
    assert isinstance(next(iter(result.entries("openai", "gpt-4o"))), Model)
