"""Anybody's own data as a stream: from a CSV, Parquet or NPZ file, or from a DataFrame."""

from __future__ import annotations

import re
import warnings
import zipfile
import zlib
from collections.abc import Callable, Collection, Mapping
from os import PathLike
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mlsdm.errors import DataError, ParameterError, nearest
from mlsdm.streams.embedding import embed
from mlsdm.streams.fields import (
    Array,
    as_labels,
    as_numbers,
    as_unit_numbers,
    as_vectors,
    stacked,
)
from mlsdm.streams.scorers import scorer_label, scorer_named
from mlsdm.streams.stream import Stream
from mlsdm.streams.texts import as_texts

__all__ = ["load_stream"]

Columns = dict[str, Array]

FIELDS = ("vector", "text", "moral_value", "score", "label")  # each with or without an s
NUMBERED = re.compile(r"v(0|[1-9]\d*)")


def _frame(frame: pd.DataFrame) -> Columns:
    if not frame.columns.is_unique:
        raise DataError("column names must be unique")
    return {str(name): frame[name].to_numpy() for name in frame.columns}


def _csv(path: Path) -> Columns:
    header = pd.read_csv(path, header=None, nrows=1, dtype=str, keep_default_na=False)
    names = header.iloc[0].tolist()
    if len(set(names)) < len(names):
        raise DataError("column names must be unique")
    # All but the many vector columns stay as they are written, for exact texts and messages.
    vectors = {name for name in names if NUMBERED.fullmatch(name)} if "v0" in names else set()
    written = dict.fromkeys(set(names) - vectors, str)
    with warnings.catch_warnings():
        warnings.simplefilter("error", pd.errors.ParserWarning)  # cells beyond the header
        frame = pd.read_csv(
            path,
            dtype=written,
            keep_default_na=False,
            index_col=False,
            low_memory=False,
        )
    return _frame(frame)


def _parquet(path: Path) -> Columns:
    return _frame(pd.read_parquet(path))


def _npz(path: Path) -> Columns:
    if not zipfile.is_zipfile(path):  # numpy would take it for a pickle
        raise DataError("it is no .npz file")
    columns = {}
    # numpy leaves a file that it opened itself open where the archive is damaged.
    with path.open("rb") as opened, np.load(opened, allow_pickle=False) as stored:
        for name in stored.files:
            try:
                columns[name] = stored[name]
            except ValueError as error:
                raise DataError(
                    f"{name} must be an array of numbers or of text, not of objects ({error})"
                ) from None
    return columns


READERS: dict[str, Callable[[Path], Columns]] = {".csv": _csv, ".npz": _npz, ".parquet": _parquet}


def _read(path: Path) -> Columns:
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise DataError(f"{path}: must be a file ending in {', '.join(READERS)}")
    if not path.is_file():
        raise DataError(f"{path}: there is no such file")
    if path.stat().st_size == 0:
        raise DataError(f"{path}: is empty")
    try:
        return reader(path)
    except (OSError, ValueError, EOFError, zlib.error, zipfile.BadZipFile) as error:
        reason = " ".join(str(error).split())
    except pd.errors.ParserWarning:
        reason = "some rows have more cells than the header"
    raise DataError(f"{path}: cannot be read: {reason}")


def _named(name: str, data: Columns, columns: Mapping[str, str]) -> Columns:
    """Return the columns that are fields, under the fields' names."""
    chosen = {key.removesuffix("s"): column for key, column in columns.items()}
    for key, column in columns.items():
        if key.removesuffix("s") not in FIELDS:
            raise ParameterError(f"load_stream.columns: {key!r} is no field{nearest(key, FIELDS)}")
        if column not in data:
            raise DataError(f"{name}: has no column {column!r}{nearest(str(column), data)}")
    fields = {}
    for field in FIELDS:
        usual = [column for column in (field, f"{field}s") if column in data]
        if field in chosen:
            fields[field] = data[chosen[field]]
        elif len(usual) == 2:
            raise DataError(f"{name}: has both {field!r} and '{field}s'; name one in columns=")
        elif usual:
            fields[field] = data[usual[0]]
    return fields


def _numbered(name: str, data: Columns, taken: Collection[str]) -> Columns:
    """Return the columns v0, v1, … in this order, without those that `columns` gives a name."""
    found = {c: data[c] for c in data if NUMBERED.fullmatch(c) and c not in taken}
    names = [f"v{i}" for i in range(len(found))]
    missing = [column for column in names if column not in found]
    if missing:
        raise DataError(f"{name}: has {len(names)} columns v0, v1, … but no {missing[0]}")
    return {column: found[column] for column in names}


def _check_shapes(name: str, columns: Columns) -> None:
    for column, array in columns.items():
        if array.ndim != 1 and (column, array.ndim) != ("vector", 2):
            raise DataError(f"{name}: {column}: must be 1-d (got shape {array.shape})")
    lengths = {column: len(array) for column, array in columns.items()}
    for column, length in lengths.items():
        first = next(iter(lengths))
        if length != lengths[first]:
            raise DataError(f"{name}: {column} has {length} rows, but {first} has {lengths[first]}")
        if length == 0:
            raise DataError(f"{name}: holds no rows")


def _vectors(name: str, fields: Columns, numbered: Columns) -> NDArray[np.float32] | None:
    owner = f"{name}: vector"
    if "vector" in fields:
        given = fields["vector"]
        return as_vectors(owner, stacked(owner, given), lambda row, place: given[row][place])
    if not numbered:
        return None
    numbers = np.column_stack([as_numbers(column) for column in numbered.values()])
    return as_vectors(owner, numbers, lambda row, place: numbered[f"v{place}"][row])


def load_stream(
    data: str | PathLike[str] | pd.DataFrame,
    *,
    scorer: str = "classifier",
    columns: Mapping[str, str] | None = None,
) -> Stream:
    """Return the stream that a file or a DataFrame describes, one event a row.

    Parameters
    ----------
    data
        A .csv (UTF-8), .parquet or .npz file, or a DataFrame. Its fields, each with or without a
        final s: ``moral_value`` (in [0, 1], 1 is harmless) or ``score`` (P(toxic)), ``text``,
        ``vector`` (a list a row; in an .npz a 2-d array; or else numeric columns v0, v1, …) and
        ``label`` (0/1, false/true or safe/toxic). Texts without moral values are scored, texts
        without vectors are embedded; other columns are ignored.
    scorer
        Who scores texts: a name in `SCORERS`.
    columns
        Where the data name a field otherwise: ``{"text": "comment_text"}``.

    Raises
    ------
    DataError
        When the data cannot be read, hold no events, or hold a value that is not allowed.
    ParameterError
        When `scorer` or a field named in `columns` is unknown.
    """
    score = scorer_named(scorer)
    if isinstance(data, pd.DataFrame):
        name, given = "DataFrame", _frame(data)
    else:
        name, given = Path(data).name, _read(Path(data))
    renamed = columns or {}
    fields = _named(name, given, renamed)
    if "moral_value" in fields and "score" in fields:
        raise DataError(f"{name}: has both moral_value and score; keep one of them")
    numbered = {} if "vector" in fields else _numbered(name, given, renamed.values())
    _check_shapes(name, fields | numbered)

    # Everything is checked before anything is scored or embedded, which takes time.
    toxic = as_labels(f"{name}: label", fields["label"]) if "label" in fields else None
    texts = as_texts(fields["text"].tolist(), f"{name}: text") if "text" in fields else None
    vectors = _vectors(name, fields, numbered)
    if "moral_value" in fields:
        values, origin = as_unit_numbers(f"{name}: moral_value", fields["moral_value"]), "as given"
    elif "score" in fields:
        values, origin = 1.0 - as_unit_numbers(f"{name}: score", fields["score"]), "1 - score"
    elif texts is not None:
        values, origin = score(texts), f"by {scorer_label(scorer)}"
    else:
        raise DataError(f"{name}: needs moral_value, score or text (has {', '.join(given)})")
    source = f"{name}, n={len(values)}, moral values {origin}"
    if vectors is None and texts is not None:
        vectors, source = embed(texts), f"{source}, vectors by wordllama"
    scored_by = None if {"moral_value", "score"} & set(fields) else scorer
    return Stream(values, vectors, toxic, texts, source, scored_by)
