"""What no policy can do with a threshold on the moral value alone, at a steady toxic share."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mlsdm.citing import cites
from mlsdm.engine.inputs import as_fraction, as_values
from mlsdm.errors import ParameterError

__all__ = ["Frontier", "frontier"]


class Frontier(NamedTuple):
    """The least errors that can be had together from the moral values of two classes.

    Parameters
    ----------
    safe_refused, toxic_passed
        (k,) vertices of a convex line: any error pair on it is had by tossing a coin between two
        fixed thresholds, and none below it can be had.
    """

    safe_refused: NDArray[np.float64]
    toxic_passed: NDArray[np.float64]

    def room(self, toxic_passed: float, safe_refused: float) -> float:
        """Return by how much both errors can be lower at once; below 0, how far they are beyond.

        Raises
        ------
        ParameterError
            When an error is no share.
        """
        passed = as_fraction("Frontier.room.toxic_passed", toxic_passed)
        refused = as_fraction("Frontier.room.safe_refused", safe_refused)
        # Along the diagonal: x = refused - room meets the line where y = passed - room.
        x, y = self.safe_refused, self.toxic_passed
        across = (y - passed) - (x - refused)  # falls from vertex to vertex
        place = float(np.interp(0.0, across[::-1], x[::-1]))
        return refused - place


@cites("neyman1933")
def frontier(toxic: Any, safe: Any) -> Frontier:
    """Return the least long-run errors of policies that hold the moral value against a threshold.

    It holds where events are independent with one toxic share throughout, whatever the policy
    remembers: its threshold does not depend on the event at hand, so its errors are means, with the
    same weights, of those of fixed thresholds, and lie on or above the convex hull of these. Where
    the share of safe events grows with the value, as of any sensible scorer, no other use of the
    value alone is better (Neyman & Pearson 1933, 10.1098/rsta.1933.0009). Where shares change, a
    policy that follows them can be.

    Parameters
    ----------
    toxic, safe
        (n,) moral values of each class, each as likely.

    Raises
    ------
    ParameterError
        When a class has no value.
    """
    both = []
    for name, values in (("toxic", toxic), ("safe", safe)):
        numbers = np.sort(as_values(f"frontier.{name}", values))
        if not len(numbers):
            raise ParameterError(f"frontier.{name}: must hold at least one value (got none)")
        both.append(numbers)
    thresholds = np.append(np.unique(np.concatenate(both)), np.inf)
    passed = 1.0 - np.searchsorted(both[0], thresholds) / len(both[0])
    refused = np.searchsorted(both[1], thresholds) / len(both[1])
    hull: list[tuple[float, float]] = []
    for x, y in zip(refused, passed, strict=True):  # from all accepted to none
        while hull and hull[-1][0] == x:  # a higher threshold that refuses no more safe events
            hull.pop()
        while len(hull) > 1 and _above(hull[-2], hull[-1], (x, y)):
            hull.pop()
        hull.append((float(x), float(y)))
    line = np.array(hull).T
    return Frontier(line[0], line[1])


def _above(
    first: tuple[float, float], middle: tuple[float, float], last: tuple[float, float]
) -> bool:
    """Return whether the middle one of three points lies on or above the line of the others."""
    (x0, y0), (x1, y1), (x2, y2) = first, middle, last
    return (y1 - y0) * (x2 - x0) >= (y2 - y0) * (x1 - x0)
