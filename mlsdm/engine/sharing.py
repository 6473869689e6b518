"""A lock that many readers share and one writer has to itself."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["SharedLock"]


class SharedLock:
    """A lock for reading beside one another, and for writing alone.

    Whoever comes waits at the same door, so that neither readers nor writers starve.
    """

    def __init__(self) -> None:
        self._door = threading.Lock()  # held while waiting for the room
        self._room = threading.Lock()  # held by the writer, or by the readers together
        self._count = threading.Lock()
        self._readers = 0

    @contextmanager
    def shared(self) -> Iterator[None]:
        """Hold the lock beside other readers."""
        with self._door, self._count:
            if self._readers == 0:
                self._room.acquire()
            self._readers += 1
        try:
            yield
        finally:
            with self._count:
                self._readers -= 1
                if self._readers == 0:
                    self._room.release()

    def __enter__(self) -> None:
        """Hold the lock alone."""
        with self._door:
            self._room.acquire()

    def __exit__(self, *error: object) -> None:
        self._room.release()
