from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import KernelManager
from jupyter_client.provisioning import KernelProvisionerFactory
from nbclient import NotebookClient
from nbformat.v4 import new_code_cell, new_notebook

from mlsdm.errors import RunError
from mlsdm.warm.client import ADDRESS, ForkedProcess, ForkServer, launch, server_address

pytestmark = pytest.mark.skipif(os.name != "posix", reason="kernels are forked on POSIX only")

CAPS = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "NUMBA_NUM_THREADS": "2",
}
# Of the installed kernel specification: `ipykernel install` writes some, its wheel has none.
_COMMAND = KernelSpecManager().get_kernel_spec("python3").argv
OPTIONS = _COMMAND[1 : _COMMAND.index("-m")]
WARM = [sys.executable, *OPTIONS, "-m", "ipykernel_launcher", "-f", "connection.json"]


@pytest.fixture(scope="module", autouse=True)
def server() -> Iterator[ForkServer]:
    """One server for all tests, and kernels forked by default."""
    factory = KernelProvisionerFactory.instance()
    usual = factory.default_provisioner_name
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MPLBACKEND", raising=False)
        for name, cap in CAPS.items():
            patch.setenv(name, cap)
        with ForkServer(options=OPTIONS) as server:
            patch.setenv(ADDRESS, server.address)
            factory.default_provisioner_name = "mlsdm-warm"
            yield server
            factory.default_provisioner_name = usual


class Kernel:
    """A running kernel and its client."""

    def __init__(self, manager: KernelManager, client: Any) -> None:
        self.manager = manager
        self.client = client

    @property
    def process(self) -> Any:
        return self.manager.provisioner.process  # type: ignore[union-attr]

    def __call__(self, code: str) -> str:
        """Run code; return what it prints."""
        printed: list[str] = []

        def note(message: dict[str, Any]) -> None:
            if message["msg_type"] == "error":
                raise AssertionError(message["content"])
            printed.append(message["content"].get("text", ""))

        self.client.execute_interactive(code, output_hook=note, timeout=60)
        return "".join(printed).strip()

    def connect(self) -> None:
        self.client = self.manager.blocking_client()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=60)


@contextmanager
def kernel(**variables: str) -> Iterator[Kernel]:
    manager = KernelManager()
    manager.start_kernel(env=os.environ | variables)
    kernel = Kernel(manager, None)
    try:
        kernel.connect()
        yield kernel
    finally:
        kernel.client.stop_channels()
        manager.shutdown_kernel(now=True)


def outputs(folder: Path, cells: list[str]) -> list[list[Any]]:
    notebook = new_notebook(cells=[new_code_cell(cell) for cell in cells])
    client = NotebookClient(
        notebook,
        kernel_name="python3",
        timeout=60,
        allow_errors=True,
        resources={"metadata": {"path": str(folder)}},
    )
    client.execute()
    return [cell.outputs for cell in notebook.cells]


def runs(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def ends(*pids: int) -> bool:
    """Whether all these processes end within a few seconds."""
    end = time.monotonic() + 8
    while time.monotonic() < end:
        if not any(map(runs, pids)):
            return True
        time.sleep(0.05)
    return False


SEEN = [
    "import os, sys\n"
    "print(__name__, sorted(globals()), sys.argv[0], sys.argv[1], len(sys.argv))\n"
    "print(sys.path, sys.executable, sys.prefix, sys.flags, sys._xoptions, sys.stdin.read())",
    "import zlib  # not the values: they may be secrets\n"
    "print(os.getcwd(), {k: zlib.crc32(os.environb[k.encode()]) for k in sorted(os.environ)\n"
    "    if k != 'JPY_PARENT_PID'})\n"
    "print(os.getpgid(0) == os.getsid(0) == os.getpid(), os.getppid() == int(\n"
    "    os.environ['JPY_PARENT_PID']), sys.getrecursionlimit())",
    "print('to stderr', file=sys.stderr)\ndisplay({'a': 1})\n1 + 1",
    "import matplotlib.pyplot as plt\n"
    "figure, axes = plt.subplots()\naxes.plot([1, 3, 2])\nprint(plt.get_backend())",
    "import matplotlib\nprint(dict(matplotlib.rcParams))",
    "import pandas as pd\npd.DataFrame({'a': [1, 2]})",
    "import logging, mlsdm, numba, numpy, scipy.stats, warnings\n"
    "[getattr(mlsdm, name) for name in mlsdm.__all__]\n"
    "print(sorted(map(str, warnings.filters)), numpy.geterr(), dir(mlsdm))\n"
    "root = logging.getLogger()\nprint(root.handlers, root.level, logging.raiseExceptions)",
    "import signal\n"
    "print([s for s in signal.valid_signals() if s != signal.SIGINT and signal.getsignal(s)\n"
    "       not in (signal.SIG_DFL, signal.SIG_IGN, None)])",
    "def fails():\n    os.makedirs('/dev/null/no')\nfails()",
    "%who",
]


def test_a_notebook_sees_what_it_sees_in_a_stock_kernel(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: ForkServer
) -> None:
    monkeypatch.setenv("SEEN", "ü")
    which = "print(os.getppid())"
    *warm, parent = outputs(tmp_path, [*SEEN, which])
    assert parent[0].text == f"{server.pid}\n"
    factory = KernelProvisionerFactory.instance()
    monkeypatch.setattr(factory, "default_provisioner_name", "local-provisioner")
    *stock, parent = outputs(tmp_path, [*SEEN, which])
    assert parent[0].text == f"{os.getpid()}\n"
    for one, other, cell in zip(warm, stock, SEEN, strict=True):
        assert one == other, cell
    assert [o.output_type for o in warm[3]] == ["stream", "display_data"]
    assert warm[-2][0].ename == "NotADirectoryError"


def test_the_server_has_one_thread_and_no_tracking(server: ForkServer) -> None:
    with kernel() as running:
        assert psutil.Process(server.pid).num_threads() == 1
        heavy = "{'mlflow', 'papermill', 'sklearn', 'wordllama'}"
        assert running(f"import sys; print({heavy} & set(sys.modules))") == "set()"


def test_kernels_do_not_share_anything() -> None:
    draws = "; import random; print(random.random(), np.random.random(), np.random.get_state()[2])"
    with kernel() as one, kernel() as other:
        assert one("import numpy as np; np.left_behind = left_behind = 1; np.random.seed(1)") == ""
        seen = "import numpy as np; print(hasattr(np, 'left_behind'), 'left_behind' in globals())"
        assert other(seen) == "False False"
    with kernel() as one, kernel() as other:
        drawn = [k("import numpy as np" + draws).split() for k in (one, other)]
        assert len({*drawn[0][:2], *drawn[1][:2]}) == 4


def test_numba_blas_pools_and_subprocesses_work(tmp_path: Path) -> None:
    cells = [
        "import numpy as np, numba\n"
        "@numba.njit(parallel=True)\n"
        "def total(x):\n"
        "    t = 0.0\n"
        "    for i in numba.prange(len(x)):\n"
        "        t += x[i]\n"
        "    return t\n"
        "x = np.ones((300, 300))\n"
        "print(total(np.ones(1000)), float((x @ x).sum()), numba.get_num_threads())",
        "from concurrent.futures import ProcessPoolExecutor\n"
        "with ProcessPoolExecutor(2) as pool: print(list(pool.map(pow, [2, 3], [5, 5])))",
        "import subprocess, sys\n"
        "print(subprocess.run([sys.executable, '-c', 'print(6)'], capture_output=True).stdout)",
    ]
    printed = [cell[0].get("text", cell[0]) for cell in outputs(tmp_path, cells)]
    assert printed == ["1000.0 27000000.0 2\n", "[32, 243]\n", "b'6\\n'\n"]


def test_a_cell_is_interrupted() -> None:
    with kernel() as running:
        asked = running.client.execute("print('in it', flush=True)\nwhile True: pass")
        while running.client.get_iopub_msg(timeout=20)["msg_type"] != "stream":
            pass
        running.manager.interrupt_kernel()
        reply = running.client.get_shell_msg(timeout=20)
        assert reply["parent_header"]["msg_id"] == asked
        assert reply["content"]["ename"] == "KeyboardInterrupt"
        again = running.client.execute_interactive("1 + 1", timeout=60)
        assert again["content"]["status"] == "ok"


@pytest.mark.parametrize("now", [True, False])
def test_a_kernel_is_restarted(now: bool, server: ForkServer) -> None:
    with kernel() as running:
        first = running.process
        running("x = 1")
        running.client.stop_channels()
        running.manager.restart_kernel(now=now)
        running.connect()
        assert running("import os; print('x' in globals(), os.getppid())") == f"False {server.pid}"
        assert running.process.pid != first.pid
        assert first.returncode == (-signal.SIGKILL if now else 0)


def test_the_last_deeds_of_a_kernel_are_done(tmp_path: Path) -> None:
    file = tmp_path / "deed"
    with kernel() as running:
        running(f"import atexit; atexit.register(open({str(file)!r}, 'w').close)")
        process = running.process
        running.client.shutdown()
        assert process.wait(20) == 0
    assert file.exists()


@pytest.mark.parametrize("code", [-signal.SIGKILL, 3])
def test_a_dead_kernel_has_its_exit_code(code: int, tmp_path: Path) -> None:
    with kernel() as running:
        child = int(running("import subprocess; print(subprocess.Popen(['sleep', '60']).pid)"))
        process = running.process
        assert isinstance(process, ForkedProcess)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.05)
        if code < 0:
            os.kill(process.pid, -code)
        else:
            running.client.execute(f"import os; os._exit({code})")
        assert process.wait(10) == process.poll() == code
        assert not running.manager.is_alive()
        assert ends(child)


OWNER = """
import os, sys, time
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import KernelManager
from jupyter_client.provisioning import KernelProvisionerFactory
KernelProvisionerFactory.instance().default_provisioner_name = "mlsdm-warm"
manager = KernelManager()
manager.start_kernel()
client = manager.blocking_client()
client.start_channels()
client.wait_for_ready(timeout=60)
client.execute("import time\\nwhile True: pass")
import psutil
child = os.fork()  # it must not keep alive what belongs to its parent
if child:
    kernel = manager.provisioner.process.pid
    print(psutil.Process(kernel).ppid(), kernel, child, flush=True)
time.sleep(60)
"""


@pytest.mark.parametrize("own", [True, False])
def test_nothing_outlives_a_killed_owner(
    own: bool, server: ForkServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    if own:
        monkeypatch.delenv(ADDRESS)
    with subprocess.Popen([sys.executable, "-c", OWNER], stdout=subprocess.PIPE) as owner:
        assert owner.stdout is not None
        parent, child, idle = map(int, owner.stdout.readline().split())
        try:
            assert (parent == server.pid) is not own
            owner.kill()
            assert ends(child, *([parent] if own else []))
            assert runs(idle)
        finally:
            os.kill(idle, signal.SIGKILL)
    assert server.running


def test_kernels_that_differ_at_start_have_a_server_of_their_own(
    monkeypatch: pytest.MonkeyPatch, server: ForkServer
) -> None:
    monkeypatch.delenv(ADDRESS)
    monkeypatch.setenv("NUMBA_NUM_THREADS", "1")
    monkeypatch.setenv("MLSDM_WARM_IMPORTS", "colorsys, no_such_module")
    with ThreadPoolExecutor(4) as pool:
        addresses = set(pool.map(lambda _: server_address(WARM, os.environ), range(4)))
    assert len(addresses) == 1
    assert addresses != {server.address}
    with kernel() as running:
        parent = psutil.Process(running.process.pid).ppid()
        assert parent != server.pid
        seen = "import sys, numba; print(numba.config.NUMBA_NUM_THREADS, 'colorsys' in sys.modules)"
        assert running(seen) == "1 True"
        os.kill(parent, signal.SIGKILL)
        process = running.process
        assert process.wait(10) == -signal.SIGKILL
        assert ends(process.pid)
        running.client.stop_channels()
        running.manager.restart_kernel(now=True)
        running.connect()
        assert psutil.Process(running.process.pid).ppid() != os.getpid()


def test_stopping_a_server_leaves_nothing() -> None:
    with ForkServer() as server:
        folder = Path(server.address).parent
        assert folder.stat().st_mode & 0o777 == 0o700
    server.stop()
    assert not server.running
    assert not folder.exists()


def test_a_path_too_long_for_a_socket_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deep = tmp_path / ("x" * 100)
    deep.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(deep))
    with pytest.raises(RunError, match="too long"):
        ForkServer()
    assert list(deep.iterdir()) == []


def test_a_request_that_makes_no_sense_is_answered(server: ForkServer) -> None:
    with pytest.raises(RunError, match="is not in list"):
        launch(server.address, ["python"], os.environ, ".")
    with pytest.raises(RunError, match="no folder"):
        launch(server.address, WARM, os.environ, "/dev/null")
    assert server.running
