from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import brier_score_loss, roc_auc_score

from mlsdm.errors import DataError, ParameterError
from mlsdm.streams.quality import auc, auc_interval, calibration, roc, scorer_report


@st.composite
def judged(draw):
    """Labels of both kinds, and values with many ties."""
    toxic = [True, True, False, False, *draw(st.lists(st.booleans(), max_size=30))]
    values = st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.75, 1.0]) | st.floats(0, 1)
    n = len(toxic)
    return np.array(toxic), np.array(draw(st.lists(values, min_size=n, max_size=n)))


@given(judged())
def test_auc_is_scikit_learns(events):
    toxic, values = events
    assert auc(toxic, values) == pytest.approx(roc_auc_score(~toxic, values), abs=1e-12)


@given(judged())
def test_roc_counts_what_each_threshold_refuses(events):
    toxic, values = events
    table = roc(toxic, values)
    for row in table.itertuples():
        refused = ~(values >= row.threshold)
        assert row.safe_refused == pytest.approx(refused[~toxic].mean())
        assert row.toxic_refused == pytest.approx(refused[toxic].mean())
    ends = table[["safe_refused", "toxic_refused"]].to_numpy()
    assert ends[0].tolist() == [0, 0]
    assert ends[-1].tolist() == [1, 1]
    assert np.isfinite(table.to_numpy()).all()
    area = np.trapezoid(table["toxic_refused"], table["safe_refused"])
    assert area == pytest.approx(auc(toxic, values), abs=1e-12)


@given(judged())
def test_the_interval_holds_the_auc_and_widens_with_the_level(events):
    narrow, wide = auc_interval(*events, level=0.5), auc_interval(*events, level=0.99)
    assert 0 <= wide[0] <= narrow[0] <= auc(*events) + 1e-12
    assert auc(*events) - 1e-12 <= narrow[1] <= wide[1] <= 1


def test_the_interval_covers_the_true_auc_as_often_as_it_says():
    # Two normal laws one apart: the true AUC is Φ(1 / √2).
    rng, truth, hits = np.random.default_rng(5), 0.7602499389065233, 0
    toxic = np.arange(200) < 60
    for _ in range(400):
        low, high = auc_interval(toxic, rng.normal(size=200) + ~toxic)
        hits += low <= truth <= high
    assert 0.92 <= hits / 400 <= 0.98


def test_calibration_by_hand():
    toxic = np.array([True, False, True, False, True])
    table = calibration(toxic, [0.0, 1.0, 0.92, 0.98, 0.04])  # P(toxic) 1, 0, 0.08, 0.02, 0.96
    assert table["count"].tolist() == [3, 2]
    assert table["low"].tolist() == [0.0, 0.9]
    assert table["mean_predicted"].tolist() == pytest.approx([0.1 / 3, 0.98])
    assert table["observed"].tolist() == pytest.approx([1 / 3, 1.0])


@given(judged())
def test_the_report_adds_up(events):
    toxic, values = events
    report = scorer_report(toxic, values, n_train=7)
    table = report.calibration
    assert table["count"].sum() == report.n_held_out == len(toxic)
    assert report.n_train == 7
    weighted = (table["observed"] * table["count"]).sum()
    assert weighted == pytest.approx(toxic.sum())
    assert report.brier == pytest.approx(brier_score_loss(toxic, 1 - values))
    assert 0 <= report.calibration_error <= 1
    assert (report.auc_low, report.auc_high) == auc_interval(toxic, values)


@pytest.mark.parametrize(
    ("toxic", "values", "said"),
    [
        ([0, 1], [0.5, 0.5], "toxic: must be a 1-d bool array"),
        ([True, False], [0.5], "differs from toxic's"),
        ([True, False], [0.5, np.nan], "finite"),
        ([True, True], [0.5, 0.5], "both toxic and safe"),
        ([], [], "toxic: must be a 1-d bool array"),
        (np.zeros(0, bool), [], "both toxic and safe"),
    ],
)
def test_what_cannot_be_judged_is_refused(toxic, values, said):
    for judge in (auc, roc, calibration, auc_interval):
        with pytest.raises(DataError, match=said):
            judge(toxic, values)


def test_an_interval_needs_two_of_each_kind():
    with pytest.raises(DataError, match=r"two events of each kind \(got 1 and 2\)"):
        auc_interval([True, False, False], [0.1, 0.5, 0.9])


@pytest.mark.parametrize("level", [0, 1, 2, -0.5, float("nan"), None, "0.95"])
def test_a_level_outside_0_and_1_is_refused(level):
    with pytest.raises(ParameterError, match=r"^auc_interval\.level: .*\(got "):
        auc_interval([True, True, False, False], [0.1, 0.2, 0.8, 0.9], level)


@pytest.mark.parametrize("bins", [0, 2.5, None])
def test_bins_are_a_whole_number(bins):
    with pytest.raises(ParameterError, match=r"^calibration\.bins: must be a whole number"):
        calibration([True, False], [0.1, 0.9], bins)


@pytest.mark.parametrize("value", [-0.01, 1.01, 7])
def test_what_is_no_probability_has_no_calibration(value):
    events = [True, True, False, False], [0.1, 0.2, value, 0.9]
    for judge in (calibration, scorer_report):
        with pytest.raises(DataError, match=rf"^moral_values: .*\(got {value}.* at row 2"):
            judge(*events)
    assert 0 <= auc(*events) <= 1
