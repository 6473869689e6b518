"""Pictures of forgetting: ratios against age, lifetimes against size, and what can be traded."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import cycle

import matplotlib as mpl
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, StrMethodFormatter

from mlsdm.analysis.forgetting.retention import Curve
from mlsdm.analysis.plots.style import CYCLE, GREY, STYLE, check_table, new_axes

__all__ = ["forgetting_curves", "lifetime_by_size", "lifetime_by_threshold", "lifetime_trade_off"]


@mpl.rc_context(STYLE)
def forgetting_curves(
    exact: Mapping[str, Curve],
    measured: Mapping[str, Curve] | None = None,
    *,
    least: float = 0.3,
    title: str = "",
) -> Figure:
    """Draw signal-to-noise ratios against age on logarithmic axes; 1 is dashed.

    Parameters
    ----------
    exact
        Curves by name, drawn as lines.
    measured
        Curves by name, drawn as dots in the colour of the line of that name.
    least
        Where the axis of the ratio ends.
    title
        Title of the picture.
    """
    figure, axis = new_axes(size=(7.0, 3.6))
    colours = dict(zip(dict.fromkeys([*exact, *(measured or {})]), cycle(CYCLE), strict=False))
    tops = [1.0]
    oldest = 1
    dots = {"lw": 0.6, "ls": ":", "marker": "o"}
    for curves, style in ((exact, {"lw": 1.6}), (measured or {}, dots)):
        for name, curve in curves.items():
            shown = curve.snr > 0.0
            label = name if curves is exact else f"{name}, measured"
            axis.plot(
                curve.ages[shown] + 1, curve.snr[shown], color=colours[name], label=label,
                markersize=3.5, **style,
            )  # fmt: skip
            tops.append(curve.snr.max())
            oldest = max(oldest, *(curve.ages[curve.snr >= least] + 1))
    axis.axhline(1.0, color=GREY, ls="--", lw=1)
    _logarithmic(axis)
    axis.set(
        xlabel="age + 1, events", ylabel="signal-to-noise ratio", title=title,
        ylim=(least, 1.5 * max(tops)), xlim=(0.9, 1.5 * oldest),
    )  # fmt: skip
    axis.legend(fontsize="small")
    return figure


@mpl.rc_context(STYLE)
def lifetime_by_size(table: pd.DataFrame, growth: Mapping[str, float], title: str = "") -> Figure:
    """Draw lifetimes against the number of synapses on logarithmic axes.

    Parameters
    ----------
    table
        As `mlsdm.analysis.forgetting.by_size` gives it.
    growth
        Fitted exponent of each memory, for the legend.
    title
        Title of the picture.

    Raises
    ------
    ParameterError
        When a column is missing, or there is no row.
    """
    check_table("lifetime_by_size.table", table, ["memory", "synapses", "lifetime"])
    figure, axis = new_axes(size=(7.0, 3.6))
    groups = table.groupby("memory", sort=False)
    for colour, (name, group) in zip(cycle(CYCLE), groups, strict=False):
        label = f"{name}: N^{growth[str(name)]:.2f}"
        axis.plot(group["synapses"], group["lifetime"], "o-", ms=4, color=colour, label=label)
    axis.plot(*2 * [[table["synapses"].min(), table["synapses"].max()]], color=GREY, ls="--", lw=1)
    axis.annotate(
        "N: no one readout lives longer", (table["synapses"].max(), table["synapses"].max()),
        xytext=(-60, -2), textcoords="offset points", ha="right", va="top", color="#666666",
        fontsize="small",
    )  # fmt: skip
    axis.set(
        xlabel="synapses N", ylabel="lifetime at ratio 1, events", title=title,
        xscale="log", yscale="log",
    )  # fmt: skip
    axis.legend(fontsize="small")
    return figure


@mpl.rc_context(STYLE)
def lifetime_trade_off(front: pd.DataFrame, memories: pd.DataFrame, *, title: str = "") -> Figure:
    """Draw lifetime against the ratio right after storing: the front, and memories beside it.

    Parameters
    ----------
    front
        As `mlsdm.analysis.forgetting.front` gives it.
    memories
        Columns ``memory``, ``initial``, ``mean``, ``low`` and ``high``: lifetimes with intervals.
    title
        Title of the picture.

    Raises
    ------
    ParameterError
        When a column is missing, or there is no row.
    """
    check_table("lifetime_trade_off.front", front, ["initial", "lifetime", "bound"])
    columns = ["memory", "initial", "mean", "low", "high"]
    check_table("lifetime_trade_off.memories", memories, columns)
    figure, axis = new_axes(size=(7.0, 3.6))
    axis.plot(
        front["initial"], front["bound"], color=GREY, ls="--", lw=1.2,
        label="bound: no three levels exceed it, gated or not",
    )  # fmt: skip
    axis.plot(
        front["initial"], front["lifetime"], color="black", lw=1.6,
        label="best with open gates, exact",
    )  # fmt: skip
    for colour, row in zip(cycle(CYCLE), memories.to_dict("records"), strict=False):
        reach = [[row["mean"] - row["low"]], [row["high"] - row["mean"]]]
        axis.errorbar(
            row["initial"], row["mean"], yerr=reach, fmt="o", ms=6, capsize=3, color=colour,
            label=row["memory"],
        )  # fmt: skip
    axis.set(
        xlabel="signal-to-noise ratio right after storing", yscale="log",
        ylabel="lifetime at ratio 1, events", title=title,
    )  # fmt: skip
    axis.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    figure.legend(loc="outside lower center", ncols=2, fontsize="small")
    return figure


@mpl.rc_context(STYLE)
def lifetime_by_threshold(table: pd.DataFrame, *, title: str = "") -> Figure:
    """Draw lifetimes against the threshold of the gates, one line a memory.

    Parameters
    ----------
    table
        Columns ``memory``, ``threshold`` and ``lifetime``.
    title
        Title of the picture.

    Raises
    ------
    ParameterError
        When a column is missing, or there is no row.
    """
    check_table("lifetime_by_threshold.table", table, ["memory", "threshold", "lifetime"])
    figure, axis = new_axes(size=(7.0, 3.2))
    groups = table.groupby("memory", sort=False)
    for colour, (name, group) in zip(cycle(CYCLE), groups, strict=False):
        axis.plot(group["threshold"], group["lifetime"], "o-", ms=4, color=colour, label=name)
    _logarithmic(axis)
    axis.set(xlabel="threshold of both gates", ylabel="lifetime at ratio 1, events", title=title)
    axis.legend(fontsize="small")
    return figure


def _logarithmic(axis: Axes) -> None:
    """Make both axes logarithmic, with plain numbers beside them."""
    axis.set(xscale="log", yscale="log")
    for side in (axis.xaxis, axis.yaxis):
        side.set_major_locator(LogLocator(base=10))
        side.set_major_formatter(StrMethodFormatter("{x:g}"))
