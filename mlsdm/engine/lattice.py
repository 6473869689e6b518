"""The phase-entangled lattice memory (PELM): a ring of vectors, each tagged with a phase."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from mlsdm.checks import as_whole
from mlsdm.engine import rules
from mlsdm.engine.inputs import as_dim, as_distance, as_fraction, as_params, as_vector
from mlsdm.parameters import Count, Parameters, parameters

__all__ = ["LatticeParams", "PhaseEntangledLatticeMemory", "Recall"]


@parameters
class LatticeParams(Parameters):
    """Parameters of the lattice (values: MLSDM v1.2).

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
    """

    capacity: Annotated[int, Field(ge=1, le=1_000_000)] = 20_000
    phase_tolerance: Annotated[float, Field(ge=0)] = 0.15
    top_k: Count = 5
    consolidation: Literal["replay", "none"] = "replay"


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
    """The lattice by itself."""

    def __init__(self, params: LatticeParams | None = None, dim: int = 384) -> None:
        owner = "PhaseEntangledLatticeMemory"
        self.params = LatticeParams() if params is None else as_params(owner, params, LatticeParams)
        self.dim = as_dim(owner, dim)
        self._vectors = np.zeros((self.params.capacity, self.dim), np.float32)
        self._phases = np.zeros(self.params.capacity, np.float32)
        self._norms = np.zeros(self.params.capacity)
        self._ring = np.zeros(3, np.int64)

    @property
    def size(self) -> int:
        """Rows in use."""
        return int(self._ring[1])

    @property
    def phases(self) -> NDArray[np.float32]:
        """The phases of the rows in use, by row; a copy."""
        return self._phases[: self.size].copy()

    @property
    def vectors(self) -> NDArray[np.float32]:
        """The vectors of the rows in use, (size, dim), by row; a copy."""
        return self._vectors[: self.size].copy()

    def entangle(self, vector: Any, phase: float) -> int:
        """Store one vector of shape (dim,) with a phase in [0, 1]; return its row.

        Raises
        ------
        ParameterError
            When the vector or the phase is not allowed; nothing is stored then.
        """
        owner = "PhaseEntangledLatticeMemory.entangle"
        checked = as_vector(owner, vector, self.dim)
        tag = np.float32(as_fraction(f"{owner}.phase", phase))
        return int(
            rules.entangle(self._vectors, self._phases, self._norms, self._ring, checked, tag)
        )

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
        tag = np.float32(as_fraction(f"{owner}.phase", phase))
        if tolerance is None:
            tolerance = self.params.phase_tolerance
        # Phases lie in [0, 1]: a reach of 1 takes in all of them.
        reach = np.float32(min(as_distance(f"{owner}.tolerance", tolerance), 1.0))
        wanted = self.params.top_k if top_k is None else as_whole(f"{owner}.top_k", top_k, 1)
        rows, resonances = rules.cosines(
            self._vectors, self._phases, self._norms, self.size, checked, tag, reach
        )
        if wanted < rows.size:
            least = np.partition(resonances, -wanted)[-wanted]
            rows, resonances = rows[resonances >= least], resonances[resonances >= least]
        # Stable on ascending rows: ties go to the smaller row, on every machine alike.
        best = np.argsort(-resonances, kind="stable")[:wanted]
        return [
            Recall(
                self._vectors[rows[i]].copy(),
                float(self._phases[rows[i]]),
                float(resonances[i]),
                int(rows[i]),
            )
            for i in best
        ]

    def __repr__(self) -> str:
        return (
            f"PhaseEntangledLatticeMemory(size={self.size} of {self.params.capacity}, "
            f"dim={self.dim})"
        )
