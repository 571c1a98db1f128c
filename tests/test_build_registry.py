"""The registry is made from its inputs, the same bytes each time, and a wrong one is refused."""

from __future__ import annotations

import gzip
import json
import shutil
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from registry_builder import changes, overlay, registry, sources

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "registry"
TEXT = (FOLDER / "overlay.toml").read_text(encoding="utf-8")
SAID = overlay.read(TEXT.encode())
INPUTS = sources.gathered(FOLDER, {}, overlay.used(SAID))
BUILT = registry.build(SAID, INPUTS)


def refusal(text: str) -> str:
    """Return what is said of a doctored overlay."""
    said = overlay.read(text.encode())
    built = registry.build(said, INPUTS)
    with pytest.raises(registry.RegistryFault) as caught:
        registry.checked(built, said)
    return str(caught.value)


def doctored(before: str, after: str) -> str:
    """Return the overlay with one passage changed."""
    assert TEXT.count(before) >= 1, before
    return TEXT.replace(before, after, 1)


def in_row(provider_id: str, more: str) -> str:
    """Return the overlay with a line more at the start of a provider's table."""
    head = f"[providers.{provider_id}]\n"
    return doctored(head, head + more + "\n")


# The same inputs, the same bytes


def test_what_is_committed_makes_the_file_byte_for_byte() -> None:
    made = registry.checked(BUILT, SAID)
    assert made == (ROOT / "providers.json").read_text(encoding="utf-8")


def test_a_second_build_gives_the_same_bytes() -> None:
    again = registry.build(overlay.read(TEXT.encode()), INPUTS)
    assert registry.checked(again, SAID) == registry.checked(BUILT, SAID)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Return a place with the script, its inputs and the file it makes."""
    for name in ("scripts", "registry"):
        shutil.copytree(ROOT / name, tmp_path / name)
    shutil.copy(ROOT / "providers.json", tmp_path)
    return tmp_path


def run(checkout: Path, *options: str) -> subprocess.CompletedProcess[str]:
    script = checkout / "scripts" / "build_registry.py"
    environ = {"PYTHONPATH": str(ROOT / "shared"), "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(
        [sys.executable, script, *options], capture_output=True, text=True, env=environ, check=False
    )


def test_check_agrees_with_the_file(checkout: Path) -> None:
    done = run(checkout, "--check")
    assert done.returncode == 0, done.stderr
    assert "0 changes of models" in done.stdout


def test_check_refuses_another_file_and_leaves_it(checkout: Path) -> None:
    path = checkout / "providers.json"
    right = path.read_text(encoding="utf-8")
    other = right.replace(
        '"gpt-oss-20b": {"id": "openai/gpt-oss-20b"', '"x-1": {"id": "own/x-1"', 1
    )
    path.write_text(other, encoding="utf-8")
    done = run(checkout, "--check")
    assert done.returncode == 1
    assert "providers.json is not what registry/ makes" in done.stderr
    assert "2 changes of models" in done.stdout
    assert path.read_text(encoding="utf-8") == other
    assert run(checkout).returncode == 0
    assert path.read_text(encoding="utf-8") == right


def test_a_wrong_overlay_is_told_and_nothing_is_written(checkout: Path) -> None:
    before = (checkout / "providers.json").read_bytes()
    text = in_row("groq", 'endpoints.other = { protocol = "smoke", base_url = "https://x.y" }')
    (checkout / "registry" / "overlay.toml").write_text(text, encoding="utf-8")
    done = run(checkout)
    assert done.returncode == 2
    assert done.stderr.startswith("groq: endpoint 'other': protocol 'smoke' is unknown")
    assert (checkout / "providers.json").read_bytes() == before


def test_refresh_takes_a_full_catalogue_and_keeps_what_is_used_of_it(checkout: Path) -> None:
    full = msgspec.to_builtins(INPUTS.models_dev.data)
    full["unused"] = {"id": "unused", "models": {}}
    del full["groq"]["models"]["openai/gpt-oss-20b"]
    place = checkout / "api.json"
    place.write_text(json.dumps(full), encoding="utf-8")
    done = run(checkout, "--refresh", "--models-dev", str(place), "--models-dev-version", "later")
    assert done.returncode == 0, done.stderr
    written = sources.gathered(checkout / "registry", {}, overlay.used(SAID))
    assert written.models_dev.about.version == "later"
    assert "unused" not in written.models_dev.data
    assert "openai/gpt-oss-20b" not in written.models_dev.data["groq"].models
    assert run(checkout, "--check").returncode == 0


def test_the_file_records_its_inputs_with_version_licence_and_hash() -> None:
    recorded = BUILT.document["sources"]
    assert [one["name"] for one in recorded] == [
        "models.dev",
        "@earendil-works/pi-ai",
        "litellm (shutdown dates)",
    ]
    assert all(one["version"] for one in recorded)
    assert {one["license"] for one in recorded} == {"MIT"}
    assert [one["sha256"] for one in recorded] == [
        source.sha256 for source in (INPUTS.models_dev, INPUTS.pi_ai, INPUTS.shutdowns)
    ]


def test_compact_copies_are_written_with_the_same_bytes(tmp_path: Path) -> None:
    sources.write(tmp_path, INPUTS)
    for name, *_ in sources.FILES.values():
        assert gzip.decompress((tmp_path / name).read_bytes()) == gzip.decompress(
            (FOLDER / name).read_bytes()
        )
        assert (tmp_path / name).read_bytes()[4:8] == bytes(4), "a time of day is in the file"
    assert sources.gathered(tmp_path, {}, overlay.used(SAID)) == INPUTS


def test_a_full_catalogue_and_its_compact_copy_have_the_same_hash(tmp_path: Path) -> None:
    full = msgspec.to_builtins(INPUTS.models_dev.data)
    full["unused"] = {"id": "unused", "models": {}}
    full["groq"] |= {"npm": "@ai-sdk/groq", "env": ["GROQ_API_KEY"]}
    path = tmp_path / "api.json"
    path.write_text(json.dumps(full), encoding="utf-8")
    given = {"models_dev": (str(path), "2026-09-28")}
    assert sources.gathered(FOLDER, given, overlay.used(SAID)) == INPUTS


def test_changes_name_what_was_added_what_is_gone_and_what_moved() -> None:
    def document(**models: str) -> dict[str, object]:
        listed = {name: {"id": model_id} for name, model_id in models.items()}
        return {"providers": {"p": {"models": listed}}}

    table = changes.changes(document(a="1", b="2", c="3"), document(a="1", d="3", e="4"))
    assert list(table.rows) == [
        ("p", "2", "gone", "b"),
        ("p", "3", "moved", "c → d"),
        ("p", "4", "added", "e"),
    ]


# What is left out


def why_not(provider_id: str, model_id: str) -> str:
    [why] = [one.why for one in BUILT.dropped if one[:2] == (provider_id, model_id)]
    return why


@pytest.mark.parametrize(
    ("provider_id", "model_id", "why"),
    [
        ("openai", "gpt-image-2", "no chat model"),
        ("openai", "gpt-4", "models.dev counts it as deprecated"),
        ("groq", "llama-3.3-70b-versatile", "Groq ended it on 2026-08-16"),
        ("together", "MiniMaxAI/MiniMax-M3", "shut down on 2026-11-06"),
        ("poe", "openai/gpt-4o-aug", "nobody else serves it"),
        ("mistral", "labs-leanstral-1-5-1", "theorem prover"),
    ],
)
def test_a_model_is_left_out_with_its_reason(provider_id: str, model_id: str, why: str) -> None:
    assert why_not(provider_id, model_id) == why


def test_a_model_is_retired_for_good_only_with_a_day() -> None:
    final = TEXT + '\n[retired_models."glm-5.2"]\nsince = 2026-11-01\nreplaced_by = ["glm-5.3"]\n'
    said = overlay.read(final.encode())
    built = registry.build(said, INPUTS)
    assert "glm-5.2" in built.document["retired_models"]
    assert not any(offer.name == "glm-5.2" for offer in built.offers)
    said = overlay.read(final.replace("since = 2026-11-01\n", "").encode())
    built = registry.build(said, INPUTS)
    assert "glm-5.2" not in built.document["retired_models"]
    assert any(offer.name == "glm-5.2" for offer in built.offers)


# What is refused


def test_an_unknown_protocol_is_refused() -> None:
    said = refusal(
        in_row("groq", 'endpoints.other = { protocol = "smoke", base_url = "https://x.y" }')
    )
    assert said.startswith(
        "groq: endpoint 'other': protocol 'smoke' is unknown; known are anthropic"
    )


@pytest.mark.parametrize("url", ["http://api.groq.com/v1", "ftp://x.y", "http://127.0.0.1/v1"])
def test_an_address_that_is_not_https_is_refused(url: str) -> None:
    endpoint = f'endpoints.other = {{ protocol = "openai-chat", base_url = "{url}" }}'
    assert f"groq: endpoint 'other': {url!r} is not https" in refusal(in_row("groq", endpoint))


def test_a_local_provider_may_not_leave_this_machine_unencrypted() -> None:
    endpoint = 'endpoints.other = { protocol = "openai-chat", base_url = "http://10.0.0.1/v1" }'
    assert "ollama: endpoint 'other': 'http://10.0.0.1/v1' is not https" in refusal(
        in_row("ollama", endpoint)
    )


def test_an_alias_without_target_is_refused() -> None:
    said = refusal(doctored("[aliases]\n", '[aliases]\n"old-one" = "nobody-serves-this"\n'))
    assert said == (
        "alias 'old-one' has no target: nobody serves 'nobody-serves-this', nor is it retired"
    )


def test_an_alias_that_hides_a_model_is_refused() -> None:
    said = refusal(doctored("[aliases]\n", '[aliases]\n"gpt-4" = "gpt-5.5"\n'))
    assert said == "alias 'gpt-4' hides a model of that name"


def named(name: str) -> str:
    """Return the overlay with Groq's gpt-oss-20b under another name."""
    return in_row("groq", f'rules = [{{ match = "gpt-oss-20b", name = "{name}" }}]')


def test_a_name_that_mixes_families_is_refused() -> None:
    said = refusal(named("glm-5.2"))
    assert "'glm-5.2' mixes model families: glm: " in said
    assert "; gpt: groq/openai/gpt-oss-20b." in said


def test_a_name_that_mixes_sizes_is_refused() -> None:
    said = refusal(named("gpt-oss-120b"))
    assert said.startswith("'gpt-oss-120b' mixes model sizes: 120b: ")
    assert "; 20b: groq/openai/gpt-oss-20b." in said


def test_a_name_that_the_rules_would_change_is_refused() -> None:
    said = refusal(named("GPT-oss-20b"))
    assert "'GPT-oss-20b' is no canonical name; the rules make 'gpt-oss-20b' of it" in said


def test_an_unknown_tier_is_refused() -> None:
    rule = 'rules = [{ match = "gpt-oss-20b", facts = { tier = "warp" } }]'
    assert refusal(in_row("groq", rule)) == (
        "groq/openai/gpt-oss-20b: tier 'warp' is unknown; add it to `tiers`"
    )


def test_a_priority_that_nobody_serves_is_refused() -> None:
    said = refusal(doctored("auto_model_priority = [\n", 'auto_model_priority = [\n  "gone-1",\n'))
    assert said == "auto_model_priority: nobody serves 'gone-1'"


def test_a_replacement_that_nobody_serves_is_refused() -> None:
    said = refusal(TEXT + '\n[retired_models."x-1"]\nreplaced_by = ["gone-1"]\n')
    assert said == "retired model 'x-1': nobody serves its replacement 'gone-1'"


def test_a_twin_of_nobody_is_refused() -> None:
    assert "groq: variant_of names 'nobody', which is no provider" in refusal(
        in_row("groq", 'variant_of = "nobody"')
    )


def test_a_field_the_registry_does_not_know_is_refused_with_its_place() -> None:
    said = refusal(in_row("groq", "quirks.smoke = true"))
    assert "at $.providers.groq.quirks: got an unknown field 'smoke'" in said


def test_a_word_on_an_id_that_no_catalogue_lists_is_refused_unless_it_says_who_does() -> None:
    line = 'models."own/x-1" = { %s }'
    assert refusal(in_row("cerebras", line % 'name = "x-1"')) == (
        "cerebras/own/x-1: no catalogue lists it; say who does with `add`, or take it out"
    )
    said = overlay.read(in_row("cerebras", line % 'add = "a page of theirs"').encode())
    built = registry.build(said, INPUTS)
    assert built.document["providers"]["cerebras"]["models"]["x-1"] == [{"id": "own/x-1"}]


def test_a_word_of_the_overlay_that_nobody_reads_is_an_error() -> None:
    with pytest.raises(overlay.OverlayError, match=r"unknown field `colour` - at `\$.providers"):
        overlay.read(in_row("groq", 'colour = "red"').encode())


def test_an_overlay_that_is_no_toml_is_an_error() -> None:
    with pytest.raises(overlay.OverlayError, match=r"^the overlay: "):
        overlay.read(b"[providers")


def test_a_provider_the_catalogue_lacks_is_an_error() -> None:
    said = overlay.read(doctored('catalogue = "groq"', 'catalogue = "grok"').encode())
    with pytest.raises(sources.SourceError, match=r"^models.dev has no 'grok'; mend the overlay"):
        sources.gathered(FOLDER, {}, overlay.used(said))


@pytest.mark.parametrize(
    ("place", "version", "said"),
    [
        ("no/such/file.json", "1", r"^no/such/file.json: cannot be read: No such file"),
        ("http://models.dev/api.json", "1", "is fetched over https only"),
        (str(FOLDER / "overlay.toml"), "1", "is not the catalogue of models.dev"),
        (str(FOLDER / "overlay.toml"), None, "say which version of models.dev it is"),
    ],
)
def test_a_catalogue_that_cannot_be_read_is_an_error(
    place: str, version: str | None, said: str
) -> None:
    with pytest.raises(sources.SourceError, match=said):
        sources.gathered(FOLDER, {"models_dev": (place, version)}, overlay.used(SAID))
