"""What MLflow's pages show of an experiment's runs at first: its columns, its order, its charts."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from mlsdm.errors import RunError
from mlsdm.sweep.describe import PRESET, VERDICT
from mlsdm.sweep.recorder import KEY

if TYPE_CHECKING:
    from mlsdm.tracking import Store

__all__ = ["VIEW", "save_view"]

VIEW = "mlsdm"  # the key that a link gives
MOST = {"metrics": 6, "params": 40}  # columns; what holds them takes 20,000 characters
# Else the bounds of intervals come first, and hide what they belong to.
CHARTED = "^(?!interval/|kernel/|nonfinite/|stated/|sweep/)"


def save_view(
    store: Store,
    experiment: str,
    parameters: Iterable[str],
    metrics: Iterable[str] = (),
    *,
    datasets: bool = False,
) -> None:
    """Keep the view of an experiment that links open: every run by its name, and what varies.

    By default MLflow hides the runs of a sweep in that of the sweep as a whole, and has no column
    for what they differ in. The sweep's own run is left out: beside it, each chart of a number
    would be a course over its points. Columns that the view has stay. A store that refuses costs
    the view, and no finished run: the standard error says so.

    Parameters
    ----------
    parameters, metrics, datasets
        What is to have a column.
    """
    columns = {
        "attributes": ["Dataset"] * datasets,
        "metrics": list(metrics),
        "params": list(parameters),
        "tags": [VERDICT, PRESET],
    }
    try:
        _save(store, experiment, columns)
    except RunError as error:
        print(f"the view of {experiment} could not be saved: {error}", file=sys.stderr, flush=True)


def _save(store: Store, experiment: str, columns: Mapping[str, Sequence[str]]) -> None:
    kept = store.view(experiment, VIEW).get("selectedColumns", [])
    selected = []
    for kind, names in columns.items():
        own = [f"{kind}.`{name}`" for name in names]
        # Earlier runs, which the view shows too, may differ in something else.
        earlier = [column for column in kept if column.startswith(f"{kind}.")]
        selected += list(dict.fromkeys([*own, *earlier]))[: MOST.get(kind)]
    view = {
        "searchFilter": f"tags.`{KEY}` != ''",
        "orderByKey": "tags.`mlflow.runName`",
        "orderByAsc": True,
        "selectedColumns": selected,
        "chartsSearchFilter": CHARTED,
    }
    store.save_view(experiment, VIEW, view)
