from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote
from urllib.request import ProxyHandler, build_opener

import psutil
import pytest

from mlsdm import ui
from mlsdm.errors import RunError
from mlsdm.sweep.recorded import SWEEP
from mlsdm.tracking import Store

SERVE = (
    "import sys; from pathlib import Path; from mlsdm.ui import serve_ui\n"
    "serve_ui(Path(sys.argv[1]), sys.argv[2], 0)"
)


def read(address: str) -> bytes:
    with build_opener(ProxyHandler({})).open(address, timeout=120) as answer:
        return bytes(answer.read())


def test_the_interface_shows_the_runs_and_leaves_nothing_behind(sqlite_store: Store) -> None:
    with sqlite_store.start("shown é", "r", parameters={}, tags={}) as run:
        run.log([], files={"a folder/é.txt": "seen"})
    id = sqlite_store.experiment("shown é")
    command = [sys.executable, "-c", SERVE, str(sqlite_store.project), sqlite_store.uri]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        address = process.stdout.readline().removeprefix("MLflow: ").strip()
        while process.stdout.readline() != "shown é\n":
            pass
        page = f"{address}/#/experiments/{id}/runs?workflowType=machine_learning"
        assert process.stdout.readline() == f"  runs   {page}\n"
        assert process.stdout.readline() == f"  charts {page}&compareRunsMode=CHART\n"
        assert b"<html" in read(address)
        api = f"{address}/ajax-api/2.0/mlflow"
        experiment = json.loads(read(f"{api}/experiments/get?experiment_id={id}"))["experiment"]
        assert experiment["name"] == "shown é"
        file = f"path={quote('a folder/é.txt')}&run_uuid={run.id}"
        assert read(f"{address}/get-artifact?{file}") == b"seen"
        family = psutil.Process(process.pid).children(recursive=True)
        assert family
    finally:
        process.send_signal(signal.SIGTERM)
        rest = process.communicate(timeout=300)[0]
    assert rest.endswith("ui: stopped\n")
    assert process.returncode == 0
    assert not any(child.is_running() for child in family)
    assert {path.name for path in sqlite_store.project.iterdir()} <= {
        "notebooks",
        "experiments",
        "mlflow.db",
        "mlartifacts",
        ".mlsdm",  # of the drivers that other tests start on this store
    }


def test_links_open_the_view_and_the_newest_sweep(store: Store) -> None:
    plain, viewed = store.experiment("plain"), store.experiment("viewed")
    store.save_view("viewed", "mlsdm", {})
    ids = {}
    for time in (1, 3, 2):
        run = store.start("viewed", str(time), parameters={}, tags={SWEEP: "x"}, time=time)
        run.finish("FINISHED")
        ids[time] = run.id
    kind, view = "?workflowType=machine_learning", "&viewStateShareKey=mlsdm"
    found = ui.links("http://h", store)
    assert found["plain"] == {
        "runs": f"http://h/#/experiments/{plain}/runs{kind}",
        "charts": f"http://h/#/experiments/{plain}/runs{kind}&compareRunsMode=CHART",
    }
    assert found["viewed"] == {
        "runs": f"http://h/#/experiments/{viewed}/runs{kind}{view}",
        "charts": f"http://h/#/experiments/{viewed}/runs{kind}&compareRunsMode=CHART{view}",
        "sweep": f"http://h/#/experiments/{viewed}/runs/{ids[3]}{kind}",
    }


def test_a_busy_port_is_one_sentence(sqlite_store: Store) -> None:
    with socket.create_server(("127.0.0.1", 0)) as busy:
        port = busy.getsockname()[1]
        with pytest.raises(RunError, match=rf"^ui.port: {port} cannot be used .*or 0 for any$"):
            ui.serve_ui(sqlite_store.project, sqlite_store.uri, port)
    with pytest.raises(RunError, match=r"^ui.port: 70000 cannot be used"):
        ui.serve_ui(sqlite_store.project, sqlite_store.uri, 70000)


def test_a_server_that_ends_says_why(tmp_path: Path) -> None:
    with (
        pytest.raises(RunError, match=r"^ui: the MLflow server ended with 2: .*--no-such-option"),
        ui.server(["--no-such-option"], tmp_path),
    ):
        pytest.fail("it must not be ready")


def test_a_server_that_does_not_answer_is_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[subprocess.Popen[bytes]] = []

    def sleeper(command: list[str], **options: Any) -> subprocess.Popen[bytes]:
        code = "import signal, time; signal.signal(15, signal.SIG_IGN); time.sleep(60)"
        begun.append(popen([sys.executable, "-c", code], **options))
        return begun[0]

    popen = subprocess.Popen
    monkeypatch.setattr(subprocess, "Popen", sleeper)
    monkeypatch.setattr(ui, "START_SECONDS", 1.0)
    monkeypatch.setattr(ui, "STOP_SECONDS", 0.2)
    with (
        pytest.raises(RunError, match="did not answer within 1 s"),
        ui.server([], tmp_path),
    ):
        pytest.fail("it must not be ready")
    assert begun[0].returncode == -signal.SIGKILL


def test_a_store_that_is_a_server_has_its_own_interface(
    mlflow_server: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    opened: list[str] = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    ui.serve_ui(tmp_path, mlflow_server, open_browser=True)
    assert capsys.readouterr().out == f"MLflow: {mlflow_server}\n"
    assert opened == [mlflow_server]


def test_ctrl_c_ends_it_quietly(
    sqlite_store: Store, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def wait() -> None:
        os.kill(os.getpid(), signal.SIGTERM)  # as Ctrl-C while it runs

    @contextmanager
    def server(*arguments: object) -> Iterator[SimpleNamespace]:
        yield SimpleNamespace(address="http://h", wait=wait)

    opened: list[str] = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    monkeypatch.setattr(ui, "server", server)
    id = sqlite_store.experiment("opened")
    before = signal.getsignal(signal.SIGTERM)
    ui.serve_ui(sqlite_store.project, sqlite_store.uri, open_browser=True)
    assert signal.getsignal(signal.SIGTERM) is before
    assert capsys.readouterr().out.endswith("ui: stopped\n")
    assert opened[0].startswith("http://h/#/experiments/")
    assert id in sqlite_store.experiments().values()


def test_other_threads_leave_the_signals_alone() -> None:
    before = signal.getsignal(signal.SIGTERM)
    seen: list[object] = []

    def body() -> None:
        with ui._interruptible():
            seen.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=body)
    thread.start()
    thread.join()
    assert seen == [before]
