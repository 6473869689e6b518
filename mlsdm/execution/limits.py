"""Watch a kernel from beside it: what it takes, and the end of one that takes too much."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from threading import Event, RLock, Thread
from types import TracebackType

import psutil

from mlsdm.execution.task import CALLED_OFF, CellError, Task, Usage

__all__ = ["Watch", "call_off", "death", "kill"]

# Seconds: between two looks at the clock, and between two samples at first and later on.
TICK = 0.05
FIRST, LAST = 0.05, 0.5

_watches: set[Watch] = set()


class Watch:
    """A thread that measures a kernel, and kills it when it breaks a limit or is called off.

    Parameters
    ----------
    pid
        Tells the kernel's process id, or None before there is one.
    task
        Its `cell_timeout`, `timeout` and `memory_limit` are kept.
    stop
        When it is set, the kernel is killed.
    on_kernel
        Called once, from the thread, with the kernel's process id.

    Attributes
    ----------
    reason
        Why the kernel was killed, without the cell; None when it was not.
    held
        Bytes at the last sample.
    """

    def __init__(
        self,
        pid: Callable[[], int | None],
        task: Task,
        stop: Event | None = None,
        on_kernel: Callable[[int], None] | None = None,
    ) -> None:
        self.reason: CellError | None = None
        self.held = 0
        self._pid, self._task, self._stop, self._on_kernel = pid, task, stop, on_kernel
        self._began = time.monotonic()
        self._cell_began: float | None = None
        self._kernel: psutil.Process | None = None
        self._children: list[psutil.Process] = []
        self._peak, self._cpu = 0, 0.0
        self._over = Event()
        self._lock = RLock()  # a signal handler may call off what this thread measures
        self._thread = Thread(target=self._run, name="mlsdm-watch", daemon=True)

    def __enter__(self) -> Watch:
        _watches.add(self)
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._over.set()
        self._thread.join()
        _watches.discard(self)
        with suppress(psutil.Error):
            self._sample()
        self._kill()

    @property
    def usage(self) -> Usage | None:
        """What was measured; None before the first sample.

        Memory is the sum of the resident sets: pages that processes share count for each of them.
        """
        return Usage(self._peak, self._cpu) if self._peak else None

    def cell(self) -> None:
        """Take note that another cell begins."""
        self._cell_began = time.monotonic()

    def call_off(self) -> None:
        """Kill the kernel now, as `stop` would a little later."""
        self._end(CALLED_OFF)

    def _run(self) -> None:
        next_sample = 0.0
        while self.reason is None and not self._over.wait(TICK):
            now = time.monotonic()
            if now >= next_sample:
                with suppress(psutil.Error):
                    self._sample()
                slowest = FIRST if self._task.memory_limit else LAST
                pause = min(max(FIRST, (now - self._began) / 100), slowest)
                # At most a twentieth of a core, however many processes there are.
                next_sample = now + max(pause, 20 * (time.monotonic() - now))
            self._judge(now)

    def _judge(self, now: float) -> None:
        task = self._task
        if self._stop is not None and self._stop.is_set():
            self.call_off()
        elif task.timeout and now - self._began > task.timeout:
            message = f"the notebook took longer than {task.timeout:g} s"
            self._end(CellError("timeout", "NotebookTimeoutError", message, None))
        elif task.cell_timeout and now - (self._cell_began or now) > task.cell_timeout:
            message = f"took longer than {task.cell_timeout:g} s"
            self._end(CellError("timeout", "CellTimeoutError", message, None))
        elif task.memory_limit and self._peak > task.memory_limit:
            message = f"held {_size(self._peak)}, more than the {_size(task.memory_limit)} allowed"
            self._end(CellError("memory", "MemoryLimitError", message, None))

    def _end(self, why: CellError) -> None:
        with self._lock:
            if self.reason is None and not self._over.is_set() and self._find() is not None:
                self.reason = why
                self._kill()

    def _kill(self) -> None:
        with self._lock:
            kernel = self._kernel
            # Else its id is another's now. Who is left in the group of a dead one is its own.
            if kernel and (kernel.is_running() or not psutil.pid_exists(kernel.pid)):
                kill(kernel.pid)
            for child in self._children:  # also those that left the kernel's group, or lost it
                with suppress(psutil.Error):
                    child.kill()

    def _find(self) -> psutil.Process | None:
        if self._kernel is None and (pid := self._pid()) is not None:
            with suppress(psutil.NoSuchProcess):
                self._kernel = psutil.Process(pid)
                self._began = time.monotonic()  # that it waited for its fork server is no fault
                if self._on_kernel is not None:
                    self._on_kernel(pid)
        return self._kernel

    def _sample(self) -> None:
        with self._lock:
            kernel = self._find()
            if kernel is None:
                return
            held, cpu = kernel.memory_info().rss, sum(kernel.cpu_times()[:4])
            known, self._children = self._children, kernel.children(recursive=True)
            for child in self._children:
                with suppress(psutil.Error):
                    # Until it calls exec, a new child seems to hold all that its parent holds.
                    if child in known:
                        held += child.memory_info().rss
                    cpu += sum(child.cpu_times()[:4])
            self.held = held or self.held  # what is dead already seems to hold nothing
            self._peak = max(self._peak, held, _high_water(kernel.pid))
            self._cpu = max(self._cpu, cpu)


def call_off() -> None:
    """Kill every kernel that is watched in this process."""
    for watch in list(_watches):
        watch.call_off()


def kill(pid: int) -> None:
    """End a process, its descendants and, if it leads one, its process group, at once."""
    with suppress(psutil.Error):
        for child in psutil.Process(pid).children(recursive=True):
            with suppress(psutil.Error):
                child.kill()
    with suppress(OSError):
        if os.name == "posix":
            os.killpg(pid, signal.SIGKILL)
    with suppress(psutil.Error):
        psutil.Process(pid).kill()


def death(code: int | None, held: int = 0) -> str:
    """Say how a process ended, from its exit code, which is negative for a signal."""
    if code is None:
        return "died"
    if code >= 0:
        return f"exited with code {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = "unknown"
    told = f"died by signal {-code} ({name})"
    if held:
        told += f"; it held {_size(held)}"
        # The system's own answer to a lack of memory looks like this, and nothing else tells of it.
        told += "; out of memory?" if name == "SIGKILL" else ""
    return told


def _high_water(pid: int) -> int:
    """Return the most bytes that one process ever held, where the system keeps count, else 0."""
    with suppress(OSError), open(f"/proc/{pid}/status", "rb") as lines:
        for line in lines:
            if line.startswith(b"VmHWM:"):
                return int(line.split()[1]) * 1024
    return 0


def _size(count: int) -> str:
    unit, name = (2**30, "GiB") if count >= 2**30 else (2**20, "MiB")
    return f"{count / unit:.4g} {name}"
