"""Pictures of a governed model: what its parts are worth, what mending leaves, how it fails."""

from __future__ import annotations

from collections.abc import Collection, Mapping

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
    PURPLE,
    RED,
    SKY,
    STYLE,
    check_table,
    new_axes,
)

__all__ = ["outcome_strip", "reduction_curves", "worth_of_parts"]

VERDICTS = {"better": GREEN, "worse": RED, "open": GREY}
OUTCOMES = {
    "committed": GREEN,
    "refused: moral": RED,
    "refused: sleep": PURPLE,
    "refused: emergency": "black",
    "degraded: sleep": SKY,
    "degraded: embedder": ORANGE,
    "degraded: memory": "#F0E442",
    "failed: model": BLUE,
    "failed: circuit open": "#666666",
    "failed: deadline": "#444444",
}


@mpl.rc_context(STYLE)
def worth_of_parts(
    table: pd.DataFrame, names: Mapping[str, str] | None = None, title: str = ""
) -> Figure:
    """Draw what a baseline has more than each arm, one panel a measure.

    Parameters
    ----------
    table
        As `ablation.worth` gives it: columns ``arm``, ``measure``, ``mean``, ``low``, ``high`` and
        ``verdict``.
    names
        Titles of the panels by measure; a measure without one stands for itself.
    title
        Title of the picture.

    Raises
    ------
    ParameterError
        When a column is missing or the table is empty.
    """
    needed = ["arm", "measure", "mean", "low", "high", "verdict"]
    check_table("worth_of_parts.table", table, needed)
    measures, arms = (list(table[column].unique()) for column in ("measure", "arm"))
    columns = min(3, len(measures))
    rows = -(-len(measures) // columns)
    figure, axes = new_axes(
        size=(8.4, rows * (0.75 + 0.27 * len(arms)) + 0.5), nrows=rows, ncols=columns,
        squeeze=False, sharey=True,
    )  # fmt: skip
    for axis in axes.flat[len(measures) :]:
        axis.set_visible(False)
    for axis, measure in zip(axes.flat, measures, strict=False):
        axis.axvline(0.0, color="black", lw=0.8)
        here = table[table["measure"] == measure].set_index("arm").reindex(arms)
        for verdict, colour in VERDICTS.items():
            chosen = (here["verdict"] == verdict).to_numpy()
            part = here[chosen]
            reach = [part["mean"] - part["low"], part["high"] - part["mean"]]
            axis.errorbar(
                part["mean"], np.flatnonzero(chosen), xerr=np.nan_to_num(np.array(reach)), fmt="o",
                ms=5, color=colour, elinewidth=1.5, label=verdict,
            )  # fmt: skip
        axis.set_title((names or {}).get(measure, measure))
        axis.set(yticks=range(len(arms)), yticklabels=arms, ylim=(len(arms) - 0.5, -0.5))
    handles, labels = axes.flat[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3)
    if title:
        figure.suptitle(title, x=0.01, ha="left")
    return figure


@mpl.rc_context(STYLE)
def reduction_curves(
    points: pd.DataFrame,
    lines: pd.DataFrame,
    stated: Collection[float] = (),
    title: str = "",
) -> Figure:
    """Draw by how much telegraphic answers are reduced, against what the model mends.

    Parameters
    ----------
    points
        What was simulated: columns ``tries``, ``mend``, ``mean``, ``low`` and ``high``.
    lines
        The closed form: columns ``tries``, ``mend`` and ``reduction``.
    stated
        Reductions that somebody states, drawn across.
    title
        Title of the picture.

    Raises
    ------
    ParameterError
        When a column is missing or a table is empty.
    """
    check_table("reduction_curves.points", points, ["tries", "mend", "mean", "low", "high"])
    check_table("reduction_curves.lines", lines, ["tries", "mend", "reduction"])
    figure, axis = new_axes(size=(7.0, 3.4))
    for value in stated:
        axis.axhline(value, color=GREY, lw=1, ls="--")
        axis.text(0.0, value - 0.01, f"stated: {value:.1%}", color="#666666", size=8, va="top")
    for number, (tries, line) in enumerate(lines.groupby("tries")):
        colour = CYCLE[number % len(CYCLE)]
        name = f"{tries} {'try' if tries == 1 else 'tries'}"
        axis.plot(line["mend"], line["reduction"], color=colour, lw=1.2, label=name)
        here = points[points["tries"] == tries]
        reach = [here["mean"] - here["low"], here["high"] - here["mean"]]
        axis.errorbar(
            here["mend"], here["mean"], yerr=np.nan_to_num(np.array(reach)), fmt="o", ms=4,
            color=colour, elinewidth=1,
        )  # fmt: skip
    axis.set(xlabel="probability that the model mends a draft when asked again")
    axis.set(ylabel="telegraphic answers\nreduced by", ylim=(-0.02, 1.04))
    axis.yaxis.set_major_formatter(mpl.ticker.PercentFormatter(1.0))
    axis.legend(loc="lower right")
    if title:
        axis.set_title(title)
    return figure


@mpl.rc_context(STYLE)
def outcome_strip(table: pd.DataFrame, away: Collection[int] = (), title: str = "") -> Figure:
    """Draw what became of each request, and the state of the embedder's circuit breaker after it.

    Parameters
    ----------
    table
        As `ablation.Held.table` has it: columns ``number``, ``status``, ``why`` and ``breaker``.
    away
        Numbers of the requests during which the embedder was away; shaded.
    title
        Title of the picture.

    Raises
    ------
    ParameterError
        When a column is missing or the table is empty.
    """
    check_table("outcome_strip.table", table, ["number", "status", "why", "breaker"])
    figure, axis = new_axes(size=(8.4, 2.6))
    for number in away:
        axis.axvspan(number - 0.5, number + 0.5, color=GREY, alpha=0.2, lw=0)
    joined = table["status"] + np.where(table["why"] == "", "", ": " + table["why"])
    for outcome, colour in OUTCOMES.items():
        here = table.loc[joined == outcome, "number"]
        if len(here):
            axis.vlines(here, 1.1, 2.0, color=colour, lw=3, label=f"{outcome} ({len(here)})")
    states = {"closed": 0.0, "half-open": 0.3, "open": 0.6}
    axis.step(table["number"], table["breaker"].map(states), where="mid", color="black", lw=1.2)
    axis.set(yticks=[*states.values(), 1.55], yticklabels=[*states, "outcome"], ylim=(-0.1, 2.1))
    axis.set(xlabel="request", xlim=(table["number"].min() - 1, table["number"].max() + 1))
    axis.grid(visible=False)
    figure.legend(loc="outside lower center", ncols=4)
    if title:
        axis.set_title(title)
    return figure
