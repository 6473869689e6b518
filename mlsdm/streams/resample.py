"""Streams of any size and toxic share drawn from a labelled one."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mlsdm.checks import as_generator, as_whole
from mlsdm.engine.inputs import as_fraction
from mlsdm.errors import DataError, ParameterError
from mlsdm.streams.stream import Stream

__all__ = ["follow", "resample"]


def resample(stream: Stream, n: int, toxic_share: float | None, rng: np.random.Generator) -> Stream:
    """Return n events drawn with replacement from a labelled stream, in random order.

    Parameters
    ----------
    stream
        Where to draw from.
    n
        Events to draw.
    toxic_share
        Share of toxic events in [0, 1], their number rounded; None draws from all events alike.
    rng
        Draws the events and their order.

    Raises
    ------
    ParameterError
        When an argument is out of range.
    DataError
        When there is no event to draw from, or a share is asked for and the stream has no labels
        or none of a class.
    """
    n, rng = as_whole("resample.n", n, 0), as_generator("resample.rng", rng)
    if toxic_share is None:
        if n and not len(stream):
            raise DataError(f"resample.stream: no event to draw from in {stream!r}")
        picked = rng.integers(len(stream), size=n)
    else:
        n_toxic = round(n * as_fraction("resample.toxic_share", toxic_share))
        picked = rng.permutation(_drawn(stream, np.arange(n) < n_toxic, rng))
    return _picked(stream, picked)


def follow(stream: Stream, toxic: ArrayLike, rng: np.random.Generator) -> Stream:
    """Return an event drawn with replacement for each label, in the order of the labels.

    So a course of toxic shares, such as `adversary.bursts` has, is followed with the events of
    another stream.

    Parameters
    ----------
    stream
        Where to draw from.
    toxic
        (n,) bool.
    rng
        Draws the events.

    Raises
    ------
    ParameterError
        When the labels are no bools in one dimension.
    DataError
        When the stream has no labels, or no event of a class that is asked for.
    """
    labels, rng = np.asarray(toxic), as_generator("follow.rng", rng)
    if labels.dtype != np.bool_ or labels.ndim != 1:
        raise ParameterError(
            f"follow.toxic: must be bools (events,) (got {labels.dtype} of shape {labels.shape})"
        )
    return _picked(stream, _drawn(stream, labels, rng))


def _drawn(
    stream: Stream, labels: NDArray[np.bool_], rng: np.random.Generator
) -> NDArray[np.int64]:
    """Return the place of an event of its class for each label."""
    have, picked = stream.need_toxic(), np.empty(len(labels), np.int64)
    for wanted, kind in ((True, "toxic"), (False, "safe")):
        among, here = np.flatnonzero(have == wanted), labels == wanted
        if here.any() and not among.size:
            raise DataError(f"Stream.toxic: no {kind} event to draw from in {stream.source}")
        if here.any():
            picked[here] = rng.choice(among, size=int(here.sum()))
    return picked


def _picked(stream: Stream, places: NDArray[np.int64]) -> Stream:
    """Return the events at these places."""
    return Stream(
        moral_values=stream.moral_values[places],
        vectors=None if stream.vectors is None else stream.vectors[places],
        toxic=None if stream.toxic is None else stream.toxic[places],
        texts=None if stream.texts is None else [stream.texts[i] for i in places],
        source=f"{len(places)} events drawn from {stream.source}",
        scorer=stream.scorer,
        context=None if stream.context is None else stream.context[places],
    )
