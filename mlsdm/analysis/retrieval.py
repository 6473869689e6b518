"""How good a retrieval is: precision and recall against noise, load and the phase tolerance."""

from __future__ import annotations

import numbers
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from mlsdm.checks import as_generator
from mlsdm.engine.inputs import as_distance, as_fraction, as_values
from mlsdm.engine.lattice import LatticeParams, PhaseEntangledLatticeMemory
from mlsdm.errors import ParameterError

__all__ = [
    "drop_words",
    "lattice_of",
    "mean_cosines",
    "noisy_cues",
    "precision_recall",
    "right_recalls",
    "tolerance_table",
]

Vectors = NDArray[np.float32]


def lattice_of(vectors: Any, phases: ArrayLike) -> PhaseEntangledLatticeMemory:
    """Return a lattice that holds these vectors, row i the i-th, and has no room for more.

    Parameters
    ----------
    vectors
        (rows, dim), at least one row.
    phases
        One phase in [0, 1] for all, or (rows,).

    Raises
    ------
    ParameterError
        When the vectors or the phases are not as said.
    """
    rows = np.asarray(vectors)
    if rows.ndim != 2 or not len(rows):
        raise ParameterError(
            f"lattice_of.vectors: must have shape (rows, dim), at least one row (got {rows.shape})"
        )
    alone = isinstance(phases, numbers.Real)
    each = as_values("lattice_of", [phases] * len(rows) if alone else phases, field="phases")
    if len(each) != len(rows):
        raise ParameterError(
            f"lattice_of.phases: must be one for all, or one a row, {len(rows)} (got {len(each)})"
        )
    lattice = PhaseEntangledLatticeMemory(LatticeParams(capacity=len(rows)), rows.shape[1])
    for vector, phase in zip(rows, each, strict=True):
        lattice.entangle(vector, float(phase))
    return lattice


def noisy_cues(vectors: Vectors, noise: float, rng: np.random.Generator) -> Vectors:
    """Return (n, dim) the vectors with normal noise, `noise` times as long as they are.

    The length is that of the root mean square; the cosine of a cue with its vector is about
    1/√(1 + noise²).

    Parameters
    ----------
    vectors
        (n, dim)
    noise
        At least 0.
    rng
        Draws the noise.

    Raises
    ------
    ParameterError
        When an argument is not allowed.
    """
    noise = as_distance("noisy_cues.noise", noise)
    if np.ndim(vectors) != 2:
        raise ParameterError(
            f"noisy_cues.vectors: must have shape (n, dim) (got {np.shape(vectors)})"
        )
    drawn = as_generator("noisy_cues.rng", rng).standard_normal(vectors.shape)
    length = noise * np.linalg.norm(vectors, axis=1, keepdims=True) / np.sqrt(vectors.shape[1])
    cues: Vectors = (vectors + length * drawn).astype(np.float32)
    return cues


def drop_words(texts: Sequence[str], share: float, rng: np.random.Generator) -> list[str]:
    """Return the texts with each word left out with a probability, one word at least kept.

    Parameters
    ----------
    texts
        Words are what white space parts.
    share
        Probability in [0, 1] that a word is left out.
    rng
        Draws the words.

    Raises
    ------
    ParameterError
        When an argument is not allowed.
    """
    share = as_fraction("drop_words.share", share)
    as_generator("drop_words.rng", rng)
    shorter = []
    for text in texts:
        words = text.split()
        kept = rng.random(len(words)) >= share
        if words and not kept.any():
            kept[rng.integers(len(words))] = True
        shorter.append(" ".join(word for word, stays in zip(words, kept, strict=True) if stays))
    return shorter


def precision_recall(
    lattice: PhaseEntangledLatticeMemory,
    queries: Vectors,
    query_labels: ArrayLike,
    row_labels: ArrayLike,
    phase: float,
    tolerance: float | None = None,
    top_k: int | None = None,
) -> pd.DataFrame:
    """Return how many of the rows that each query finds are its own kind, and how many of those.

    Label the rows by themselves, 0, 1, …, to ask whether a cue finds the one row that it is of.

    Parameters
    ----------
    lattice
        What is asked.
    queries
        (queries, dim)
    query_labels, row_labels
        (queries,) and (rows,) labels of any type that compares: relevant are equal ones.
    phase, tolerance, top_k
        As of `PhaseEntangledLatticeMemory.retrieve`.

    Returns
    -------
    One row a query: ``precision`` (share of the rows found that are relevant, NaN where none is
    found), ``recall`` (share of the relevant rows that are found, NaN where there are none) and
    ``hit`` (whether any relevant row is found).

    Raises
    ------
    ParameterError
        When an argument is not allowed, or there is not one label for each.
    """
    asked, stored = np.asarray(query_labels), np.asarray(row_labels)
    owner = "precision_recall"
    for name, labels, n in (("query", asked, len(queries)), ("row", stored, lattice.size)):
        if labels.shape != (n,):
            raise ParameterError(
                f"{owner}.{name}_labels: must have shape ({n},) (got {labels.shape})"
            )
    rows, _ = lattice.retrieve_many(queries, phase, tolerance, top_k)
    found = (stored[rows] == asked[:, None]).sum(axis=1)
    kinds, counts = np.unique(stored, return_counts=True)
    place = np.minimum(np.searchsorted(kinds, asked), len(kinds) - 1)
    relevant = np.where(kinds[place] == asked, counts[place], 0)
    with np.errstate(invalid="ignore"):
        shares = {
            "precision": found / np.full(len(asked), rows.shape[1]),
            "recall": found / relevant,
        }
    return pd.DataFrame({**shares, "hit": found > 0})


def right_recalls(
    lattice: PhaseEntangledLatticeMemory,
    cues: Vectors,
    phase: float,
    tolerance: float | None = None,
    top_k: int = 1,
) -> NDArray[np.bool_]:
    """Return (cues,) whether cue i finds row i of the lattice among the `top_k` best.

    Parameters
    ----------
    lattice
        What is asked; it has at least as many rows as there are cues.
    cues
        (cues, dim) of the first rows, in their order.
    phase, tolerance, top_k
        As of `PhaseEntangledLatticeMemory.retrieve`.

    Raises
    ------
    ParameterError
        When an argument is not allowed.
    """
    own, rows = np.arange(len(cues)), np.arange(lattice.size)
    found = precision_recall(lattice, cues, own, rows, phase, tolerance, top_k)
    return found["hit"].to_numpy()


def tolerance_table(
    phases: ArrayLike, groups: ArrayLike, asked: Mapping[Any, float], tolerances: Sequence[float]
) -> pd.DataFrame:
    """Return precision and recall of what a phase tolerance lets through, whatever the vectors.

    The set-up of the original's calibration table: every row in phase is returned, and relevant are
    the rows of the group that the phase stands for.

    Parameters
    ----------
    phases
        (rows,) phases of the rows, in [0, 1].
    groups
        (rows,) group of each row.
    asked
        Phase to ask with for each group.
    tolerances
        Phase tolerances to try.

    Returns
    -------
    One row a tolerance: ``tolerance``, ``precision`` (mean over the groups that find anything) and
    ``recall`` (mean over groups).

    Raises
    ------
    ParameterError
        When an argument is not allowed.
    """
    labels = np.asarray(groups)
    lattice = lattice_of(np.ones((len(labels), 1), np.float32), phases)
    query = np.ones((1, 1), np.float32)
    rows = []
    for tolerance in tolerances:
        found = pd.concat(
            precision_recall(lattice, query, [group], labels, phase, tolerance, len(labels))
            for group, phase in asked.items()
        )
        shares = found[["precision", "recall"]].mean()
        rows.append({"tolerance": float(tolerance), **shares.to_dict()})
    return pd.DataFrame(rows)


def mean_cosines(vectors: Vectors, labels: ArrayLike) -> tuple[float, float]:
    """Return the mean cosine of two rows of the same label, and of two rows of different ones.

    NaN where there are no two such rows.

    Parameters
    ----------
    vectors
        (rows, dim)
    labels
        (rows,)

    Raises
    ------
    ParameterError
        When there is not one label a row.
    """
    kinds = np.asarray(labels)
    if np.ndim(vectors) != 2 or kinds.shape != (len(vectors),):
        raise ParameterError(
            f"mean_cosines.labels: must be one a row of (rows, dim) vectors "
            f"(got {kinds.shape} for {np.shape(vectors)})"
        )
    units = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)
    cosines, same = units @ units.T, kinds[:, None] == kinds
    other = ~same
    np.fill_diagonal(same, False)
    within, between = (
        float(cosines[pairs].mean()) if pairs.any() else float("nan") for pairs in (same, other)
    )
    return within, between
