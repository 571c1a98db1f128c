"""Replicate's predictions against a server that plays them."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from inference_providers import AllRoutesFailed, ProviderList, StreamInterrupted
from inference_providers.errors import ConfigError, InvalidResponseError
from langchain_autoprovider import AutoChatModel
from langchain_autoprovider.protocols.replicate import _stream_url

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

KEY = "r8-key-value"
WORDS = ("Hello", " from", " a", " prediction")
TEXT = "".join(WORDS)


class Replicate:
    """Plays predictions: how many polls one takes, how it ends, what it streams."""

    def __init__(self, port: int) -> None:
        self.base_url = f"http://127.0.0.1:{port}/v1"
        self.polls_needed = 0
        self.end: dict[str, Any] = {
            "status": "succeeded",
            "output": list(WORDS),
            "metrics": {"input_token_count": 5, "output_token_count": 4},
        }
        self.status = 201
        self.refusal: dict[str, Any] = {}
        self.done = 'event: done\ndata: {"reason": ""}\n\n'
        self.has_stream = True
        self.stream_url: Any = self.base_url.replace("127.0.0.1", "localhost") + "/streams/s1"
        self.calls: list[tuple[str, str, dict[str, str], Any]] = []

    def prediction(self) -> dict[str, Any]:
        urls: dict[str, Any] = {"get": f"{self.base_url}/predictions/p1"}
        if self.has_stream:
            urls["stream"] = self.stream_url
        polls = sum(path.endswith("/predictions/p1") for _, path, _, _ in self.calls)
        ready = polls >= self.polls_needed
        return {"id": "p1", "urls": urls, **(self.end if ready else {"status": "processing"})}

    def stream(self) -> bytes:
        words = "".join(f"event: output\nid: 1\ndata: {word}\n\n" for word in WORDS)
        return f": hi\n\n{words}{self.done}".encode()


@pytest.fixture
def replicate(monkeypatch: pytest.MonkeyPatch) -> Iterator[Replicate]:
    monkeypatch.setattr("langchain_autoprovider.protocols.replicate.POLL_INTERVAL_S", 0.01)
    monkeypatch.setenv("REPLICATE_API_TOKEN", KEY)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *args: Any) -> None:
            pass

        def answer(self) -> None:
            raw = self.rfile.read(int(self.headers.get("content-length", 0)))
            headers = {name.lower(): value for name, value in self.headers.items()}
            replicate.calls.append((self.command, self.path, headers, json.loads(raw or "null")))
            streams = "/streams/" in self.path
            body = replicate.refusal or replicate.prediction()
            data = replicate.stream() if streams else json.dumps(body).encode()
            self.send_response(200 if streams else replicate.status)
            self.send_header("content-type", "text/event-stream" if streams else "text/json")
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = answer  # noqa: N815 - names of the base class

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    replicate = Replicate(server.server_port)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield replicate
    server.shutdown()
    thread.join()
    server.server_close()


def registry(replicate: Replicate, model_id: str = "meta/llama") -> dict[str, Any]:
    row = {
        "name": "Replicate",
        "auth": {"any_of": [["REPLICATE_API_TOKEN"]]},
        "endpoints": {"default": {"protocol": "replicate", "base_url": replicate.base_url}},
        "models": {"m-1": model_id},
    }
    return {"providers": {"replicate": row}}


def model_over(replicate: Replicate, model_id: str = "meta/llama", **kwargs: Any) -> AutoChatModel:
    return AutoChatModel("m-1", registry=registry(replicate, model_id), max_retries=0, **kwargs)


async def test_replicate_answers(replicate: Replicate, ask: Callable[..., Any]) -> None:
    answer = await ask(model_over(replicate), "Hi")
    assert answer.text == TEXT
    assert answer.response_metadata["finish_reason"] == "stop"
    assert answer.response_metadata["autoprovider"]["provider"] == "replicate"


async def test_replicate_request_has_key_prompt_and_settings(
    replicate: Replicate, ask: Callable[..., Any]
) -> None:
    model = model_over(replicate, temperature=0.5, max_tokens=9, seed=7, stop=["END", "."])
    await ask(model, [("system", "Be brief"), ("human", "Hi")])
    method, path, headers, body = replicate.calls[0]
    assert (method, path) == ("POST", "/v1/models/meta/llama/predictions")
    assert headers["authorization"] == f"Bearer {KEY}"
    assert body["input"] == {
        "prompt": "Hi",
        "system_prompt": "Be brief",
        "temperature": 0.5,
        "max_tokens": 9,
        "seed": 7,
        "stop_sequences": "END,.",
    }
    if "stream" in ask.__name__:
        assert body["stream"] is True
    else:
        assert headers["prefer"] == "wait=60"


def test_replicate_turns_a_conversation_into_one_prompt(replicate: Replicate) -> None:
    model_over(replicate).invoke([("human", "Hi"), ("ai", "Hello"), ("human", "Bye")])
    prompt = replicate.calls[0][3]["input"]["prompt"]
    assert prompt == "User: Hi\n\nAssistant: Hello\n\nUser: Bye\n\nAssistant:"


def test_replicate_waits_for_an_unfinished_prediction(replicate: Replicate) -> None:
    replicate.polls_needed = 3
    answer = model_over(replicate).invoke("Hi")
    assert answer.text == TEXT
    assert answer.usage_metadata == {"input_tokens": 5, "output_tokens": 4, "total_tokens": 9}
    assert [method for method, *_ in replicate.calls] == ["POST", "GET", "GET", "GET"]


def test_replicate_stops_waiting_at_the_timeout(replicate: Replicate) -> None:
    replicate.polls_needed = 10_000
    with pytest.raises(AllRoutesFailed, match="overloaded"):
        model_over(replicate, timeout=0.2).invoke("Hi")


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("http://169.254.169.254/latest/meta-data", "not on a host of"),
        ("https://stream.replicate.com/s1", "not on a host of"),
        ("https://127.0.0.1/s1", "not on a host of"),
        ("http://127.0.0.1:1/s1", "not on a host of"),
        ("file:///etc/passwd", "no 'stream' URL"),
        (None, "no 'stream' URL"),
    ],
)
def test_replicate_reads_no_stream_from_elsewhere(
    replicate: Replicate, url: str | None, reason: str
) -> None:
    replicate.stream_url = url
    with pytest.raises(AllRoutesFailed, match=reason):
        list(model_over(replicate).stream("Hi"))


@pytest.mark.parametrize(
    ("api", "target", "is_beside"),
    [
        ("https://api.replicate.com/v1", "https://stream.replicate.com/s", True),
        ("https://api.replicate.com/v1", "https://api.replicate.com/s", True),
        ("https://api.replicate.com/v1", "http://stream.replicate.com/s", False),
        ("https://api.replicate.com/v1", "https://stream.replicate.com:8443/s", False),
        ("https://api.replicate.com/v1", "https://evilreplicate.com/s", False),
        ("https://api.replicate.com/v1", "https://replicate.com.evil.test/s", False),
        ("https://api.replicate.com/v1", "https://127.0.0.1/s", False),
        ("https://replicate.com/v1", "https://evil.com/s", False),
    ],
)
def test_replicate_streams_come_from_the_api_s_domain(
    api: str, target: str, is_beside: bool
) -> None:
    prediction = {"urls": {"stream": target}}
    if is_beside:
        assert _stream_url(prediction, httpx.URL(api)) == target
        return
    with pytest.raises(InvalidResponseError, match="not on a host of"):
        _stream_url(prediction, httpx.URL(api))


@pytest.mark.parametrize("name", ["../../admin/x", "x/../../../v1/files", "a//b"])
def test_replicate_model_ids_do_not_change_the_path(replicate: Replicate, name: str) -> None:
    model = AutoChatModel(f"replicate/{name}", registry=registry(replicate), max_retries=0)
    with pytest.raises(ConfigError, match="cannot be a model id"):
        model.invoke("Hi")
    assert not replicate.calls


async def test_replicate_key_does_not_go_to_the_stream_host(replicate: Replicate) -> None:
    list(model_over(replicate).stream("Hi"))
    ((_, _, headers, _),) = [call for call in replicate.calls if "/streams/" in call[1]]
    assert headers["host"].startswith("localhost")
    assert KEY not in str(headers)


def test_replicate_sends_a_version_to_its_own_path(replicate: Replicate) -> None:
    model_over(replicate, "someone/llama:abc123").invoke("Hi")
    _, path, _, body = replicate.calls[0]
    assert path == "/v1/predictions"
    assert body["version"] == "abc123"


@pytest.mark.parametrize(
    ("status", "body", "failure_class"),
    [
        (
            401,
            {"title": "Unauthenticated", "detail": "You did not pass a valid token"},
            "auth_failed",
        ),
        (402, {"title": "Insufficient credit", "detail": "Add credit"}, "quota_exceeded"),
        (404, {"detail": "The requested resource could not be found."}, "model_not_found"),
        (
            429,
            {"detail": "Request was throttled. Expected available in 5 seconds."},
            "rate_limited",
        ),
        (503, {"detail": "Service unavailable"}, "overloaded"),
    ],
)
async def test_replicate_failures_are_classified(
    replicate: Replicate,
    ask: Callable[..., Any],
    status: int,
    body: dict[str, Any],
    failure_class: str,
) -> None:
    replicate.status, replicate.refusal = status, body
    with pytest.raises(AllRoutesFailed, match=failure_class) as caught:
        await ask(model_over(replicate), "Hi")
    assert caught.value.attempts[-1].status == status
    assert KEY not in str(caught.value)


@pytest.mark.parametrize(
    "end",
    [
        {"status": "failed", "error": "CUDA ran away"},
        {"status": "canceled"},
        {"status": "succeeded", "output": None},
        {},
    ],
)
def test_replicate_prediction_without_output_is_invalid(
    replicate: Replicate, end: dict[str, Any]
) -> None:
    replicate.end = end
    with pytest.raises(AllRoutesFailed, match="invalid_response"):
        model_over(replicate).invoke("Hi")


@pytest.mark.parametrize(
    "done",
    ["", "event: error\ndata: out of memory\n\n", 'event: done\ndata: {"reason": "error"}\n\n'],
)
async def test_replicate_stream_that_ends_badly_is_interrupted(
    replicate: Replicate, done: str, ask: Callable[..., Any]
) -> None:
    replicate.done = done
    with pytest.raises(StreamInterrupted) as caught:
        await ask(model_over(replicate, streaming=True), "Hi")
    assert caught.value.partial.text == TEXT


async def test_replicate_model_that_cannot_stream_is_polled(
    replicate: Replicate, ask: Callable[..., Any]
) -> None:
    replicate.has_stream, replicate.polls_needed = False, 2
    answer = await ask(model_over(replicate, streaming=True), "Hi")
    assert answer.text == TEXT


def test_replicate_does_not_support_tools(replicate: Replicate) -> None:
    tool = {"type": "function", "function": {"name": "add", "parameters": {"type": "object"}}}
    with pytest.raises(AllRoutesFailed, match="does not support tools"):
        model_over(replicate).bind_tools([tool]).invoke("Hi")
    assert not replicate.calls


def test_replicate_plain_client_completes_and_streams(replicate: Replicate) -> None:
    client, model_id = ProviderList(json_merge=registry(replicate)).connect_to_model("m-1")
    request: dict[str, Any] = {"model": model_id, "messages": [{"role": "user", "content": "Hi"}]}
    answer = client.chat.completions.create(**request)
    assert answer.choices[0].message.content == TEXT
    assert answer.choices[0].finish_reason == "stop"
    chunks = list(client.chat.completions.create(**request, stream=True))
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == TEXT
