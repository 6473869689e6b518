"""The driver's side of one worker process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from queue import SimpleQueue
from threading import Thread
from typing import IO, Any, cast

from mlsdm.execution.limits import kill
from mlsdm.execution.task import Task
from mlsdm.execution.worker import lines

__all__ = ["Message", "WorkerProcess"]

Message = tuple["WorkerProcess", bytes | None]  # one line; None is the end

_LINES = 20  # of what a worker complained about
_END = b"\0"  # of what is read of it


class WorkerProcess:
    """The process that runs ``mlsdm.execution.worker``, and what its driver knows of it.

    Parameters
    ----------
    environment
        Variables that are added to those of this process.
    folder
        Where it may put what is temporary.
    messages
        Gets what the process says, from a thread.
    """

    def __init__(
        self, environment: Mapping[str, str], folder: str, messages: SimpleQueue[Message]
    ) -> None:
        # A pipe of our own: what a notebook leaves running may hold it open as long as it likes.
        stderr, end = os.pipe()
        self._stderr, self._stderr_end = os.fdopen(stderr, "rb", 0), os.fdopen(end, "wb", 0)
        try:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "mlsdm.execution.worker", folder],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._stderr_end,
                bufsize=0,
                env={**os.environ, **environment},
            )
        except BaseException:
            self._stderr.close()
            self._stderr_end.close()
            raise
        pipes = (self.process.stdin, self.process.stdout)
        self.stdin, self._stdout = (cast(IO[bytes], pipe) for pipe in pipes)
        self.ready = False
        self.task: Task | None = None
        self.kernel: int | None = None  # the process id of the task's kernel
        self.since = 0.0  # when the task was given, in seconds since 1970
        self.deadline: float | None = None  # of a task that was called off
        self._complaints: deque[bytes] = deque(maxlen=_LINES)
        self._closing = False
        # Threads, because Windows cannot wait for several pipes.
        self._readers = [
            Thread(target=self._listen, args=(messages,), name="mlsdm-stdout", daemon=True),
            Thread(target=self._listen_to_complaints, name="mlsdm-stderr", daemon=True),
        ]
        for reader in self._readers:
            reader.start()

    def tell(self, **message: Any) -> bool:
        """Send a message; return whether the process could still be reached."""
        rest = memoryview(json.dumps(message).encode() + b"\n")
        try:
            while rest:
                rest = rest[self.stdin.write(rest) :]
        except OSError:
            return False
        return True

    def complaint(self) -> str:
        """Return the end of what the process wrote about its troubles, once it is closed."""
        return b"".join(self._complaints).decode(errors="replace").strip()

    def kill(self) -> None:
        """End the process, and then its kernel, whose death it cannot report any more."""
        self.process.kill()
        if self.kernel is not None:
            kill(self.kernel)

    def close(self) -> None:
        """End the process and let go of its pipes."""
        self.kill()
        self.process.wait()
        self._closing = True
        with suppress(OSError, ValueError):  # the reader has ended already
            self._stderr_end.write(_END)
        for reader in self._readers:
            reader.join()
        for pipe in (self.stdin, self._stdout, self._stderr, self._stderr_end):
            with suppress(OSError):
                pipe.close()

    def _listen(self, messages: SimpleQueue[Message]) -> None:
        for line in lines(self._stdout.fileno()):
            messages.put((self, line))
        messages.put((self, None))

    def _listen_to_complaints(self) -> None:
        chunk = b""
        while not (self._closing and _END in chunk):
            chunk = os.read(self._stderr.fileno(), 1 << 16)
            self._complaints.extend(chunk.replace(_END, b"").splitlines(keepends=True))
