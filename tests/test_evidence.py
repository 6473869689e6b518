from __future__ import annotations

import math
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlsdm import ParameterError, evidence
from mlsdm.record import check_name

CLAIMS = evidence.claims()
FIGURES = {id: claim for id, claim in CLAIMS.items() if not claim.is_target}
TARGETS = {id: claim for id, claim in CLAIMS.items() if claim.is_target}
EPSILON = 1e-9

# What is stated, section by section, row by row.
STATED = {
    "A": {
        "latency.p50": "< 10 ms",
        "latency.p95": "< 100 ms",
        "latency.p99": "< 200 ms",
        "latency.p50.achieved": "<= 2 ms",
        "latency.p95.achieved": "<= 10 ms",
        "latency.p99.achieved": "< 50 ms",
        "throughput.requests": ">= 1000 requests/s",
        "throughput.achieved": ">= 5500 ops/s",
        "memory.bound": "< 1.4 GB",
        "concurrency.callers": ">= 1000 callers",
    },
    "B": {
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
        "moral.industry": "93.3 %",
    },
    "C": {
        "rhythm.stored_wake": "7 stored",
        "rhythm.stored_sleep": "1 stored",
        "rhythm.semantic_coherence": "0.0000",
        "rhythm.control.semantic_coherence": "0.0000",
        "rhythm.committed": "8 events",
        "rhythm.load_reduction": "89.5 %",
        "rhythm.control.committed": "76 events",
        "rhythm.phase_separation": "0.5122",
        "rhythm.control.phase_separation": "0.3820",
        "rhythm.coherence": "0.6280",
        "rhythm.control.coherence": "0.5955",
        "rhythm.coherence_gain": "5.5 %",
    },
    "D": {
        "speech.ten.true_positives": "1.00",
        "speech.ten.true_negatives": "0.80",
        "speech.ten.severity": "0.89",
        "speech.hundred.true_positives": "1.00",
        "speech.hundred.true_negatives": "0.88",
        "speech.hundred.accuracy": "0.94",
        "speech.hundred.severity": "0.885",
        "speech.reduction": "87.2 %",
        "speech.reduction.elsewhere": "92.7 %",
    },
    "E": {
        "memory.vectors": "29.30 MiB",
        "memory.footprint": "29.37 MiB",
        "memory.allocation": "0 bytes/event",
        "memory.hard_bound": "0 engines",
        "memory.lost_updates": "0 events",
    },
    "F": {
        "calibration.threshold_03.toxic_rejected": "66.7 %",
        "calibration.threshold_03.safe_rejected": "0.0 %",
        "calibration.threshold_04.toxic_rejected": "83.3 %",
        "calibration.threshold_04.safe_rejected": "0.0 %",
        "calibration.threshold_05.toxic_rejected": "100.0 %",
        "calibration.threshold_05.safe_rejected": "14.3 %",
        "calibration.threshold_06.toxic_rejected": "100.0 %",
        "calibration.threshold_06.safe_rejected": "28.6 %",
        "calibration.threshold_07.toxic_rejected": "100.0 %",
        "calibration.threshold_07.safe_rejected": "42.9 %",
        "calibration.tolerance.recall": "100 %",
        "calibration.tolerance.precision": "100 %",
    },
    "G": {
        "project.tests_passed": "824 tests",
        "project.tests_passed.elsewhere": "541 tests",
        "project.coverage": ">= 90 %",
        "project.lint_errors": "0 errors",
    },
}


def test_claims_are_those_stated() -> None:
    told: dict[str, dict[str, str]] = {section: {} for section in evidence.SECTIONS}
    for id, claim in CLAIMS.items():
        told[claim.section][id] = claim.stated_text
    assert told == STATED


def test_they_come_in_the_order_stated() -> None:
    assert list(CLAIMS) == [id for section in STATED.values() for id in section]


@pytest.mark.parametrize("claim", CLAIMS.values(), ids=lambda claim: claim.id)
def test_every_claim_says_what_it_takes_to_test_it(claim: evidence.Claim) -> None:
    assert claim.statement
    assert claim.setup
    assert claim.relation in ("=", "<", "<=", ">=")
    assert {type(claim.percent), type(claim.control_percent), type(claim.varies)} == {bool}
    assert type(claim.own_data) is bool
    words = (claim.measure, claim.control, claim.holds, claim.fails)
    if claim.untestable:
        assert claim.untestable.endswith(".")
        assert not any(words)
        assert not claim.varies
        assert not claim.own_data
    else:
        assert all(words)
        for sentence in (claim.holds, claim.fails, claim.differs):
            assert sentence.endswith("."), sentence
    if not claim.is_target:
        assert round(claim.stated, claim.decimals) == claim.stated


def test_no_two_claims_have_one_id() -> None:
    """Of two, the dict would keep the last; and names of metrics differ by more than case."""
    folder = Path(evidence.__file__).parent / "claims"
    tables = [tomllib.loads(path.read_text(encoding="utf-8")) for path in folder.iterdir()]
    written = [e["id"].lower() for t in tables for group in t["group"] for e in group["claim"]]
    assert len(set(written)) == len(written) == len(CLAIMS)
    assert all(id == claim.id for id, claim in CLAIMS.items())


@pytest.mark.parametrize("id", CLAIMS)
def test_every_id_makes_the_name_of_a_metric(id: str) -> None:
    name = f"claims/{id.replace('.', '/')}"
    assert check_name("test", name) == name


@pytest.mark.parametrize("claim", FIGURES.values(), ids=lambda claim: claim.id)
def test_a_figure_is_held_to_its_decimals(claim: evidence.Claim) -> None:
    half = 0.5 * 10.0**-claim.decimals
    for measured in (claim.stated, claim.stated + 0.99 * half, claim.stated - 0.99 * half):
        assert claim.agrees(measured)
        assert evidence.judge(claim.id, measured).verdict == "reproduced"
    for measured in (claim.stated + 1.01 * half, claim.stated - 1.01 * half):
        assert not claim.agrees(measured)
        assert evidence.judge(claim.id, measured).verdict == "differs"


@pytest.mark.parametrize("target", TARGETS.values(), ids=lambda target: target.id)
def test_a_target_is_met_on_its_side(target: evidence.Claim) -> None:
    good, bad = target.stated * (1 - EPSILON), target.stated * (1 + EPSILON)
    if target.relation == ">=":
        good, bad = bad, good
    assert evidence.judge(target.id, good).verdict == "met"
    assert evidence.judge(target.id, bad).verdict == "not met"
    at_the_limit = evidence.judge(target.id, target.stated).verdict
    assert at_the_limit == ("not met" if target.relation == "<" else "met")


@pytest.mark.parametrize("id", CLAIMS)
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
    assert evidence.judge("project.coverage", 0.874).stated == ">= 90 %"
    assert evidence.judge("rhythm.control.committed", 75).measured == "75 events"


@pytest.mark.parametrize("id", ["rhythm.coherence_gain", "rhythm.coherence", "memory.allocation"])
def test_nought_has_no_sign(id: str) -> None:
    assert CLAIMS[id].text(-1e-9) == CLAIMS[id].text(0.0)


@given(st.sampled_from(sorted(FIGURES)), st.floats(-10, 100))
def test_a_figure_that_differs_can_be_seen_to_differ(id: str, measured: float) -> None:
    """Where the texts are equal, the figure is reproduced, ties in the last digit apart."""
    claim = CLAIMS[id]
    judgement = evidence.judge(id, measured)
    tie = abs(abs(measured - claim.stated) - 0.5 * 10.0**-claim.decimals) < EPSILON
    if not tie:
        assert judgement.holds == (judgement.measured == judgement.stated)


@pytest.mark.parametrize("kind", [np.float32, np.float64, np.int64, int])
def test_numpy_numbers_are_measurements(kind: Any) -> None:
    judgement = evidence.judge("rhythm.stored_wake", kind(7))
    assert judgement.holds
    assert judgement.measured == "7 stored"


def test_unknown_ids_are_refused_with_the_nearest() -> None:
    with pytest.raises(ParameterError, match=r"^judge\.id: .*you mean 'moral\.attack\.drift'"):
        evidence.judge("moral.atack.drift", 1.0)
    with pytest.raises(ParameterError, match=r"^judge\.id: nothing is stated under 3"):
        evidence.judge(3, 1.0)  # type: ignore[arg-type]


@pytest.mark.parametrize("measured", [None, "0.5", True, 1j])
def test_only_real_numbers_are_judged(measured: Any) -> None:
    with pytest.raises(ParameterError, match=r"^judge\.measured: must be a real number"):
        evidence.judge("latency.p50", measured)
