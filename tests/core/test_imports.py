"""Importing loads no SDK and opens no connection, checked in a new process."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow

SCRIPT = """
import json, socket, sys, threading
def blocked(*args, **kwargs):
    raise AssertionError("a socket was opened at import")
socket.socket.__init__ = blocked
import {package}
print(json.dumps([sorted(sys.modules), threading.active_count()]))
"""


SDKS = {
    "aiohttp", "anthropic", "botocore", "cohere", "google.genai", "httpcore", "httpx",
    "langchain_anthropic",
    "langchain_aws", "langchain_cohere", "langchain_google_genai", "langchain_mistralai",
    "langchain_openai", "openai", "xllamacpp",
}  # fmt: skip


@pytest.mark.parametrize(
    ("package", "absent"),
    [
        ("inference_providers", {*SDKS, "langchain_core", "rich", "requests"}),
        ("inference_providers.cli", {*SDKS, "langchain_core", "requests"}),
        ("langchain_autoprovider", SDKS),
    ],
)
def test_import_loads_no_sdk_and_opens_no_socket(package: str, absent: set[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", SCRIPT.format(package=package)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    modules, threads = json.loads(done.stdout)
    assert package in modules
    assert absent.isdisjoint(modules), absent.intersection(modules)
    assert threads == 1
