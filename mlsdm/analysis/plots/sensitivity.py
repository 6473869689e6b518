"""Pictures of what each parameter decides."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from mlsdm.analysis.plots.style import BLUE, ORANGE, STYLE, check_table, new_axes
from mlsdm.errors import ParameterError, nearest

__all__ = ["index_bars", "index_map"]


@mpl.rc_context(STYLE)
def index_bars(
    table: pd.DataFrame, outcomes: Sequence[str] | None = None, most: int = 8, title: str = ""
) -> Figure:
    """Draw first-order and total Sobol' indices with their intervals, one panel an outcome.

    Parameters
    ----------
    table
        As of `Indices.table`.
    outcomes
        Outcomes to draw; by default all.
    most
        Parameters of a panel, those of the largest total.
    title
        Title of the picture.

    Raises
    ------
    ParameterError
        When the table lacks a column or an outcome, or has no row.
    """
    kinds = (("total", ORANGE), ("first", BLUE))
    bounds = [f"{name}{end}" for name, _ in kinds for end in ("", " low", " high")]
    check_table("index_bars.table", table, ["outcome", "parameter", *bounds])
    known = table["outcome"].unique().tolist()
    shown = known if outcomes is None else list(outcomes)
    for outcome in shown:
        if outcome not in known:
            raise ParameterError(
                f"index_bars.outcomes: {outcome!r} is not in the table{nearest(outcome, known)}"
            )
    columns = min(2, len(shown))
    rows = -(-len(shown) // columns)
    figure, axes = new_axes(
        size=(7.5, 0.6 + rows * (0.7 + 0.22 * most)), nrows=rows, ncols=columns, squeeze=False,
        sharex=True,
    )  # fmt: skip
    for axis in axes.flat[len(shown) :]:
        axis.set_axis_off()
    for axis, outcome in zip(axes.flat, shown, strict=False):
        part = table[table["outcome"] == outcome].nlargest(most, "total")
        place = np.arange(len(part))
        for offset, (name, colour) in zip((0.2, -0.2), kinds, strict=True):
            value = part[name]
            reach = np.maximum([value - part[f"{name} low"], part[f"{name} high"] - value], 0.0)
            axis.barh(
                place + offset, value, height=0.38, xerr=reach, color=colour, label=name,
                error_kw={"lw": 0.8},
            )  # fmt: skip
        axis.axvline(0.0, color="black", lw=0.6)
        axis.set_yticks(place, part["parameter"])
        axis.invert_yaxis()
        axis.grid(axis="y", visible=False)
        axis.set(title=outcome)
    for axis in axes[-1]:
        axis.set_xlabel("share of the variance")
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles[::-1], labels[::-1], loc="outside lower center", ncols=2)
    figure.suptitle(title, fontsize="medium")
    return figure


@mpl.rc_context(STYLE)
def index_map(matrix: pd.DataFrame, title: str = "", label: str = "total index") -> Figure:
    """Draw indices as a map of parameters by outcomes, with the numbers from 0.05 on.

    Where an outcome has none, its column is empty.

    Parameters
    ----------
    matrix
        As of `Indices.matrix`.
    title
        Title of the picture.
    label
        What the colours show.

    Raises
    ------
    ParameterError
        When the table is empty.
    """
    if matrix.empty:
        raise ParameterError("index_map.matrix: must have a parameter and an outcome (got none)")
    values = matrix.to_numpy(dtype=np.float64)
    size = (2.6 + 0.48 * matrix.shape[1], 1.5 + 0.24 * matrix.shape[0])
    figure, axis = new_axes(size=size)
    image = axis.imshow(np.clip(values, 0.0, 1.0), cmap="Blues", vmin=0.0, vmax=1.0, aspect="auto")
    for (row, column), value in np.ndenumerate(values):
        if value >= 0.05:
            ink = "white" if value > 0.6 else "black"
            axis.text(
                column, row, f"{value:.2f}", ha="center", va="center", size="small", color=ink
            )
    axis.set_xticks(range(matrix.shape[1]), matrix.columns, rotation=45, ha="left")
    axis.set_yticks(range(matrix.shape[0]), matrix.index)
    axis.xaxis.tick_top()
    axis.tick_params(length=0)
    axis.grid(visible=False)
    axis.spines[:].set_visible(False)
    figure.colorbar(image, label=label, shrink=0.8, pad=0.02)
    figure.suptitle(title, fontsize="medium")
    return figure
