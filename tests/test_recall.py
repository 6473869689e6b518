import numpy as np
import pytest

import mlsdm
from mlsdm.analysis.recall import (
    agreement_by_label,
    label_agreement,
    recall_by_phase,
    recall_of_stored,
    row_labels,
)


def simulated(capacity=1000, n=60, **engine):
    params = mlsdm.EngineParams(8, lattice=mlsdm.LatticeParams(capacity=capacity)).replace(engine)
    vectors = np.random.default_rng(3).standard_normal((n, 8)).astype(np.float32)
    values = np.random.default_rng(4).random(n)
    return mlsdm.simulate(params, vectors, values), vectors


def test_recall_by_phase_counts_rows_in_phase_and_finds_the_best():
    result, vectors = simulated()
    table = recall_by_phase(result.engine, vectors[:5]).set_index("phase")
    phases = result.engine.lattice.phases
    assert table.loc["wake", "rows"] == (phases < 0.5).sum()
    assert table.loc["sleep", "rows"] == (phases > 0.5).sum() > 0
    assert table.loc["wake", "found"] == 5
    assert 0 < table.loc["sleep", "coherence"] <= 1


def test_recall_by_phase_says_nothing_was_found_where_nothing_is_stored():
    result, vectors = simulated(lattice={"consolidation": "none"})
    asleep = recall_by_phase(result.engine, vectors[:5]).set_index("phase").loc["sleep"]
    assert (asleep["rows"], asleep["found"], asleep["coherence"]) == (0, 0, 0)


def test_what_is_stored_is_held_and_found_in_each_phase_it_was_written_in():
    result, vectors = simulated()
    stored = vectors[result.committed]
    table = recall_of_stored(result.engine, stored, stored).set_index("phase")
    replayed = (result.engine.lattice.phases > 0.5).sum()
    assert table.loc["wake"].to_list() == [1, 1]
    assert table.loc["sleep"].to_list() == [replayed / len(stored), 1]


def test_what_was_overwritten_is_not_held_and_a_cue_from_elsewhere_does_not_find_the_rest():
    result, vectors = simulated(capacity=4, lattice={"top_k": 1, "consolidation": "none"})
    stored = vectors[result.committed]
    table = recall_of_stored(result.engine, stored, -stored).set_index("phase")
    assert table.loc["wake"].to_list() == [4 / len(stored), 0]
    assert table.loc["sleep", "held"] == 0
    assert np.isnan(table.loc["sleep", "found"])


def test_of_no_vectors_no_share_is_held():
    result, vectors = simulated()
    assert (
        recall_of_stored(result.engine, vectors[:0], vectors[:0])[["held", "found"]]
        .isna()
        .all(axis=None)
    )


def test_row_labels_follow_each_committed_event_to_its_row():
    result, vectors = simulated()
    labels = np.random.default_rng(5).random(60) < 0.5
    found = row_labels(result, labels)
    lattice = result.engine.lattice
    for event in np.flatnonzero(result.committed):
        recall = lattice.retrieve(vectors[event], 0.1, top_k=1)[0]
        assert found[recall.row] == labels[event]


def test_row_labels_need_a_lattice_that_is_not_full():
    result, _ = simulated(capacity=5)
    with pytest.raises(ValueError, match="not full"):
        row_labels(result, np.zeros(60, bool))


def test_label_agreement_is_the_share_of_rows_with_the_querys_label():
    result, vectors = simulated()
    recalls = [result.engine.lattice.retrieve(vectors[0], 0.1, top_k=4), []]
    labels = np.zeros(result.engine.lattice.size, bool)
    labels[recalls[0][0].row] = True
    shares = label_agreement(recalls, np.array([True, False]), labels)
    assert shares[0] == 0.25
    assert np.isnan(shares[1])


def recalled(*rows):
    return [mlsdm.Recall(np.zeros(8, np.float32), 0.1, 1.0, row) for row in rows]


def agreement(recalls, query_labels):
    labels = np.array([True, False, False, False])
    rng = np.random.default_rng(0)
    table = agreement_by_label(recalls, np.array(query_labels, bool), labels, 0.3, rng)
    return table.set_index(["queries", "rows"])


def test_agreement_by_label_is_over_the_queries_of_a_kind():
    recalls = [recalled(0, 1), recalled(0), recalled(1, 2), recalled(0, 1), recalled(3)]
    found = agreement(recalls, [True, True, False, False, False])
    assert found["mean"].to_dict() == pytest.approx(
        {
            ("toxic", "recalled"): 0.75,
            ("toxic", "at random"): 0.3,
            ("safe", "recalled"): 5 / 6,
            ("safe", "at random"): 0.7,
        }
    )
    assert found["n"].to_list() == [2, 2, 3, 3]
    at_random = found.xs("at random", level="rows")
    assert (at_random["low"] == at_random["high"]).all()
    assert found.loc[("safe", "recalled"), "low"] < 5 / 6


def test_agreement_by_label_leaves_out_a_kind_without_queries_or_recalls():
    assert set(agreement([recalled(0), recalled(1)], [True, True]).index.levels[0]) == {"toxic"}
    assert set(agreement([[], recalled(1)], [True, False]).index.levels[0]) == {"safe"}
    nothing = agreement([[], []], [True, False])
    assert nothing.empty
    assert list(nothing) == ["mean", "low", "high", "n"]
