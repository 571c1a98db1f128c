"""Beside the original distribution, ours warns and says how to repair the installation."""

from __future__ import annotations

import shutil
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

import inference_providers
from inference_providers import ProviderList
from inference_providers.routing import install_check

ORIGINAL_INIT = "from .inference_providers import ProviderList\n"
"""The whole of `inference_providers/__init__.py` in the original 0.2.3."""


@pytest.fixture(autouse=True)
def _not_checked_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(install_check, "_is_checked", False)


@pytest.fixture
def _original_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    info = tmp_path / "inference_providers-0.2.3.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: inference-providers\nVersion: 0.2.3\n"
    )
    monkeypatch.syspath_prepend(tmp_path)


@pytest.mark.usefixtures("_original_installed")
def test_warn_once_says_how_to_repair_the_installation() -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for _ in range(3):
            ProviderList().explain("mixtral-8x7b")
    (message,) = [str(warning.message) for warning in caught]
    assert "The original 'inference-providers' 0.2.3 is installed beside autoprovider" in message
    assert message.endswith(install_check.REPAIR_COMMAND)
    assert "pip uninstall inference-providers" in install_check.REPAIR_COMMAND
    assert "--force-reinstall --no-deps autoprovider" in install_check.REPAIR_COMMAND


def test_warn_once_is_silent_without_the_original() -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        install_check.warn_once()
    assert caught == []


@pytest.mark.usefixtures("_original_installed")
async def test_warn_once_waits_for_a_call_outside_an_event_loop() -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        install_check.warn_once()
    assert caught == []
    assert not install_check._is_checked


def test_import_says_how_to_repair_what_the_original_overwrote(tmp_path: Path) -> None:
    package = tmp_path / "inference_providers"
    ours = Path(inference_providers.__file__).parent
    shutil.copytree(ours, package, ignore=shutil.ignore_patterns("__pycache__"))
    (package / "__init__.py").write_text(ORIGINAL_INIT)
    (package / "inference_providers.py").write_text("class ProviderList: ...\n")
    done = subprocess.run(
        [sys.executable, "-c", "import langchain_autoprovider"],
        env={"PYTHONPATH": str(tmp_path), "PATH": ""},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("ImportError: The original distribution 'inference-providers'")
    assert last.endswith(install_check.REPAIR_COMMAND)
