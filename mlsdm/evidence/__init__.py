"""What the original system states about itself, as data, and whether a measurement agrees."""

from mlsdm.evidence.stated import Claim, Judgement, Target, claims, judge, targets

__all__ = ["Claim", "Judgement", "Target", "claims", "judge", "targets"]
