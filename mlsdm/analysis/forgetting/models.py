"""The memories of the literature, and what the engine's levels are while their gates are open."""

from __future__ import annotations

import math

import numpy as np

from mlsdm.analysis.forgetting.linear import LinearMemory
from mlsdm.checks import as_whole
from mlsdm.citing import cites
from mlsdm.engine.inputs import as_distance, as_params
from mlsdm.engine.rules import layout
from mlsdm.engine.rules import synapse as rules
from mlsdm.engine.synapse import SynapseParams
from mlsdm.errors import ParameterError

__all__ = ["cascade", "leaky", "open_levels"]

LARGEST = 1000  # capacity, as a power of two
ALWAYS = 1e-30  # a threshold that every vector but zero exceeds


@cites("fusi2005")
def leaky(decay: float) -> LinearMemory:
    """Return the leaky integrator u ← (1 − decay)·u + x.

    With q = 1 − decay its ratio is √dim · qᵃ · √(1 − q²) at age a. For a fixed decay the lifetime
    grows as log dim (Fusi, Drew & Abbott 2005, doi:10.1016/j.neuron.2005.02.001).

    Parameters
    ----------
    decay
        Share lost per event, in (0, 1].

    Raises
    ------
    ParameterError
        When the decay is not in (0, 1].
    """
    if not 0.0 < as_distance("leaky.decay", decay) <= 1.0:
        raise ParameterError(f"leaky.decay: must lie in (0, 1] (got {decay!r})")
    return LinearMemory(np.array([[1.0 - decay]]), np.ones(1))


@cites("benna2016")
def cascade(variables: int, ratio: float = 2.0, coupling: float = 0.25) -> LinearMemory:
    """Return the bidirectional cascade of Benna & Fusi (2016, doi:10.1038/nn.4401).

    Variable k = 1 … m has capacity ratioᵏ⁻¹ and exchanges coupling · ratio⁻ᵏ times the difference
    with the next one; the last exchanges with 0, which is how the synapse forgets. Patterns come in
    and are read at the first. Here the variables are continuous and without bounds.

    Parameters
    ----------
    variables
        Variables of a synapse, m.
    ratio
        Of capacities, and of couplings, from one variable to the next; above 1 (paper: 2).
    coupling
        In (0, 1/2]; above, a variable could overshoot (paper: 1/4).

    Raises
    ------
    ParameterError
        When an argument is not allowed.
    """
    as_whole("cascade.variables", variables, 1)
    if not as_distance("cascade.ratio", ratio) > 1.0:
        raise ParameterError(f"cascade.ratio: must be above 1 and finite (got {ratio!r})")
    if variables * math.log2(ratio) >= LARGEST:
        raise ParameterError(
            f"cascade.variables: must be fewer, the last capacity leaves float64 (got {variables})"
        )
    if not 0.0 < as_distance("cascade.coupling", coupling) <= 0.5:
        raise ParameterError(f"cascade.coupling: must lie in (0, 0.5] (got {coupling!r})")
    capacity = ratio ** np.arange(variables)
    conductance = coupling * ratio ** -np.arange(1.0, variables + 1)
    between = conductance[:-1]
    flow = np.diag(between, 1) + np.diag(between, -1) - np.diag(conductance)
    flow -= np.diag(np.append(0.0, between))
    drive = np.zeros(variables)
    drive[0] = 1.0
    return LinearMemory(np.eye(variables) + flow / capacity[:, None], drive)


def open_levels(params: SynapseParams) -> LinearMemory:
    """Return the engine's three levels with both gates always open: then they are linear.

    Transition and drive are read off the engine's own compiled rule: what it makes of a 1 in one
    level, or in the vector, after one event.

    Parameters
    ----------
    params
        Decays and transfers are used; thresholds and gate are not.

    Raises
    ------
    ParameterError
        When they are no parameters of the levels.
    """
    as_params("open_levels", params, SynapseParams)
    opened = params.replace({"threshold": (ALWAYS, ALWAYS), "gate": "norm"})
    levels = layout.new_levels(4)
    levels[range(3), range(3)] = 1.0
    state = layout.new_state(norm1=1.0, norm2=1.0, norm3=1.0)[0]
    vector = np.zeros(4, np.float32)
    vector[3] = 1.0
    rules.update(levels, state, vector, layout.new_constants(**opened.rule)[0])
    after = levels[:3].astype(np.float64)
    return LinearMemory(after[:, :3].copy(), after[:, 3].copy())
