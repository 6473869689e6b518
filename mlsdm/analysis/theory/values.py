"""Laws of the moral values of a stream: how likely one is at or above a threshold, by class."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mlsdm.engine.inputs import as_fraction, as_values
from mlsdm.errors import ParameterError
from mlsdm.streams.stream import Stream

__all__ = ["Judged", "Labelled", "Uniforms", "judged", "labelled", "uniforms"]

Floats = NDArray[np.float64]
AtLeast = Callable[[Floats], Floats]
"""P(value >= x) for each x."""


@dataclass(frozen=True)
class Uniforms:
    """A mixture of uniform laws, and of atoms where the ends are the same."""

    parts: tuple[tuple[float, float, float], ...]

    def at_least(self, x: Floats) -> Floats:
        """Return P(value >= x)."""
        found = np.zeros(np.shape(x))
        for weight, low, high in self.parts:
            if low == high:
                found += weight * (x <= low)
            else:
                found += weight * np.clip((high - x) / (high - low), 0.0, 1.0)
        return found


@dataclass(frozen=True)
class Labelled:
    """A stream whose labels are known by themselves, whatever the values of the two classes."""

    share: float
    toxic: Any
    safe: Any


class Judged(NamedTuple):
    """A law with its classes; what is in neither class counts in `accepted` only."""

    accepted: AtLeast
    toxic: AtLeast
    """P(value >= x, and the event is toxic)."""
    safe: AtLeast
    toxic_share: float
    safe_share: float

    def chances(self, thresholds: Floats) -> Floats:
        """Return (3, n): the probability of each threshold to be passed, and by which class."""
        return np.stack([part(thresholds) for part in (self.accepted, self.toxic, self.safe)])

    def shares(self, thresholds: Floats, probabilities: Floats) -> Floats:
        """Return toxic passed, safe refused and acceptance, NaN where a class is empty."""
        accepted, toxic, safe = self.chances(thresholds) @ probabilities
        passed = toxic / self.toxic_share if self.toxic_share else math.nan
        refused = 1.0 - safe / self.safe_share if self.safe_share else math.nan
        shares: Floats = np.clip([passed, refused, accepted], 0.0, 1.0)
        return shares


def uniforms(*parts: tuple[float, float, float]) -> Uniforms:
    """Return a mixture of uniform laws, as a stream for `stationary`.

    Parameters
    ----------
    *parts
        (weight, low, high) each, ends in [0, 1]; an atom where low = high. The weights are
        relative.

    Raises
    ------
    ParameterError
        When a part is no such triple, or the weights are all 0.
    """
    made = []
    for i, part in enumerate(parts):
        name = f"uniforms.parts[{i}]"
        if not isinstance(part, (tuple, list)) or len(part) != 3:
            raise ParameterError(f"{name}: must be (weight, low, high) (got {part!r})")
        low, high = as_fraction(f"{name}.low", part[1]), as_fraction(f"{name}.high", part[2])
        try:
            weight = float(part[0])
        except (TypeError, ValueError):
            weight = math.nan
        if not 0 <= weight < math.inf:
            raise ParameterError(
                f"{name}.weight: must be a finite number of at least 0 (got {part[0]!r})"
            )
        if low > high:
            raise ParameterError(f"{name}.low: must be at most high = {high} (got {low})")
        made.append((weight, low, high))
    total = math.fsum(weight for weight, _, _ in made)
    if not 0 < total < math.inf:
        raise ParameterError(f"uniforms.parts: weights must sum to a number above 0 (got {total})")
    return Uniforms(tuple((weight / total, low, high) for weight, low, high in made))


def labelled(share: float, toxic: Any, safe: Any) -> Labelled:
    """Return a stream of two classes by label, which may overlap, for `stationary`.

    Parameters
    ----------
    share
        Share of toxic events in [0, 1].
    toxic, safe
        Values of each class: an array, `uniforms`, or a frozen law of `scipy.stats`.

    Raises
    ------
    ParameterError
        When the share is not in [0, 1], or a class is none of these.
    """
    share = as_fraction("labelled.share", share)
    for name, law in (("toxic", toxic), ("safe", safe)):
        _at_least(f"labelled.{name}", law)
    return Labelled(share, toxic, safe)


def judged(owner: str, stream: Any, toxic_below: float, safe_above: float) -> Judged:
    """Return the law of a stream with its classes, or refuse what is no stream."""
    if isinstance(stream, Stream):
        if stream.toxic is None:
            stream = stream.moral_values
        else:
            parts = (stream.moral_values[stream.toxic], stream.moral_values[~stream.toxic])
            share = len(parts[0]) / max(1, len(stream))
            # A class without events has no values of its own, and its share is 0.
            stream = Labelled(share, *(part if len(part) else [0.0] for part in parts))
    if isinstance(stream, Labelled):
        share = stream.share
        toxic = _at_least(f"{owner}.toxic", stream.toxic)
        safe = _at_least(f"{owner}.safe", stream.safe)
        return Judged(
            lambda x: share * toxic(x) + (1 - share) * safe(x),
            lambda x: share * toxic(x),
            lambda x: (1 - share) * safe(x),
            share,
            1 - share,
        )
    below = as_fraction("stationary.toxic_below", toxic_below)
    above = as_fraction("stationary.safe_above", safe_above)
    if below > above:
        raise ParameterError(
            f"stationary.toxic_below: must be at most safe_above = {above} (got {below})"
        )
    law = _at_least(owner, stream)
    first_safe = np.nextafter(above, np.inf)
    not_toxic, is_safe = (float(law(np.array([x]))[0]) for x in (below, first_safe))
    return Judged(
        law,
        lambda x: np.maximum(law(x) - not_toxic, 0.0),
        lambda x: law(np.maximum(x, first_safe)),
        _share(1.0 - not_toxic),
        _share(is_safe),
    )


def _share(value: float) -> float:
    """Return a share without what rounding leaves of an empty class."""
    return value if value > 1e-12 else 0.0


def _at_least(owner: str, law: Any) -> AtLeast:
    """Return P(value >= x) of a law of values in [0, 1], or refuse what has none."""
    if isinstance(law, Uniforms):
        return law.at_least
    if callable(getattr(law, "sf", None)):  # a law of scipy.stats; the discrete ones have a pmf
        atoms = getattr(law, "pmf", None)
        discrete = callable(atoms) and hasattr(getattr(law, "dist", law), "_pmf")
        found: AtLeast = (lambda x: law.sf(x) + law.pmf(x)) if discrete else law.sf
        ends = found(np.array([0.0, np.nextafter(1.0, 2.0)]))
        if not (ends[0] >= 1 - 1e-12 and ends[1] <= 1e-12):
            raise ParameterError(
                f"{owner}: must be a law of values in [0, 1] (got P(v < 0) = {1 - ends[0]:.3g}, "
                f"P(v > 1) = {ends[1]:.3g})"
            )
        return found
    values = np.sort(as_values(owner, law).astype(np.float64))
    if not len(values):
        raise ParameterError(f"{owner}.moral_values: must hold at least one event (got none)")
    if not (values[0] >= 0 and values[-1] <= 1):  # NaN sorts last
        worst = values[0] if values[0] < 0 else values[-1]
        raise ParameterError(f"{owner}.moral_values: must be numbers in [0, 1] (got {worst})")
    return lambda x: 1.0 - np.searchsorted(values, x, side="left") / len(values)
