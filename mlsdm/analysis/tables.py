"""Tables for a paper: a frame of statistics as Markdown or LaTeX."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

import pandas as pd
from pandas.api.types import is_bool_dtype, is_numeric_dtype, is_scalar

from mlsdm.analysis.significance import seeds_needed
from mlsdm.analysis.statistics import STATISTICS
from mlsdm.display import short

__all__ = ["cell", "latex", "latex_text", "markdown", "markdown_text"]

NOT_IN_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
# Neither an underscore within a word nor a bracket that begins no link is markup.
MARKUP = re.compile(r"[\\`*|<&~#]|\](?=[(\[:])|(?<![^\W_])_|_(?![^\W_])")
P_VALUES = ("p", "p_holm")
TITLES = {"p_holm": "p (Holm)", "iqm": "interquartile mean"}
FLAG = "†"
NOTE = f"{FLAG} too few seeds to say anything"
IN_LATEX: dict[str, str] = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "`": r"\textasciigrave{}",
    "†": r"\textdagger{}",
    "≤": r"$\leq$",
    "≥": r"$\geq$",
    "×": r"$\times$",
    "−": "$-$",
    **{character: f"\\{character}" for character in "#$%&_{}"},
}


class _Table(NamedTuple):
    """Cells as plain text, a column each with its title and whether it holds numbers."""

    titles: list[str]
    numbers: list[bool]
    rows: list[list[str]]
    flagged: bool


def markdown(frame: pd.DataFrame, titles: Mapping[str, str] | None = None) -> str:
    """Return a frame as a Markdown table, its index left out.

    A statistic and its bounds share a cell, as ``mean [low, high]``: columns ``mean``, ``low`` and
    ``high`` (or ``median``, ``iqm``), ``<name>_mean``, ``<name>_low`` and ``<name>_high``, or
    ``<name>`` with the latter two. Numbers have the digits that their interval leaves them. What is
    not there is n/a. Where ``few`` says so, or else ``n`` is too small for any test, a dagger
    marks the first interval, and a note is added.

    Parameters
    ----------
    frame
        Such as `summarise` or `paired` returns.
    titles
        Titles of columns to be called something other than in the frame.
    """
    table = _table(frame, titles or {})
    rule = ["---:" if number else "---" for number in table.numbers]
    body = [[markdown_text(text) for text in row] for row in [table.titles, *table.rows]]
    lines = [f"| {' | '.join(row)} |" for row in [body[0], rule, *body[1:]]]
    return "\n".join([*lines, *(["", NOTE] if table.flagged else [])]) + "\n"


def latex(
    frame: pd.DataFrame,
    titles: Mapping[str, str] | None = None,
    caption: str = "",
    label: str = "",
) -> str:
    """Return a frame as a LaTeX table with the same cells as `markdown`; it needs booktabs.

    Parameters
    ----------
    frame
        Such as `summarise` or `paired` returns.
    titles
        Titles of columns to be called something other than in the frame.
    caption
        With one, the table floats; else it is a plain tabular.
    label
        What the text refers to it by; only with a caption.
    """
    table = _table(frame, titles or {})
    head, *rows = (
        " & ".join(latex_text(text) for text in row) + r" \\" for row in [table.titles, *table.rows]
    )
    columns = "".join("r" if number else "l" for number in table.numbers)
    lines = [rf"\begin{{tabular}}{{{columns}}}", r"\toprule", head, r"\midrule", *rows]
    lines.append(r"\bottomrule")
    if table.flagged:
        note = rf"\footnotesize {latex_text(NOTE)}"
        lines.append(rf"\multicolumn{{{len(columns)}}}{{l}}{{{note}}} \\")
    lines.append(r"\end{tabular}")
    if caption:
        named = [rf"\label{{{label}}}"] if label else []
        top = [r"\begin{table}", r"\centering", rf"\caption{{{latex_text(caption)}}}", *named]
        lines = [*top, *lines, r"\end{table}"]
    return "\n".join(lines) + "\n"


def cell(centre: float, low: float, high: float) -> str:
    """Write a number with its interval, to two significant digits of half the interval's width."""
    numbers = (centre, low, high)
    half = (high - low) / 2
    if not all(map(math.isfinite, (*numbers, half))) or half <= 0.0:
        bounds = f" [{_plain(low)}, {_plain(high)}]" if math.isfinite(half) else ""
        return f"{_plain(centre)}{bounds}"
    last = math.floor(math.log10(half)) - 1
    largest = math.floor(math.log10(max(map(abs, numbers))))
    form = f"z.{max(0, -last)}f" if last > -10 and largest < 9 else f".{largest - last}e"
    return "{} [{}, {}]".format(*(format(number, form) for number in numbers))


def markdown_text(text: str) -> str:
    """Return text on one line, such that Markdown shows it as it is."""
    return MARKUP.sub(r"\\\g<0>", " ".join(NOT_IN_XML.sub("", text).split()))


def latex_text(text: str) -> str:
    """Return text on one line, such that LaTeX shows it as it is."""
    plain = " ".join(NOT_IN_XML.sub("", text).split())
    escaped = "".join(IN_LATEX.get(character, character) for character in plain)
    escaped = re.sub(r"^[\[*]", r"{\g<0>}", escaped)  # or it would be an option of the row before
    escaped = re.sub(r"-(?=-)", "-{}", escaped)  # two hyphens, not a dash
    return re.sub(r"(?<![\w}-])-(?=[\d.])", "$-$", escaped)  # a minus, not a hyphen


def _table(frame: pd.DataFrame, titles: Mapping[str, str]) -> _Table:
    frame = frame.rename(columns=str)
    merged = _merged(frame)
    first = next(iter(merged), None)
    records = frame.to_dict("records")
    flagged = first is not None and any(map(_few, records))
    table = _Table([], [], [[] for _ in records], flagged)
    for name in frame.columns.drop([bound for pair in merged.values() for bound in pair]):
        if name == "few":
            continue
        title = (TITLES | dict(titles)).get(name, name.replace("_", " "))
        table.titles.append(f"{title} [low, high]" if name in merged else title)
        table.numbers.append(is_numeric_dtype(frame[name]) and not is_bool_dtype(frame[name]))
        for row, record in zip(table.rows, records, strict=True):
            if name in merged:
                text = cell(*(float(record[part]) for part in (name, *merged[name])))
                row.append(text + FLAG if name == first and _few(record) else text)
            elif name in P_VALUES and "p_holm" in frame:
                row.append(_p_value(record[name]))
            else:
                row.append(_plain(record[name]))
    return table


def _merged(frame: pd.DataFrame) -> dict[str, tuple[str, str]]:
    """Return the columns that hold a statistic, each with those of its bounds."""
    found = {}
    for name in frame.columns:
        stem = re.sub(f"(^|_)({'|'.join(STATISTICS)})$", "", name)
        low, high = (f"{stem}_{side}".lstrip("_") for side in ("low", "high"))
        if low in frame and high in frame:
            found[name] = (low, high)
    return found


def _few(record: Mapping[Any, Any]) -> bool:
    if "few" in record:
        return bool(record["few"])
    return "n" in record and record["n"] < seeds_needed()


def _plain(value: Any) -> str:
    return "n/a" if is_scalar(value) and pd.isna(value) else short(value)


def _p_value(value: float) -> str:
    if math.isnan(value):
        return "n/a"
    return "<0.001" if value < 0.001 else f"{value:.3f}"
