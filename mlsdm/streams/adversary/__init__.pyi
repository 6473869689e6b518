from .choosing import boiling_frog, seeing
from .classes import SAFE, TOXIC
from .mixtures import bursts, share_shift, slow_drift

__all__ = [
    "SAFE",
    "TOXIC",
    "boiling_frog",
    "bursts",
    "seeing",
    "share_shift",
    "slow_drift",
]
