"""Pictures of policies side by side."""

from __future__ import annotations

from collections.abc import Mapping

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from mlsdm.analysis.moderation import pareto
from mlsdm.analysis.plots.style import BLUE, CYCLE, GREY, RED, STYLE, check_table, new_axes
from mlsdm.errors import ParameterError

__all__ = ["margins", "policy_planes", "regret_curves"]

ROOT, TICKS = (lambda x: np.sqrt(np.maximum(x, 0)), np.square), (0, 0.01, 0.05, 0.1, 0.2, 0.4)
ERRORS = ("toxic_passed", "safe_refused")
MARKS, COLOURS = "osD^vPX*", (*CYCLE, "black")


@mpl.rc_context(STYLE)
def policy_planes(table: pd.DataFrame, title: str = "") -> Figure:
    """Draw toxic passed against safe refused, one panel a stream, one point a policy.

    Crosses are 95 % intervals over seeds; the line joins the policies that no other one of the
    panel is better than in both errors.

    Parameters
    ----------
    table
        Columns ``stream``, ``policy``, ``measure`` (``"toxic_passed"`` or ``"safe_refused"``;
        others are left out), ``mean``, ``low`` and ``high``.
    title
        Title of the picture.

    Raises
    ------
    ParameterError
        When a column is missing or the table is empty.
    """
    needed = ["stream", "policy", "measure", "mean", "low", "high"]
    check_table("policy_planes.table", table, needed)
    streams = list(table["stream"].unique())
    policies = list(table["policy"].unique())
    columns = min(3, len(streams))
    rows = -(-len(streams) // columns)
    figure, axes = new_axes(
        size=(8.4, 2.5 * rows + 0.4), nrows=rows, ncols=columns, squeeze=False, sharex=True,
        sharey=True,
    )  # fmt: skip
    end = 1.1 * max(0.05, float(table.loc[table["measure"].isin(ERRORS), "high"].max()))
    for axis in axes.flat[len(streams) :]:
        axis.set_visible(False)
    for axis, stream in zip(axes.flat, streams, strict=False):
        here = table[table["stream"] == stream].set_index(["measure", "policy"])
        means = here["mean"].unstack("measure")
        front = means[pareto(means)].sort_values("safe_refused")
        axis.plot(front["safe_refused"], front["toxic_passed"], color=GREY, lw=1, zorder=1)
        for number, policy in enumerate(policies):
            x, y = (here.loc[(name, policy)] for name in reversed(ERRORS))
            reach = {
                side: [[one["mean"] - one["low"]], [one["high"] - one["mean"]]]
                for side, one in (("xerr", x), ("yerr", y))
            }
            axis.errorbar(
                x["mean"], y["mean"], **reach, fmt=MARKS[number % len(MARKS)], ms=5,
                color=COLOURS[number % len(COLOURS)], elinewidth=0.8, label=policy,
            )  # fmt: skip
        axis.set_title(stream)
        axis.set_xscale("function", functions=ROOT)  # near the corner is where it is close
        axis.set_yscale("function", functions=ROOT)
        axis.set(xlim=(0, end), ylim=(0, end), xticks=TICKS, yticks=TICKS)
    for axis in axes[-1]:
        axis.set_xlabel("safe refused")
    for axis in axes[:, 0]:
        axis.set_ylabel("toxic passed")
    handles, labels = axes.flat[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=min(4, len(policies)))
    if title:
        figure.suptitle(title, x=0.01, ha="left")
    return figure


@mpl.rc_context(STYLE)
def margins(compared: pd.DataFrame, title: str = "") -> Figure:
    """Draw by how much a policy's errors differ from a baseline's, at every toxic share.

    Parameters
    ----------
    compared
        Columns ``stream``, ``toxic_share``, ``measure`` (``"toxic_passed"`` or
        ``"safe_refused"``), ``mean``, ``low`` and ``high``, as `compare.paired` gives them; below 0
        is better. One panel a stream.
    title
        Title of the picture.

    Raises
    ------
    ParameterError
        When a column is missing or the table is empty.
    """
    needed = ["stream", "toxic_share", "measure", "mean", "low", "high"]
    check_table("margins.compared", compared, needed)
    streams = list(compared["stream"].unique())
    figure, axes = new_axes(size=(8.4, 3.0), nrows=1, ncols=len(streams), squeeze=False)
    kinds = {"toxic_passed": (RED, "toxic passed"), "safe_refused": (BLUE, "safe refused")}
    for axis, stream in zip(axes.flat, streams, strict=True):
        axis.axhline(0.0, color=GREY, lw=1)
        for measure, (colour, name) in kinds.items():
            rows = compared[(compared["stream"] == stream) & (compared["measure"] == measure)]
            rows = rows.sort_values("toxic_share")
            axis.fill_between(
                rows["toxic_share"], rows["low"], rows["high"], color=colour, alpha=0.2, lw=0
            )
            axis.plot(rows["toxic_share"], rows["mean"], "o-", ms=3, color=colour, label=name)
        axis.set(title=stream, xlabel="toxic share of the stream")
    axes.flat[0].set_ylabel("difference from the baseline\n(below 0 is better)")
    axes.flat[0].legend()
    if title:
        figure.suptitle(title, x=0.01, ha="left")
    return figure


@mpl.rc_context(STYLE)
def regret_curves(curves: Mapping[str, Mapping[str, pd.Series]], title: str = "") -> Figure:
    """Draw the regret of policies over time, one panel a stream.

    Parameters
    ----------
    curves
        By stream, then by policy, what `moderation.regret` gives.
    title
        Title of the picture.

    Raises
    ------
    ParameterError
        When there is no stream.
    """
    if not curves:
        raise ParameterError("regret_curves.curves: must hold at least one stream (got none)")
    figure, axes = new_axes(size=(8.4, 3.0), nrows=1, ncols=len(curves), squeeze=False)
    for axis, (stream, policies) in zip(axes.flat, curves.items(), strict=True):
        for number, (policy, curve) in enumerate(policies.items()):
            places = np.unique(np.linspace(0, len(curve) - 1, 400).astype(int))
            axis.plot(
                places + 1, curve.to_numpy()[places], lw=1.2, label=policy,
                color=COLOURS[number % len(COLOURS)], ls="-" if number % 2 else "--",
            )  # fmt: skip
        axis.axhline(0.0, color=GREY, lw=1)
        axis.set_yscale("symlog", linthresh=10.0)  # those that lose for good are far above
        axis.set(title=stream, xlabel="events")
    axes.flat[0].set_ylabel("errors more than those of the\nbest fixed threshold")
    handles, labels = axes.flat[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4)
    if title:
        figure.suptitle(title, x=0.01, ha="left")
    return figure
