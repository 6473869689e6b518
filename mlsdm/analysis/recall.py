"""What an engine can recall, asked by phase."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mlsdm.analysis.interval import Interval
from mlsdm.analysis.metrics import semantic_coherence
from mlsdm.analysis.statistics import mean_interval
from mlsdm.engine.controller import CognitiveController
from mlsdm.engine.lattice import Recall
from mlsdm.engine.result import Result
from mlsdm.engine.rhythm import PHASES
from mlsdm.errors import ParameterError

__all__ = [
    "agreement_by_label",
    "label_agreement",
    "recall_by_phase",
    "recall_of_stored",
    "row_labels",
]


def recall_by_phase(engine: CognitiveController, queries: NDArray[np.float32]) -> pd.DataFrame:
    """Return how many rows queries find in each phase, and how near they are.

    Parameters
    ----------
    engine
        The engine whose lattice is asked, in both phases whatever its own is.
    queries
        (queries, dim).

    Returns
    -------
    One row a phase: ``phase``, ``rows`` (in phase), ``found`` (mean per query) and ``coherence``.
    """
    rows = []
    for phase in PHASES:
        value = engine.params.rhythm.phase_value(phase)
        recalls = [engine.lattice.retrieve(query, value) for query in queries]
        rows.append(
            {
                "phase": phase,
                "rows": int(_in_phase(engine, value).sum()),
                "found": float(np.mean([len(found) for found in recalls])),
                "coherence": semantic_coherence(recalls),
            }
        )
    return pd.DataFrame(rows)


def recall_of_stored(
    engine: CognitiveController, vectors: NDArray[np.float32], cues: NDArray[np.float32]
) -> pd.DataFrame:
    """Return how many of the vectors are held in each phase, and how many of those a cue finds.

    Parameters
    ----------
    engine
        The engine whose lattice is asked, in both phases whatever its own is.
    vectors
        (vectors, dim) what was committed once.
    cues
        (vectors, dim) what each of them is asked for with.

    Returns
    -------
    One row a phase: ``phase``, ``held`` (share of the vectors) and ``found`` (share of those held
    that are among the rows recalled); NaN where there is nothing to share.
    """
    rows = []
    for phase in PHASES:
        value = engine.params.rhythm.phase_value(phase)
        stored = {row.tobytes() for row in engine.lattice.vectors[_in_phase(engine, value)]}
        wanted = [np.asarray(vector, np.float32).tobytes() for vector in vectors]
        held = [vector in stored for vector in wanted]
        found = [
            any(r.vector.tobytes() == vector for r in engine.lattice.retrieve(cue, value))
            for vector, cue in zip(wanted, cues, strict=True)
            if vector in stored
        ]
        shares = (float(np.mean(hits)) if hits else float("nan") for hits in (held, found))
        rows.append(dict(zip(("phase", "held", "found"), (phase, *shares), strict=True)))
    return pd.DataFrame(rows)


def _in_phase(engine: CognitiveController, phase: float) -> NDArray[np.bool_]:
    """Return (rows,) which rows of the lattice a retrieval in a phase takes in."""
    reach = np.float32(engine.params.lattice.phase_tolerance)
    near: NDArray[np.bool_] = np.abs(engine.lattice.phases - np.float32(phase)) <= reach
    return near


def row_labels(result: Result, labels: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the label of each lattice row that an event of the run was committed to.

    Rows written by replay are False; ask in the wake phase, where there are none.

    Parameters
    ----------
    result
        A run with vectors whose lattice never was full, so that no row was written twice.
    labels
        (events,) label of each event of the run.

    Raises
    ------
    ParameterError
        When the lattice is full.
    """
    lattice = result.engine.lattice
    if lattice.size == lattice.params.capacity:
        raise ParameterError(
            f"row_labels.result: needs a lattice that is not full (got {lattice.size} rows)"
        )
    before = np.concatenate([[0], result.lattice_size[:-1]])
    found = np.zeros(lattice.size, dtype=np.bool_)
    found[before[result.committed]] = labels[result.committed]
    return found


def label_agreement(
    recalls: Sequence[Sequence[Recall]],
    query_labels: NDArray[np.bool_],
    labels: NDArray[np.bool_],
) -> NDArray[np.float64]:
    """Return (queries,) share of recalled rows with their query's label; NaN where none was found.

    Parameters
    ----------
    recalls
        What each query found.
    query_labels
        (queries,) label of each query.
    labels
        (rows,) label of each row of the lattice.
    """
    return np.array(
        [
            np.mean([labels[recall.row] == label for recall in found]) if found else np.nan
            for found, label in zip(recalls, query_labels, strict=True)
        ]
    )


def agreement_by_label(
    recalls: Sequence[Sequence[Recall]],
    query_labels: NDArray[np.bool_],
    labels: NDArray[np.bool_],
    toxic_share: float,
    rng: np.random.Generator,
) -> pd.DataFrame:
    """Return how often toxic and safe queries recall their own kind, against rows at random.

    Parameters
    ----------
    recalls, query_labels, labels
        As of `label_agreement`; a label is True where something is toxic.
    toxic_share
        Share of what was stored that is toxic.
    rng
        Draws the resamples of the intervals.

    Returns
    -------
    Columns ``queries`` (``"toxic"`` or ``"safe"``), ``rows`` (``"recalled"`` or ``"at random"``)
    and those of an `Interval` over queries; at random it has no width. A kind that no query is of,
    or that finds nothing, has no rows.
    """
    agreement = label_agreement(recalls, query_labels, labels)
    rows = []
    for kind, own, chance in (
        ("toxic", query_labels, toxic_share),
        ("safe", ~query_labels, 1 - toxic_share),
    ):
        if np.isfinite(agreement[own]).any():
            found = mean_interval(agreement[own], rng)
            drawn = Interval(chance, chance, chance, int(own.sum()))
            rows += [
                {"queries": kind, "rows": "recalled", **found._asdict()},
                {"queries": kind, "rows": "at random", **drawn._asdict()},
            ]
    return pd.DataFrame(rows, columns=["queries", "rows", *Interval._fields])
