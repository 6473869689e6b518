"""Workers on this machine: processes that run tasks side by side."""

from __future__ import annotations

import json
import subprocess
import tempfile
import time
from collections import Counter, deque
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from types import TracebackType
from typing import Any, NoReturn, Protocol, Self

from mlsdm.errors import RunError
from mlsdm.execution.limits import death
from mlsdm.execution.process import Message, WorkerProcess
from mlsdm.execution.task import CALLED_OFF, Result, Task, to_json
from mlsdm.execution.worker import failure, save, unfinished

__all__ = ["Cell", "Done", "Event", "Executor", "LocalPool", "Started"]

ATTEMPTS = 2  # at a task whose worker dies
STARTS = 3  # in a row that fail, before the pool gives up
GRACE = 5.0  # seconds to end a run that is called off, or a worker, before it is killed
_TICK = 0.5  # seconds between two looks at the clock


@dataclass(frozen=True)
class Started:
    """A task was given to a worker; told again where that one died and another one tries."""

    key: str


@dataclass(frozen=True)
class Cell:
    """A running task has done so many cells of all its cells."""

    key: str
    done: int
    total: int


@dataclass(frozen=True)
class Done:
    """A task ended; the file at `path` holds its result as JSON."""

    key: str
    path: Path


Event = Started | Cell | Done


class Executor(Protocol):
    """Runs tasks; a context manager whose end is the end of every process that it started."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...

    def submit(self, task: Task) -> None:
        """Queue a task, first in first out."""

    def events(self) -> Iterator[Event]:
        """Tell what happens, until every task is done; may be called again after an interrupt."""

    def stop(self) -> None:
        """Forget what is queued and call off what runs, whose result then says ``"stopped"``."""


class LocalPool:
    """Worker processes on this machine; use it in a ``with`` block.

    Parameters
    ----------
    spool
        The folder for results: ``<key>.json`` of each task.
    workers
        How many run at the same time, at least 1.
    environment
        Variables for the workers and their kernels, added to those of this process.
    """

    def __init__(self, spool: Path, workers: int, environment: Mapping[str, str]) -> None:
        self._spool, self._wanted, self._environment = spool, workers, environment
        self._queue: deque[Task] = deque()
        self._events: deque[Event] = deque()
        self._workers: list[WorkerProcess] = []
        self._deaths: Counter[str] = Counter()
        self._failed_starts = 0
        self._messages: SimpleQueue[Message] = SimpleQueue()

    def __enter__(self) -> Self:
        self._folder = tempfile.TemporaryDirectory(prefix="mlsdm-", ignore_cleanup_errors=True)
        try:
            self._start()
        except BaseException:
            self._close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            for worker in self._workers:
                worker.stdin.close()
            deadline = time.monotonic() + GRACE
            for worker in self._workers:
                with suppress(subprocess.TimeoutExpired):
                    worker.process.wait(max(0, deadline - time.monotonic()))
        finally:
            self._close()

    def submit(self, task: Task) -> None:
        """Queue a task, first in first out."""
        self._queue.append(task)

    def events(self) -> Iterator[Event]:
        """Tell what happens, until every task is done; may be called again after an interrupt.

        Raises
        ------
        RunError
            When results cannot be written, or no worker can be started; nothing runs any more then.
        """
        while True:
            while self._events:
                yield self._events.popleft()
            if self._queue:
                self._start()
                self._hand_out()
            elif not any(worker.task for worker in self._workers):
                return
            if not self._events:
                self._listen()

    def stop(self) -> None:
        """Forget what is queued and call off what runs, whose result then says ``"stopped"``."""
        self._queue.clear()
        for worker in self._workers:
            if worker.task is not None and worker.deadline is None:
                worker.deadline = time.monotonic() + GRACE
                worker.tell(stop=True)

    def _start(self) -> None:
        while len(self._workers) < self._wanted:
            try:
                worker = WorkerProcess(self._environment, self._folder.name, self._messages)
            except OSError as error:
                self._fail(f"LocalPool: no worker can be started: {error.strerror or error}")
            self._workers.append(worker)

    def _hand_out(self) -> None:
        for worker in self._workers:
            if self._queue and worker.ready and worker.task is None:
                worker.task, worker.since = self._queue.popleft(), time.time()
                # Else an older result of the same key could pass for the one to come.
                with suppress(OSError):
                    self._path(worker.task).unlink()
                given = {"run": to_json(worker.task), "output": str(self._path(worker.task))}
                if worker.tell(**given):
                    self._events.append(Started(worker.task.key))
                else:  # it died while it had nothing to do: that is not the task's fault
                    self._queue.appendleft(worker.task)
                    worker.ready, worker.task = False, None

    def _path(self, task: Task) -> Path:
        return self._spool.absolute() / f"{task.key}.json"

    def _listen(self) -> None:
        now = time.monotonic()
        for worker in self._workers:
            if worker.deadline is not None and now > worker.deadline:
                worker.kill()
        try:
            worker, line = self._messages.get(timeout=_TICK)
        except Empty:
            return
        if worker not in self._workers:  # what one that is forgotten said in the end
            return
        if line is None:
            self._lost(worker)
        else:
            self._heard(worker, json.loads(line))

    def _heard(self, worker: WorkerProcess, message: dict[str, Any]) -> None:
        task = worker.task
        if "ready" in message:
            worker.ready, self._failed_starts = True, 0
        elif task is None:
            return
        elif "kernel" in message:
            worker.kernel = message["kernel"]
        elif "cell" in message:
            self._events.append(Cell(task.key, *message["cell"]))
        elif "failed" in message:
            self._fail(f"{self._spool}: results cannot be written: {message['failed']}")
        else:
            self._done(worker, task)

    def _done(self, worker: WorkerProcess, task: Task) -> None:
        worker.task = worker.kernel = worker.deadline = None
        self._events.append(Done(task.key, self._path(task)))

    def _lost(self, worker: WorkerProcess) -> None:
        """Take note of a worker that died; another one takes its place when there is work."""
        with suppress(subprocess.TimeoutExpired):  # else it might seem that we have killed it
            worker.process.wait(1)
        self._forget(worker)
        task, told = worker.task, death(worker.process.returncode)
        if task is None:
            self._failed_starts += not worker.ready
            if self._failed_starts >= STARTS:
                self._fail(f"LocalPool: no worker can be started, it {told}: {worker.complaint()}")
            return
        self._deaths[task.key] += 1
        if self._path(task).exists():  # it died between its last two steps
            self._done(worker, task)
        elif worker.deadline is not None:
            self._give_up(worker, unfinished(task, worker.since, CALLED_OFF))
        elif self._deaths[task.key] < ATTEMPTS:
            self._queue.appendleft(task)
        else:
            message = f"its worker process {told}, {ATTEMPTS} times"
            self._give_up(worker, failure(task, worker.since, "WorkerDied", message))

    def _give_up(self, worker: WorkerProcess, result: Result) -> None:
        assert worker.task is not None
        try:
            save(result, self._path(worker.task))
        except OSError as error:
            self._fail(f"{self._spool}: results cannot be written: {error.strerror or error}")
        self._done(worker, worker.task)

    def _fail(self, why: str) -> NoReturn:
        self._end()
        raise RunError(why)

    def _forget(self, worker: WorkerProcess) -> None:
        worker.close()
        self._workers.remove(worker)

    def _end(self) -> None:
        self._queue.clear()
        for worker in list(self._workers):
            self._forget(worker)

    def _close(self) -> None:
        self._end()
        self._folder.cleanup()
