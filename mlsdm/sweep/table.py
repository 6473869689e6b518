"""The runs of a sweep as a tidy table, and that as a file."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from mlsdm.errors import DataError
from mlsdm.sweep.aggregate import seed_of
from mlsdm.sweep.outcome import RunOutcome

__all__ = ["tidy", "write"]

WHOLE = range(-(2**63), 2**63)


def tidy(runs: Sequence[RunOutcome]) -> pd.DataFrame:
    """Return one row per run.

    Returns
    -------
    Columns ``run_id``, ``status``, ``cause``, ``seed`` and ``seconds``; ``params.<name>`` for each
    parameter, those within another by dotted names, lists as JSON; and ``metrics.<name>`` for each
    metric. What a run does not have is missing. A parameter that is not of one type is JSON.
    """
    columns = {
        "run_id": _column([run.run_id for run in runs]),
        "status": _column([run.status for run in runs]),
        "cause": _column([run.cause for run in runs]),
        "seed": _column([seed_of(run) for run in runs], otherwise="Int64"),
        "seconds": pd.Series([run.seconds for run in runs], dtype="float64"),
    }
    flat = [_flat(run.parameters) for run in runs]
    for name in dict.fromkeys(name for one in flat for name in one):
        columns[f"params.{name}"] = _column([one.get(name) for one in flat])
    for name in sorted({name for run in runs for name in run.metrics}):
        values = [run.metrics.get(name) for run in runs]
        columns[f"metrics.{name}"] = pd.Series(values, dtype="float64")
    return pd.DataFrame(columns)


def _flat(values: Mapping[str, Any], above: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in values.items():
        inner = isinstance(value, Mapping) and value
        found |= _flat(value, f"{above}{name}.") if inner else {f"{above}{name}": value}
    return found


def _column(values: Sequence[Any], otherwise: str = "string") -> pd.Series[Any]:
    """Return values of one type as they are, None as missing; all others as JSON text.

    `otherwise` is the type of the column where all are missing.
    """
    there = [value for value in values if value is not None]
    kinds = {type(value) for value in there}
    whole = all(type(value) is not int or value in WHOLE for value in there)
    if not kinds:
        return pd.Series(values, dtype=otherwise)
    if kinds <= {int, float} and whole:
        return pd.Series(values, dtype="float64" if float in kinds else "Int64")
    if kinds == {bool}:
        return pd.Series(values, dtype="boolean")
    if kinds - {str}:
        values = [None if v is None else json.dumps(v, ensure_ascii=False) for v in values]
    # A lone surrogate, as of a file name that is no UTF-8, fits in neither file.
    texts = [v if v is None else v.encode(errors="replace").decode() for v in values]
    return pd.Series(texts, dtype="string")


def write(frame: pd.DataFrame, path: Path, to: Literal["csv", "parquet"]) -> None:
    """Write a table as a file, which is there complete or not at all.

    Raises
    ------
    DataError
        When the file cannot be written.
    """
    try:
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}-") as aside:
            made = Path(aside) / path.name
            if to == "csv":
                frame.to_csv(made, index=False)
            else:
                frame.to_parquet(made, engine="pyarrow", index=False)
            os.replace(made, path)
    except OSError as error:
        raise DataError(f"{path}: cannot be written: {error.strerror or error}") from None
