"""The chain of the moral filter on (acceptance average, threshold), and where it can end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlsdm.analysis.theory.states import Nodes, Thresholds

__all__ = ["TRACE", "Chain", "closed", "entered", "fated", "reached"]

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]
Mask = NDArray[np.bool_]

TRACE = 1e-13
"""A probability that is left out."""


@dataclass(frozen=True)
class Chain:
    """The chances of acceptance at each threshold, and the moves of the rule.

    Laws on it are arrays (nodes, thresholds).
    """

    accepted: Floats
    thresholds: Thresholds
    nodes: Nodes

    @property
    def shape(self) -> tuple[int, int]:
        """Nodes and thresholds."""
        return len(self.nodes.rates), len(self.accepted)

    @property
    def moves(self) -> tuple[Indices, Indices, Floats]:
        """What the compiled loops need to know of the nodes."""
        return self.nodes.move, self.nodes.left, self.nodes.right_share

    def start(self) -> Floats:
        """Return the law before the first event: all in one state."""
        law = np.zeros(self.shape)
        law[self.nodes.start, self.thresholds.start] = 1.0
        return law

    def graph(self) -> Any:
        """Return all that can happen, and its chances, as a sparse array of flat states."""
        from scipy import sparse

        n_rates, n = self.shape
        found = []
        states = np.arange(n_rates * n).reshape(n_rates, n)
        for a, chance in enumerate((1.0 - self.accepted, self.accepted)):
            move, left, share = (part[a] for part in self.moves)
            place = self.thresholds.to[move]
            for node, part in ((left, 1.0 - share), (left + 1, share)):
                weight = part[:, None] * chance
                some = weight > 0
                found.append((states[some], (node[:, None] * n + place)[some], weight[some]))
        source, target, weight = (np.concatenate(part) for part in zip(*found, strict=True))
        return sparse.csr_array((weight, (source, target)), shape=(states.size, states.size))


def closed(chain: Chain, law: Floats) -> list[tuple[Mask, float]]:
    """Return the closed classes, that are not left again, in which a law has mass, and how much."""
    label, ends = _ends(chain.graph())
    held = np.bincount(label, law.reshape(-1))
    return [
        ((label == one).reshape(chain.shape), float(held[one])) for one in ends if held[one] > TRACE
    ]


def reached(chain: Chain) -> list[Mask]:
    """Return the closed classes that the start can end in."""
    from scipy.sparse import csgraph

    graph, first = chain.graph(), int(chain.start().argmax())
    found = np.sort(csgraph.breadth_first_order(graph, first, return_predecessors=False))
    label, ends = _ends(graph[found][:, found])
    masks = np.zeros((len(ends), graph.shape[0]), bool)
    masks[:, found] = label == ends[:, None]
    return [mask.reshape(chain.shape) for mask in masks]


def fated(chain: Chain) -> Mask:
    """Return the states from which chance has no say any more: each event passes surely, or not."""
    is_open = (chain.accepted > 0.0) & (chain.accepted < 1.0)
    leads = np.broadcast_to(is_open, chain.shape).reshape(-1)
    if not is_open.all():
        graph, known = chain.graph(), 0
        while leads.sum() > known:
            known = int(leads.sum())
            leads = leads | (graph @ leads > 0)
    return ~leads.reshape(chain.shape)


def entered(chain: Chain, ends: list[Mask]) -> list[Floats]:
    """Return the probability of each state to be the first one met of the classes in `ends`."""
    from scipy import sparse
    from scipy.sparse import csgraph, linalg

    graph, start = chain.graph(), chain.start().reshape(-1)
    met = np.logical_or.reduce(ends).reshape(-1)
    first = int(start.argmax())
    found = csgraph.breadth_first_order(graph, first, return_predecessors=False)
    passing = np.sort(found[~met[found]])
    entry = start.copy()
    if len(passing):  # mean visits to each passing state: (1 - Q)ᵀ n = start; then one step on
        stay = sparse.eye_array(len(passing), format="csc") - graph[passing][:, passing].T
        entry += graph[passing].T @ np.atleast_1d(linalg.spsolve(stay.tocsc(), start[passing]))
    return [np.where(mask, entry.reshape(chain.shape), 0.0) for mask in ends]


def _ends(graph: Any) -> tuple[Indices, Indices]:
    """Return the strong component of each state, and those that nothing leads out of."""
    from scipy.sparse import csgraph

    label = csgraph.connected_components(graph, directed=True, connection="strong")[1]
    source, target = graph.nonzero()
    return label, np.setdiff1d(label, label[source[label[source] != label[target]]])
