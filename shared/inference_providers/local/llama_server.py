"""A language model on this machine, served by llama.cpp in a child process.

- It is a child process, not a thread: OpenMP does not survive a fork, and a crash in native code
  must not end the user's program.
- There is one server per GGUF file and family of processes. Forked processes use the server they
  inherited; spawned ones start their own.
- The server lives as long as any process of the family, because each of them holds the write end
  of its stdin. So there is nothing to clean up.
- It listens on 127.0.0.1 only, and every request needs its random key.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import re
import secrets
import select
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from inference_providers.errors import LocalServerError, MissingPackageError

__all__ = ["EmbeddedServer", "available", "start"]

START_TIMEOUT_S = 60.0
_ADVICE = "Run `autoprovider local install`, or name another GGUF file in AUTOPROVIDER_GGUF."
_PROGRAM = Path(__file__).with_name("_llama_child.py")


@dataclass(frozen=True, slots=True)
class EmbeddedServer:
    """The server's URL, and the key that it requires."""

    base_url: str
    key: str = field(repr=False)


def available() -> str | None:
    """Return what is missing for `start`, if anything. The package is not imported."""
    if importlib.util.find_spec("xllamacpp") is None:
        return "no package 'xllamacpp'; run `pip install 'autoprovider[local]'`"
    return None


def start(gguf: Path, *, model: str) -> EmbeddedServer:
    """Start a server for `gguf`, or return the one that is already running.

    Blocks for about half a second the first time. Threads may call it at the same time. A server
    that died is replaced by a new one, with another address and key.

    Args:
        gguf: The weights.
        model: The model's name in answers. The first call for a file decides.

    Raises:
        MissingPackageError: The extra `local` is not installed.
        LocalServerError: The file is missing or not a GGUF file, or llama.cpp cannot load it.
    """
    file = gguf.expanduser().resolve()
    running = _running.get(file)
    if running is None or not running.is_alive():
        with _lock:
            running = _running.get(file)
            if running is None or not running.is_alive():
                running = _replace(running, file, model)
    return running.server


class _Process(subprocess.Popen[bytes]):
    def __del__(self) -> None:
        """Do not warn: the server is supposed to outlive this object."""


@dataclass(frozen=True, slots=True)
class _Running:
    server: EmbeddedServer
    process: _Process
    lifeline: int  # descriptor: the write end of the server's stdin
    output: int  # descriptor: at end of file once the server has ended
    owner: int  # id of the process that started it

    def is_alive(self) -> bool:
        if os.getpid() == self.owner:
            return self.process.poll() is None
        # Only a parent can wait for a process. Windows has no fork and never gets here.
        poll = select.poll()
        poll.register(self.output, select.POLLIN)
        return not poll.poll(0)

    def release(self) -> None:
        # Only the process that opened these may close them. A daemon has closed all inherited
        # descriptors, and the numbers may already mean other files.
        if os.getpid() == self.owner:
            os.close(self.lifeline)
            os.close(self.output)


_running: dict[Path, _Running] = {}
_lock = threading.RLock()
if hasattr(os, "register_at_fork"):
    # A fork waits for a start that is under way. Otherwise the child would inherit locked locks
    # that no thread there releases: this one, and those in `tempfile`.
    os.register_at_fork(
        before=_lock.acquire, after_in_parent=_lock.release, after_in_child=_lock.release
    )


def _replace(dead: _Running | None, file: Path, model: str) -> _Running:
    if dead is not None:
        del _running[file]
        dead.release()
    if (reason := available()) is not None:
        message = f"The embedded model cannot be served: {reason}."
        raise MissingPackageError(message)
    try:
        _check_magic(file)
        running = _launch(file, model)
    except OSError as error:
        message = f"The local model server cannot be started for {str(file)!r}: {error}."
        raise LocalServerError(message) from error
    _running[file] = running
    return running


def _check_magic(file: Path) -> None:
    if not file.is_file():
        message = f"The file {str(file)!r} does not exist. {_ADVICE}"
        raise LocalServerError(message)
    with file.open("rb") as gguf:
        if gguf.read(4) != b"GGUF":
            message = f"{str(file)!r} is not a GGUF file. {_ADVICE}"
            raise LocalServerError(message)


def _launch(file: Path, model: str) -> _Running:
    key = secrets.token_urlsafe(32)
    sys_path = [str(entry) for entry in sys.path]
    settings = {"gguf": str(file), "model": model, "key": key, "sys_path": sys_path}
    with contextlib.ExitStack() as undo, tempfile.TemporaryFile() as log:
        stdin, lifeline = os.pipe()
        undo.callback(os.close, lifeline)
        output, stdout = os.pipe()
        undo.callback(os.close, output)
        try:
            process = _Process(
                [sys.executable, "-P", str(_PROGRAM)],
                stdin=stdin,
                stdout=stdout,
                stderr=log,
                # Ctrl-C reaches the whole process group, and the user's program may handle it
                # and continue.
                start_new_session=True,
                creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
            )
        finally:
            os.close(stdin)
            os.close(stdout)
        undo.callback(process.wait)
        undo.callback(process.kill)
        deadline = time.monotonic() + START_TIMEOUT_S
        url = _exchange(process, lifeline, output, json.dumps(settings))
        if url is None:
            late = time.monotonic() >= deadline
            raise LocalServerError(_failure(file, process, log, late=late))
        undo.pop_all()
    return _Running(EmbeddedServer(f"{url}/v1", key), process, lifeline, output, os.getpid())


def _exchange(process: _Process, lifeline: int, output: int, settings: str) -> str | None:
    # Killing the process ends the read below: Windows cannot wait for pipes with a timeout.
    timer = threading.Timer(START_TIMEOUT_S, process.kill)
    timer.daemon = True
    timer.start()
    try:
        with contextlib.suppress(BrokenPipeError), open(lifeline, "wb", closefd=False) as pipe:
            pipe.write(settings.encode() + b"\n")
        with open(output, "rb", closefd=False) as pipe:
            line = pipe.readline()
    finally:
        timer.cancel()
        timer.join()  # Python warns about a fork while another thread runs
    return str(json.loads(line)["url"]) if line.endswith(b"\n") else None


def _failure(file: Path, process: _Process, log: IO[bytes], *, late: bool) -> str:
    if late:
        reason = f"no answer within {START_TIMEOUT_S:g} s"
    else:
        status = process.wait()
        log.seek(0)
        text = log.read().decode(errors="replace")
        reason = _first_cause(text) or f"it ended with status {status}"
    return f"llama.cpp cannot serve {str(file)!r}: {reason}.\n{_ADVICE}"


def _first_cause(log: str) -> str:
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    # llama.cpp logs the cause first, then its consequences:
    # "0.00.078.767 E llama_model_load: error loading model: …". Python prints the cause last.
    for line in lines:
        if (error := re.match(r"[\d.]+ E (.*)", line)) is not None:
            return error[1].split("error loading model: ")[-1]
    return lines[-1] if lines else ""
