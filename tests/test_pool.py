from __future__ import annotations

import _thread
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
from running import alive, eventually, kernels, make_task, printed

from mlsdm.errors import RunError
from mlsdm.execution import pool as pools
from mlsdm.execution.pool import Cell, Done, Event, LocalPool, Started
from mlsdm.execution.task import CellError, Result, from_json

FOREVER = "while True: pass"


def result(event: Event) -> Result:
    assert isinstance(event, Done)
    found = from_json(Result, event.path.read_bytes())
    assert found.key == event.key == event.path.stem
    return found


def workers() -> list[psutil.Process]:
    return [
        child
        for child in psutil.Process().children()
        if "mlsdm.execution.worker" in child.cmdline()
    ]


@pytest.fixture(autouse=True)
def _nothing_is_left(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[None]:
    temporary = tmp_path_factory.mktemp("t")
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    monkeypatch.setenv("TMPDIR", str(temporary))
    descriptors = set(os.listdir("/proc/self/fd")) if os.path.exists("/proc/self/fd") else set()
    yield
    assert [thread for thread in threading.enumerate() if thread.name.startswith("mlsdm")] == []
    assert workers() == kernels() == []
    assert list(temporary.iterdir()) == []
    if descriptors:
        assert len(os.listdir("/proc/self/fd")) <= len(descriptors)


def test_tasks_run_side_by_side_in_order_and_leave_whole_results(tmp_path: Path) -> None:
    spool, folder = tmp_path / "spool", tmp_path / "folder"
    spool.mkdir()
    folder.mkdir()
    # The first two wait for each other.
    cell = "import os, time\nopen(str(n), 'w').close()\nwhile len(os.listdir()) < 2:\n"
    cell += "    time.sleep(0.01)\nprint(os.environ['COLOUR'], n)"
    with LocalPool(spool, 2, {"COLOUR": "green"}) as pool:
        for index in range(3):
            fields = {"parameters": {"n": index}, "cwd": str(folder), "timeout": 60.0}
            pool.submit(make_task(cell, key=f"k{index}", **fields))
        events = list(pool.events())
        assert list(pool.events()) == []
        pool.submit(make_task("1 / 0", key="later"))
        assert str(result(list(pool.events())[-1]).error).startswith("cell 3: ZeroDivisionError")
    assert [event.key for event in events if isinstance(event, Started)] == ["k0", "k1", "k2"]
    assert [event for event in events if isinstance(event, Cell) and event.key == "k2"] == [
        Cell("k2", done, 4) for done in range(5)
    ]
    results = {found.key: found for found in map(result, events[-1:])} | {
        event.key: result(event) for event in events if isinstance(event, Done)
    }
    assert {key: printed(found) for key, found in results.items()} == {
        f"k{index}": f"green {index}\n" for index in range(3)
    }
    assert results["k1"].started < results["k0"].started + results["k0"].seconds
    assert results["k0"].started < results["k1"].started + results["k1"].seconds
    assert results["k2"].started > max(results["k0"].started, results["k1"].started)
    assert {path.name for path in spool.iterdir()} == {f"{k}.json" for k in [*results, "later"]}


def test_a_worker_that_dies_is_replaced_and_its_task_tried_once_more(tmp_path: Path) -> None:
    kill = "import os, pathlib, signal\nparent = os.getppid()\n"
    once = "if not pathlib.Path('died').exists():\n    pathlib.Path('died').touch()\n    "
    end = "os.kill(parent, signal.SIGKILL)\n    while True: pass"
    with LocalPool(tmp_path, 1, {}) as pool:
        pool.submit(make_task(kill + once + end, key="once", cwd=str(tmp_path)))
        pool.submit(make_task(kill + "if True:\n    " + end, key="always"))
        pool.submit(make_task("print('fine')", key="after"))
        done = {event.key: result(event) for event in pool.events() if isinstance(event, Done)}
        assert kernels() == []
        assert len(workers()) == 1
    assert list(done) == ["once", "always", "after"]
    assert done["once"].error is done["after"].error is None
    message = "its worker process died by signal 9 (SIGKILL), 2 times"
    assert done["always"].error == CellError("worker", "WorkerDied", message, None)
    assert "while True: pass" in done["always"].notebook


def test_a_worker_that_is_told_to_leave_is_replaced(tmp_path: Path) -> None:
    cell = "import os, time\nwhile not os.path.exists('go'): time.sleep(0.01)"
    events: list[Event] = []
    with LocalPool(tmp_path, 1, {}) as pool:
        for key in ("a", "b", "c"):
            pool.submit(make_task(cell, key=key, cwd=str(tmp_path)))
        for event in pool.events():
            events.append(event)
            if isinstance(event, Cell) and event.done == 2 and not (tmp_path / "go").exists():
                (worker,) = workers()
                worker.terminate()
                assert eventually(lambda pid=worker.pid: not alive(pid), 60)
                (tmp_path / "go").touch()
    assert [event.key for event in events if isinstance(event, Started)] == ["a", "a", "b", "c"]
    done = [result(event) for event in events if isinstance(event, Done)]
    assert [(found.key, found.error) for found in done] == [("a", None), ("b", None), ("c", None)]


def test_what_a_notebook_leaves_running_keeps_nobody_waiting(tmp_path: Path) -> None:
    # It outlives the kernel's group and parents, and holds the worker's standard error open.
    orphan = "import os, time\nif os.fork() == 0:\n    os.setsid()\n    if os.fork() == 0:\n"
    orphan += "        open('pid', 'w').write(str(os.getpid()))\n        time.sleep(600)\n"
    orphan += "    os._exit(0)"
    code = f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', {orphan!r}])"
    try:
        with LocalPool(tmp_path, 1, {}) as pool:
            pool.submit(make_task(code, key="a", cwd=str(tmp_path)))
            assert result(list(pool.events())[-1]).error is None
            assert eventually(lambda: (tmp_path / "pid").exists(), 30)
        left = alive(int((tmp_path / "pid").read_text()))
    finally:
        with suppress(psutil.Error):
            psutil.Process(int((tmp_path / "pid").read_text())).kill()
    assert left


def test_a_stop_ends_what_runs_and_forgets_the_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pools, "GRACE", 60.0)  # else one that is slow would be killed
    seen: list[Event] = []
    with LocalPool(tmp_path, 2, {}) as pool:
        for key in ("a", "b", "c"):
            pool.submit(make_task(FOREVER, key=key))

        def watch() -> None:
            for event in pool.events():
                seen.append(event)
                if sum(isinstance(event, Cell) and event.done == 2 for event in seen) == 2:
                    threading.Timer(0.2, _thread.interrupt_main).start()

        with pytest.raises(KeyboardInterrupt):
            watch()
        pool.stop()
        pool.stop()
        ended = [result(event) for event in pool.events() if isinstance(event, Done)]
        pool.submit(make_task("print('again')", key="d"))
        assert result(list(pool.events())[-1]).error is None
    assert sorted(found.key for found in ended) == ["a", "b"]
    assert [found.error for found in ended] == [
        CellError("stopped", "Stopped", "called off", 2)
    ] * 2


def test_a_worker_that_does_not_stop_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pools, "GRACE", 0.3)
    with LocalPool(tmp_path, 1, {}) as pool:
        pool.submit(make_task(FOREVER, key="a"))
        for event in pool.events():
            if isinstance(event, Cell) and event.done == 2:
                (frozen,) = workers()
                frozen.send_signal(signal.SIGSTOP)
                pool.stop()
        assert result(event).error == CellError("stopped", "Stopped", "called off", None)
        assert kernels(frozen) == [] if alive(frozen.pid) else True


def test_leaving_in_the_middle_ends_everything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pools, "GRACE", 90.0)
    begin = time.monotonic()
    with LocalPool(tmp_path, 1, {}) as pool:
        pool.submit(make_task(FOREVER))
        for event in pool.events():
            if isinstance(event, Cell) and event.done == 2:
                (kernel,) = kernels()
                begin = time.monotonic()
                break
    assert time.monotonic() - begin < 60  # so it was not killed at the end of its grace
    assert not alive(kernel.pid)
    assert list(tmp_path.iterdir()) == []


def test_results_that_cannot_be_written_end_it(tmp_path: Path) -> None:
    with LocalPool(tmp_path / "absent", 1, {}) as pool:
        pool.submit(make_task("1"))
        pool.submit(make_task("2"))
        with pytest.raises(RunError, match=r"absent: results cannot be written: No such file"):
            list(pool.events())
        assert workers() == []


def test_workers_that_cannot_start_end_it(tmp_path: Path) -> None:
    (tmp_path / "papermill.py").write_text("raise ImportError('papermill is broken')")
    with LocalPool(tmp_path, 2, {"PYTHONPATH": str(tmp_path)}) as pool:
        pool.submit(make_task("1"))
        with pytest.raises(RunError, match=r"(?s)no worker can be started.*papermill is broken"):
            list(pool.events())


def test_workers_that_run_end_when_a_later_one_cannot_be_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    popen, started = subprocess.Popen, []

    def once(*given: Any, **named: Any) -> Any:
        if started:
            raise OSError(11, "Resource temporarily unavailable")
        started.append(popen(*given, **named))
        return started[0]

    monkeypatch.setattr("mlsdm.execution.process.subprocess.Popen", once)
    pool = LocalPool(tmp_path, 2, {})
    with pytest.raises(RunError, match="no worker can be started: Resource temporarily"), pool:
        pass
    assert started[0].returncode is not None


def test_nothing_outlives_a_driver_that_is_killed(tmp_path: Path) -> None:
    driver = """
import sys
from pathlib import Path
from running import make_task
from mlsdm.execution.pool import Cell, LocalPool
with LocalPool(Path(sys.argv[1]), 1, {}) as pool:
    pool.submit(make_task("while True: pass"))
    for event in pool.events():
        if isinstance(event, Cell) and event.done == 2:
            print("busy", flush=True)
"""
    with subprocess.Popen(
        [sys.executable, "-c", driver, str(tmp_path)],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parent)},
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"busy\n"
        family = psutil.Process(process.pid).children(recursive=True)
        assert len(kernels(psutil.Process(process.pid))) == 1
        assert len(family) >= 2
        process.kill()
        assert eventually(lambda: not any(alive(child.pid) for child in family), 60)
    assert list(tmp_path.iterdir()) == []
