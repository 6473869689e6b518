"""Pictures of retrieval: what is found again, against noise, load and the phase tolerance."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import cycle

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import PercentFormatter

from mlsdm.analysis.plots.style import CYCLE, GREY, STYLE, check_table, new_axes

__all__ = ["noise_limits", "recall_curves", "tolerance_curves"]

DASHES = ("-", "--", ":")


@mpl.rc_context(STYLE)
def recall_curves(
    points: pd.DataFrame,
    lines: pd.DataFrame | None = None,
    *,
    x: str = "noise",
    group: str = "rows",
    xlabel: str = "length of the cue's noise, multiples of the vector's",
    ylabel: str = "right recalls",
    title: str = "",
) -> Figure:
    """Draw how often recall is right: simulated points with their intervals, theory as lines.

    Parameters
    ----------
    points
        Columns `x`, `group`, ``mean``, ``low`` and ``high``.
    lines
        Columns `x`, `group`, ``theory`` (a name; each has its own dashes) and ``recall``, in order
        of `x`; None joins the points instead.
    x, group
        Columns of the x axis and of the colour.
    xlabel, ylabel, title
        Texts of the picture.

    Raises
    ------
    ParameterError
        When a table lacks a column, or has no row.
    """
    check_table("recall_curves.points", points, [x, group, "mean", "low", "high"])
    if lines is not None:
        check_table("recall_curves.lines", lines, [x, group, "theory", "recall"])
    figure, axis = new_axes(size=(7.0, 3.6))
    handles = []
    for colour, name in zip(cycle(CYCLE), dict.fromkeys(points[group]), strict=False):
        rows = points[points[group] == name]
        reach = np.array([rows["mean"] - rows["low"], rows["high"] - rows["mean"]]).clip(0.0)
        joined = "-" if lines is None else ""
        axis.errorbar(rows[x], rows["mean"], reach, color=colour, fmt="o" + joined, ms=4, capsize=3)
        label = f"{name} {group}" if isinstance(name, (int, np.integer)) else str(name)
        handles.append(Line2D([], [], color=colour, marker="o", ms=4, ls=joined, label=label))
        if lines is not None:
            own = lines[lines[group] == name]
            for dashes, theory in zip(cycle(DASHES), dict.fromkeys(lines["theory"]), strict=False):
                line = own[own["theory"] == theory]
                axis.plot(line[x], line["recall"], color=colour, ls=dashes, lw=1.3)
    if lines is not None:
        for dashes, theory in zip(cycle(DASHES), dict.fromkeys(lines["theory"]), strict=False):
            handles.append(Line2D([], [], color="#444444", ls=dashes, lw=1.3, label=theory))
    axis.set(xlabel=xlabel, ylabel=ylabel, ylim=(-0.03, 1.05), title=title)
    axis.yaxis.set_major_formatter(PercentFormatter(1.0))
    axis.legend(handles=handles, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return figure


@mpl.rc_context(STYLE)
def tolerance_curves(
    table: pd.DataFrame, *, tried: Sequence[float] = (0.05, 0.3), title: str = ""
) -> Figure:
    """Draw precision and recall against the phase tolerance, one line for each way to have phases.

    Parameters
    ----------
    table
        Tables of `mlsdm.analysis.retrieval.tolerance_table`, with a column ``phases`` that names
        each.
    tried
        Ends of the range of tolerances that is shaded: those that the original's table has.
    title
        Title of the picture.

    Raises
    ------
    ParameterError
        When the table lacks a column, or has no row.
    """
    check_table("tolerance_curves.table", table, ["phases", "tolerance", "precision", "recall"])
    figure, panels = new_axes(2, size=(8.0, 3.4), nrows=1, ncols=2, sharey=True)
    names = list(dict.fromkeys(table["phases"]))
    shares = {"recall": "share of what was meant", "precision": "share of what is let through"}
    for axis, (measure, share) in zip(panels, shares.items(), strict=True):
        axis.axvspan(tried[0], tried[-1], color=GREY, alpha=0.2, lw=0)
        for i, (colour, name) in enumerate(zip(cycle(CYCLE), names, strict=False)):
            rows = table[table["phases"] == name]
            # Lines that lie upon each other stay apart: the first is the widest.
            width = 1.3 + 1.2 * (len(names) - 1 - i)
            axis.plot(rows["tolerance"], rows[measure], color=colour, lw=width, label=name)
        axis.set(xlabel="phase tolerance", ylabel=share, title=measure, ylim=(-0.03, 1.05))
        axis.yaxis.set_major_formatter(PercentFormatter(1.0))
    handles, labels = panels[0].get_legend_handles_labels()
    handles.append(mpl.patches.Patch(color=GREY, alpha=0.2, lw=0))
    figure.legend(
        handles,
        [*labels, "tolerances of the original's table"],
        loc="outside lower center",
        ncols=2,
    )
    figure.suptitle(title, fontsize="medium")
    return figure


@mpl.rc_context(STYLE)
def noise_limits(table: pd.DataFrame, *, title: str = "") -> Figure:
    """Draw how much noise of the cue leaves recall right half of the time, against the load.

    Parameters
    ----------
    table
        Columns ``rows``, ``dim`` and ``noise``.
    title
        Title of the picture.

    Raises
    ------
    ParameterError
        When the table lacks a column, or has no row.
    """
    check_table("noise_limits.table", table, ["rows", "dim", "noise"])
    figure, axis = new_axes(size=(6.0, 3.2))
    for colour, dim in zip(cycle(CYCLE), dict.fromkeys(table["dim"]), strict=False):
        rows = table[table["dim"] == dim]
        axis.plot(rows["rows"], rows["noise"], color=colour, marker="o", ms=3, label=f"{dim}-d")
    axis.set(
        xscale="log", xlabel="rows in phase", ylabel="length of noise, vector's = 1", title=title
    )
    axis.set_ylim(bottom=0)
    axis.legend()
    return figure
