"""The figures of retrieval: the five rows nearest to a query, out of a full lattice."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mlsdm.bench.measure import Costs, Side, Size, interleaved
from mlsdm.engine.lattice import LatticeParams, PhaseEntangledLatticeMemory
from mlsdm.errors import DataError
from mlsdm.rng import generator

__all__ = ["against_flat", "against_hnsw", "against_numpy", "half_in_phase", "many_at_once"]

TOP = 5
WAKE, SLEEP = 0.1, 0.9
NEIGHBOURS, SEARCHED = 32, 64  # M and efSearch of the HNSW index


class _Task(NamedTuple):
    """Rows, the lattice that holds them, and what is asked of it.

    The vectors are isotropic: no row stands out, which is the hardest case for any short cut.
    """

    lattice: PhaseEntangledLatticeMemory
    units: NDArray[np.float32]
    queries: NDArray[np.float32]

    def ours(self) -> list[list[int]]:
        """Return the rows that the lattice finds."""
        return [
            [recall.row for recall in self.lattice.retrieve(query, WAKE, top_k=TOP)]
            for query in self.queries
        ]

    def beside(self, find: Callable[[Any], Any], size: Size, note: str = "{same}") -> Costs:
        """Time the lattice beside another way to find the rows of a query, best first."""

        def theirs() -> list[list[int]]:
            return [list(find(query)) for query in self.queries]

        pairs = zip(self.ours(), theirs(), strict=True)
        shared = [len({*a} & {*b}) / len(a) for a, b in pairs]
        same = "same rows" if min(shared) == 1.0 else f"{np.mean(shared):.0%} of the rows the same"
        n = len(self.queries)
        noted = note.format(same=same, recall=np.mean(shared))
        return interleaved(Side(self.ours, n), Side(theirs, n), size.repetitions, noted)


def _task(size: Size, queries: int, phases: tuple[float, ...] = (WAKE,)) -> _Task:
    rng = generator(0, "vectors")
    vectors = rng.standard_normal((size.rows, size.dim), np.float32)
    lattice = PhaseEntangledLatticeMemory(LatticeParams(capacity=size.rows), size.dim)
    for i, vector in enumerate(vectors):
        lattice.entangle(vector, phases[i % len(phases)])
    units = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return _Task(lattice, units, rng.standard_normal((queries, size.dim), np.float32))


def _best(scores: NDArray[np.float32]) -> NDArray[np.int64]:
    best = np.argpartition(scores, -TOP)[-TOP:]
    return best[np.argsort(-scores[best])]


def against_numpy(size: Size) -> Costs:
    """Time one query after another, every row in phase, beside NumPy on rows made units before."""
    task = _task(size, size.queries)
    return task.beside(lambda query: _best(task.units @ query), size)


def half_in_phase(size: Size) -> Costs:
    """Time the same where every other row is in phase: NumPy multiplies all, and masks."""
    task = _task(size, size.queries, (WAKE, SLEEP))
    phases = task.lattice.phases

    def find(query: NDArray[np.float32]) -> NDArray[np.int64]:
        near = np.abs(phases - np.float32(WAKE)) <= np.float32(0.15)
        return _best(np.where(near, task.units @ query, np.float32(-np.inf)))

    return task.beside(find, size)


def _faiss() -> Any:
    try:
        import faiss
    except ImportError:
        raise DataError("faiss: is not installed; pip install mlsdm[bench]") from None
    return faiss


def against_flat(size: Size) -> Costs:
    """Time one query after another beside the exact index of FAISS."""
    faiss = _faiss()
    task = _task(size, size.queries)
    index = faiss.IndexFlatIP(size.dim)
    index.add(task.units)
    return task.beside(lambda query: index.search(query[None], TOP)[1][0], size)


def against_hnsw(size: Size) -> Costs:
    """Time one query after another beside an approximate index of FAISS, a graph."""
    faiss = _faiss()
    task = _task(size, size.queries)
    index = faiss.IndexHNSWFlat(size.dim, NEIGHBOURS, faiss.METRIC_INNER_PRODUCT)
    index.add(task.units)
    index.hnsw.efSearch = SEARCHED
    note = f"recall@{TOP} {{recall:.2f}}"
    return task.beside(lambda query: index.search(query[None], TOP)[1][0], size, note)


def many_at_once(size: Size) -> Costs:
    """Time many queries in one call beside their product with the rows, which selects nothing."""
    lattice, units, queries = _task(size, size.many)
    room = np.empty((len(units), len(queries)), np.float32)
    return interleaved(
        Side(lambda: lattice.retrieve_many(queries, WAKE, top_k=TOP), 1),
        Side(lambda: np.matmul(units, queries.T, out=room), 1),
        2 * size.repetitions,
    )
