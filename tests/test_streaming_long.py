"""Streams far larger than memory, at full length; see test_streaming.py for the quick ones."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from pathlib import Path

import pandas as pd
import pytest

SCRIPT = """
    import json, resource, sys, time
    import numpy as np
    from mlsdm import EngineParams, simulate

    dim, total, every, trace = json.loads(sys.argv[1])
    rng = np.random.default_rng(1)
    block = 50_000 if dim else 1_000_000
    vectors = rng.standard_normal((block, dim), np.float32) if dim else None
    if dim:
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    params = EngineParams()

    def chunks(count):
        for _ in range(count):
            yield vectors, rng.random(block)

    def peak():
        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return most if sys.platform == "darwin" else 1024 * most

    simulate(params, chunks=chunks(10), trace=trace, every=every)
    before, begun = peak(), time.perf_counter()
    result = simulate(params, chunks=chunks(total // block), trace=trace, every=every)
    seconds = time.perf_counter() - begun
    print(json.dumps({
        "events": result.summary()["events"], "kept": len(result), "peak": peak(),
        "growth": peak() - before, "events/s": total / seconds,
    }))
"""


@pytest.mark.long
@pytest.mark.skipif(sys.platform == "win32", reason="asks for the peak of the memory")
@pytest.mark.parametrize(
    ("dim", "total", "every", "to_file"),
    [
        (0, 100_000_000, 100_000, False),
        (0, 100_000_000, 50, True),
        (384, 5_000_000, 100_000, False),
    ],
    ids=["filter only", "filter only, to a file", "384-d"],
)
def test_memory_is_constant(
    dim: int, total: int, every: int, to_file: bool, tmp_path: Path
) -> None:
    path = tmp_path / "trace.parquet" if to_file else None
    given = json.dumps([dim, total, every, path and str(path)])
    command = [sys.executable, "-c", textwrap.dedent(SCRIPT), given]
    done = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    print(done)
    assert done["events"] == total
    assert done["growth"] < 40 * 2**20  # the arrays of all events would take 1.8 GB or more
    if path is None:
        assert done["kept"] == total // every
    else:
        assert len(pd.read_parquet(path, columns=["event"])) == total // every
