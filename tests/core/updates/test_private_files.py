"""Files of this user alone: what others could have written is not read."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from inference_providers.updates import private_files


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    path = tmp_path / "private" / "file"
    private_files.replace(path, b"content")
    return path


def read(path: Path, **options) -> bytes:
    return private_files.read(path, max_bytes=100, **options)


def modes(path: Path) -> list[int]:
    return [stat.S_IMODE(p.stat().st_mode) for p in (path.parent, path)]


def test_replace_makes_file_and_directory_private(kept: Path) -> None:
    assert read(kept) == b"content"
    assert modes(kept) == [0o700, 0o600]


def test_replace_leaves_no_other_file(kept: Path) -> None:
    private_files.replace(kept, b"next")
    assert read(kept) == b"next"
    assert [file.name for file in kept.parent.iterdir()] == ["file"]


def test_replace_closes_the_directory_to_others(kept: Path) -> None:
    kept.parent.chmod(0o777)
    private_files.replace(kept, b"next")
    assert modes(kept) == [0o700, 0o600]


def test_read_and_replace_do_not_follow_a_link(kept: Path, tmp_path: Path) -> None:
    real = tmp_path / "real"
    real.write_bytes(b"poison")
    kept.unlink()
    kept.symlink_to(real)
    with pytest.raises(OSError, match="symbolic links"):
        read(kept)
    private_files.replace(kept, b"new")
    assert read(kept) == b"new"
    assert real.read_bytes() == b"poison", "the file was written through the link"


def test_read_and_replace_refuse_a_directory_that_is_a_link(kept: Path, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(kept.parent)
    for use in (lambda: read(link / "file"), lambda: private_files.replace(link / "file", b"x")):
        with pytest.raises(PermissionError, match="it is not a directory"):
            use()


def test_read_refuses_a_hard_link(kept: Path, tmp_path: Path) -> None:
    os.link(kept, tmp_path / "second")
    with pytest.raises(PermissionError, match="it has a second hard link"):
        read(kept)


@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666])
def test_read_refuses_a_file_that_others_may_write(kept: Path, mode: int) -> None:
    kept.chmod(mode)
    with pytest.raises(PermissionError, match="others may write to it"):
        read(kept)


@pytest.mark.parametrize("mode", [0o770, 0o707, 0o1777])
def test_read_refuses_a_directory_that_others_may_write(kept: Path, mode: int) -> None:
    kept.parent.chmod(mode)
    with pytest.raises(PermissionError, match="others may write to it"):
        read(kept)


def test_read_refuses_a_file_of_another_user(kept: Path) -> None:
    if os.geteuid() == 0:
        os.chown(kept, 12345, 12345)
        theirs = kept
    else:
        theirs = Path("/etc/hosts")
    with pytest.raises(PermissionError, match="belongs to another user"):
        read(theirs)


@pytest.mark.parametrize("mode", [0o640, 0o604])
def test_read_refuses_a_secret_that_others_may_read(kept: Path, mode: int) -> None:
    kept.chmod(mode)
    assert read(kept) == b"content"
    with pytest.raises(PermissionError, match="run `chmod 600`"):
        read(kept, secret=True)


@pytest.mark.parametrize("make", [os.mkdir, os.mkfifo], ids=["directory", "pipe"])
def test_read_refuses_a_directory_or_pipe_without_waiting(kept: Path, make) -> None:
    kept.unlink()
    make(kept)
    with pytest.raises(OSError, match=r"not a regular file|Is a directory"):
        read(kept)


def test_read_refuses_more_than_max_bytes(kept: Path) -> None:
    private_files.replace(kept, b"x" * 101)
    with pytest.raises(PermissionError, match="more than 100 bytes"):
        read(kept)


def test_create_does_not_overwrite_a_file(kept: Path) -> None:
    with pytest.raises(FileExistsError):
        private_files.create(kept, b"other")
    assert read(kept) == b"content"


FULL = """
import resource, sys
from pathlib import Path
from inference_providers.updates import private_files
resource.setrlimit(resource.RLIMIT_FSIZE, (50, 50))
try:
    private_files.replace(Path(sys.argv[1]), b"x" * 100)
except OSError as error:
    print(error.strerror)
"""


def test_replace_on_a_full_disk_keeps_the_old_file(kept: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FULL, str(kept)], capture_output=True, text=True, check=True
    )
    assert done.stdout == "File too large\n"
    assert read(kept) == b"content"
    assert [file.name for file in kept.parent.iterdir()] == ["file"]


TURNS = """
import sys
from pathlib import Path
from inference_providers.updates import private_files
path = Path(sys.argv[1])
private_files.LOCK_WAIT_S = 120.0  # the lock is not fair, and disks may be slow
for _ in range(100):
    with private_files.locked(path.parent):
        count = int(private_files.read(path, max_bytes=100))
        private_files.replace(path, str(count + 1).encode())
"""


@pytest.mark.slow
def test_locked_lets_processes_take_turns(kept: Path) -> None:
    private_files.replace(kept, b"0")
    running = [subprocess.Popen([sys.executable, "-c", TURNS, str(kept)]) for _ in range(3)]
    assert [process.wait() for process in running] == [0, 0, 0]
    assert read(kept) == b"300"


HOLDS = """
import sys, time
from pathlib import Path
from inference_providers.updates import private_files
with private_files.locked(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.mark.slow
def test_locked_gives_up_on_a_process_that_keeps_the_lock(kept: Path, monkeypatch) -> None:
    monkeypatch.setattr(private_files, "LOCK_WAIT_S", 0.2)
    command = [sys.executable, "-c", HOLDS, str(kept.parent)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout.readline() == b"held\n"
        release = threading.Timer(20, holder.stdin.close)  # in case it is waited for after all
        release.start()
        with pytest.raises(BlockingIOError), private_files.locked(kept.parent):
            pass
        release.cancel()
        holder.stdin.close()
    with private_files.locked(kept.parent):
        assert read(kept) == b"content"
