"""All parameters of one engine, its presets, and the memory that they make it hold."""

from __future__ import annotations

from dataclasses import field
from typing import Annotated, Any, Self

from pydantic import Field, InstanceOf, field_validator, model_validator

from mlsdm.engine.inputs import MOST_DIMENSIONS
from mlsdm.engine.lattice import LatticeParams
from mlsdm.engine.policies import MoralParams, MoralPolicy
from mlsdm.engine.rhythm import RhythmParams
from mlsdm.engine.rules import layout
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
        Dimension of the event vectors, up to 32,767: from there on what a flipped bit was could not
        be told.
    moral
        The policy of the moral filter, with its parameters: by default `MoralParams`.
    rhythm, synapse, lattice
        Parameters of the other three parts.
    max_memory_bytes
        Bound on what the engine may hold, in bytes; parameters over it are refused.
    max_process_bytes
        Resident memory of the process, in bytes, above which the controller stops in an emergency;
        None for no limit. (The original: 1024 MB. Off in both presets, as results would depend on
        whatever else the process holds.)
    """

    dim: Annotated[int, Field(ge=1, le=MOST_DIMENSIONS)] = 384
    moral: InstanceOf[MoralPolicy] = field(default_factory=MoralParams)
    rhythm: RhythmParams = field(default_factory=RhythmParams)
    synapse: SynapseParams = field(default_factory=SynapseParams)
    lattice: LatticeParams = field(default_factory=LatticeParams)
    max_memory_bytes: Count = int(1.4 * 2**30)
    max_process_bytes: Count | None = None

    @field_validator("moral", mode="before")
    @classmethod
    def _policy(cls, given: Any) -> Any:
        if not isinstance(given, MoralPolicy):
            raise ParameterError(
                "EngineParams.moral: must be a MoralPolicy, such as QuantileParams(); a policy by "
                f"its name goes through `replace` or `from_dict` (got {given!r})"
            )
        return given

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
            name: part.given() if name in _PUBLISHED and isinstance(part, Parameters) else part
            for name, part in changes.items()
        }
        return cls().replace(_PUBLISHED).replace({"dim": dim, **parts})

    def memory_bytes(self) -> int:
        """Return the bytes that an engine with these parameters holds, from start to end.

        Python's own objects come to some 5 KB beside them.
        """
        vector = 4 * self.dim
        row = vector + self.dim + layout.ROW.itemsize  # with its compact form
        held = layout.COPIES * (layout.STATE.itemsize + layout.RULE.itemsize)
        return self.lattice.capacity * row + layout.LEVELS * vector + held

    @property
    def rules(self) -> layout.Constants:
        """The constants that the compiled rules read, as one record."""
        return layout.new_constants(
            **self.moral.rule, **self.rhythm.rule, **self.synapse.rule, **self.lattice.rule
        )

    @property
    def initial_state(self) -> layout.State:
        """The state before the first event."""
        return layout.new_state(**self.moral.initial_state, **self.rhythm.initial_state)
