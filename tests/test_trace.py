"""Traces in Parquet files: the same entries, and the whole file or none."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from results import ARRAYS
from support import related_vectors, state_bytes, uncovered

from mlsdm import DataError, EngineParams, LatticeParams, ParameterError, simulate
from mlsdm.engine import trace as traces

DIM = 5
PARAMS = EngineParams(dim=DIM, lattice=LatticeParams(capacity=30))
N = 250
VECTORS = related_vectors(N, DIM, 2)
VALUES = np.random.default_rng(2).random(N)
BAD = np.append(VALUES, 2.0)


@pytest.fixture(autouse=True)
def _small_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(traces, "GROUP", 60)


@pytest.mark.parametrize("stored", [True, False])
@pytest.mark.parametrize("every", [1, 7, 1000])
def test_the_file_holds_what_the_result_would_have(
    stored: bool, every: int, tmp_path: Path
) -> None:
    path, vectors = tmp_path / "trace.parquet", VECTORS if stored else None
    held = simulate(PARAMS, vectors, VALUES, every=every)
    result = simulate(PARAMS, vectors, VALUES, every=every, trace=path)
    pd.testing.assert_frame_equal(result.to_frame(), held.to_frame(), check_exact=True)
    assert result.trace == path
    assert result.summary() == held.summary()
    if stored:
        assert state_bytes(result.engine) == state_bytes(held.engine)
    assert len(result) == 0
    assert all(getattr(result, name).shape[0] == 0 for name in ARRAYS)
    assert [file.name for file in tmp_path.iterdir()] == ["trace.parquet"]


def test_columns_and_types_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "trace.parquet"
    simulate(PARAMS, VECTORS, VALUES, trace=str(path))
    text = pa.dictionary(pa.int8(), pa.string())
    schema = pq.read_schema(path)
    assert dict(zip(schema.names, schema.types, strict=True)) == {
        "event": pa.int64(), "moral_value": pa.float64(), "accepted": pa.bool_(),
        "reason": text, "phase": text, "threshold": pa.float64(), "acceptance_rate": pa.float64(),
        "norm_l1": pa.float64(), "norm_l2": pa.float64(), "norm_l3": pa.float64(),
        "lattice_size": pa.int64(),
    }  # fmt: skip
    groups = pq.ParquetFile(path).metadata
    assert [groups.row_group(i).num_rows for i in range(groups.num_row_groups)] == [60] * 4 + [10]


@pytest.mark.parametrize("every", [1, 3])
def test_the_files_bytes_do_not_depend_on_how_the_stream_came(every: int, tmp_path: Path) -> None:
    simulate(PARAMS, VECTORS, VALUES, trace=tmp_path / "whole", every=every)
    for name, size in (("one", 1), ("some", 33), ("half", 125)):
        starts = range(0, N, size)
        chunks = ((VECTORS[i : i + size], VALUES[i : i + size]) for i in starts)
        simulate(PARAMS, chunks=chunks, trace=tmp_path / name, every=every)
        assert (tmp_path / name).read_bytes() == (tmp_path / "whole").read_bytes()


@pytest.mark.parametrize("given", [{"moral_values": []}, {"chunks": []}])
def test_a_trace_of_no_events(given: dict[str, Any], tmp_path: Path) -> None:
    result = simulate(PARAMS, **given, trace=tmp_path / "trace.parquet")
    frame = simulate(PARAMS, None, []).to_frame()
    pd.testing.assert_frame_equal(result.to_frame(), frame)
    assert len(frame) == 0


def test_folders_named_like_columns_add_none(tmp_path: Path) -> None:
    folder = tmp_path / "seed=3"
    folder.mkdir()
    result = simulate(PARAMS, None, VALUES, trace=folder / "trace.parquet")
    assert "seed" not in result.to_frame()


def test_it_says_where_the_trace_is(tmp_path: Path) -> None:
    html = simulate(PARAMS, None, VALUES, trace=tmp_path / "a<b", every=10)._repr_html_()
    assert "a&lt;b</td>" in html
    assert "one event of 10" in html
    assert "<svg" not in html


@pytest.mark.parametrize("old", [None, b"an older trace"])
def test_bad_input_leaves_no_file_or_the_older_one(old: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / "trace.parquet"
    if old is not None:
        path.write_bytes(old)
    chunks = [(None, VALUES), (None, BAD)]
    for arguments in ({"moral_values": BAD}, {"chunks": chunks}):
        with pytest.raises(ParameterError, match=r"^simulate\.moral_values\["):
            simulate(PARAMS, **arguments, trace=path)
        assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == (
            {} if old is None else {"trace.parquet": old}
        )
    simulate(PARAMS, None, VALUES, trace=path)
    assert len(pd.read_parquet(path)) == N


@pytest.mark.parametrize("name", ["", ".", "nowhere/trace.parquet", 5, b"trace"])
def test_a_path_that_cannot_be_a_files(
    name: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ParameterError, match=r"^simulate\.trace: must be a file in a folder that"):
        simulate(PARAMS, None, VALUES, trace=name)


def test_a_file_that_cannot_be_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: Any) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(pa, "OSFile", refused)
    with pytest.raises(DataError, match=r"^simulate\.trace: .* cannot be written: Permission den"):
        simulate(PARAMS, None, VALUES, trace=tmp_path / "trace.parquet")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(sys.platform == "win32", reason="limits the size of files")
@pytest.mark.parametrize("bad", [False, True])
def test_a_full_disk(bad: bool, tmp_path: Path) -> None:
    """A limit on the size of files stands for it; of two errors the first one is told."""
    path = tmp_path / "trace.parquet"
    path.write_bytes(b"older")
    code = f"""
        import resource, signal, warnings
        import numpy as np
        from mlsdm import EngineParams, MlsdmError, simulate
        warnings.simplefilter("error")
        values = np.random.default_rng(1).random(2**19)
        values[5] = {2.0 if bad else 0.5}
        simulate(EngineParams(dim=2), None, values[:5], trace="first.parquet")
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, ({1000 if bad else 100_000},) * 2)
        try:
            simulate(EngineParams(dim=2), None, values, trace="trace.parquet")
        except MlsdmError as error:
            print(type(error).__name__, error)
    """
    command = [sys.executable, "-c", textwrap.dedent(code)]
    done = subprocess.run(
        command, cwd=tmp_path, env=uncovered(), capture_output=True, text=True, check=True
    )
    cannot = "DataError simulate.trace: 'trace.parquet' cannot be written: "
    refused = "ParameterError simulate.moral_values[5]: "
    assert done.stdout.startswith(refused if bad else cannot), done.stderr
    assert done.stderr == ""
    assert path.read_bytes() == b"older"
    assert sorted(file.name for file in tmp_path.iterdir()) == ["first.parquet", "trace.parquet"]


@pytest.mark.skipif(sys.platform == "win32", reason="kills a process")
def test_a_killed_run_leaves_the_older_file(tmp_path: Path) -> None:
    path = tmp_path / "trace.parquet"
    simulate(PARAMS, None, VALUES, trace=path)
    older = path.read_bytes()
    code = """
        import numpy as np
        from mlsdm import EngineParams, simulate
        values = np.random.default_rng(1).random(2**17)

        def endless():
            for number in range(10**9):
                if number == 5:
                    print("running", flush=True)
                yield None, values

        simulate(EngineParams(dim=2), chunks=endless(), trace="trace.parquet")
    """
    command = [sys.executable, "-c", textwrap.dedent(code)]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "running\n"
        os.kill(process.pid, signal.SIGKILL)
    assert path.read_bytes() == older
    (rest,) = (file for file in tmp_path.iterdir() if file != path)
    assert rest.name.startswith(".trace-")
