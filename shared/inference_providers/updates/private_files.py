"""Files of this user alone: a cache nobody else can write, and private keys.

* A directory is 0700, a file 0600; both belong to the user who runs this.
* Links are not followed, and a file that others may write, or that has a second name,
  is not read.
* A file is replaced whole or not at all: written beside, then renamed.

Where a system knows no owners and modes (Windows), the user's profile keeps others out.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import stat
import sys
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["create", "locked", "read", "replace"]

_NO_LINK = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
_NO_WAIT = getattr(os, "O_NONBLOCK", 0)  # a pipe in the file's place would block for ever
_BINARY = getattr(os, "O_BINARY", 0)
LOCK_WAIT_S = 5.0
_LOCK_POLL_S = 0.005


def read(path: Path, *, max_bytes: int, secret: bool = False) -> bytes:
    """Return the content of a file that only this user can have written.

    Args:
        path: The file.
        max_bytes: What it may hold.
        secret: Only this user may be able to read it, too.

    Raises:
        OSError: It is not there, or not safe to read; says why.
    """
    if not secret:
        _check(os.lstat(path.parent), path.parent, is_directory=True)
    handle = os.open(path, os.O_RDONLY | _NO_LINK | _NO_WAIT | _BINARY)
    with os.fdopen(handle, "rb") as file:
        found = os.fstat(handle)
        _check(found, path, is_directory=False)
        if secret and os.name == "posix" and found.st_mode & 0o077:
            _refuse(path, "others may read it; run `chmod 600` on it")
        content = file.read(max_bytes + 1)
    if len(content) > max_bytes:
        _refuse(path, f"it has more than {max_bytes:,} bytes")
    return content


def create(path: Path, content: bytes, *, is_public: bool = False) -> None:
    """Write a new file that only this user can read, or whoever the umask lets, if `is_public`.

    Raises:
        OSError: There is a file already, or it cannot be written.
    """
    mode = 0o666 if is_public else 0o600
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _NO_LINK | _BINARY, mode)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(handle)
    except OSError:
        path.unlink(missing_ok=True)
        raise


def replace(path: Path, content: bytes) -> None:
    """Put `content` in the place of whatever is at `path`, at once or not at all.

    Raises:
        OSError: It cannot be written; what was there is still there.
    """
    _own_directory(path.parent)
    beside = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    create(beside, content)
    try:
        beside.replace(path)
    except OSError:
        beside.unlink(missing_ok=True)
        raise


@contextlib.contextmanager
def locked(directory: Path) -> Iterator[None]:
    """Keep other processes of this user out, for a moment of reading and writing.

    Raises:
        OSError: The directory cannot be written to, is not this user's, or another
            process keeps this one out for `LOCK_WAIT_S`.
    """
    _own_directory(directory)
    if sys.platform == "win32":  # the rename alone must do
        yield
        return
    import fcntl  # noqa: PLC0415 - POSIX has it, Windows has not

    handle = os.open(directory / ".lock", os.O_RDWR | os.O_CREAT | _NO_LINK, 0o600)
    ends = time.monotonic() + LOCK_WAIT_S
    try:
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > ends:  # who holds it was stopped, and may stay so
                    raise
                time.sleep(_LOCK_POLL_S)
        yield
    finally:
        os.close(handle)


def _own_directory(directory: Path) -> None:
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = os.lstat(directory)
    _check(found, directory, is_directory=True, may_tighten=True)
    if os.name == "posix" and found.st_mode & 0o077:
        directory.chmod(0o700)


def _check(
    found: os.stat_result, path: Path, *, is_directory: bool, may_tighten: bool = False
) -> None:
    if not (stat.S_ISDIR if is_directory else stat.S_ISREG)(found.st_mode):
        _refuse(path, f"it is no {'directory' if is_directory else 'file'}")
    if os.name != "posix":
        return
    if found.st_uid != os.geteuid():
        _refuse(path, "it belongs to another user")
    if found.st_mode & 0o022 and not may_tighten:
        _refuse(path, "others may write to it")
    if not is_directory and found.st_nlink != 1:
        _refuse(path, "it has a second name")


def _refuse(path: Path, reason: str) -> None:
    raise PermissionError(errno.EPERM, f"not safe to use, since {reason}", str(path))
