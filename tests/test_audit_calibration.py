from __future__ import annotations

import numpy as np
import pytest
from auditing import portable
from hypothesis import given
from hypothesis import strategies as st

from mlsdm.audit.calibration import thresholds, tolerances
from mlsdm.audit.verdict import row_of
from mlsdm.evidence import claims
from mlsdm.rng import generator

# The stated table by hand: how many of 6 toxic and of 7 safe values lie below the threshold.
BELOW = {"03": (4, 0), "04": (5, 0), "05": (6, 1), "06": (6, 2), "07": (6, 3)}
SEEDS = range(40)


def test_the_table_of_fixed_thresholds() -> None:
    measured = thresholds(range(2))
    assert len(measured) == 10
    for name, (toxic, safe) in BELOW.items():
        id = f"calibration.threshold_{name}"
        assert measured[f"{id}.toxic_rejected"].regenerated == pytest.approx(toxic / 6)
        assert measured[f"{id}.safe_rejected"].regenerated == pytest.approx(safe / 7)


def test_all_stated_figures_come_out() -> None:
    for id, claim in claims().items():
        if claim.section == "F":
            assert claim.agrees(portable()[id].regenerated), id


@pytest.mark.parametrize(
    ("kind", "low", "high", "n"), [("toxic", 0.1, 0.4, 6), ("safe", 0.45, 0.95, 7)]
)
@pytest.mark.parametrize("name", BELOW)
def test_values_redrawn_give_a_share_and_how_unusual_the_stated_is(
    name: str, kind: str, low: float, high: float, n: int
) -> None:
    found = thresholds(SEEDS)[f"calibration.threshold_{name}.{kind}_rejected"]
    drawn = np.array([generator(seed, "moral").uniform(low, high, n) for seed in SEEDS])
    below = (drawn < int(name) / 10).sum(axis=1)
    np.testing.assert_allclose(found.values, below / n)
    # In whole counts: no rounding decides which is as far.
    stated, total = BELOW[name][kind == "safe"], below.sum()
    as_far = np.abs(len(below) * below - total) >= abs(len(below) * stated - total)
    assert found.control == pytest.approx([as_far.mean()])
    assert found.margin == pytest.approx([as_far.mean() - 0.05])


def test_one_value_lies_on_the_threshold_that_is_said_to_refuse_fewer() -> None:
    """0.4 itself is not below 0.4; of values drawn evenly all are."""
    id = "calibration.threshold_04.toxic_rejected"
    found = thresholds(SEEDS)[id]
    assert (found.values == 1).all()
    row = row_of(claims()[id], found, 0)
    assert row["verdict"] == "reproduced but means something else"
    assert row["n_seeds"] == len(SEEDS)
    assert row["control"].endswith(": 0.0 %")
    assert "then it is 100.0 %" in row["explanation"]


@pytest.mark.parametrize("seed", [0, 1, 42])
def test_two_phases_are_told_apart_and_many_are_not(seed: int) -> None:
    samples, facts = tolerances(seed)
    assert not facts
    rng = generator(seed, "vectors")
    rng.standard_normal((100, 16))
    phases = rng.uniform(0, 1, 100)
    recalls, precisions = [], []
    for asked in (0.1, 0.9):
        nearer = (phases < 0.5) == (asked < 0.5)
        for tolerance in (0.05, 0.1, 0.15, 0.2, 0.25, 0.3):
            found = np.abs(phases.astype(np.float32) - np.float32(asked)) <= np.float32(tolerance)
            recalls.append((found & nearer).sum() / nearer.sum())
            precisions.append((found & nearer).sum() / found.sum())
    recall, precision = min(recalls), min(precisions)
    assert tuple(samples["calibration.tolerance.recall"]) == pytest.approx((1, recall, recall - 1))
    # Precision is judged by what is found too: it is 1 whatever the tolerance.
    assert tuple(samples["calibration.tolerance.precision"]) == pytest.approx(
        (1, recall, recall - 1)
    )
    assert precision == 1
    assert recall < 0.5


@given(st.floats(0.05, 0.3))
def test_any_tolerance_tells_two_points_apart(tolerance: float) -> None:
    """Which is why a recall of 100 % says nothing about the tolerance."""
    phases = np.repeat([0.1, 0.9], 50)
    for asked in (0.1, 0.9):
        found = np.abs(phases - asked) <= tolerance
        assert (found == (phases == asked)).all()
