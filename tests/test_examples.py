"""Every example, and every code block of the README and the documentation, runs."""

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
COMMAND = Path(sys.executable).with_name("autoprovider")
README = (ROOT / "README.md").read_text()
REGISTRY_PAGE = (ROOT / "docs" / "registry.md").read_text()
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
LINKED_FILES = [*PAGES, *(ROOT / name for name in ("CONTRIBUTING.md", "SECURITY.md"))]

pytestmark = [pytest.mark.slow, pytest.mark.embedded]


def code_blocks(language: str, text: str = README) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


def run(*command: str, **options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, capture_output=True, text=True, check=False, env={**os.environ, **options}
    )


@pytest.mark.parametrize("example", sorted((ROOT / "examples").glob("*.py")), ids=lambda p: p.name)
def test_example_runs_on_the_embedded_model(example: Path) -> None:
    # LlamaIndex's agents read all of their attributes, deprecated ones too.
    warnings = ["-W", "error", "-W", "ignore::DeprecationWarning:inspect"]
    process = run(sys.executable, *warnings, str(example))
    assert process.returncode == 0, process.stderr
    assert "Answered by embedded" in process.stdout


def test_demo_uses_the_provider_whose_key_is_set() -> None:
    """No provider can be reached here, so its name is in the failure."""
    process = run(
        sys.executable,
        str(ROOT / "examples" / "demo.py"),
        GROQ_API_KEY="gsk-made-up",
        HTTPS_PROXY="http://127.0.0.1:9",
    )
    assert "Asking groq/" in process.stdout
    assert "No route answered" in process.stderr
    assert "gsk-made-up" not in process.stdout + process.stderr


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_page_python_runs(page: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names: dict[str, object] = {}
    blocks = code_blocks("python", page.read_text())
    assert blocks
    for block in blocks:
        exec(compile(block, page.name, "exec"), names)
    assert capsys.readouterr().out


def test_readme_python_shows_what_to_set(capsys: pytest.CaptureFixture[str]) -> None:
    for block in code_blocks("python"):
        exec(compile(block, "README.md", "exec"), {})
    assert "set GROQ_API_KEY" in capsys.readouterr().out


@pytest.mark.parametrize("page", LINKED_FILES, ids=lambda p: p.name)
def test_page_links_and_paths_exist(page: Path) -> None:
    text = page.read_text()
    for link in re.findall(r"\]\(([^)#:]+)\)", text):
        assert (page.parent / link).exists(), link
    folders = "docs|examples|benchmarks|scripts|shared|tests|registry|requirements"
    packages = "langchain_autoprovider|llamaindex_autoprovider"
    for path in re.findall(rf"`((?:{folders}|{packages})/[\w./-]*)`", text):
        assert (ROOT / path).exists(), path


def test_readme_has_no_relative_link() -> None:
    """A package index shows the README; there is nothing that a relative link could lead to."""
    assert re.findall(r"\]\((?!https://)[^)]*\)", README) == []


def test_readme_session_is_what_a_user_sees() -> None:
    (session,) = code_blocks("pycon")
    flags = doctest.ELLIPSIS | doctest.IGNORE_EXCEPTION_DETAIL
    test = doctest.DocTestParser().get_doctest(session, {}, "README.md", "README.md", 0)
    report: list[str] = []
    results = doctest.DocTestRunner(optionflags=flags).run(test, out=report.append)
    assert results.attempted >= 7
    assert results.failed == 0, "".join(report)


def test_registry_page_python_prints_what_it_shows(capsys: pytest.CaptureFixture[str]) -> None:
    (block,) = code_blocks("python", REGISTRY_PAGE)
    exec(compile(block, "docs/registry.md", "exec"), {})
    *targets, error = capsys.readouterr().out.splitlines()
    assert targets == [
        "Target(model='example-9', provider=None, snapshot='2026-02-01', tier=None, id=None)",
        "Target(model='example-9', provider='openrouter', snapshot=None, tier='free', id=None)",
        "Target(model='example-9', provider=None, snapshot='2026-02-01', tier=None, id=None)",
    ]
    assert f"# {error}\n" in block


def test_registry_page_files_are_merged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = code_blocks("json", REGISTRY_PAGE)
    assert [len(file.splitlines()) for file in files] == [5, 11]
    for n, file in enumerate(files):
        path = tmp_path / f"{n}.json"
        path.write_text(file)
        monkeypatch.setenv("AUTOPROVIDER_REGISTRY", str(path))
        registry = ProviderList().registry
        for provider_id, row in json.loads(file)["providers"].items():
            for model in row["models"]:
                assert provider_id in registry.models[model]


def test_registry_page_commands_and_variables_exist() -> None:
    bash = "\n".join(code_blocks("bash", REGISTRY_PAGE))
    commands = re.findall(r"^autoprovider ((?:registry )?\w+)", bash, re.MULTILINE)
    assert set(commands) == {"update", "verify", "registry keygen", "registry sign"}
    variables = {effective_registry.REGISTRY_VARIABLE, updater.URL_VARIABLE, updater.KEYS_VARIABLE}
    assert {*re.findall(r"^export (\w+)", bash, re.MULTILINE)} == {
        *variables,
        updater.ALLOW_VARIABLE,
    }
    allowed = re.search(r"export AUTOPROVIDER_ALLOW_PROVIDERS=(.*)", bash)
    assert allowed
    assert merge_policy.allowed_hosts([allowed[1]])
    for words in dict.fromkeys(commands):
        process = run(str(COMMAND), *words.split(), "--help")
        assert process.returncode == 0, words
        for option in re.findall(rf"{words} .*?(--\w+)", bash):
            assert option in process.stdout


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_page_commands_exist(page: Path) -> None:
    bash = "\n".join(code_blocks("bash", page.read_text()))
    for words in dict.fromkeys(
        re.findall(r"^autoprovider ((?:local |registry )?\w+)", bash, re.MULTILINE)
    ):
        process = run(str(COMMAND), *words.split(), "--help")
        assert process.returncode == 0, words


def test_readme_and_contributing_make_targets_exist() -> None:
    bash = "\n".join(code_blocks("bash"))
    assert re.findall(r"^make (\w+)", bash, re.MULTILINE) == ["demo", "test"]
    makefile = (ROOT / "Makefile").read_text()
    targets = re.findall(r"`make ([\w-]+)`", README + (ROOT / "CONTRIBUTING.md").read_text())
    assert {"check", "test", "lint", "format"} <= {*targets}
    assert [target for target in targets if f"\n{target}:" not in makefile] == []
