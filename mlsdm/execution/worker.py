"""A worker: runs one notebook after another, as its driver says on its standard input.

Its argument is a folder for what is temporary.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from queue import SimpleQueue
from threading import Event, Lock, Thread, Timer
from typing import Any

from mlsdm.execution.task import CellError, Result, Task, from_json, to_json

__all__ = ["failure", "lines", "save", "unfinished", "work"]

# Seconds for a clean end, with its folders removed, before a hard one; longer if nobody waits.
_GRACE, _GRACE_ALONE = 3.0, 30.0


def work(
    task: Task,
    stop: Event | None = None,
    on_cell: Callable[[int, int], None] | None = None,
    on_kernel: Callable[[int], None] | None = None,
) -> Result:
    """Run a notebook as `execute` does; what goes wrong around it is told in the result too."""
    from mlsdm.execution.execute import execute

    started = time.time()
    try:
        return execute(task, stop=stop, on_cell=on_cell, on_kernel=on_kernel)
    except Exception as error:
        return failure(task, started, type(error).__name__, str(error))


def failure(task: Task, started: float, name: str, message: str) -> Result:
    """Return the result of a task whose worker could not do its work; `started` as in `Result`."""
    return unfinished(task, started, CellError("worker", name, message, None))


def unfinished(task: Task, started: float, error: CellError) -> Result:
    """Return the result of a task of which nothing came back, because of `error`."""
    return Result(task.key, task.source, started, time.time() - started, error, None)


def save(result: Result, path: Path) -> None:
    """Write a result, aside first, so that a file of this name is always whole."""
    aside = path.with_name(f"{path.name}.part")
    try:
        aside.write_text(to_json(result), encoding="utf-8")
        aside.replace(path)
    except OSError:
        with suppress(OSError):
            aside.unlink()
        raise


class _Worker:
    """The main thread works; another one listens, so that a run can be called off."""

    def __init__(self, channel: int) -> None:
        self._channel, self._writing = channel, Lock()
        self._tasks: SimpleQueue[tuple[Task, Path, Event] | None] = SimpleQueue()
        self._stop = Event()  # of the task that came last
        self._closing = Event()
        self.alone = False  # the driver is gone, or has no more use for its workers

    def tell(self, **message: Any) -> None:
        line = json.dumps(message).encode() + b"\n"
        with self._writing:
            try:
                os.write(self._channel, line)
            except OSError:  # the driver is gone: the end of its input says so too
                self._closing.set()

    def leave(self) -> None:
        """End at once: nobody waits for the results any more."""
        from mlsdm.execution.limits import call_off

        def force() -> None:
            call_off()
            os._exit(1)

        self._closing.set()
        self._stop.set()
        last = Timer(_GRACE_ALONE if self.alone else _GRACE, force)
        last.daemon = True
        last.start()
        self._tasks.put(None)
        call_off()

    def listen(self) -> None:
        for line in lines(0):
            message = json.loads(line)
            if "run" in message:
                self._stop = Event()
                task = from_json(Task, message["run"])
                self._tasks.put((task, Path(message["output"]), self._stop))
            else:
                self._stop.set()
        self.alone = True
        self.leave()

    def run(self) -> None:
        Thread(target=self.listen, daemon=True).start()
        self.tell(ready=True)
        while not self._closing.is_set() and (given := self._tasks.get()) is not None:
            task, output, stop = given
            result = work(
                task,
                stop,
                lambda done, total: self.tell(cell=[done, total]),
                lambda pid: self.tell(kernel=pid),
            )
            if self._closing.is_set():  # a run that was cut short is no result
                return
            try:
                save(result, output)
            except OSError as error:
                self.tell(failed=f"{error.strerror or error}: {output}")
            except Exception as error:
                save(failure(task, result.started, type(error).__name__, str(error)), output)
                self.tell(done=task.key)
            else:
                self.tell(done=task.key)


def lines(descriptor: int) -> Iterator[bytes]:
    """Read lines past Python's own buffers: a thread that waits in them would disturb the end."""
    rest = b""
    while chunk := os.read(descriptor, 1 << 20):
        *whole, rest = (rest + chunk).split(b"\n")
        yield from whole


def _prepare() -> None:
    """Do once, before the first notebook, what would make it slower."""
    for name in ("mlsdm.execution.client", "mlsdm.execution.execute", "papermill.parameterize"):
        import_module(name)
    import nbformat
    from jupyter_client.provisioning.factory import KernelProvisionerFactory
    from nbformat.v4 import new_notebook

    nbformat.validate(new_notebook())  # type: ignore[no-untyped-call]
    KernelProvisionerFactory.instance()


def main() -> None:
    """Serve the driver at the other end of the standard input and output, until it is gone."""
    # Ctrl-C in a terminal reaches every process of the group; what to do about it the driver says.
    # A handler, and not SIG_IGN, which the kernels would inherit.
    signal.signal(signal.SIGINT, lambda *_: None)
    # In the driver's folder, which it removes: so nothing is left of a worker that is killed.
    tempfile.tempdir = sys.argv[1]
    os.makedirs(tempfile.tempdir, mode=0o700, exist_ok=True)
    channel = os.dup(1)
    os.dup2(2, 1)  # what is printed by mistake must not reach the driver as a message
    sys.stdout = sys.stderr
    _prepare()
    worker = _Worker(channel)
    # From a thread: this one may hold a lock that leaving needs.
    leave = Thread(target=worker.leave, daemon=True)
    signal.signal(signal.SIGTERM, lambda *_: leave.start() if not leave.ident else None)
    worker.run()
    if worker.alone:
        with suppress(OSError):  # the last worker finds the folder empty
            os.rmdir(tempfile.tempdir)


if __name__ == "__main__":
    main()
