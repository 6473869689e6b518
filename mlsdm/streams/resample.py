"""Streams of any size and toxic share drawn from a labelled one."""

from __future__ import annotations

import numpy as np

from mlsdm.checks import as_generator, as_whole
from mlsdm.engine.inputs import as_fraction
from mlsdm.errors import DataError
from mlsdm.streams.stream import Stream

__all__ = ["resample"]


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
        labels = stream.need_toxic()
        drawn = []
        for wanted, kind, count in ((True, "toxic", n_toxic), (False, "safe", n - n_toxic)):
            among = np.flatnonzero(labels == wanted)
            if count and not among.size:
                raise DataError(f"Stream.toxic: no {kind} event to draw from in {stream.source}")
            drawn.append(rng.choice(among, size=count) if count else among[:0])
        picked = rng.permutation(np.concatenate(drawn))
    return Stream(
        moral_values=stream.moral_values[picked],
        vectors=None if stream.vectors is None else stream.vectors[picked],
        toxic=None if stream.toxic is None else stream.toxic[picked],
        texts=None if stream.texts is None else [stream.texts[i] for i in picked],
        source=f"{n} events drawn from {stream.source}",
        scorer=stream.scorer,
    )
