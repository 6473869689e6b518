"""The fork server: ``python -m mlsdm.warm.forkserver FD`` forks kernels off one warm process.

FD is a listening Unix socket. A client opens one connection for a kernel and sends one line of JSON
``{"argv", "env", "cwd"}``; it gets ``{"pid"}`` and, when the kernel has ended, ``{"exit"}``, or
``{"error"}`` where this server cannot serve the request. A kernel lives no longer than its
connection; all of them, and the server, no longer than the other end of the server's stdin.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import selectors
import signal
import socket
import sys
import warnings
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from mlsdm.warm.kernel import Request, run

__all__ = ["INLINE", "fixed"]

INLINE = "module://matplotlib_inline.backend_inline"

# Variables that a process reads once, at its start or when a library is imported.
_FIXED = (
    *("PYTHON", "LANG", "LC_", "LD_", "DYLD_", "HOME", "XDG_"),
    *("OMP_", "OPENBLAS_", "MKL_", "VECLIB_", "NUMBA_", "MPLCONFIGDIR", "MATPLOTLIBRC"),
)

_LIBRARIES = (
    "numpy",
    "pandas",
    "pandas.io.formats.html",
    "scipy.stats",
    "matplotlib.pyplot",
    "matplotlib.backends.backend_agg",
    "numba",
)
# What an IPython kernel imports only when it starts.
_KERNEL = (
    "ipykernel.kernelapp",
    "ipykernel.debugger",
    "tornado.platform.asyncio",
    "tornado.queues",
    "IPython.core.debugger",
    "IPython.core.oinspect",
    "IPython.core.completerlib",
    "IPython.core.logger",
    "IPython.core.pylabtools",
    "IPython.extensions.storemagic",
    "stack_data",
)
_PUBLIC = ("mlsdm", "mlsdm.analysis", "mlsdm.streams")
_WHILE_LOADING = {
    "MPLBACKEND": INLINE,
    "JE_ARROW_MALLOC_CONF": "background_thread:false",  # one thread, to be forked
    "PYDEVD_DISABLE_FILE_VALIDATION": "1",  # it would print a warning that kernels swallow
}


def fixed(argv: Sequence[str], environment: Mapping[str, str]) -> dict[str, Any]:
    """Return what a process forked from ``python OPTIONS -m ...`` can no longer change."""
    return {
        "options": list(argv[1 : argv.index("-m")]),
        "python": [sys.prefix, os.path.realpath(sys.executable)],
        "variables": {k: v for k, v in environment.items() if k.startswith(_FIXED)},
    }


def _load() -> dict[str, str]:
    """Import what can be imported of what kernels import; return the variables that this set."""
    os.environ.update(_WHILE_LOADING)
    before = set(os.environ)
    more = os.environ.get("MLSDM_WARM_IMPORTS", "").split(",")
    for name in (*_LIBRARIES, *_KERNEL, *_PUBLIC, *more):
        with suppress(Exception):
            module = importlib.import_module(name.strip())
            for public in module.__all__ if name in _PUBLIC else ():
                getattr(module, public)  # they load on first use
    with suppress(Exception):  # compiled code is read from its cache on the first call
        from mlsdm.engine.params import EngineParams
        from mlsdm.engine.simulation import simulate

        simulate(EngineParams(dim=1), [[1.0]], [1.0])
    return {name: value for name, value in os.environ.items() if name not in before}


def _kill(pid: int) -> None:
    """Kill a kernel and its process group."""
    for kill in (os.killpg, os.kill):  # by its pid where it has not made its group yet
        with suppress(ProcessLookupError, PermissionError):
            kill(pid, signal.SIGKILL)
            return


def _send(connection: socket.socket, **message: object) -> None:
    with suppress(OSError):  # who does not listen any more need not know
        connection.sendall(json.dumps(message).encode() + b"\n")


class _Server:
    """An event loop over the listening socket, the connections, signals and the owner's pipe."""

    def __init__(self, listener: socket.socket) -> None:
        self.fixed = fixed(sys.orig_argv, os.environ)
        self.listener = listener
        self.received: dict[socket.socket, bytes] = {}
        self.kernels: dict[int, socket.socket] = {}
        self.signals, self.wakeup = socket.socketpair()
        self.selector = selectors.DefaultSelector()

    def serve(self) -> Request | None:
        """Serve until the owner is gone; in a forked child, return what the child is to run."""
        self.wakeup.setblocking(False)
        signal.set_wakeup_fd(self.wakeup.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, lambda *_: None)  # the wake-up is all that is needed
        for source in (self.listener, self.signals, sys.__stdin__):
            self.selector.register(source, selectors.EVENT_READ)  # type: ignore[arg-type]
        while True:
            for key, _ in self.selector.select():
                if key.fileobj is self.listener:
                    self._accept()
                elif key.fileobj is self.signals:
                    numbers = self.signals.recv(4096)
                    self._reap()
                    if signal.SIGTERM in numbers or signal.SIGHUP in numbers:
                        return None
                elif key.fd == 0:
                    return None
                elif request := self._receive(key.fileobj):  # type: ignore[arg-type]
                    return request

    def end(self) -> None:
        """Kill all kernels and remove the socket."""
        signal.set_wakeup_fd(-1)  # their ends need not be told any more
        for pid in self.kernels:
            _kill(pid)
        path = Path(self.listener.getsockname())
        with suppress(OSError):
            path.unlink()
            path.parent.rmdir()

    def _accept(self) -> None:
        connection, _ = self.listener.accept()
        self.received[connection] = b""
        self.selector.register(connection, selectors.EVENT_READ)

    def _reap(self) -> None:
        """Tell of the kernels that have ended."""
        with suppress(ChildProcessError):
            while (ended := os.waitpid(-1, os.WNOHANG))[0]:
                pid, status = ended
                with suppress(ProcessLookupError, PermissionError):
                    os.killpg(pid, signal.SIGKILL)  # what is left of its process group
                if owner := self.kernels.pop(pid, None):  # else an imported library's own child
                    _send(owner, exit=os.waitstatus_to_exitcode(status))

    def _receive(self, connection: socket.socket) -> Request | None:
        """Take in what a client sent; in a child forked on its request, return that."""
        try:
            data = connection.recv(1 << 16)
        except OSError:
            data = b""
        if not data:
            self.selector.unregister(connection)
            del self.received[connection]
            connection.close()
            for pid, owner in self.kernels.items():
                if owner is connection:
                    _kill(pid)
            return None
        self.received[connection] += data
        line, newline, rest = self.received[connection].partition(b"\n")
        if not newline:
            return None
        self.received[connection] = rest
        try:
            request = Request(**json.loads(line))
            if fixed(request.argv, request.env) != self.fixed:
                raise ValueError("options, interpreter or variables are not those of this server")
            if not os.path.isdir(request.cwd):
                raise ValueError(f"{request.cwd!r} is no folder")
            with warnings.catch_warnings(action="ignore"):  # a BLAS sees to its threads by itself
                pid = os.fork()
        except (TypeError, ValueError, OSError) as why:
            _send(connection, error=str(why))
            return None
        if pid == 0:
            self._leave()
            return request
        self.kernels[pid] = connection
        _send(connection, pid=pid)
        return None

    def _leave(self) -> None:
        """Make a forked child a process of its own."""
        os.setsid()
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        self.selector.close()
        for mine in (self.listener, self.signals, self.wakeup, *self.received):
            mine.close()
        null = os.open(os.devnull, os.O_RDONLY)
        os.dup2(null, 0)
        os.close(null)


def main() -> None:
    """Serve the socket given as file descriptor."""
    if sys.path[0] in ("", os.getcwd()):
        del sys.path[0]  # a kernel is without it, too
    server = _Server(socket.socket(fileno=int(sys.argv[1])))
    variables = _load()
    gc.collect()
    gc.freeze()
    parent = os.getpid()
    try:
        request = server.serve()
    finally:
        if os.getpid() == parent:
            server.end()
    if request is not None:
        environment = variables | request.env | {"JPY_PARENT_PID": str(parent)}
        os._exit(run(request._replace(env=environment), parent))


if __name__ == "__main__":
    main()
