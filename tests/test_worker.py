from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from running import alive, eventually, kernels, make_task, printed

from mlsdm.execution.task import CellError, Result, Task, from_json, to_json
from mlsdm.execution.worker import work


class Driver:
    """Talks to a real worker as the pool does."""

    def __init__(self, folder: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "mlsdm.execution.worker", str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.hear() == {"ready": True}

    def tell(self, **message: Any) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(message) + "\n")
        self.process.stdin.flush()

    def give(self, task: Task, output: Path) -> None:
        self.tell(run=to_json(task), output=str(output))

    def hear(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        message: dict[str, Any] = json.loads(self.process.stdout.readline())
        return message

    def until(self, name: str) -> Any:
        while name not in (message := self.hear()):
            pass
        return message[name]

    def until_cell(self, cell: int) -> None:
        while self.until("cell")[0] != cell:
            pass


@pytest.fixture
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Driver]:
    folder = tmp_path_factory.mktemp("temporary") / "made"
    driver = Driver(folder)
    with driver.process:
        yield driver
        assert driver.process.stdin is not None
        # Only one that nobody can replace any more, and that leaves by itself, removes the folder.
        ended = driver.process.poll() is not None and driver.process.stdin.closed
        driver.process.kill()
    assert folder.exists() != ended


BUSY = make_task("while True: pass")


def test_it_runs_one_after_another_and_only_messages_reach_the_driver(
    driver: Driver, tmp_path: Path
) -> None:
    cell = "import os\nos.system('echo not a message')\nos.write(1, b'nor this')\nprint(n)"
    driver.give(make_task(cell, key="a", parameters={"n": 5}), tmp_path / "a.json")
    driver.give(make_task("1 / 0", key="b"), tmp_path / "b.json")
    heard = [driver.hear() for _ in range(6)]
    assert [m["cell"] for m in heard if "cell" in m] == [[i, 4] for i in range(5)]
    assert driver.hear() == {"done": "a"}
    assert driver.until("done") == "b"
    first = from_json(Result, (tmp_path / "a.json").read_text("utf-8"))
    second = from_json(Result, (tmp_path / "b.json").read_text("utf-8"))
    assert printed(first).endswith("5\n")
    assert second.error == CellError("cell", "ZeroDivisionError", "division by zero", 2)
    assert {path.name for path in tmp_path.iterdir()} == {"a.json", "b.json"}
    assert driver.process.stdin is not None
    driver.process.stdin.close()
    assert driver.process.wait(60) == 0


def test_a_run_is_called_off_and_ctrl_c_is_left_to_the_driver(
    driver: Driver, tmp_path: Path
) -> None:
    driver.give(BUSY, tmp_path / "a.json")
    driver.until_cell(2)
    driver.process.send_signal(signal.SIGINT)
    driver.tell(stop=True)
    assert driver.until("done") == "run"
    result = from_json(Result, (tmp_path / "a.json").read_text("utf-8"))
    assert result.error == CellError("stopped", "Stopped", "called off", 2)
    driver.give(make_task("print('next')"), tmp_path / "b.json")
    assert driver.until("done") == "run"


@pytest.mark.parametrize("how", ["end of input", "SIGTERM"])
def test_nothing_outlives_the_driver(driver: Driver, tmp_path: Path, how: str) -> None:
    driver.give(BUSY, tmp_path / "a.json")
    kernel = driver.until("kernel")
    driver.until_cell(2)
    assert alive(kernel)
    if how == "SIGTERM":
        driver.process.send_signal(signal.SIGTERM)
    else:
        assert driver.process.stdin is not None
        driver.process.stdin.close()
    driver.process.wait(60)
    assert eventually(lambda: not alive(kernel), 60)
    assert list(tmp_path.iterdir()) == []


def test_a_result_that_cannot_be_written_is_told(driver: Driver, tmp_path: Path) -> None:
    output = tmp_path / "absent" / "a.json"
    driver.give(make_task("1"), output)
    assert driver.until("failed") == f"No such file or directory: {output}"
    assert driver.process.poll() is None


def test_what_goes_wrong_around_a_notebook_is_told_in_the_result(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    result = work(make_task(source="no notebook", key="k"))
    assert (result.key, result.notebook) == ("k", "no notebook")
    assert result.error is not None
    assert (result.error.kind, result.error.name) == ("worker", "NotJSONError")

    def full(**_: object) -> None:
        raise OSError("no space left")

    task = make_task("1")
    monkeypatch.setattr("mlsdm.execution.execute.tempfile.TemporaryDirectory", full)
    result = work(task)
    assert result.error == CellError("worker", "OSError", "no space left", None)


def test_it_works_in_threads_side_by_side() -> None:
    results: dict[str, Result] = {}
    cell = "import time\ntime.sleep(0.5)\nprint(key)"

    def run(key: str) -> None:
        task = make_task(cell, key=key, parameters={"key": key})
        results[key] = work(task)

    threads = [threading.Thread(target=run, args=(key,)) for key in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {key: printed(result) for key, result in results.items()} == {"a": "a\n", "b": "b\n"}
    first, second = sorted(results.values(), key=lambda result: result.started)
    assert second.started < first.started + first.seconds
    assert kernels() == []
