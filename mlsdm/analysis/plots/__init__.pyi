from .ablation import outcome_strip, reduction_curves, worth_of_parts
from .adversary import attack_course, worst_by_share, worst_by_target
from .claims import VERDICTS, claim_distribution, claim_strip
from .forest import forest
from .forgetting import (
    forgetting_curves,
    lifetime_by_size,
    lifetime_by_threshold,
    lifetime_trade_off,
)
from .latency import latency_distribution
from .memory import interval_bars, lattice_rows, level_norms, phase_timeline, recall_by_phase
from .moral import error_rates, errors_plane, limit_cycle, roc_curves, threshold_band, trade_off
from .policies import margins, policy_planes, regret_curves
from .retrieval import noise_limits, recall_curves, tolerance_curves
from .sensitivity import index_bars, index_map
from .service import answers_course, carried_rates, latency_by, memory_course, time_shares
from .speech import dose_curves, speech_by_kind, speech_roc, threshold_sweeps
from .style import BLUE, CYCLE, GREEN, GREY, ORANGE, PURPLE, RED, SKY, STYLE, svg
from .theory import by_parameter, theory_beside_simulation, threshold_law

__all__ = [
    "BLUE",
    "CYCLE",
    "GREEN",
    "GREY",
    "ORANGE",
    "PURPLE",
    "RED",
    "SKY",
    "STYLE",
    "VERDICTS",
    "answers_course",
    "attack_course",
    "by_parameter",
    "carried_rates",
    "claim_distribution",
    "claim_strip",
    "dose_curves",
    "error_rates",
    "errors_plane",
    "forest",
    "forgetting_curves",
    "index_bars",
    "index_map",
    "interval_bars",
    "latency_by",
    "latency_distribution",
    "lattice_rows",
    "level_norms",
    "lifetime_by_size",
    "lifetime_by_threshold",
    "lifetime_trade_off",
    "limit_cycle",
    "margins",
    "memory_course",
    "noise_limits",
    "outcome_strip",
    "phase_timeline",
    "policy_planes",
    "recall_by_phase",
    "recall_curves",
    "reduction_curves",
    "regret_curves",
    "roc_curves",
    "speech_by_kind",
    "speech_roc",
    "svg",
    "theory_beside_simulation",
    "threshold_band",
    "threshold_law",
    "threshold_sweeps",
    "time_shares",
    "tolerance_curves",
    "trade_off",
    "worst_by_share",
    "worst_by_target",
    "worth_of_parts",
]
