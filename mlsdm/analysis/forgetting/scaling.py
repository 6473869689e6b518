"""How the lifetime of a trace grows with the number of synapses."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd

from mlsdm.analysis.forgetting.linear import LinearMemory
from mlsdm.analysis.forgetting.models import cascade, leaky
from mlsdm.analysis.forgetting.retention import as_list, log_ages
from mlsdm.checks import as_whole
from mlsdm.errors import ParameterError

__all__ = ["MEMORIES", "by_size", "growth", "variables_for"]

PER_DECADE = 40  # ages


def variables_for(synapses: int) -> int:
    """Return the fewest variables whose cascade forgets no faster than once in `synapses` events.

    The longest time constant grows 4-fold with each, so that their number m grows as log₄ of the
    synapses', N, and the lifetime tends to N / (m · ln 4): almost in proportion to N (Benna & Fusi
    2016, doi:10.1038/nn.4401).

    Raises
    ------
    ParameterError
        When the number is not a whole one of at least 1.
    """
    as_whole("variables_for.synapses", synapses, 1)
    variables = 1
    while cascade(variables).time_constants[-1] < synapses:
        variables += 1
    return variables


MEMORIES: dict[str, Callable[[int], LinearMemory]] = {
    "leaky, decay 1/2": lambda synapses: leaky(0.5),
    "leaky, decay 1/√N": lambda synapses: leaky(synapses**-0.5),
    "cascade of 3": lambda synapses: cascade(3),
    "cascade, variables ~ log N": lambda synapses: cascade(variables_for(synapses)),
}
"""Memories by name, made for a number of synapses; all are read at their first variable."""


def by_size(synapses: Sequence[int]) -> pd.DataFrame:
    """Return the exact initial ratio and lifetime of the memories of `MEMORIES` for each size.

    Parameters
    ----------
    synapses
        Numbers of synapses, N, each at least 2.

    Returns
    -------
    Columns ``memory``, ``synapses``, ``variables``, ``initial`` and ``lifetime`` (events at ratio
    1).

    Raises
    ------
    ParameterError
        When a size is not allowed.
    """
    rows = []
    for n in as_list("by_size.synapses", synapses):
        as_whole("by_size.synapses", n, 2)
        ages = log_ages(10 * n, PER_DECADE)  # no lifetime of one readout exceeds N
        for name, made_for in MEMORIES.items():
            memory = made_for(n)
            curve = memory.retention(ages, n).snr(0)
            rows.append(
                {
                    "memory": name,
                    "synapses": n,
                    "variables": memory.drive.size,
                    "initial": curve.initial,
                    "lifetime": curve.lifetime(),
                }
            )
    return pd.DataFrame(rows)


def growth(table: pd.DataFrame) -> pd.Series[float]:
    """Return the slope of log lifetime on log synapses of each memory: 1 is in proportion.

    Parameters
    ----------
    table
        As `by_size` gives it, with two sizes or more.

    Raises
    ------
    ParameterError
        When the table is another, or a memory has no two sizes at which it lives.
    """
    needed = {"memory", "synapses", "lifetime"}
    if not isinstance(table, pd.DataFrame) or not needed <= set(table):
        raise ParameterError(f"growth.table: must have the columns {', '.join(sorted(needed))}")
    for name, group in table.groupby("memory", sort=False):
        if group["synapses"].nunique() < 2 or not (group["lifetime"] > 0.0).all():
            raise ParameterError(
                f"growth.table: must hold two sizes of {name!r}, with lifetimes above 0"
            )
    slopes = {
        name: np.polyfit(np.log(group["synapses"]), np.log(group["lifetime"]), 1)[0]
        for name, group in table.groupby("memory", sort=False)
    }
    return pd.Series(slopes, name="growth", dtype=float)
