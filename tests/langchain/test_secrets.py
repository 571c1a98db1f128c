"""No protocol and no way of calling shows a key, whatever a provider does with it.

Each test plays a whole table of hostile servers to one protocol in one mode, and looks at all that
can be seen of what is raised: texts, attributes, the locals of every frame, pickles and logs.
"""

from __future__ import annotations

import copy
import gzip
import json
import logging
import multiprocessing
import pickle
import socket
import threading
from base64 import b64encode
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote

import cloudpickle
import pytest

from inference_providers import ProviderList
from langchain_autoprovider import AutoChatModel
from langchain_autoprovider.protocols import vertex
from langchain_autoprovider.protocols.table import PROTOCOLS
from seen import key_in, seen_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

CANARY = "sk-Canary-0123+456789/abCdef"
VARIABLE = "CANARY_KEY"

SUFFIXES = {"azure": "/openai/v1", "cohere": "/v2", "google-genai": "/v1beta", "bedrock": ""}


class Answer(NamedTuple):
    """The bytes that a server sends, and how the connection ends."""

    data: bytes
    end: str = "close"


def http(status: int, body: bytes | str, *headers: str, reason: str = "Status") -> Answer:
    data = body.encode() if isinstance(body, str) else body
    names = {header.partition(":")[0] for header in headers}
    if names.isdisjoint({"content-length", "transfer-encoding"}):
        headers = (*headers, f"content-length: {len(data)}")
    if "content-type" not in names:
        headers = (*headers, "content-type: application/json")
    lines = (f"HTTP/1.1 {status} {reason}", *headers, "", "")
    return Answer("\r\n".join(lines).encode() + data)


def error_body(message: str) -> str:
    detail = {"message": message, "type": "error", "code": message, "param": None}
    return json.dumps({"error": detail, "message": message, "detail": [message], "type": "error"})


SPELLINGS = {
    "plain": CANARY,
    "upper": CANARY.upper(),
    "quoted": quote(CANARY, safe=""),
    "base64": b64encode(f"Bearer {CANARY}".encode()).decode(),
    "hex": CANARY.encode().hex(),
    "beginning": CANARY[:14] + "…",
    "end": "…" + CANARY[-12:],
    "far": "x" * 195 + CANARY,
    "header": f"Bearer {CANARY}",
    "json": json.dumps({"authorization": CANARY}),
}

SHAPES: list[Any] = [
    {"error": CANARY}, {"error": {"message": [CANARY]}}, {"error": {CANARY: CANARY}},
    {"choices": CANARY}, {"choices": [CANARY]}, {"choices": [{"message": CANARY}]}, [CANARY],
    CANARY, {CANARY: None}, {"candidates": [{"content": CANARY}]}, {"content": CANARY},
    {"output": CANARY}, {"message": {"content": CANARY}}, {"status": CANARY},
    {"type": "error", "error": {"type": "authentication_error", "message": CANARY}},
    {"status": "failed", "error": {"code": "invalid_api_key", "message": CANARY}},
    {"id": "r", "object": "response", "created_at": 1, "model": "m", "output": [], "tools": [],
     "tool_choice": "auto", "parallel_tool_calls": True, "status": "failed",
     "error": {"code": "server_error", "message": CANARY}},
]  # fmt: skip


def sse(*events: Any) -> Answer:
    data = "".join(f"data: {json.dumps(event)}\n\n" for event in events)
    return http(200, data, "content-type: text/event-stream")


ANSWERS: dict[str, Answer] = {
    **{
        f"{status} {name}": http(status, error_body(f"Incorrect API key provided: {spelled}."))
        for status in (400, 401, 403, 404, 422, 429, 500, 503)
        for name, spelled in SPELLINGS.items()
        if name == "plain" or status == 400
    },
    **{f"422 shape {n}": http(422, json.dumps(shape)) for n, shape in enumerate(SHAPES[::4])},
    **{f"200 shape {n}": http(200, json.dumps(shape)) for n, shape in enumerate(SHAPES)},
    **{f"200 event {n}": sse(shape) for n, shape in enumerate(SHAPES[::2])},
    **{f"200 {name}": http(200, error_body(SPELLINGS[name])) for name in ("upper", "beginning")},
    "400 html": http(400, f"<html>{CANARY}</html>", "content-type: text/html"),
    "401 text": http(401, "x" * 190 + CANARY, "content-type: text/plain"),
    "400 gzip": http(400, gzip.compress(error_body(CANARY).encode()), "content-encoding: gzip"),
    "400 utf-16": http(
        400, error_body(CANARY).encode("utf-16"), "content-type: application/json; charset=utf-16"
    ),
    "400 deep": http(400, '{"a":' * 5_000 + json.dumps(CANARY) + "}" * 5_000),
    "401 headers": http(401, "{}", f"x-echo: {CANARY}", f"set-cookie: k={CANARY}", reason=CANARY),
    "400 no body": http(400, "", f"www-authenticate: Bearer {CANARY}", reason=CANARY),
    "301": http(301, CANARY, f"location: https://a.test/{CANARY}"),
    "200 html": http(200, f"<html>{CANARY}</html>", "content-type: text/html"),
    "200 headers": http(200, "{", f"x-echo: {CANARY}", reason=CANARY),
    "200 not gzip": http(200, error_body(CANARY), "content-encoding: gzip"),
    "400 not gzip": http(400, error_body(CANARY), "content-encoding: gzip"),
    "200 bad UTF-8": http(200, CANARY.encode() + b"\xff\xfe"),
    "cut 200": http(200, error_body(CANARY)[:40], "content-length: 5000"),
    "cut 401": http(401, error_body(CANARY)[:60], "content-length: 5000"),
    "cut stream": http(
        200, f'1c\r\ndata: "{CANARY}', "content-type: text/event-stream",
        "transfer-encoding: chunked",
    ),
    "bad chunk": http(200, f"{CANARY}\r\n", "transfer-encoding: chunked"),
    "bad status line": Answer(f"{CANARY} nonsense\r\n\r\n".encode()),
    "bad header": Answer(f"HTTP/1.1 200 OK\r\n{CANARY}\r\n\r\n".encode()),
    "no answer": Answer(b""),
    "reset": Answer(b"", "reset"),
    "reset after head": Answer(
        f"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{CANARY}".encode(), "reset"
    ),
}  # fmt: skip


class Server:
    """A server that sends one answer to every request."""

    def __init__(self) -> None:
        self.answer = Answer(b"")
        self.reads_body = True
        self.on_request: Callable[[], None] = lambda: None
        self.heads: list[bytes] = []
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.origin = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        with connection, suppress(OSError, ValueError):
            data = b""
            while b"\r\n\r\n" not in data:
                if not (part := connection.recv(65536)):
                    return
                data += part
            head, _, body = data.partition(b"\r\n\r\n")
            self.heads.append(head)
            length = _content_length(head)
            while self.reads_body and len(body) < length:
                body += connection.recv(65536)
            self.on_request()
            connection.sendall(self.answer.data)
            if self.answer.end == "hang":
                connection.recv(1)
            if self.answer.end == "reset":
                linger = b"\x01\0\0\0\0\0\0\0"
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)


def _content_length(head: bytes) -> int:
    lines = (line.lower().partition(b":") for line in head.split(b"\r\n"))
    return next((int(value) for name, _, value in lines if name == b"content-length"), 0)


@contextmanager
def serving() -> Iterator[Server]:
    server = Server()
    yield server
    server.close()


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv(VARIABLE, CANARY)
    with serving() as running:
        yield running


class Credentials:
    """Google credentials whose token is the canary."""

    valid = True
    token = CANARY


@pytest.fixture(autouse=True)
def _google_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vertex, "_load_credentials", lambda _: Credentials())


@pytest.fixture(params=PROTOCOLS)
def protocol(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def registry_of(origin: str, protocol: str) -> dict[str, Any]:
    url = origin + SUFFIXES.get(protocol, "/v1")
    row = {
        "name": "X",
        "auth": {"any_of": [[VARIABLE]]},
        "endpoints": {"default": {"protocol": protocol, "base_url": url}},
        "models": {"m": "an-id"},
    }
    return {"providers": {"x": row}}


def model_over(origin: str, protocol: str, **fields: Any) -> AutoChatModel:
    settings = {"max_retries": 0, "cooldown": False, **fields}
    return AutoChatModel("m", registry=registry_of(origin, protocol), **settings)


def assert_shows_no_key(error: BaseException, about: str) -> None:
    for where, text in seen_of(error):
        part = key_in(text, CANARY)
        assert part is None, f"{about}: {part!r} at {where}: {text[:300]!r}"


def assert_pickles(error: BaseException, about: str) -> None:
    pickles = [pickle.dumps(error), cloudpickle.dumps(error)]
    for again in (*map(pickle.loads, pickles), copy.copy(error), copy.deepcopy(error)):
        assert type(again).__name__ == type(error).__name__, about
        assert str(again) == str(error), about
        assert isinstance(again, type(error).__mro__[1]), about
    for pickled in pickles:
        assert key_in(pickled.decode("latin-1"), CANARY) is None, about


async def failure_of(ask: Callable[..., Any], model: Any, prompt: Any = "Hi") -> Exception | None:
    try:
        await ask(model, prompt)
    except Exception as error:  # noqa: BLE001 - whatever leaves the library
        return error
    return None


def answers_for(protocol: str, mode: str) -> dict[str, Answer]:
    """Return half of the answers.

    Each answer meets each protocol as a whole answer and as a stream, one of them sync and the
    other async; which one changes with the protocol.
    """
    half = [*PROTOCOLS].index(protocol) + ["invoke", "ainvoke", "astream", "stream"].index(mode)
    return {about: ANSWERS[about] for about in [*ANSWERS][half % 2 :: 2]}


@pytest.mark.slow
async def test_no_answer_of_a_provider_shows_the_key(
    protocol: str, ask: Callable[..., Any], server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    model = model_over(server.origin, protocol)
    answers = answers_for(protocol, ask.__name__.strip("_"))
    failures = 0
    for about, server.answer in answers.items():
        caplog.clear()
        with caplog.at_level(logging.DEBUG):
            error = await failure_of(ask, model)
        for record in caplog.records:
            assert key_in(caplog.handler.format(record), CANARY) is None, about
        if error is not None:
            failures += 1
            assert_shows_no_key(error, about)
            assert_pickles(error, about)
            del error
    assert failures > len(answers) * 0.8
    assert all(CANARY.encode() in head for head in server.heads), "no key was in play"


CHANGES: dict[str, Callable[[pytest.MonkeyPatch], None]] = {
    "unset": lambda patch: patch.delenv(VARIABLE),
    "rotated": lambda patch: patch.setenv(VARIABLE, "another-value-of-the-key"),
    "broken": lambda patch: patch.setenv(VARIABLE, "no key"),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
async def test_a_key_that_changes_during_the_call_is_not_shown(
    protocol: str, ask: Callable[..., Any], server: Server, change: Callable[..., None]
) -> None:
    model = model_over(server.origin, protocol)
    server.answer = http(401, error_body(CANARY))
    with pytest.MonkeyPatch.context() as patch:
        server.on_request = lambda: change(patch)
        error = await failure_of(ask, model)
    assert error is not None
    assert_shows_no_key(error, "401")
    assert CANARY.encode() in server.heads[0], "no key was in play"


async def test_no_failed_connection_shows_the_key(
    protocol: str, ask: Callable[..., Any], server: Server
) -> None:
    model = model_over(server.origin, protocol)
    server.close()
    error = await failure_of(ask, model)
    assert error is not None
    assert_shows_no_key(error, "refused")
    assert_pickles(error, "refused")


@pytest.mark.parametrize("sent", ["nothing", "head", "body"])
async def test_no_timeout_shows_the_key(
    protocol: str, ask: Callable[..., Any], server: Server, sent: str
) -> None:
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: 9000\r\n\r\n"
    data = {"nothing": b"", "head": head, "body": head + b'data: {"a": "' + CANARY.encode()}[sent]
    server.answer = Answer(data, "hang")
    error = await failure_of(ask, model_over(server.origin, protocol, timeout=0.5))
    assert error is not None
    assert_shows_no_key(error, sent)
    assert_pickles(error, sent)


async def test_no_failed_write_shows_the_key(
    protocol: str, ask: Callable[..., Any], server: Server
) -> None:
    server.reads_body = False
    server.answer = Answer(b"", "reset")
    prompt = "word " * 2_000_000  # more than the buffers of a socket take
    error = await failure_of(ask, model_over(server.origin, protocol), prompt)
    assert error is not None
    for where, text in seen_of(error):
        assert key_in(text[:100_000], CANARY) is None, where


PLAIN_ANSWERS = {
    name: answer
    for name, answer in ANSWERS.items()
    if name in {"400 plain", "401 plain", "401 headers", "bad header", "200 shape 15", "200 html"}
}


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_no_plain_client_shows_the_key(protocol: str, server: Server, *, stream: bool) -> None:
    rows = registry_of(server.origin, protocol)
    client, model_id = ProviderList(json_merge=rows).connect_to_model("m")
    messages = [{"role": "user", "content": "Hi"}]
    failures = 0
    for about, server.answer in PLAIN_ANSWERS.items():
        try:
            answer = client.chat.completions.create(
                model=model_id, messages=messages, stream=stream
            )
            list(answer)
        except Exception as error:  # noqa: BLE001 - whatever it is
            failures += 1
            assert_shows_no_key(error, about)
    assert failures >= 4
    assert all(CANARY.encode() in head for head in server.heads), "no key was in play"


def _fail(origin: str, protocol: str) -> str:
    """Let a 400 leave a worker process."""
    vertex._load_credentials = lambda _: Credentials()  # type: ignore[assignment]
    return model_over(origin, protocol).invoke("Hi").text


@pytest.mark.slow
def test_a_wrong_request_leaves_a_worker_process(server: Server) -> None:
    server.answer = http(400, error_body(f"bad key {CANARY}"))
    calls = [(server.origin, protocol) for protocol in PROTOCOLS]
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as workers:
        raised = [workers.submit(_fail, *call).exception(timeout=120) for call in calls]
    with context.Pool(1) as pool:
        raised += [_failure_in(pool, call) for call in calls[:2]]
    for error, (_, protocol) in zip(raised, [*calls, *calls[:2]], strict=True):
        assert error is not None, protocol
        assert "400" in str(error) or VARIABLE in str(error), protocol
        assert_shows_no_key(error, protocol)


def _failure_in(pool: Any, call: tuple[str, str]) -> Exception:
    with pytest.raises(Exception, match=VARIABLE) as caught:
        pool.starmap_async(_fail, [call]).get(timeout=120)
    return caught.value
