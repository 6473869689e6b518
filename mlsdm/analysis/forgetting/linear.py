"""Memories that are linear in what they store: their signal and noise are exact."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mlsdm.analysis.forgetting.retention import Retention, as_ages
from mlsdm.checks import as_generator, as_whole
from mlsdm.errors import ParameterError

__all__ = ["LinearMemory"]

Floats = NDArray[np.float64]

DOUBLINGS = 64  # sums over 2^64 events; less than that is left where a memory forgets at all


@dataclass(frozen=True, eq=False)
class LinearMemory:
    """Variables u with u ← A·u + b·x for every event x, each component of x by itself.

    Parameters
    ----------
    transition
        (variables, variables) A, whose eigenvalues are below 1 in magnitude.
    drive
        (variables,) b.

    Raises
    ------
    ParameterError
        When the shapes do not fit, or the memory never forgets.
    """

    transition: Floats
    drive: Floats

    def __post_init__(self) -> None:
        for name, given in (("transition", self.transition), ("drive", self.drive)):
            numeric = isinstance(given, np.ndarray) and given.dtype.kind in "fiu"
            if not numeric or not np.isfinite(given).all():
                raise ParameterError(
                    f"LinearMemory.{name}: must be an array of finite numbers (got {given!r})"
                )
        m = self.drive.size
        if self.drive.shape != (m,) or self.transition.shape != (m, m):
            raise ParameterError(
                "LinearMemory.transition: must be (variables, variables) for the drive's "
                f"(variables,) (got {self.transition.shape} and {self.drive.shape})"
            )
        largest = np.abs(np.linalg.eigvals(self.transition)).max(initial=0.0)
        if not largest < 1.0:
            raise ParameterError(
                "LinearMemory.transition: must have eigenvalues below 1 in magnitude "
                f"(got {largest:.17g})"
            )

    @property
    def time_constants(self) -> Floats:
        """(variables,) events in which each mode falls to 1/e, rising; 0 for one gone at once."""
        sizes = np.sort(np.abs(np.linalg.eigvals(self.transition)))
        with np.errstate(divide="ignore"):
            return np.asarray(-1.0 / np.log(sizes))

    @property
    def covariance(self) -> Floats:
        """(variables, variables) Σₛ h(s)·h(s)ᵀ: what independent events of variance 1 leave."""
        return stationary(self.transition, self.drive)

    def response(self, ages: ArrayLike) -> Floats:
        """Return (ages, variables) the impulse response h(a) = Aᵃ·b.

        Raises
        ------
        ParameterError
            When the ages are not whole, from 0 on and rising.
        """
        asked = as_ages("LinearMemory.response.ages", ages)
        held, age = self.drive, 0
        rows = np.empty((asked.size, self.drive.size))
        for row, next_age in zip(rows, asked.tolist(), strict=True):
            held = np.linalg.matrix_power(self.transition, next_age - age) @ held
            row[:], age = held, next_age
        return rows

    def retention(self, ages: ArrayLike, dim: int) -> Retention:
        """Return the exact signal and noise of patterns that are independent of each other.

        A pattern has `dim` uncorrelated components, mean 0, and length 1.

        Parameters
        ----------
        ages
            (ages,) whole events from 0 on, rising.
        dim
            Components of a pattern: synapses.

        Raises
        ------
        ParameterError
            When an argument is not allowed.
        """
        as_whole("LinearMemory.retention.dim", dim, 1)
        asked = as_ages("LinearMemory.retention.ages", ages)
        return Retention(asked, self.response(asked), self.covariance / dim)

    def simulate(
        self,
        ages: ArrayLike,
        dim: int,
        events: int,
        rng: np.random.Generator,
        burn_in: int | None = None,
    ) -> Retention:
        """Return signal and noise measured on `dim` synapses that take in patterns of ±1/√dim.

        Parameters
        ----------
        ages
            (ages,) whole events from 0 on, rising.
        dim
            Synapses.
        events
            Events to measure after.
        rng
            Draws the patterns.
        burn_in
            Events before them; three times the longest time constant where None, and at least the
            largest age.

        Raises
        ------
        ParameterError
            When an argument is not allowed.
        """
        owner = "LinearMemory.simulate"
        asked = as_ages(f"{owner}.ages", ages)
        as_whole(f"{owner}.dim", dim, 1)
        as_whole(f"{owner}.events", events, 2)
        as_generator(f"{owner}.rng", rng)
        start = round(3 * float(self.time_constants[-1])) if burn_in is None else burn_in
        start = max(as_whole(f"{owner}.burn_in", start, 0), int(asked[-1]))
        signs = rng.integers(0, 2, (start + events, dim), np.int8) * np.int8(2) - np.int8(1)
        novel = rng.integers(0, 2, (events, dim), np.int8) * np.int8(2) - np.int8(1)
        held = np.zeros((self.drive.size, dim))
        old = np.zeros((asked.size, self.drive.size))
        new = np.empty((events, self.drive.size))
        for t, pattern in enumerate(signs):
            held = self.transition @ held + np.outer(self.drive, pattern)
            if t >= start:
                old += signs[t - asked] @ held.T
                new[t - start] = held @ novel[t - start]
        signal = (old / events - new.mean(axis=0)) / dim
        return Retention(asked, signal, np.atleast_2d(np.cov(new / dim, rowvar=False)))


def stationary(transition: Floats, drive: Floats) -> Floats:
    """Return C with C = A·C·Aᵀ + b·bᵀ by doubling; leading axes are a batch of memories."""
    power = transition
    total = drive[..., :, None] * drive[..., None, :]
    for _ in range(DOUBLINGS):
        added = power @ total @ np.swapaxes(power, -1, -2)
        total = total + added
        power = power @ power
        if np.all(np.abs(added) <= 1e-17 * np.abs(total).max(axis=(-2, -1), keepdims=True)):
            break
    return total
