"""The registry is built from its inputs, byte for byte, and a faulty one is refused."""

from __future__ import annotations

import gzip
import json
import re
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
OVERLAY = overlay.read(TEXT.encode())
INPUTS = sources.gather(FOLDER, {}, overlay.used_ids(OVERLAY))
BUILT = registry.build(OVERLAY, INPUTS)


def refusal(text: str) -> str:
    """Return why the registry of a changed overlay is refused."""
    edited = overlay.read(text.encode())
    built = registry.build(edited, INPUTS)
    with pytest.raises(registry.FaultyRegistryError) as caught:
        registry.checked_text(built, edited)
    return str(caught.value)


def with_change(before: str, after: str) -> str:
    """Return the overlay with one passage changed."""
    assert TEXT.count(before) >= 1, before
    return TEXT.replace(before, after, 1)


def with_line(provider_id: str, line: str) -> str:
    """Return the overlay with one more line at the start of a provider's table."""
    head = f"[providers.{provider_id}]\n"
    return with_change(head, head + line + "\n")


# The same inputs, the same bytes


def test_build_from_committed_inputs_gives_the_committed_file() -> None:
    text = registry.checked_text(BUILT, OVERLAY)
    assert text == (ROOT / "providers.json").read_text(encoding="utf-8")


def test_build_gives_the_same_bytes_every_time() -> None:
    again = registry.build(overlay.read(TEXT.encode()), INPUTS)
    assert registry.checked_text(again, OVERLAY) == registry.checked_text(BUILT, OVERLAY)


def test_build_accepts_the_provider_example_of_contributing() -> None:
    page = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"^```toml\n(.*?)^```", page, re.DOTALL | re.MULTILINE)
    edited = overlay.read(f"{TEXT}\n{example}".encode())
    built = registry.build(edited, sources.gather(FOLDER, {}, overlay.used_ids(edited)))
    document = json.loads(registry.checked_text(built, edited))
    row = document["providers"]["example"]
    assert row["models"].keys() == {"ex-1", "ex-2"}
    assert row["models"]["ex-1"]["snapshot"] == "2026"
    assert row["quirks"] == {"drop_params": ["logit_bias"]}


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Return a directory with the script, its inputs and the file it builds."""
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


def test_check_option_accepts_the_committed_file(checkout: Path) -> None:
    done = run(checkout, "--check")
    assert done.returncode == 0, done.stderr
    assert "0 changes of models" in done.stdout


def test_check_option_refuses_another_file_and_keeps_it(checkout: Path) -> None:
    path = checkout / "providers.json"
    right = path.read_text(encoding="utf-8")
    other = right.replace(
        '"gpt-oss-20b": {"id": "openai/gpt-oss-20b"', '"x-1": {"id": "own/x-1"', 1
    )
    path.write_text(other, encoding="utf-8")
    done = run(checkout, "--check")
    assert done.returncode == 1
    assert "providers.json is out of date" in done.stderr
    assert "2 changes of models" in done.stdout
    assert path.read_text(encoding="utf-8") == other
    assert run(checkout).returncode == 0
    assert path.read_text(encoding="utf-8") == right


def test_script_writes_nothing_for_a_faulty_overlay(checkout: Path) -> None:
    before = (checkout / "providers.json").read_bytes()
    text = with_line("groq", 'endpoints.other = { protocol = "smoke", base_url = "https://x.y" }')
    (checkout / "registry" / "overlay.toml").write_text(text, encoding="utf-8")
    done = run(checkout)
    assert done.returncode == 2
    assert done.stderr.startswith("groq: endpoint 'other': protocol 'smoke' is unknown")
    assert (checkout / "providers.json").read_bytes() == before


def test_refresh_compacts_a_full_catalogue(checkout: Path) -> None:
    full = msgspec.to_builtins(INPUTS.models_dev.data)
    full["unused"] = {"id": "unused", "models": {}}
    del full["groq"]["models"]["openai/gpt-oss-20b"]
    path = checkout / "api.json"
    path.write_text(json.dumps(full), encoding="utf-8")
    done = run(checkout, "--refresh", "--models-dev", str(path), "--models-dev-version", "later")
    assert done.returncode == 0, done.stderr
    written = sources.gather(checkout / "registry", {}, overlay.used_ids(OVERLAY))
    assert written.models_dev.about.version == "later"
    assert "unused" not in written.models_dev.data
    assert "openai/gpt-oss-20b" not in written.models_dev.data["groq"].models
    assert run(checkout, "--check").returncode == 0


def test_build_records_version_licence_and_hash_of_sources() -> None:
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


def test_write_copies_gives_the_same_bytes(tmp_path: Path) -> None:
    sources.write_copies(tmp_path, INPUTS)
    for file in sources.FILES.values():
        raw = (tmp_path / file.name).read_bytes()
        assert gzip.decompress(raw) == gzip.decompress((FOLDER / file.name).read_bytes())
        assert raw[4:8] == bytes(4), "the file contains a time of day"
    assert sources.gather(tmp_path, {}, overlay.used_ids(OVERLAY)) == INPUTS


def test_gather_gives_a_catalogue_and_its_copy_the_same_hash(tmp_path: Path) -> None:
    full = msgspec.to_builtins(INPUTS.models_dev.data)
    full["unused"] = {"id": "unused", "models": {}}
    full["groq"] |= {"npm": "@ai-sdk/groq", "env": ["GROQ_API_KEY"]}
    path = tmp_path / "api.json"
    path.write_text(json.dumps(full), encoding="utf-8")
    given = {"models_dev": (str(path), "2026-09-28")}
    assert sources.gather(FOLDER, given, overlay.used_ids(OVERLAY)) == INPUTS


def test_changes_names_added_gone_and_moved_models() -> None:
    def document(**models: str) -> dict[str, object]:
        rows = {name: {"id": model_id} for name, model_id in models.items()}
        return {"providers": {"p": {"models": rows}}}

    table = changes.changes(document(a="1", b="2", c="3"), document(a="1", d="3", e="4"))
    assert list(table.rows) == [
        ("p", "2", "gone", "b"),
        ("p", "3", "moved", "c → d"),
        ("p", "4", "added", "e"),
    ]


# What is left out


def reason_left_out(provider_id: str, model_id: str) -> str:
    [reason] = [one.reason for one in BUILT.left_out if one[:2] == (provider_id, model_id)]
    return reason


@pytest.mark.parametrize(
    ("provider_id", "model_id", "reason"),
    [
        ("openai", "gpt-image-2", "not a chat model"),
        ("openai", "gpt-4", "deprecated in models.dev"),
        ("groq", "llama-3.3-70b-versatile", "Groq ended it on 2026-08-16"),
        ("together", "MiniMaxAI/MiniMax-M3", "shut down on 2026-11-06"),
        ("poe", "openai/gpt-4o-aug", "no other provider serves it"),
        ("mistral", "labs-leanstral-1-5-1", "theorem prover"),
    ],
)
def test_build_leaves_a_model_out_with_a_reason(
    provider_id: str, model_id: str, reason: str
) -> None:
    assert reason_left_out(provider_id, model_id) == reason


def test_build_retires_a_listed_model_only_with_a_date() -> None:
    final = TEXT + '\n[retired_models."glm-5.2"]\nsince = 2026-11-01\nreplaced_by = ["glm-5.3"]\n'
    built = registry.build(overlay.read(final.encode()), INPUTS)
    assert "glm-5.2" in built.document["retired_models"]
    assert not any(offer.name == "glm-5.2" for offer in built.offers)
    undated = final.replace("since = 2026-11-01\n", "")
    built = registry.build(overlay.read(undated.encode()), INPUTS)
    assert "glm-5.2" not in built.document["retired_models"]
    assert any(offer.name == "glm-5.2" for offer in built.offers)


# What is refused


def test_checks_refuse_an_unknown_protocol() -> None:
    message = refusal(
        with_line("groq", 'endpoints.other = { protocol = "smoke", base_url = "https://x.y" }')
    )
    assert message.startswith(
        "groq: endpoint 'other': protocol 'smoke' is unknown; choose anthropic"
    )


@pytest.mark.parametrize("url", ["http://api.groq.com/v1", "ftp://x.y", "http://127.0.0.1/v1"])
def test_checks_refuse_an_unencrypted_url(url: str) -> None:
    endpoint = f'endpoints.other = {{ protocol = "openai-chat", base_url = "{url}" }}'
    assert f"groq: endpoint 'other': {url!r} is not https" in refusal(with_line("groq", endpoint))


def test_checks_refuse_plain_http_beyond_this_machine() -> None:
    endpoint = 'endpoints.other = { protocol = "openai-chat", base_url = "http://10.0.0.1/v1" }'
    assert "ollama: endpoint 'other': 'http://10.0.0.1/v1' is not https" in refusal(
        with_line("ollama", endpoint)
    )


def test_checks_refuse_an_alias_without_target() -> None:
    message = refusal(with_change("[aliases]\n", '[aliases]\n"old-one" = "nobody-serves-this"\n'))
    assert message == (
        "alias 'old-one': 'nobody-serves-this' is neither served by a provider nor retired"
    )


def test_checks_refuse_an_alias_that_hides_a_model() -> None:
    message = refusal(with_change("[aliases]\n", '[aliases]\n"gpt-4" = "gpt-5.5"\n'))
    assert message == "alias 'gpt-4' hides a model of that name"


def with_groq_name(name: str) -> str:
    """Return the overlay with Groq's gpt-oss-20b under another name."""
    return with_line("groq", f'rules = [{{ match = "gpt-oss-20b", name = "{name}" }}]')


def test_checks_refuse_a_name_that_mixes_families() -> None:
    message = refusal(with_groq_name("glm-5.2"))
    assert "'glm-5.2' mixes model families: glm: " in message
    assert "; gpt: groq/openai/gpt-oss-20b." in message


def test_checks_refuse_a_name_that_mixes_sizes() -> None:
    message = refusal(with_groq_name("gpt-oss-120b"))
    assert message.startswith("'gpt-oss-120b' mixes model sizes: 120b: ")
    assert "; 20b: groq/openai/gpt-oss-20b." in message


def test_checks_refuse_a_name_that_is_not_canonical() -> None:
    message = refusal(with_groq_name("GPT-oss-20b"))
    assert "'GPT-oss-20b' is not canonical; the rules turn it into 'gpt-oss-20b'" in message


def test_checks_refuse_an_unknown_tier() -> None:
    rule = 'rules = [{ match = "gpt-oss-20b", overrides = { tier = "warp" } }]'
    assert refusal(with_line("groq", rule)) == (
        "groq/openai/gpt-oss-20b: tier 'warp' is unknown; add it to `tiers`"
    )


def test_checks_refuse_a_priority_that_nobody_serves() -> None:
    head = "auto_model_priority = [\n"
    message = refusal(with_change(head, f'{head}  "gone-1",\n'))
    assert message == "auto_model_priority: no provider serves 'gone-1'"


def test_checks_refuse_a_replacement_that_nobody_serves() -> None:
    message = refusal(TEXT + '\n[retired_models."x-1"]\nreplaced_by = ["gone-1"]\n')
    assert message == "retired model 'x-1': no provider serves its replacement 'gone-1'"


def test_checks_refuse_a_variant_of_an_unknown_provider() -> None:
    assert "groq: variant_of names 'nobody', which is not a provider" in refusal(
        with_line("groq", 'variant_of = "nobody"')
    )


def test_checks_refuse_a_field_that_the_schema_lacks() -> None:
    message = refusal(with_line("groq", "quirks.smoke = true"))
    assert "at $.providers.groq.quirks: got an unknown field 'smoke'" in message


def test_checks_require_listed_by_for_an_unlisted_id() -> None:
    line = 'models."own/x-1" = { %s }'
    assert refusal(with_line("cerebras", line % 'name = "x-1"')) == (
        "cerebras/own/x-1: no catalogue lists it; say who lists it with `listed_by`, or remove it"
    )
    listed = with_line("cerebras", line % 'listed_by = "their model page"')
    built = registry.build(overlay.read(listed.encode()), INPUTS)
    assert built.document["providers"]["cerebras"]["models"]["x-1"] == [{"id": "own/x-1"}]


def test_read_overlay_refuses_an_unknown_key() -> None:
    with pytest.raises(overlay.OverlayError, match=r"unknown field `colour` - at `\$.providers"):
        overlay.read(with_line("groq", 'colour = "red"').encode())


def test_read_overlay_refuses_text_that_is_not_toml() -> None:
    with pytest.raises(overlay.OverlayError, match=r"^the overlay: "):
        overlay.read(b"[providers")


def test_gather_refuses_a_provider_the_catalogue_lacks() -> None:
    edited = overlay.read(with_change('models_dev = "groq"', 'models_dev = "grok"').encode())
    with pytest.raises(sources.SourceError, match=r"^models.dev has no 'grok'; correct the"):
        sources.gather(FOLDER, {}, overlay.used_ids(edited))


@pytest.mark.parametrize(
    ("location", "version", "message"),
    [
        ("no/such/file.json", "1", r"^no/such/file.json: cannot be read: No such file"),
        ("http://models.dev/api.json", "1", "is fetched over https only"),
        (str(FOLDER / "overlay.toml"), "1", "not the catalogue of models.dev"),
        (str(FOLDER / "overlay.toml"), None, "the version of models.dev is missing"),
    ],
)
def test_gather_says_why_a_catalogue_cannot_be_read(
    location: str, version: str | None, message: str
) -> None:
    full = {"models_dev": (location, version)}
    with pytest.raises(sources.SourceError, match=message):
        sources.gather(FOLDER, full, overlay.used_ids(OVERLAY))
