"""Every row of the bundled registry is whole, and leads somewhere."""

from __future__ import annotations

import json
import re
from datetime import date
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from inference_providers.errors import UnknownModelError
from inference_providers.keys import is_loopback
from inference_providers.names import canonical_name
from inference_providers.plan import ON_THIS_MACHINE
from inference_providers.registry import Registry

REGISTRY = Registry.load()
DOCUMENT = REGISTRY.document
ORIGINAL = json.loads(
    (Path(__file__).parents[1] / "data" / "original-inference-providers.json").read_text()
)
ORIGINAL_NAMES = sorted(
    {"gemini-nano", *ORIGINAL["auto_model_priority"]}.union(
        *(row["model_names"] for kind in ("providers", "broken") for row in ORIGINAL[kind].values())
    )
)
"""What the original's README and its file name, beside what it says not to work."""

FOREIGN = re.compile("AWS|GITHUB|GH_|SSH|DATABASE|SECRET|PASSWORD|AZURE|GOOGLE_APPLICATION")
"""Variables that people set for other services; a row that reads one must be `ambient`."""


def is_model(name: str) -> bool:
    try:
        return REGISTRY.target(name).model in REGISTRY.models
    except UnknownModelError:
        return False


@pytest.mark.parametrize("provider_id", DOCUMENT.providers)
def test_a_row_says_where_it_is_from_and_when_it_was_checked(provider_id: str) -> None:
    row = DOCUMENT.providers[provider_id]
    assert row.name
    assert row.source
    assert row.checked is not None
    assert date(2026, 1, 1) <= row.checked <= DOCUMENT.generated_at.date()
    assert row.docs is None or row.docs.startswith("https://")


@pytest.mark.parametrize("provider_id", DOCUMENT.providers)
def test_an_endpoint_is_encrypted_unless_it_is_on_this_machine(provider_id: str) -> None:
    row = DOCUMENT.providers[provider_id]
    assert "default" in row.endpoints
    for endpoint in row.endpoints.values():
        url = urlsplit(endpoint.base_url)
        assert is_loopback(url.hostname) is (row.kind in ON_THIS_MACHINE)
        assert url.scheme == ("http" if row.kind in ON_THIS_MACHINE else "https")
        assert not url.username
        assert not url.query
        assert not endpoint.base_url.endswith("/")
        assert not endpoint.base_url_env or row.kind == "local", "an env may move a keyed host"


@pytest.mark.parametrize("provider_id", DOCUMENT.providers)
def test_keys_are_read_from_variables_made_for_them(provider_id: str) -> None:
    row = DOCUMENT.providers[provider_id]
    needs_key = row.kind not in ON_THIS_MACHINE
    assert all(row.auth.any_of) is needs_key
    names = [name for names in row.auth.any_of for name in names]
    assert len(names) == len(set(names))
    for name in names:
        assert re.fullmatch(r"[A-Z][A-Z0-9_]*_(API_KEY|API_TOKEN|TOKEN)", name)
        assert row.auth.ambient or not FOREIGN.search(name)


def test_no_variable_opens_two_providers() -> None:
    owners: dict[str, set[str]] = {}
    for provider_id, row in DOCUMENT.providers.items():
        for names in row.auth.any_of:
            for name in names:
                owners.setdefault(name, set()).add(provider_id)
    assert {name: ids for name, ids in owners.items() if len(ids) > 1} == {}
    assert len(owners) >= len(DOCUMENT.providers) - 2


@pytest.mark.parametrize("provider_id", DOCUMENT.providers)
def test_the_models_of_a_row_are_canonical_unique_and_have_an_endpoint(provider_id: str) -> None:
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
            assert entry.cost is None or min(entry.cost.input, entry.cost.output) >= 0
            assert entry.context is None or entry.context > 0
            assert not (entry.released and entry.shutdown) or entry.released < entry.shutdown
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize("provider_id", DOCUMENT.providers)
def test_a_providers_own_id_leads_back_to_its_model(provider_id: str) -> None:
    for model in DOCUMENT.providers[provider_id].models:
        for entry in REGISTRY.entries(provider_id, model):
            assert REGISTRY.target(f"{provider_id}/{entry.id}") == (model, provider_id)


def test_every_listed_model_resolves_to_itself() -> None:
    assert [name for name in REGISTRY.models if REGISTRY.target(name) != (name, None)] == []
    assert len(REGISTRY.models) > 100


def test_an_alias_leads_to_a_model_or_to_a_retired_one() -> None:
    for alias, meant in DOCUMENT.aliases.items():
        assert meant in REGISTRY.models or meant in DOCUMENT.retired_models, alias
        assert alias not in REGISTRY.models, "an alias hides a model"
        assert meant not in DOCUMENT.aliases, "an alias of an alias"


def test_a_retired_model_is_replaced_by_one_that_is_served() -> None:
    assert DOCUMENT.retired_models
    for name, retired in DOCUMENT.retired_models.items():
        assert name not in REGISTRY.models
        assert retired.source, name
        assert retired.replaced_by, name
        assert [new for new in retired.replaced_by if not is_model(new)] == [], name


def test_a_retired_provider_has_a_hint_and_is_not_listed() -> None:
    assert {"anyscale", "lepton", "octoai"} <= set(DOCUMENT.retired_providers)
    for provider_id, retired in DOCUMENT.retired_providers.items():
        assert provider_id not in DOCUMENT.providers
        assert retired.source
        hints = [p for p in DOCUMENT.providers if re.search(rf"\b{p}\b", retired.note)]
        assert hints, f"{provider_id} names nobody to go to"


def test_the_priority_list_names_models_that_somebody_else_serves() -> None:
    priority = DOCUMENT.auto_model_priority
    assert len(priority) == len(set(priority))
    assert len(priority) > 10
    for name in priority:
        kinds = {DOCUMENT.providers[p].kind for p in REGISTRY.models[name]}
        assert kinds - ON_THIS_MACHINE, name


@pytest.mark.parametrize("provider_id", [*ORIGINAL["providers"], "replicate"])
def test_a_provider_of_the_original_has_its_row_or_its_obituary(provider_id: str) -> None:
    if provider_id == "localhost":
        assert any(row.kind == "local" for row in DOCUMENT.providers.values())
    else:
        assert (provider_id in DOCUMENT.providers) != (provider_id in DOCUMENT.retired_providers)


@pytest.mark.parametrize("name", ORIGINAL_NAMES)
def test_a_name_of_the_original_resolves_or_says_what_replaces_it(name: str) -> None:
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


def test_the_file_is_written_in_todays_schema_and_counts_its_sources() -> None:
    assert DOCUMENT.schema_version == 1
    assert DOCUMENT.sources
    assert all(source.name and source.url for source in DOCUMENT.sources)
