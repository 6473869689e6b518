"""The checks that stand between a caller's values and the compiled rules."""

from __future__ import annotations

import numbers
import sys
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from mlsdm.checks import as_whole
from mlsdm.engine.rules import bits
from mlsdm.errors import ParameterError

__all__ = [
    "MOST_DIMENSIONS", "as_context", "as_contexts", "as_dim", "as_distance", "as_fraction",
    "as_labels", "as_matrix", "as_moral_value", "as_params", "as_row", "as_rows", "as_table",
    "as_values", "as_vector", "check_finite", "check_fits", "check_numbers", "check_shares",
]  # fmt: skip

P = TypeVar("P")

MOST_DIMENSIONS = 32_767  # more, and neither checks nor bounds of retrieval would hold


def as_params(owner: str, params: Any, kind: type[P]) -> P:
    """Return a parameter object of the kind that the owner takes, or refuse what else it is."""
    if not isinstance(params, kind):
        raise ParameterError(f"{owner}.params: must be {kind.__name__} (got {params!r})")
    return params


def as_dim(owner: str, dim: Any) -> int:
    """Return a vector dimension, a whole number from 1 to 32,767, or refuse it."""
    return as_whole(f"{owner}.dim", dim, 1, MOST_DIMENSIONS)


def _is_real(value: Any) -> bool:
    if type(value) is float:  # by far the most, and the check of an abstract class is slow
        return True
    return isinstance(value, numbers.Real) and not isinstance(value, (bool, np.bool_))


def as_fraction(name: str, value: Any) -> float:
    """Return a real number in [0, 1] as a float, or refuse it in the name of `name`."""
    if not _is_real(value) or not 0 <= value <= 1:
        raise ParameterError(f"{name}: must be a number in [0, 1] (got {value!r})")
    return float(value)


def as_distance(name: str, value: Any) -> float:
    """Return a finite real number of at least 0 as a float, or refuse it in the name of `name`."""
    if not _is_real(value) or not 0 <= value <= sys.float_info.max:
        raise ParameterError(f"{name}: must be a finite number of at least 0 (got {value!r})")
    return float(value)


def as_moral_value(owner: str, value: Any) -> float:
    """Return one moral value as a float in [0, 1], or refuse it."""
    return as_fraction(f"{owner}.moral_value", value)


def as_context(owner: str, context: Any, value: float) -> float:
    """Return one context as a float in [0, 1], by default the moral value, or refuse it."""
    return value if context is None else as_fraction(f"{owner}.context", context)


def _array(name: str, values: Any) -> NDArray[Any]:
    if isinstance(values, np.ma.MaskedArray):
        raise ParameterError(f"{name}: must not be a masked array (got one)")
    try:
        return np.asarray(values)
    except ValueError as error:  # ragged nested lists
        raise ParameterError(f"{name}: must be a regular array of real numbers ({error})") from None


def _real_array(name: str, values: Any) -> NDArray[Any]:
    array = _array(name, values)
    if array.dtype.kind not in "fiu":
        raise ParameterError(
            f"{name}: must hold real numbers of a float or integer type (got dtype {array.dtype})"
        )
    return array


def as_values(
    owner: str, values: Any, fleet: bool = False, field: str = "moral_values"
) -> NDArray[Any]:
    """Return moral values (n,), of a fleet also (runs, n), of any real type, or refuse them."""
    name = f"{owner}.{field}"
    array = _real_array(name, values)
    if array.ndim != 1 and not (fleet and array.ndim == 2):
        more = ", or two, (runs, events)" if fleet else ""
        raise ParameterError(
            f"{name}: must have one dimension, (events,){more} (got shape {array.shape})"
        )
    return array


def as_contexts(owner: str, contexts: Any, values: NDArray[Any]) -> NDArray[np.float64]:
    """Return contexts, one for each moral value, or none at all; or refuse them."""
    name = f"{owner}.context"
    if contexts is None:
        return np.empty((*values.shape[:-1], 0))
    array = _real_array(name, contexts)
    if not _is_beside(array, values):
        raise ParameterError(
            f"{name}: must hold one number per moral value, {values.shape[-1]} "
            f"(got shape {array.shape})"
        )
    check_shares(name, array)
    return np.require(array, np.float64, ["C", "A", "W"])


def as_labels(owner: str, labels: Any, values: NDArray[Any]) -> NDArray[np.int8]:
    """Return labels, one for each moral value, or none at all; or refuse them."""
    name = f"{owner}.labels"
    if labels is None:
        return np.empty((*values.shape[:-1], 0), np.int8)
    array = _array(name, labels)
    if not (array.dtype.kind in "biu" or array.size == 0) or not _is_beside(array, values):
        raise ParameterError(
            f"{name}: must hold one bool, or -1, 0 or 1, per moral value, {values.shape[-1]} "
            f"(got {array.dtype} of shape {array.shape})"
        )
    _check_each(name, array, (array >= -1) & (array <= 1), "-1 (unknown), 0 (safe) or 1 (toxic)")
    return np.require(array, np.int8, ["C", "A", "W"])


def _is_beside(array: NDArray[Any], values: NDArray[Any]) -> bool:
    """Return whether there is one for each moral value: of all runs, or of each."""
    return 1 <= array.ndim <= values.ndim and array.shape[-1] == values.shape[-1]


def check_shares(name: str, array: NDArray[Any]) -> None:
    """Refuse numbers that are not all in [0, 1], naming the first."""
    with np.errstate(invalid="ignore"):  # a signalling NaN is invalid
        inside = (array >= 0.0) & (array <= 1.0)
    _check_each(name, array, inside, "a number in [0, 1]")


def _check_each(name: str, array: NDArray[Any], fits: NDArray[np.bool_], allowed: str) -> None:
    if not fits.all():
        place = tuple(int(i) for i in np.argwhere(~fits)[0])
        at = ", ".join(map(str, place))
        raise ParameterError(f"{name}[{at}]: must be {allowed} (got {array[place]})")


def check_numbers(owner: str, values: NDArray[np.float64], done: int, first: int = 0) -> None:
    """Refuse the moral value that the rules stopped at, if they did not take all of them."""
    if done < len(values):
        raise ParameterError(
            f"{owner}.moral_values[{first + done}]: must be a number in [0, 1] (got {values[done]})"
        )


def _check_shape(name: str, array: NDArray[Any], shape: tuple[int | None, ...]) -> None:
    inner = ", ".join("events" if n is None else str(n) for n in shape)
    wanted = f"({inner},)" if len(shape) == 1 else f"({inner})"
    fits = array.ndim == len(shape) and all(
        n is None or n == m for n, m in zip(shape, array.shape, strict=True)
    )
    if not fits:
        raise ParameterError(f"{name}: must have shape {wanted} (got {array.shape})")


def _as_float32(name: str, values: Any, shape: tuple[int | None, ...]) -> NDArray[np.float32]:
    array = _real_array(name, values)
    _check_shape(name, array, shape)
    with np.errstate(over="ignore", invalid="ignore"):  # a signalling NaN is invalid
        # Compiled for one layout only: a read-only array would compile every rule once more.
        return np.require(array, np.float32, ["C", "A", "W"])


def check_finite(name: str, values: Any, converted: NDArray[np.float32], first: int = 0) -> None:
    """Refuse what was not finite, or did not stay so in float32, by its place from `first` on."""
    bad = bits.first_not_finite(converted.reshape(-1))
    if bad >= 0:
        place = np.unravel_index(bad, converted.shape)
        index = ", ".join(map(str, [first + int(place[0]), *map(int, place[1:])]))
        got = np.asarray(values)[place]
        raise ParameterError(f"{name}[{index}]: must be finite in float32 (got {got})")


def as_row(owner: str, vector: Any, dim: int, field: str = "vector") -> NDArray[np.float32]:
    """Return one vector as contiguous (dim,) float32, or refuse it; it may yet not be finite."""
    return _as_float32(f"{owner}.{field}", vector, (dim,))


def as_vector(owner: str, vector: Any, dim: int, field: str = "vector") -> NDArray[np.float32]:
    """Return one finite vector as contiguous (dim,) float32, or refuse it."""
    converted = as_row(owner, vector, dim, field)
    check_finite(f"{owner}.{field}", vector, converted)
    return converted


def as_table(owner: str, vectors: Any, dim: int, field: str = "vectors") -> NDArray[Any]:
    """Return vectors as an (events, dim) array of whatever real type, or refuse them."""
    name = f"{owner}.{field}"
    array = _real_array(name, vectors)
    if array.shape == (0,):  # an empty list has no second dimension
        array = array.reshape(0, dim)
    _check_shape(name, array, (None, dim))
    return array


def as_rows(owner: str, vectors: Any, dim: int, field: str = "vectors") -> NDArray[np.float32]:
    """Return vectors as contiguous (events, dim) float32; they may yet not be finite."""
    return _as_float32(f"{owner}.{field}", as_table(owner, vectors, dim, field), (None, dim))


def as_matrix(owner: str, vectors: Any, dim: int, field: str = "vectors") -> NDArray[np.float32]:
    """Return finite vectors as contiguous (events, dim) float32, or refuse them."""
    converted = as_rows(owner, vectors, dim, field)
    check_finite(f"{owner}.{field}", vectors, converted)
    return converted


def check_fits(name: str, fits: bool) -> None:
    """Refuse a vector, called `name`, that would carry the synaptic levels out of float32."""
    if not fits:
        raise ParameterError(
            f"{name}: the synaptic levels would leave float32; the vector must be smaller"
        )
