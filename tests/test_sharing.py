"""The lock that readers share: they go side by side, writers alone, and nobody starves."""

from __future__ import annotations

import random
import subprocess
import sys
import textwrap
import threading
import time

import pytest
from support import uncovered
from together import LONG, together, until

from mlsdm.engine.sharing import SharedLock


def test_readers_are_inside_at_the_same_time() -> None:
    lock, barrier = SharedLock(), threading.Barrier(8)
    met = []

    def read() -> None:
        lock.reading(lambda: met.append(barrier.wait(LONG)))

    together(*[read] * 8)
    assert sorted(met) == list(range(8))


def test_a_writer_is_alone() -> None:
    lock, inside, seen = SharedLock(), [0], []

    def enter(chance: float) -> None:
        inside[0] += 1
        time.sleep(chance * 2e-4)
        seen.append(inside[0])
        inside[0] -= 1

    def write(seed: int) -> None:
        rng = random.Random(seed)
        for _ in range(60):
            lock.writing(lambda: enter(rng.random()))

    together(*(lambda i=i: write(i) for i in range(3)))
    assert seen == [1] * 180


def test_readers_and_writers_never_meet() -> None:
    lock, writing, met = SharedLock(), [False], []

    def look(seed: int) -> None:
        met.append(writing[0])
        time.sleep(random.Random(seed).random() * 1e-4)
        met.append(writing[0])

    def alter() -> None:
        writing[0] = True
        time.sleep(1e-4)
        writing[0] = False

    def read(seed: int) -> None:
        for _ in range(100):
            lock.reading(lambda: look(seed))

    def write() -> None:
        for _ in range(100):
            lock.writing(alter)

    together(*(lambda i=i: read(i) for i in range(4)), write, write)
    assert met == [False] * 800


def test_nobody_passes_a_writer_that_waits() -> None:
    """So at most those who were inside when it came go before it: none starves."""
    lock, order = SharedLock(), []
    leave = threading.Event()

    def stay() -> None:
        order.append("first reader")
        leave.wait(LONG)

    def first() -> None:
        lock.reading(stay)

    def write() -> None:
        until(lambda: bool(order))
        lock.writing(lambda: order.append("writer"))

    def read() -> None:
        until(lambda: bool(order) and lock._door.locked())
        lock.reading(lambda: order.append("reader"))

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
            lock.reading(lambda: time.sleep(1e-4))

    def write() -> None:
        for turn in range(50):
            lock.writing(lambda turn=turn: turns.append(turn))
        done.set()

    together(*[read] * 6, write)
    assert turns == list(range(50))


def test_readers_get_their_turns_among_writers_without_end() -> None:
    lock, done = SharedLock(), threading.Event()
    turns = []

    def write() -> None:
        while not done.is_set():
            lock.writing(lambda: time.sleep(1e-4))

    def read() -> None:
        for turn in range(50):
            lock.reading(lambda turn=turn: turns.append(turn))
        done.set()

    together(*[write] * 6, read)
    assert turns == list(range(50))


@pytest.mark.parametrize("way", ["reading", "writing"])
def test_who_fails_inside_lets_go(way: str) -> None:
    lock = SharedLock()

    def fail() -> None:
        raise KeyError

    for _ in range(3):
        with pytest.raises(KeyError):
            getattr(lock, way)(fail)
    entered = []
    together(lambda: lock.writing(lambda: entered.append("alone")))
    together(lambda: lock.reading(lambda: entered.append("shared")))
    assert entered == ["alone", "shared"]


@pytest.mark.parametrize("way", ["reading", "writing"])
def test_an_interrupt_anywhere_lets_go(way: str) -> None:
    """Ctrl-C at whatever step of Python: two hundred of them leave no lock held."""
    script = f"""
        import signal, threading
        from mlsdm.engine.sharing import SharedLock

        lock, caught = SharedLock(), 0
        signal.signal(signal.SIGALRM, signal.default_int_handler)
        while caught < 200:
            try:
                signal.setitimer(signal.ITIMER_REAL, 1e-4 + caught * 1e-7)  # once
                while True:
                    lock.{way}(int)
            except KeyboardInterrupt:
                caught += 1
            free = threading.Thread(target=lock.writing, args=(int,), daemon=True)
            free.start()
            free.join(10)
            assert not free.is_alive(), caught
        print("all let go")
    """
    command = [sys.executable, "-c", textwrap.dedent(script)]
    done = subprocess.run(command, env=uncovered(), capture_output=True, text=True, timeout=60)
    assert done.stdout == "all let go\n", done.stderr
