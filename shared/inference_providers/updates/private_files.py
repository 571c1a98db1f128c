"""Files that belong to this user alone: a cache that others cannot write, and private keys.

* A directory is 0700 and a file 0600; both are owned by the user running the process.
* Symbolic links are not followed. A file that others may write, or that has a second hard
  link, is not read.
* A file is replaced atomically: written to a temporary file, then renamed.

On Windows, which has no such owners and modes, the user's profile directory keeps others out.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["create", "locked", "read", "replace"]

LOCK_WAIT_S = 5.0
_LOCK_POLL_S = 0.005
_NO_FOLLOW = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
_NO_BLOCK = getattr(os, "O_NONBLOCK", 0)  # opening a named pipe would block forever
_BINARY = getattr(os, "O_BINARY", 0)
_GROUP_OR_OTHERS = 0o077
_WRITABLE_BY_OTHERS = 0o022


def read(path: Path, *, max_bytes: int, secret: bool = False) -> bytes:
    """Return the content of a file that only this user can have written.

    Args:
        path: The file.
        max_bytes: The largest size to accept.
        secret: Whether to refuse a file that others may read.

    Raises:
        OSError: The file does not exist, or is not safe to read; says why.
    """
    if not secret:
        _check(os.lstat(path.parent), path.parent, is_directory=True)
    handle = os.open(path, os.O_RDONLY | _NO_FOLLOW | _NO_BLOCK | _BINARY)
    with os.fdopen(handle, "rb") as file:
        status = os.fstat(handle)
        _check(status, path, is_directory=False)
        if secret and os.name == "posix" and status.st_mode & _GROUP_OR_OTHERS:
            _refuse(path, "others may read it; run `chmod 600` on it")
        content = file.read(max_bytes + 1)
    if len(content) > max_bytes:
        _refuse(path, f"it has more than {max_bytes:,} bytes")
    return content


def create(path: Path, content: bytes, *, is_public: bool = False) -> None:
    """Write a new file that only this user can read; with `is_public`, as the umask says.

    Raises:
        OSError: The file exists, or it cannot be written.
    """
    mode = 0o666 if is_public else 0o600
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _NO_FOLLOW | _BINARY, mode)
    try:
        _write(handle, content)
    except OSError:
        path.unlink(missing_ok=True)
        raise


def replace(path: Path, content: bytes) -> None:
    """Replace the file at `path`, or create it, atomically.

    Raises:
        OSError: The file cannot be written; the old one is unchanged.
    """
    _make_private(path.parent)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # mode 0600
    try:
        _write(handle, content)
        Path(name).replace(path)
    except OSError:
        Path(name).unlink(missing_ok=True)
        raise


def _write(handle: int, content: bytes) -> None:
    with os.fdopen(handle, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(handle)


@contextlib.contextmanager
def locked(directory: Path) -> Iterator[None]:
    """Hold a lock on a directory against this user's other processes.

    On Windows nothing is locked, and the atomic rename has to be enough.

    Raises:
        OSError: The directory cannot be written to, is not this user's, or another
            process holds the lock for longer than `LOCK_WAIT_S`.
    """
    _make_private(directory)
    if sys.platform == "win32":
        yield
        return
    import fcntl  # noqa: PLC0415 - POSIX only

    handle = os.open(directory / ".lock", os.O_RDWR | os.O_CREAT | _NO_FOLLOW, 0o600)
    deadline = time.monotonic() + LOCK_WAIT_S
    try:
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:  # the holder may be stopped for good
                    raise
                time.sleep(_LOCK_POLL_S)
        yield
    finally:
        os.close(handle)


def _make_private(directory: Path) -> None:
    """Create a directory of this user alone, or close an existing one to others."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    status = os.lstat(directory)
    _check(status, directory, is_directory=True, may_tighten=True)
    if os.name == "posix" and status.st_mode & _GROUP_OR_OTHERS:
        directory.chmod(0o700)


def _check(
    status: os.stat_result, path: Path, *, is_directory: bool, may_tighten: bool = False
) -> None:
    is_right_kind = stat.S_ISDIR if is_directory else stat.S_ISREG
    if not is_right_kind(status.st_mode):
        _refuse(path, "it is not a directory" if is_directory else "it is not a regular file")
    if os.name != "posix":
        return
    if status.st_uid != os.geteuid():
        _refuse(path, "it belongs to another user")
    if status.st_mode & _WRITABLE_BY_OTHERS and not may_tighten:
        _refuse(path, "others may write to it")
    if not is_directory and status.st_nlink != 1:
        _refuse(path, "it has a second hard link")


def _refuse(path: Path, reason: str) -> None:
    raise PermissionError(errno.EPERM, f"not safe to use: {reason}", str(path))
