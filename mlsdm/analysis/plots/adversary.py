"""Pictures of the worst case, and of attacks on a policy."""

from __future__ import annotations

from collections.abc import Mapping

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from mlsdm.analysis.plots.style import BLUE, CYCLE, GREY, RED, STYLE, check_table, new_axes
from mlsdm.engine.result import Result
from mlsdm.errors import ParameterError
from mlsdm.streams.stream import Stream

__all__ = ["attack_course", "worst_by_share", "worst_by_target"]


@mpl.rc_context(STYLE)
def worst_by_target(table: pd.DataFrame, title: str = "") -> Figure:
    """Draw the largest share of events that are toxic and pass against the target.

    Parameters
    ----------
    table
        Columns ``target_rate``, ``lower`` and ``upper``.
    title
        Title of the picture.
    """
    check_table("worst_by_target.table", table, ("target_rate", "lower", "upper"))
    rows = table.sort_values("target_rate")
    figure, axis = new_axes(size=(4.5, 3.2))
    targets = rows["target_rate"]
    axis.plot([0, 1], [0, 1], color=GREY, lw=0.8, ls="--", label="the target itself")
    axis.fill_between(targets, rows["lower"], rows["upper"], color=RED, alpha=0.25, lw=0)
    axis.plot(targets, rows["lower"], "o-", ms=3, color=RED, label="worst case, by an attack")
    axis.set(xlabel="target acceptance", ylabel="toxic events passed / events", title=title)
    axis.set(xlim=(0, 1), ylim=(0, 1))
    axis.legend(loc="upper left")
    return figure


@mpl.rc_context(STYLE)
def worst_by_share(
    bound: pd.DataFrame,
    attacks: pd.DataFrame,
    curves: Mapping[str, pd.DataFrame] | None = None,
    title: str = "",
) -> Figure:
    """Draw what share of toxic events can pass at most against the toxic share of the stream.

    Parameters
    ----------
    bound, attacks
        Of `theory.WorstByShare`: columns ``toxic_share`` and ``toxic_passed``.
    curves
        More of the same by name, such as what independent events pass.
    title
        Title of the picture.
    """
    figure, axis = new_axes(size=(5.5, 3.2))
    tables = {"no stream passes more": bound, "attacks": attacks, **(curves or {})}
    for colour, (name, table) in zip(
        (RED, RED, *CYCLE * len(tables)), tables.items(), strict=False
    ):
        check_table(f"worst_by_share.{name}", table, ("toxic_share", "toxic_passed"))
        style = "o" if table is attacks else "-"
        axis.plot(
            table["toxic_share"], table["toxic_passed"], style, ms=4, color=colour, label=name
        )
    axis.set(xlabel="toxic share of the stream", ylabel="share of toxic events passed", title=title)
    axis.set(xlim=(0, 1), ylim=(-0.02, 1.02))
    axis.legend()
    return figure


@mpl.rc_context(STYLE)
def attack_course(
    result: Result, stream: Stream, *, start: int = 0, stop: int | None = None, title: str = ""
) -> Figure:
    """Draw the threshold that each event met, and what became of the event.

    Parameters
    ----------
    result
        A run over the stream.
    stream
        The attack, with its labels.
    start, stop
        Events to show; all of them by default.
    title
        Title of the picture.

    Raises
    ------
    ParameterError
        When the run is of another length than the stream, or there is no event to show.
    """
    toxic = stream.need_toxic()
    if len(result) != len(stream):
        raise ParameterError(
            f"attack_course.result: must be a run over the stream, {len(stream)} events "
            f"(got {len(result)})"
        )
    shown = np.arange(len(stream))[start:stop]
    if not len(shown):
        raise ParameterError(f"attack_course.start: must leave an event to show (got {start})")
    figure, axis = new_axes(size=(7.5, 3.0))
    met = np.concatenate([[np.nan], result.threshold[:-1]])
    axis.step(shown, met[shown], where="mid", color=GREY, lw=1.0, label="threshold met")
    kinds = (
        ("toxic, passed", toxic & result.accepted, RED, RED),
        ("toxic, refused", toxic & ~result.accepted, RED, "none"),
        ("safe, passed", ~toxic & result.accepted, BLUE, BLUE),
        ("safe, refused", ~toxic & ~result.accepted, BLUE, "none"),
    )
    for name, mask, edge, face in kinds:
        events = shown[mask[shown]]
        if len(events):
            values = stream.moral_values[events]
            axis.scatter(events, values, s=12, edgecolors=edge, facecolors=face, lw=0.8, label=name)
    axis.set(xlabel="event", ylabel="moral value", ylim=(-0.03, 1.03), title=title)
    axis.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    return figure
