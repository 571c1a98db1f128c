"""Every example and every block of the README runs."""

from __future__ import annotations

import doctest
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from inference_providers import ProviderList
from inference_providers.updates import effective_registry, merge_policy, updater

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
REGISTRY_PAGE = (ROOT / "docs" / "registry.md").read_text()


def blocks(language: str, text: str = README) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("example", sorted((ROOT / "examples").glob("*.py")), ids=lambda p: p.name)
def test_the_example_runs(example: Path) -> None:
    # LlamaIndex's agents look at every attribute of theirs, deprecated ones too.
    warnings = ["-W", "error", "-W", "ignore::DeprecationWarning:inspect"]
    done = subprocess.run(
        [sys.executable, *warnings, str(example)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "Answered by embedded" in done.stdout


def test_the_demo_uses_the_provider_whose_key_is_set() -> None:
    """No provider can be reached here, so what it tries shows in its failure."""
    done = subprocess.run(
        [sys.executable, str(ROOT / "examples" / "demo.py")],
        env={**os.environ, "GROQ_API_KEY": "gsk-made-up", "HTTPS_PROXY": "http://127.0.0.1:9"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "Asking groq/" in done.stdout
    assert "No route answered" in done.stderr
    assert "gsk-made-up" not in done.stdout + done.stderr


def test_the_readmes_python_runs(capsys: pytest.CaptureFixture[str]) -> None:
    names: dict[str, object] = {}
    found = blocks("python")
    assert len(found) >= 5
    for block in found:
        exec(compile(block, "README.md", "exec"), names)
    assert "set GROQ_API_KEY" in capsys.readouterr().out


@pytest.mark.parametrize("page", sorted((ROOT / "docs").glob("*.md")), ids=lambda p: p.name)
def test_the_pages_python_runs(page: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names: dict[str, object] = {}
    found = blocks("python", page.read_text())
    assert found
    for block in found:
        exec(compile(block, page.name, "exec"), names)
    assert capsys.readouterr().out


@pytest.mark.parametrize("page", sorted((ROOT / "docs").glob("*.md")), ids=lambda p: p.name)
def test_the_pages_links_lead_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
        assert (page.parent / link).exists(), link


def test_the_readmes_session_is_what_a_user_sees() -> None:
    (session,) = blocks("pycon")
    parser = doctest.DocTestParser()
    flags = doctest.ELLIPSIS | doctest.IGNORE_EXCEPTION_DETAIL
    test = parser.get_doctest(session, {}, "README.md", "README.md", 0)
    told: list[str] = []
    results = doctest.DocTestRunner(optionflags=flags).run(test, out=told.append)
    assert results.attempted >= 7
    assert results.failed == 0, "".join(told)


def test_the_registry_pages_python_says_what_it_shows(capsys: pytest.CaptureFixture[str]) -> None:
    (block,) = blocks("python", REGISTRY_PAGE)
    exec(compile(block, "docs/registry.md", "exec"), {})
    *targets, error = capsys.readouterr().out.splitlines()
    assert targets == [
        "Target(model='example-9', provider=None, snapshot='2026-02-01', tier=None, id=None)",
        "Target(model='example-9', provider='openrouter', snapshot=None, tier='free', id=None)",
        "Target(model='example-9', provider=None, snapshot='2026-02-01', tier=None, id=None)",
    ]
    assert f"# {error}\n" in block


def test_the_registry_pages_files_are_laid_over_the_registry(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = blocks("json", REGISTRY_PAGE)
    assert [len(file.splitlines()) for file in files] == [5, 11]
    for n, file in enumerate(files):
        path = tmp_path / f"{n}.json"
        path.write_text(file)
        monkeypatch.setenv("AUTOPROVIDER_REGISTRY", str(path))
        registry = ProviderList().registry
        for provider_id, row in json.loads(file)["providers"].items():
            for model in row["models"]:
                assert provider_id in registry.models[model]


def test_the_registry_pages_commands_and_variables_exist() -> None:
    bash = "\n".join(blocks("bash", REGISTRY_PAGE))
    commands = re.findall(r"^autoprovider ((?:registry )?\w+)", bash, re.MULTILINE)
    assert set(commands) == {"update", "verify", "registry keygen", "registry sign"}
    known = {effective_registry.REGISTRY_VARIABLE, updater.URL_VARIABLE, updater.KEYS_VARIABLE}
    assert {*re.findall(r"^export (\w+)", bash, re.MULTILINE)} == {*known, updater.ALLOW_VARIABLE}
    allowed = re.search(r"export AUTOPROVIDER_ALLOW_PROVIDERS=(.*)", bash)
    assert allowed
    assert merge_policy.allowed_hosts([allowed[1]])
    command = Path(sys.executable).with_name("autoprovider")
    for words in dict.fromkeys(commands):
        done = subprocess.run(
            [command, *words.split(), "--help"], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, words
        for option in re.findall(rf"{words} .*?(--\w+)", bash):
            assert option in done.stdout


def test_the_readmes_commands_exist() -> None:
    command = Path(sys.executable).with_name("autoprovider")
    commands = re.findall(
        r"^autoprovider ((?:local )?\w+)", "\n".join(blocks("bash")), re.MULTILINE
    )
    assert len(commands) >= 5
    for words in commands:
        done = subprocess.run(
            [command, *words.split(), "--help"], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, words
    targets = re.findall(r"^make (\w+)", "\n".join(blocks("bash")), re.MULTILINE)
    makefile = (ROOT / "Makefile").read_text()
    assert targets == ["demo", "test"]
    assert all(f"\n{target}:" in makefile for target in targets)
