from __future__ import annotations

import os
import signal
import sys
import threading
import time
from pathlib import Path

import nbformat
import psutil
import pytest
from nbformat import NotebookNode
from running import alive, kernels, make_task, printed, read

from mlsdm.execution.execute import execute
from mlsdm.execution.task import CellError, Result, from_json, to_json
from mlsdm.provenance import THREAD_CAPS

WHERE = (
    "import os, sys\n"
    "print(n, name, sys.executable, os.getcwd(), os.environ['MPLBACKEND'])\n"
    f"print(*(os.environ.get(name) for name in {THREAD_CAPS}))"
)


def statuses(notebook: NotebookNode) -> list[str]:
    return [cell.metadata.papermill.status for cell in notebook.cells]


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> tuple[Result, Path, list[object]]:
    folder = tmp_path_factory.mktemp("with {braces} and spaces")
    seen: list[object] = []
    task = make_task(
        WHERE, parameters={"n": 3, "name": "a\"b\\n'µ"}, cwd=str(folder), threads=7, key="k"
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MPLBACKEND", "agg")
        before = time.time()
        result = execute(
            task,
            on_cell=lambda done, total: seen.append((done, total)),
            on_kernel=lambda pid: seen.append(pid),
        )
    assert before <= result.started <= result.started + result.seconds <= time.time() + 0.1
    return result, folder, seen


def test_this_interpreter_runs_it_in_the_folder_given(
    good: tuple[Result, Path, list[object]],
) -> None:
    result, folder, _ = good
    notebook = read(result)
    inline = "module://matplotlib_inline.backend_inline"
    first, second = printed(result).splitlines()
    assert first == f"3 a\"b\\n'µ {os.path.abspath(sys.executable)} {folder} {inline}"
    assert set(second.split()) == {"7"}
    assert (result.key, result.error) == ("k", None)
    assert notebook.metadata.kernelspec.name == "python3"
    assert notebook.cells[2].metadata.tags == ["injected-parameters"]
    assert statuses(notebook) == ["completed"] * 4
    assert result.usage is not None
    assert 20e6 < result.usage.peak_memory < 500e6
    assert 0.05 < result.usage.cpu_seconds < 60


def test_nothing_is_left_and_it_travels_as_json(good: tuple[Result, Path, list[object]]) -> None:
    result, folder, _ = good
    assert from_json(Result, to_json(result)) == result
    assert list(folder.iterdir()) == []
    assert kernels() == []


def test_progress_counts_every_cell(good: tuple[Result, Path, list[object]]) -> None:
    seen = good[2]
    assert [item for item in seen if isinstance(item, tuple)] == [(i, 4) for i in range(5)]
    assert len([item for item in seen if isinstance(item, int)]) == 1


def test_an_exception_stops_it_there_and_an_absent_folder_is_no_reason_to() -> None:
    task = make_task(
        "import os; print(os.getcwd()); open('made', 'w').close()",
        "raise MemoryError('two\\nlines')",
        "print('never')",
        cwd="/absent",
        parameters={"n": 3},
    )
    result = execute(task)
    assert result.error == CellError("cell", "MemoryError", "two\nlines", 4)
    assert str(result.error) == "cell 5: MemoryError: two lines"
    assert statuses(read(result)) == [*["completed"] * 4, "failed", "pending"]
    assert read(result).metadata.papermill.exception is True
    cwd = Path(printed(result, 3).strip())
    assert cwd.is_absolute()
    assert not cwd.exists()


def test_leaving_early_is_no_success_and_an_error_that_is_expected_is_none() -> None:
    task = make_task("1 / 0", "import sys; sys.exit()", "print(1)")
    notebook = nbformat.reads(task.source, as_version=4)
    notebook.cells[2].metadata.tags = ["raises-exception"]
    result = execute(make_task(source=nbformat.writes(notebook)))
    assert result.error == CellError("cell", "SystemExit", "", 3)


@pytest.mark.skipif(os.name != "posix", reason="signals to oneself are POSIX")
@pytest.mark.parametrize(
    ("end", "told"),
    [
        ("os.kill(os.getpid(), 9)", "died by signal 9 (SIGKILL); it held "),
        ("os._exit(3)", "exited with code 3"),
    ],
)
def test_a_kernel_that_dies_is_told_at_once_and_as_it_was(end: str, told: str) -> None:
    cell = "import os, sys, time\nprint('so far', flush=True)\ntime.sleep(0.2)\n"
    begun: list[float] = []
    result = execute(
        make_task(cell + end, "print('never')"),
        on_cell=lambda done, total: begun.append(time.monotonic()),
    )
    assert time.monotonic() - begun[-1] < 0.9
    assert result.error is not None
    assert (result.error.kind, result.error.name, result.error.cell) == (
        "kernel",
        "DeadKernelError",
        2,
    )
    assert result.error.message.startswith(told)
    assert result.error.message.endswith("; out of memory?") == ("SIGKILL" in told)
    assert printed(result, 2) == "so far\n"
    notebook = read(result)
    assert statuses(notebook) == ["completed", "completed", "failed", "pending"]
    assert notebook.cells[2].metadata.papermill.exception is True
    assert notebook.metadata.papermill.exception is True


def test_a_kernel_that_does_not_start_is_an_error_of_the_kernel(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "ipykernel_launcher.py").write_text("raise SystemExit(3)")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    result = execute(make_task("print(n)"))
    assert result.error == CellError("kernel", "DeadKernelError", "exited with code 3", None)
    assert statuses(read(result)) == ["pending"] * 3


def test_output_without_measure_is_cut_and_the_rest_goes_on() -> None:
    huge = "print('x' * 99 + '\\n', end='', flush=False)\nfor _ in range(500_000): print('y' * 99)"
    tiny = "import sys\nfor i in range(3000): print(i, flush=True); print(i, file=sys.stderr)"
    begin = time.monotonic()
    result = execute(make_task(huge, tiny, "print('still here')"))
    assert time.monotonic() - begin < 20
    assert result.error is None
    assert len(result.notebook) < 3_000_000
    lines = printed(result, 2).splitlines()
    assert lines[0] == "x" * 99
    assert lines[-1] == "[mlsdm cut the output here, after 1.0 MB: 49.0 MB more]"
    assert printed(result, 3).count("\n") == 6000
    assert printed(result, 4) == "still here\n"


@pytest.mark.parametrize("what", ["print('x' * 99)", "display({'text/plain': 'x'}, raw=True)"])
def test_output_without_end_runs_into_the_time_limit(what: str) -> None:
    before = psutil.Process().memory_info().rss
    result = execute(make_task(f"while True: {what}", cell_timeout=1.5))
    assert result.error == CellError("timeout", "CellTimeoutError", "took longer than 1.5 s", 2)
    assert result.seconds < 6
    assert statuses(read(result))[-1] == "failed"
    assert psutil.Process().memory_info().rss < before + 300e6
    assert kernels() == []


def test_a_notebook_that_takes_too_long_is_ended_though_no_cell_does() -> None:
    busy = "import time\nend = time.monotonic() + 0.6\nwhile time.monotonic() < end: pass"
    result = execute(make_task(busy, busy, busy, busy, timeout=1.5, cell_timeout=30))
    message = "the notebook took longer than 1.5 s"
    assert result.error is not None
    assert result.error.cell is not None
    assert result.error == CellError("timeout", "NotebookTimeoutError", message, result.error.cell)
    assert 1.5 < result.seconds < 3


def test_too_much_memory_ends_it_and_what_it_held_is_told() -> None:
    cells = (
        "import time\nblock = bytearray(200_000_000)\ntime.sleep(0.3)",
        "more = block * 4\ntime.sleep(9)",
    )
    result = execute(make_task(*cells, memory_limit=500 * 2**20))
    assert result.error is not None
    assert (result.error.kind, result.error.name, result.error.cell) == (
        "memory",
        "MemoryLimitError",
        3,
    )
    assert result.error.message.startswith("held ")
    assert result.error.message.endswith(", more than the 500 MiB allowed")
    assert result.usage is not None
    assert 500 * 2**20 < result.usage.peak_memory < 1200e6
    assert result.seconds < 6


def test_a_run_is_called_off() -> None:
    stop = threading.Event()
    seen = []

    def after(done: int, total: int) -> None:
        seen.append(done)
        if done == 2:
            threading.Timer(0.2, stop.set).start()

    result = execute(make_task("while True: pass"), stop=stop, on_cell=after)
    assert result.error == CellError("stopped", "Stopped", "called off", 2)
    assert result.seconds < 5
    assert execute(make_task("1"), stop=stop).error == CellError(
        "stopped", "Stopped", "called off", None
    )
    assert kernels() == []


@pytest.mark.skipif(os.name != "posix", reason="signals to oneself are POSIX")
def test_ctrl_c_leaves_no_kernel() -> None:
    def interrupt(done: int, total: int) -> None:
        if done == 2:
            threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT)).start()

    with pytest.raises(KeyboardInterrupt):
        execute(make_task("import time\ntime.sleep(60)"), on_cell=interrupt)
    assert kernels() == []


@pytest.mark.skipif(os.name != "posix", reason="kernels are forked on POSIX only")
def test_a_warm_kernel_keeps_the_same_limits() -> None:
    pids: list[int] = []
    cell = "import os, sys\nprint(os.getppid(), 'numpy' in sys.modules)\nwhile True: pass"
    task = make_task(cell, warm=True, timeout=60, cell_timeout=1)
    result = execute(task, on_kernel=pids.append)
    parent, imported = printed(result).split()
    assert (int(parent) != os.getpid(), imported) == (True, "True")
    assert result.error == CellError("timeout", "CellTimeoutError", "took longer than 1 s", 2)
    assert result.usage is not None
    assert result.usage.cpu_seconds > 0.5
    assert not alive(pids[0])
