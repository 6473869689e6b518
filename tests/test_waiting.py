"""Ctrl-C keeps what is done; a progress bar only where there is something to wait for."""

from __future__ import annotations

import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from results import assert_same
from support import related_vectors, state_bytes

from mlsdm import EngineParams, Interrupted, LatticeParams, ParameterError, simulate
from mlsdm.engine import simulation, waiting

DIM = 4
PARAMS = EngineParams(dim=DIM, lattice=LatticeParams(capacity=20))
VECTORS = related_vectors(100, DIM, 3)
VALUES = np.random.default_rng(3).random(100)


def usual_handler() -> bool:
    return signal.getsignal(signal.SIGINT) is signal.default_int_handler


def pressed(n: int, times: int = 1) -> Iterator[tuple[Any, Any]]:
    """Yield the same chunk n times, then be interrupted in the wait for the next one."""
    for _ in range(n):
        yield VECTORS, VALUES
    for left in reversed(range(times)):
        try:
            signal.raise_signal(signal.SIGINT)
        except KeyboardInterrupt:
            if not left:
                raise
    yield VECTORS, VALUES


@pytest.mark.parametrize("times", [1, 3])
def test_ctrl_c_in_the_wait_for_a_chunk_ends_at_once_and_keeps_what_is_done(times: int) -> None:
    with pytest.raises(Interrupted) as caught:
        simulate(PARAMS, chunks=pressed(3, times))
    result = caught.value.result
    expected = simulate(PARAMS, np.tile(VECTORS, (3, 1)), np.tile(VALUES, 3))
    assert_same(result, expected)
    assert result.engine.events == len(result) == 300
    assert isinstance(caught.value, KeyboardInterrupt)
    assert "interrupted after 300 events, which are in this exception's `result`" in str(
        caught.value
    )
    assert usual_handler()


def test_ctrl_c_while_a_slice_is_under_way_keeps_it_whole(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    take, path = simulation.Engine.take, tmp_path / "trace.parquet"

    def interrupted(self: Any, first: int, *more: Any) -> None:
        if first == 200:
            signal.raise_signal(signal.SIGINT)
        take(self, first, *more)

    monkeypatch.setattr(simulation.Engine, "take", interrupted)
    with pytest.raises(Interrupted, match=r"after 300 events, which are in .*trace\.parquet$") as e:
        simulate(PARAMS, chunks=((VECTORS, VALUES) for _ in range(9)), trace=path)
    assert len(pd.read_parquet(path)) == len(e.value.result.to_frame()) == 300
    assert e.value.result.engine.events == e.value.result.summary()["events"] == 300
    assert [file.name for file in tmp_path.iterdir()] == ["trace.parquet"]


def test_ctrl_c_at_the_very_end_gives_the_whole_result(monkeypatch: pytest.MonkeyPatch) -> None:
    finish = simulation.Engine.finish

    def interrupted(self: Any) -> Any:
        signal.raise_signal(signal.SIGINT)
        return finish(self)

    monkeypatch.setattr(simulation.Engine, "finish", interrupted)
    with pytest.raises(Interrupted) as caught:
        simulate(PARAMS, VECTORS, VALUES)
    monkeypatch.undo()
    assert_same(caught.value.result, simulate(PARAMS, VECTORS, VALUES))


def test_ctrl_c_before_the_first_event() -> None:
    with pytest.raises(Interrupted, match="after 0 events") as caught:
        simulate(PARAMS, chunks=pressed(0))
    assert len(caught.value.result) == 0


def test_a_result_that_was_broken_off_can_be_gone_on_from() -> None:
    with pytest.raises(Interrupted) as caught:
        simulate(PARAMS, chunks=pressed(2))
    engine = caught.value.result.engine
    for vector, value in zip(VECTORS, VALUES, strict=True):
        engine.process_event(vector, float(value))
    whole = simulate(PARAMS, np.tile(VECTORS, (3, 1)), np.tile(VALUES, 3))
    assert state_bytes(engine) == state_bytes(whole.engine)


def test_the_usual_handler_is_back_after_an_end_of_any_kind() -> None:
    simulate(PARAMS, VECTORS, VALUES)
    assert usual_handler()
    with pytest.raises(ParameterError):
        simulate(PARAMS, VECTORS, VALUES + 1)
    assert usual_handler()


def test_a_handler_of_ones_own_is_left_alone() -> None:
    heard: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, _: heard.append(number))
    try:
        result = simulate(PARAMS, chunks=pressed(2))
    finally:
        signal.signal(signal.SIGINT, before)
    assert heard == [signal.SIGINT]
    assert len(result) == 300


def test_in_another_thread_no_signal_is_handled() -> None:
    seen: list[Any] = []

    def watched() -> Iterator[tuple[Any, Any]]:
        seen.append(usual_handler())
        yield VECTORS, VALUES

    thread = threading.Thread(target=lambda: seen.append(len(simulate(PARAMS, chunks=watched()))))
    thread.start()
    thread.join()
    assert seen == [True, 100]


SCRIPT = """
    import sys, time
    import numpy as np
    from mlsdm import EngineParams, Interrupted, LatticeParams, simulate

    params = EngineParams(dim=4, lattice=LatticeParams(capacity=20))
    vectors, values = np.ones((5000, 4), np.float32), np.random.default_rng(1).random(5000)
    simulate(params, vectors[:1], values[:1])

    def endless():
        for number in range(10**9):
            if number == 3:
                print("running", flush=True)
                if sys.argv[1] == "slow":
                    time.sleep(60)
            yield vectors, values

    try:
        simulate(params, chunks=endless(), trace=sys.argv[2], every=10)
    except Interrupted as stop:
        print(stop.result.engine.events, int(stop.result.summary()["events"]))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="sends SIGINT to a process")
@pytest.mark.parametrize("kind", ["slow", "busy"])
def test_ctrl_c_in_a_process_of_its_own(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "trace.parquet"
    command = [sys.executable, "-c", textwrap.dedent(SCRIPT), kind, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "running\n"
        time.sleep(0.3)
        begun = time.monotonic()
        process.send_signal(signal.SIGINT)
        answer = process.stdout.read()
        taken = time.monotonic() - begun
    assert process.returncode == 0
    in_engine, counted = map(int, answer.split())
    assert taken < 30
    assert in_engine == counted >= 15_000
    assert pd.read_parquet(path)["event"].to_list() == list(range(0, counted, 10))
    assert [file.name for file in tmp_path.iterdir()] == ["trace.parquet"]


def test_a_slow_run_shows_its_progress(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(waiting, "SLOW", 0.0)
    chunks = [(VECTORS, VALUES)] * 5
    simulate(PARAMS, chunks=chunks, n_events=500)
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "500/500" in shown.err
    assert "events/s" in shown.err

    simulate(PARAMS, chunks=chunks, n_events=500, progress=False)
    assert capsys.readouterr().err == ""
    simulate(PARAMS, VECTORS, VALUES)  # of one slice: what takes time is the compiling
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(simulation, "EVENTS", 30)
    simulate(PARAMS, VECTORS, VALUES)
    assert "100/100" in capsys.readouterr().err


def test_a_quick_run_shows_nothing_and_leaves_the_progress_bar_unloaded() -> None:
    code = """
        import sys, threading
        import numpy as np
        from mlsdm import EngineParams, simulate
        simulate(EngineParams(dim=4), None, np.full(10, 0.5))
        simulate(EngineParams(dim=4), chunks=[(None, np.full(10, 0.5))] * 3)
        print(sorted({"tqdm", "pandas", "pyarrow", "matplotlib"} & set(sys.modules)))
        print(threading.active_count())
    """
    command = [sys.executable, "-c", textwrap.dedent(code)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.split("\n") == ["[]", "1", ""]
    assert done.stderr == ""
