"""What stands in a row of the audit, in words for a reader who knows no statistics."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from mlsdm.analysis.tables import cell
from mlsdm.display import short

__all__ = ["SAME", "VARIES", "amount", "interval", "seed_place", "stable"]

# What stands between these depends on the machine, the day or the run.
VARIES, SAME = "<!--varies-->", "<!--same-->"

Row = Mapping[str, Any]


def stable(text: str) -> str:
    """Return the text without what varies from run to run, and without pictures."""
    # Another matplotlib or FreeType moves what is drawn by a hair; its numbers stand in the text.
    return re.sub(f"{VARIES}.*?{SAME}|<svg.*?</svg>", "", text, flags=re.DOTALL)


def amount(value: float, unit: str) -> str:
    """Write a number with four significant digits in its unit, a share in percent."""
    if math.isnan(value):
        return ""
    return f"{short(100 * value)} %" if unit == "share" else f"{short(value)} {unit}".rstrip()


def interval(row: Row) -> str:
    """Write the mean over seeds with its 95 % interval; nothing where there are not several."""
    if row["n_seeds"] <= 1 or math.isnan(row["mean"]):
        return ""
    factor, unit = (100, "%") if row["unit"] == "share" else (1, row["unit"])
    mean, *bounds = cell(*(factor * row[name] for name in ("mean", "low", "high"))).split(" ", 1)
    return " ".join(part for part in (mean, unit, *bounds) if part)


def seed_place(row: Row) -> str:
    """Say where the stated set-up lies among the seeds; nothing where that is not known."""
    share, n = row["quantile"], row["n_seeds"]
    if math.isnan(share) or n < 2 or row["varies"]:
        return ""
    if row["low"] == row["high"] == row["regenerated"]:
        return f"All {n} seeds give the same."
    if share in (0, 1):
        return f"None of {n} seeds gives more." if share else f"All of {n} seeds give more."
    # At the upper end it need not be unusual: other seeds may give the very same.
    usual = "A high value: " if share > 0.975 else "An ordinary value: "
    kind = "An unusually low value: only " if share <= 0.025 else usual
    return f"{kind}{short(100 * share)} % of {n} seeds give this or less."
