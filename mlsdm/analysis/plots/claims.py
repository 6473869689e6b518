"""Pictures of one stated claim: over seeds, and as a strip beside its text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike, NDArray

from mlsdm.analysis.interval import Interval
from mlsdm.analysis.plots.style import BLUE, GREY, ORANGE, RED, SKY, STYLE, check_names, new_axes
from mlsdm.errors import ParameterError, nearest
from mlsdm.evidence import VERDICTS as KINDS

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "MET", "UNTESTED", "VERDICTS", "Row",
    "as_text", "check_verdict", "claim_distribution", "claim_strip", "measured", "on_unit",
]  # fmt: skip

UNTESTED = KINDS[-1]
VERDICTS = dict(zip(KINDS, ((BLUE, "o"), (ORANGE, "s"), (RED, "v"), (GREY, "x")), strict=True))
"""Colour and marker of each verdict."""

NUMBERS = ["stated", "regenerated", "mean", "low", "high"]
# At which end of the axis a target is met, by its relation.
MET = {"<": 0, "<=": 0, ">=": 1}

Row: TypeAlias = "Mapping[str, Any] | pd.Series[Any]"


def check_verdict(owner: str, verdict: object) -> None:
    """Refuse what is no verdict, in the name of `owner`."""
    if verdict not in VERDICTS:
        tail = nearest(str(verdict), VERDICTS)
        raise ParameterError(f"{owner}: {verdict!r} is no verdict{tail}")


def on_unit(row: Row) -> bool:
    """Return whether a claim belongs on an axis from 0 to 1: a share or a score, not far off it."""
    numbers = np.array([row[name] for name in NUMBERS], dtype=float)
    inside = (numbers >= -0.5) & (numbers <= 1.5) | np.isnan(numbers)
    return as_text(row["unit"]) in ("share", "") and bool(inside.all())


def as_text(value: object) -> str:
    """Return a text; nothing for the NaN that an empty cell of a file becomes."""
    return value if isinstance(value, str) else ""


def measured(row: Row) -> float:
    """Return the mean over seeds; without seeds what the stated set-up gives."""
    return float(row["mean"] if np.isfinite(row["mean"]) else row["regenerated"])


@mpl.rc_context(STYLE)
def claim_strip(row: Row) -> Figure:
    """Draw one claim as a strip of 3 by 0.5 inches: what is stated, and the mean with its interval.

    The axis begins at 0, and ends at 1 for shares and scores; the side of a target that meets it is
    shaded. Without seeds the regenerated figure takes the place of the mean.

    Parameters
    ----------
    row
        One row of the audit table: ``unit``, ``relation``, ``stated``, ``regenerated``, ``mean``,
        ``low``, ``high``, ``verdict``.

    Raises
    ------
    ParameterError
        When a number is missing, or the verdict is none of the four.
    """
    check_names("claim_strip.row", row.keys(), ["unit", "relation", *NUMBERS, "verdict"])
    check_verdict("claim_strip.row", row["verdict"])
    colour, marker = VERDICTS[row["verdict"]]
    figure = Figure(figsize=(3.0, 0.5))
    axis = figure.add_axes((0.03, 0.36, 0.94, 0.62))
    numbers = np.array([row[name] for name in NUMBERS], dtype=float)
    numbers = numbers[np.isfinite(numbers)]
    unit = on_unit(row)
    low, high = min([0.0, *numbers]), max([float(unit), *numbers]) or 1.0
    room = 0.04 * (high - low)
    axis.set(xlim=(low - room, high + room), ylim=(0, 1), yticks=[])
    axis.grid(False)
    axis.spines["left"].set_visible(False)
    if row["relation"] in MET:
        end = axis.get_xlim()[MET[row["relation"]]]
        axis.axvspan(*sorted((row["stated"], end)), color=SKY, alpha=0.25, lw=0)
    axis.plot([row["low"], row["high"]], [0.65, 0.65], "|-", ms=5, lw=1, color=colour)
    axis.plot(row["stated"], 0.65, "D", ms=7, mfc="none", mec="black", mew=0.8)
    axis.plot(measured(row), 0.65, marker, ms=4, color=colour)
    nice = MaxNLocator(3, steps=[1, 2, 5, 10]).tick_values(low, high)
    ticks = [0.0, 0.5, 1.0] if unit else [tick for tick in nice if low <= tick <= high]
    percent = row["unit"] == "share"
    labels = [f"{100 * tick:g} %" if percent else f"{tick:g}" for tick in ticks]
    if not percent:
        labels[-1] = f"{labels[-1]} {as_text(row['unit'])}".rstrip()
    axis.set_xticks(ticks, labels, fontsize=6)
    if ticks[-1] > 0.8 * high and not unit:
        axis.get_xticklabels()[-1].set_horizontalalignment("right")
    axis.tick_params(length=2, pad=1)
    return figure


@mpl.rc_context(STYLE)
def claim_distribution(
    values: ArrayLike,
    stated: float,
    regenerated: float,
    interval: Interval,
    *,
    xlabel: str,
    title: str = "",
    control: ArrayLike | None = None,
) -> Figure:
    """Draw the distribution of one claim's figure over seeds, and where the stated one lies.

    Parameters
    ----------
    values
        (seeds,) the figure for each seed; what is not finite is left out.
    stated, regenerated
        The figure as stated, and as it is regenerated; NaN is not drawn.
    interval
        Mean of the values with its interval.
    xlabel
        What the figure is, with its unit.
    title
        Title of the picture.
    control
        (seeds,) the same figure of the control, in a second colour.

    Raises
    ------
    ParameterError
        When no value is finite.
    """
    groups = {"seeds": (_finite(values), BLUE)}
    if not groups["seeds"][0].size:
        raise ParameterError("claim_distribution.values: must hold a finite number (got none)")
    if control is not None:
        groups["seeds of the control"] = (_finite(control), GREY)
    figure, axis = new_axes(size=(7.0, 2.8))
    edges = _edges(np.concatenate([numbers for numbers, _ in groups.values()]))
    for name, (numbers, colour) in groups.items():
        weights = np.full(numbers.size, 1 / max(numbers.size, 1))
        axis.hist(
            numbers, edges, weights=weights, color=colour, alpha=0.6, rwidth=0.95,
            label=f"{numbers.size} {name}",
        )  # fmt: skip
    top = axis.get_ylim()[1]
    lines = {"regenerated": (regenerated, RED, "-"), "stated": (stated, "black", "--")}
    for name, (value, colour, style) in lines.items():
        if np.isfinite(value):
            axis.axvline(value, color=colour, lw=1.4, ls=style, label=f"{name}: {value:.4g}")
    axis.plot([interval.low, interval.high], [top, top], "|-", ms=8, color="black")
    label = f"mean and interval:\n{interval:.4g}"
    axis.plot(interval.mean, top, "o", ms=5, color="black", label=label)
    axis.set(xlabel=xlabel, ylabel="share of the seeds", ylim=(0, 1.1 * top), title=title)
    if edges[1] - edges[0] == 1:
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    figure.legend(loc="outside right upper")
    return figure


def _finite(values: ArrayLike) -> NDArray[np.float64]:
    numbers = np.asarray(values, dtype=np.float64)
    return numbers[np.isfinite(numbers)]


def _edges(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the edges of the bars: one bar a count, or 41 equal ones."""
    low, high = values.min(), values.max()
    if high - low <= 40 and np.array_equal(values, np.round(values)):
        return np.arange(low - 0.5, high + 1)
    room = 0.0 if high > low else 0.05 * abs(high)
    return np.linspace(low - room, high + room, 42)
