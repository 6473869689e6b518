"""What may be recorded as a result, as plain numbers, text and bytes."""

from __future__ import annotations

import datetime
import hashlib
import io
import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from pydantic import ConfigDict

from mlsdm.analysis.interval import Interval
from mlsdm.checks import as_whole
from mlsdm.errors import ParameterError
from mlsdm.streams.stream import Stream

__all__ = ["Cell", "Dataset", "content"]

Cell = bool | int | float | str | None
"""One cell of a recorded table."""


@dataclass(frozen=True)
class Dataset:
    """What is known of a stream, and a SHA-256 of its arrays and texts; None for what it lacks."""

    source: str
    events: int
    toxic_share: float | None
    scorer: str | None
    dimension: int | None
    digest: str

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(
        strict=True, extra="forbid", allow_inf_nan=False
    )

    def __post_init__(self) -> None:
        share = 0.0 if self.toxic_share is None else self.toxic_share
        dimension = 0 if self.dimension is None else self.dimension
        digest = re.fullmatch("[0-9a-f]{64}", self.digest)
        if min(self.events, dimension) < 0 or not 0 <= share <= 1 or not digest:
            raise ParameterError(
                "record.value: a dataset must have at least 0 events and dimensions, a toxic share "
                f"in [0, 1] and a SHA-256 (got {self!r})"
            )

    @property
    def text(self) -> str:
        """The dataset in a few words."""
        parts = [f"{self.events} events"]
        if self.toxic_share is not None:
            parts.append(f"{self.toxic_share:.1%} toxic")
        if self.dimension is not None:
            parts.append(f"{self.dimension}-d vectors")
        if self.scorer is not None:
            parts.append(f"scored by {self.scorer}")
        return f"{', '.join(parts)}; {self.source or 'no source given'}"


def content(value: object) -> dict[str, Any]:
    """Return the kind of `value` and its plain content, as fields of a Record.

    Numbers that are not finite become None and are counted in ``nonfinite``.

    Parameters
    ----------
    value : object
        A real number; an Interval, whose mean is the number; a 1-d array, list or pandas Series of
        numbers, whose integer index gives the steps; a DataFrame, whose integer index without a
        name is taken as row numbers and left out; a Stream; or a matplotlib Figure.

    Raises
    ------
    ParameterError
        For any other value.
    """
    if isinstance(value, pd.DataFrame):
        return _table(value)
    if isinstance(value, Interval):
        return _interval(value)
    if isinstance(value, Stream):
        return {"kind": "dataset", "dataset": _dataset(value)}
    steps: Sequence[int] | None = None
    array: Any = value
    if isinstance(value, pd.Series):
        steps = _steps(value.index)
        numeric = pd.api.types.is_numeric_dtype(value) and value.dtype.kind != "c"
        array = value.to_numpy(float, na_value=math.nan) if numeric else None
    try:
        numbers = np.asarray(float(value) if isinstance(value, int) else array)
    except (OverflowError, ValueError):  # an int beyond all floats, a ragged list
        numbers = np.empty((), dtype=object)
    if numbers.dtype.kind not in "biuf" or numbers.ndim > 1 or np.ma.isMaskedArray(value):
        return {"kind": "figure", "png": _png(value)}
    values = tuple(x if math.isfinite(x) else None for x in map(float, numbers.reshape(-1)))
    nonfinite = values.count(None)
    if numbers.ndim == 0:
        return {"kind": "metric", "value": values[0], "nonfinite": nonfinite}
    steps = range(len(values)) if steps is None else steps
    return {"kind": "series", "steps": tuple(steps), "values": values, "nonfinite": nonfinite}


def _interval(value: Interval) -> dict[str, Any]:
    mean, low, high = (content(number) for number in value[:3])
    if any(part["kind"] != "metric" for part in (mean, low, high)):
        raise ParameterError(f"record.value: an Interval must hold numbers (got {value!r})")
    n = as_whole("record.value.n", value.n, 0)
    return {**mean, "interval": (low["value"], high["value"], n)}


def _dataset(stream: Stream) -> Dataset:
    digest = hashlib.sha256()
    for name in ("moral_values", "vectors", "toxic"):
        if (part := getattr(stream, name)) is not None:
            array = np.ascontiguousarray(part)
            little = array.astype(array.dtype.newbyteorder("<"), copy=False)
            digest.update(f"{name} {little.dtype.str} {little.shape}\n".encode())
            digest.update(little.data)
    if stream.texts is not None:
        digest.update(json.dumps(["texts", *stream.texts]).encode())
    known = stream.toxic is not None and len(stream) > 0
    return Dataset(
        source=stream.source,
        events=len(stream),
        toxic_share=float(np.mean(stream.need_toxic())) if known else None,
        scorer=stream.scorer,
        dimension=None if stream.vectors is None else int(stream.vectors.shape[1]),
        digest=digest.hexdigest(),
    )


def _steps(index: pd.Index[Any]) -> list[int] | None:
    if not pd.api.types.is_integer_dtype(index.dtype):
        return None
    if not (index.is_monotonic_increasing and index.is_unique):
        raise ParameterError("record.value: the steps (its integer index) must increase strictly")
    return [int(step) for step in index]


def _table(frame: pd.DataFrame) -> dict[str, Any]:
    if frame.index.names != [None] or not pd.api.types.is_integer_dtype(frame.index.dtype):
        frame = frame.reset_index(allow_duplicates=True)
    columns: dict[str, list[Cell]] = {}
    nonfinite = 0
    for place, label in enumerate(frame.columns):
        title = "/".join(map(str, label)) if isinstance(label, tuple) else str(label)
        if title in columns:
            raise ParameterError(f"record.value: the table has two columns {title!r}")
        column = frame.iloc[:, place].astype(object)
        columns[title] = [_cell(title, cell) for cell in column]
        if pd.api.types.is_numeric_dtype(frame.dtypes.iloc[place]):
            nonfinite += columns[title].count(None)
        else:  # here a missing text is NaN too: only an infinity is surely a number
            nonfinite += sum(isinstance(cell, float) and math.isinf(cell) for cell in column)
    rows = tuple(zip(*columns.values(), strict=True))
    return {"kind": "table", "columns": tuple(columns), "rows": rows, "nonfinite": nonfinite}


def _cell(column: str, cell: object) -> Cell:
    if isinstance(cell, np.generic):
        cell = cell.item()
    if isinstance(cell, float):
        return cell if math.isfinite(cell) else None
    if cell is None or cell is pd.NA or cell is pd.NaT:
        return None
    if isinstance(cell, bool | int | str):
        return cell
    if isinstance(cell, datetime.date):
        return cell.isoformat()
    raise ParameterError(
        f"record.value: column {column!r} must hold numbers, text or dates "
        f"(got {type(cell).__name__})"
    )


def _png(value: object) -> bytes:
    from matplotlib.figure import Figure

    if not isinstance(value, Figure):
        raise ParameterError(
            "record.value: must be a real number, an Interval, a 1-d array, list or pandas Series "
            "of numbers, a DataFrame, a Stream or a matplotlib Figure "
            f"(got {type(value).__name__})"
        )
    image = io.BytesIO()
    value.savefig(image, format="png", bbox_inches="tight", metadata={"Software": None})
    return image.getvalue()
