"""The signal-to-noise ratio of a stored trace against its age."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mlsdm.checks import as_whole
from mlsdm.engine.inputs import as_distance
from mlsdm.errors import ParameterError

__all__ = [
    "Curve",
    "Readout",
    "Retention",
    "as_ages",
    "as_list",
    "best_square",
    "log_ages",
    "pooled",
]

Floats = NDArray[np.float64]
Ages = NDArray[np.int64]

Readout = int | Literal["best"]
"""A variable, counted from 0, or the linear combination of all that is best at each age."""

NEGLIGIBLE = 1e-10  # of the largest eigenvalue: directions without noise hold rounding only


def log_ages(last: int, per_decade: int = 12) -> Ages:
    """Return whole ages from 0 to `last`, in events, about equally spaced on a logarithmic axis.

    Raises
    ------
    ParameterError
        When an argument is not a whole number of at least 1.
    """
    as_whole("log_ages.last", last, 1)
    as_whole("log_ages.per_decade", per_decade, 1)
    n = 1 + math.ceil(per_decade * math.log10(last))
    return np.unique(np.append(0, np.round(np.geomspace(1, last, n)))).astype(np.int64)


def as_ages(name: str, values: ArrayLike) -> Ages:
    """Return (ages,) whole numbers from 0 on in rising order, or refuse them in that name."""
    ages = np.asarray(values)
    whole = ages.ndim == 1 and ages.size > 0 and np.issubdtype(ages.dtype, np.integer)
    if not whole or ages[0] < 0 or np.any(np.diff(ages) <= 0):
        raise ParameterError(f"{name}: must be whole ages from 0 on, in rising order (got {ages})")
    return ages.astype(np.int64)


def as_list(name: str, values: Any, kind: type = object) -> list[Any]:
    """Return what a sequence holds, all of one kind, or refuse it in that name."""
    held = list(values) if isinstance(values, Iterable) and not isinstance(values, str) else None
    if held is None or not all(isinstance(one, kind) for one in held):
        of = "" if kind is object else f" of {kind.__name__}"
        raise ParameterError(f"{name}: must be a sequence{of} (got {type(values).__name__})")
    return held


@dataclass(frozen=True, eq=False)
class Curve:
    """Signal-to-noise ratio against age.

    Parameters
    ----------
    ages
        (ages,) events since the trace was stored, rising; 0 is right after it.
    snr
        (ages,) dimensionless.
    """

    ages: Ages
    snr: Floats

    @property
    def initial(self) -> float:
        """The ratio at the first age."""
        return float(self.snr[0])

    def lifetime(self, level: float = 1.0) -> float:
        """Return the age in events at which the ratio first falls below `level`.

        Between two ages its logarithm is taken to be straight. 0 where it is below from the start,
        infinite where it is never below.

        Raises
        ------
        ParameterError
            When the level is no finite number of at least 0.
        """
        level = as_distance("Curve.lifetime.level", level)
        below = np.flatnonzero(self.snr < level)
        if not below.size:
            return math.inf
        i = int(below[0])
        if i == 0:
            return 0.0
        before, after = self.snr[i - 1], max(self.snr[i], 1e-150)
        share = math.log(before / level) / math.log(before / after)
        return float(self.ages[i - 1] + share * (self.ages[i] - self.ages[i - 1]))

    def exponent(self, first: float, last: float) -> float:
        """Return the slope of log ratio on log age, by least squares over ages in [first, last].

        Raises
        ------
        ParameterError
            When an argument is not allowed, or fewer than two ages of at least 1 lie there.
        """
        first = as_distance("Curve.exponent.first", first)
        last = as_distance("Curve.exponent.last", last)
        within = (self.ages >= max(first, 1)) & (self.ages <= last) & (self.snr > 0.0)
        if within.sum() < 2:
            raise ParameterError(
                f"Curve.exponent: needs two ages of at least 1 in [{first:g}, {last:g}] "
                f"(got {within.sum()})"
            )
        x, y = np.log(self.ages[within]), np.log(self.snr[within])
        return float(np.polyfit(x, y, 1)[0])


@dataclass(frozen=True, eq=False)
class Retention:
    """What the variables of a memory hold of one stored pattern, and what of all others.

    Every variable holds a vector with the components of the patterns, and answers a pattern with
    the overlap, their inner product.

    Parameters
    ----------
    ages
        (ages,) events since the pattern was stored, rising.
    signal
        (ages, variables) mean overlap with a pattern of that age, less that with a novel one.
    noise
        (variables, variables) covariance of the overlaps with a novel pattern.
    """

    ages: Ages
    signal: Floats
    noise: Floats

    def snr(self, readout: Readout = "best") -> Curve:
        """Return signal over noise: how far old patterns stand out from novel ones, as d′.

        The best readout weighs the variables anew at each age, as an ideal observer who knows the
        age would; no linear one has a larger ratio. A variable that holds nothing has ratio 0.

        Raises
        ------
        ParameterError
            When the readout is no variable and not "best".
        """
        if isinstance(readout, str):
            if readout != "best":
                raise ParameterError(
                    f'Retention.snr.readout: must be a variable or "best" (got {readout!r})'
                )
            return Curve(self.ages, np.sqrt(best_square(self.signal, self.noise)))
        k = as_whole("Retention.snr.readout", readout, 0, self.noise.shape[0] - 1)
        deviation = math.sqrt(self.noise[k, k])
        empty = np.zeros(self.ages.size)
        return Curve(self.ages, self.signal[:, k] / deviation if deviation > 0.0 else empty)


def pooled(retentions: Sequence[Retention]) -> Retention:
    """Return the mean signal and the mean noise over seeds, measured at the same ages.

    Raises
    ------
    ParameterError
        When there is none, or their ages or variables differ.
    """
    retentions = as_list("pooled.retentions", retentions, Retention)
    if not retentions:
        raise ParameterError("pooled.retentions: must hold at least one (got none)")
    ages = retentions[0].ages
    if any(not np.array_equal(ages, one.ages) for one in retentions):
        raise ParameterError("pooled.retentions: must have the same ages")
    if len({one.noise.shape for one in retentions}) > 1:
        raise ParameterError("pooled.retentions: must have as many variables each")
    signal = np.mean([one.signal for one in retentions], axis=0)
    return Retention(ages, signal, np.mean([one.noise for one in retentions], axis=0))


def best_square(signal: Floats, noise: Floats) -> Any:
    """Return sᵀ C⁻¹ s over the last axis of `signal`; leading axes of `noise` are a batch."""
    deviation = np.sqrt(np.diagonal(noise, axis1=-2, axis2=-1))
    scale = np.where(deviation > 0.0, deviation, np.inf)  # what holds nothing counts for nothing
    scaled = signal / scale[..., None, :]
    correlation = noise / (scale[..., :, None] * scale[..., None, :])
    inverse = np.linalg.pinv(correlation, rcond=NEGLIGIBLE, hermitian=True)
    return np.einsum("...ai,...ij,...aj->...a", scaled, inverse, scaled)
