"""Pictures of theory beside simulation: laws of the threshold, errors, and the filter's rhythm."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import cycle

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import StrMethodFormatter
from numpy.typing import NDArray

from mlsdm.analysis.plots.style import BLUE, CYCLE, GREY, RED, STYLE, check_table, new_axes
from mlsdm.analysis.theory.threshold import Stationary

__all__ = ["by_parameter", "theory_beside_simulation", "threshold_law"]


@mpl.rc_context(STYLE)
def threshold_law(
    found: Mapping[str, Stationary],
    seen: Mapping[str, NDArray[np.float64]] | None = None,
    title: str = "",
) -> Figure:
    """Draw the stationary law of the threshold as bars, and simulated thresholds as dots.

    Parameters
    ----------
    found
        What `theory.stationary` returned, by name, one panel each.
    seen
        Simulated thresholds of any shape, by the same names.
    title
        Title of the picture.
    """
    figure, axes = new_axes(
        size=(7.5, 2.8), nrows=1, ncols=len(found), sharex=True, sharey=True, squeeze=False
    )
    for axis, (name, law) in zip(axes[0], found.items(), strict=True):
        values = law.threshold_values
        width = 0.8 * float(np.diff(values).min()) if len(values) > 1 else 0.02
        axis.bar(
            values, law.threshold_probabilities, max(width, 0.004), color=BLUE, alpha=0.35,
            label="theory",
        )  # fmt: skip
        if seen is not None:
            # Each simulated threshold belongs to the nearest of theory's: they differ by rounding.
            middles = (values[1:] + values[:-1]) / 2
            count = np.bincount(np.searchsorted(middles, seen[name].ravel()), minlength=len(values))
            axis.plot(values, count / count.sum(), "o", ms=3.5, color=RED, label="simulation")
        axis.set(title=name, xlabel="threshold θ")
    axes[0, 0].set_ylabel("share of the events")
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=2)
    figure.suptitle(title, fontsize="medium")
    return figure


@mpl.rc_context(STYLE)
def theory_beside_simulation(table: pd.DataFrame, title: str = "") -> Figure:
    """Draw theory as lines and simulation as points with intervals, one panel a stream.

    Parameters
    ----------
    table
        Columns ``stream``, ``toxic_share``, ``measure``, ``theory``, ``mean``, ``low`` and
        ``high``.
    title
        Title of the picture.
    """
    columns = ["stream", "toxic_share", "measure", "theory", "mean", "low", "high"]
    check_table("theory_beside_simulation.table", table, columns)
    streams = table.groupby("stream", sort=False)
    figure, axes = new_axes(
        size=(7.5, 3.2), nrows=1, ncols=len(streams), sharex=True, sharey=True, squeeze=False
    )
    colours = {"toxic passed": RED, "safe refused": BLUE, "acceptance": GREY}
    for axis, (name, panel) in zip(axes[0], streams, strict=True):
        for measure, rows in panel.groupby("measure", sort=False):
            rows, colour = rows.sort_values("toxic_share"), colours.get(str(measure), GREY)
            axis.plot(rows["toxic_share"], rows["theory"], color=colour, label=str(measure))
            axis.errorbar(
                rows["toxic_share"], rows["mean"],
                yerr=[rows["mean"] - rows["low"], rows["high"] - rows["mean"]],
                fmt="o", ms=3, color=colour, elinewidth=0.8,
            )  # fmt: skip
        axis.plot([], [], color="black", label="theory")
        axis.plot([], [], "o", ms=3, color="black", label="simulation")
        axis.set(title=name, xlabel="toxic share of the stream", ylim=(-0.02, 1.02))
    axes[0, 0].set_ylabel("share")
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels))
    figure.suptitle(title, fontsize="medium")
    return figure


@mpl.rc_context(STYLE)
def by_parameter(
    table: pd.DataFrame, parameter: str, measures: list[str], line: str, title: str = ""
) -> Figure:
    """Draw measures against a parameter on a logarithmic axis, one panel each.

    A measure that spans more than a decade has a logarithmic axis too.

    Parameters
    ----------
    table
        A column for the parameter, one for each measure (above 0; what is infinite is left out),
        and ``line``.
    parameter
        Column that the horizontal axis shows.
    measures
        Columns that the panels show.
    line
        Column that tells the lines apart.
    title
        Title of the picture.
    """
    check_table("by_parameter.table", table, [parameter, line, *measures])
    figure, axes = new_axes(size=(7.5, 2.9), nrows=1, ncols=len(measures), squeeze=False)
    for axis, measure in zip(axes[0], measures, strict=True):
        for colour, (name, rows) in zip(
            cycle(CYCLE), table.groupby(line, sort=False), strict=False
        ):
            shown = rows[np.isfinite(rows[measure]) & (rows[measure] > 0)].sort_values(parameter)
            axis.plot(shown[parameter], shown[measure], "o-", ms=3, color=colour, label=name)
        drawn = table.loc[np.isfinite(table[measure]) & (table[measure] > 0), measure]
        if drawn.max() > 10 * drawn.min():
            axis.set_yscale("log")
            axis.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        else:
            axis.set_ylim(bottom=0)
        axis.set(xlabel=parameter, title=measure, xscale="log")
        axis.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), title=line)
    figure.suptitle(title, fontsize="medium")
    return figure
