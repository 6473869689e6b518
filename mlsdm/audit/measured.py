"""What is measured of one claim, and how the samples of many seeds make it up."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["Measured", "Sample", "over_seeds", "repeated"]

Floats = NDArray[np.float64]


class Sample(NamedTuple):
    """One seed's figure, its control, and by how much the control speaks for the figure.

    The figure means what it says where the `margin` is not negative.
    """

    figure: float
    control: float
    margin: float


@dataclass(frozen=True)
class Measured:
    """What was measured of one claim.

    Parameters
    ----------
    regenerated
        The figure of the stated set-up itself, or of all data that stand in for the stated ones.
    values, control, margin
        (seeds,) of each seed, as in `Sample`.
    facts
        Further numbers that an explanation may name.
    """

    regenerated: float
    values: Floats
    control: Floats
    margin: Floats
    facts: Mapping[str, float] = field(default_factory=dict)


Samples = tuple[Mapping[str, Sample], Mapping[str, float]]
"""The samples of one seed by the id of the claim, and facts."""


def over_seeds(
    sample: Callable[[int], Samples], seeds: Iterable[int], stated: int
) -> dict[str, Measured]:
    """Measure claims with every seed, and with the stated one.

    Parameters
    ----------
    sample
        Returns the samples of one seed.
    seeds
        The seeds of the statistics.
    stated
        The seed of the stated set-up.
    """
    own, _ = sample(stated)
    drawn = [sample(seed) for seed in seeds]
    facts = {name: float(np.nanmean([f[name] for _, f in drawn])) for name in drawn[0][1]}
    return {
        id: repeated([samples[id] for samples, _ in drawn], one.figure, facts)
        for id, one in own.items()
    }


def repeated(
    samples: Iterable[Sample], regenerated: float, facts: Mapping[str, float] | None = None
) -> Measured:
    """Return what several samples of one claim amount to."""
    values, control, margin = np.array(list(samples), dtype=np.float64).T
    return Measured(regenerated, values, control, margin, facts or {})
