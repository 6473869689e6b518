"""The fields of a stream as they come from outside: checked and converted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlsdm.errors import DataError

__all__ = ["Array", "as_labels", "as_numbers", "as_unit_numbers", "as_vectors", "stacked"]

Array = NDArray[Any]

LABELS = {
    **dict.fromkeys(("0", "0.0", "false", "safe"), False),
    **dict.fromkeys(("1", "1.0", "true", "toxic"), True),
}


def _wrong(owner: str, allowed: str, got: object, row: int, place: str = "") -> DataError:
    plain = got.item() if isinstance(got, np.generic) else got
    return DataError(
        f"{owner}: must be {allowed} (got {plain!r} at row {row}{place}, counted from 0)"
    )


def _number(value: object) -> float:
    if isinstance(value, bool):
        return float("nan")
    try:
        return float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        return float("nan")


def as_numbers(array: Array) -> NDArray[np.float64]:
    """Return the 1-d `array` as float64, with NaN for what is no real number."""
    if array.dtype.kind in "iuf":
        return array.astype(np.float64)
    return np.array([_number(value) for value in array.tolist()], dtype=np.float64)


def as_unit_numbers(owner: str, array: Array) -> NDArray[np.float64]:
    """Return the 1-d `array` as numbers in [0, 1].

    Raises
    ------
    DataError
        Names `owner`, the first row that is none and its value.
    """
    numbers = as_numbers(array)
    bad = ~((numbers >= 0) & (numbers <= 1))
    if bad.any():
        row = int(bad.argmax())
        raise _wrong(owner, "a number in [0, 1]", array[row], row)
    return numbers


def as_labels(owner: str, array: Array) -> NDArray[np.bool_]:
    """Return the 1-d `array` of 0/1, false/true or safe/toxic as bool.

    Raises
    ------
    DataError
        Names `owner`, the first row that is none of these and its value.
    """
    labels = [LABELS.get(str(value).strip().lower()) for value in array.tolist()]
    if None in labels:
        row = labels.index(None)
        raise _wrong(owner, "0, 1, false, true, safe or toxic", array[row], row)
    return np.array(labels, dtype=np.bool_)


def stacked(owner: str, array: Array) -> Array:
    """Return a 2-d array, or a 1-d one of equally long lists, as a 2-d array of real numbers.

    What is no number in a list becomes NaN.

    Raises
    ------
    DataError
        Names `owner` and what it is, or the first row that is no list or of another length.
    """
    if array.ndim == 1:
        rows: list[NDArray[np.float64]] = []
        for row, vector in enumerate(array.tolist()):
            try:
                numbers = np.asarray(vector)
            except ValueError:  # lists of several lengths in a list
                numbers = np.empty(())
            if numbers.ndim != 1:
                raise _wrong(owner, "a list of numbers (or columns v0, v1, …)", vector, row)
            rows.append(as_numbers(numbers))
            if len(numbers) != len(rows[0]):
                allowed = f"{len(rows[0])} numbers, as many as in row 0"
                raise _wrong(owner, allowed, len(numbers), row)
        array = np.array(rows)
    if array.dtype.kind not in "iuf" or array.ndim != 2 or array.shape[1] == 0:
        is_now = f"{array.dtype} of shape {array.shape}"
        raise DataError(f"{owner}: must be a 2-d array of real numbers (got {is_now})")
    return array


def as_vectors(
    owner: str, numbers: Array, written: Callable[[int, int], object]
) -> NDArray[np.float32]:
    """Return the 2-d array `numbers` as float32; `written` gives a value as its source has it.

    Raises
    ------
    DataError
        Names `owner`, the first row with a value that is not finite, and the value.
    """
    with np.errstate(over="ignore"):
        vectors = numbers.astype(np.float32)
    bad = ~np.isfinite(vectors)
    if bad.any():
        row, place = (int(i) for i in np.argwhere(bad)[0])
        value = written(row, place)
        raise _wrong(owner, "numbers that are finite in float32", value, row, f", column {place}")
    return vectors
