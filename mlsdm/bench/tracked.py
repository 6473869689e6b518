"""The figures as a run in MLflow, so that its pages show their history."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from mlsdm.bench.cases import CASES, Figure
from mlsdm.bench.measure import Size
from mlsdm.bench.table import COLUMNS, as_json, as_markdown, cells
from mlsdm.provenance import SOURCE, THREAD_CAPS, collect
from mlsdm.record import Record
from mlsdm.sweep.view import VIEW
from mlsdm.tracking import Store

__all__ = ["EXPERIMENT", "keep"]

EXPERIMENT = "bench"


def keep(store: Store, figures: Sequence[Figure], size: Size, machine: Mapping[str, str]) -> str:
    """Keep the figures as a finished run; return its id.

    Metrics are ``ratio/<name>`` with its interval, and ``here/<name>`` and ``yardstick/<name>`` in
    the units of the table; the machine and the sizes are parameters.

    Raises
    ------
    RunError
        When the store refuses.
    """
    provenance = collect(Path(__file__), store.project, None)
    tags = provenance.tags() | {SOURCE: "mlsdm bench", "mlflow.source.type": "LOCAL"}
    del tags["mlsdm.notebook_sha256"]  # there is none
    caps = {name: os.environ[name] for name in THREAD_CAPS if name in os.environ}
    name = f"{machine['mlsdm']} on {machine['cpu']}"
    with store.start(
        EXPERIMENT, name, parameters={**machine, **caps, **vars(size)}, tags=tags
    ) as run:
        files: dict[str, str | bytes] = {
            "bench.json": as_json(figures, size, machine),
            "bench.md": as_markdown(figures, size, machine),
            "provenance.json": json.dumps(provenance.to_dict(), indent=2),
        }
        run.log(_records(figures), numbers=_sides(figures), files=files)
        store.save_view(EXPERIMENT, VIEW, _view())
    return run.id


def _view() -> dict[str, object]:
    """Return what MLflow's pages show at first: the newest run on top, a column for each ratio."""
    ratios = [f"metrics.`ratio/{case.name}`" for case in CASES]
    return {
        "searchFilter": "",
        "orderByKey": "attributes.start_time",
        "orderByAsc": False,
        "selectedColumns": ["attributes.`Created`", *ratios],
        "chartsSearchFilter": "^ratio/",
    }


def _records(figures: Sequence[Figure]) -> list[Record]:
    found = []
    for figure in figures:
        if (ratio := figure.ratio) is not None:
            bounds = (ratio.low, ratio.high) if ratio.bounded else (None, None)
            name = f"ratio/{figure.case.name}"
            interval = (*bounds, ratio.n)
            found.append(Record("metric", name, figure.case.means, ratio.mean, interval))
    rows = tuple(cells(figure) for figure in figures)
    return [*found, Record("table", "bench", columns=COLUMNS, rows=rows)]


def _sides(figures: Sequence[Figure]) -> dict[str, float]:
    found: dict[str, float] = {}
    for figure in figures:
        if figure.sides is not None:
            here, there = figure.sides
            found |= {f"here/{figure.case.name}": here, f"yardstick/{figure.case.name}": there}
    return found
