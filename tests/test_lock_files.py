"""The lock files: every package has a hash, and no file names an index."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LOCKS = [*(ROOT / "requirements").glob("*.txt"), *(ROOT / "benchmarks/locks").glob("*.txt")]


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: path.name)
def test_lock_has_a_hash_for_every_package_and_no_index(lock: Path) -> None:
    text = lock.read_text()
    assert "://" not in text
    assert "index-url" not in text
    pins = text.count("==")
    assert pins > 20
    assert text.count("\n    --hash=sha256:") >= pins


def test_peers_lock_has_a_hash_for_every_package_and_no_url() -> None:
    lock = json.loads((ROOT / "tests/peers/package-lock.json").read_text())
    installed = {path: entry for path, entry in lock["packages"].items() if path}
    assert "node_modules/@copilotkit/aimock" in installed
    assert all(entry["integrity"].startswith("sha512-") for entry in installed.values())
    assert "://" not in json.dumps(lock)
