"""`Registry.target` decides what a name means; the registry knows who lists it."""

from __future__ import annotations

import pickle

import pytest

from factories import provider_row
from inference_providers.errors import ConfigError, RegistryError, UnknownModelError
from inference_providers.registry.entries import Target
from inference_providers.registry.registry import Registry

DOCUMENT = {
    "providers": {
        "first": provider_row({"big-70b": "org/Big-70B-Instruct", "small": {"id": "org/small-v2"}}),
        "second": provider_row(
            {"big-70b": [{"id": "big-turbo", "tier": "turbo"}, "big"], "other": "o"}
        ),
        "mine": provider_row({}, kind="local"),
    },
    "retired_providers": {
        "gone": {"name": "Gone Inc.", "since": "2024-08-01", "note": "it closed; use first."}
    },
    "retired_models": {
        "old-7b": {"replaced_by": ["small", "big-70b"], "since": "2025-01-02", "note": "Ended."},
        "older": {},
    },
    "aliases": {"nick": "big-70b", "old-nick": "old-7b"},
}


@pytest.fixture(scope="module")
def registry() -> Registry:
    return Registry.load(DOCUMENT)


def test_models_are_sorted_and_name_their_providers(registry: Registry) -> None:
    assert dict(registry.models) == {
        "big-70b": ("first", "second"),
        "other": ("second",),
        "small": ("first",),
    }
    assert list(registry.models) == sorted(registry.models)


@pytest.mark.parametrize(
    ("name", "target"),
    [
        ("big-70b", Target("big-70b")),
        (" BIG-70b ", Target("big-70b")),
        ("nick", Target("big-70b")),
        ("Nick", Target("big-70b")),
        ("org/Big-70B-Instruct", Target("big-70b")),
        ("org/big-70b-instruct", Target("big-70b")),
        ("elsewhere/Big-70B-Instruct-GGUF", Target("big-70b")),
        ("o", Target("other")),
        ("O", Target("other")),
        ("second/big-70b", Target("big-70b", "second")),
        ("second:big-70b", Target("big-70b", "second")),
        ("Second/NICK", Target("big-70b", "second")),
        ("second/big-turbo", Target("big-70b", "second", tier="turbo", id="big-turbo")),
        ("first/org/small-v2", Target("small", "first", id="org/small-v2")),
        ("mine/Whatever:7b", Target("Whatever:7b", "mine")),
    ],
)
def test_target_of_a_name(registry: Registry, name: str, target: Target) -> None:
    assert registry.target(name) == target


def test_target_of_a_name_is_resolved_once(registry: Registry) -> None:
    assert registry.target("second/big-turbo") is registry.target("second/big-turbo")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("bik-70b", "did you mean 'big-70b'"),
        ("nickk", "did you mean 'nick'"),
        ("zzzzz", "see `autoprovider models`"),
        ("", "Unknown model ''"),
        ("first/", "Unknown model 'first/'"),
        ("first/other", "'first' does not list 'other'; it is served by second"),
        ("first/smal", "'first' does not list 'smal'; did you mean 'small'?"),
        ("first/zzzzz", "'first' does not list 'zzzzz'; see `autoprovider models`"),
        ("old-7b", "'old-7b' is retired since 2025-01-02; use 'small' or 'big-70b' (Ended)"),
        ("org/Old-7B-Instruct", "'old-7b' is retired"),
        ("old-nick", "'old-7b' is retired"),
        ("first/old-7b", "'old-7b' is retired"),
        ("older", "'older' is retired"),
        ("gone/big-70b", "Provider 'Gone Inc.' is closed since 2024-08-01: it closed; use first."),
    ],
)
def test_target_of_an_unknown_name_says_what_to_do(
    registry: Registry, name: str, message: str
) -> None:
    with pytest.raises(UnknownModelError) as caught:
        registry.target(name)
    assert message in str(caught.value)
    assert isinstance(caught.value, LookupError)


DATED = {
    "providers": {
        "first": provider_row(
            {
                "gpt-4o": [
                    {"id": "gpt-4o", "released": "2024-05-13"},
                    {"id": "gpt-4o-2024-11-20", "snapshot": "2024-11-20"},
                    {"id": "gpt-4o-2024-08-06", "snapshot": "2024-08-06"},
                ]
            }
        ),
        "second": provider_row(
            {
                "gpt-4o": ["openai/gpt-4o", {"id": "openai/gpt-4o:free", "tier": "free"},
                           {"id": "gpt-4o-0806", "snapshot": "20240806", "tier": "batch"}],
                "plain": "plain",
                "us": [{"id": "us.m", "released": "2026-01-01"}, {"id": "eu.m"}],
                "qwen-8b": "qwen:8b",
                "odd": ["house/zed", {"id": "house/zed-0", "tier": "free"}],
            }
        ),
        "mine": provider_row({}, kind="local"),
    },
    "aliases": {"4o": "gpt-4o", "pet-instruct": "gpt-4o"},
}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "target", "ids"),
    [
        ("gpt-4o", Target("gpt-4o"), ["gpt-4o", "openai/gpt-4o"]),
        (
            "gpt-4o@2024-08-06",
            Target("gpt-4o", snapshot="2024-08-06"),
            ["gpt-4o-2024-08-06", "gpt-4o-0806"],
        ),
        (
            "4o@20240806",
            Target("gpt-4o", snapshot="20240806"),
            ["gpt-4o-2024-08-06", "gpt-4o-0806"],
        ),
        (
            "first/gpt-4o@2024-11-20",
            Target("gpt-4o", "first", "2024-11-20"),
            ["gpt-4o-2024-11-20"],
        ),
        ("first:gpt-4o@2024-11-20", Target("gpt-4o", "first", "2024-11-20"), ["gpt-4o-2024-11-20"]),
        ("gpt-4o:free", Target("gpt-4o", tier="free"), ["openai/gpt-4o:free"]),
        ("GPT-4o:FREE", Target("gpt-4o", tier="FREE"), ["openai/gpt-4o:free"]),
        ("second/gpt-4o:free", Target("gpt-4o", "second", tier="free"), ["openai/gpt-4o:free"]),
        ("openai/gpt-4o:free", Target("gpt-4o", tier="free"), ["openai/gpt-4o:free"]),
        (
            "gpt-4o@2024-08-06:batch",
            Target("gpt-4o", None, "2024-08-06", "batch"),
            ["gpt-4o-0806"],
        ),
        (
            "gpt-4o-2024-08-06",
            Target("gpt-4o", snapshot="2024-08-06"),
            ["gpt-4o-2024-08-06", "gpt-4o-0806"],
        ),
        (
            "second/gpt-4o-2024-08-06",
            Target("gpt-4o", "second", "2024-08-06"),
            ["gpt-4o-0806"],
        ),
        ("second/eu.m", Target("us", "second", id="eu.m"), ["eu.m"]),
        ("qwen:8b", Target("qwen-8b"), ["qwen:8b"]),
        ("org/qwen:8b", Target("qwen-8b"), ["qwen:8b"]),
        ("plain:latest", Target("plain"), ["plain"]),
        ("house/zed:free", Target("odd", tier="free"), ["house/zed-0"]),
        (
            "pet-instruct@2024-08-06",
            Target("gpt-4o", snapshot="2024-08-06"),
            ["gpt-4o-2024-08-06", "gpt-4o-0806"],
        ),
    ],
)
def test_target_selects_a_snapshot_or_tier(name: str, target: Target, ids: list[str]) -> None:
    dated = Registry.load(DATED)
    assert dated.target(name) == target
    provider_ids = [target.provider] if target.provider else dated.providers
    firsts = [dated.entries_for(p, target)[:1] for p in provider_ids]
    assert [entry.id for entries in firsts for entry in entries] == ids


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "gpt-4o@2023-01-01",
            "has no '@2023-01-01'; choose '@2024-08-06', '@2024-11-20', '@20240806', ':batch', ",
        ),
        ("first/gpt-4o:free", "has no ':free' at 'first'; choose '@2024-08-06', '@2024-11-20'"),
        ("openai/gpt-4o:nitro", "has no ':nitro'; choose"),
        ("second/gpt-4o-2024-11-20", "has no '@2024-11-20' at 'second'; choose"),
        ("gpt-4o@2024-11-20:free", "has no '@2024-11-20:free'; choose"),
        ("GPT-4o-mini-2030-01-01", "Unknown model 'GPT-4o-mini-2030-01-01'"),
        ("vendor/GPT-4o-2030-01-01", "has no '@2030-01-01'; choose '@2024-08-06'"),
        ("first/Plain-Instruct", "does not list 'Plain-Instruct'; it is served by second"),
        ("plain@1", "Model 'plain' has no '@1'; use the plain name"),
    ],
)
def test_target_lists_the_snapshots_and_tiers_there_are(name: str, message: str) -> None:
    with pytest.raises(UnknownModelError) as caught:
        Registry.load(DATED).target(name)
    assert message in str(caught.value)


def test_target_keeps_an_unknown_tag_for_a_local_server() -> None:
    dated = Registry.load(DATED)
    assert dated.target("mine/plain:q4") == Target("plain:q4", "mine")
    assert dated.target("plain:q4", local=True) == Target("plain:q4")
    assert dated.target("vendor/GPT-4o-2030-01-01", local=True) == Target("gpt-4o")


def test_target_ignores_case() -> None:
    models = {"My-Model": "vendor/seven", "mixed": "vendor/lower", "Mixed": "vendor/upper"}
    file = {"providers": {"groq": {"models": models}}, "aliases": {"Mine": "MY-MODEL"}}
    merged = Registry.load().merged(file)
    for name in ("My-Model", "my-model", "MY-MODEL", "mine", "Mine", "vendor/seven"):
        assert merged.target(name).model == "My-Model"
    assert merged.target("groq/My-Model") == Target("My-Model", "groq")
    assert merged.target("Mixed").model == "mixed"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "lost",
            "'lost' is an alias of 'gpt-os-120b', which no provider lists; did you mean",
        ),
        ("LOST", "'lost' is an alias of 'gpt-os-120b'"),
        ("twice", "'twice' is an alias of 'lost', which no provider lists"),
        ("loop", "'loop' is an alias of 'loop', which no provider lists"),
        ("groq/lost", "'lost' is an alias of 'gpt-os-120b'"),
        ("pin", "'pin' is an alias of 'groq/gpt-oss-120b', which no provider lists"),
    ],
)
def test_target_of_a_dangling_alias_names_its_target(name: str, message: str) -> None:
    aliases = {"lost": "gpt-os-120b", "twice": "lost", "loop": "loop", "pin": "groq/gpt-oss-120b"}
    with pytest.raises(UnknownModelError) as caught:
        Registry.load().merged({"aliases": aliases}).target(name)
    assert message in str(caught.value)


def test_target_passes_any_name_with_local(registry: Registry) -> None:
    assert registry.target("My-Own:7b", local=True) == Target("My-Own:7b")
    with pytest.raises(UnknownModelError):
        registry.target("  ", local=True)


@pytest.mark.parametrize(
    ("name", "target"),
    [
        ("kimi-k2@0905", Target("kimi-k2-0905")),
        ("a/kimi-k2@0905", Target("kimi-k2-0905", "a")),
        ("kimi-k2@0711", Target("kimi-k2", snapshot="0711")),
        ("kimi-k2@0905:free", Target("kimi-k2-0905", tier="free")),
    ],
)
def test_target_finds_a_release_with_its_own_name_by_date(name: str, target: Target) -> None:
    models = {
        "kimi-k2": ["k", {"id": "k-0711", "snapshot": "0711"}],
        "kimi-k2-0905": ["k-0905", {"id": "k-0905:free", "tier": "free"}],
    }
    endpoints = {"default": {"protocol": "openai-chat", "base_url": "https://a.test/v1"}}
    row = {"name": "A", "endpoints": endpoints, "models": models}
    assert Registry.load({"providers": {"a": row}}).target(name) == target


def test_entries_begin_with_the_newest_plain_entry() -> None:
    entries = [
        {"id": "tiered", "tier": "fast", "released": "2026-05-05"},
        {"id": "dated", "snapshot": "2026-04-04", "released": "2026-04-04"},
        {"id": "older", "released": "2025-01-01"},
        "undated",
        {"id": "newer", "released": "2026-01-01"},
    ]
    registry = Registry.load({"providers": {"p": provider_row({"m": entries})}})
    ids = [entry.id for entry in registry.entries("p", "m")]
    assert ids == ["newer", "older", "undated", "dated", "tiered"]
    assert registry.entries("p", "unlisted") == ()


@pytest.mark.parametrize(
    ("provider_id", "message"),
    [
        ("frist", "only: 'frist' is not a provider; did you mean 'first'?"),
        ("zzz", "only: 'zzz' is not a provider; see `autoprovider providers`"),
        ("gone", "only: Provider 'Gone Inc.' is closed since 2024-08-01"),
    ],
)
def test_check_providers_names_the_argument(
    registry: Registry, provider_id: str, message: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        registry.check_providers(["first", provider_id], "only")
    assert message in str(caught.value)


def test_check_providers_accepts_known_ids(registry: Registry) -> None:
    assert registry.check_providers(["first", "mine"], "only") is None


def test_merged_lays_a_document_over_the_registry(registry: Registry) -> None:
    merged = registry.merged(
        {
            "providers": {
                "first": {"models": {"new": "new-id", "small": None}},
                "second": None,
                "third": provider_row({"third-model": "x"}),
            },
            "aliases": {"nick": "new"},
        }
    )
    assert list(merged.providers) == ["third", "first", "mine"], (
        "providers that the user adds come first"
    )
    assert set(merged.models) == {"big-70b", "new", "third-model"}
    assert merged.target("nick") == Target("new")
    assert "second" in registry.providers, "the original registry has changed"


def test_merged_names_the_path_of_a_fault(registry: Registry) -> None:
    with pytest.raises(RegistryError, match=r"at \$\.providers\.first\.models\.new"):
        registry.merged({"providers": {"first": {"models": {"new": 5}}}})


def test_merged_refuses_a_sparse_row_of_an_unknown_provider(registry: Registry) -> None:
    with pytest.raises(RegistryError, match=r"\$\.providers\.nobody.*name"):
        registry.merged({"providers": {"nobody": {"models": {"m": "x"}}}})


def test_registry_survives_pickling(registry: Registry) -> None:
    merged = registry.merged({"aliases": {"extra": "small"}})
    copy = pickle.loads(pickle.dumps(merged))
    assert copy.document == merged.document
    assert copy.origin == merged.origin


def test_load_reads_the_bundled_registry_once() -> None:
    assert Registry.load() is Registry.load()
    assert Registry.load().origin.endswith("providers.json")


def test_repr_of_a_registry_is_short(registry: Registry) -> None:
    assert repr(registry) == "Registry('the given registry', 3 providers)"


@pytest.mark.parametrize("name", ["vectors", "a/vectors", "A:Vectors"])
def test_target_says_that_a_model_is_of_the_other_kind(name: str) -> None:
    endpoints = {"default": {"protocol": "openai-chat", "base_url": "https://a.test/v1"}}
    row = {"name": "A", "endpoints": endpoints, "embeddings": {"vectors": "v"}}
    other = {"name": "B", "endpoints": endpoints}
    chats = Registry.load({"providers": {"a": {**row, "models": {"talks": "t"}}, "b": other}})
    with pytest.raises(UnknownModelError, match="'vectors' is an embedding model; use AutoEmb"):
        chats.target(name)
    assert chats.embeddings.target(name).model == "vectors"
    with pytest.raises(UnknownModelError, match="'talks' is a chat model; use AutoChatModel"):
        chats.embeddings.target(name.lower().replace("vectors", "talks"))
