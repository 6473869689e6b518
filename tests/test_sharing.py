"""The lock that readers share: they go side by side, writers alone, and nobody starves."""

from __future__ import annotations

import random
import threading
import time

import pytest
from together import LONG, together, until

from mlsdm.engine.sharing import SharedLock


def test_readers_are_inside_at_the_same_time() -> None:
    lock, barrier = SharedLock(), threading.Barrier(8)
    met = []

    def read() -> None:
        with lock.shared():
            met.append(barrier.wait(LONG))

    together(*[read] * 8)
    assert sorted(met) == list(range(8))


def test_a_writer_is_alone() -> None:
    lock, inside, seen = SharedLock(), [0], []

    def write(seed: int) -> None:
        rng = random.Random(seed)
        for _ in range(60):
            with lock:
                inside[0] += 1
                time.sleep(rng.random() * 2e-4)
                seen.append(inside[0])
                inside[0] -= 1

    together(*(lambda i=i: write(i) for i in range(3)))
    assert seen == [1] * 180


def test_readers_and_writers_never_meet() -> None:
    lock, writing, met = SharedLock(), [False], []

    def read(seed: int) -> None:
        for _ in range(100):
            with lock.shared():
                met.append(writing[0])
                time.sleep(random.Random(seed).random() * 1e-4)
                met.append(writing[0])

    def write() -> None:
        for _ in range(100):
            with lock:
                writing[0] = True
                time.sleep(1e-4)
                writing[0] = False

    together(*(lambda i=i: read(i) for i in range(4)), write, write)
    assert met == [False] * 800


def test_nobody_passes_a_writer_that_waits() -> None:
    """So at most those who were inside when it came go before it: none starves."""
    lock, order = SharedLock(), []
    leave = threading.Event()

    def first() -> None:
        with lock.shared():
            order.append("first reader")
            leave.wait(LONG)

    def write() -> None:
        until(lambda: bool(order))
        with lock:
            order.append("writer")

    def read() -> None:
        until(lambda: bool(order) and lock._door.locked())
        with lock.shared():
            order.append("reader")

    def let_go() -> None:
        until(lambda: bool(order) and lock._door.locked())
        time.sleep(0.02)  # time for the readers to come
        assert order == ["first reader"]
        leave.set()

    together(first, write, *[read] * 5, let_go)
    assert order == ["first reader", "writer", *["reader"] * 5]


def test_a_writer_gets_its_turns_among_readers_without_end() -> None:
    lock, done = SharedLock(), threading.Event()
    turns = []

    def read() -> None:
        while not done.is_set():
            with lock.shared():
                time.sleep(1e-4)

    def write() -> None:
        for turn in range(50):
            with lock:
                turns.append(turn)
        done.set()

    together(*[read] * 6, write)
    assert turns == list(range(50))


def test_readers_get_their_turns_among_writers_without_end() -> None:
    lock, done = SharedLock(), threading.Event()
    turns = []

    def write() -> None:
        while not done.is_set():
            with lock:
                time.sleep(1e-4)

    def read() -> None:
        for turn in range(50):
            with lock.shared():
                turns.append(turn)
        done.set()

    together(*[write] * 6, read)
    assert turns == list(range(50))


@pytest.mark.parametrize("alone", [True, False])
def test_who_fails_inside_lets_go(alone: bool) -> None:
    lock = SharedLock()
    for _ in range(3):
        with pytest.raises(KeyError), lock if alone else lock.shared():
            raise KeyError
    entered = []

    def enter() -> None:
        with lock:
            entered.append("alone")
        with lock.shared():
            entered.append("shared")

    together(enter)
    assert entered == ["alone", "shared"]
