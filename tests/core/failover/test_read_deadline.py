"""Patience: what a synchronous driver tells the transport, and how another thread ends a read."""

from __future__ import annotations

import socket
import threading

from inference_providers.failover.read_deadline import Patience, patience


def test_nobody_is_in_a_hurry_outside_of_an_attempt() -> None:
    assert patience() is None
    with Patience(lambda: 3.0) as outer:
        assert patience() is outer
        with Patience(lambda: 1.0) as inner:
            assert patience() is inner
        assert patience() is outer
        assert outer.left_s() == 3.0
    assert patience() is None


def test_another_thread_has_its_own() -> None:
    seen: list[Patience | None] = []
    with Patience(lambda: 1.0):
        thread = threading.Thread(target=lambda: seen.append(patience()))
        thread.start()
        thread.join()
    assert seen == [None]


def test_giving_up_ends_the_read_under_way_and_all_that_follow() -> None:
    ours, theirs = socket.socketpair()
    said = Patience(lambda: 60.0)
    reading, got = threading.Event(), []

    def read() -> None:
        with said.read(lambda: ours.shutdown(socket.SHUT_RDWR)):
            reading.set()
            got.append(ours.recv(1))

    thread = threading.Thread(target=read)
    thread.start()
    reading.wait()
    said.give_up()
    thread.join(timeout=10)
    assert got == [b""]
    assert said.left_s() == 0.0
    ours.close()
    theirs.close()


def test_giving_up_after_a_read_leaves_its_connection_alone() -> None:
    shut: list[str] = []
    said = Patience(lambda: 60.0)
    with said.read(lambda: shut.append("shut")):
        pass
    said.give_up()
    assert shut == []
