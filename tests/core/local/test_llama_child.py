"""The server's process lives exactly as long as the programs that may use it.

The programs here are real ones, run with warnings as errors.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from inference_providers.local import llama_server

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [
    pytest.mark.embedded,
    pytest.mark.skipif(sys.platform != "linux", reason="reads /proc"),
]

PACKAGE_DIR = Path(llama_server.__file__).parents[2]
GONE_WITHIN_S = 30.0
PROGRAM_ENDS_WITHIN_S = 180.0

# What the programs share.
PRELUDE = """
import json, os, sys, threading, time, urllib.request
from pathlib import Path
from inference_providers.local import llama_server
gguf = Path(sys.argv[1])
def start():
    return llama_server.start(gguf, model="m")
def works(server):
    request = urllib.request.Request(server.base_url + "/models")
    request.add_header("Authorization", "Bearer " + server.key)
    with urllib.request.urlopen(request, timeout=60) as answer:
        return answer.status == 200
def say(**what):
    print(json.dumps(what), flush=True)
"""


def is_alive(pid: int) -> bool:
    """Count a zombie as dead, unless other threads of it still have to end."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        return state != "Z" or len(list(Path(f"/proc/{pid}/task").iterdir())) > 1
    except (FileNotFoundError, ProcessLookupError):
        return False


def is_gone(pid: int) -> bool:
    until = time.monotonic() + GONE_WITHIN_S
    while is_alive(pid) and time.monotonic() < until:
        time.sleep(0.02)
    return not is_alive(pid)


def servers_of(parent: int) -> set[int]:
    pids = set()
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            ppid = (entry / "stat").read_text().rpartition(")")[2].split()[1]
            if int(ppid) == parent and b"_llama_child" in (entry / "cmdline").read_bytes():
                pids.add(int(entry.name))
    return {pid for pid in pids if is_alive(pid)}


def server_of(parent: int) -> int:
    until = time.monotonic() + GONE_WITHIN_S
    while not (pids := servers_of(parent)) and time.monotonic() < until:
        time.sleep(0.005)
    (pid,) = pids
    return pid


@contextlib.contextmanager
def program(script: str, gguf: Path) -> Iterator[subprocess.Popen[str]]:
    """Run a program of its own, in a process group of its own as a shell would."""
    command = [sys.executable, "-W", "error", "-c", PRELUDE + script, str(gguf)]
    environment = {**os.environ, "PYTHONPATH": str(PACKAGE_DIR)}
    pipe = subprocess.PIPE
    with subprocess.Popen(
        command,
        env=environment,
        stdin=pipe,
        stdout=pipe,
        stderr=pipe,
        text=True,
        start_new_session=True,
    ) as process:
        # What it forked holds its pipes as well: end the whole group, or reading hangs.
        timer = threading.Timer(PROGRAM_ENDS_WITHIN_S, os.killpg, [process.pid, signal.SIGKILL])
        timer.start()
        try:
            yield process
        finally:
            timer.cancel()
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def read_line(process: subprocess.Popen[str]) -> Any:
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line, process.stderr and process.stderr.read()
    return json.loads(line)


def send_line(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


def ask_for_half_a_minute(base_url: str, key: str) -> bytes:
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {key}"}
    body = json.dumps({"prompt": "cat " * 1800, "ignore_eos": True}).encode()
    request = urllib.request.Request(f"{base_url}/completions", body, headers)
    with urllib.request.urlopen(request, timeout=60) as answer:
        return bytes(answer.read())


def is_at_work(base_url: str, key: str) -> bool:
    url = base_url.removesuffix("/v1") + "/slots"
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {key}"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return any(slot["is_processing"] for slot in json.load(answer))


def test_child_ends_with_the_program_without_a_warning(weights_file: Path) -> None:
    script = "say(ok=works(start())); sys.stdin.readline()"
    with program(script, weights_file) as process:
        assert read_line(process) == {"ok": True}
        pid = server_of(process.pid)
        _, stderr = process.communicate("\n", timeout=60)
        assert (process.returncode, stderr) == (0, "")
        assert is_gone(pid)


@pytest.mark.parametrize("when", ["start(); say()", "say(); start()"])
def test_child_ends_when_the_program_is_killed(weights_file: Path, when: str) -> None:
    with program(f"{when}; time.sleep(60)", weights_file) as process:
        read_line(process)
        pid = server_of(process.pid)
        process.kill()
        assert is_gone(pid)


def test_child_ends_in_the_middle_of_an_answer(weights_file: Path) -> None:
    script = "server = start(); say(base_url=server.base_url, key=server.key); time.sleep(60)"
    with program(script, weights_file) as process, ThreadPoolExecutor() as pool:
        where = read_line(process)
        request = pool.submit(ask_for_half_a_minute, **where)
        while not is_at_work(**where):
            assert not request.done()
        pid = server_of(process.pid)
        process.kill()
        assert is_gone(pid)
        with pytest.raises(ConnectionError):
            request.result()


def test_child_outlives_its_parent_while_a_fork_uses_it(weights_file: Path) -> None:
    script = """
parent = os.getpid()
server = start()
if os.fork() == 0:
    while os.getppid() == parent:
        time.sleep(0.01)
    say(same=start() is server, ok=works(server))
    sys.stdin.readline()
    os._exit(0)
say()
time.sleep(60)
"""
    with program(script, weights_file) as process:
        read_line(process)
        pid = server_of(process.pid)
        process.kill()
        process.wait()
        assert read_line(process) == {"same": True, "ok": True}
        assert is_alive(pid)
        send_line(process)
        assert is_gone(pid)


# A forked process leaves the two descriptors it inherited alone.
@pytest.mark.parametrize(("where", "kept"), [("True", 0), ("os.fork() == 0", 2)])
def test_start_replaces_a_child_that_died(weights_file: Path, where: str, kept: int) -> None:
    script = f"""
first = start()
before = len(os.listdir("/proc/self/fd"))
say()
if {where}:
    sys.stdin.readline()
    second = start()
    after = len(os.listdir("/proc/self/fd"))
    say(pid=os.getpid(), new=second.key != first.key, ok=works(second), kept=after - before)
    sys.stdin.readline()
    os._exit(0)
os.wait()
"""
    with program(script, weights_file) as process:
        read_line(process)
        pid = server_of(process.pid)
        os.kill(pid, signal.SIGKILL)
        assert is_gone(pid)
        send_line(process)
        answer = read_line(process)
        assert len(servers_of(answer.pop("pid"))) == 1
        assert answer == {"new": True, "ok": True, "kept": kept}


def test_start_makes_a_fork_wait_until_it_is_done(weights_file: Path) -> None:
    script = """
import warnings
warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12: forking with threads
under_way, launch = threading.Event(), llama_server._launch
def launched(*args):
    under_way.set()
    return launch(*args)
llama_server._launch = launched
threading.Thread(target=start).start()
under_way.wait()
forked = os.fork()
server = start()
say(url=server.base_url, ok=works(server))
if forked:
    os.wait()
"""
    with program(script, weights_file) as process:
        first, second = read_line(process), read_line(process)
        assert first == second
        assert first["ok"]


def test_child_survives_ctrl_c_if_the_program_continues(weights_file: Path) -> None:
    script = """
server = start()
try:
    say()
    time.sleep(60)
except KeyboardInterrupt:
    time.sleep(1)
    say(same=start() is server, ok=works(server))
"""
    with program(script, weights_file) as process:
        read_line(process)
        os.killpg(process.pid, signal.SIGINT)
        assert read_line(process) == {"same": True, "ok": True}


def test_start_interrupted_by_ctrl_c_leaves_no_child(weights_file: Path) -> None:
    script = """
exchange = llama_server._exchange
def and_goes_on(*args):
    exchange(*args)
    time.sleep(60)
llama_server._exchange = and_goes_on
say()
try:
    start()
except KeyboardInterrupt:
    say()
    time.sleep(60)
"""
    with program(script, weights_file) as process:
        read_line(process)
        pid = server_of(process.pid)
        os.killpg(process.pid, signal.SIGINT)
        read_line(process)
        assert is_gone(pid)
