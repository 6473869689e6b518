"""What a long simulation owes those who wait for it: its progress, and an end on Ctrl-C."""

from __future__ import annotations

import signal
import threading
import time
import warnings
from collections.abc import Iterable, Iterator
from typing import Any, Self, TypeVar

__all__ = ["Deferred", "Progress"]

SLOW = 2.0  # seconds after which there is a progress bar

T = TypeVar("T")


class Progress:
    """A progress bar for what turns out to be slow; before that, nothing of it is imported.

    Parameters
    ----------
    total
        Events that there will be, for the estimate of the time; None where it is not known.
    shown
        Whether there may be a bar.
    """

    def __init__(self, total: int | None, shown: bool) -> None:
        self._total = total
        self._due = time.monotonic() + SLOW if shown else float("inf")
        self._bar: Any = None

    def update(self, done: int) -> None:
        """Say how many events are done by now."""
        if self._bar is not None:
            self._bar.update(done - self._bar.n)
        elif time.monotonic() >= self._due:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # notebooks without ipywidgets: a bar of text does
                from tqdm.auto import tqdm
            self._bar = tqdm(total=self._total, initial=done, unit=" events", unit_scale=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()


class Deferred:
    """Lets Ctrl-C wait until what is under way is whole, so that it can be kept.

    Only the wait for what comes next is broken off at once. Whoever has a SIGINT handler of their
    own, or none (a thread, a job in the background), keeps it.
    """

    def __init__(self) -> None:
        self.to_stop = False
        self._waiting = False
        self._mine = False

    def _note(self, *_: object) -> None:
        self.to_stop = True
        if self._waiting:
            raise KeyboardInterrupt

    def each(self, source: Iterable[T]) -> Iterator[T]:
        """Yield what comes, until Ctrl-C."""
        coming = iter(source)
        while not self.to_stop:
            try:
                try:
                    self._waiting = True
                    if self.to_stop:  # it came just before
                        return
                    item = next(coming)
                finally:
                    self._waiting = False
            except StopIteration:
                return
            except KeyboardInterrupt:
                self.to_stop = True
                return
            yield item

    def __enter__(self) -> Self:
        self._mine = (
            threading.current_thread() is threading.main_thread()
            and signal.getsignal(signal.SIGINT) is signal.default_int_handler
        )
        if self._mine:
            signal.signal(signal.SIGINT, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        if self._mine:
            signal.signal(signal.SIGINT, signal.default_int_handler)
