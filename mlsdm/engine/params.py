"""All parameters of one engine, its presets, and the memory that they make it hold."""

from __future__ import annotations

from dataclasses import field
from typing import Any, Self

import numpy as np
from pydantic import model_validator

from mlsdm.engine import rules
from mlsdm.engine.lattice import LatticeParams
from mlsdm.engine.moral import MoralParams
from mlsdm.engine.rhythm import RhythmParams
from mlsdm.engine.synapse import SynapseParams
from mlsdm.errors import ParameterError
from mlsdm.parameters import Count, Parameters, parameters

__all__ = ["EngineParams"]

# What the released code does otherwise than its specification says.
_PUBLISHED = {
    "rhythm": {"clock": "commit"},
    "synapse": {"gate": "element"},
    "lattice": {"consolidation": "none"},
}


@parameters
class EngineParams(Parameters):
    """Parameters of the whole engine; the defaults are those of the specification.

    Parameters
    ----------
    dim
        Dimension of the event vectors.
    moral, rhythm, synapse, lattice
        Parameters of the four parts.
    max_memory_bytes
        Bound on what the engine may hold, in bytes; parameters over it are refused.
    max_process_bytes
        Resident memory of the process, in bytes, above which the controller stops in an emergency;
        None for no limit. (The original: 1024 MB. Off in both presets, as results would depend on
        whatever else the process holds.)
    """

    dim: Count = 384
    moral: MoralParams = field(default_factory=MoralParams)
    rhythm: RhythmParams = field(default_factory=RhythmParams)
    synapse: SynapseParams = field(default_factory=SynapseParams)
    lattice: LatticeParams = field(default_factory=LatticeParams)
    max_memory_bytes: Count = int(1.4 * 2**30)
    max_process_bytes: Count | None = None

    @model_validator(mode="after")
    def _within_memory(self) -> EngineParams:
        if self.memory_bytes() > self.max_memory_bytes:
            raise ParameterError(
                f"EngineParams.lattice.capacity: {self.lattice.capacity} rows of dimension "
                f"{self.dim} make an engine of {self.memory_bytes()} bytes, over "
                f"max_memory_bytes = {self.max_memory_bytes}"
            )
        return self

    @classmethod
    def published(cls, dim: int = 384, **changes: Any) -> Self:
        """Return the behaviour of the released code, any field changed by keyword.

        A part changes only the fields that were given to it, as a dict or as a parameter object:
        ``published(lattice=LatticeParams(capacity=100))`` still has the published consolidation.

        Raises
        ------
        ParameterError
            For an unknown name, a wrong type or a value that is not allowed.
        """
        parts = {
            name: part.given() if isinstance(part, Parameters) else part
            for name, part in changes.items()
        }
        return cls().replace(_PUBLISHED).replace({"dim": dim, **parts})

    def memory_bytes(self) -> int:
        """Return the bytes that an engine with these parameters holds, from start to end."""
        row = 4 * self.dim + np.float32().nbytes + np.float64().nbytes
        levels = 3 * (4 * self.dim + np.float64().nbytes)
        scalars = 8 * (2 + 2 + 3)  # moral, rhythm and ring state
        return self.lattice.capacity * row + levels + scalars

    @property
    def rules(self) -> rules.Rules:
        """The constants that the compiled rules read."""
        return rules.Rules(
            self.moral.rule,
            self.rhythm.rule,
            self.synapse.rule,
            rules.LatticeRule(
                np.float32(self.rhythm.wake_phase),
                np.float32(self.rhythm.sleep_phase),
                self.lattice.consolidation == "replay",
            ),
        )
