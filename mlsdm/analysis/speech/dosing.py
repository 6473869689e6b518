"""How the detector answers to prose that was made telegraphic to a known degree."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from mlsdm.analysis.speech.judging import PRESETS, Presets, judged
from mlsdm.checks import as_generator
from mlsdm.engine.inputs import as_fraction
from mlsdm.errors import ParameterError
from mlsdm.speech.telegraphing import telegraph
from mlsdm.streams.texts import as_texts

__all__ = ["dose_response", "falls"]


def dose_response(
    texts: Sequence[str],
    doses: ArrayLike,
    rng: np.random.Generator,
    presets: Presets = PRESETS,
) -> pd.DataFrame:
    """Return what presets say of texts telegraphed with each dose.

    What a text loses at one dose it also loses at every higher one.

    Parameters
    ----------
    texts
        Ordinary texts.
    doses
        Numbers in [0, 1].
    rng
        Draws what each text loses.
    presets
        Names of presets, or parameters by name.

    Returns
    -------
    DataFrame
        preset, dose, text (its number), and the columns of its report.

    Raises
    ------
    ParameterError
        When there is no dose, or one outside [0, 1].
    """
    plain = as_texts(texts, "dose_response.texts")
    seeds = as_generator("dose_response.rng", rng).integers(2**63, size=len(plain))
    given = [as_fraction("dose_response.doses", dose) for dose in np.ravel(doses)]
    if not given:
        raise ParameterError("dose_response.doses: must hold at least one dose (got none)")
    parts = []
    for dose in given:
        shortened = [
            telegraph(text, dose, np.random.default_rng(seed))
            for text, seed in zip(plain, seeds, strict=True)
        ]
        table = judged({"telegraphed": shortened}, presets)
        table.insert(1, "dose", dose)
        parts.append(table.drop(columns="kind"))
    return pd.concat(parts, ignore_index=True)


def falls(table: pd.DataFrame) -> pd.Series:
    """Return by preset the largest fall of the mean severity from a dose to the next; 0 if none.

    Parameters
    ----------
    table
        What `dose_response` returns.
    """
    means = table.groupby(["preset", "dose"], sort=True)["severity"].mean().unstack("dose")
    return (means.shift(1, axis=1) - means).max(axis=1).clip(lower=0.0).rename("fall")
