"""Tasks for tests of what runs notebooks, and the kernels that they leave."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat
import psutil
from making import make_notebook
from nbformat import NotebookNode

from mlsdm.execution.task import Result, Task


def make_task(*cells: str, key: str = "run", **fields: Any) -> Task:
    """Return a task whose cells of code come after a parameters cell, so from index 2 on."""
    with tempfile.TemporaryDirectory() as folder:
        source = make_notebook(Path(folder, "in.ipynb"), "n: int = 1", *cells).read_text("utf-8")
    return Task(
        **{"key": key, "name": "in.ipynb", "source": source, "parameters": {}, "cwd": "/"} | fields
    )


def read(result: Result) -> NotebookNode:
    return nbformat.reads(result.notebook, as_version=4)


def printed(result: Result, cell: int = -1) -> str:
    return "".join(output.get("text", "") for output in read(result).cells[cell].outputs)


def kernels(of: psutil.Process | None = None) -> list[psutil.Process]:
    children = (of or psutil.Process()).children(recursive=True)
    return [child for child in children if is_kernel(child)]


def is_kernel(process: psutil.Process) -> bool:
    try:
        return "ipykernel_launcher" in process.cmdline()
    except psutil.Error:
        return False


def alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def eventually(true: Callable[[], object], seconds: float = 10) -> bool:
    deadline = time.monotonic() + seconds
    while not true():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True
