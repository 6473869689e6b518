"""The figures as a table and as data, and the machine that they are of."""

from __future__ import annotations

import json
import os
import platform
import re
import sys
from collections.abc import Iterable, Mapping
from importlib import metadata
from typing import Any

import pandas as pd
from numba import config

from mlsdm.analysis.tables import cell, markdown
from mlsdm.bench.cases import Figure
from mlsdm.bench.measure import Size
from mlsdm.display import short
from mlsdm.errors import ParameterError
from mlsdm.provenance import cpu_model

__all__ = ["BEGIN", "COLUMNS", "END", "as_json", "as_markdown", "cells", "inserted", "machine"]

COLUMNS = ("name", "figure", "yardstick", "ratio [95 % interval]", "target", "reached")
BEGIN, END = "<!-- bench -->", "<!-- end -->"
VERSIONS = ("numpy", "numba", "faiss-cpu")


def machine() -> dict[str, str]:
    """Return what the figures depend on: processor, cores, threads, versions."""
    found = {
        "cpu": cpu_model(),
        "cores": str(os.cpu_count()),
        "threads": str(config.NUMBA_NUM_THREADS),  # type: ignore[attr-defined]
        "platform": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "mlsdm": str(sys.modules["mlsdm"].__version__),
    }
    for name in VERSIONS:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found


def cells(figure: Figure) -> tuple[str, ...]:
    """Return one row of the table, as text."""
    case, target, ratio, sides = figure.case, figure.case.target, figure.ratio, figure.sides
    bound = "" if target is None else f"{target.bound} {short(float(target.limit))}"
    if target is not None and target.of == "rate":
        bound += f" {case.unit}"
    if ratio is None or sides is None or figure.costs is None:
        return (case.name, case.figure, case.yardstick, figure.lacks, bound, "")
    here, there = (f"{short(float(f'{side:.3g}'))} {case.unit}" for side in sides)
    note = f"; {figure.costs.note}" if figure.costs.note else ""
    return (
        case.name,
        f"{case.figure}: {here}",
        f"{case.yardstick}: {there}{note}",
        f"{cell(ratio.mean, ratio.low, ratio.high)} {case.means}",
        bound,
        figure.reached,
    )


def as_markdown(figures: Iterable[Figure], size: Size, machine: Mapping[str, str]) -> str:
    """Return the table, and what it was measured on."""
    table = markdown(pd.DataFrame([cells(figure) for figure in figures], columns=list(COLUMNS)))
    versions = ", ".join(f"{name} {machine[name]}" for name in ("python", "mlsdm", *VERSIONS))
    return (
        f"{table}\n{size.dim}-d, {size.rows:,} rows full, medians of {size.repetitions} pairs or "
        f"more. Measured on {machine['cpu']}, {machine['cores']} cores, {machine['platform']}; "
        f"{versions}.\n"
    )


def inserted(text: str, table: str) -> str:
    """Return a text with the table between the two marks that say where it belongs.

    Raises
    ------
    ParameterError
        When it holds no such marks.
    """
    marked = re.compile(f"(?<={re.escape(BEGIN)}\n).*?(?={re.escape(END)})", re.DOTALL)
    if not marked.search(text):
        raise ParameterError(
            f"bench.markdown: must be a new file, or one with the lines {BEGIN} and {END}"
        )
    return marked.sub(lambda _: table, text, count=1)


def as_json(figures: Iterable[Figure], size: Size, machine: Mapping[str, str]) -> str:
    """Return all that was measured, the single repetitions too, as JSON."""
    rows: list[dict[str, Any]] = []
    for figure in figures:
        case, ratio = figure.case, figure.ratio
        row: dict[str, Any] = {
            "name": case.name, "figure": case.figure, "yardstick": case.yardstick,
            "target": cells(figure)[-2], "reached": figure.reached, "lacks": figure.lacks,
        }  # fmt: skip
        if ratio is not None and figure.costs is not None:
            low, high = (ratio.low, ratio.high) if ratio.bounded else (None, None)
            row |= {
                "ratio": ratio.mean, "low": low, "high": high, "n": ratio.n, "means": case.means,
                "ours": figure.costs.ours.tolist(), "theirs": figure.costs.yardstick.tolist(),
                "note": figure.costs.note,
            }  # fmt: skip
        rows.append(row)
    return (
        json.dumps({"machine": dict(machine), "size": vars(size), "figures": rows}, indent=2) + "\n"
    )
