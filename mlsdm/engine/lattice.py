"""The phase-entangled lattice memory (PELM): a ring of vectors, each tagged with a phase."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from mlsdm.checks import as_whole
from mlsdm.engine import integrity
from mlsdm.engine.inputs import (
    as_dim,
    as_distance,
    as_fraction,
    as_matrix,
    as_params,
    as_vector,
)
from mlsdm.engine.integrity import Integrity, Memory, Repair
from mlsdm.engine.rules import layout, recall
from mlsdm.engine.rules.lattice import store
from mlsdm.engine.sharing import SharedLock
from mlsdm.errors import RunError
from mlsdm.parameters import Count, Parameters, parameters

__all__ = ["LatticeParams", "PhaseEntangledLatticeMemory", "Recall"]

BLOCK, QUERIES = 2048, 512  # taken at a time by `retrieve_many`: what they give stays near


@parameters
class LatticeParams(Parameters):
    """Parameters of the lattice (values: MLSDM v1.2; `scrub_rows`: our own choice).

    Parameters
    ----------
    capacity
        Rows of the ring, 1 to 1,000,000; when it is full the oldest row goes first.
    phase_tolerance
        How far a row's phase may lie from the one asked for.
    top_k
        Rows that a retrieval returns at most.
    consolidation
        ``"replay"``: on falling asleep, the vectors committed in that wake are entangled once more
        with the sleep phase; ``"none"`` (the released controller).
    scrub_rows
        Rows that are checked for flipped bits before each event, one after another around the
        ring; with 0 nothing is checked but by `verify`.
    """

    capacity: Annotated[int, Field(ge=1, le=1_000_000)] = 20_000
    phase_tolerance: Annotated[float, Field(ge=0)] = 0.15
    top_k: Count = 5
    consolidation: Literal["replay", "none"] = "replay"
    scrub_rows: Annotated[int, Field(ge=0, le=1_000_000)] = 1

    @property
    def rule(self) -> dict[str, Any]:
        """The constants that the compiled rules read, by name."""
        return {"replay": self.consolidation == "replay", "scrub": self.scrub_rows}


@dataclass(frozen=True, eq=False)
class Recall:
    """One row that a retrieval found.

    `vector` is (dim,) float32, a copy; `phase` and `resonance` (the cosine) are numbers; `row` is
    the place in the ring.
    """

    vector: NDArray[np.float32]
    phase: float
    resonance: float
    row: int

    def __repr__(self) -> str:
        return f"Recall(row={self.row}, resonance={self.resonance:.4f}, phase={self.phase:.2f})"


class PhaseEntangledLatticeMemory:
    """The lattice by itself; safe to call from many threads, which retrieve beside one another."""

    def __init__(self, params: LatticeParams | None = None, dim: int = 384) -> None:
        owner = "PhaseEntangledLatticeMemory"
        self.params = LatticeParams() if params is None else as_params(owner, params, LatticeParams)
        self.dim = as_dim(owner, dim)
        self._memory = Memory(
            layout.new_constants(),
            layout.new_state(),
            layout.new_levels(0),
            layout.new_vectors(self.params.capacity, self.dim),
            layout.new_rows(self.params.capacity),
            layout.new_codes(self.params.capacity, self.dim),
        )
        self._lock = SharedLock()

    @property
    def size(self) -> int:
        """Rows in use."""
        return self._memory.size

    @property
    def phases(self) -> NDArray[np.float32]:
        """The phases of the rows in use, by row; a copy; NaN where a row is quarantined."""
        return self._lock.reading(lambda: self._memory.rows["phase"][: self.size].copy())

    @property
    def vectors(self) -> NDArray[np.float32]:
        """The vectors of the rows in use, (size, dim), by row; a copy."""
        return self._lock.reading(lambda: self._memory.vectors[: self.size].copy())

    def entangle(self, vector: Any, phase: float) -> int:
        """Store one vector of shape (dim,) with a phase in [0, 1]; return its row.

        Raises
        ------
        ParameterError
            When the vector or the phase is not allowed; nothing is stored then.
        RunError
            When the ring's numbers are damaged beyond what their copies can restore.
        """
        owner = "PhaseEntangledLatticeMemory.entangle"
        checked = as_vector(owner, vector, self.dim)
        tag = np.float32(as_fraction(f"{owner}.phase", phase))
        _, states, _, vectors, rows, codes = self._memory
        row = int(self._lock.writing(lambda: store(states, vectors, rows, codes, checked, tag)))
        if row < 0:
            raise RunError(f"{owner}: the state is damaged beyond what can be restored")
        return row

    def retrieve(
        self, query: Any, phase: float, tolerance: float | None = None, top_k: int | None = None
    ) -> list[Recall]:
        """Return the rows in phase with the largest cosine to the query, best first.

        Rows of equal resonance come in order of their place. The list is empty where nothing is
        stored or in phase.

        Parameters
        ----------
        query
            Vector of shape (dim,).
        phase
            Phase in [0, 1]; rows whose phase lies within the tolerance are considered, all three
            compared in float32.
        tolerance, top_k
            In place of the parameters' `phase_tolerance` and `top_k`.

        Raises
        ------
        ParameterError
            When an argument is not allowed.
        """
        owner = "PhaseEntangledLatticeMemory.retrieve"
        checked = as_vector(owner, query, self.dim, "query")
        asked = self._asked(owner, phase, tolerance, top_k)
        return self._lock.reading(lambda: self._recall(checked, *asked))

    def _recall(
        self, query: NDArray[np.float32], phase: np.float32, reach: np.float32, wanted: int
    ) -> list[Recall]:
        """Retrieve with checked arguments, under the lock."""
        *_, vectors, rows, codes = self._memory
        size = self.size
        places, resonances = np.empty(min(wanted, size), np.int64), np.empty(min(wanted, size))
        short = np.empty(self.dim, np.int16)
        found = recall.scan(
            size, vectors, rows, codes, query, short, phase, reach, resonances, places
        )
        places, resonances = places[:found], resonances[:found]
        return [
            Recall(
                vectors[places[i]].copy(),
                float(rows["phase"][places[i]]),
                float(resonances[i]),
                int(places[i]),
            )
            for i in np.lexsort((places, -resonances))
        ]

    def retrieve_many(
        self, queries: Any, phase: float, tolerance: float | None = None, top_k: int | None = None
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Return what `retrieve` does for many queries at once: their rows and resonances.

        Parameters
        ----------
        queries
            (n, dim) real numbers.
        phase, tolerance, top_k
            As of `retrieve`.

        Returns
        -------
        rows, resonances
            (n, found) int64 and float64, best first, where found is `top_k` or the number of rows
            in phase, if that is less.

        Raises
        ------
        ParameterError
            When an argument is not allowed.
        """
        owner = "PhaseEntangledLatticeMemory.retrieve_many"
        checked = as_matrix(owner, queries, self.dim, "queries")
        tag, reach, wanted = self._asked(owner, phase, tolerance, top_k)
        return self._lock.reading(lambda: self._recall_many(checked, tag, reach, wanted))

    def _recall_many(
        self, queries: NDArray[np.float32], phase: np.float32, reach: np.float32, wanted: int
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Retrieve for many with checked arguments, under the lock."""
        *_, vectors, rows, _ = self._memory
        norms = recall.row_norms(queries)
        units = (queries / norms[:, None]).astype(np.float32)
        places = np.flatnonzero(np.abs(rows["phase"][: self.size] - phase) <= reach)
        best = np.zeros((len(queries), min(wanted, len(places))), np.int64)
        resonances = np.full(best.shape, -np.inf)
        room = np.empty((min(BLOCK, len(places)), min(QUERIES, len(queries))), np.float32)
        for first in range(0, len(queries), QUERIES):
            some = slice(first, first + QUERIES)
            found = np.zeros(len(queries[some]), np.int64)
            floors = np.full(len(found), -np.inf, np.float32)
            for start in range(0, len(places), BLOCK):
                block = places[start : start + BLOCK]
                consecutive = block[-1] - block[0] + 1 == len(block)
                whole = slice(block[0], block[-1] + 1)
                chosen = vectors[whole if consecutive else block]
                products = room.reshape(-1)[: len(block) * len(found)].reshape(len(block), -1)
                with np.errstate(all="ignore"):  # an overflow is looked at in full
                    np.matmul(chosen, units[some].T, out=products)
                recall.sift(
                    products, block, vectors, rows, queries[some], norms[some],
                    resonances[some], best[some], found, floors,
                )  # fmt: skip
        order = np.lexsort((best, -resonances), axis=1)
        return np.take_along_axis(best, order, 1), np.take_along_axis(resonances, order, 1)

    def verify(self) -> Integrity:
        """Compare all rows with their checks, and say which differ from what was written."""
        return self._lock.reading(lambda: integrity.check(self._memory))

    def repair(self) -> Repair:
        """Put right the rows that are damaged, quarantine those that cannot be, and report."""
        return self._lock.writing(lambda: integrity.restore(self._memory, quarantine=True))

    def _asked(
        self, owner: str, phase: float, tolerance: float | None, top_k: int | None
    ) -> tuple[np.float32, np.float32, int]:
        tag = np.float32(as_fraction(f"{owner}.phase", phase))
        if tolerance is None:
            tolerance = self.params.phase_tolerance
        # Phases lie in [0, 1]: a reach of 1 takes in all of them.
        reach = np.float32(min(as_distance(f"{owner}.tolerance", tolerance), 1.0))
        wanted = self.params.top_k if top_k is None else as_whole(f"{owner}.top_k", top_k, 1)
        return tag, reach, min(wanted, self.params.capacity)

    def __repr__(self) -> str:
        return (
            f"PhaseEntangledLatticeMemory(size={self.size} of {self.params.capacity}, "
            f"dim={self.dim})"
        )
