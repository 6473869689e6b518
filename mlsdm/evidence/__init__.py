"""What the original system states about itself, as data, and whether a measurement agrees."""

from mlsdm.evidence.stated import SECTIONS, VERDICTS, Claim, Judgement, Verdict, claims, judge

__all__ = ["SECTIONS", "VERDICTS", "Claim", "Judgement", "Verdict", "claims", "judge"]
