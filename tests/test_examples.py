"""Every example and every block of the README runs."""

from __future__ import annotations

import doctest
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("example", sorted((ROOT / "examples").glob("*.py")), ids=lambda p: p.name)
def test_the_example_runs(example: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", str(example)], capture_output=True, text=True, check=False
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


def test_the_readmes_session_is_what_a_user_sees() -> None:
    (session,) = blocks("pycon")
    parser = doctest.DocTestParser()
    flags = doctest.ELLIPSIS | doctest.IGNORE_EXCEPTION_DETAIL
    test = parser.get_doctest(session, {}, "README.md", "README.md", 0)
    told: list[str] = []
    results = doctest.DocTestRunner(optionflags=flags).run(test, out=told.append)
    assert results.attempted >= 7
    assert results.failed == 0, "".join(told)


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
