"""What every test stands on: no keys, the real embedded weights.

The network is closed but for loopback: `--allow-hosts` in pyproject.toml.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

from inference_providers import reset_health, weights

if TYPE_CHECKING:
    from pathlib import Path

settings.register_profile("default", max_examples=500)
settings.register_profile("long", max_examples=10_000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))

KEPT = {
    "CI", "HOME", "LANG", "LC_ALL", "PATH", "PYTHONPATH", "PYTHONWARNINGS", "SYSTEMROOT", "TMPDIR",
    "USER", "VIRTUAL_ENV", "XDG_CACHE_HOME", "XDG_DATA_HOME",
}  # fmt: skip
"""Variables a process needs to run; everything else may be a key, a proxy or a switch."""


@pytest.fixture(autouse=True)
def _empty_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in set(os.environ) - KEPT:
        if not name.startswith(("PYTEST_", "COV_", "PIP_", "UV_")):
            monkeypatch.delenv(name)


@pytest.fixture(autouse=True)
def _nobody_rests() -> None:
    reset_health()


@pytest.fixture(scope="session")
def weights_file() -> Path:
    """Return the embedded model's GGUF file; `make test` has installed it."""
    path = weights.find(weights.FILE_NAME)
    assert path is not None, "run `autoprovider local install`"
    return path
