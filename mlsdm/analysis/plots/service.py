"""Pictures of a service under load."""

from __future__ import annotations

from collections.abc import Mapping

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from mlsdm.analysis.plots.style import (
    BLUE,
    CYCLE,
    GREEN,
    GREY,
    ORANGE,
    RED,
    STYLE,
    check_table,
    new_axes,
)  # fmt: skip

__all__ = ["answers_course", "carried_rates", "latency_by", "memory_course", "time_shares"]

PERCENTILES = ("P50", "P95", "P99", "P99.9")


@mpl.rc_context(STYLE)
def latency_by(
    table: pd.DataFrame, by: str, limits: Mapping[str, float], xlabel: str, title: str = ""
) -> Figure:
    """Draw percentiles of the latency against a rate or a number, with their 95 % intervals.

    Parameters
    ----------
    table
        Columns `by`, ``carried`` (else the mark is a cross) and, for each of P50, P95, P99 and
        P99.9 in ms, its name, and its name with `` low`` and `` high``.
    by
        The column of the abscissa, above 0.
    limits
        Limits in ms by the name of the percentile: dashed, in its colour.
    xlabel, title
        What the abscissa is, and the title.

    Raises
    ------
    ParameterError
        When a column is missing or the table is empty.
    """
    bounds = [f"{name}{side}" for name in PERCENTILES for side in ("", " low", " high")]
    check_table("latency_by.table", table, [by, "carried", *bounds])
    table = table.sort_values(by)
    figure, axis = new_axes(size=(7.0, 3.6))
    for colour, name in zip(CYCLE, PERCENTILES, strict=False):
        axis.fill_between(
            table[by], table[f"{name} low"], table[f"{name} high"], color=colour, alpha=0.2, lw=0
        )
        axis.plot(table[by], table[name], color=colour, label=name)
        for carried, mark in ((True, "o"), (False, "X")):
            rows = table[table["carried"] == carried]
            axis.plot(rows[by], rows[name], mark, color=colour, ms=4 if carried else 7)
        if name in limits:
            axis.axhline(limits[name], color=colour, ls="--", lw=0.8)
    if not table["carried"].all():
        axis.plot([], [], "X", color="black", label="not carried")
    axis.set(xscale="log", yscale="log", xlabel=xlabel, ylabel="latency since due, ms")
    ticks = table[by].unique()
    axis.set_xticks(ticks, [f"{tick:.0f}" for tick in ticks], fontsize="small")
    axis.yaxis.set_major_formatter("{x:g}")
    axis.minorticks_off()
    figure.legend(loc="outside lower center", ncols=5)
    axis.set_title(title)
    return figure


@mpl.rc_context(STYLE)
def carried_rates(table: pd.DataFrame, title: str = "") -> Figure:
    """Draw what was answered against what was offered, and what both processes used for it.

    Parameters
    ----------
    table
        Columns ``offered``, ``achieved`` (requests a second), ``carried``, ``server CPU`` and
        ``generator CPU`` (shares of a core).
    title
        Title of the picture.

    Raises
    ------
    ParameterError
        When a column is missing or the table is empty.
    """
    needed = ["offered", "achieved", "carried", "server CPU", "generator CPU"]
    check_table("carried_rates.table", table, needed)
    table = table.sort_values("offered")
    figure, (rates, used) = new_axes(2, (8.4, 3.0))
    end = 1.05 * float(table["offered"].max())
    rates.plot([0, end], [0, end], color=GREY, lw=1, label="all of it")
    rates.plot(table["offered"], table["achieved"], color=BLUE)
    kinds = ((True, "o", BLUE, "carried"), (False, "X", RED, "not carried"))
    for carried, mark, colour, label in kinds:
        rows = table[table["carried"] == carried]
        if len(rows):
            rates.plot(rows["offered"], rows["achieved"], mark, color=colour, ms=6, label=label)
    rates.set(xlabel="offered, requests/s", ylabel="answered, requests/s", xlim=(0, end))
    rates.set_ylim(0)
    rates.legend()
    for who, colour in (("server", BLUE), ("generator", ORANGE)):
        used.plot(table["offered"], 100 * table[f"{who} CPU"], "o-", ms=4, color=colour, label=who)
    used.axhline(100, color=GREY, lw=1)
    used.set(xlabel="offered, requests/s", ylabel="% of a core", xlim=(0, end))
    used.set_ylim(0)
    used.legend()
    if title:
        figure.suptitle(title, x=0.01, ha="left")
    return figure


@mpl.rc_context(STYLE)
def time_shares(shares: pd.DataFrame, mark: str = "engine", title: str = "") -> Figure:
    """Draw what share of the time goes to each part, the largest on top.

    Parameters
    ----------
    shares
        Columns ``part`` and ``share``.
    mark
        The part in another colour.
    title
        Title of the picture.

    Raises
    ------
    ParameterError
        When a column is missing or the table is empty.
    """
    check_table("time_shares.shares", shares, ["part", "share"])
    rows = shares.sort_values("share")
    figure, axis = new_axes(size=(7.0, 0.32 * len(rows) + 0.9))
    colours = [RED if part == mark else BLUE for part in rows["part"]]
    bars = axis.barh(rows["part"], 100 * rows["share"], color=colours, height=0.7)
    axis.bar_label(bars, [f"{100 * share:.1f} %" for share in rows["share"]], padding=3)
    axis.set(xlabel="% of the processor time", title=title)
    axis.margins(x=0.12)
    axis.grid(axis="y", visible=False)
    return figure


@mpl.rc_context(STYLE)
def answers_course(requests: pd.DataFrame, title: str = "") -> Figure:
    """Draw how many requests of each second were answered how, stacked.

    Parameters
    ----------
    requests
        Columns ``due`` (seconds, those below 0 are left out) and ``status`` (0: no answer).
    title
        Title of the picture.

    Raises
    ------
    ParameterError
        When a column is missing or the table is empty.
    """
    check_table("answers_course.requests", requests, ["due", "status"])
    counted = requests[requests["due"] >= 0]
    seconds = np.floor(counted["due"]).astype(int)
    counts = pd.crosstab(seconds, counted["status"])
    figure, axis = new_axes()
    colours = {200: GREEN, 429: ORANGE, 0: "black"}
    below = np.zeros(len(counts))
    for status in sorted(map(int, counts.columns), key=lambda one: (one != 200, one)):
        height = counts[status].to_numpy()
        name, colour = str(status or "no answer"), colours.get(status, RED)
        axis.bar(counts.index + 0.5, height, 0.9, bottom=below, color=colour, label=name)
        below += height
    axis.set(xlabel="second", ylabel="requests", title=title)
    figure.legend(loc="outside right upper", title="status")
    return figure


@mpl.rc_context(STYLE)
def memory_course(usage: pd.DataFrame, slope: float, title: str = "") -> Figure:
    """Draw a process's memory over time, and the line that says by how much it grows.

    Parameters
    ----------
    usage
        Columns ``t`` (seconds, those below 0 are left out) and ``server_bytes``.
    slope
        MB a minute.
    title
        Title of the picture.

    Raises
    ------
    ParameterError
        When a column is missing or the table is empty.
    """
    check_table("memory_course.usage", usage, ["t", "server_bytes"])
    rows = usage[usage["t"] >= 0]
    t, held = rows["t"].to_numpy(), rows["server_bytes"].to_numpy() / 1e6
    figure, axis = new_axes()
    axis.plot(t, held, color=BLUE, lw=1, label="resident memory")
    level = np.median(held - slope * t / 60)
    axis.plot(t, level + slope * t / 60, color=RED, ls="--", label=f"{slope:+.2f} MB a minute")
    axis.set(xlabel="seconds", ylabel="MB", title=title, ylim=(0, 1.15 * held.max()))
    axis.legend(loc="lower left")
    return figure
