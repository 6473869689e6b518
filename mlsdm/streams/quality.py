"""How well moral values tell toxic events from safe ones."""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Real
from statistics import NormalDist

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from mlsdm.checks import as_whole
from mlsdm.citing import cites
from mlsdm.errors import DataError, ParameterError
from mlsdm.streams.fields import as_unit_numbers

__all__ = ["ScorerReport", "auc", "auc_interval", "calibration", "roc", "scorer_report"]


@dataclass(frozen=True, eq=False)
class ScorerReport:
    """What a scorer is worth on comments that it was not trained on.

    Parameters
    ----------
    auc, auc_low, auc_high
        Area under the ROC curve, and its 95 % interval (DeLong).
    brier
        Mean squared difference of P(toxic) and label.
    calibration_error
        Expected calibration error over ten bins of equal width.
    calibration
        The table of `calibration`.
    n_train, n_held_out
        Comments trained on, and comments judged on.
    """

    auc: float
    auc_low: float
    auc_high: float
    brier: float
    calibration_error: float
    calibration: pd.DataFrame
    n_train: int
    n_held_out: int


def _split(
    toxic: ArrayLike, moral_values: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the sorted moral values of the safe and of the toxic events."""
    label, value = np.asarray(toxic), np.asarray(moral_values, dtype=np.float64)
    if label.dtype != np.bool_ or label.ndim != 1:
        raise DataError(f"toxic: must be a 1-d bool array (got {label.dtype}, {label.ndim}-d)")
    if value.shape != label.shape:
        raise DataError(f"moral_values: shape {value.shape} differs from toxic's {label.shape}")
    if not np.isfinite(value).all():
        raise DataError("moral_values: must be finite numbers")
    if min(label.sum(), (~label).sum()) < 1:
        raise DataError(
            f"toxic: needs both toxic and safe events (got {label.sum()} of {len(label)})"
        )
    return np.sort(value[~label]), np.sort(value[label])


def roc(toxic: ArrayLike, moral_values: ArrayLike) -> pd.DataFrame:
    """Return the rates of every fixed threshold that accepts an event iff its value reaches it.

    Parameters
    ----------
    toxic
        (n,) bool.
    moral_values
        (n,) floats; 1 is harmless.

    Returns
    -------
    DataFrame
        threshold, safe_refused (share of the safe that is refused: the false-positive rate) and
        toxic_refused (the true-positive rate), from (0, 0) to (1, 1).

    Raises
    ------
    DataError
        When the arrays do not match, or one of the two kinds is missing.
    """
    safe, bad = _split(toxic, moral_values)
    seen = np.unique(np.concatenate([safe, bad]))
    # Just above the largest value all are refused; infinity would say so too, but is no number.
    threshold = np.append(seen, np.nextafter(seen[-1], np.inf))
    return pd.DataFrame(
        {
            "threshold": threshold,
            "safe_refused": np.searchsorted(safe, threshold) / len(safe),
            "toxic_refused": np.searchsorted(bad, threshold) / len(bad),
        }
    )


def _share_below(others: NDArray[np.float64], values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return for each value the share of the sorted `others` below it, ties counted half."""
    sides = [np.searchsorted(others, values, side=side) for side in ("left", "right")]
    return (sides[0] + sides[1]) / (2 * len(others))


def auc(toxic: ArrayLike, moral_values: ArrayLike) -> float:
    """Return the probability that a safe event has a higher value than a toxic one.

    Raises
    ------
    DataError
        When the arrays do not match, or one of the two kinds is missing.
    """
    safe, bad = _split(toxic, moral_values)
    return float(_share_below(bad, safe).mean())


@cites("delong1988")
def auc_interval(
    toxic: ArrayLike, moral_values: ArrayLike, level: float = 0.95
) -> tuple[float, float]:
    """Return the interval of `auc` by DeLong, DeLong & Clarke-Pearson 1988 (10.2307/2531595).

    Raises
    ------
    ParameterError
        When the level does not lie between 0 and 1.
    DataError
        When the arrays do not match, or there are fewer than two events of a kind.
    """
    if not isinstance(level, Real) or not 0 < level < 1:
        raise ParameterError(
            f"auc_interval.level: must be a number between 0 and 1, without them (got {level!r})"
        )
    safe, bad = _split(toxic, moral_values)
    if min(len(safe), len(bad)) < 2:
        raise DataError(f"toxic: needs two events of each kind (got {len(bad)} and {len(safe)})")
    above, below = _share_below(bad, safe), _share_below(safe, bad)
    spread = np.sqrt(above.var(ddof=1) / len(safe) + below.var(ddof=1) / len(bad))
    reach = NormalDist().inv_cdf((1 + level) / 2) * spread
    return max(0.0, float(above.mean() - reach)), min(1.0, float(above.mean() + reach))


def calibration(toxic: ArrayLike, moral_values: ArrayLike, bins: int = 10) -> pd.DataFrame:
    """Return P(toxic) = 1 - moral value against what was observed, in bins of equal width.

    Returns
    -------
    DataFrame
        low, high, mean_predicted, observed and count of each bin that is not empty.

    Raises
    ------
    ParameterError
        When `bins` is no whole number of at least 1.
    DataError
        When the arrays do not match, one of the two kinds is missing, or a moral value lies
        outside [0, 1].
    """
    bins = as_whole("calibration.bins", bins, 1)
    _split(toxic, moral_values)
    values = as_unit_numbers("moral_values", np.asarray(moral_values, dtype=np.float64))
    predicted = 1.0 - values
    bin_of = np.clip((predicted * bins).astype(int), 0, bins - 1)
    count = np.bincount(bin_of, minlength=bins)
    full = count > 0
    number = np.arange(bins)[full]
    return pd.DataFrame(
        {
            "low": number / bins,
            "high": (number + 1) / bins,
            "mean_predicted": np.bincount(bin_of, predicted, bins)[full] / count[full],
            "observed": np.bincount(bin_of, np.asarray(toxic), bins)[full] / count[full],
            "count": count[full],
        }
    )


def scorer_report(toxic: ArrayLike, moral_values: ArrayLike, n_train: int = 0) -> ScorerReport:
    """Return the report of a scorer that was trained on `n_train` other comments.

    Raises
    ------
    DataError
        When the arrays do not match, there are fewer than two events of a kind, or a moral value
        lies outside [0, 1].
    """
    low, high = auc_interval(toxic, moral_values)
    table = calibration(toxic, moral_values)
    label = np.asarray(toxic)
    gap = (table["mean_predicted"] - table["observed"]).abs()
    return ScorerReport(
        auc=auc(toxic, moral_values),
        auc_low=low,
        auc_high=high,
        brier=float(np.mean((1.0 - np.asarray(moral_values) - label) ** 2)),
        calibration_error=float((gap * table["count"]).sum() / len(label)),
        calibration=table,
        n_train=n_train,
        n_held_out=len(label),
    )
