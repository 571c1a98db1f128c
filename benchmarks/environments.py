"""The virtual environments of the benchmarks: one for each library, as its users would have it.

`make bench` creates them from `locks/`, which `make lock` writes.
"""

from __future__ import annotations

import json
import platform
import subprocess
from pathlib import Path
from typing import Any

__all__ = ["ROOT", "Worker", "package_versions", "python_of"]

ROOT = Path(__file__).parents[1] / ".venv-bench"

_VERSIONS = """
import json, sys
from importlib.metadata import version
print(json.dumps({name: version(name) for name in sys.argv[1:]}))
"""


def python_of(environment: str) -> str:
    """Return the interpreter of an environment."""
    return str(ROOT / environment / "bin" / "python")


def package_versions(packages: dict[str, tuple[str, ...]]) -> dict[str, str]:
    """Return the versions of packages, which are given by environment, and of Python."""
    versions = {"Python": platform.python_version()}
    for environment, names in packages.items():
        done = subprocess.run(
            [python_of(environment), "-c", _VERSIONS, *names],
            check=True,
            capture_output=True,
            text=True,
        )
        versions |= json.loads(done.stdout)
    return versions


class Worker:
    """A process that answers each line of JSON with another."""

    def __init__(self, command: list[str], *, env: dict[str, str], verbose: bool = False) -> None:
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=None if verbose else subprocess.DEVNULL,
            text=True,
            env=env,
            cwd=Path(__file__).parent,
        )

    def send(self, value: Any) -> None:
        """Send a value."""
        assert self._process.stdin
        self._process.stdin.write(json.dumps(value) + "\n")
        self._process.stdin.flush()

    def ask(self, value: Any) -> Any:
        """Send a value and return the answer."""
        self.send(value)
        return self.read()

    def last(self) -> Any:
        """End the input, and return what the process then writes."""
        assert self._process.stdin
        self._process.stdin.close()
        return self.read()

    def read(self) -> Any:
        """Return the next line's value.

        Raises:
            EOFError: The process has ended.
        """
        assert self._process.stdout
        if line := self._process.stdout.readline():
            return json.loads(line)
        msg = f"{self._process.args!r} ended; run with --verbose to see why"
        raise EOFError(msg)

    def stop(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.wait()
