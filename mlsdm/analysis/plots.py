"""The pictures of the notebooks, one consistent and colour-blind safe style.

Every function returns a matplotlib Figure that belongs to nobody else: no pyplot, no global state.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import cycle
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from mlsdm.engine import rules
from mlsdm.engine.simulation import Result

__all__ = [
    "error_rates", "interval_bars", "latency_distribution", "lattice_rows", "limit_cycle",
    "phase_timeline", "roc_curves", "threshold_band", "trade_off",
]  # fmt: skip

# Okabe & Ito's palette: distinguishable with every common colour vision.
BLUE, ORANGE, GREEN, RED, PURPLE, SKY, GREY = (
    "#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#999999",
)  # fmt: skip
CYCLE = (BLUE, RED, GREEN, PURPLE, ORANGE, SKY)
STYLE: dict[Any, Any] = {
    "axes.grid": True,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titlesize": "medium",
    "figure.dpi": 90,
    "font.size": 9,
    "grid.alpha": 0.3,
    "legend.frameon": False,
    "savefig.dpi": 90,
}


def _axes(n: int = 1, size: tuple[float, float] = (7.0, 3.2), **layout: Any) -> tuple[Figure, Any]:
    """Return a figure and its axes: one, or an array of n in a row."""
    figure = Figure(figsize=size, layout="constrained")
    return figure, figure.subplots(**(layout or {"nrows": 1, "ncols": n}))


@mpl.rc_context(STYLE)
def phase_timeline(results: Mapping[str, Result], n_events: int = 200) -> Figure:
    """Draw what became of the first events, one strip a run; asleep is shaded.

    Parameters
    ----------
    results
        Runs by name.
    n_events
        Events to show, from the first on.
    """
    figure, axes = _axes(
        size=(7.5, 0.9 + 0.75 * len(results)),
        nrows=len(results), ncols=1, sharex=True, squeeze=False,
    )  # fmt: skip
    kinds = ((rules.COMMITTED, GREEN, "committed"), (rules.SLEEP, PURPLE, "refused: asleep"),
             (rules.MORAL, RED, "refused: moral"))  # fmt: skip
    for axis, (name, result) in zip(axes[:, 0], results.items(), strict=True):
        shown = slice(0, min(n_events, len(result)))
        asleep = result.phase_codes[shown] == rules.ASLEEP
        events = np.arange(asleep.size)
        axis.fill_between(events, 0, 1, where=asleep, step="mid", color=GREY, alpha=0.25, lw=0)
        for code, colour, _ in kinds:
            axis.vlines(events[result.codes[shown] == code], 0.15, 0.85, color=colour, lw=1.4)
        axis.set(title=name, yticks=[], ylim=(0, 1), xlim=(-1, asleep.size))
        axis.grid(False)
    axes[-1, 0].set_xlabel("event")
    handles = [Line2D([], [], color=colour, lw=3, label=label) for _, colour, label in kinds]
    handles.append(Line2D([], [], color=GREY, alpha=0.4, lw=8, label="asleep after the event"))
    figure.legend(handles=handles, loc="outside lower center", ncols=4)
    return figure


@mpl.rc_context(STYLE)
def lattice_rows(results: Mapping[str, Result], title: str = "") -> Figure:
    """Draw how many rows the lattice holds after each event, one line a run."""
    figure, axis = _axes()
    for colour, (name, result) in zip(cycle(CYCLE), results.items(), strict=False):
        axis.plot(result.lattice_size, color=colour, label=name)
    axis.set(xlabel="event", ylabel="rows in the lattice", title=title)
    axis.legend()
    return figure


@mpl.rc_context(STYLE)
def interval_bars(
    table: pd.DataFrame, *, group: str, bar: str, ylabel: str, title: str = ""
) -> Figure:
    """Draw grouped bars with their intervals.

    Parameters
    ----------
    table
        Columns `group`, `bar`, ``mean``, ``low`` and ``high``, one row a bar.
    group, bar
        Columns that name the group on the x axis and the bar in it.
    ylabel, title
        Texts of the picture.
    """
    figure, axis = _axes()
    groups, bars = list(dict.fromkeys(table[group])), list(dict.fromkeys(table[bar]))
    width = 0.8 / len(bars)
    for k, (colour, name) in enumerate(zip(cycle(CYCLE), bars, strict=False)):
        rows = table[table[bar] == name].set_index(group).reindex(groups)
        x = np.arange(len(groups)) + (k - (len(bars) - 1) / 2) * width
        reach = np.array([rows["mean"] - rows["low"], rows["high"] - rows["mean"]])
        drawn = axis.bar(
            x, rows["mean"], width * 0.92, yerr=reach, capsize=3, color=colour, label=name
        )
        axis.bar_label(drawn, fmt="%.2f", padding=3, fontsize="small")
    axis.set(xticks=np.arange(len(groups)), xticklabels=groups, ylabel=ylabel, title=title)
    axis.grid(axis="x", visible=False)
    axis.legend()
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
    figure, axis = _axes()
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
    figure, axes = _axes(
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
        The moral filter's, drawn as the region where the threshold rests.
    start, stop
        Events to show; where a run is shorter, the second half of it.
    """
    figure, axes = _axes(
        size=(7.5, 3.0), nrows=1, ncols=len(results), sharex=True, sharey=True, squeeze=False
    )
    for axis, (name, result) in zip(axes[0], results.items(), strict=True):
        rest = (target - dead_band, target + dead_band)
        axis.axvspan(*rest, color=GREY, alpha=0.25, label="threshold rests")
        shown = slice(min(start, len(result) // 2), stop)
        axis.plot(result.acceptance_rate[shown], result.threshold[shown], color=BLUE, lw=0.6)
        axis.set(title=name, xlabel="acceptance average r")
    axes[0, 0].set_ylabel("threshold θ")
    axes[0, 0].legend(loc="lower right")
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
    figure, axis = _axes(size=(4.8, 4.2))
    for colour, (name, curve) in zip(cycle(CYCLE), curves.items(), strict=False):
        axis.plot(curve["safe_refused"], curve["toxic_refused"], color=colour, label=name)
    for colour, (name, point) in zip(cycle(CYCLE), points.items(), strict=False):
        axis.plot(*point, "D", color=colour, mec="black", label=name)
    axis.plot([0, 1], [0, 1], ":", color=GREY, label="chance")
    axis.set(xlabel="share of safe comments refused", ylabel="share of toxic comments refused")
    axis.set(title=title, aspect="equal")
    axis.legend(loc="lower right", fontsize="small")
    return figure


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
    figure, axes = _axes(len(measures), size=(7.5, 3.2))
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
def latency_distribution(
    latencies: Mapping[str, NDArray[np.float64]], targets: Sequence[tuple[str, float, float]]
) -> Figure:
    """Draw the distribution of latencies against the targets, both axes logarithmic.

    Parameters
    ----------
    latencies
        (calls,) milliseconds by name.
    targets
        (label, share of calls slower than it at most, limit in milliseconds).
    """
    figure, axis = _axes()
    for colour, (name, values) in zip(cycle(CYCLE), latencies.items(), strict=False):
        slower = 1.0 - np.arange(values.size) / values.size
        axis.plot(np.sort(values), slower, color=colour, label=name)
    for label, share, limit in targets:
        axis.plot(limit, share, "v", color="black", clip_on=False)
        axis.annotate(label, (limit, share), xytext=(5, 3), textcoords="offset points")
    axis.set(xscale="log", yscale="log", xlabel="latency of one call, ms")
    axis.set(ylabel="share of calls at least as slow")
    axis.legend()
    return figure
