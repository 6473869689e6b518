"""Scorers: from texts to moral values, 1 for harmless and 0 for toxic."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mlsdm.citing import cites
from mlsdm.errors import DataError, ParameterError
from mlsdm.registry import Registry
from mlsdm.streams.fields import as_unit_numbers
from mlsdm.streams.texts import as_texts, text_extra
from mlsdm.streams.trained import TRAINED, TrainedScorer

__all__ = ["SCORERS", "Scorer", "scorer", "scorer_label", "scorer_named"]

Scorer = Callable[[Sequence[str]], ArrayLike]

SCORERS: Registry[Scorer] = Registry("scorer", "mlsdm.scorers")
"""Scorers by name."""

S = TypeVar("S", bound=Scorer)


def _as_scorer(name: str, thing: object) -> None:
    if not callable(thing):
        raise ParameterError(f"scorer {name!r}: must be a function of texts (got {thing!r})")


def scorer(name: str) -> Callable[[S], S]:
    """Put a function from a sequence of texts to their moral values in [0, 1] under a name.

    An installed package does the same by an entry point in the group ``mlsdm.scorers``.

    Parameters
    ----------
    name
        What it is asked for by, as in ``comments(100, rng, scorer=name)``; a name that is taken
        is given to the new one.

    Raises
    ------
    ParameterError
        When the name is not a text, or what is put under it is no function.
    """
    if callable(name):
        raise ParameterError('scorer: must be given a name, as in @scorer("name")')

    def made(function: S) -> S:
        _as_scorer(name, function)
        SCORERS.add(name, function)
        return function

    return made


def scorer_named(name: str) -> Callable[[Sequence[str]], NDArray[np.float64]]:
    """Return the scorer of that name; what it returns is checked whenever it is called.

    Raises
    ------
    ParameterError
        When there is none, or it is no function.
    DataError
        When the package that provides it cannot be loaded. The scorer itself raises it for what is
        not a sequence of texts, and for what is not one number in [0, 1] for each of them.
    """
    score = SCORERS.named(name)
    _as_scorer(name, score)

    def checked(texts: Sequence[str]) -> NDArray[np.float64]:
        given = as_texts(texts)
        returned = score(list(given))
        try:
            values = np.asarray(returned)
        except ValueError:  # lists of several lengths
            values = np.empty((), object)
        if values.dtype.kind not in "iuf" or values.shape != (len(given),):
            raise DataError(
                f"scorer {name!r}: must return one number per text "
                f"(got {values.dtype} of shape {values.shape} for {len(given)} texts)"
            )
        return as_unit_numbers(f"moral value by scorer {name!r}", values)

    return checked


def scorer_label(name: str) -> str:
    """Return a scorer's name as a record has it: a trained one with its fingerprint."""
    found = SCORERS.named(name)
    return f"{name} {found.classifier.fingerprint}" if isinstance(found, TrainedScorer) else name


for _trained in TRAINED.values():
    SCORERS.add(_trained.name, _trained)


@lru_cache(maxsize=1)
def _analyzer() -> Any:
    with text_extra("vaderSentiment"):
        from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer
    return SentimentIntensityAnalyzer()


@scorer("vader")
@cites("hutto2014")
def _vader(texts: Sequence[str]) -> NDArray[np.float64]:
    """Return (compound + 1) / 2 of VADER, Hutto & Gilbert 2014 (10.1609/icwsm.v8i1.14550)."""
    compound = [_analyzer().polarity_scores(text)["compound"] for text in as_texts(texts)]
    return (np.array(compound, dtype=np.float64) + 1.0) / 2.0
