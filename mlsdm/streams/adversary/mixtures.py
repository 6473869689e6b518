"""Streams whose mixture changes, whatever the policy does."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mlsdm.checks import as_generator, as_whole
from mlsdm.engine.inputs import as_fraction
from mlsdm.errors import ParameterError
from mlsdm.streams.adversary.classes import SAFE, TOXIC, Classes, Values, mixture
from mlsdm.streams.stream import Stream

__all__ = ["bursts", "share_shift", "slow_drift"]


def share_shift(
    n: int,
    rng: np.random.Generator,
    *,
    shares: Sequence[float] = (0.1, 0.9),
    at: Sequence[int] | None = None,
    toxic: Values = TOXIC,
    safe: Values = SAFE,
) -> Stream:
    """Return a stream whose toxic share changes abruptly.

    Parameters
    ----------
    n
        Events.
    rng
        Draws labels and values.
    shares
        The toxic shares, one after the other: the probability that an event is toxic.
    at
        The events at which a share takes over from the one before, one fewer than shares; by
        default all shares last equally long.
    toxic, safe
        What the values of a class are drawn from: a pair (low, high), or an array.

    Raises
    ------
    ParameterError
        When an argument is not allowed.
    """
    owner = "share_shift"
    n, rng = as_whole(f"{owner}.n", n, 0), as_generator(f"{owner}.rng", rng)
    levels = [as_fraction(f"{owner}.shares", share) for share in shares]
    if not levels:
        raise ParameterError(f"{owner}.shares: must hold at least one share (got none)")
    if at is None:
        at = [n * i // len(levels) for i in range(1, len(levels))]
    changes = [as_whole(f"{owner}.at", event, 0, n) for event in at]
    if len(changes) != len(levels) - 1 or changes != sorted(changes):
        raise ParameterError(
            f"{owner}.at: must be {len(levels) - 1} events in order, one fewer than shares "
            f"(got {list(at)})"
        )
    classes = Classes.of(owner, toxic, safe)
    share = np.repeat(levels, np.diff([0, *changes, n]))
    told = " to ".join(f"{level:g}" for level in levels)
    return mixture(rng.random(n) < share, classes, rng, f"share_shift(n={n}, {told})")


def slow_drift(
    n: int,
    rng: np.random.Generator,
    *,
    shares: tuple[float, float] = (0.1, 0.9),
    toxic: Values = TOXIC,
    safe: Values = SAFE,
    later_toxic: Values | None = None,
    later_safe: Values | None = None,
) -> Stream:
    """Return a stream whose toxic share, and whose classes, change evenly from start to end.

    Parameters
    ----------
    n
        Events.
    rng
        Draws labels and values.
    shares
        The toxic share at the first event and at the last.
    toxic, safe
        What the values of a class are drawn from at first: a pair (low, high), or an array.
    later_toxic, later_safe
        What they are drawn from at last, with a probability that grows evenly; by default the same.

    Raises
    ------
    ParameterError
        When an argument is not allowed.
    """
    owner = "slow_drift"
    n, rng = as_whole(f"{owner}.n", n, 0), as_generator(f"{owner}.rng", rng)
    if len(shares) != 2:
        raise ParameterError(f"{owner}.shares: must be two shares, first and last (got {shares!r})")
    first, last = (as_fraction(f"{owner}.shares", share) for share in shares)
    classes = Classes.of(owner, toxic, safe)
    later = Classes.of(
        f"{owner}.later",
        toxic if later_toxic is None else later_toxic,
        safe if later_safe is None else later_safe,
    )
    source = f"slow_drift(n={n}, {first:g} to {last:g})"
    labels = rng.random(n) < np.linspace(first, last, n)
    start, end = (mixture(labels, one, rng, source) for one in (classes, later))
    turned = rng.random(n) < np.linspace(0.0, 1.0, n)
    values = np.where(turned, end.moral_values, start.moral_values)
    return Stream(moral_values=values, toxic=labels, source=source)


def bursts(
    n: int,
    rng: np.random.Generator,
    *,
    shares: tuple[float, float] = (0.05, 0.9),
    lengths: tuple[float, float] = (100.0, 20.0),
    toxic: Values = TOXIC,
    safe: Values = SAFE,
) -> Stream:
    """Return a stream of calm and toxic times in turn, as a Markov chain of two states makes them.

    Parameters
    ----------
    n
        Events, the first in a calm time.
    rng
        Draws times, labels and values.
    shares
        The toxic share in calm times and in bursts.
    lengths
        Mean events of a calm time and of a burst, at least 1; each length is geometric.
    toxic, safe
        What the values of a class are drawn from: a pair (low, high), or an array.

    Raises
    ------
    ParameterError
        When an argument is not allowed.
    """
    owner = "bursts"
    n, rng = as_whole(f"{owner}.n", n, 0), as_generator(f"{owner}.rng", rng)
    for name, pair in (("shares", shares), ("lengths", lengths)):
        if len(pair) != 2:
            raise ParameterError(f"{owner}.{name}: must be two, calm and burst (got {pair!r})")
    levels = [as_fraction(f"{owner}.shares", share) for share in shares]
    for length in lengths:
        if not 1 <= length < np.inf:
            raise ParameterError(f"{owner}.lengths: must be at least 1 event (got {length!r})")
    classes = Classes.of(owner, toxic, safe)
    bursting = np.empty(n, bool)
    begun, burst = 0, False
    while begun < n:
        ends = min(n, begun + int(rng.geometric(1.0 / lengths[burst])))
        bursting[begun:ends] = burst
        begun, burst = ends, not burst
    share = np.where(bursting, levels[1], levels[0])
    source = f"bursts(n={n}, {levels[0]:g} and {levels[1]:g})"
    return mixture(rng.random(n) < share, classes, rng, source)
