"""Numbers, tables and courses as short text, HTML and SVG."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

__all__ = ["html_table", "named", "short", "sparkline", "text_table"]

Rows = Sequence[Sequence[object]]


def short(value: object) -> str:
    """Write a number with four significant digits, or all those of a whole part; else as it is."""
    if value is None:
        return "n/a"
    if not isinstance(value, float):
        return str(value)
    if value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    text = f"{value:.4g}"
    return f"{value:.0f}" if "e+0" in text else text


def named(values: Mapping[str, object]) -> str:
    """Write names and values as ``a=1, b=0.1235``, the numbers as `short` does."""
    return ", ".join(f"{name}={short(value)}" for name, value in values.items())


def text_table(columns: Sequence[str], rows: Rows, most: int = 12) -> str:
    """Write at most `most` rows under their columns, each as wide as it needs."""
    grid = [list(columns), *([short(cell) for cell in row] for row in rows[:most])]
    widths = [max(map(len, column)) for column in zip(*grid, strict=True)]
    lines = ["  ".join(map(str.rjust, row, widths)) for row in grid]
    return "\n".join(lines + _more(rows, most))


def html_table(caption: str, columns: Sequence[str], rows: Rows, most: int = 12) -> str:
    """Write at most `most` rows as an HTML table; `caption` is HTML already."""
    head = "".join(f"<th>{escape(column)}</th>" for column in columns)
    lines = ["".join(f"<td>{escape(short(cell))}</td>" for cell in row) for row in rows[:most]]
    body = "".join(f"<tr>{line}</tr>" for line in [head, *lines])
    note = "".join(f"<p>{line}</p>" for line in _more(rows, most))
    return f"<table><caption>{caption}</caption>{body}</table>{note}"


def _more(rows: Rows, most: int) -> list[str]:
    return [f"… {len(rows) - most} more rows"] if len(rows) > most else []


def sparkline(values: Sequence[float], width: int = 120, height: int = 20) -> str:
    """Draw finite numbers as a small inline SVG line, thinned to one point a pixel."""
    count = min(width, len(values))
    if count < 2:
        return ""
    low, high = min(values) / 2, max(values) / 2  # halves: the whole range may overflow
    chosen = [values[i * (len(values) - 1) // (count - 1)] / 2 for i in range(count)]
    points = " ".join(
        f"{width * i / (count - 1):.1f},{1 + (height - 2) * ((high - y) / (high - low or 1)):.1f}"
        for i, y in enumerate(chosen)
    )
    return (
        f'<svg width="{width}" height="{height}" role="img" aria-label="course">'
        f'<polyline points="{points}" fill="none" stroke="currentColor"/></svg>'
    )
