"""Connections: reuse, limits of time, cancellation, Ctrl-C, threads, forks and event loops."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import aclosing, closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from inference_providers.errors import (
    InferenceProvidersError,
    ProviderTimeoutError,
    ProviderUnreachableError,
)
from inference_providers.wire.chat_reader import ChatReader
from inference_providers.wire.exchange import Exchange
from inference_providers.wire.http import client, connection_pools, loop_sessions
from inference_providers.wire.http.async_client import AsyncHttpClient
from inference_providers.wire.http.client import HttpClient
from inference_providers.wire.streams import aread_stream, read_stream
from socket_server import Script, SocketServer, chunked, response, wait_until

if TYPE_CHECKING:
    from conftest import AsyncFace, SyncFace

    Client = AsyncFace | SyncFace

pytestmark = pytest.mark.slow

HANG = Script([], "hang")
STALLED_STREAM = Script([chunked(b"one", end=b"")], "hang")
needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")


class Calls:
    """Several calls in one process and, if asynchronous, in one loop."""

    def __init__(self, *, is_async: bool) -> None:
        self._runner = asyncio.Runner() if is_async else None

    def post(self, url: str, **options: Any) -> bytes:
        options = {"timeout_s": 60.0, **options}
        if self._runner is None:
            return HttpClient(url, None).post("/x", {}, **options)
        return self._runner.run(AsyncHttpClient(url, None).post("/x", {}, **options))

    def sleep(self, seconds: float) -> None:
        if self._runner is None:
            time.sleep(seconds)
        else:
            self._runner.run(asyncio.sleep(seconds))

    def stream(self, url: str, pieces: int, *, is_whole: bool = False) -> list[bytes]:
        """Read some pieces of a stream and close it; `is_whole` as a reader says it is."""
        received = []
        with Exchange() as exchange:
            if self._runner is None:
                with closing(HttpClient(url, None).stream("/x", {}, timeout_s=60)) as stream:
                    received = [next(stream) for _ in range(pieces)]
                    if is_whole:
                        exchange.expect_end()
                return received

            async def read() -> None:
                async with aclosing(AsyncHttpClient(url, None).stream("/x", {}, timeout_s=60)) as s:
                    received.extend([await anext(s) for _ in range(pieces)])
                    if is_whole:
                        exchange.expect_end()

            self._runner.run(read())
        return received

    def close(self) -> None:
        if self._runner is not None:
            self._runner.close()


@pytest.fixture(params=[False, True], ids=["sync", "async"])
def calls(request: pytest.FixtureRequest) -> Any:
    calls = Calls(is_async=request.param)
    yield calls
    calls.close()


def test_a_connection_serves_many_requests(calls: Calls) -> None:
    with SocketServer(response(), chunked(b"{}"), response(status="500 X"), response()) as server:
        for _ in range(4):
            with suppress(InferenceProvidersError):
                calls.post(server.base_url)
        assert [request.connection for request in server.requests] == [0] * 4


def test_a_connection_that_the_server_closed_is_not_used(calls: Calls) -> None:
    with SocketServer(response()) as server:
        for _ in range(3):
            assert calls.post(server.base_url) == b"{}"
            server.close_connections()
            wait_until(lambda: server.open_connections == 0)
            calls.sleep(0.05)
        assert server.accepted == 3


def test_an_idle_connection_is_dropped_before_servers_drop_it(
    calls: Calls, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert connection_pools.MAX_IDLE_CONNECTION_S < 5
    assert loop_sessions.MAX_IDLE_CONNECTION_S < 5
    for module in (connection_pools, loop_sessions):
        monkeypatch.setattr(module, "MAX_IDLE_CONNECTION_S", 0.1)
    with SocketServer(response()) as server:
        calls.post(server.base_url)
        calls.sleep(0.3)
        calls.post(server.base_url)
        assert server.accepted == 2


def test_a_stream_that_is_closed_early_closes_its_connection(calls: Calls) -> None:
    with SocketServer(STALLED_STREAM) as server:
        assert calls.stream(server.base_url, 1) == [b"one"]
        calls.sleep(0)
        wait_until(lambda: server.open_connections == 0)


def test_a_whole_answer_keeps_its_connection(calls: Calls) -> None:
    """A reader stops at `[DONE]`; the last chunk is under way."""
    ending = Script([chunked(b"data: [DONE]\n\n", end=b""), b"0\r\n\r\n"])
    with SocketServer(ending) as server:
        for _ in range(3):
            assert calls.stream(server.base_url, 1, is_whole=True) == [b"data: [DONE]\n\n"]
        assert server.accepted == 1


ANSWER = (
    b'data: {"choices": [{"index": 0, "delta": {"content": "hi"}, "finish_reason": "stop"}]}\n\n'
    b"data: [DONE]\n\n"
)


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_reading_a_stream_keeps_its_connection(kind: str) -> None:
    """The finish reason, the end mark and the end of the response may come together or not."""
    ending = Script([chunked(ANSWER, end=b""), b"0\r\n\r\n"])

    async def read(url: str) -> None:
        for _ in range(3):
            stream = AsyncHttpClient(url, None).stream("/x", {}, timeout_s=60)
            with Exchange():
                assert [chunk async for chunk in aread_stream(ChatReader(), stream)]

    with SocketServer(ending) as server:
        if kind == "async":
            asyncio.run(read(server.base_url))
        else:
            for _ in range(3):
                stream = HttpClient(server.base_url, None).stream("/x", {}, timeout_s=60)
                with Exchange():
                    assert list(read_stream(ChatReader(), stream))
        assert (server.accepted, len(server.requests)) == (1, 3)


def test_a_whole_answer_does_not_wait_for_the_end(calls: Calls) -> None:
    with SocketServer(STALLED_STREAM) as server:
        started = time.monotonic()
        assert calls.stream(server.base_url, 1, is_whole=True) == [b"one"]
        assert time.monotonic() - started < 5
        calls.sleep(0)
        wait_until(lambda: server.open_connections == 0)


def test_expect_end_limits_the_rest_of_a_stream(client: Client) -> None:
    """Comments that keep the connection alive do not count as an answer."""
    dripping = Script([chunked(b"data: x\n\n", end=b""), *[b"2\r\n:\n\r\n"] * 3000], "hang", 0.01)
    with SocketServer(dripping) as server, Exchange() as exchange:
        exchange.expect_end(0.3)
        with pytest.raises(ProviderTimeoutError, match="did not finish"):
            client.stream(server.base_url)


def test_connecting_is_limited(client: Client) -> None:
    with SocketServer(HANG) as full:
        url = full.base_url.replace("http:", "https:")  # it never answers the handshake
        with pytest.raises(ProviderUnreachableError, match=r"no connection to .* within 0\.3 s"):
            client.post(url, timeout_s=0.3)


@pytest.mark.parametrize("script", [HANG, STALLED_STREAM], ids=["head", "body"])
def test_a_deadline_ends_a_blocking_call(script: Script) -> None:
    with SocketServer(script) as server:
        client = HttpClient(server.base_url, None)
        with (
            Exchange(time.monotonic() + 0.3),
            pytest.raises(ProviderTimeoutError, match="deadline"),
        ):
            client.post("/x", {}, timeout_s=60)
        wait_until(lambda: server.open_connections == 0)


def test_a_deadline_ends_an_upload_and_a_handshake() -> None:
    """A server that accepts and reads nothing."""
    with SocketServer(HANG) as server:
        tls = HttpClient(server.base_url.replace("http:", "https:"), None)
        with Exchange(time.monotonic() + 0.3), pytest.raises(InferenceProvidersError):
            tls.post("/x", {}, timeout_s=60)
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        upload = HttpClient(f"http://127.0.0.1:{deaf.getsockname()[1]}", None)
        with Exchange(time.monotonic() + 0.3), pytest.raises(ProviderTimeoutError):
            upload.post("/x", {"image": "x" * 50_000_000}, timeout_s=60)


async def test_silence_ends_an_async_call_before_its_attempt() -> None:
    with (
        SocketServer(HANG) as server,
        Exchange(time.monotonic() + 60),
        pytest.raises(ProviderTimeoutError),
    ):
        await AsyncHttpClient(server.base_url, None).post("/x", {}, timeout_s=0.2)


async def test_an_attempt_that_ends_sooner_keeps_the_time_itself() -> None:
    with (
        SocketServer(HANG) as server,
        Exchange(time.monotonic() + 0.2),
        pytest.raises(TimeoutError) as raised,
    ):
        async with asyncio.timeout(0.4):
            await AsyncHttpClient(server.base_url, None).post("/x", {}, timeout_s=0.2)
    assert type(raised.value) is TimeoutError


@pytest.mark.parametrize("script", [HANG, STALLED_STREAM], ids=["head", "body"])
def test_cancel_ends_a_blocking_call_in_another_thread(script: Script) -> None:
    errors: list[BaseException] = []
    exchange = Exchange()

    def run(url: str) -> None:
        with exchange:
            try:
                HttpClient(url, None).post("/x", {}, timeout_s=60)
            except InferenceProvidersError as error:
                errors.append(error)

    with SocketServer(script) as server:
        thread = threading.Thread(target=run, args=(server.base_url,))
        thread.start()
        wait_until(lambda: bool(server.requests))
        exchange.cancel()
        thread.join(30)
        assert not thread.is_alive()
        wait_until(lambda: server.open_connections == 0)
    assert len(errors) == 1


@pytest.mark.parametrize("call", ["post", "stream"])
async def test_cancellation_closes_the_connection_at_once(call: str) -> None:
    with SocketServer(STALLED_STREAM) as server:
        client = AsyncHttpClient(server.base_url, None)

        async def run() -> None:
            if call == "post":
                await client.post("/x", {}, timeout_s=60)
            else:
                async with aclosing(client.stream("/x", {}, timeout_s=60)) as stream:
                    async for _ in stream:
                        pass

        task = asyncio.create_task(run())
        await asyncio.to_thread(wait_until, lambda: bool(server.requests))
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.to_thread(wait_until, lambda: server.open_connections == 0)


async def test_a_slow_consumer_gets_all_that_came_before_a_cut() -> None:
    """It may be the end of an answer."""
    cut = Script([chunked(b"one", end=b""), b"3\r\ntwo\r\n"], "close")
    with SocketServer(cut) as server:
        stream = AsyncHttpClient(server.base_url, None).stream("/x", {}, timeout_s=60)
        received = await anext(stream)
        await asyncio.to_thread(wait_until, lambda: server.open_connections == 0)
        await asyncio.sleep(0.05)  # the loop learns of it
        if received == b"one":
            received += await anext(stream)
        with pytest.raises(ProviderUnreachableError):
            await anext(stream)
    assert received == b"onetwo"


def test_a_stalled_provider_does_not_hold_up_another(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (client, connection_pools):
        monkeypatch.setattr(module, "MAX_CONNECTIONS", 3)
    with SocketServer(HANG) as stalled, SocketServer(response()) as healthy:
        exchanges = [Exchange() for _ in range(5)]

        def run(exchange: Exchange) -> None:
            with exchange, suppress(InferenceProvidersError):
                HttpClient(stalled.base_url, None).post("/x", {}, timeout_s=60)

        threads = [threading.Thread(target=run, args=(each,)) for each in exchanges]
        for thread in threads:
            thread.start()
        wait_until(lambda: stalled.accepted == 3)
        assert HttpClient(healthy.base_url, None).post("/x", {}, timeout_s=60) == b"{}"
        with pytest.raises(ProviderTimeoutError, match="all 3 connections"):
            HttpClient(stalled.base_url, None).post("/x", {}, timeout_s=0.2)
        stalled.close_connections()
        for exchange in exchanges:
            exchange.cancel()
    for thread in threads:
        thread.join(60)


def test_threads_and_clients_share_the_connections_of_an_origin() -> None:
    with SocketServer(response()) as server:
        for _ in range(5):
            client = HttpClient(server.base_url, None)
            thread = threading.Thread(target=client.post, args=("/x", {}), kwargs={"timeout_s": 60})
            thread.start()
            thread.join()
        assert (server.accepted, len(server.requests)) == (1, 5)


def test_pools_of_origins_that_are_not_used_any_more_are_dropped(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pools = {}
    monkeypatch.setattr(connection_pools, "OPEN_POOLS", pools)
    for _ in range(10):
        with SocketServer(response()) as server:
            HttpClient(server.base_url, None).post("/x", {}, timeout_s=60)
    assert len(pools) <= 2
    for pool in pools.values():
        pool.close()


@needs_fork
@pytest.mark.parametrize("in_child", ["sync", "async"])
def test_a_forked_child_opens_its_own_connections(in_child: str) -> None:
    with SocketServer(response()) as server:
        url = server.base_url

        async def in_loop() -> None:
            """Leave a session behind, whose loop still runs when the process forks."""
            await AsyncHttpClient(url, None).post("/x", {}, timeout_s=60)
            HttpClient(url, None).post("/x", {}, timeout_s=60)
            assert await asyncio.to_thread(fork_and_call, url, in_child) == 0
            await AsyncHttpClient(url, None).post("/x", {}, timeout_s=60)
            HttpClient(url, None).post("/x", {}, timeout_s=60)

        asyncio.run(in_loop())
        # Two of the parent, used before and after, and one of the child.
        assert [request.connection for request in server.requests] == [0, 1, 2, 0, 1]


def fork_and_call(url: str, kind: str) -> int:
    """Make a call in a forked child, and return its exit code."""
    if pid := os.fork():
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    code = 1
    try:
        if kind == "sync":
            HttpClient(url, None).post("/x", {}, timeout_s=60)
        else:
            asyncio.run(AsyncHttpClient(url, None).post("/x", {}, timeout_s=60))
        code = 0
    finally:
        os._exit(code)


@needs_fork
def test_a_child_forked_while_threads_call_does_not_hang() -> None:
    with SocketServer(response()) as server:
        stop = threading.Event()

        def run() -> None:
            while not stop.is_set():
                HttpClient(server.base_url, None).post("/x", {}, timeout_s=60)

        threads = [threading.Thread(target=run) for _ in range(4)]
        for thread in threads:
            thread.start()
        try:
            for _ in range(5):
                assert fork_and_call(server.base_url, "sync") == 0
        finally:
            stop.set()
            for thread in threads:
                thread.join(60)


def open_files() -> int:
    gc.collect()
    return len(list(Path("/proc/self/fd").glob("*")))


def test_a_loop_per_call_leaves_nothing_behind() -> None:
    with SocketServer(response()) as server:
        client = AsyncHttpClient(server.base_url, None)

        def call() -> None:
            assert asyncio.run(client.post("/x", {}, timeout_s=60)) == b"{}"

        call()
        files = open_files()
        for _ in range(200):
            call()
        wait_until(lambda: server.open_connections == 0)
        assert len(loop_sessions._sessions) <= 2
        assert abs(open_files() - files) <= 2


def test_loops_closed_without_notice_leave_nothing_behind(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Some notebooks and frameworks close loops without `shutdown_asyncgens`."""
    with SocketServer(response()) as server:
        client = AsyncHttpClient(server.base_url, None)

        def call() -> None:
            loop = asyncio.new_event_loop()
            assert loop.run_until_complete(client.post("/x", {}, timeout_s=60)) == b"{}"
            loop.close()

        call()
        files = open_files()
        for _ in range(100):
            call()
        asyncio.run(client.post("/x", {}, timeout_s=60))  # the next one cleans up
        wait_until(lambda: server.open_connections == 0)
        assert len(loop_sessions._sessions) <= 2
        assert open_files() - files <= 2
    assert caplog.records == []


async def test_all_clients_of_a_loop_share_its_connections() -> None:
    with SocketServer(response()) as server:
        for _ in range(3):
            await AsyncHttpClient(server.base_url, None).post("/x", {}, timeout_s=60)
        assert server.accepted == 1


PROGRAM = """
import asyncio, sys
from inference_providers.wire.http.client import HttpClient
from inference_providers.wire.http.async_client import AsyncHttpClient

kind, call, url = sys.argv[1:]

async def main():
    client = AsyncHttpClient(url, None)
    if call == "post":
        await client.post("/x", {}, timeout_s=60)
    else:
        async for piece in client.stream("/x", {}, timeout_s=60):
            pass

try:
    if kind == "async":
        asyncio.run(main())
    elif call == "post":
        HttpClient(url, None).post("/x", {}, timeout_s=60)
    else:
        list(HttpClient(url, None).stream("/x", {}, timeout_s=60))
except KeyboardInterrupt:
    sys.exit(77)
"""


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["sync", "async"])
@pytest.mark.parametrize("call", ["post", "stream"])
def test_ctrl_c_ends_a_call_at_once(kind: str, call: str) -> None:
    with SocketServer(STALLED_STREAM) as server:
        process = subprocess.Popen(
            [sys.executable, "-W", "error", "-c", PROGRAM, kind, call, server.base_url],
            stderr=subprocess.PIPE,
            text=True,
        )
        wait_until(lambda: bool(server.requests))
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=30)
        assert (process.returncode, errors) == (77, "")


@pytest.mark.slow
def test_importing_the_packages_loads_no_http_library() -> None:
    script = (
        "import sys, inference_providers, langchain_autoprovider;"
        "from inference_providers.wire.http import async_client;"
        "print([m for m in ('aiohttp', 'requests') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"
