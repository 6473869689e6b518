"""Calls in threads of their own, which fail the test where one fails or never ends."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

LONG = 60.0  # seconds after which a test gives up; none takes as long


def together(*calls: Callable[[], object]) -> None:
    """Run calls in threads of their own, and fail where one fails or never ends."""
    failures: list[BaseException] = []

    def guarded(call: Callable[[], object]) -> None:
        try:
            call()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=guarded, args=(call,), daemon=True) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LONG)
    assert failures == []
    assert not any(thread.is_alive() for thread in threads)


def until(true: Callable[[], bool]) -> None:
    ends = time.monotonic() + LONG
    while not true():
        assert time.monotonic() < ends, "it never came true"
        time.sleep(0.001)
