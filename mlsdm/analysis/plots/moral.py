"""Pictures of the moral filter: its threshold, and its errors."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import cycle

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from mlsdm.analysis.plots.style import BLUE, CYCLE, GREY, RED, STYLE, check_table, new_axes
from mlsdm.engine.result import Result
from mlsdm.errors import ParameterError

__all__ = [
    "error_rates", "errors_plane", "limit_cycle", "roc_curves", "threshold_band", "trade_off",
]  # fmt: skip


@mpl.rc_context(STYLE)
def threshold_band(
    runs: Mapping[str, NDArray[np.float64]], title: str = "", n_events: int = 200
) -> Figure:
    """Draw the threshold over the first events: mean, one seed, and the band of 90 % of the seeds.

    Parameters
    ----------
    runs
        (seeds, events) thresholds by name, one panel each.
    title
        Title of the picture.
    n_events
        Events to show, from the first on.
    """
    figure, axes = new_axes(
        size=(7.5, 2.8), nrows=1, ncols=len(runs), sharex=True, sharey=True, squeeze=False
    )
    for axis, (name, thresholds) in zip(axes[0], runs.items(), strict=True):
        shown = thresholds[:, :n_events]
        low, high = np.quantile(shown, [0.05, 0.95], axis=0)
        events = np.arange(shown.shape[1])
        axis.fill_between(events, low, high, color=BLUE, alpha=0.15, lw=0, label="90 % of seeds")
        axis.plot(events, shown[0], color=GREY, lw=0.7, label="first seed")
        axis.plot(events, shown.mean(axis=0), color=BLUE, label="mean")
        axis.set(title=name, xlabel="event")
    axes[0, 0].set_ylabel("threshold θ")
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3)
    figure.suptitle(title, fontsize="medium")
    return figure


@mpl.rc_context(STYLE)
def limit_cycle(
    results: Mapping[str, Result],
    *,
    target: float,
    dead_band: float,
    start: int = 100,
    stop: int = 300,
) -> Figure:
    """Draw the orbit of the filter in the plane of acceptance average and threshold.

    Parameters
    ----------
    results
        Runs by name, one panel each.
    target, dead_band
        The moral filter's, drawn as the region where the threshold rests; where the dead band is
        0 there is none.
    start, stop
        Events to show; where a run is shorter, the second half of it.
    """
    figure, axes = new_axes(
        size=(7.5, 3.0), nrows=1, ncols=len(results), sharex=True, sharey=True, squeeze=False
    )
    for axis, (name, result) in zip(axes[0], results.items(), strict=True):
        rest = (target - dead_band, target + dead_band)
        if dead_band:
            axis.axvspan(*rest, color=GREY, alpha=0.25, label="threshold rests")
        shown = slice(min(start, len(result) // 2), stop)
        axis.plot(result.acceptance_rate[shown], result.threshold[shown], color=BLUE, lw=0.6)
        axis.set(title=name, xlabel="acceptance average r")
    axes[0, 0].set_ylabel("threshold θ")
    if dead_band:
        axes[0, 0].legend(loc="lower right")
    return figure


@mpl.rc_context(STYLE)
def error_rates(table: pd.DataFrame, title: str = "") -> Figure:
    """Draw toxic events passed and safe events refused against the toxic share, with intervals.

    Parameters
    ----------
    table
        Columns ``toxic_share``, ``measure``, ``mean``, ``low`` and ``high``.
    title
        Title of the picture.
    """
    figure, axis = new_axes()
    colours = {"toxic passed": RED, "safe refused": BLUE}
    for measure, rows in table.groupby("measure"):
        colour = colours.get(str(measure), GREY)
        axis.plot(rows["toxic_share"], rows["mean"], "o-", ms=3, color=colour, label=measure)
        axis.fill_between(rows["toxic_share"], rows["low"], rows["high"], color=colour, alpha=0.25)
    axis.set(xlabel="toxic share of the stream", ylabel="share of the class", ylim=(-0.02, 1.02))
    axis.set_title(title)
    axis.legend()
    return figure


@mpl.rc_context(STYLE)
def errors_plane(table: pd.DataFrame, title: str = "") -> Figure:
    """Draw toxic passed against safe refused, one line a policy through its toxic shares.

    Points carry their toxic share, and crosses are the intervals. A share that has one error only,
    as where nothing is toxic, has no point.

    Parameters
    ----------
    table
        Columns ``policy``, ``toxic_share``, ``measure`` (``"toxic passed"`` or
        ``"safe refused"``; others are left out), ``mean``, ``low`` and ``high``.
    title
        Title of the picture.

    Raises
    ------
    ParameterError
        When a column is missing, no point has both errors, or one is there twice.
    """
    owner, key = "errors_plane.table", ["policy", "toxic_share"]
    check_table(owner, table, [*key, "measure", "mean", "low", "high"])
    errors = table[table["measure"].isin(["safe refused", "toxic passed"])]
    if errors.duplicated([*key, "measure"]).any():
        raise ParameterError(f"{owner}: must hold each policy, toxic share and measure once")
    safe, toxic = (
        errors.loc[errors["measure"] == measure, [*key, "mean", "low", "high"]]
        for measure in ("safe refused", "toxic passed")
    )
    points = safe.merge(toxic, on=key, suffixes=("_x", "_y")).dropna(subset=["mean_x", "mean_y"])
    if points.empty:
        raise ParameterError(f"{owner}: must hold both errors of at least one toxic share")
    figure, axis = new_axes(size=(6.2, 4.6))
    largest = float(points[["high_x", "high_y", "mean_x", "mean_y"]].max().max())
    end = min(1.0, 1.1 * max(largest, 0.1))
    for colour, corner, (policy, rows) in zip(
        cycle(CYCLE), cycle(CORNERS), points.groupby("policy", sort=False), strict=False
    ):
        rows = rows.sort_values("toxic_share").set_index("toxic_share")
        reach = {
            f"{side}err": [
                rows[f"mean_{side}"] - rows[f"low_{side}"],
                rows[f"high_{side}"] - rows[f"mean_{side}"],
            ]
            for side in "xy"
        }
        axis.errorbar(
            rows["mean_x"], rows["mean_y"], **reach,
            fmt="o-", ms=4, lw=1, elinewidth=0.8, color=colour, label=policy,
        )  # fmt: skip
        _name_shares(axis, rows, 0.08 * end, corner, colour)
    axis.set(xlabel="safe refused, share of safe events", title=title)
    axis.set(ylabel="toxic passed, share of toxic events")
    axis.set(xlim=(-0.07 * end, 1.03 * end), ylim=(-0.07 * end, 1.03 * end), aspect="equal")
    figure.legend(
        loc="outside right upper", title="Policy; points are\ntoxic shares, less is better"
    )
    return figure


# Where the labels of a policy stand, so that two policies in one place can both be read.
CORNERS = ((4, 4, "left"), (4, -10, "left"), (-4, 4, "right"), (-4, -10, "right"))


def _name_shares(
    axis: Axes, rows: pd.DataFrame, near: float, corner: tuple[int, int, str], colour: str
) -> None:
    """Write the toxic shares beside their points; points nearer than `near` share one label."""
    groups: list[list[int]] = []
    places = rows[["mean_x", "mean_y"]].to_numpy(float)
    for i, place in enumerate(places):
        if groups and np.abs(place - places[groups[-1][0]]).max() < near:
            groups[-1].append(i)
        else:
            groups.append([i])
    right, up, align = corner
    for group in groups:
        first, last = rows.index[group[0]], rows.index[group[-1]]
        text = f"{first:g}" if len(group) == 1 else f"{first:g} to {last:g}"
        axis.annotate(
            text, places[group[0]], xytext=(right, up), textcoords="offset points", ha=align,
            color=colour, fontsize="small",
        )  # fmt: skip


@mpl.rc_context(STYLE)
def trade_off(table: pd.DataFrame, title: str = "") -> Figure:
    """Draw each measure against the toxic share in a panel of its own, one line a policy.

    Parameters
    ----------
    table
        Columns ``policy``, ``toxic_share``, ``measure``, ``mean``, ``low`` and ``high``.
    title
        Title of the picture.
    """
    measures = list(dict.fromkeys(table["measure"]))
    figure, axes = new_axes(len(measures), size=(7.5, 3.2))
    for axis, measure in zip(np.atleast_1d(axes), measures, strict=True):
        panel = table[table["measure"] == measure].groupby("policy", sort=False)
        for colour, (policy, rows) in zip(cycle(CYCLE), panel, strict=False):
            axis.plot(rows["toxic_share"], rows["mean"], "o-", ms=3, color=colour, label=policy)
            axis.fill_between(
                rows["toxic_share"], rows["low"], rows["high"], color=colour, alpha=0.25
            )
        axis.set(xlabel="toxic share of the stream", ylabel=f"share: {measure}", ylim=(-0.02, 1.02))
    np.atleast_1d(axes)[0].legend()
    figure.suptitle(title, fontsize="medium")
    return figure


@mpl.rc_context(STYLE)
def roc_curves(
    curves: Mapping[str, pd.DataFrame], points: Mapping[str, tuple[float, float]], title: str = ""
) -> Figure:
    """Draw ROC curves (share of toxic refused against share of safe refused) and single points.

    Parameters
    ----------
    curves
        By name, as `mlsdm.streams.roc` returns them.
    points
        By name, (safe refused, toxic refused) of a policy that is no point of a curve.
    title
        Title of the picture.
    """
    figure, axis = new_axes(size=(4.8, 4.2))
    for colour, (name, curve) in zip(cycle(CYCLE), curves.items(), strict=False):
        axis.plot(curve["safe_refused"], curve["toxic_refused"], color=colour, label=name)
    for colour, (name, point) in zip(cycle(CYCLE), points.items(), strict=False):
        axis.plot(*point, "D", color=colour, mec="black", label=name)
    axis.plot([0, 1], [0, 1], ":", color=GREY, label="chance")
    axis.set(xlabel="share of safe comments refused", ylabel="share of toxic comments refused")
    axis.set(title=title, aspect="equal")
    axis.legend(loc="lower right", fontsize="small")
    return figure
