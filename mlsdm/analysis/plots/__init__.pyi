from .claims import VERDICTS, claim_distribution, claim_strip
from .forest import forest
from .latency import latency_distribution
from .memory import interval_bars, lattice_rows, level_norms, phase_timeline, recall_by_phase
from .moral import error_rates, errors_plane, limit_cycle, roc_curves, threshold_band, trade_off
from .style import BLUE, CYCLE, GREEN, GREY, ORANGE, PURPLE, RED, SKY, STYLE, svg

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
    "claim_distribution",
    "claim_strip",
    "error_rates",
    "errors_plane",
    "forest",
    "interval_bars",
    "latency_distribution",
    "lattice_rows",
    "level_norms",
    "limit_cycle",
    "phase_timeline",
    "recall_by_phase",
    "roc_curves",
    "svg",
    "threshold_band",
    "trade_off",
]
