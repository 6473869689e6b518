from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from running import alive, eventually, make_task

from mlsdm.execution import limits
from mlsdm.execution.limits import Watch, call_off, death

TASK = make_task()


@contextmanager
def python(code: str) -> Iterator[subprocess.Popen[str]]:
    """Run some code in a process of its own, up to its first line of output."""
    command = [
        sys.executable,
        "-c",
        f"{code}\nprint('ready', flush=True)\nimport time; time.sleep(300)",
    ]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        try:
            yield process
        finally:
            limits.kill(process.pid)


def test_memory_counts_children_and_peaks_between_samples() -> None:
    child = f"import subprocess, sys\nsubprocess.Popen([{sys.executable!r}, '-c', "
    child += "'b = bytearray(200_000_000); import time; time.sleep(300)'])\n"
    with python(child) as process:
        with Watch(lambda: process.pid, TASK) as watch:
            assert eventually(lambda: watch.held > 200e6, 60)
        assert watch.usage is not None
        assert 200e6 < watch.usage.peak_memory < 300e6
        assert process.wait(60) == -signal.SIGKILL
    with (
        python("b = bytearray(300_000_000); del b") as process,
        Watch(lambda: process.pid, TASK) as watch,
    ):
        pass
    assert watch.usage is not None
    assert watch.held < 100e6
    assert watch.usage.peak_memory > 300e6
    assert 0 < watch.usage.cpu_seconds < 30


def test_a_process_that_launches_many_is_not_counted_twice() -> None:
    code = "import subprocess, threading\nb = bytearray(300_000_000)\ndef launch():\n"
    code += "    while True: subprocess.run(['true'])\n"
    code += "threading.Thread(target=launch, daemon=True).start()"
    with (
        python(code) as process,
        Watch(lambda: process.pid, make_task(memory_limit=500_000_000)) as watch,
    ):
        time.sleep(1)
        assert watch.reason is None


def test_the_whole_family_is_killed_also_who_left_the_group() -> None:
    code = (
        "import subprocess\nq = [subprocess.Popen(['sleep', '300'], start_new_session=b) for b in "
    )
    code += "(False, True)]\nprint(*(p.pid for p in q), flush=True)"
    with subprocess.Popen(
        [sys.executable, "-c", code + "\nimport time; time.sleep(300)"],
        stdout=subprocess.PIPE,
        start_new_session=True,
    ) as process:
        assert process.stdout is not None
        children = [int(pid) for pid in process.stdout.readline().split()]
        assert len(children) == 2
        with Watch(lambda: process.pid, TASK):
            assert all(map(alive, children))
            call_off()
            assert process.wait(60) == -signal.SIGKILL
        assert eventually(lambda: not any(map(alive, children)), 60)


def test_a_group_is_killed_also_when_its_leader_is_dead() -> None:
    code = "import subprocess\nprint(subprocess.Popen(['sleep', '300']).pid, flush=True)"
    command = [sys.executable, "-c", f"input()\n{code}"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        with Watch(lambda: process.pid, make_task(timeout=300.0)) as watch:
            assert eventually(lambda: watch.usage, 60)
            process.stdin.write(b"\n")
            process.stdin.close()
            child = int(process.stdout.readline())
            assert process.wait(60) == 0
            assert alive(child)
        assert eventually(lambda: not alive(child), 60)


def test_a_process_that_got_the_id_of_a_dead_one_is_spared(monkeypatch: pytest.MonkeyPatch) -> None:
    with python("") as process:
        with Watch(lambda: process.pid, TASK) as watch:
            assert eventually(lambda: watch.usage, 60)
            monkeypatch.setattr("psutil.Process.is_running", lambda _: False)
        monkeypatch.undo()
        assert process.poll() is None


def test_it_is_called_off_by_an_event() -> None:
    stop = threading.Event()
    with python("") as process, Watch(lambda: process.pid, TASK, stop) as watch:
        stop.set()
        assert process.wait(60) == -signal.SIGKILL
        assert str(watch.reason) == "Stopped: called off"


def test_a_cell_s_time_does_not_run_before_there_is_one() -> None:
    task = make_task(cell_timeout=0.1)
    with python("") as process, Watch(lambda: process.pid, task) as watch:
        time.sleep(0.3)
        assert watch.reason is None
        watch.cell()
        assert process.wait(60) == -signal.SIGKILL
        assert str(watch.reason) == "CellTimeoutError: took longer than 0.1 s"


def test_an_end_that_comes_before_there_is_a_process_waits_for_it() -> None:
    stop = threading.Event()
    stop.set()
    pids: list[int] = []
    told: list[int] = []
    with (
        python("") as process,
        Watch(lambda: pids[0] if pids else None, TASK, stop, told.append) as watch,
    ):
        time.sleep(0.2)
        assert watch.reason is None
        assert watch.usage is None
        pids.append(process.pid)
        assert process.wait(60) == -signal.SIGKILL
        assert told == pids


@pytest.mark.parametrize(
    ("code", "held", "told"),
    [
        (None, 5, "died"),
        (0, 5, "exited with code 0"),
        (3, 0, "exited with code 3"),
        (-11, 0, "died by signal 11 (SIGSEGV)"),
        (-11, 2**20, "died by signal 11 (SIGSEGV); it held 1 MiB"),
        (-9, 5 * 2**28, "died by signal 9 (SIGKILL); it held 1.25 GiB; out of memory?"),
        (-9, 0, "died by signal 9 (SIGKILL)"),
        (-250, 0, "died by signal 250 (unknown)"),
    ],
)
def test_a_death_is_told(code: int | None, held: int, told: str) -> None:
    assert death(code, held) == told
