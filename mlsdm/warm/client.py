"""Start fork servers, and launch kernels from them."""

from __future__ import annotations

import atexit
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import weakref
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from mlsdm.errors import RunError
from mlsdm.warm.forkserver import fixed

__all__ = ["ADDRESS", "ForkServer", "ForkedProcess", "launch", "server_address"]

ADDRESS = "MLSDM_FORK_SERVER"
# An AF_UNIX path holds 104 bytes on macOS.
_LONGEST_PATH = 100
# Seconds; the first kernel waits for the server's imports, on a machine that may be busy.
_PATIENCE = 120.0


class ForkServer:
    """A process that imports the usual libraries and then forks kernels.

    It starts at once and is not waited for: the first launch waits until it is ready. It ends, and
    all its kernels with it, by `stop`, at the end of a ``with`` block, or when this process ends in
    whatever way.

    Parameters
    ----------
    environment
        All variables, as for `subprocess.Popen`; None for those of this process. Kernels must agree
        in what is read at start: thread caps, ``PYTHON...`` and the locale.
    options
        Interpreter options such as ``-Xfrozen_modules=off``; kernels must have the same ones.

    Raises
    ------
    RunError
        When there is no place for its socket.
    """

    def __init__(
        self, environment: Mapping[str, str] | None = None, options: Sequence[str] = ()
    ) -> None:
        folder = tempfile.mkdtemp(prefix="mlsdm-")  # nobody else may enter it
        self.address = f"{folder}/fork"
        try:
            if len(os.fsencode(self.address)) > _LONGEST_PATH:
                raise RunError(f"ForkServer: the path {self.address!r} is too long for a socket")
            with socket.socket(socket.AF_UNIX) as listener:
                # Listening before the server runs: clients need not try again until it does.
                listener.bind(self.address)
                listener.listen(128)
                number = listener.fileno()
                self._process = subprocess.Popen(
                    [sys.executable, *options, "-m", "mlsdm.warm.forkserver", str(number)],
                    stdin=subprocess.PIPE,
                    cwd=folder,
                    env=None if environment is None else dict(environment),
                    pass_fds=[number],
                    start_new_session=True,  # a Ctrl-C in the terminal is not for the server
                )
        except BaseException:
            self._remove()
            raise
        _ours.add(self)

    @property
    def pid(self) -> int:
        """The process id of the server."""
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether the server's process is there."""
        return self._process.poll() is None

    def stop(self) -> None:
        """End the server and all its kernels; doing it twice is allowed."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.terminate()  # while it still imports, it does not look at its stdin
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._remove()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def _remove(self) -> None:
        """Remove the socket, unless the server has done so."""
        with suppress(OSError):
            Path(self.address).unlink(missing_ok=True)
            Path(self.address).parent.rmdir()

    def _disown(self) -> None:
        """Let go of a server that this process got by a fork: it belongs to the parent."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.returncode = 0


class ForkedProcess:
    """A kernel forked by a fork server, to be handled as a `subprocess.Popen`."""

    stdin = stdout = stderr = None

    def __init__(self, connection: socket.socket, pid: int, received: bytes) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._connection = connection
        self._received = received
        self._lock = threading.Lock()
        connection.setblocking(False)
        _ours.add(self)

    def poll(self) -> int | None:
        """Return the exit code, -N after signal N, or None while it runs."""
        with self._lock:
            while self.returncode is None and b"\n" not in self._received:
                try:
                    data = self._connection.recv(1024)
                except BlockingIOError:
                    return None
                except OSError:
                    data = b""
                if not data:  # the server is gone, and its kernels go with it
                    with suppress(ProcessLookupError, PermissionError):
                        os.killpg(self.pid, signal.SIGKILL)
                    self._end(-signal.SIGKILL)
                self._received += data
            if self.returncode is None:
                self._end(json.loads(self._received)["exit"])
            return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end; raises `subprocess.TimeoutExpired` after `timeout` seconds."""
        end = None if timeout is None else time.monotonic() + timeout
        while (code := self.poll()) is None:
            if end is not None and time.monotonic() > end:
                raise subprocess.TimeoutExpired(f"kernel {self.pid}", timeout or 0)
            time.sleep(0.01)
        return code

    def send_signal(self, number: int) -> None:
        """Send it a signal while it runs."""
        if self.poll() is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def terminate(self) -> None:
        """Ask it to end."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it."""
        self.send_signal(signal.SIGKILL)

    def _end(self, code: int) -> None:
        self.returncode = code
        self._connection.close()

    def _disown(self) -> None:
        """Let go of a kernel that this process got by a fork: it belongs to the parent."""
        self._lock = threading.Lock()
        self._end(-signal.SIGKILL)


_ours: weakref.WeakSet[ForkServer | ForkedProcess] = weakref.WeakSet()
_servers: dict[str, ForkServer] = {}
_lock = threading.Lock()


def server_address(argv: Sequence[str], environment: Mapping[str, str]) -> str:
    """Return the socket of the server for a kernel.

    That is ``MLSDM_FORK_SERVER``, else a server of this process for kernels that agree in what is
    read at start; it is started when first needed.
    """
    if address := os.environ.get(ADDRESS):
        return address
    same = fixed(argv, environment)
    key = json.dumps(same, sort_keys=True)
    with _lock:
        server = _servers.get(key)
        if server is None or not server.running:
            if server is not None:
                server.stop()
            server = _servers[key] = ForkServer(environment, same["options"])
    return server.address


def launch(
    address: str, argv: Sequence[str], environment: Mapping[str, str], cwd: str | os.PathLike[str]
) -> ForkedProcess:
    """Fork a kernel: wait until the server is ready, and return the new process.

    Parameters
    ----------
    argv
        ``python OPTIONS -m ipykernel_launcher -f FILE ...``
    environment
        All of the kernel's variables.

    Raises
    ------
    OSError
        When the server cannot be reached, or does not answer.
    RunError
        When the server cannot serve this kernel.
    """
    request = {"argv": list(argv), "env": dict(environment), "cwd": os.fspath(cwd)}
    connection = socket.socket(socket.AF_UNIX)
    try:
        connection.settimeout(_PATIENCE)
        connection.connect(address)
        connection.sendall(json.dumps(request).encode() + b"\n")
        received = b""
        while b"\n" not in received:
            data = connection.recv(1024)
            if not data:
                raise ConnectionResetError(f"the fork server at {address} has ended")
            received += data
        line, _, rest = received.partition(b"\n")
        reply = json.loads(line)
        if "pid" not in reply:
            raise RunError(f"The fork server at {address}: {reply['error']}")
        return ForkedProcess(connection, reply["pid"], rest)
    except BaseException:
        connection.close()
        raise


@atexit.register
def _stop_servers() -> None:
    for server in _servers.values():
        server.stop()


def _after_fork() -> None:
    """Keep nothing of the parent's: a copy of a pipe or a socket would outlive the parent's own."""
    global _lock
    _lock = threading.Lock()
    _servers.clear()
    for mine in list(_ours):
        mine._disown()
    _ours.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
