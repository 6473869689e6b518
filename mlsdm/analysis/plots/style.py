"""What every picture shares: colours, style, and how one becomes text for a page."""

from __future__ import annotations

import io
import re
from collections.abc import Collection, Iterable
from html import escape
from typing import Any

import matplotlib as mpl
import pandas as pd
from matplotlib.figure import Figure

from mlsdm.errors import ParameterError

__all__ = [
    "BLUE", "CYCLE", "GREEN", "GREY", "ORANGE", "PURPLE", "RED", "SKY", "STYLE",
    "check_names", "check_table", "new_axes", "svg",
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


def new_axes(
    n: int = 1, size: tuple[float, float] = (7.0, 3.2), **layout: Any
) -> tuple[Figure, Any]:
    """Return a figure and its axes: one, or an array of n in a row."""
    figure = Figure(figsize=size, layout="constrained")
    return figure, figure.subplots(**(layout or {"nrows": 1, "ncols": n}))


def check_names(owner: str, present: Collection[Any], needed: Iterable[str]) -> None:
    """Refuse a table or a row that lacks a column, in the name of `owner`."""
    for name in needed:
        if name not in present:
            got = ", ".join(map(str, present))
            raise ParameterError(f"{owner}: must have the column {name!r} (got {got})")


def check_table(owner: str, table: pd.DataFrame, columns: Iterable[str]) -> None:
    """Refuse a table that lacks a column or has no row, in the name of `owner`."""
    check_names(owner, list(table.columns), columns)
    if table.empty:
        raise ParameterError(f"{owner}: must have at least one row (got none)")


def svg(figure: Figure, name: str, label: str = "") -> str:
    """Return a figure as an SVG element to stand in a page: the same text every time.

    Text stays text, that a reader can search and copy.

    Parameters
    ----------
    figure
        The picture, drawn on nothing: what is behind it shows through.
    name
        Its name, another one for every picture of a page: it keeps their ids apart.
    label
        What it shows, for those who cannot see it.
    """
    fixed: dict[Any, Any] = {
        "font.sans-serif": ["DejaVu Sans"],
        "svg.fonttype": "none",
        "svg.hashsalt": name,
    }
    unsigned = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    file = io.StringIO()
    with mpl.rc_context(fixed):
        figure.savefig(file, format="svg", transparent=True, metadata=unsigned)
    drawn = file.getvalue()
    element = drawn[drawn.index("<svg") :]
    # The ids of groups come without the salt, and nothing refers to them.
    element = re.sub(r'<g id="[^"]*"', "<g", element)
    return element.replace("<svg", f'<svg role="img" aria-label="{escape(label or name)}"', 1)
