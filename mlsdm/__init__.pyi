from . import analysis, audit, evidence, governed, rng, speech, streams
from .citing import citations
from .engine.controller import CognitiveController
from .engine.fleet import simulate_many
from .engine.integrity import Integrity, Repair
from .engine.lattice import LatticeParams, PhaseEntangledLatticeMemory, Recall
from .engine.moral import MoralFilter
from .engine.outcome import Outcome, Reason
from .engine.params import EngineParams
from .engine.policies import (
    POLICIES,
    ContextualParams,
    FixedParams,
    MoralParams,
    MoralPolicy,
    ProportionalIntegralParams,
    QuantileParams,
    RiskParams,
    moral_policy,
)
from .engine.result import Result
from .engine.rhythm import CognitiveRhythm, RhythmParams
from .engine.simulation import Interrupted, simulate
from .engine.synapse import MultiLevelSynapticMemory, SynapseParams
from .errors import DataError, MlsdmError, ParameterError, RunError
from .governed.model import GovernedModel
from .governed.params import GovernedParams
from .record import record
from .streams.stream import Stream

__all__ = [
    "POLICIES",
    "CognitiveController",
    "CognitiveRhythm",
    "ContextualParams",
    "DataError",
    "EngineParams",
    "FixedParams",
    "GovernedModel",
    "GovernedParams",
    "Integrity",
    "Interrupted",
    "LatticeParams",
    "MlsdmError",
    "MoralFilter",
    "MoralParams",
    "MoralPolicy",
    "MultiLevelSynapticMemory",
    "Outcome",
    "ParameterError",
    "PhaseEntangledLatticeMemory",
    "ProportionalIntegralParams",
    "QuantileParams",
    "Reason",
    "Recall",
    "Repair",
    "Result",
    "RhythmParams",
    "RiskParams",
    "RunError",
    "Stream",
    "SynapseParams",
    "analysis",
    "audit",
    "citations",
    "evidence",
    "governed",
    "moral_policy",
    "record",
    "rng",
    "simulate",
    "simulate_many",
    "speech",
    "streams",
]

__version__: str
