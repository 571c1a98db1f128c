"""The fake provider is a real server that follows its script."""

from __future__ import annotations

import json
import math
import socket
import struct
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import openai
import pytest
import requests

from inference_providers.registry.registry import Registry
from inference_providers.testing import FakeProvider, Reply, fake_provider  # noqa: F401 - a fixture

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

HANG_S = 60
"""How long a test waits before it calls the provider hung."""
SILENCE_S = 0.3
HI = [{"role": "user", "content": "Hi"}]
ADD = {"name": "add", "arguments": {"left": 1, "right": 2}}


def post(fake: FakeProvider, **body) -> requests.Response:
    return requests.post(f"{fake.base_url}/chat/completions", json=body, timeout=HANG_S)


def port(fake: FakeProvider) -> int:
    return urlsplit(fake.base_url).port or 0


@contextmanager
def requested(fake: FakeProvider, *, stream: bool) -> Iterator[socket.socket]:
    """Send a request over a plain connection; yield the connection."""
    body = json.dumps({"model": "m", "stream": stream}).encode()
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
    with socket.create_connection(("127.0.0.1", port(fake)), timeout=HANG_S) as connection:
        connection.sendall(head.encode() + body)
        yield connection


def read(connection: socket.socket, until: Callable[[bytes], bool] = lambda _: False) -> bytes:
    """Return what is received up to the end of the connection, 1 MB, or `until(received)`."""
    received = b""
    while len(received) < 1_000_000 and not until(received):
        block = connection.recv(65536)
        if not block:
            break
        received += block
    return received


def read_all(fake: FakeProvider, *, stream: bool) -> bytes:
    with requested(fake, stream=stream) as connection:
        return read(connection)


def is_silent(connection: socket.socket) -> bool:
    """Whether nothing more is received for a moment, and the connection stays open."""
    connection.settimeout(SILENCE_S)
    try:
        connection.recv(1)
    except TimeoutError:
        return True
    return False


def wait_until(condition: Callable[[], object]) -> None:
    """Wait for what another thread is about to do."""
    end = time.monotonic() + HANG_S
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)


def chunks(fake: FakeProvider, **body) -> list[dict]:
    """Return the decoded events of a stream, without the closing one."""
    lines = post(fake, stream=True, **body).text.split("\n\n")
    return [json.loads(line.removeprefix("data: ")) for line in lines if line.startswith("data: {")]


def test_replies_are_sent_in_order_and_the_last_repeats() -> None:
    with FakeProvider(Reply(status=429), Reply("one"), Reply("two")) as fake:
        answers = [post(fake, model="m") for _ in range(4)]
    assert [answer.status_code for answer in answers] == [429, 200, 200, 200]
    texts = [answer.json()["choices"][0]["message"]["content"] for answer in answers[1:]]
    assert texts == ["one", "two", "two"]


def test_fake_provider_without_replies_sends_a_greeting() -> None:
    with FakeProvider() as fake:
        answer = post(fake, model="m").json()
    assert answer["choices"][0]["message"]["content"] == Reply().text
    assert answer["choices"][0]["finish_reason"] == "stop"
    assert answer["usage"]["total_tokens"] == sum(
        answer["usage"][kind] for kind in ("prompt_tokens", "completion_tokens")
    )


def test_requests_are_recorded_as_received() -> None:
    with FakeProvider() as fake:
        requests.post(
            f"{fake.base_url}/x", json={"a": 1}, headers={"X-Header": "Value"}, timeout=60
        )
    (request,) = fake.requests
    assert (request.method, request.path, request.body) == ("POST", "/v1/x", {"a": 1})
    assert request.headers["x-header"] == "Value"
    assert fake.listings == []


def test_models_are_listed() -> None:
    with FakeProvider(models=("a", "b")) as fake:
        listing = requests.get(f"{fake.base_url}/models", timeout=HANG_S).json()
    assert [item["id"] for item in listing["data"]] == ["a", "b"]
    assert fake.listings[0].path == "/v1/models"
    assert fake.requests == []


@pytest.mark.parametrize(
    ("body", "kind", "text"),
    [
        ("<html>", "text/html", "<html>"),
        ({"error": "x"}, "application/json", '{"error": "x"}'),
        ([1], "application/json", "[1]"),
    ],
)
def test_body_is_sent_as_it_is(body: object, kind: str, text: str) -> None:
    with FakeProvider(Reply(status=402, body=body, headers={"retry-after": "9"})) as fake:
        answer = post(fake, model="m", stream=True)
    assert (answer.status_code, answer.text) == (402, text)
    assert answer.headers["content-type"] == kind
    assert answer.headers["retry-after"] == "9"


def test_headers_replace_the_default_ones() -> None:
    with FakeProvider(Reply(body="x", headers={"content-type": "text/plain"})) as fake:
        assert post(fake, model="m").headers["content-type"] == "text/plain"


def test_stream_sends_words_and_a_finish_reason() -> None:
    with FakeProvider(Reply("a bc  d", finish_reason="length")) as fake:
        events = chunks(fake, model="m")
    deltas = [event["choices"][0]["delta"] for event in events]
    assert deltas[0] == {"role": "assistant", "content": ""}
    assert [delta.get("content") for delta in deltas[1:-1]] == ["a", " bc", " d"]
    assert [event["choices"][0]["finish_reason"] for event in events] == [None] * 4 + ["length"]


def test_stream_reports_usage_if_requested() -> None:
    with FakeProvider() as fake:
        assert all("usage" not in event for event in chunks(fake, model="m"))
        last = chunks(fake, model="m", stream_options={"include_usage": True})[-1]
    assert last["choices"] == []
    assert last["usage"]["total_tokens"] > 0


def test_finish_reason_none_leaves_it_out() -> None:
    with FakeProvider(Reply("a", finish_reason=None)) as fake:
        events = chunks(fake, model="m")
    assert {event["choices"][0]["finish_reason"] for event in events} == {None}


@pytest.mark.parametrize("after", [0, 1, 2])
def test_cut_after_ends_a_stream_early(after: int) -> None:
    with FakeProvider(Reply("a b c", cut_after=after)) as fake:
        answer = post(fake, model="m", stream=True)
    assert answer.text.count("data: {") == after
    assert "[DONE]" not in answer.text


def test_tool_calls_are_sent_whole_and_streamed() -> None:
    calls = ({"name": "add", "arguments": {"a": 1}}, {"name": "sub", "arguments": {}})
    with FakeProvider(Reply("", tool_calls=calls, finish_reason="tool_calls")) as fake:
        with openai.OpenAI(base_url=fake.base_url, api_key="k") as client:
            choice = client.chat.completions.create(model="m", messages=HI).choices[0]
        streamed = [
            call["function"]["name"]
            for event in chunks(fake, model="m")
            for call in event["choices"][0]["delta"].get("tool_calls", ())
        ]
    assert choice.finish_reason == "tool_calls"
    assert [call.function.name for call in choice.message.tool_calls] == ["add", "sub"]
    assert json.loads(choice.message.tool_calls[0].function.arguments) == {"a": 1}
    assert streamed == ["add", "sub"]


@pytest.mark.slow
def test_delay_s_delays_the_first_byte() -> None:
    with FakeProvider(Reply(delay_s=60)) as fake, pytest.raises(requests.ReadTimeout):
        requests.post(f"{fake.base_url}/x", json={}, timeout=(HANG_S, 0.5))


def test_concurrent_requests_get_one_reply_each() -> None:
    replies = [Reply(str(n)) for n in range(20)]
    with FakeProvider(*replies) as fake, ThreadPoolExecutor(10) as pool:
        answers = list(pool.map(lambda _: post(fake, model="m").json(), range(20)))
    texts = {answer["choices"][0]["message"]["content"] for answer in answers}
    assert texts == {reply.text for reply in replies}
    assert len(fake.requests) == 20


def test_fake_provider_stops_listening_after_its_context() -> None:
    with FakeProvider() as fake:
        pass
    with pytest.raises(requests.ConnectionError):
        post(fake, model="m")


def test_row_makes_a_registry() -> None:
    with FakeProvider() as fake:
        row = fake.row({"m": "x"}, key="A_KEY", kind="gateway", quirks={"stream_usage": False})
        open_row = fake.row({"m": "x"})
    provider = Registry.load({"providers": {"p": row}}).providers["p"]
    assert provider.endpoints["default"].base_url == fake.base_url
    assert (provider.auth.any_of, provider.kind) == ((("A_KEY",),), "gateway")
    assert provider.quirks.stream_usage is False
    assert Registry.load({"providers": {"p": open_row}}).providers["p"].auth.any_of == ((),)


BOTH = pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])


@BOTH
@pytest.mark.slow
def test_hang_accepts_and_never_answers(stream: bool) -> None:
    with FakeProvider(Reply(fault="hang")) as fake, requested(fake, stream=stream) as connection:
        wait_until(lambda: len(fake.requests) == 1)
        assert is_silent(connection)


@pytest.mark.slow
def test_hang_after_chunks_of_a_stream() -> None:
    with (
        FakeProvider(Reply("a b c", cut_after=3, fault="hang")) as fake,
        requested(fake, stream=True) as connection,
    ):
        received = read(connection, until=lambda data: data.count(b"data: {") >= 3)
        assert is_silent(connection)
    assert received.count(b"data: {") == 3


@pytest.mark.slow
def test_hang_in_the_middle_of_a_whole_answer() -> None:
    with (
        FakeProvider(Reply("a b c", cut_after=3, fault="hang")) as fake,
        requested(fake, stream=False) as connection,
    ):
        head, _, body = read(connection, until=lambda data: b'{"id"' in data).partition(b"\r\n\r\n")
        assert is_silent(connection)
    announced = int(head.lower().partition(b"content-length: ")[2])
    assert 0 < len(body) < announced


@BOTH
@pytest.mark.parametrize("after", [None, 2])
def test_reset_resets_the_connection(stream: bool, after: int | None) -> None:
    with FakeProvider(Reply(fault="reset", cut_after=after)) as fake:
        with pytest.raises(ConnectionResetError):
            read_all(fake, stream=stream)
        assert fake.requests
        assert fake.abandoned == []


@BOTH
def test_close_leaves_the_answer_incomplete(stream: bool) -> None:
    with FakeProvider(Reply(fault="close"), Reply("a b", fault="close", cut_after=2)) as fake:
        assert read_all(fake, stream=stream) == b""
        with pytest.raises(requests.exceptions.RequestException) as caught:
            post(fake, model="m", stream=stream)
    assert "IncompleteRead" in str(caught.value) or "prematurely" in str(caught.value)


def test_close_after_the_last_chunk_leaves_a_stream_whole() -> None:
    with FakeProvider(Reply("a b", fault="close", cut_after=99)) as fake:
        answer = post(fake, model="m", stream=True).text
    assert answer.endswith("data: [DONE]\n\n")


@pytest.mark.slow
@BOTH
def test_endless_headers(stream: bool) -> None:
    with FakeProvider(Reply(fault="endless_headers", cut_after=2)) as fake:
        received = read_all(fake, stream=stream)
    assert len(received) >= 1_000_000
    assert b"\r\n\r\n" not in received


@pytest.mark.slow
@pytest.mark.parametrize(
    ("stream", "after", "before"),
    [(False, None, b'{"id"'), (True, None, b""), (True, 2, b"data: {")],
)
def test_endless_body(stream: bool, after: int | None, before: bytes) -> None:
    with FakeProvider(Reply(fault="endless_body", cut_after=after)) as fake:
        received = read_all(fake, stream=stream)
    body = received.partition(b"\r\n\r\n")[2]
    assert body.startswith(before)
    assert body.count(b"data: {") == (after or 0)
    assert body.endswith(b"x" * 10_000)


@pytest.mark.parametrize(("stream", "sign"), [(False, b"\n"), (True, b": keep-alive\n\n")])
@pytest.mark.slow
def test_keep_alive_for_a_while_or_forever(stream: bool, sign: bytes) -> None:
    with FakeProvider(Reply("a b", keep_alive_s=0.1), Reply(keep_alive_s=math.inf)) as fake:
        body = read_all(fake, stream=stream).partition(b"\r\n\r\n")[2]
        assert body.startswith(sign * 2)
        assert b"finish_reason" in body
        with requested(fake, stream=stream) as connection:
            head = read(connection, until=lambda data: data.endswith(sign * 3))
            fake.hang_up()
            endless = (head + read(connection)).partition(b"\r\n\r\n")[2]
    assert endless == sign * (len(endless) // len(sign))


@pytest.mark.parametrize(
    ("at_cut", "sent"),
    [
        ({"error": {"code": 502}}, b'data: {"error": {"code": 502}}\n\n'),
        ("event: error\ndata: {}\n\n", b"event: error\ndata: {}\n\n"),
        (b"\xff\x00", b"\xff\x00"),
        ("data: [DONE]\n\n", b"data: [DONE]\n\n"),
    ],
)
@pytest.mark.parametrize("after", [0, 2])
def test_at_cut_is_sent_where_a_stream_is_cut(at_cut: object, sent: bytes, after: int) -> None:
    with FakeProvider(Reply("a b c", cut_after=after, at_cut=at_cut)) as fake:
        body = read_all(fake, stream=True).partition(b"\r\n\r\n")[2]
    assert body.endswith(sent)
    assert body.removesuffix(sent).count(b"data: {") == after


def test_bytes_and_empty_text_are_bodies() -> None:
    with FakeProvider(Reply(body=b"\xff\xfe"), Reply(body="")) as fake:
        answer, empty = post(fake, model="m"), post(fake, model="m")
    assert answer.content == b"\xff\xfe"
    assert answer.headers["content-type"] == "application/octet-stream"
    assert (empty.status_code, empty.content) == (200, b"")


def test_reasoning_comes_before_the_text() -> None:
    with FakeProvider(Reply("a", reasoning="so it is")) as fake:
        message = post(fake, model="m").json()["choices"][0]["message"]
        deltas = [event["choices"][0]["delta"] for event in chunks(fake, model="m")]
    assert (message["reasoning_content"], message["content"]) == ("so it is", "a")
    assert deltas[1:5] == [
        {"reasoning_content": "so"},
        {"reasoning_content": " it"},
        {"reasoning_content": " is"},
        {"content": "a"},
    ]


def test_refusal_replaces_the_text() -> None:
    with FakeProvider(Reply(refusal="not me")) as fake:
        message = post(fake, model="m").json()["choices"][0]["message"]
        deltas = [event["choices"][0]["delta"] for event in chunks(fake, model="m")]
    assert message == {"role": "assistant", "content": None, "refusal": "not me"}
    assert deltas[1:] == [{"refusal": "not"}, {"refusal": " me"}, {}]


@pytest.mark.parametrize("pieces", [1, 2, 4, 500])
def test_argument_chunks_splits_a_calls_arguments(pieces: int) -> None:
    reply = Reply("", tool_calls=(ADD, {"name": "now", "arguments": ""}), argument_chunks=pieces)
    with FakeProvider(reply) as fake:
        calls = [
            call
            for event in chunks(fake, model="m")
            for call in event["choices"][0]["delta"].get("tool_calls", ())
        ]
    first = [call["function"] for call in calls if call["index"] == 0]
    assert json.loads("".join(function["arguments"] for function in first)) == ADD["arguments"]
    assert len(first) == min(pieces, len(json.dumps(ADD["arguments"])))
    assert [function.get("name") for function in first] == ["add"] + [None] * (len(first) - 1)
    assert calls[-1]["function"] == {"name": "now", "arguments": ""}


def test_arguments_given_as_text_are_sent_as_they_are() -> None:
    broken = {"name": "add", "arguments": '{"left": 1, "ri'}
    with FakeProvider(Reply("", tool_calls=(broken,))) as fake:
        message = post(fake, model="m").json()["choices"][0]["message"]
    assert message["tool_calls"][0]["function"] == broken


def test_listens_false_refuses_connections() -> None:
    with FakeProvider(listens=False) as fake:
        assert fake.row({"m": "x"})["endpoints"]["default"]["base_url"] == fake.base_url
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port(fake)), timeout=HANG_S)


@pytest.mark.parametrize(
    "reply",
    [
        Reply(fault="hang"),
        Reply(delay_s=60),
        Reply("a b", chunk_delay_s=60),
        Reply("a b", cut_after=2, fault="hang"),
        Reply(keep_alive_s=math.inf),
        Reply(fault="endless_headers"),
        Reply(fault="endless_body"),
        Reply("an answer, after which the connection is kept"),
    ],
)
def test_leaving_the_context_ends_every_handler(reply: Reply) -> None:
    before = set(threading.enumerate())
    with FakeProvider(reply) as fake:
        connections = [
            socket.create_connection(("127.0.0.1", port(fake)), timeout=HANG_S) for _ in range(3)
        ]
        for connection in connections[1:]:  # the first sends no request
            body = b'{"stream": true}'
            head = b"POST /v1/x HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % len(body)
            connection.sendall(head + body)
        wait_until(lambda: len(fake.requests) == 2)
    assert set(threading.enumerate()) <= before
    assert fake.abandoned == []
    for connection in connections:
        connection.close()


@pytest.mark.parametrize(
    "reply",
    [
        Reply(fault="hang"),
        Reply("a b", cut_after=2, fault="hang"),
        Reply("a b c", chunk_delay_s=60),
        Reply(keep_alive_s=math.inf),
        Reply(fault="endless_headers"),
        Reply(fault="endless_body"),
    ],
)
def test_abandoned_records_clients_that_disconnect(reply: Reply) -> None:
    with FakeProvider(reply) as fake:
        with socket.create_connection(("127.0.0.1", port(fake)), timeout=HANG_S) as connection:
            # A reset, since a plain close looks different if data is unread.
            zero = struct.pack("hh" if sys.platform == "win32" else "ii", 1, 0)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, zero)
            body = b'{"stream": true}'
            head = b"POST /v1/x HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % len(body)
            connection.sendall(head + body)
            wait_until(lambda: fake.requests)
            assert fake.abandoned == []
        wait_until(lambda: fake.abandoned)
    assert fake.abandoned == fake.requests


def test_hang_up_accepts_new_connections() -> None:
    with FakeProvider(Reply(fault="hang"), Reply("back")) as fake, ThreadPoolExecutor(1) as pool:
        first = pool.submit(post, fake, model="m")
        wait_until(lambda: fake.requests)
        fake.hang_up()
        with pytest.raises(requests.ConnectionError):
            first.result()
        answer = post(fake, model="m").json()
    assert answer["choices"][0]["message"]["content"] == "back"


def test_fixture_starts_several_providers(
    fake_provider: Callable[..., FakeProvider],  # noqa: F811 - a fixture is imported to be used
) -> None:
    down, up = fake_provider(Reply(status=503)), fake_provider(Reply("hello"), models=("a",))
    assert post(down, model="m").status_code == 503
    assert post(up, model="m").json()["choices"][0]["message"]["content"] == "hello"
    assert up.models == ("a",)


FIXTURE_AT_WORK = """
from inference_providers.testing import fake_provider  # noqa: F401

started = []

def test_one(fake_provider):
    started.append(fake_provider())

def test_it_stopped():
    assert started[0]._server.socket.fileno() == -1
"""


@pytest.mark.slow
def test_fixture_stops_what_it_started(tmp_path) -> None:
    script = tmp_path / "test_fixture.py"
    script.write_text(FIXTURE_AT_WORK)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", script]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stdout
    assert "2 passed" in done.stdout


@pytest.mark.slow
def test_module_works_without_pytest() -> None:
    script = (
        "import sys; sys.modules['pytest'] = None; import inference_providers.testing as t;"
        "print(sorted(t.__all__), hasattr(t, 'fake_provider'))"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "['FakeProvider', 'Fault', 'Reply', 'Request'] False"
