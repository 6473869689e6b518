"""The multi-level synaptic memory: three decaying traces, each feeding the next through a gate."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from mlsdm.engine.inputs import as_dim, as_params, as_vector, check_fits
from mlsdm.engine.rules import layout
from mlsdm.engine.rules import synapse as rules
from mlsdm.parameters import FromList, Parameters, Positive, Share, parameters

__all__ = ["MultiLevelSynapticMemory", "SynapseParams"]

Decay = Annotated[float, Field(gt=0, le=1)]


@parameters
class SynapseParams(Parameters):
    """Parameters of the three synaptic levels, dimensionless (values: MLSDM v1.2).

    Parameters
    ----------
    decay
        Share of each level lost per update, in (0, 1].
    threshold
        What the first and the second level must exceed to pass something on.
    transfer
        Share that an open gate passes on, in [0, 1].
    gate
        ``"norm"``: the whole vector passes where its Euclidean norm exceeds the threshold (the
        specification); ``"element"``: each element by itself, so negative ones never (the
        released code).
    """

    decay: Annotated[tuple[Decay, Decay, Decay], FromList] = (0.50, 0.10, 0.01)
    threshold: Annotated[tuple[Positive, Positive], FromList] = (1.2, 2.5)
    transfer: Annotated[tuple[Share, Share], FromList] = (0.45, 0.30)
    gate: Literal["norm", "element"] = "norm"

    @property
    def rule(self) -> dict[str, Any]:
        """The constants that the compiled rules read, by name."""
        keep1, keep2, keep3 = (1.0 - decay for decay in self.decay)
        return {
            "keep1": keep1,
            "keep2": keep2,
            "keep3": keep3,
            "threshold1": self.threshold[0],
            "threshold2": self.threshold[1],
            "transfer1": self.transfer[0],
            "transfer2": self.transfer[1],
            "norm_gate": self.gate == "norm",
        }


class MultiLevelSynapticMemory:
    """The three levels by themselves."""

    def __init__(self, params: SynapseParams | None = None, dim: int = 384) -> None:
        owner = "MultiLevelSynapticMemory"
        self.params = SynapseParams() if params is None else as_params(owner, params, SynapseParams)
        self.dim = as_dim(owner, dim)
        self._levels = layout.new_levels(self.dim)
        self._rules = layout.new_constants(**self.params.rule)
        self._states = layout.new_state()

    @property
    def levels(self) -> NDArray[np.float32]:
        """The three levels, (3, dim) float32; a copy."""
        return self._levels[:3].copy()

    @property
    def norms(self) -> tuple[float, float, float]:
        """Euclidean norms of the levels."""
        first, second, third = (float(self._states[f"norm{k}"][0]) for k in (1, 2, 3))
        return first, second, third

    def update(self, vector: Any) -> None:
        """Take in one vector of shape (dim,).

        Raises
        ------
        ParameterError
            When the vector has another shape, is not real and finite in float32, or is so large
            that the levels would leave float32.
        """
        checked = as_vector("MultiLevelSynapticMemory.update", vector, self.dim)
        taken = rules.take_in(self._levels, self._states, checked, self._rules)
        check_fits("MultiLevelSynapticMemory.update.vector", taken)

    def __repr__(self) -> str:
        norms = ", ".join(f"{norm:.3g}" for norm in self.norms)
        return f"MultiLevelSynapticMemory(dim={self.dim}, norms=({norms}))"
