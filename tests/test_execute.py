from __future__ import annotations

import os
import signal
import sys
import threading
from pathlib import Path

import nbformat
import psutil
import pytest
from making import make_notebook
from nbformat import NotebookNode

from mlsdm.sweep.execute import CellError, Executed, execute

WHERE = "import os, sys; print(n, name, sys.executable, os.getcwd(), os.environ['MPLBACKEND'])"


def kernels() -> list[psutil.Process]:
    children = psutil.Process().children(recursive=True)
    return [child for child in children if "ipykernel_launcher" in child.cmdline()]


def statuses(notebook: NotebookNode) -> list[str]:
    return [cell.metadata.papermill.status for cell in notebook.cells]


def run(folder: Path, *cells: str, timeout: float | None = None) -> Executed:
    path = make_notebook(folder / "in.ipynb", "n: int = 1", *cells)
    return execute(path, {"n": 3}, folder / "out.ipynb", cwd=folder, cell_timeout=timeout)


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> tuple[Executed, Path, list[tuple[int, int]]]:
    folder = tmp_path_factory.mktemp("with {braces} and spaces")
    path = make_notebook(folder / "in.ipynb", "n: int = 1\nname: str = ''", WHERE)
    parameters = {"n": 3, "name": "a\"b\\n'µ"}
    seen: list[tuple[int, int]] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MPLBACKEND", "agg")
        executed = execute(
            path,
            parameters,
            folder / "out.ipynb",
            cwd=folder,
            on_cell=lambda done, total: seen.append((done, total)),
        )
    return executed, folder, seen


def test_this_interpreter_runs_it_in_the_folder_given(
    good: tuple[Executed, Path, list[tuple[int, int]]],
) -> None:
    executed, folder, _ = good
    printed = executed.notebook.cells[-1].outputs[0].text
    inline = "module://matplotlib_inline.backend_inline"
    assert printed == f"3 a\"b\\n'µ {os.path.abspath(sys.executable)} {folder} {inline}\n"
    assert executed.error is None
    assert executed.seconds > 0
    assert executed.notebook.metadata.kernelspec.name == "python3"
    assert executed.notebook.cells[2].metadata.tags == ["injected-parameters"]


def test_it_is_saved_whole_and_nothing_is_left_beside_it(
    good: tuple[Executed, Path, list[tuple[int, int]]],
) -> None:
    executed, folder, _ = good
    assert nbformat.read(folder / "out.ipynb", as_version=4) == executed.notebook
    assert {path.name for path in folder.iterdir()} == {"in.ipynb", "out.ipynb"}
    assert kernels() == []


def test_progress_counts_every_cell(good: tuple[Executed, Path, list[tuple[int, int]]]) -> None:
    assert good[2] == [(0, 4), (1, 4), (2, 4), (3, 4), (4, 4)]


def test_an_exception_stops_it_there(tmp_path: Path) -> None:
    executed = run(tmp_path, "print('so far')", "raise ValueError('two\\nlines')", "print('never')")
    assert executed.error == CellError("cell", "ValueError", "two\nlines", 4)
    assert str(executed.error) == "cell 5: ValueError: two lines"
    assert statuses(executed.notebook) == [*["completed"] * 4, "failed", "pending"]
    assert executed.notebook.metadata.papermill.exception is True


def test_leaving_early_is_no_success_and_an_error_that_is_expected_is_none(tmp_path: Path) -> None:
    path = make_notebook(tmp_path / "in.ipynb", "", "1 / 0", "import sys; sys.exit()", "print(1)")
    notebook = nbformat.read(path, as_version=4)
    notebook.cells[2].metadata.tags = ["raises-exception"]
    nbformat.write(notebook, path)
    executed = execute(path, {}, tmp_path / "out.ipynb", cwd=tmp_path)
    assert executed.error == CellError("cell", "SystemExit", "", 3)


def test_a_killed_kernel_is_told_as_it_was(tmp_path: Path) -> None:
    executed = run(tmp_path, "import os\nos.kill(os.getpid(), 9)", "print('never')")
    assert executed.error is not None
    assert (executed.error.kind, executed.error.cell) == ("kernel", 3)
    saved = nbformat.read(tmp_path / "out.ipynb", as_version=4)
    for notebook in (executed.notebook, saved):
        assert statuses(notebook) == [*["completed"] * 3, "failed", "pending"]
        assert notebook.cells[3].metadata.papermill.exception is True
        assert notebook.metadata.papermill.exception is True


def test_a_cell_that_takes_too_long_is_ended(tmp_path: Path) -> None:
    executed = run(tmp_path, "import time\ntime.sleep(60)", timeout=0.5)
    assert executed.error is not None
    assert executed.error.kind == "timeout"
    assert "took longer than 0.5 s" in str(executed.error)
    assert statuses(executed.notebook)[-1] == "failed"
    assert kernels() == []


@pytest.mark.skipif(os.name != "posix", reason="signals to oneself are POSIX")
@pytest.mark.parametrize("cell", [0, 3])
def test_ctrl_c_ends_the_kernel_and_goes_on(tmp_path: Path, cell: int) -> None:
    path = make_notebook(tmp_path / "in.ipynb", "n: int = 1", "import time\ntime.sleep(60)", "n")

    def interrupt(done: int, total: int) -> None:
        if done == cell:
            threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT)).start()

    with pytest.raises(KeyboardInterrupt):
        execute(path, {"n": 3}, tmp_path / "out.ipynb", cwd=tmp_path, on_cell=interrupt)
    assert kernels() == []
    saved = nbformat.read(tmp_path / "out.ipynb", as_version=4)
    assert statuses(saved)[-1] == "pending"
    assert saved.metadata.papermill.exception is True


@pytest.mark.skipif(os.name != "posix", reason="signals to oneself are POSIX")
def test_ctrl_c_while_the_kernel_starts_leaves_none_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from jupyter_client.asynchronous import AsyncKernelClient

    started = []

    async def interrupted(*_: object, **__: object) -> None:
        started.extend(kernels())
        raise KeyboardInterrupt

    monkeypatch.setattr(AsyncKernelClient, "wait_for_ready", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, "print(n)")
    assert len(started) == 1
    assert kernels() == []


def test_a_kernel_that_does_not_start_is_an_error_of_the_kernel(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "ipykernel_launcher.py").write_text("raise SystemExit(3)")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    executed = run(tmp_path, "print(n)")
    assert executed.error is not None
    assert (executed.error.kind, executed.error.cell) == ("kernel", None)
    assert statuses(executed.notebook) == ["pending"] * 4


def test_a_failure_before_the_kernel_is_the_one_that_is_raised(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(**_: object) -> None:
        raise OSError("no space left")

    monkeypatch.setattr("mlsdm.sweep.execute.tempfile.TemporaryDirectory", full)
    with pytest.raises(OSError, match="no space left"):
        run(tmp_path, "print(n)")
    saved = nbformat.read(tmp_path / "out.ipynb", as_version=4)
    assert statuses(saved) == ["pending"] * 4
    assert saved.metadata.papermill.exception is True


def test_the_first_error_is_raised_when_the_notebook_cannot_be_saved_either(
    tmp_path: Path,
) -> None:
    def interrupt(done: int, total: int) -> None:
        raise KeyboardInterrupt

    path = make_notebook(tmp_path / "in.ipynb", "n: int = 1")
    with pytest.raises(KeyboardInterrupt) as caught:
        execute(path, {}, tmp_path / "absent" / "out.ipynb", cwd=tmp_path, on_cell=interrupt)
    assert caught.value.__notes__[0].startswith("Afterwards: FileNotFoundError")
