"""Comparisons of levels with a baseline, seed by seed."""

from __future__ import annotations

import math
import warnings
from collections.abc import Collection, Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mlsdm.analysis.significance import (
    effect_size,
    holm,
    paired_improvement,
    seeds_needed,
    sign_flip,
)
from mlsdm.analysis.statistics import interval
from mlsdm.errors import ParameterError, nearest

__all__ = ["FewResamplesWarning", "FewSeedsWarning", "paired"]


class FewResamplesWarning(UserWarning):
    """There are too few resamples for any difference, however large, to show."""


class FewSeedsWarning(UserWarning):
    """There are too few seeds for any difference, however large, to show."""


def paired(
    table: pd.DataFrame,
    *,
    seed: str,
    by: str,
    baseline: object,
    values: Sequence[str],
    rng: np.random.Generator,
    within: Sequence[str] = (),
    less_is_better: Collection[str] = (),
    level: float = 0.95,
    resamples: int = 9999,
) -> pd.DataFrame:
    """Compare each level of a column with a baseline level, seed by seed.

    Parameters
    ----------
    table
        One row per seed, level and group.
    seed
        Column of the seeds.
    by
        Column whose levels are compared.
    baseline
        The level that the others are compared with.
    values
        Columns of measures. A seed of which one side is not there, or not finite, is left out.
    rng
        Draws the resamples and the signs.
    within
        Further columns: levels are compared within each of their combinations.
    less_is_better
        Those of `values` of which less is better.
    level
        Confidence level in (0, 1).
    resamples
        Bootstrap resamples, and patterns of signs.

    Returns
    -------
    One row per group, level and measure with any difference: columns `within`, `by`, ``measure``,

    - ``mean``, ``low``, ``high``, ``n``: the difference from the baseline, as `interval` gives it;
    - ``dropped``: seeds left out;
    - ``p``, ``p_holm``: two-sided, as of `sign_flip`, and corrected over all rows by `holm`;
    - ``effect``: Cohen's d_z, as of `effect_size`;
    - ``improvement``, ``improvement_low``, ``improvement_high``: the probability that a seed is
      better than with the baseline, as of `paired_improvement`;
    - ``few``: whether `n` is less than `seeds_needed` for that many rows.

    Warns
    -----
    FewSeedsWarning
        When any row has too few seeds.
    FewResamplesWarning
        When no row can show a difference because of `resamples`, though some have enough seeds.

    Raises
    ------
    ParameterError
        When a column or the baseline is missing, a seed is there twice, or none is on both sides.
    """
    _check_table(table, [*within, by, seed], values, less_is_better)
    rows: list[dict[str, Any]] = []
    for names, differences in _differences(table, seed, by, baseline, values, within):
        finite = differences[np.isfinite(differences)]
        if finite.size:
            less = names["measure"] in less_is_better
            better = paired_improvement(-finite if less else finite, level)
            rows.append(
                {
                    **names,
                    **interval(finite, rng, level=level, resamples=resamples)._asdict(),
                    "dropped": differences.size - finite.size,
                    "p": sign_flip(finite, rng, resamples),
                    "effect": effect_size(finite),
                    "improvement": better.mean,
                    "improvement_low": better.low,
                    "improvement_high": better.high,
                }
            )
    columns = [
        *within, by, "measure", "mean", "low", "high", "n", "dropped", "p", "p_holm", "effect",
        "improvement", "improvement_low", "improvement_high", "few",
    ]  # fmt: skip
    found = pd.DataFrame(rows, columns=columns)
    if rows:
        enough = seeds_needed(len(rows), level)
        found["p_holm"] = holm(found["p"])
        found["few"] = found["n"] < enough
        if found["few"].any():
            warnings.warn(
                f"paired: {found['few'].sum()} of {len(rows)} comparisons have fewer than {enough} "
                f"seeds (the least has {found['n'].min()}): no difference could show at {level:g} "
                "after Holm's correction",
                FewSeedsWarning,
                stacklevel=2,
            )
        # Sampled signs give a p of at least 2 / (resamples + 1); trying all of them gives more.
        patterns = math.ceil(2 * len(rows) / (1.0 - level) - 1e-9)
        if resamples + 1 < patterns and not found["few"].all():
            warnings.warn(
                f"paired: with {resamples} resamples no difference in {len(rows)} comparisons "
                f"could show at {level:g} after Holm's correction; {patterns - 1} would do",
                FewResamplesWarning,
                stacklevel=2,
            )
    return found


def _check_table(
    table: pd.DataFrame,
    keys: Sequence[str],
    values: Sequence[str],
    less_is_better: Collection[str],
) -> None:
    """Refuse a table in which a column is missing, or a row cannot be told from another."""
    for name in (*keys, *values):
        if name not in table:
            known = nearest(str(name), map(str, table.columns))
            raise ParameterError(f"paired.table: has no column {name!r}{known}")
    for name in less_is_better:
        if name not in values:
            known = nearest(str(name), values)
            raise ParameterError(f"paired.less_is_better: {name!r} is not compared{known}")
    if table[list(keys)].isna().any(axis=None):
        raise ParameterError(f"paired.table: must have a value in every row of {', '.join(keys)}")
    twice = table[table.duplicated(list(keys))]
    if len(twice):
        first = ", ".join(f"{name}={twice.iloc[0][name]}" for name in keys)
        raise ParameterError(f"paired.table: must hold each seed once (got {first} again)")


def _differences(
    table: pd.DataFrame,
    seed: str,
    by: str,
    baseline: object,
    values: Sequence[str],
    within: Sequence[str],
) -> Iterator[tuple[dict[str, Any], NDArray[np.float64]]]:
    """Yield what names a row, and its differences by seed: NaN where a side has none."""
    groups: Any = [((), table)]
    if within:
        groups = table.groupby(list(within), sort=False, observed=True)
    for key, group in groups:
        names = dict(zip(within, key, strict=True))
        place = "".join(f" at {name}={value}" for name, value in names.items())
        sides = {
            name: rows.set_index(seed)[list(values)].astype(np.float64)
            for name, rows in group.groupby(by, sort=False, observed=True)
        }
        if baseline not in sides:
            known = nearest(str(baseline), map(str, sides))
            raise ParameterError(f"paired.baseline: {by} has no {baseline!r}{place}{known}")
        theirs = sides.pop(baseline)
        for name, ours in sides.items():
            if not ours.index.isin(theirs.index).any():
                raise ParameterError(
                    f"paired.table: {by}={name}{place} must share a seed with the baseline "
                    f"{baseline!r} (got none)"
                )
            differences = (ours - theirs).sort_index()
            for measure in values:
                yield {**names, by: name, "measure": measure}, differences[measure].to_numpy()
