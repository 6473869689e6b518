"""What a sensitivity analysis gives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import pandas as pd

from mlsdm.display import html_table, text_table
from mlsdm.errors import ParameterError, nearest

__all__ = ["Indices"]

MEASURES = ("first", "total", "interaction")


@dataclass(frozen=True, eq=False, repr=False)
class Indices:
    """Sobol' indices of several outcomes over several parameters.

    Parameters
    ----------
    n, evaluations
        Base points, and points asked in all.
    level
        Confidence level of all intervals.
    rows
        One row an outcome and parameter; `table` returns it.
    pairs
        One row an outcome and pair: ``outcome``, ``parameter``, ``other``, and ``second`` with
        ``second low`` and ``second high``: what the two make together, beyond what each makes
        alone. Empty if none was asked for.
    summary
        One row an outcome: ``mean``, ``sd``, ``min`` and ``max`` over the ranges, ``additive``
        (the sum of the first-order indices: 1 where nothing interacts) with its interval, and a
        ``note`` that says why an outcome has no indices.
    """

    n: int
    evaluations: int
    level: float
    rows: pd.DataFrame
    pairs: pd.DataFrame
    summary: pd.DataFrame

    def table(self, outcome: str | None = None) -> pd.DataFrame:
        """Return the indices of one outcome, or of all.

        Columns ``outcome``, ``parameter``, and ``first``, ``total`` and ``interaction`` (total
        less first), each with its interval, such as ``first low`` and ``first high``.

        Raises
        ------
        ParameterError
            When there is no such outcome.
        """
        if outcome is None:
            return self.rows.copy()
        known = self.summary["outcome"].tolist()
        if outcome not in known:
            raise ParameterError(
                f"Indices.table.outcome: {outcome!r} is unknown{nearest(str(outcome), known)}"
            )
        return self.rows[self.rows["outcome"] == outcome].reset_index(drop=True)

    def matrix(self, measure: Literal["first", "total", "interaction"] = "total") -> pd.DataFrame:
        """Return one measure as a table of parameters by outcomes.

        Raises
        ------
        ParameterError
            When the measure is unknown.
        """
        if measure not in MEASURES:
            raise ParameterError(
                f"Indices.matrix.measure: {measure!r} is unknown{nearest(str(measure), MEASURES)}"
            )
        wide = self.rows.pivot(index="parameter", columns="outcome", values=measure)
        return wide.loc[self.rows["parameter"].unique(), self.rows["outcome"].unique()]

    def __repr__(self) -> str:
        return text_table(*self._shown(), most=len(self.rows))

    def _repr_html_(self) -> str:
        caption = f"Total Sobol' indices, n = {self.n}, {self.evaluations} evaluations"
        return html_table(caption, *self._shown(), most=len(self.rows))

    def _shown(self) -> tuple[list[str], list[list[object]]]:
        wide = self.matrix()
        rows = [
            [name, *("" if x != x else f"{x:.2f}" for x in row)] for name, *row in wide.itertuples()
        ]
        return ["parameter", *wide.columns], rows
