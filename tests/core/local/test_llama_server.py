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
    """Return them from the whole table: a thread's own list moves to another when it ends."""
    found = set()
    for file in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            parent = file.read_text().rpartition(")")[2].split()[1]
            if int(parent) == os.getpid():
                found.add(file.parent.name)
    return found


def open_descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_eight_threads_with_two_paths_to_a_file_start_one_server(other_file: Path) -> None:
    link = other_file.with_name("link.gguf")
    link.symlink_to(other_file)
    before = children()
    with ThreadPoolExecutor(8) as pool:
        servers = set(
            pool.map(lambda file: llama_server.start(file, model=MODEL), [other_file, link] * 4)
        )
    assert len(servers) == 1
    assert len(children() - before) == 1


def test_answers_under_the_name_it_was_given(server: EmbeddedServer) -> None:
    answer = ask(server, "/v1/chat/completions", {"messages": HELLO, "max_tokens": 8})
    assert answer["choices"][0]["message"]["content"]
    assert answer["model"] == MODEL
    assert "xllamacpp" not in sys.modules, "it runs in this process"


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/models", "/slots", "/props"])
def test_refuses_who_does_not_know_the_key(server: EmbeddedServer, path: str) -> None:
    body = {"messages": HELLO} if path.endswith("completions") else None
    assert call(server, path, body, key="wrong")[0] == 401


def test_listens_on_127_0_0_1_only(server: EmbeddedServer) -> None:
    tables = [Path(f"/proc/net/{name}").read_text().splitlines()[1:] for name in ("tcp", "tcp6")]
    rows = [row.split() for table in tables for row in table]
    port = f"{urlsplit(server.base_url).port:04X}"
    listening = [row[1] for row in rows if row[3] == "0A" and row[1].endswith(f":{port}")]
    assert listening == [f"0100007F:{port}"]


def test_the_key_is_seen_nowhere(server: EmbeddedServer) -> None:
    assert server.key not in repr(server)
    assert len(server.key) >= 32
    pids = children()
    assert pids
    for pid in pids:
        for surface in ("cmdline", "environ"):
            assert server.key.encode() not in Path(f"/proc/{pid}/{surface}").read_bytes()


def test_tools_are_called_although_the_models_own_template_has_none(server: EmbeddedServer) -> None:
    city = {"type": "string"}
    parameters = {"type": "object", "properties": {"city": city}, "required": ["city"]}
    tool = {"type": "function", "function": {"name": "weather", "parameters": parameters}}
    messages = [{"role": "user", "content": "What is the weather in Paris?"}]
    body = {"messages": messages, "tools": [tool], "tool_choice": "required", "temperature": 0}
    answer = ask(server, "/v1/chat/completions", body)
    (made,) = answer["choices"][0]["message"]["tool_calls"]
    assert made["function"]["name"] == "weather"
    assert "city" in json.loads(made["function"]["arguments"])


def test_embeds_and_takes_inputs_as_long_as_a_request(server: EmbeddedServer) -> None:
    one, two = ask(server, "/v1/embeddings", {"input": ["a cat", "a dog"]})["data"]
    assert len(one["embedding"]) == 576
    assert one["embedding"] != two["embedding"]
    code, error = call(server, "/v1/embeddings", {"input": "cat " * 2100})
    assert code >= 400
    assert "2048" in error["error"]["message"], "the limit is not a whole request"


def test_other_weights_keep_their_own_template(server: EmbeddedServer, other_file: Path) -> None:
    other = llama_server.start(other_file, model="other")
    ours = ask(server, "/props")["chat_template"]
    assert "tool_call" in ours
    assert "tool_call" not in ask(other, "/props")["chat_template"]


def test_a_file_that_is_gone_is_named(tmp_path: Path) -> None:
    with pytest.raises(LocalServerError, match=r"no file '.*/gone\.gguf'.*AUTOPROVIDER_GGUF"):
        llama_server.start(tmp_path / "gone.gguf", model=MODEL)


def test_what_is_no_gguf_file_is_named(tmp_path: Path) -> None:
    text = tmp_path / "text.gguf"
    text.write_text("hello")
    with pytest.raises(LocalServerError, match=r"'.*/text\.gguf' is not a GGUF file"):
        llama_server.start(text, model=MODEL)


def test_a_cut_file_is_told_in_llama_cpps_own_words(weights_file: Path, tmp_path: Path) -> None:
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


def test_a_server_that_takes_too_long_is_ended(
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
def test_a_python_that_does_not_run_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, python: str, reason: str
) -> None:
    gguf = tmp_path / "x.gguf"
    gguf.write_bytes(b"GGUF")
    monkeypatch.setattr(sys, "executable", python)
    with pytest.raises(LocalServerError, match=reason):
        llama_server.start(gguf, model=MODEL)


def test_without_the_extra_the_pip_line_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert llama_server.available() is None
    monkeypatch.setitem(sys.modules, "xllamacpp", None)
    reason = llama_server.available()
    assert reason is not None
    assert reason.endswith("run `pip install 'autoprovider[local]'`")
    with pytest.raises(MissingPackageError, match=re.escape(reason)):
        llama_server.start(tmp_path / "any.gguf", model=MODEL)
