"""Exchange: how a driver and its transport share a deadline; another thread may cancel it."""

from __future__ import annotations

import math
import socket
import threading
import time

from inference_providers.wire.exchange import Exchange, current_exchange


def test_current_exchange_is_that_of_the_innermost_attempt() -> None:
    assert current_exchange() is None
    with Exchange(math.inf) as outer:
        assert current_exchange() is outer
        with Exchange(math.inf) as inner:
            assert current_exchange() is inner
        assert current_exchange() is outer
    assert current_exchange() is None


def test_current_exchange_is_not_shared_between_threads() -> None:
    seen: list[Exchange | None] = []
    with Exchange(math.inf):
        thread = threading.Thread(target=lambda: seen.append(current_exchange()))
        thread.start()
        thread.join()
    assert seen == [None]


def test_begin_read_returns_the_time_left_to_a_moved_deadline() -> None:
    exchange = Exchange(time.monotonic() - 1.0)
    assert exchange.begin_read(print) < 0
    exchange.deadline += 3600
    assert 0 < exchange.begin_read(print) < 3600


def test_cancel_ends_the_read_under_way_and_all_that_follow() -> None:
    ours, theirs = socket.socketpair()
    exchange = Exchange(math.inf)
    reading, received = threading.Event(), []

    def read() -> None:
        exchange.begin_read(lambda: ours.shutdown(socket.SHUT_RDWR))
        reading.set()
        received.append(ours.recv(1))
        exchange.end_read()

    thread = threading.Thread(target=read)
    thread.start()
    reading.wait()
    exchange.cancel()
    thread.join(timeout=60)
    assert received == [b""]
    assert exchange.begin_read(print) == 0.0
    ours.close()
    theirs.close()


def test_cancel_after_a_read_leaves_its_connection_alone() -> None:
    shut: list[str] = []
    exchange = Exchange(math.inf)
    exchange.begin_read(lambda: shut.append("shut"))
    exchange.end_read()
    exchange.cancel()
    assert shut == []
