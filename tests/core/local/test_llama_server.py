"""The embedded server is the real llama.cpp, with the real weights."""

from __future__ import annotations

import contextlib
import gc
import json
import os
import re
import shutil
import sys
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

from inference_providers.errors import LocalServerError, MissingPackageError
from inference_providers.local import llama_server, weights

if TYPE_CHECKING:
    from inference_providers.local.llama_server import EmbeddedServer

pytestmark = [
    pytest.mark.embedded,
    pytest.mark.skipif(sys.platform != "linux", reason="reads /proc"),
]

MODEL = weights.DEFAULT_MODEL
HELLO = [{"role": "user", "content": "Say hello."}]


@pytest.fixture(scope="module")
def server(weights_file: Path) -> EmbeddedServer:
    return llama_server.start(weights_file, model=MODEL)


@pytest.fixture(scope="module")
def other_file(weights_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Copy the weights to a name that does not say whose they are."""
    return Path(shutil.copy(weights_file, tmp_path_factory.mktemp("weights") / "other.gguf"))


def call(server: EmbeddedServer, path: str, body: Any = None, *, key: str = "") -> tuple[int, Any]:
    url = server.base_url.removesuffix("/v1") + path
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {key or server.key}"}
    request = urllib.request.Request(url, json.dumps(body).encode() if body else None, headers)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


def ask(server: EmbeddedServer, path: str, body: Any = None) -> Any:
    status, answer = call(server, path, body)
    assert status == 200, answer
    return answer


def children() -> set[str]:
    """Return the child processes, read from /proc: a thread's own list moves when it ends."""
    pids = set()
    for file in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            parent = file.read_text().rpartition(")")[2].split()[1]
            if int(parent) == os.getpid():
                pids.add(file.parent.name)
    return pids


def open_descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_start_in_eight_threads_starts_one_server(other_file: Path) -> None:
    link = other_file.with_name("link.gguf")
    link.symlink_to(other_file)
    before = children()
    with ThreadPoolExecutor(8) as pool:
        servers = set(
            pool.map(lambda file: llama_server.start(file, model=MODEL), [other_file, link] * 4)
        )
    assert len(servers) == 1
    assert len(children() - before) == 1


def test_server_answers_under_its_model_name(server: EmbeddedServer) -> None:
    answer = ask(server, "/v1/chat/completions", {"messages": HELLO, "max_tokens": 8})
    assert answer["choices"][0]["message"]["content"]
    assert answer["model"] == MODEL
    assert "xllamacpp" not in sys.modules, "it runs in this process"


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/models", "/slots", "/props"])
def test_server_refuses_a_wrong_key(server: EmbeddedServer, path: str) -> None:
    body = {"messages": HELLO} if path.endswith("completions") else None
    assert call(server, path, body, key="wrong")[0] == 401


def test_server_listens_on_loopback_only(server: EmbeddedServer) -> None:
    tables = [Path(f"/proc/net/{name}").read_text().splitlines()[1:] for name in ("tcp", "tcp6")]
    rows = [row.split() for table in tables for row in table]
    port = f"{urlsplit(server.base_url).port:04X}"
    listening = [row[1] for row in rows if row[3] == "0A" and row[1].endswith(f":{port}")]
    assert listening == [f"0100007F:{port}"]


def test_server_key_is_not_visible_to_other_processes(server: EmbeddedServer) -> None:
    assert server.key not in repr(server)
    assert len(server.key) >= 32
    pids = children()
    assert pids
    for pid in pids:
        for surface in ("cmdline", "environ"):
            assert server.key.encode() not in Path(f"/proc/{pid}/{surface}").read_bytes()


def test_server_calls_tools_with_our_template(server: EmbeddedServer) -> None:
    city = {"type": "string"}
    parameters = {"type": "object", "properties": {"city": city}, "required": ["city"]}
    tool = {"type": "function", "function": {"name": "weather", "parameters": parameters}}
    messages = [{"role": "user", "content": "What is the weather in Paris?"}]
    body = {"messages": messages, "tools": [tool], "tool_choice": "required", "temperature": 0}
    answer = ask(server, "/v1/chat/completions", body)
    (tool_call,) = answer["choices"][0]["message"]["tool_calls"]
    assert tool_call["function"]["name"] == "weather"
    assert "city" in json.loads(tool_call["function"]["arguments"])


def test_server_embeds_inputs_as_long_as_a_request(server: EmbeddedServer) -> None:
    one, two = ask(server, "/v1/embeddings", {"input": ["a cat", "a dog"]})["data"]
    assert len(one["embedding"]) == 576
    assert one["embedding"] != two["embedding"]
    code, error = call(server, "/v1/embeddings", {"input": "cat " * 2100})
    assert code >= 400
    assert "2048" in error["error"]["message"], "the limit is not a whole request"


def test_server_keeps_the_template_of_other_weights(
    server: EmbeddedServer, other_file: Path
) -> None:
    other = llama_server.start(other_file, model="other")
    ours = ask(server, "/props")["chat_template"]
    assert "tool_call" in ours
    assert "tool_call" not in ask(other, "/props")["chat_template"]


def test_start_names_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(
        LocalServerError, match=r"file '.*/gone\.gguf' does not exist.*AUTOPROVIDER_GGUF"
    ):
        llama_server.start(tmp_path / "gone.gguf", model=MODEL)


def test_start_names_a_file_that_is_not_gguf(tmp_path: Path) -> None:
    text = tmp_path / "text.gguf"
    text.write_text("hello")
    with pytest.raises(LocalServerError, match=r"'.*/text\.gguf' is not a GGUF file"):
        llama_server.start(text, model=MODEL)


def test_start_reports_llama_cpps_reason_for_a_cut_file(weights_file: Path, tmp_path: Path) -> None:
    cut = tmp_path / "cut.gguf"
    with weights_file.open("rb") as whole:
        cut.write_bytes(whole.read(3_000_000))
    gc.collect()  # sockets of earlier tests would close in between
    before, descriptors = children(), open_descriptors()
    with pytest.raises(LocalServerError, match="model is corrupted or incomplete") as caught:
        llama_server.start(cut, model=MODEL)
    assert len(str(caught.value).splitlines()) == 2
    assert children() <= before  # a child of an earlier test may have ended meanwhile
    assert open_descriptors() <= descriptors


def test_start_ends_a_server_that_takes_too_long(
    weights_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = Path(shutil.copy(weights_file, tmp_path / "slow.gguf"))
    monkeypatch.setattr(llama_server, "START_TIMEOUT_S", 0.05)
    before = children()
    with pytest.raises(LocalServerError, match=r"no answer within 0\.05 s"):
        llama_server.start(slow, model=MODEL)
    assert children() <= before


@pytest.mark.parametrize(
    ("python", "reason"),
    [("/no-python", "cannot be started for .*/no-python"), ("/bin/false", "ended with status 1")],
)
def test_start_reports_a_python_that_does_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, python: str, reason: str
) -> None:
    gguf = tmp_path / "x.gguf"
    gguf.write_bytes(b"GGUF")
    monkeypatch.setattr(sys, "executable", python)
    with pytest.raises(LocalServerError, match=reason):
        llama_server.start(gguf, model=MODEL)


def test_start_without_the_extra_gives_the_pip_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert llama_server.available() is None
    monkeypatch.setitem(sys.modules, "xllamacpp", None)
    reason = llama_server.available()
    assert reason is not None
    assert reason.endswith("run `pip install 'autoprovider[local]'`")
    with pytest.raises(MissingPackageError, match=re.escape(reason)):
        llama_server.start(tmp_path / "any.gguf", model=MODEL)
