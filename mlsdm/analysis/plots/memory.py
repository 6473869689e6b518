"""Pictures of the rhythm and the memories: what is taken in, held and recalled."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import cycle

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import StrMethodFormatter, SymmetricalLogLocator

from mlsdm.analysis.plots.style import (
    BLUE,
    CYCLE,
    GREEN,
    GREY,
    ORANGE,
    PURPLE,
    RED,
    STYLE,
    check_table,
    new_axes,
)
from mlsdm.engine.result import Result
from mlsdm.engine.rhythm import PHASES
from mlsdm.engine.rules import layout as rules
from mlsdm.errors import ParameterError

__all__ = ["interval_bars", "lattice_rows", "level_norms", "phase_timeline", "recall_by_phase"]

# The measures of `recall_of_stored`, as the axes call them.
RECALL = {"held": "held, share of what was stored", "found": "found, share of what is held"}


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
    figure, axes = new_axes(
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
    figure, axis = new_axes()
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
    figure, axis = new_axes()
    _bars(axis, table, group, bar)
    axis.set(ylabel=ylabel, title=title)
    axis.legend()
    return figure


def _bars(axis: Axes, table: pd.DataFrame, group: str, bar: str) -> None:
    """Draw one bar a row of the table, in groups, with their intervals and their numbers."""
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
    axis.set(xticks=np.arange(len(groups)), xticklabels=groups)
    axis.grid(axis="x", visible=False)


@mpl.rc_context(STYLE)
def recall_by_phase(table: pd.DataFrame, *, run: str = "engine", title: str = "") -> Figure:
    """Draw what of the stored is held, and what of that is found, by the phase that is asked.

    Parameters
    ----------
    table
        `mlsdm.analysis.recall.recall_of_stored` summarised over seeds: columns `run`, ``phase``,
        ``measure`` (``"held"`` or ``"found"``), ``mean``, ``low`` and ``high``. Where nothing is
        held nothing can be found: there the row may be missing, and the picture says "none".
    run
        Column that names the runs, such as engines or policies.
    title
        Title of the picture.

    Raises
    ------
    ParameterError
        When a column is missing, or a phase or a measure is none of these.
    """
    owner = "recall_by_phase.table"
    check_table(owner, table, [run, "phase", "measure", "mean", "low", "high"])
    for column, known in (("phase", PHASES), ("measure", tuple(RECALL))):
        for name in table[column]:
            if name not in known:
                allowed = " or ".join(map(repr, known))
                raise ParameterError(f"{owner}: {column} must be {allowed} (got {name!r})")
    every = pd.MultiIndex.from_product([dict.fromkeys(table[run]), PHASES], names=[run, "phase"])
    figure, panels = new_axes(2, size=(7.5, 3.2))
    for axis, (measure, label) in zip(panels, RECALL.items(), strict=True):
        rows = table[table["measure"] == measure].set_index([run, "phase"])
        _bars(axis, rows.reindex(every).reset_index(), run, "phase")
        for bar in axis.patches:
            if np.isnan(bar.get_height()):
                axis.annotate(
                    "none", (bar.get_x() + bar.get_width() / 2, 0), xytext=(0, 3),
                    textcoords="offset points", ha="center", color="#666666", fontsize="small",
                )  # fmt: skip
        axis.set(ylabel=label, ylim=(0, 1.12), yticks=np.linspace(0, 1, 6))
    handles, labels = panels[0].get_legend_handles_labels()
    labels = [f"asked in the {label} phase" for label in labels]
    figure.legend(handles, labels, loc="outside lower center", ncols=2)
    figure.suptitle(title, fontsize="medium")
    return figure


@mpl.rc_context(STYLE)
def level_norms(
    results: Mapping[str, Result], n_events: int | None = None, title: str = ""
) -> Figure:
    """Draw the norms of the three synaptic levels, one panel a run.

    The scale is linear up to 1, so that an empty level shows, and logarithmic above. What a level
    must exceed to pass something on is dashed in its colour, where the gate goes by the norm.

    Parameters
    ----------
    results
        Runs with vectors, by name.
    n_events
        Events to show, from the first on; all where None.
    title
        Title of the picture.

    Raises
    ------
    ParameterError
        When a run was made without vectors: its levels hold nothing.
    """
    for name, result in results.items():
        if result.controller is None:
            raise ParameterError(
                f"level_norms.results: must be runs with vectors (got vectors=None in {name!r})"
            )
    tops = [result.norms[:n_events].max(initial=2.0) for result in results.values()]
    figure, axes = new_axes(
        size=(7.5, 0.9 + 1.7 * len(results)),
        nrows=len(results), ncols=1, sharex=True, sharey=True, squeeze=False,
    )  # fmt: skip
    levels = (("L1", BLUE, 1.2), ("L2", ORANGE, 2.0), ("L3", PURPLE, 1.2))  # L3 may lie upon L2
    for axis, (name, result) in zip(axes[:, 0], results.items(), strict=True):
        synapse = result.engine.params.synapse
        for norms, (level, colour, width) in zip(result.norms[:n_events].T, levels, strict=True):
            axis.plot(norms, color=colour, lw=width, label=level)
        if synapse.gate == "norm":
            for limit, (level, colour, _) in zip(synapse.threshold, levels[:2], strict=True):
                axis.axhline(limit, color=colour, lw=1, ls="--")
                axis.annotate(
                    f"gate of {level}: {limit:g}", (1.01, limit), va="center", fontsize="small",
                    xycoords=axis.get_yaxis_transform(),
                )  # fmt: skip
        gate = "gates by norm" if synapse.gate == "norm" else "gates by element, none by norm"
        axis.set(title=f"{name} ({gate})", ylabel="Euclidean norm")
        axis.set_yscale("symlog", linthresh=1)
        axis.yaxis.set_major_locator(SymmetricalLogLocator(base=10, linthresh=1, subs=(1, 2, 5)))
        axis.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        axis.set_ylim(-0.05, 1.4 * max(tops))
    axes[-1, 0].set_xlabel("event")
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3)
    figure.suptitle(title, fontsize="medium")
    return figure
