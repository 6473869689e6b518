"""One integer seed at the edge, and under it named, independent generators."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np

from mlsdm.checks import as_whole
from mlsdm.errors import ParameterError, nearest

__all__ = ["Name", "generator"]

# A name's place is its spawn key: append only, so that no other stream ever shifts.
Name = Literal[
    "vectors",
    "moral",
    "comments",
    "bootstrap",
    "splits",
    "sensitivity",
    "cues",
    "requests",
    "answers",
]


def generator(seed: int, name: Name) -> np.random.Generator:
    """Return the generator of one named purpose under an integer seed of at least 0.

    Raises
    ------
    ParameterError
        When the seed is no whole number of at least 0, or the name is unknown.
    """
    names = get_args(Name)
    if name not in names:
        raise ParameterError(f"generator.name: {name!r} is unknown{nearest(str(name), names)}")
    entropy, key = as_whole("generator.seed", seed, 0), names.index(name)
    return np.random.default_rng(np.random.SeedSequence(entropy, spawn_key=(key,)))
