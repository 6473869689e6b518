"""Run one notebook in a kernel of its own: the only module that talks to papermill."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from jupyter_client.manager import AsyncKernelManager
    from nbformat import NotebookNode

__all__ = ["CellError", "Executed", "afterwards", "execute"]

KERNEL = "python3"
# An AF_UNIX path holds 104 bytes on macOS; a socket's name needs a few of them.
_LONGEST_SOCKET_FOLDER = 90

# What papermill logs of a failure is in our error already: without a handler it would be printed.
logging.getLogger("papermill").addHandler(logging.NullHandler())


@dataclass(frozen=True)
class CellError:
    """Why a notebook stopped before its end.

    `kind` is ``"cell"`` for an exception, ``"kernel"`` for a kernel that died or did not start,
    ``"timeout"`` for a cell that took too long. `cell` is the index in the executed notebook, from
    0, or None when no cell was reached; as text, cells count from 1.
    """

    kind: Literal["cell", "kernel", "timeout"]
    name: str
    message: str
    cell: int | None

    def __str__(self) -> str:
        where = "" if self.cell is None else f"cell {self.cell + 1}: "
        message = " ".join(self.message.split())[:300]
        return f"{where}{self.name}: {message}".removesuffix(": ")


@dataclass(frozen=True)
class Executed:
    """An executed notebook, the wall time it took in seconds, and what stopped it, if anything."""

    notebook: NotebookNode
    seconds: float
    error: CellError | None


@contextmanager
def afterwards(last: Callable[[], object]) -> Iterator[None]:
    """Do `last` after the block in any case; if it fails too, the first error is the one raised."""
    try:
        yield
    except BaseException as first:
        try:
            last()
        except Exception as second:
            first.add_note(f"Afterwards: {type(second).__name__}: {second}")
        raise
    last()


@contextmanager
def _kernel() -> Iterator[AsyncKernelManager]:
    """Manage a kernel that runs this interpreter, whatever kernels are installed; end it."""
    from jupyter_client.client import KernelClient
    from jupyter_client.kernelspec import KernelSpec
    from jupyter_client.manager import AsyncKernelManager
    from jupyter_core.utils import ensure_event_loop, run_sync

    spec = KernelSpec(
        argv=[sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"],
        display_name="Python 3",
        language="python",
        # Else a headless machine's MPLBACKEND=Agg would leave the notebook without its figures.
        env={"MPLBACKEND": "module://matplotlib_inline.backend_inline"},
    )
    clients: list[KernelClient] = []

    class Manager(AsyncKernelManager):
        @property
        def kernel_spec(self) -> KernelSpec:
            return spec

        def client(self, **options: Any) -> Any:
            clients.append(super().client(**options))
            return clients[-1]

    with tempfile.TemporaryDirectory(prefix="mlsdm-") as folder:
        # Sockets of the file system cannot be taken by another process, as free ports can.
        local = os.name == "posix" and len(folder) <= _LONGEST_SOCKET_FOLDER
        place = {"transport": "ipc", "ip": f"{folder}/s"} if local else {}
        manager = Manager(kernel_name=KERNEL, connection_file=f"{folder}/kernel.json", **place)
        try:
            yield manager
        finally:
            # An interrupt leaves the client waiting for a kernel that is about to die: nobody would
            # take note of its complaint, and asyncio would print that with a traceback.
            loop = ensure_event_loop()
            for task in set() if loop.is_running() else asyncio.all_tasks(loop):
                task.add_done_callback(lambda done: done.cancelled() or done.exception())
                task.cancel()
            if manager.has_kernel:  # at once: a graceful end stalls for seconds now and then
                run_sync(manager.shutdown_kernel)(now=True)
            for client in clients:
                if client.channels_running:
                    client.stop_channels()


def _state(node: NotebookNode) -> dict[str, Any]:
    """Return what papermill noted of a cell or a notebook; before its engine starts, nothing."""
    return dict(node.metadata.get("papermill", {}))


def _stopped_at(notebook: NotebookNode) -> int | None:
    """Return the index of the cell that failed, else of the last one that was started."""
    reached = None
    for index, cell in enumerate(notebook.cells):
        if _state(cell).get("exception"):
            return index
        if _state(cell).get("start_time"):
            reached = index
    return reached


def _tell_the_truth(notebook: NotebookNode, stopped: int | None) -> None:
    """Correct what papermill writes when it is cut short: all cells completed, no exception."""
    notebook.metadata["papermill"] = {**_state(notebook), "exception": True}
    for index, cell in enumerate(notebook.cells):
        if index == stopped:
            told = {"exception": True, "status": "failed"}
        elif stopped is None or index > stopped:
            told = {"exception": None, "status": "pending"}
        else:
            continue
        cell.metadata["papermill"] = _state(cell) | told


def _cell_error(notebook: NotebookNode) -> CellError | None:
    """Return the exception that a cell ended with, unless the cell was allowed to."""
    index = _stopped_at(notebook)
    if index is None or not _state(notebook.cells[index]).get("exception"):
        return None
    outputs = [o for o in notebook.cells[index].outputs if o.output_type == "error"]
    last = outputs[-1] if outputs else {}
    return CellError("cell", last.get("ename", "error"), last.get("evalue", ""), index)


def _save(notebook: NotebookNode, output: Path) -> None:
    import nbformat

    aside = output.with_name(f"{output.name}.part")
    nbformat.write(notebook, aside)  # type: ignore[no-untyped-call]
    aside.replace(output)


def execute(
    notebook: Path,
    parameters: Mapping[str, object],
    output: Path,
    *,
    cwd: Path,
    cell_timeout: float | None = None,
    on_cell: Callable[[int, int], None] | None = None,
) -> Executed:
    """Run a notebook with this interpreter and save it, whole or as far as it came, at `output`.

    Parameters
    ----------
    parameters
        Validated values; they are injected after the cell tagged ``parameters``.
    cwd
        The kernel's working directory.
    cell_timeout
        Seconds that one cell may take; None for no limit.
    on_cell
        Called with the number of cells done and of all cells.
    """
    from nbclient.exceptions import CellTimeoutError
    from papermill.engines import papermill_engines
    from papermill.execute import remove_error_markers
    from papermill.iorw import load_notebook_node
    from papermill.parameterize import parameterize_notebook

    node = remove_error_markers(load_notebook_node(str(notebook)))
    if parameters:
        node = parameterize_notebook(node, dict(parameters), kernel_name=KERNEL, language="python")
    node.metadata.kernelspec = {"name": KERNEL, "display_name": "Python 3", "language": "python"}
    total = len(node.cells)

    def report(cell_index: int, **_: object) -> None:
        if on_cell is not None:
            on_cell(cell_index, total)

    begin = time.perf_counter()
    error: CellError | None = None
    with afterwards(lambda: _save(node, output)):
        try:
            with _kernel() as manager:
                papermill_engines.execute_notebook_with_engine(
                    None,
                    node,
                    kernel_name=KERNEL,
                    progress_bar=False,
                    km=manager,
                    resources={"metadata": {"path": str(cwd)}},
                    timeout_func=lambda cell: cell_timeout,
                    iopub_timeout=60,
                    on_cell_start=report,
                )
            error = _cell_error(node)
            if on_cell is not None and error is None:
                on_cell(total, total)
        except BaseException as stop:
            stopped = _stopped_at(node)
            _tell_the_truth(node, stopped)
            name = type(stop).__name__
            if isinstance(stop, CellTimeoutError):
                message = f"took longer than {cell_timeout:g} s" if cell_timeout else str(stop)
                error = CellError("timeout", name, message, stopped)
            elif isinstance(stop, RuntimeError):
                error = CellError("kernel", name, str(stop), stopped)
            else:
                raise
    return Executed(node, time.perf_counter() - begin, error)
