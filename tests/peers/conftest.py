"""aimock, an independent fault server, by itself and in front of the real model.

It plays OpenAI's two protocols, Anthropic's and Gemini's. In front of the real model Gemini is
left out, since llama.cpp's server does not support it.
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
"""Imported before aimock: ends it with the test session, even if that is killed.

It also turns off kept connections to the real model. Both aimock and llama.cpp close one that is
idle for 5 seconds, and a request that meets such a close fails with HTTP 502.
"""


@pytest.fixture(scope="module", autouse=True)
def _no_process_left_behind() -> None:
    """Let aimock outlive a module: its processes serve, and end with, the whole session."""


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

    def journal_of(self, prompt: str) -> list[dict[str, Any]]:
        """Return the journal entries of the requests with this prompt, in order."""
        # A request that an earlier test abandoned may be added later.
        return [e for e in self._request("GET", "journal") if prompt in json.dumps(e["body"])]

    def plays(self, **chaos: float) -> None:
        """Set faults for every request, until the test ends."""
        self._request("POST", "chaos", chaos)

    def fails_once(self, status: int) -> None:
        """Answer the next request with an error."""
        self._request("POST", "error", {"status": status, "body": {"message": "Failing once"}})

    def reset(self) -> None:
        """Clear the journal and the faults; fixtures stay."""
        self._request("POST", "reset/journal")
        self._request("DELETE", "chaos")

    def _request(self, method: str, what: str, body: Any = None) -> Any:
        headers = {"authorization": f"Bearer {FIRST_KEY}"}
        response = requests.request(
            method,
            f"{self.url}/__aimock/{what}",
            json=body,
            headers=headers,
            timeout=HTTP_TIMEOUT_S,
        )
        response.raise_for_status()
        return response.json()


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
        if match := re.search(r"listening on (http://[\d.:]+)\s", log.read_text()):
            return match[1]
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
    """The protocol that aimock uses."""
    return request.param


@pytest.fixture(params=["openai-chat", "openai-responses", "anthropic"])
def real_protocol(request: pytest.FixtureRequest) -> str:
    """The protocols that the real model's server supports as well."""
    return request.param


@pytest.fixture
def aimock(plain_aimock: Peer, monkeypatch: pytest.MonkeyPatch) -> Peer:
    """aimock, which answers from its fixtures only."""
    monkeypatch.setenv("FIRST_KEY", FIRST_KEY)
    plain_aimock.reset()
    return plain_aimock


@pytest.fixture
def proxy(proxy_aimock: Peer, monkeypatch: pytest.MonkeyPatch) -> Peer:
    """aimock in front of the real model, which answers when no fixture matches."""
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
    """Build a model over provider rows, in their order."""

    def make(rows: Mapping[str, Any], **kwargs: Any) -> AutoChatModel:
        return AutoChatModel("m-1", registry={"providers": dict(rows)}, **kwargs)

    return make


@pytest.fixture(params=["invoke", "ainvoke", "stream", "astream"])
def ask(request: pytest.FixtureRequest) -> Callable[..., Any]:
    """One way to call a model; each test runs in all four."""

    async def call(model: Any, prompt: str) -> BaseMessage:
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

    return call
