"""What a forked child does to be an IPython kernel like any other."""

from __future__ import annotations

import atexit
import ctypes
import importlib.util
import os
import random
import signal
import sys
import threading
import time
import traceback
from contextlib import suppress
from typing import NamedTuple

__all__ = ["Request", "run"]

_PR_SET_PDEATHSIG = 1


class Request(NamedTuple):
    """A kernel to run: its command line, environment and working directory."""

    argv: list[str]
    env: dict[str, str]
    cwd: str


def run(request: Request, parent: int) -> int:
    """Run the kernel and what Python runs at its end; return the exit code."""
    code = 0
    try:
        _be_kernel(request, parent)
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    except BaseException:
        traceback.print_exc(file=sys.__stderr__)
        code = 1
    with suppress(BaseException):
        threading._shutdown()  # type: ignore[attr-defined]
        atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__):
        with suppress(Exception):
            stream.flush()  # type: ignore[union-attr]
    return code


def _be_kernel(request: Request, parent: int) -> None:
    """Be the kernel that ``python -m ipykernel_launcher`` would have been, up to its end."""
    if sys.platform == "linux":
        with suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it died before that took effect
        return
    os.environ.clear()
    os.environ.update(request.env)
    time.tzset()
    os.chdir(request.cwd)
    launcher = importlib.util.find_spec("ipykernel_launcher")
    assert launcher is not None
    module = request.argv.index("-m")
    sys.executable = os.path.abspath(request.argv[0])
    sys.orig_argv = request.argv
    sys.argv = [str(launcher.origin), *request.argv[module + 2 :]]
    random.seed()
    if numpy := sys.modules.get("numpy"):
        numpy.random.seed()

    from ipykernel.kernelapp import IPKernelApp

    # Its default was taken from the environment when the class was made.
    app = IPKernelApp.instance(parent_handle=parent)
    app.initialize()  # type: ignore[no-untyped-call]
    app.start()  # type: ignore[no-untyped-call]
    # It joins threads that may wait for each other for seconds.
    atexit.unregister(app.close)
