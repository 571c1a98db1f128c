"""Lint, format and types: what `make lint` looks at, looked at by the tests too."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize(
    "command",
    [
        ["ruff", "check", "--no-cache", "."],
        ["ruff", "format", "--no-cache", "--check", "."],
        ["mypy"],
    ],
    ids=" ".join,
)
def test_the_code_is_clean(command: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", *command], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_locks_name_no_index_and_hash_everything() -> None:
    for lock in (*(ROOT / "requirements").glob("*.txt"), ROOT / "benchmarks/requirements.txt"):
        text = lock.read_text()
        assert "://" not in text
        assert "index-url" not in text
        pins = text.count("==")
        assert pins > 20
        assert text.count("\n    --hash=sha256:") >= pins


def test_the_lock_of_the_peers_names_no_index_and_hashes_everything() -> None:
    lock = json.loads((ROOT / "tests/peers/package-lock.json").read_text())
    installed = {path: entry for path, entry in lock["packages"].items() if path}
    assert "node_modules/@copilotkit/aimock" in installed
    assert all(entry["integrity"].startswith("sha512-") for entry in installed.values())
    assert "://" not in json.dumps(lock)
