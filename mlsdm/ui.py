"""MLflow's own interface over a project's store."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import webbrowser
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from types import FrameType
from typing import IO

from mlsdm.errors import RunError
from mlsdm.tracking import Store

__all__ = ["Server", "links", "serve_ui", "server"]

HOST = "127.0.0.1"
START_SECONDS = 90.0
STOP_SECONDS = 10.0
ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # else eight more processes
}


class Server:
    """A running MLflow server: its address, and the wait for its end."""

    def __init__(self, process: subprocess.Popen[bytes], address: str, log: IO[bytes]) -> None:
        self.address = address
        self._process = process
        self._log = log

    def wait(self) -> None:
        """Wait until the server ends, which it does not do by itself.

        Raises
        ------
        RunError
            When it has ended.
        """
        self._process.wait()
        self._log.seek(0)
        lines = self._log.read().decode(errors="replace").strip().splitlines()
        last = " | ".join(line.strip() for line in lines[-3:]) or "it said nothing"
        raise RunError(f"ui: the MLflow server ended with {self._process.returncode}: {last}")

    def wait_until_ready(self) -> None:
        """Wait until the server answers.

        Raises
        ------
        RunError
            When it ends, or does not answer in time.
        """
        until = time.monotonic() + START_SECONDS
        while time.monotonic() < until:
            if self._process.poll() is not None:
                self.wait()
            if _healthy(self.address):
                return
            time.sleep(0.1)
        raise RunError(f"ui: the MLflow server did not answer within {START_SECONDS:g} s")


def _healthy(address: str) -> bool:
    connection = HTTPConnection(address.removeprefix("http://"), timeout=2)
    try:
        connection.request("GET", "/health")
        return connection.getresponse().status == 200
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()


def _free_port(port: int) -> int:
    with socket.socket() as probe:
        # As the server does: a port that was just closed is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except (OSError, OverflowError) as error:
            raise RunError(
                f"ui.port: {port} cannot be used ({error}); give another one, or 0 for any"
            ) from None
        return int(probe.getsockname()[1])


@contextmanager
def server(arguments: Sequence[str], folder: Path, port: int = 0) -> Iterator[Server]:
    """Run an MLflow server in `folder`, ready when the block begins and gone when it ends.

    Parameters
    ----------
    arguments
        Of ``mlflow server``, without the address.
    port
        0 for any that is free.

    Raises
    ------
    RunError
        When the port is taken, or the server ends or does not answer in time.
    """
    address = f"{HOST}:{_free_port(port)}"
    command = [sys.executable, "-m", "mlflow", "server", "--workers", "1", "--host", HOST]
    command += ["--port", address.rpartition(":")[2], *arguments]
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env={**os.environ, **ENVIRONMENT},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # a group of its own, so that its workers end with it
        )
        try:
            running = Server(process, f"http://{address}", log)
            running.wait_until_ready()
            yield running
        finally:
            _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    try:
        with suppress(ProcessLookupError, subprocess.TimeoutExpired):
            os.killpg(process.pid, signal.SIGTERM)
            process.wait(STOP_SECONDS)
    finally:  # even a second Ctrl-C, while it stops, leaves nothing running
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@contextmanager
def _interruptible() -> Iterator[None]:
    """Let SIGTERM and a closed terminal interrupt as Ctrl-C does; only the main thread may."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {n: signal.signal(n, interrupt) for n in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def serve_ui(
    project: Path, uri: str | None = None, port: int = 5000, open_browser: bool = False
) -> None:
    """Show the runs of a store in MLflow's interface, until Ctrl-C or SIGTERM.

    A store that is a server already has an interface: its address is printed, and that is all.

    Parameters
    ----------
    project
        The folder whose own store is shown if no other is named.
    uri
        The store, as Store.open takes it.
    port
        Of this machine's own address 127.0.0.1; 0 for any that is free.
    open_browser
        Open the first page in a browser too.

    Raises
    ------
    ParameterError, RunError
        When the store cannot be opened, the port is taken, or the server does not start.
    """
    store = Store.open(project, uri)
    if store.files is None:
        _announce(store.address, {}, open_browser)
        return
    files = ["--default-artifact-root", store.files.as_uri()]
    arguments = ["--backend-store-uri", store.uri, *files]
    try:
        with (
            _interruptible(),
            server([*arguments, "--no-serve-artifacts"], project, port) as running,
        ):
            _announce(running.address, links(running.address, store), open_browser)
            running.wait()
    except KeyboardInterrupt:
        print("ui: stopped", flush=True)


def links(address: str, store: Store) -> dict[str, dict[str, str]]:
    """Return for each experiment the pages that show at once its runs, its charts, and its sweep.

    MLflow opens in a view for language models that lists no runs. What a run or a sweep has left
    with its experiment is opened as a view of its own, with a column for all that varies.

    Raises
    ------
    RunError
        When the store refuses.
    """
    from mlsdm.sweep.recorded import SWEEP
    from mlsdm.sweep.view import VIEW

    viewed = store.with_view(VIEW)
    pages = {}
    for name, id in store.experiments().items():
        runs, kind = f"{address}/#/experiments/{id}/runs", "?workflowType=machine_learning"
        view = f"&viewStateShareKey={VIEW}" if name in viewed else ""
        pages[name] = {
            "runs": f"{runs}{kind}{view}",
            "charts": f"{runs}{kind}&compareRunsMode=CHART{view}",
        }
        if sweeps := store.find(name, {SWEEP: None}):
            pages[name]["sweep"] = f"{runs}/{sweeps[0].id}{kind}"
    return pages


def _announce(address: str, pages: dict[str, dict[str, str]], open_browser: bool) -> None:
    print(f"MLflow: {address}", flush=True)
    for name, found in pages.items():
        print(name, *(f"  {what:6} {page}" for what, page in found.items()), sep="\n")
    sys.stdout.flush()
    if open_browser:
        first: dict[str, str] = next(iter(pages.values()), {})
        webbrowser.open(first.get("runs", address))
