"""The forest plot: every stated claim against what was measured."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle
from matplotlib.textpath import TextToPath
from matplotlib.ticker import LogLocator, NullLocator, StrMethodFormatter

from mlsdm.analysis.plots.claims import (
    MET,
    UNTESTED,
    VERDICTS,
    Row,
    as_text,
    check_verdict,
    measured,
    on_unit,
)
from mlsdm.analysis.plots.style import SKY, STYLE, check_table
from mlsdm.display import short

__all__ = ["forest"]

# Inches: the page, where the marks begin and end on it, and the heights of what stands in it.
WIDTH, LEFT, RIGHT = 7.5, 3.8, 6.1
ROW, LINE, HEADING, PANEL, TOP = 0.175, 0.11, 0.24, 0.62, 0.85
SIZE, SMALL, DARK = 6.5, 5.5, "#666666"
LEGEND = "Stated value, and the mean over seeds with its 95 % interval by verdict:"

COLUMNS = (
    "id", "section", "statement", "unit", "relation", "stated", "stated_text", "regenerated",
    "mean", "low", "high", "verdict",
)  # fmt: skip


@mpl.rc_context(STYLE)
def forest(table: pd.DataFrame, sections: Mapping[str, str] | None = None) -> Figure:
    """Draw every claim's stated value against the mean over seeds with its interval.

    Shares and scores stand on one axis from 0 to 1, everything else as a multiple of what is
    stated, and what cannot be tested is listed below. A claim without seeds shows the regenerated
    figure; one that is no positive multiple, as where 0 is stated, shows its numbers only.

    Parameters
    ----------
    table
        The audit table, in the order to draw.
    sections
        Names of the sections by their letter; a letter without a name stands for itself.

    Raises
    ------
    ParameterError
        When a column is missing, there is no row, or a verdict is none of the four.
    """
    check_table("forest.table", table, COLUMNS)
    for verdict in table["verdict"]:
        check_verdict("forest.table", verdict)
    rows: list[Row] = [dict(row) for _, row in table.iterrows()]
    tested = [row for row in rows if row["verdict"] != UNTESTED]
    panels = {
        "Shares and scores, from 0 to 1": ([row for row in tested if on_unit(row)], _draw_shares),
        "Other figures, as a multiple of what is stated": (
            [row for row in tested if not on_unit(row)], _draw_multiples,
        ),
        UNTESTED.capitalize(): ([row for row in rows if row["verdict"] == UNTESTED], _draw_none),
    }  # fmt: skip
    blocks = [
        (title, _Lines(rows, sections or {}), draw)
        for title, (rows, draw) in panels.items()
        if rows
    ]
    height = TOP + sum(PANEL + lines.height for _, lines, _ in blocks)
    # Higher than the other pictures' resolution: the text is small.
    figure = Figure(figsize=(WIDTH, height), dpi=100)
    bottom = height - TOP
    for title, lines, draw in blocks:
        bottom -= lines.height + PANEL / 2
        box = LEFT / WIDTH, bottom / height, (RIGHT - LEFT) / WIDTH, lines.height / height
        axis = figure.add_axes(box, ylim=(lines.height, 0), yticks=[])
        axis.grid(axis="y", visible=False)
        axis.tick_params(top=True, labeltop=True, length=2, labelsize=SIZE)
        draw(axis, lines)
        _write(axis, title, lines)
        bottom -= PANEL / 2
    figure.legend(
        handles=_handles(rows), loc="upper left", ncols=2, fontsize=SIZE + 0.5, title=LEGEND,
        title_fontsize=SIZE + 0.5, alignment="left",
    )  # fmt: skip
    return figure


class _Lines:
    """Where the rows of a panel and the headings of their sections stand, in inches from its top.

    A statement that leaves no room for its id beside it takes several lines.
    """

    def __init__(self, rows: list[Row], sections: Mapping[str, str]) -> None:
        self.headings: list[tuple[float, str]] = []
        self.rows: list[tuple[float, float, str, Row]] = []  # centre, height, statement, row
        self.height = 0.0
        before = None
        for row in rows:
            if row["section"] != before:
                before = row["section"]
                name = sections.get(before, "")
                self.headings.append((self.height + 0.6 * HEADING, f"{before}  {name}".rstrip()))
                self.height += HEADING
            parts = _wrap(row["statement"], max(LEFT - 0.4 - _width(row["id"], SMALL), 1.5), SIZE)
            height = ROW + LINE * (len(parts) - 1)
            self.rows.append((self.height + height / 2, height, "\n".join(parts), row))
            self.height += height


def _width(text: str, size: float) -> float:
    """Return the width of a text in inches, with room for what pixels add to it."""
    font = FontProperties(size=size)
    width, _, _ = TextToPath().get_text_width_height_descent(text, font, ismath=False)
    return 1.1 * float(width) / 72


def _wrap(text: str, room: float, size: float) -> list[str]:
    """Return the lines of a text that are no wider than `room` inches, but for a single word."""
    first, *words = text.split() or [""]
    lines = [first]
    for word in words:
        longer = f"{lines[-1]} {word}"
        if _width(longer, size) <= room:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines


def _write(axis: Axes, title: str, lines: _Lines) -> None:
    """Write a panel's title, headings, statements, ids and numbers beside the marks."""

    def put(inches: float, y: float, text: str, size: float, **style: Any) -> None:
        axis.text(
            (inches - LEFT) / (RIGHT - LEFT), y, text, transform=axis.get_yaxis_transform(),
            size=size, parse_math=False, **({"va": "center_baseline"} | style),
        )  # fmt: skip

    put(0.1, -0.24, title, SIZE + 2, weight="bold")
    untested = title == UNTESTED.capitalize()
    put(RIGHT + 0.1, -0.24, "stated" if untested else "stated → measured", SMALL, color=DARK)
    for y, heading in lines.headings:
        put(0.1, y, heading, SIZE + 0.5, weight="bold")
    for i, (y, height, statement, row) in enumerate(lines.rows):
        if i % 2:
            axis.add_patch(Rectangle(
                ((0.1 - LEFT) / (RIGHT - LEFT), y - height / 2),
                (WIDTH - 0.1) / (RIGHT - LEFT), height,
                transform=axis.get_yaxis_transform(), color="#f3f3f3", lw=0, zorder=0,
                clip_on=False,
            ))  # fmt: skip
        put(0.2, y, statement, SIZE, color=DARK if untested else "black", linespacing=1.0)
        put(LEFT - 0.1, y, row["id"], SMALL, color=DARK, ha="right")
        numbers = "\n".join(_wrap(_numbers(row), WIDTH - RIGHT - 0.15, SMALL))
        put(RIGHT + 0.1, y, numbers, SMALL, color=DARK, linespacing=1.0)


def _numbers(row: Row) -> str:
    """Return a claim's two numbers as text; the unit stands with the stated one."""
    stated = as_text(row["stated_text"]).replace("<=", "≤").replace(">=", "≥")
    if row["verdict"] == UNTESTED:
        return stated
    value = measured(row)
    return f"{stated} → " + (f"{100 * value:.1f} %" if row["unit"] == "share" else short(value))


def _draw_shares(axis: Axes, lines: _Lines) -> None:
    """Draw the rows as they are, from 0 to 1."""
    places = [(y, row, 1.0) for y, _, _, row in lines.rows]
    every = [row[name] for _, row, _ in places for name in ("stated", "mean", "low", "high")]
    axis.set_xlim(min(-0.02, np.nanmin(every) - 0.02), max(1.02, np.nanmax(every) + 0.02))
    axis.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    _draw(axis, places)


def _draw_multiples(axis: Axes, lines: _Lines) -> None:
    """Draw the rows divided by what is stated, on a logarithmic axis."""
    places = [
        (y, row, float(row["stated"]))
        for y, _, _, row in lines.rows
        if row["stated"] > 0 and measured(row) > 0
    ]
    ratios = [1.0, *(measured(row) / stated for _, row, stated in places)]
    axis.set(xscale="log", xlim=(min(ratios) / 1.6, max(ratios) * 1.6))
    subs = (1, 2, 5) if max(ratios) / min(ratios) < 50 else (1,)
    axis.xaxis.set_major_locator(LogLocator(subs=subs))
    axis.xaxis.set_minor_locator(NullLocator())
    axis.xaxis.set_major_formatter(StrMethodFormatter("× {x:g}"))
    axis.axvline(1, color="black", lw=0.8)
    for y, *_ in lines.rows:
        if y not in [place for place, _, _ in places]:
            axis.text(0.9, y, "no multiple of it", size=SMALL, color=DARK, ha="right", va="center")
    _draw(axis, places)


def _draw_none(axis: Axes, lines: _Lines) -> None:
    """Draw no marks: nothing was measured."""
    axis.set_axis_off()


def _draw(axis: Axes, places: list[tuple[float, Row, float]]) -> None:
    """Draw the marks of rows at their heights, each divided by its own number."""
    for y, row, unit in places:
        colour, marker = VERDICTS[row["verdict"]]
        stated = row["stated"] / unit
        if row["relation"] in MET:
            end = axis.get_xlim()[MET[row["relation"]]]
            axis.barh(y, end - stated, 0.8 * ROW, stated, color=SKY, alpha=0.3, lw=0)
        low, high = (max(row[end] / unit, axis.get_xlim()[0]) for end in ("low", "high"))
        axis.plot([low, high], [y, y], lw=1.5, color=colour, solid_capstyle="butt")
        axis.plot(stated, y, "D", ms=6, mfc="none", mec="black", mew=0.7, clip_on=False)
        axis.plot(measured(row) / unit, y, marker, ms=3.6, color=colour, clip_on=False)


def _handles(rows: list[Row]) -> list[Any]:
    """Return the legend: what is drawn, and how many claims have each verdict."""
    counts = Counter(row["verdict"] for row in rows)
    verdicts = [
        Line2D([], [], marker=marker, ms=4, color=colour, label=f"{name} ({counts[name]})")
        for name, (colour, marker) in VERDICTS.items()
        if name != UNTESTED
    ]
    drawn: list[Any] = [
        Line2D([], [], ls="", marker="D", mfc="none", mec="black", label="stated"),
        Patch(color=SKY, alpha=0.3, label="where a target is met"),
    ]
    if untested := counts[UNTESTED]:
        drawn.append(Line2D([], [], ls="", label=f"{UNTESTED} ({untested}), listed below"))
    return drawn + verdicts
