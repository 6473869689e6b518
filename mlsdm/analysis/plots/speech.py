"""Pictures of what the detector of telegraphic speech says of real texts."""

from __future__ import annotations

from collections.abc import Mapping

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from mlsdm.analysis.plots.style import BLUE, CYCLE, GREY, RED, STYLE, check_table, new_axes

__all__ = ["dose_curves", "speech_by_kind", "speech_roc", "threshold_sweeps"]

MEASURES = {"telegraphic": "share flagged telegraphic", "severity": "mean severity"}
COLOURS = {"published": RED, "default": BLUE}
DASHES = ("-", "--", "-.", ":", (0, (5, 1)), (0, (1, 1)))


@mpl.rc_context(STYLE)
def speech_by_kind(summary: pd.DataFrame, title: str = "") -> Figure:
    """Draw the share flagged and the mean severity of each kind of text, with their intervals.

    Parameters
    ----------
    summary
        Columns ``preset``, ``kind``, ``measure`` (``"telegraphic"`` or ``"severity"``; others are
        left out), ``mean``, ``low`` and ``high``.
    title
        Title of the picture.

    Raises
    ------
    ParameterError
        When a column is missing or the table is empty.
    """
    needed = ["preset", "kind", "measure", "mean", "low", "high"]
    check_table("speech_by_kind.summary", summary, needed)
    kinds, presets = list(summary["kind"].unique()), list(summary["preset"].unique())
    figure, axes = new_axes(
        size=(8.4, 0.4 * len(kinds) + 1.2), nrows=1, ncols=2, sharey=True
    )  # fmt: skip
    for axis, (measure, label) in zip(axes, MEASURES.items(), strict=True):
        for number, preset in enumerate(presets):
            rows = summary[(summary["preset"] == preset) & (summary["measure"] == measure)]
            rows = rows.set_index("kind").reindex(kinds)
            place = np.arange(len(kinds)) + 0.24 * (number - (len(presets) - 1) / 2)
            # Rounding may leave a bound on the wrong side of a share that is 0 or 1.
            bounds = rows["mean"] - rows["low"], rows["high"] - rows["mean"]
            reach = [bound.clip(lower=0.0) for bound in bounds]
            axis.errorbar(
                rows["mean"], place, xerr=reach, fmt="so"[number % 2], ms=5, capsize=2,
                color=COLOURS.get(preset, GREY), label=preset,
            )  # fmt: skip
        axis.set(xlabel=label, xlim=(-0.03, 1.03), yticks=range(len(kinds)), yticklabels=kinds)
    axes[0].invert_yaxis()
    _legend_below(figure, axes[0], len(presets))
    return _titled(figure, title)


@mpl.rc_context(STYLE)
def speech_roc(curves: pd.DataFrame, title: str = "") -> Figure:
    """Draw the ROC curves of severity, a panel a preset, a line a kind of text to be left alone.

    Parameters
    ----------
    curves
        Columns ``preset``, ``kind``, ``alarms`` and ``found``.
    title
        Title of the picture.

    Raises
    ------
    ParameterError
        When a column is missing or the table is empty.
    """
    check_table("speech_roc.curves", curves, ["preset", "kind", "alarms", "found"])
    presets = list(curves["preset"].unique())
    figure, axes = new_axes(
        size=(3.3 * len(presets) + 0.6, 4.0), nrows=1, ncols=len(presets), squeeze=False,
        sharey=True,
    )  # fmt: skip
    for axis, preset in zip(axes.flat, presets, strict=True):
        axis.plot([0, 1], [0, 1], color=GREY, lw=1, ls=":")
        of_preset = curves[curves["preset"] == preset]
        for number, (kind, curve) in enumerate(of_preset.groupby("kind", sort=False)):
            axis.plot(
                curve["alarms"], curve["found"], label=kind, lw=1.6,
                color=CYCLE[number % len(CYCLE)], ls=DASHES[number % len(DASHES)],
            )  # fmt: skip
        axis.set(title=preset, xlabel="share of the others at least as severe", aspect="equal")
    axes.flat[0].set_ylabel("share of the child's texts\nat least as severe")
    _legend_below(figure, axes.flat[0], 3)
    return _titled(figure, title)


@mpl.rc_context(STYLE)
def dose_curves(summary: pd.DataFrame, title: str = "") -> Figure:
    """Draw the share flagged and the mean severity against the dose of telegraphing.

    Parameters
    ----------
    summary
        Columns ``preset``, ``dose``, ``measure`` (``"telegraphic"`` or ``"severity"``; others are
        left out), ``mean``, ``low`` and ``high``.
    title
        Title of the picture.

    Raises
    ------
    ParameterError
        When a column is missing or the table is empty.
    """
    needed = ["preset", "dose", "measure", "mean", "low", "high"]
    check_table("dose_curves.summary", summary, needed)
    figure, axes = new_axes(n=2, size=(8.4, 3.0))
    for axis, (measure, label) in zip(axes, MEASURES.items(), strict=True):
        rows = summary[summary["measure"] == measure]
        for number, (preset, line) in enumerate(rows.groupby("preset", sort=False)):
            line, colour = line.sort_values("dose"), COLOURS.get(str(preset), GREY)
            axis.fill_between(
                line["dose"], line["low"], line["high"], color=colour, alpha=0.2, lw=0
            )
            axis.plot(
                line["dose"], line["mean"], marker="so"[number % 2], ms=4, color=colour,
                label=preset,
            )  # fmt: skip
        axis.set(xlabel="dose", ylabel=label, ylim=(-0.03, 1.03))
    axes[0].legend()
    return _titled(figure, title)


@mpl.rc_context(STYLE)
def threshold_sweeps(swept: pd.DataFrame, chosen: Mapping[str, float], title: str = "") -> Figure:
    """Draw both rates where one threshold alone is moved, a panel a threshold.

    Parameters
    ----------
    swept
        Columns ``field``, ``value``, ``found``, ``left_alone`` and ``balanced_accuracy``.
    chosen
        By field, the value to mark.
    title
        Title of the picture.

    Raises
    ------
    ParameterError
        When a column is missing or the table is empty.
    """
    lines = {"found": (BLUE, "-"), "left_alone": (RED, "--"), "balanced_accuracy": (GREY, "-.")}
    check_table("threshold_sweeps.swept", swept, ["field", "value", *lines])
    fields = list(swept["field"].unique())
    figure, axes = new_axes(
        size=(8.4, 2.9), nrows=1, ncols=len(fields), squeeze=False, sharey=True
    )  # fmt: skip
    for axis, field in zip(axes.flat, fields, strict=True):
        rows = swept[swept["field"] == field].sort_values("value")
        for name, (colour, dash) in lines.items():
            axis.plot(
                rows["value"], rows[name], color=colour, ls=dash, marker=".",
                label=name.replace("_", " "),
            )  # fmt: skip
        if field in chosen:
            axis.axvline(chosen[field], color="black", lw=0.8, ls=":")
        axis.set_xlabel(field)
    axes.flat[0].set_ylabel("share of texts")
    _legend_below(figure, axes.flat[0], len(lines))
    return _titled(figure, title)


def _legend_below(figure: Figure, axis: mpl.axes.Axes, columns: int) -> None:
    handles, labels = axis.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=columns)


def _titled(figure: Figure, title: str) -> Figure:
    if title:
        figure.suptitle(title, x=0.01, ha="left")
    return figure
