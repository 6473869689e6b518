"""Parameters of a governed model; its ablations among them."""

from __future__ import annotations

from dataclasses import field
from typing import Literal

from mlsdm.engine.params import EngineParams
from mlsdm.engine.policies import FixedParams
from mlsdm.governed.calling import CallParams
from mlsdm.parameters import Count, Parameters, Positive, parameters

__all__ = ["GovernedParams"]

_NEVER = 2**63 - 1


@parameters
class GovernedParams(Parameters):
    """Parameters of a governed model (tokens: MLSDM v1.2; all else our own choice).

    Parameters
    ----------
    engine
        The engine around the language model; its `dim` is that of the embedder.
    memory, rhythm, filter, governor
        False leaves this part out: nothing is embedded and recalled; it is always wake; every
        request passes; drafts stay as they are.
    asleep
        ``"shorten"``: asleep, answers have at most `tokens_asleep` tokens; ``"refuse"``: there are
        none.
    tokens_awake, tokens_asleep
        Tokens that an answer may have.
    emergency
        What happens while the engine is in an emergency: ``"degrade"`` answers what the filter lets
        through as it stands, without memory; ``"refuse"`` answers nothing.
    top_k
        Exchanges that are recalled at most.
    remembered_characters
        Characters that are kept of a prompt, and of an answer, for at most two exchanges a row of
        the lattice; they come on top of the engine's `memory_bytes()`.
    deadline
        Seconds that a request may take; None for any.
    embedding_deadline
        Seconds that its embedding may take; after that it is answered without memory.
    calls
        Retries and circuit breakers of the calls to model and embedder.
    """

    engine: EngineParams = field(default_factory=EngineParams)
    memory: bool = True
    rhythm: bool = True
    filter: bool = True
    governor: bool = True
    asleep: Literal["shorten", "refuse"] = "shorten"
    tokens_awake: Count = 2048
    tokens_asleep: Count = 150
    emergency: Literal["degrade", "refuse"] = "degrade"
    top_k: Count = 5
    remembered_characters: Count = 2000
    deadline: Positive | None = 60.0
    embedding_deadline: Positive | None = 10.0
    calls: CallParams = field(default_factory=CallParams)

    @property
    def left_out(self) -> tuple[str, ...]:
        """The parts that are left out, by name."""
        parts = ("memory", "rhythm", "filter", "governor")
        return tuple(part for part in parts if not getattr(self, part))

    @property
    def ablated_engine(self) -> EngineParams:
        """The engine without the parts that are left out."""
        engine = self.engine
        if not self.filter:
            engine = engine.replace({"moral": FixedParams(threshold=0.0)})
        if not self.rhythm:
            engine = engine.replace({"rhythm": {"wake_duration": _NEVER}})
        if not self.memory:
            engine = engine.replace({"lattice": {"capacity": 1}})
        return engine
