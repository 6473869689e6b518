"""The audit as a whole: measurements of all claims, and the table of their verdicts."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import pandas as pd

from mlsdm.analysis.interval import Interval
from mlsdm.audit import calibration, memory
from mlsdm.audit.measured import Measured, over_seeds
from mlsdm.audit.moral import moral
from mlsdm.audit.rhythm import rhythm
from mlsdm.audit.speech import speech
from mlsdm.audit.speed import speed
from mlsdm.audit.verdict import row_of
from mlsdm.errors import ParameterError, nearest
from mlsdm.evidence import claims
from mlsdm.streams.published import PUBLISHED_SEED

__all__ = ["interval_of", "measure", "measure_here", "table"]


def measure(seeds: Sequence[int]) -> dict[str, Measured]:
    """Measure every claim that comes out the same on every machine, by its id.

    Parameters
    ----------
    seeds
        For the statistics, each at least 0; the stated set-ups have their own.

    Raises
    ------
    ParameterError
        When there is no seed, or one is not allowed.
    DataError
        When the real texts of section D are not installed.
    """
    if not len(seeds):
        raise ParameterError("measure.seeds: must hold at least one seed (got none)")
    return {
        **over_seeds(moral, seeds, PUBLISHED_SEED),
        **over_seeds(rhythm, seeds, PUBLISHED_SEED),
        **speech(seeds),
        **memory.footprint(),
        **memory.callers(),
        **memory.allocation(),
        **calibration.thresholds(seeds),
        **over_seeds(calibration.tolerances, seeds, PUBLISHED_SEED),
    }


def measure_here(n_blocks: int = 20) -> dict[str, Measured]:
    """Measure every claim whose number depends on the machine, by its id.

    Parameters
    ----------
    n_blocks
        Blocks of calls, which take the place of seeds.

    Raises
    ------
    ParameterError
        When `n_blocks` is not at least 1.
    """
    return speed(n_blocks)


def table(
    measured: Mapping[str, Measured], seed: int, ids: Collection[str] | None = None
) -> pd.DataFrame:
    """Return the audit table: a row per claim, with its verdict, in the order stated.

    Parameters
    ----------
    measured
        What was measured, by the id of the claim.
    seed
        Of the bootstraps, at least 0.
    ids
        The claims that get a row; by default those measured, and those that cannot be.

    Raises
    ------
    ParameterError
        When nothing is stated under an id, or it was not measured although it can be.
    """
    stated = claims()
    if ids is None:
        ids = {*measured, *(id for id, claim in stated.items() if claim.untestable)}
    for id in ids:
        if id not in stated:
            raise ParameterError(
                f"table.ids: nothing is stated under {id!r}{nearest(str(id), stated)}"
            )
        if id not in measured and not stated[id].untestable:
            raise ParameterError(f"table.ids: must be among what was measured (got {id!r})")
    rows = [
        {"row": place, **row_of(claim, measured.get(id), seed)}
        for place, (id, claim) in enumerate(stated.items(), start=1)
        if id in ids
    ]
    return pd.DataFrame(rows)


def interval_of(row: Mapping[str, float]) -> Interval:
    """Return the mean over seeds of one row of the audit table, with its interval."""
    return Interval(row["mean"], row["low"], row["high"], int(row["n_seeds"]))
