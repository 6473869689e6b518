"""Time one sweep against the same runs as the papermill and MLflow documentation shows them.

The loop calls ``papermill.execute_notebook`` once a run, and each notebook logs its own parameters
and metrics with ``mlflow.log_…``. The sweep is ``mlsdm sweep``, everything that it starts included.
Both run the same cells on fresh stores in a temporary folder, one after the other.

Usage: ``python experiments/compare_with_loop.py``
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import nbformat

from mlsdm.scaffold import new_experiment
from mlsdm.sweep.driver import cores

NAME = "compared"
TRIVIAL = "trivial"
IMPORT = """import mlflow

mlflow.set_tracking_uri(store)
mlflow.set_experiment("loop")
mlflow.start_run()
for name in ("n_events", "toxic_share", "target_rate", "seed"):
    mlflow.log_param(name, globals()[name])
"""
LOOP = """import json, sys
import papermill
points = json.load(open("points.json"))
for number, point in enumerate(points):
    papermill.execute_notebook(
        "loop.ipynb", f"out-{number}.ipynb", parameters=point, kernel_name="python3"
    )
"""


def as_documented(notebook: Path, store: str) -> nbformat.NotebookNode:
    """Return the notebook with MLflow's own calls in place of `mlsdm.record`."""
    node = nbformat.read(notebook, as_version=4)
    for cell in node.cells:
        if "parameters" in cell.metadata.get("tags", []):
            cell.source += f"\nstore = {store!r}"
        cell.source = cell.source.replace(
            'mlsdm.record("threshold/course", figure)',
            'mlflow.log_figure(figure, "threshold.png")',
        ).replace("mlsdm.record(", "mlflow.log_metric(")
    first = next(i for i, cell in enumerate(node.cells) if "import mlsdm" in cell.source)
    node.cells[first].source = IMPORT + node.cells[first].source
    node.cells.append(nbformat.v4.new_code_cell("mlflow.end_run()"))
    return node


def timed(command: list[str], folder: Path) -> float:
    """Return the seconds that a command takes as a whole process."""
    environment = {**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true"}
    begin = time.perf_counter()
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    seconds = time.perf_counter() - begin
    if done.returncode:
        sys.exit(f"{' '.join(command)} ended with {done.returncode}: {done.stderr[-2000:]}")
    return seconds


def sweep(folder: Path, name: str, store: str) -> float:
    """Run ``mlsdm sweep`` on a fresh store; return its seconds."""
    code = "from mlsdm.cli import main; main()"
    plan = f"experiments/{name}.yaml"
    return timed([sys.executable, "-c", code, "sweep", plan, "--store", store], folder)


def overhead(store: Path) -> float:
    """Return the share of the sweep's time in which its workers were not running a notebook.

    The time is that from the first start of a notebook to the last end of one.
    """
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=f"sqlite:///{store}")
    known = client.get_experiment_by_name(TRIVIAL)
    found = client.search_runs([known.experiment_id], "tags.`mlsdm.key` != ''", max_results=1000)
    busy = sum(run.data.metrics["kernel/seconds"] for run in found)
    first = min(run.info.start_time for run in found)
    last = max(run.info.end_time for run in found)
    return 1 - busy / (cores() * (last - first) / 1000)


def trivial(folder: Path, runs: int) -> None:
    """Write a notebook that does nothing but record its seed, and a sweep of so many runs."""
    cells = [
        nbformat.v4.new_code_cell("seed: int = 0", metadata={"tags": ["parameters"]}),
        nbformat.v4.new_code_cell('import mlsdm\n\nmlsdm.record("seed", seed)'),
    ]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), folder / f"notebooks/{TRIVIAL}.ipynb")
    plan = f"notebook: {TRIVIAL}\nsweep:\n  seed: {list(range(runs))}\n"
    (folder / "experiments" / f"{TRIVIAL}.yaml").write_text(plan)


def main() -> None:
    """Time both, and print what came out."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--runs", type=int, default=24, help="runs to compare")
    parser.add_argument("--many", type=int, default=200, help="runs of the longest trivial sweep")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        notebook, plan = new_experiment(NAME, folder)
        shares, rates = [0.1, 0.5, 0.9], [0.3, 0.7]
        seeds = list(range(1, options.runs // 6 + 1))
        points = [
            {"toxic_share": share, "target_rate": rate, "seed": seed}
            for share, rate, seed in itertools.product(shares, rates, seeds)
        ]
        text = plan.read_text().replace("seeds: 5", f"seeds: {seeds}")
        plan.write_text(text)
        (folder / "points.json").write_text(json.dumps(points))
        nbformat.write(
            as_documented(notebook, f"sqlite:///{folder}/loop.db"), folder / "loop.ipynb"
        )
        print(f"{len(points)} runs on {os.cpu_count()} cores", flush=True)
        ours = sweep(folder, NAME, "ours.db")
        print(f"mlsdm sweep:            {ours:7.1f} s", flush=True)
        theirs = timed([sys.executable, "-c", LOOP], folder)
        print(f"papermill + MLflow loop: {theirs:6.1f} s")
        print(f"ratio:                  {theirs / ours:7.1f}")
        counts = (8, 24, options.many)
        took = {}
        for count in counts:
            trivial(folder, count)
            took[count] = sweep(folder, TRIVIAL, f"{count}.db")
            share = overhead(folder / f"{count}.db")
            print(
                f"{count:4d} trivial runs:       {took[count]:7.1f} s, of which the workers waited "
                f"{share:.1%} once the first had begun",
                flush=True,
            )
        for few, many in itertools.pairwise(counts):
            each = (took[many] - took[few]) / (many - few)
            print(f"each additional trivial run, {few} to {many}: {each:.2f} s")


if __name__ == "__main__":
    main()
