"""From measurements to verdicts: the one rule, the words for it, and the row of the audit table."""

from __future__ import annotations

import math
import re
from typing import Any

import numpy as np

from mlsdm.analysis.interval import Interval
from mlsdm.analysis.statistics import interval
from mlsdm.audit.measured import Floats, Measured
from mlsdm.display import short
from mlsdm.evidence import Claim, Verdict
from mlsdm.rng import generator

__all__ = ["explained", "row_of", "verdict_of"]

NONE = Interval(math.nan, math.nan, math.nan, 0)
ROUNDING = 1e-9  # numbers no further apart than this are equal


def verdict_of(claim: Claim, measured: Measured | None, margin: Interval) -> Verdict:
    """Return the verdict on a claim: our own rule.

    A number that the stated set-up does not give is not reproduced; our own data take the place of
    stated ones that are not at hand. One that it gives means what it says if its margin over the
    control is not negative over seeds: the 95 % interval of the mean margin lies at or above
    nought.
    """
    if measured is None:
        return "not testable here"
    if not claim.agrees(measured.regenerated):
        return "not reproduced"
    least = margin.low if margin.bounded else margin.mean
    return "reproduced" if least >= -ROUNDING else "reproduced but means something else"


def explained(claim: Claim, verdict: Verdict, **facts: Any) -> str:
    """Return the sentences that say why, filled with what was measured."""
    text = {
        "reproduced": claim.holds,
        "reproduced but means something else": claim.fails,
        "not reproduced": claim.differs,
        "not testable here": claim.untestable,
    }[verdict]
    return re.sub(r"(?<=\d)%", " %", text.format(**facts))


def row_of(claim: Claim, measured: Measured | None, seed: int) -> dict[str, Any]:
    """Return the row of the audit table for one claim; `seed` is that of its bootstraps.

    `measured` is None where nothing can be measured.
    """
    known = {
        "id": claim.id,
        "section": claim.section,
        "statement": claim.statement,
        "setup": claim.setup,
        "measure": claim.measure,
        "unit": "share" if claim.percent else claim.unit,
        "relation": claim.relation,
        "stated": float(claim.stated),
        "stated_text": claim.stated_text,
    }
    if measured is None:
        return {
            **known, "regenerated": math.nan, "regenerated_text": "", **_columns("", NONE),
            "n_seeds": 0, "quantile": math.nan, "control": "", **_columns("control_", NONE),
            "verdict": "not testable here", "explanation": claim.untestable, "varies": False,
        }  # fmt: skip
    values, control, margin = (
        _interval(numbers, seed) for numbers in (measured.values, measured.control, measured.margin)
    )
    verdict = verdict_of(claim, measured, margin)
    mean, low, high = (_control_text(claim, number) for number in control[:3])
    bounds = f" [{low}, {high}]" if control.bounded else ""
    facts = {
        **measured.facts,
        "regenerated": claim.text(measured.regenerated),
        "stated": claim.stated_text,
        "mean": claim.text(values.mean),
        "control_mean": mean,
        "n": values.n,
    }
    # Over all of our own data, a figure has no place among seeds that draw from them.
    at_most = float(np.mean(measured.values <= measured.regenerated + ROUNDING))
    return {
        **known,
        "regenerated": _rounded(measured.regenerated),
        "regenerated_text": claim.text(measured.regenerated),
        **_columns("", values),
        "n_seeds": values.n,
        "quantile": math.nan if claim.own_data else _rounded(at_most),
        "control": f"{claim.control}: {mean}{bounds}",
        **_columns("control_", control),
        "verdict": verdict,
        "explanation": explained(claim, verdict, **facts),
        "varies": claim.varies,
    }


def _interval(values: Floats, seed: int) -> Interval:
    # A generator of its own: no claim's interval depends on which others are judged.
    return interval(values, generator(seed, "bootstrap")) if np.isfinite(values).any() else NONE


def _columns(prefix: str, interval: Interval) -> dict[str, float]:
    numbers = interval._asdict()
    return {f"{prefix}{name}": _rounded(numbers[name]) for name in ("mean", "low", "high")}


def _control_text(claim: Claim, number: float) -> str:
    return f"{100 * number:z.1f} %" if claim.control_percent else short(number)


def _rounded(number: float) -> float:
    """Return six significant digits: the last bits differ between kinds of processors."""
    return float(f"{number:.6g}")
