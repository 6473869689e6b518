"""A lock that many readers share and one writer has to itself."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar

__all__ = ["SharedLock"]

T = TypeVar("T")


class SharedLock:
    """Lets readers in beside one another, and a writer alone; neither starves, as all queue up.

    It takes calls, and is no context manager: Ctrl-C may come between any two steps of Python, and
    only ``with`` on a lock of `threading` itself always lets go of what it holds.
    """

    def __init__(self) -> None:
        self._door = threading.Lock()  # held by a writer, and by readers as they come in
        self._readers: set[threading.Lock] = set()

    def reading(self, call: Callable[[], T]) -> T:
        """Return what the call does, beside other readers."""
        mine = threading.Lock()
        with mine:  # as long as this is held, a writer waits
            with self._door:
                self._readers.add(mine)
            returned = call()
        self._readers.discard(mine)  # or a writer does, after an interrupt
        return returned

    def writing(self, call: Callable[[], T]) -> T:
        """Return what the call does, alone."""
        with self._door:
            for reader in tuple(self._readers):
                with reader:
                    pass
            self._readers.clear()
            return call()
