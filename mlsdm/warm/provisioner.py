"""The Jupyter kernel provisioner ``mlsdm-warm``."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Mapping
from typing import Any

from jupyter_client.connect import KernelConnectionInfo
from jupyter_client.provisioning.local_provisioner import LocalProvisioner

from mlsdm.errors import RunError
from mlsdm.warm.client import ForkedProcess, launch, server_address
from mlsdm.warm.forkserver import INLINE

__all__ = ["WarmProvisioner"]

# What `launch_kernel` may be given without any bearing on how the process is made.
_UNDERSTOOD = {"cwd", "env", "extra_arguments", "kernel_id"}


class WarmProvisioner(LocalProvisioner):
    """Fork IPython kernels from a process that has the usual libraries imported.

    A notebook finds what it would find in a stock kernel, sooner. Papermill, nbclient, nbval and
    JupyterLab use it with ``JUPYTER_DEFAULT_PROVISIONER_NAME=mlsdm-warm`` in their environment, or
    for the kernels whose specification (``kernel.json``) has
    ``"metadata": {"kernel_provisioner": {"provisioner_name": "mlsdm-warm"}}``.

    ``MLSDM_WARM_IMPORTS`` names more modules to import, separated by commas. Where
    ``MLSDM_FORK_SERVER`` gives the socket of a running server, that one is used; else this process
    starts its own, which ends with it. What cannot be forked gets a stock kernel: another
    interpreter, another operating system than a POSIX one, another matplotlib backend than inline.

    Two differences remain. All kernels of one server share its hash seed; and a module in the
    notebook's folder does not hide an imported library of the same name.
    """

    async def launch_kernel(self, cmd: list[str], **kwargs: Any) -> KernelConnectionInfo:
        """Fork the kernel, or start a stock one where that is not possible."""
        try:
            process = await asyncio.to_thread(_fork, cmd, kwargs)
        except (RunError, OSError) as why:
            self.log.debug("A stock kernel, not a forked one: %s", why)
            return await super().launch_kernel(cmd, **kwargs)
        self.process = process  # type: ignore[assignment]
        self.pid = self.pgid = process.pid
        self.cwd = kwargs.get("cwd") or os.getcwd()
        return self.connection_info


def _fork(cmd: list[str], kwargs: Mapping[str, Any]) -> ForkedProcess:
    """Launch the kernel from a fork server; raises a RunError or an OSError where it cannot be."""
    environment: dict[str, str] = kwargs["env"]
    cwd = os.path.abspath(kwargs.get("cwd") or os.getcwd())
    if why := _obstacle(cmd, environment, cwd, kwargs):
        raise RunError(why)
    return launch(server_address(cmd, environment), cmd, environment, cwd)


def _obstacle(
    cmd: list[str], environment: Mapping[str, str], cwd: str, kwargs: Mapping[str, Any]
) -> str | None:
    """Return why a kernel cannot be forked, if so."""
    if os.name != "posix":
        return "this system does not fork"
    module = cmd.index("-m") if "-m" in cmd else 0
    if not module or cmd[module + 1 : module + 3] != ["ipykernel_launcher", "-f"]:
        return "this is no IPython kernel"
    if not all(option.startswith(("-W", "-X")) for option in cmd[1:module]):
        return "its interpreter has other options"
    if not _is_this_interpreter(cmd[0]):
        return "it has an interpreter of its own"
    if given := [name for name in kwargs if kwargs[name] and name not in _UNDERSTOOD]:
        return f"it is started with {', '.join(given)}"
    if environment.get("MPLBACKEND", "") not in ("", INLINE):
        return "its figures are not inline"
    folders = environment.get("PYTHONPATH")
    if folders and not all(os.path.isabs(folder) for folder in folders.split(os.pathsep)):
        return "its PYTHONPATH depends on the working directory"
    if os.path.exists(os.path.join(cwd, "matplotlibrc")):
        return "its folder has a matplotlibrc"
    return None


def _is_this_interpreter(path: str) -> bool:
    """Whether a path is this very Python: those of all virtual environments are one same file."""
    same_folder = os.path.realpath(os.path.dirname(path)) == os.path.realpath(
        os.path.dirname(sys.executable)
    )
    return (
        os.path.isabs(path)
        and same_folder
        and os.path.realpath(path) == os.path.realpath(sys.executable)
    )
