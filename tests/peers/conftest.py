"""aimock, a fault server that nobody here wrote, plain and before the real model.

It plays OpenAI's two protocols, Anthropic's and Gemini's. Before the real model there
is no Gemini: llama.cpp's server does not speak it.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import time
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import requests

from inference_providers.failover import state
from inference_providers.failover.cooldowns import cooldown_length_s
from inference_providers.local import llama_server
from inference_providers.testing import FakeProvider, Reply
from langchain_autoprovider import AutoChatModel

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from langchain_core.messages import BaseMessage

    from inference_providers.failures.classes import Classification


HERE = Path(__file__).parent
PROGRAM = HERE / "node_modules/@copilotkit/aimock/dist/cli.js"
START_TIMEOUT_S = 120.0
HTTP_TIMEOUT_S = 60.0
FACTOR = 60
FIRST_KEY = "first-key-value"
ENDS_WITH_STDIN = (
    "data:text/javascript,import http from 'node:http';http.globalAgent.keepAlive=false;"
    "process.stdin.on('end',()=>process.exit()).resume()"
)
"""Loaded before aimock, which would outlive a test session that is killed.

Nor does it keep connections to the real model: it and llama.cpp both give up one that is idle for
5 seconds, and a request that meets with the other's end of it is an error 502.
"""


@pytest.fixture(scope="session", autouse=True)
def _sdks_loaded() -> None:
    """Import the SDKs: during a call, that would take longer than some limits here."""
    for module in ("openai", "anthropic", "google"):
        import_module(f"langchain_autoprovider.protocols.{module}")


@pytest.fixture(autouse=True)
def _long_cooldowns(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make cooldowns that we guess longer than any test on a slow machine."""

    def longer_s(classification: Classification, *args: Any) -> float:
        seconds = cooldown_length_s(classification, *args)
        return seconds if classification.retry_after_s else FACTOR * seconds

    monkeypatch.setattr(state, "cooldown_length_s", longer_s)


class Peer:
    """One running aimock, and its control interface."""

    def __init__(self, url: str) -> None:
        self.url = url

    def row(self, protocol: str, **entry: Any) -> dict[str, Any]:
        """Return a provider row that serves `m-1` as `first-id`."""
        base_url = self.url if protocol == "google-genai" else f"{self.url}/v1"
        return {
            "name": "aimock",
            "auth": {"any_of": [["FIRST_KEY"]]},
            "endpoints": {"default": {"protocol": protocol, "base_url": base_url}},
            "models": {"m-1": {"id": "first-id", **entry}},
        }

    def asked(self, prompt: str) -> list[dict[str, Any]]:
        """Return the journal of the requests with this prompt, in order."""
        # One that an earlier test gave up on may be written down later.
        return [e for e in self._ask("GET", "journal") if prompt in json.dumps(e["body"])]

    def plays(self, **chaos: float) -> None:
        """Treat every request this way, until the test ends."""
        self._ask("POST", "chaos", chaos)

    def fails_once(self, status: int) -> None:
        """Answer the next request with an error."""
        self._ask("POST", "error", {"status": status, "body": {"message": "Failing once"}})

    def reset(self) -> None:
        """Forget the journal and the chaos; fixtures stay."""
        self._ask("POST", "reset/journal")
        self._ask("DELETE", "chaos")

    def _ask(self, method: str, what: str, body: Any = None) -> Any:
        headers = {"authorization": f"Bearer {FIRST_KEY}"}
        done = requests.request(
            method,
            f"{self.url}/__aimock/{what}",
            json=body,
            headers=headers,
            timeout=HTTP_TIMEOUT_S,
        )
        done.raise_for_status()
        return done.json()


def _started(log: Path, *options: str, **environment: str) -> Iterator[Peer]:
    assert shutil.which("node"), "there is no `node`; install Node.js 20.15 or newer"
    assert PROGRAM.is_file(), "aimock is not installed; run `make test-peers`"
    command = ["node", "--import", ENDS_WITH_STDIN, str(PROGRAM), "--port", "0"]
    command += ["--fixtures", str(HERE / "fixtures.json"), "--validate-on-load", *options]
    with (
        log.open("wb") as output,
        subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={"PATH": os.environ["PATH"], **environment},
        ) as process,
    ):
        try:
            yield Peer(_listening(log, process))
        finally:
            process.kill()


def _listening(log: Path, process: subprocess.Popen[bytes]) -> str:
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline and process.poll() is None:
        if found := re.search(r"listening on (http://[\d.:]+)\s", log.read_text()):
            return found[1]
        time.sleep(0.02)
    pytest.fail(f"aimock did not start:\n{log.read_text()}")


@pytest.fixture(scope="session")
def plain_aimock(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Peer]:
    yield from _started(tmp_path_factory.mktemp("aimock") / "plain.log")


@pytest.fixture(scope="session")
def proxy_aimock(
    tmp_path_factory: pytest.TempPathFactory, real: llama_server.EmbeddedServer
) -> Iterator[Peer]:
    yield from _started(
        tmp_path_factory.mktemp("aimock") / "proxy.log",
        "--proxy-only",
        "--provider-openai",
        real.base_url.removesuffix("/v1"),
        "--provider-anthropic",
        real.base_url.removesuffix("/v1"),
        AIMOCK_API_KEYS=FIRST_KEY,
        AIMOCK_PROVIDER_OPENAI_KEY=real.key,
        AIMOCK_PROVIDER_ANTHROPIC_KEY=real.key,
    )


@pytest.fixture(scope="session")
def real(weights_file: Path) -> llama_server.EmbeddedServer:
    """The real model's own server."""
    return llama_server.start(weights_file, model="smollm2-135m")


@pytest.fixture(params=["openai-chat", "openai-responses", "anthropic", "google-genai"])
def protocol(request: pytest.FixtureRequest) -> str:
    """What aimock plays."""
    return request.param


@pytest.fixture(params=["openai-chat", "openai-responses", "anthropic"])
def real_protocol(request: pytest.FixtureRequest) -> str:
    """What the real model's server speaks, too."""
    return request.param


@pytest.fixture
def aimock(plain_aimock: Peer, monkeypatch: pytest.MonkeyPatch) -> Peer:
    """aimock, which answers from its fixtures only."""
    monkeypatch.setenv("FIRST_KEY", FIRST_KEY)
    plain_aimock.reset()
    return plain_aimock


@pytest.fixture
def proxy(proxy_aimock: Peer, monkeypatch: pytest.MonkeyPatch) -> Peer:
    """aimock before the real model, which answers what no fixture matches."""
    monkeypatch.setenv("FIRST_KEY", FIRST_KEY)
    proxy_aimock.reset()
    return proxy_aimock


@pytest.fixture
def second(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeProvider]:
    monkeypatch.setenv("SECOND_KEY", "second-key-value")
    with FakeProvider(Reply("from second")) as fake:
        yield fake


@pytest.fixture
def model_over() -> Callable[..., AutoChatModel]:
    """Make a model over provider rows, in their order."""

    def make(rows: Mapping[str, Any], **kwargs: Any) -> AutoChatModel:
        return AutoChatModel("m-1", registry={"providers": dict(rows)}, **kwargs)

    return make


@pytest.fixture(params=["invoke", "ainvoke", "stream", "astream"])
def ask(request: pytest.FixtureRequest) -> Callable[..., Any]:
    """One way to ask a model: each test runs in all four."""

    async def asked(model: Any, prompt: str) -> BaseMessage:
        match request.param:
            case "invoke":
                return model.invoke(prompt)
            case "ainvoke":
                return await model.ainvoke(prompt)
            case "stream":
                chunks = list(model.stream(prompt))
            case _:
                chunks = [chunk async for chunk in model.astream(prompt)]
        return sum(chunks[1:], start=chunks[0])

    return asked
