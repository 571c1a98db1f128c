"""ReadDeadline: what a synchronous driver tells the transport; another thread may cancel it."""

from __future__ import annotations

import math
import socket
import threading
import time

from inference_providers.failover.read_deadline import ReadDeadline, current_deadline


def test_current_deadline_is_that_of_the_innermost_attempt() -> None:
    assert current_deadline() is None
    with ReadDeadline(math.inf) as outer:
        assert current_deadline() is outer
        with ReadDeadline(math.inf) as inner:
            assert current_deadline() is inner
        assert current_deadline() is outer
    assert current_deadline() is None


def test_current_deadline_is_not_shared_between_threads() -> None:
    seen: list[ReadDeadline | None] = []
    with ReadDeadline(math.inf):
        thread = threading.Thread(target=lambda: seen.append(current_deadline()))
        thread.start()
        thread.join()
    assert seen == [None]


def test_begin_read_returns_the_time_left_to_a_moved_deadline() -> None:
    deadline = ReadDeadline(time.monotonic() - 1.0)
    assert deadline.begin_read(print) < 0
    deadline.at += 3600
    assert 0 < deadline.begin_read(print) < 3600


def test_cancel_ends_the_read_under_way_and_all_that_follow() -> None:
    ours, theirs = socket.socketpair()
    deadline = ReadDeadline(math.inf)
    reading, received = threading.Event(), []

    def read() -> None:
        deadline.begin_read(lambda: ours.shutdown(socket.SHUT_RDWR))
        reading.set()
        received.append(ours.recv(1))
        deadline.end_read()

    thread = threading.Thread(target=read)
    thread.start()
    reading.wait()
    deadline.cancel()
    thread.join(timeout=60)
    assert received == [b""]
    assert deadline.begin_read(print) == 0.0
    ours.close()
    theirs.close()


def test_cancel_after_a_read_leaves_its_connection_alone() -> None:
    shut: list[str] = []
    deadline = ReadDeadline(math.inf)
    deadline.begin_read(lambda: shut.append("shut"))
    deadline.end_read()
    deadline.cancel()
    assert shut == []
