"""What is loaded when: nothing before it is needed."""

from __future__ import annotations

import json
import subprocess
import sys

HEAVY = {
    "numpy", "numba", "pandas", "pyarrow", "scipy", "tqdm", "pydantic", "matplotlib", "mlflow",
    "papermill", "sklearn",
}  # fmt: skip


def loaded_by(code: str) -> tuple[set[str], float]:
    """Return which heavy modules a fresh process has after this code, and its seconds."""
    script = (
        f"import json, sys, time; begun = time.perf_counter(); {code}; "
        "seconds = time.perf_counter() - begun; "
        "print(json.dumps([list(sys.modules), seconds]))"
    )
    command = [sys.executable, "-c", script]
    modules, seconds = json.loads(subprocess.check_output(command, text=True))
    return HEAVY & set(modules), seconds


def test_importing_the_package_loads_nothing_and_is_quick() -> None:
    loaded, seconds = loaded_by("import mlsdm")
    assert loaded == set()
    assert seconds < 0.5


def test_the_engine_loads_what_it_runs_on_and_no_tables_files_or_bars() -> None:
    loaded, _ = loaded_by("import mlsdm; mlsdm.simulate, mlsdm.simulate_many, mlsdm.Result")
    assert loaded == {"numpy", "numba", "pydantic", "scipy"}  # numba asks for SciPy's version
