"""A notebook and a sweep file to start an experiment of one's own from."""

from __future__ import annotations

import re
from pathlib import Path

from mlsdm.errors import ParameterError

__all__ = ["new_experiment"]

_CELLS = (
    (
        "markdown",
        "",
        """# {title}

**Question.** What share of a stream does the filter accept, and where does its threshold settle?

**Answer.** (Write it here once the runs have said it.)""",
    ),
    (
        "code",
        "parameters",
        """n_events: int = 500  # events of a stream, in [50, 1000000]
toxic_share: float = 0.3  # of the stream, in [0, 1]
target_rate: float = 0.5  # acceptance rate that the filter steers to, in (0, 1)
seed: int = 42  # seed of the stream, in [0, 4294967295]""",
    ),
    (
        "code",
        "",
        """import matplotlib.pyplot as plt
import numpy as np

import mlsdm

rng = np.random.default_rng(seed)
toxic = rng.random(n_events) < toxic_share
values = np.where(toxic, rng.uniform(0.0, 0.4, n_events), rng.uniform(0.6, 1.0, n_events))
params = mlsdm.EngineParams(moral=mlsdm.MoralParams(target_rate=target_rate))
result = mlsdm.simulate(params, None, values)""",
    ),
    (
        "code",
        "",
        """figure, axes = plt.subplots(figsize=(7, 3))
axes.plot(result.threshold, lw=1)
axes.set(xlabel="event", ylabel="threshold", title="How the threshold adapts")
mlsdm.record("threshold/course", figure)""",
    ),
    (
        "code",
        "",
        """accepted = result.accepted
mlsdm.record("moral/accepted", accepted.mean())
mlsdm.record("moral/toxic_passed", accepted[toxic].mean() if toxic.any() else float("nan"))
mlsdm.record("moral/safe_refused", 1 - accepted[~toxic].mean() if not toxic.all() else float("nan"))
mlsdm.record("threshold/last", result.threshold[-1])""",
    ),
    ("markdown", "", "## What it means\n\n(Write it here.)"),
)

_SWEEP = """\
# yaml-language-server: $schema=./sweep.schema.json
question: What share of a stream does the filter accept, at each toxic share and target rate?
notebook: notebooks/{name}.ipynb
sweep:
  toxic_share: [0.1, 0.5, 0.9]
  target_rate: [0.3, 0.7]
seeds: 5
thresholds:
  moral/accepted: {{min: 0, max: 1}}
"""


def new_experiment(name: str, folder: Path) -> tuple[Path, Path]:
    """Write ``notebooks/NAME.ipynb`` and ``experiments/NAME.yaml`` below a folder; return them.

    Raises
    ------
    ParameterError
        When the name is not fit for a file, or one of the files is there already.
    """
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]{0,80}", name):
        raise ParameterError(
            f"new-experiment.name: must be letters, digits, '-' and '_' (got {name!r})"
        )
    notebook = folder / "notebooks" / f"{name}.ipynb"
    plan = folder / "experiments" / f"{name}.yaml"
    for path in (notebook, plan):
        if path.exists():
            raise ParameterError(f"new-experiment: {path} is there already")
    for path in (notebook, plan):
        path.parent.mkdir(parents=True, exist_ok=True)
    _write(notebook, _notebook(name.replace("-", " ").replace("_", " ")))
    _write(plan, _SWEEP.format(name=name))
    if not plan.with_name("sweep.schema.json").exists():
        from mlsdm.plan.content import write_schema

        write_schema(plan.parent)
    return notebook, plan


def _notebook(title: str) -> str:
    import nbformat
    from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

    cells = []
    for kind, tag, text in _CELLS:
        make = new_markdown_cell if kind == "markdown" else new_code_cell
        made = make(text.replace("{title}", title))  # type: ignore[no-untyped-call]
        if tag:
            made.metadata["tags"] = [tag]
        cells.append(made)
    node = new_notebook(cells=cells)  # type: ignore[no-untyped-call]
    node.metadata.kernelspec = {
        "name": "python3",
        "display_name": "Python 3",
        "language": "python",
    }
    return str(nbformat.writes(node)) + "\n"  # type: ignore[no-untyped-call]


def _write(path: Path, text: str) -> None:
    aside = path.with_name(f"{path.name}.part")
    aside.write_text(text, encoding="utf-8")
    aside.replace(path)
