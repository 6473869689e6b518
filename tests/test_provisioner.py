from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import nbformat
import pytest
from jupyter_client.kernelspec import KernelSpec
from nbformat.v4 import new_code_cell, new_notebook
from test_warm import WARM, pytestmark, server

from mlsdm.warm.client import ADDRESS, ForkedProcess, ForkServer
from mlsdm.warm.provisioner import WarmProvisioner

__all__ = ["pytestmark", "server"]


def launched(command: list[str], cwd: Path, **options: Any) -> Any:
    """Launch what may or may not be a kernel; return its process."""
    provisioner = WarmProvisioner(kernel_spec=KernelSpec(argv=command, language="python"))
    asyncio.run(provisioner.launch_kernel(command, cwd=str(cwd), **options))
    process = provisioner.process
    assert process is not None
    process.kill()
    process.wait(10)
    return process


def test_a_plain_kernel_is_forked(tmp_path: Path) -> None:
    assert isinstance(launched(WARM, tmp_path, env=dict(os.environ)), ForkedProcess)


@pytest.mark.parametrize(
    ("command", "variables", "options"),
    [
        ([sys.executable, "-c", "import time; time.sleep(20)"], {}, {}),
        ([sys.executable, "-m", "ipykernel_launcher", "--version"], {}, {}),
        ([sys.executable, "-I", *WARM[2:]], {}, {}),
        (["python", *WARM[1:]], {}, {}),
        (["/bin/sh", *WARM[1:]], {}, {}),
        ([sys.executable, *WARM[2:]], {}, {}),  # without the server's options
        (WARM, {"MPLBACKEND": "agg"}, {}),
        (WARM, {"PYTHONPATH": "relative"}, {}),
        (WARM, {"PYTHONHASHSEED": "5"}, {}),
        (WARM, {"OMP_NUM_THREADS": "7"}, {}),
        (WARM, {}, {"stdout": subprocess.DEVNULL}),
        (WARM, {}, {"independent": True}),
    ],
)
def test_what_cannot_be_forked_is_started_as_ever(
    command: list[str], variables: dict[str, str], options: dict[str, Any], tmp_path: Path
) -> None:
    process = launched(command, tmp_path, env=os.environ | variables, **options)
    assert isinstance(process, subprocess.Popen)
    assert process.args == command


def test_another_environments_python_is_not_this_one(tmp_path: Path) -> None:
    (tmp_path / "python").symlink_to(sys.executable)
    process = launched([str(tmp_path / "python"), *WARM[1:]], tmp_path, env=dict(os.environ))
    assert isinstance(process, subprocess.Popen)


def test_a_folders_matplotlibrc_is_heeded(tmp_path: Path) -> None:
    (tmp_path / "matplotlibrc").write_text("lines.linewidth: 9\n")
    assert isinstance(launched(WARM, tmp_path, env=dict(os.environ)), subprocess.Popen)


def test_without_the_server_kernels_are_started_as_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(ADDRESS, str(tmp_path / "none"))
    assert isinstance(launched(WARM, tmp_path, env=dict(os.environ)), subprocess.Popen)


def test_papermill_needs_one_variable_only(tmp_path: Path, server: ForkServer) -> None:
    notebook = new_notebook(cells=[new_code_cell("import os; print(os.getppid())")])
    notebook.metadata.kernelspec = {"name": "python3", "display_name": "", "language": "python"}
    nbformat.write(notebook, tmp_path / "in.ipynb")
    subprocess.run(
        [sys.executable, "-m", "papermill", "in.ipynb", "out.ipynb", "--no-progress-bar"],
        cwd=tmp_path,
        env=os.environ | {"JUPYTER_DEFAULT_PROVISIONER_NAME": "mlsdm-warm"},
        check=True,
        capture_output=True,
    )
    executed = nbformat.read(tmp_path / "out.ipynb", as_version=4)
    assert executed.cells[0].outputs[0].text == f"{server.pid}\n"
