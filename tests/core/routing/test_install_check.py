"""Beside the original distribution, ours says so and how to mend it."""

from __future__ import annotations

import shutil
import subprocess
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import inference_providers
from inference_providers import ProviderList
from inference_providers.routing import install_check

if TYPE_CHECKING:
    from collections.abc import Iterator

ORIGINAL_INIT = "from .inference_providers import ProviderList\n"
"""The whole of `inference_providers/__init__.py` in the original 0.2.3."""


@pytest.fixture
def beside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let the original distribution be installed."""
    info = tmp_path / "inference_providers-0.2.3.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: inference-providers\nVersion: 0.2.3\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    install_check.warn_once.cache_clear()
    yield
    install_check.warn_once.cache_clear()


@pytest.mark.usefixtures("beside")
def test_beside_the_original_one_warning_says_how_to_mend_it() -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for _ in range(3):
            ProviderList().explain("mixtral-8x7b")
    said = [str(warning.message) for warning in caught]
    assert len(said) == 1
    assert "The original 'inference-providers' 0.2.3 is installed beside autoprovider" in said[0]
    assert said[0].endswith(install_check.MEND)
    assert "pip uninstall inference-providers" in install_check.MEND
    assert "--force-reinstall --no-deps autoprovider" in install_check.MEND


def test_without_the_original_nothing_is_said() -> None:
    install_check.warn_once.cache_clear()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        install_check.warn_once()
    assert caught == []


def test_where_the_original_has_overwritten_ours_the_import_says_how_to_mend_it(
    tmp_path: Path,
) -> None:
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
    assert last.endswith(install_check.MEND)
