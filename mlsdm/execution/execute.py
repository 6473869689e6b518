"""Run one notebook in a kernel of its own, with papermill's bookkeeping, within its limits."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import Context
from dataclasses import replace
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Any

from mlsdm.execution.limits import Watch, death
from mlsdm.execution.task import CellError, Result, Task
from mlsdm.provenance import THREAD_CAPS

if TYPE_CHECKING:
    from jupyter_client.manager import AsyncKernelManager
    from nbformat import NotebookNode

__all__ = ["execute"]

KERNEL = "python3"
START_SECONDS = 60
OUTPUT_SECONDS = 60
MOST_MESSAGE = 10_000  # characters of an exception's message
# An AF_UNIX path holds 104 bytes on macOS; a socket's name needs a few of them.
_LONGEST_SOCKET_FOLDER = 90

# What papermill logs of a failure is in our error already: without a handler it would be printed.
logging.getLogger("papermill").addHandler(logging.NullHandler())


@contextmanager
def _kernel(task: Task, folder: str) -> Iterator[AsyncKernelManager]:
    """Manage a kernel that runs this interpreter, whatever kernels are installed; end it."""
    from jupyter_client.kernelspec import KernelSpec
    from jupyter_client.manager import AsyncKernelManager
    from jupyter_core.utils import ensure_event_loop, run_sync

    from mlsdm.execution.client import KernelClient, context

    warm = task.warm and os.name == "posix"
    spec = KernelSpec(
        argv=[sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"],
        display_name="Python 3",
        language="python",
        env={
            # Else a headless machine's MPLBACKEND=Agg would leave the notebook without its figures.
            "MPLBACKEND": "module://matplotlib_inline.backend_inline",
            **(dict.fromkeys(THREAD_CAPS, str(task.threads)) if task.threads else {}),
        },
        metadata={"kernel_provisioner": {"provisioner_name": "mlsdm-warm"}} if warm else {},
    )
    clients = []

    class Manager(AsyncKernelManager):
        @property
        def kernel_spec(self) -> KernelSpec:
            return spec

        def client(self, **options: Any) -> Any:
            clients.append(super().client(context=self.context, **options))
            return clients[-1]

    # Sockets of the file system cannot be taken by another process, as free ports can.
    local = os.name == "posix" and len(folder) <= _LONGEST_SOCKET_FOLDER
    manager = Manager(
        kernel_name=KERNEL,
        connection_file=f"{folder}/kernel.json",
        client_factory=KernelClient,
        context=context(),
        **({"transport": "ipc", "ip": f"{folder}/s"} if local else {}),
    )
    try:
        yield manager
    finally:
        loop = ensure_event_loop()
        ours = not loop.is_running()
        if ours:  # an interrupt leaves the client waiting for a kernel that is about to die
            loop.run_until_complete(_cancel(asyncio.all_tasks(loop)))
        for client in clients:
            client.stop_channels()
        if manager.has_kernel:  # the watch has killed it: a graceful end stalls for seconds
            run_sync(_gone)(manager)
            run_sync(manager.shutdown_kernel)(now=True)
        if ours:
            loop.close()
            asyncio.set_event_loop(None)


async def _cancel(waiting: set[asyncio.Task[Any]]) -> None:
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)


async def _gone(manager: AsyncKernelManager) -> None:
    """Wait for a killed kernel, with shorter naps than the manager takes."""
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline and await manager.is_alive():
        await asyncio.sleep(0.003)


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
    return CellError(
        "cell", last.get("ename", "error"), last.get("evalue", "")[:MOST_MESSAGE], index
    )


def _load(task: Task, folder: str) -> NotebookNode:
    """Return the notebook as it is to run: with its parameters, and without the marks of errors."""
    from papermill.execute import remove_error_markers
    from papermill.iorw import load_notebook_node
    from papermill.parameterize import parameterize_notebook

    path = Path(folder, "notebook.ipynb")
    path.write_text(task.source, encoding="utf-8")
    node: NotebookNode = remove_error_markers(load_notebook_node(str(path)))
    if task.parameters:
        node = parameterize_notebook(
            node, dict(task.parameters), kernel_name=KERNEL, language="python"
        )
    node.metadata.kernelspec = {"name": KERNEL, "display_name": "Python 3", "language": "python"}
    return node


def _run(
    task: Task,
    node: NotebookNode,
    folder: str,
    on_cell: Callable[[int, int], None] | None,
    stop: Event | None,
    on_kernel: Callable[[int], None] | None,
) -> tuple[CellError | None, Watch]:
    """Run a loaded notebook in place; say what stopped it, and what was measured."""
    from nbclient.exceptions import CellTimeoutError

    from mlsdm.execution.client import Engine

    cwd, total = Path(task.cwd), len(node.cells)
    if not cwd.is_dir():
        cwd = Path(folder, "work")
        cwd.mkdir()

    def begin(cell_index: int, **_: object) -> None:
        watch.cell()
        if on_cell is not None:
            on_cell(cell_index, total)

    with (
        _kernel(task, folder) as manager,
        Watch(lambda: getattr(manager.provisioner, "pid", None), task, stop, on_kernel) as watch,
    ):
        try:
            Engine.execute_notebook(
                node,
                KERNEL,
                progress_bar=False,
                autosave_cell_every=0,
                km=manager,
                resources={"metadata": {"path": str(cwd)}},
                startup_timeout=START_SECONDS,
                iopub_timeout=OUTPUT_SECONDS,
                on_cell_start=begin,
            )
        except (CellTimeoutError, RuntimeError) as failure:
            stopped = _stopped_at(node)
            _tell_the_truth(node, stopped)
            return replace(watch.reason or _failed(manager, failure, watch), cell=stopped), watch
    error = _cell_error(node)
    if on_cell is not None and error is None:
        on_cell(total, total)
    return error, watch


def _failed(manager: AsyncKernelManager, failure: Exception, watch: Watch) -> CellError:
    """Say what went wrong with a kernel that nobody killed on purpose."""
    from jupyter_core.utils import run_sync

    if isinstance(failure, TimeoutError):
        message = f"its output did not end within {OUTPUT_SECONDS} s"
        return CellError("timeout", "CellTimeoutError", message, None)
    if run_sync(manager.is_alive)():
        return CellError("kernel", type(failure).__name__, str(failure), None)
    ran = manager.provisioner
    code = run_sync(ran.poll)() if ran is not None and ran.has_process else None
    return CellError("kernel", "DeadKernelError", death(code, watch.held), None)


def execute(
    task: Task,
    *,
    stop: Event | None = None,
    on_cell: Callable[[int, int], None] | None = None,
    on_kernel: Callable[[int], None] | None = None,
) -> Result:
    """Run a notebook with this interpreter, whole or as far as it comes.

    Whatever the notebook does is told in the result.

    Parameters
    ----------
    stop
        When it is set, the run is called off.
    on_cell
        Called with the number of cells done and of all cells.
    on_kernel
        Called, from another thread, with the process id of the kernel.
    """
    import nbformat

    started, begin = time.time(), time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="mlsdm-", ignore_cleanup_errors=True) as folder:
        node = _load(task, folder)
        # In a context of its own, since Jupyter keeps its event loop in the context.
        error, watch = Context().run(_run, task, node, folder, on_cell, stop, on_kernel)
    text: str = nbformat.writes(node)  # type: ignore[no-untyped-call]
    return Result(task.key, text, started, time.perf_counter() - begin, error, watch.usage)
