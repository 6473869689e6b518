"""Notebooks on an existing Dask cluster: all that is distributed is Dask's."""

from __future__ import annotations

import gc
import logging
import queue
import secrets
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from mlsdm.errors import DataError, RunError
from mlsdm.execution.pool import GRACE, Cell, Done, Event, Started
from mlsdm.execution.task import CALLED_OFF, Result, Task, from_json, to_json
from mlsdm.execution.worker import failure, save, unfinished, work
from mlsdm.provenance import code_sha256

__all__ = ["DaskExecutor", "run_on_worker"]

ANSWER_SECONDS = 10
WATCH_SECONDS = 0.5


@dataclass(frozen=True)
class _Lost:
    """There will be no result of a task, and none of any other that is not called off."""

    key: str
    why: str


class DaskExecutor:
    """Gives tasks to the workers of a scheduler; results come back here.

    Dask runs a task again whose worker has died, on another one, up to three times. Workers need
    the package, with the same code; only text travels.

    Parameters
    ----------
    spool
        The folder for results: ``<key>.json`` of each task.
    scheduler
        Its address, such as ``tcp://10.0.0.1:8786``.
    workers
        How many tasks the scheduler has at the same time, at least 1.
    """

    def __init__(self, spool: Path, scheduler: str, workers: int) -> None:
        self._spool, self._scheduler, self._wanted = spool, scheduler, workers
        self._topic = f"mlsdm-{secrets.token_hex(8)}"
        self._queue: deque[Task] = deque()
        self._given: dict[str, tuple[Task, Any]] = {}  # to the scheduler, and their futures
        self._places: dict[str, str] = {}  # the workers of the tasks that were started
        self._since: dict[str, float] = {}  # when a start was told, in seconds since 1970
        self._told: queue.SimpleQueue[Event | _Lost] = queue.SimpleQueue()
        self._deadline: float | None = None  # for the results of what was called off
        self._client: Any = None

    def __enter__(self) -> Self:
        try:
            import distributed
        except ImportError:
            raise DataError(
                "sweep: --executor dask needs the package distributed; install mlsdm[dask]"
            ) from None
        # What it would log of a lost connection is in our error already.
        logging.getLogger("distributed.client").setLevel(logging.CRITICAL)
        answers: queue.SimpleQueue[Any] = queue.SimpleQueue()

        def connect() -> None:
            try:
                answers.put(
                    distributed.Client(  # type: ignore[no-untyped-call]
                        self._scheduler, timeout=ANSWER_SECONDS, set_as_default=False
                    )
                )
            except Exception as error:
                answers.put(TimeoutError(str(error) or type(error).__name__))
            # What failed is collected here, not while distributed holds the lock that this takes.
            gc.collect()

        # From a thread: it waits without end for the greeting of what is no scheduler.
        threading.Thread(target=connect, daemon=True).start()
        try:
            answer = answers.get(timeout=ANSWER_SECONDS + 1)
        except queue.Empty:
            answer = TimeoutError("what listens there does not answer")
        if isinstance(answer, Exception):
            why = str(answer) or type(answer).__name__
            raise RunError(f"scheduler {self._scheduler}: cannot be reached: {why}")
        self._client = answer
        self._client.subscribe_topic(self._topic, self._hear)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._client.close()  # the scheduler forgets what is left, and `_watch` ends its kernels

    def submit(self, task: Task) -> None:
        """Queue a task, first in first out."""
        self._queue.append(task)

    def events(self) -> Iterator[Event]:
        """Tell what happens, until every task is done; may be called again after an interrupt.

        Raises
        ------
        RunError
            When results cannot be written, the scheduler is gone, or a worker cannot run notebooks.
        """
        while self._queue or self._given:
            self._hand_out()
            try:
                left = None if self._deadline is None else max(0, self._deadline - time.monotonic())
                told = self._told.get(timeout=left)
            except queue.Empty:  # a worker that does not answer any more
                for key in self._given:
                    self._told.put(_Lost(key, "called off"))
                self._cancel([future for _, future in self._given.values()])
                continue
            if told.key not in self._given:  # it was called off
                continue
            if isinstance(told, Started):
                self._since[told.key] = time.time()
            elif not isinstance(told, Cell):
                task, _ = self._given.pop(told.key)
                if isinstance(told, _Lost):
                    if self._deadline is None:
                        raise RunError(told.why)
                    if told.key not in self._since:
                        continue
                    told = self._called_off(task)
                    if isinstance(told, _Lost):
                        raise RunError(told.why)
            yield told

    def stop(self) -> None:
        """Forget what is queued and call off what runs, whose result then says ``"stopped"``."""
        if self._deadline is not None:
            return
        self._deadline = time.monotonic() + GRACE
        self._queue.clear()
        idle = [key for key in self._given if key not in self._places]
        self._cancel([self._given.pop(key)[1] for key in idle])
        places = {self._places[key] for key in self._given}
        if places and self._client.status == "running":
            with suppress(OSError):  # of a scheduler that does not answer any more
                self._client.run(
                    *(_call_off, self._topic),
                    workers=sorted(places),
                    on_error="ignore",
                    callback_timeout=GRACE,
                )

    def _hand_out(self) -> None:
        while self._queue and len(self._given) < self._wanted:
            task = self._queue.popleft()
            name, text = f"{self._topic}-{task.key}", to_json(task)
            try:
                future = self._client.submit(run_on_worker, text, code_sha256(), key=name)
            except Exception as error:  # the connection is closed
                raise RunError(f"scheduler {self._scheduler}: is gone: {error}") from None
            self._given[task.key] = task, future
            future.add_done_callback(partial(self._ended, task))

    def _cancel(self, futures: list[Any]) -> None:
        if self._client.status == "running":
            self._client.cancel(futures)

    def _hear(self, event: tuple[float, dict[str, Any]]) -> None:
        """Take in, in Dask's thread, what a worker tells."""
        told = event[1]
        if "cell" in told:
            self._told.put(Cell(told["key"], *told["cell"]))
        else:
            self._places[told["key"]] = told["worker"]
            self._told.put(Started(told["key"]))

    def _ended(self, task: Task, future: Any) -> None:
        self._told.put(self._take(task, future))

    def _take(self, task: Task, future: Any) -> Done | _Lost:
        """Put a result, in Dask's thread, where the driver finds it."""
        from distributed import CancelledError, KilledWorker

        try:
            result = from_json(Result, future.result())
        except KilledWorker as error:
            times = error.allowed_failures + 1
            message = f"its worker died, {times} times, at last {error.last_worker.address}"
            result = failure(task, time.time(), "KilledWorker", message)
        except CancelledError:
            return _Lost(task.key, f"scheduler {self._scheduler}: is gone, or has dropped the runs")
        except Exception as error:
            why = f"scheduler {self._scheduler}: a worker cannot run notebooks: {error}"
            return _Lost(task.key, why)
        return self._keep(result)

    def _called_off(self, task: Task) -> Done | _Lost:
        """Put a result for a task that had started, and of which nothing came back."""
        return self._keep(unfinished(task, self._since[task.key], CALLED_OFF))

    def _keep(self, result: Result) -> Done | _Lost:
        path = self._spool.absolute() / f"{result.key}.json"
        try:
            save(result, path)
        except OSError as error:
            why = f"{self._spool}: results cannot be written: {error.strerror or error}"
            return _Lost(result.key, why)
        return Done(result.key, path)


_stops: dict[str, threading.Event] = {}  # by the names of the tasks that this worker runs


def run_on_worker(text: str, code: str) -> str:
    """Run a task on a Dask worker; return its result as JSON.

    Raises
    ------
    RunError
        When the worker's package is not that of the driver, whose digest is `code`.
    """
    from distributed import get_worker

    worker = get_worker()
    if code != code_sha256():
        raise RunError(f"{worker.address} has another version of mlsdm than the driver")
    task = from_json(Task, text)
    name = str(worker.get_current_task())
    topic = name.removesuffix(f"-{task.key}")
    stop, over = threading.Event(), threading.Event()
    watch = threading.Thread(target=_watch, args=(worker, name, stop, over), daemon=True)
    watch.start()
    _stops[name] = stop
    worker.log_event(topic, {"key": task.key, "worker": worker.address})

    def tell(done: int, total: int) -> None:
        worker.log_event(topic, {"key": task.key, "cell": [done, total]})

    try:
        return to_json(work(task, stop, tell))
    finally:
        del _stops[name]
        over.set()
        watch.join()


def _call_off(topic: str) -> None:
    for name, stop in list(_stops.items()):
        if name.startswith(topic):
            stop.set()


def _watch(worker: Any, name: str, stop: threading.Event, over: threading.Event) -> None:
    """Stop the notebook when nobody wants its result any more: forgotten, or the worker closes."""
    while not over.wait(WATCH_SECONDS):
        state = worker.state.tasks.get(name)
        closes = worker.status.name in ("closing", "closed")
        if closes or state is None or state.state == "cancelled":
            stop.set()
