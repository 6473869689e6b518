"""Synthetic streams whose classes overlap as those of a real one do."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mlsdm.checks import as_generator, as_whole
from mlsdm.engine.inputs import as_fraction
from mlsdm.engine.policies.pooling import LEAST
from mlsdm.errors import DataError
from mlsdm.streams.stream import Stream

__all__ = ["matched"]


def matched(stream: Stream, n: int, toxic_share: float, rng: np.random.Generator) -> Stream:
    """Return n synthetic events that resemble a labelled stream.

    In each class the log odds of moral value and context are jointly normal, with the means and
    covariances of the stream (our own choice): the classes overlap as much, without its texts.

    Parameters
    ----------
    stream
        What to resemble; with at least two events of each class.
    n
        Events.
    toxic_share
        Share of toxic events in [0, 1], their number rounded.
    rng
        Draws the events and their order.

    Raises
    ------
    ParameterError
        When an argument is out of range.
    DataError
        When the stream has no labels, or fewer than two events of a class.
    """
    n, rng = as_whole("matched.n", n, 0), as_generator("matched.rng", rng)
    toxic = np.arange(n) < round(n * as_fraction("matched.toxic_share", toxic_share))
    labels, seen = stream.need_toxic(), [stream.moral_values]
    if stream.context is not None:
        seen.append(stream.context)
    odds = np.stack([_log_odds(values) for values in seen])
    drawn = np.empty((len(seen), n))
    for wanted, kind in ((True, "toxic"), (False, "safe")):
        of_class, here = odds[:, labels == wanted], toxic == wanted
        if of_class.shape[1] < 2:
            raise DataError(f"Stream.toxic: needs two {kind} events in {stream.source}")
        spread = np.atleast_2d(np.cov(of_class))
        drawn[:, here] = rng.multivariate_normal(of_class.mean(1), spread, int(here.sum())).T
    order = rng.permutation(n)
    values = 1.0 / (1.0 + np.exp(-drawn[:, order]))
    return Stream(
        moral_values=values[0],
        toxic=toxic[order],
        source=f"{n} synthetic events like those of {stream.source}",
        context=values[1] if len(seen) > 1 else None,
    )


def _log_odds(values: NDArray[np.float64]) -> NDArray[np.float64]:
    inside = np.clip(values, LEAST, 1.0 - LEAST)
    return np.asarray(np.log(inside / (1.0 - inside)))
