from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlsdm import ParameterError, evidence

EPSILON = 1e-9


def test_targets_are_those_of_the_production_table() -> None:
    stated = {id: (t.relation, t.limit, t.achieved) for id, t in evidence.targets().items()}
    assert stated == {
        "latency.p50": ("<", 10, "~2 ms"),
        "latency.p95": ("<", 100, "~10 ms"),
        "latency.p99": ("<", 200, "< 50 ms"),
        "throughput.requests": (">=", 1000, "5500 ops/s"),
        "memory.bound": ("<", 1.4, "29.37 MB"),
        "concurrency.callers": (">=", 1000, "1000+"),
    }


def test_claims_are_those_stated() -> None:
    texts = {id: claim.stated_text for id, claim in evidence.claims().items()}
    assert texts == {
        "moral.toxic_rejection": "93.3 %",
        "moral.false_positives": "37.5 %",
        "moral.toxic_stream.final_threshold": "0.30",
        "moral.toxic_stream.drift": "0.5461",
        "moral.toxic_stream.convergence": "0.9990",
        "moral.safe_stream.final_threshold": "0.75",
        "moral.safe_stream.drift": "0.4107",
        "moral.safe_stream.convergence": "0.7390",
        "moral.attack.drift": "0.3307",
        "moral.attack.drift_last_100": "0.3700",
        "moral.attack.min_threshold": "0.30",
        "moral.attack.max_threshold": "0.75",
        "moral.attack.final_threshold": "0.70",
        "moral.attack.rejected": "56.0 %",
        "moral.comprehensive.toxic_rejection": "97.8 %",
        "moral.comprehensive.drift": "0.5250",
        "moral.comprehensive.convergence": "0.8110",
        "moral.comprehensive.false_positives": "29.52 %",
        "moral.comprehensive.safety_score": "0.7421",
        "moral.no_filter.safety_score": "0.7500",
        "rhythm.stored_wake": "7",
        "rhythm.stored_sleep": "1",
        "rhythm.semantic_coherence": "0.0000",
        "rhythm.control.semantic_coherence": "0.0000",
        "rhythm.committed": "8",
        "rhythm.control.committed": "76",
        "rhythm.load_reduction": "89.5 %",
        "rhythm.phase_separation": "0.5122",
        "rhythm.control.phase_separation": "0.3820",
        "rhythm.coherence": "0.6280",
        "rhythm.control.coherence": "0.5955",
        "rhythm.coherence_gain": "5.5 %",
        "memory.footprint": "29.37",
    }


def test_every_entry_says_what_and_from_where() -> None:
    for id, claim in evidence.claims().items():
        assert claim.id == id
        assert claim.statement
        assert claim.setup
        assert round(claim.stated, claim.decimals) == claim.stated
    for id, target in evidence.targets().items():
        assert target.id == id
        assert target.statement
        assert target.unit
    assert not set(evidence.claims()) & set(evidence.targets())


@pytest.mark.parametrize("claim", evidence.claims().values(), ids=lambda claim: claim.id)
def test_a_figure_is_held_to_its_decimals(claim: evidence.Claim) -> None:
    half = 0.5 * 10.0**-claim.decimals
    for measured in (claim.stated, claim.stated + 0.99 * half, claim.stated - 0.99 * half):
        assert evidence.judge(claim.id, measured).verdict == "reproduced"
    for measured in (claim.stated + 1.01 * half, claim.stated - 1.01 * half):
        assert evidence.judge(claim.id, measured).verdict == "differs"


@pytest.mark.parametrize("target", evidence.targets().values(), ids=lambda target: target.id)
def test_a_target_is_met_on_its_side(target: evidence.Target) -> None:
    good, bad = target.limit * (1 - EPSILON), target.limit * (1 + EPSILON)
    if target.relation == ">=":
        good, bad = bad, good
    assert evidence.judge(target.id, good).verdict == "met"
    assert evidence.judge(target.id, bad).verdict == "not met"
    at_the_limit = evidence.judge(target.id, target.limit).verdict
    assert at_the_limit == ("met" if target.relation == ">=" else "not met")


@pytest.mark.parametrize("id", [*evidence.claims(), *evidence.targets()])
@pytest.mark.parametrize("measured", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_never_agrees(id: str, measured: float) -> None:
    judgement = evidence.judge(id, measured)
    assert not judgement.holds
    assert judgement.measured  # and can be written


def test_a_judgement_is_written_as_it_was_stated() -> None:
    judgement = evidence.judge("moral.toxic_rejection", 56 / 60)
    assert judgement == evidence.Judgement(
        id="moral.toxic_rejection",
        statement="share of toxic events refused",
        stated="93.3 %",
        stated_value=0.933,
        measured="93.3 %",
        verdict="reproduced",
    )
    assert judgement.holds
    assert evidence.judge("latency.p50", 1.0).stated_value == 10
    missed = evidence.judge("latency.p50", 47.0)
    assert (missed.stated, missed.measured, missed.holds) == ("< 10 ms", "47 ms", False)


@given(st.sampled_from(sorted(evidence.claims())), st.floats(-10, 100))
def test_a_figure_that_differs_can_be_seen_to_differ(id: str, measured: float) -> None:
    """Where the texts are equal, the figure is reproduced, ties in the last digit apart."""
    claim = evidence.claims()[id]
    judgement = evidence.judge(id, measured)
    tie = abs(abs(measured - claim.stated) - 0.5 * 10.0**-claim.decimals) < EPSILON
    if not tie:
        assert judgement.holds == (judgement.measured.lstrip("-") == judgement.stated.lstrip("-"))


@pytest.mark.parametrize("kind", [np.float32, np.float64, np.int64, int])
def test_numpy_numbers_are_measurements(kind: Any) -> None:
    assert evidence.judge("rhythm.stored_wake", kind(7)).holds


def test_unknown_ids_are_refused_with_the_nearest() -> None:
    with pytest.raises(ParameterError, match=r"^judge\.id: .*you mean 'moral\.attack\.drift'"):
        evidence.judge("moral.atack.drift", 1.0)
    with pytest.raises(ParameterError, match=r"^judge\.id: nothing is stated under 3"):
        evidence.judge(3, 1.0)  # type: ignore[arg-type]


@pytest.mark.parametrize("measured", [None, "0.5", True, 1j])
def test_only_real_numbers_are_judged(measured: Any) -> None:
    with pytest.raises(ParameterError, match=r"^judge\.measured: must be a real number"):
        evidence.judge("latency.p50", measured)
