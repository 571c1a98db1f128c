"""Every row of the bundled registry is complete, and every name in it resolves."""

from __future__ import annotations

import json
import re
from datetime import date
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from inference_providers.credentials import Keys, is_loopback
from inference_providers.errors import UnknownModelError
from inference_providers.model_names.canonical import canonical_name
from inference_providers.registry.entries import Target
from inference_providers.registry.registry import Registry
from inference_providers.routing.context import PlanningContext
from inference_providers.routing.planner import plan
from inference_providers.types import ON_THIS_MACHINE, Selection
from langchain_autoprovider.protocols.table import PROTOCOLS
from registry_builder import overlay

pytestmark = pytest.mark.slow  # 899 cases; the rows change only when the registry is rebuilt

REGISTRY = Registry.load()
DOCUMENT = REGISTRY.document
OVERLAY = overlay.read(Path(__file__).parents[3] / "registry" / "overlay.toml")
VARIANTS = [p for p, row in DOCUMENT.providers.items() if row.variant_of]
EMBEDDERS = [p for p, row in DOCUMENT.providers.items() if row.embeddings]
ORIGINAL = json.loads(
    (Path(__file__).parents[2] / "data" / "original-inference-providers.json").read_text()
)
ORIGINAL_NAMES = sorted(
    {"gemini-nano", *ORIGINAL["auto_model_priority"]}.union(
        *(row["model_names"] for kind in ("providers", "broken") for row in ORIGINAL[kind].values())
    )
)
"""All names in the original's README and file, including those it calls broken."""

FOREIGN = re.compile(
    "AWS|GITHUB|GH_|SSH|DATABASE|DATABRICKS|SECRET|PASSWORD|GOOGLE_APPL|GOOGLE_API|WANDB|HF_TOKEN"
)
"""Variables that people set for other services; a row that reads one must be `opt_in`."""

SECRET = re.compile(r"[A-Z][A-Z0-9_]*_(API_KEY|API_TOKEN|TOKEN|PAT|TOKEN_BEDROCK|CREDENTIALS)")


def is_model(name: str) -> bool:
    try:
        return REGISTRY.target(name).model in REGISTRY.models
    except UnknownModelError:
        return False


@pytest.mark.parametrize("provider_id", DOCUMENT.providers)
def test_provider_row_has_a_source_and_a_date(provider_id: str) -> None:
    row = DOCUMENT.providers[provider_id]
    assert row.name
    assert row.source
    assert row.checked is not None
    assert date(2026, 1, 1) <= row.checked <= DOCUMENT.generated_at.date()
    assert row.docs is None or row.docs.startswith("https://")


@pytest.mark.parametrize("provider_id", DOCUMENT.providers)
def test_endpoint_is_https_unless_on_this_machine(provider_id: str) -> None:
    row = DOCUMENT.providers[provider_id]
    assert "default" in row.endpoints
    for endpoint in row.endpoints.values():
        url = urlsplit(endpoint.base_url)
        assert endpoint.protocol in PROTOCOLS
        assert is_loopback(url.hostname) is (row.kind in ON_THIS_MACHINE)
        assert url.scheme == ("http" if row.kind in ON_THIS_MACHINE else "https")
        assert not url.username
        assert not url.query
        assert not endpoint.base_url.endswith("/")
        assert not endpoint.base_url_env or row.kind == "local", (
            "a variable could send a key to another host"
        )


@pytest.mark.parametrize("provider_id", DOCUMENT.providers)
def test_base_url_is_filled_from_the_providers_variables(provider_id: str) -> None:
    row = DOCUMENT.providers[provider_id]
    parts = {name for e in row.endpoints.values() for name in re.findall(r"{(\w+)}", e.base_url)}
    for names in row.auth.any_of:
        secrets = [name for name in names if name not in parts]
        assert parts <= set(names), "a URL would be incomplete"
        assert len(secrets) == (0 if not names else 1), "a provider has one secret"


def test_cloud_base_url_depends_on_the_users_account() -> None:
    clouds = ("azure", "bedrock", "vertex", "cloudflare", "databricks", "snowflake")
    for provider_id in clouds:
        row = DOCUMENT.providers[provider_id]
        assert row.kind == "cloud"
        assert all("{" in endpoint.base_url for endpoint in row.endpoints.values())
        assert all(len(names) >= 2 for names in row.auth.any_of)


@pytest.mark.parametrize("provider_id", DOCUMENT.providers)
def test_auth_reads_keys_from_variables_made_for_them(provider_id: str) -> None:
    row = DOCUMENT.providers[provider_id]
    needs_key = row.kind not in ON_THIS_MACHINE
    assert all(row.auth.any_of) is needs_key
    urls = " ".join(endpoint.base_url for endpoint in row.endpoints.values())
    for names in row.auth.any_of:
        assert len(names) == len(set(names))
        for name in names:
            secret = f"{{{name}}}" not in urls
            assert not secret or SECRET.fullmatch(name), name
            opt_in = row.auth.opt_in or name in row.auth.opt_in_variables
            assert opt_in or not secret or not FOREIGN.search(name), name


def test_auth_variable_belongs_to_one_provider_and_its_variants() -> None:
    owners: dict[str, set[str]] = {}
    for provider_id, row in DOCUMENT.providers.items():
        for name in {name for names in row.auth.any_of for name in names}:
            owners.setdefault(name, set()).add(row.variant_of or provider_id)
    assert {name: ids for name, ids in owners.items() if len(ids) > 1} == {}


@pytest.mark.parametrize("provider_id", VARIANTS)
def test_variant_shares_the_key_but_not_the_url(provider_id: str) -> None:
    variant = DOCUMENT.providers[provider_id]
    original = DOCUMENT.providers[variant.variant_of]
    assert original.variant_of is None
    assert set(variant.auth.any_of) <= set(original.auth.any_of)
    assert variant.endpoints["default"] != original.endpoints["default"]


@pytest.mark.parametrize("provider_id", DOCUMENT.providers)
def test_models_are_canonical_unique_and_have_an_endpoint(provider_id: str) -> None:
    row = DOCUMENT.providers[provider_id]
    ids = []
    for model in row.models:
        assert model == canonical_name(model)
        entries = REGISTRY.entries(provider_id, model)
        assert entries
        for entry in entries:
            ids.append(entry.id)
            assert entry.id == entry.id.strip() != ""
            assert entry.endpoint in row.endpoints
            assert "text" in entry.input
            assert entry.dimensions is None
            assert entry.cost is None or min(entry.cost.input, entry.cost.output) >= 0
            assert entry.context is None or entry.context > 0
            assert entry.tier is None or entry.tier in OVERLAY.tiers
            assert not (entry.released and entry.shutdown) or entry.released < entry.shutdown
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize("provider_id", DOCUMENT.providers)
def test_cost_of_zero_requires_free_in_the_id(provider_id: str) -> None:
    for model in DOCUMENT.providers[provider_id].models:
        for entry in REGISTRY.entries(provider_id, model):
            free = entry.cost is not None and entry.cost.input == entry.cost.output == 0
            assert not free or "free" in entry.id, f"{entry.id}: a free trial is not a price"


@pytest.mark.parametrize("provider_id", DOCUMENT.providers)
def test_shutdown_is_after_the_date_of_the_registry(provider_id: str) -> None:
    for model in DOCUMENT.providers[provider_id].models:
        for entry in REGISTRY.entries(provider_id, model):
            assert entry.shutdown is None or entry.shutdown > OVERLAY.as_of, entry.id


@pytest.mark.parametrize("provider_id", DOCUMENT.providers)
def test_entries_begin_with_an_undated_entry_without_tier(provider_id: str) -> None:
    for model in DOCUMENT.providers[provider_id].models:
        first, *others = REGISTRY.entries(provider_id, model)
        assert first.tier is None or all(other.tier for other in others), model
        plain = [other for other in (first, *others) if other.tier is None]
        assert first.snapshot is None or all(other.snapshot for other in plain), model


@pytest.mark.parametrize("provider_id", DOCUMENT.providers)
def test_model_name_follows_from_rules_or_overlay(provider_id: str) -> None:
    table = OVERLAY.providers[provider_id]
    row = DOCUMENT.providers[provider_id]
    for section in (row.models, row.embeddings):
        for model, listed in section.items():
            for entry in listed if isinstance(listed, tuple) else (listed,):
                edited_names = {edit.name for edit in table.edits_of(entry.id)}
                name = canonical_name(entry.id, provider_id)
                assert model in {name, OVERLAY.aliases.get(name), *edited_names}, entry.id


@pytest.mark.parametrize("provider_id", EMBEDDERS)
def test_embeddings_are_separate_from_chat_models(provider_id: str) -> None:
    row = DOCUMENT.providers[provider_id]
    if row.kind != "embedded":  # its server also returns embeddings of its chat model
        assert not set(row.embeddings).intersection(REGISTRY.models)
    for model, listed in row.embeddings.items():
        assert model == canonical_name(model)
        for entry in listed if isinstance(listed, tuple) else (listed,):
            assert entry.endpoint in row.endpoints
            assert entry.tools is None
            if row.kind != "embedded":
                assert entry.dimensions == OVERLAY.dimensions.get(model)


def test_accepts_any_model_takes_a_deployment_name() -> None:
    assert DOCUMENT.providers["azure"].models == {}
    assert REGISTRY.target("azure/My-Own-Name") == Target("My-Own-Name", "azure")
    keys = Keys(environ={"AZURE_RESOURCE_NAME": "mine", "AZURE_OPENAI_API_KEY": "k"})
    context = PlanningContext(keys=keys, today=OVERLAY.as_of)
    [route] = plan(Selection(models=("azure/My-Own-Name",)), REGISTRY, context).routes
    assert (route.model_id, route.key_variable) == ("My-Own-Name", "AZURE_OPENAI_API_KEY")
    assert plan(Selection(models=("gpt-5.5",), only=("azure",)), REGISTRY, context).routes == ()


def test_bundled_registry_is_broad() -> None:
    alive = [p for p, row in DOCUMENT.providers.items() if row.variant_of is None]
    assert len(alive) >= 50
    assert {DOCUMENT.providers[p].kind for p in alive} >= {"direct", "gateway", "cloud", "local"}
    assert len(REGISTRY.models) >= 450
    served = {model: {p for p in by if p in alive} for model, by in REGISTRY.models.items()}
    assert sum(len(providers) >= 2 for providers in served.values()) >= 200


@pytest.mark.parametrize("provider_id", DOCUMENT.providers)
def test_target_of_a_pinned_model_id_is_its_model(provider_id: str) -> None:
    for model in DOCUMENT.providers[provider_id].models:
        for entry in REGISTRY.entries(provider_id, model):
            assert REGISTRY.target(f"{provider_id}/{entry.id}")[:2] == (model, provider_id)


def test_target_of_a_listed_model_is_the_model() -> None:
    assert [name for name in REGISTRY.models if REGISTRY.target(name) != Target(name)] == []


def test_aliases_lead_to_listed_or_retired_models() -> None:
    embeds = {name for row in DOCUMENT.providers.values() for name in row.embeddings}
    targets = {*REGISTRY.models, *embeds, *DOCUMENT.retired_models}
    for alias, target in DOCUMENT.aliases.items():
        assert target in targets, alias
        assert alias not in REGISTRY.models, "an alias hides a model"
        assert target not in DOCUMENT.aliases, "an alias of an alias"


def test_retired_models_have_served_replacements() -> None:
    assert DOCUMENT.retired_models
    for name, retired in DOCUMENT.retired_models.items():
        assert name not in REGISTRY.models
        assert retired.source, name
        assert retired.replaced_by, name
        assert [new for new in retired.replaced_by if not is_model(new)] == [], name


def test_retired_providers_name_a_listed_replacement() -> None:
    assert {"anyscale", "lepton", "octoai"} <= set(DOCUMENT.retired_providers)
    for provider_id, retired in DOCUMENT.retired_providers.items():
        assert provider_id not in DOCUMENT.providers
        assert retired.source
        hints = [p for p in DOCUMENT.providers if re.search(rf"\b{p}\b", retired.note)]
        assert hints, f"{provider_id} names no replacement"


def test_auto_model_priority_is_served_beyond_this_machine() -> None:
    priority = DOCUMENT.auto_model_priority
    assert len(priority) == len(set(priority))
    assert len(priority) > 10
    for name in priority:
        kinds = {DOCUMENT.providers[p].kind for p in REGISTRY.models[name]}
        assert kinds - ON_THIS_MACHINE, name


@pytest.mark.parametrize("provider_id", [*ORIGINAL["providers"], "replicate"])
def test_original_provider_is_listed_or_retired(provider_id: str) -> None:
    if provider_id == "localhost":
        assert any(row.kind == "local" for row in DOCUMENT.providers.values())
    else:
        assert (provider_id in DOCUMENT.providers) != (provider_id in DOCUMENT.retired_providers)


@pytest.mark.parametrize("name", ORIGINAL_NAMES)
def test_original_name_resolves_or_names_a_replacement(name: str) -> None:
    if is_model(name):
        assert any(DOCUMENT.providers[p].kind != "local" for p in REGISTRY.models[name])
        return
    with pytest.raises(
        UnknownModelError, match=rf"^Model '{re.escape(name)}' is retired"
    ) as caught:
        REGISTRY.target(name)
    hints = re.findall(r"'([^']+)'", str(caught.value).partition("; use ")[2].partition(" (")[0])
    assert hints
    assert [hint for hint in hints if not is_model(hint)] == []


def test_document_has_the_current_schema_and_its_sources() -> None:
    assert DOCUMENT.schema_version == 1
    assert DOCUMENT.sources
    for source in DOCUMENT.sources:
        assert source.name
        assert source.url
        assert source.version
        assert source.license == "MIT"
        assert re.fullmatch("[0-9a-f]{64}", source.sha256)


def test_readme_states_the_right_counts() -> None:
    readme = (Path(__file__).parents[3] / "README.md").read_text()
    match = re.search(r"lists (\d+) providers and (\d+) chat models; (\d+) of them have", readme)
    several = [model for model, listing in REGISTRY.models.items() if len(listing) > 1]
    counts = (len(DOCUMENT.providers), len(REGISTRY.models), len(several))
    assert match
    assert tuple(map(int, match.groups())) == counts
