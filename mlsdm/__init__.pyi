from . import analysis, audit, evidence, rng, streams
from .engine.controller import CognitiveController, Outcome, Reason
from .engine.fleet import simulate_many
from .engine.integrity import Integrity, Repair
from .engine.lattice import LatticeParams, PhaseEntangledLatticeMemory, Recall
from .engine.moral import MoralFilter, MoralParams
from .engine.params import EngineParams
from .engine.result import Result
from .engine.rhythm import CognitiveRhythm, RhythmParams
from .engine.simulation import Interrupted, simulate
from .engine.synapse import MultiLevelSynapticMemory, SynapseParams
from .errors import DataError, MlsdmError, ParameterError, RunError
from .record import record
from .streams.stream import Stream

__all__ = [
    "CognitiveController",
    "CognitiveRhythm",
    "DataError",
    "EngineParams",
    "Integrity",
    "Interrupted",
    "LatticeParams",
    "MlsdmError",
    "MoralFilter",
    "MoralParams",
    "MultiLevelSynapticMemory",
    "Outcome",
    "ParameterError",
    "PhaseEntangledLatticeMemory",
    "Reason",
    "Recall",
    "Repair",
    "Result",
    "RhythmParams",
    "RunError",
    "Stream",
    "SynapseParams",
    "analysis",
    "audit",
    "evidence",
    "record",
    "rng",
    "simulate",
    "simulate_many",
    "streams",
]

__version__: str
