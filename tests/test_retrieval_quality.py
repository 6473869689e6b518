from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import isotropic_units, shares

import mlsdm
from mlsdm.analysis import plots, retrieval
from mlsdm.rng import generator
from mlsdm.streams import cluster_stream, rhythm_stream

TOLERANCES = (0.05, 0.10, 0.15, 0.20, 0.25, 0.30)
VECTORS = isotropic_units(30, 16, seed=1)


def test_a_lattice_of_vectors_holds_them_in_order_with_their_phases() -> None:
    phases = np.linspace(0, 1, 30)
    lattice = retrieval.lattice_of(VECTORS, phases)
    np.testing.assert_array_equal(lattice.vectors, VECTORS)
    np.testing.assert_array_equal(lattice.phases, phases.astype(np.float32))
    assert (retrieval.lattice_of(VECTORS, 0.1).phases == np.float32(0.1)).all()
    assert lattice.size == lattice.params.capacity == 30


@pytest.mark.parametrize("vectors", [VECTORS[:0], VECTORS[0]])
def test_a_lattice_of_vectors_needs_a_table_with_a_row(vectors: Any) -> None:
    with pytest.raises(mlsdm.ParameterError, match=r"lattice_of\.vectors: must have shape"):
        retrieval.lattice_of(vectors, 0.1)


@pytest.mark.parametrize(
    ("phases", "said"),
    [
        ([0.1] * 29, r"^lattice_of\.phases: must be one for all, or one a row, 30 \(got 29\)$"),
        ([0.1], r"^lattice_of\.phases: must be one for all, or one a row, 30 \(got 1\)$"),
        ([[0.1] * 30], r"^lattice_of\.phases: must have one dimension"),
        ("wake", r"^lattice_of\.phases: must hold real numbers"),
    ],
)
def test_a_lattice_of_vectors_needs_a_phase_for_each(phases: Any, said: str) -> None:
    with pytest.raises(mlsdm.ParameterError, match=said):
        retrieval.lattice_of(VECTORS, phases)


def test_cues_and_cosines_are_of_rows() -> None:
    with pytest.raises(mlsdm.ParameterError, match=r"^noisy_cues\.vectors: must have shape"):
        retrieval.noisy_cues(VECTORS[0], 0.1, generator(0, "cues"))
    with pytest.raises(mlsdm.ParameterError, match=r"^mean_cosines\.labels: must be one a row"):
        retrieval.mean_cosines(VECTORS, [0, 1])


@pytest.mark.parametrize("noise", [0.5, 6.0])
def test_noisy_cues_have_the_noise_and_the_cosine_that_they_are_said_to_have(noise: float) -> None:
    vectors = 3 * isotropic_units(400, 384, seed=2)
    cues = retrieval.noisy_cues(vectors, noise, generator(1, "cues"))
    lengths = np.linalg.norm(cues - vectors, axis=1)
    assert np.sqrt(np.mean(lengths**2)) == pytest.approx(3 * noise, rel=0.01)
    cosines = np.sum(cues * vectors, axis=1) / (3 * np.linalg.norm(cues, axis=1))
    assert cosines.mean() == pytest.approx(1 / math.hypot(1, noise), abs=0.01)


def test_cues_without_noise_are_the_vectors() -> None:
    np.testing.assert_array_equal(retrieval.noisy_cues(VECTORS, 0, generator(1, "cues")), VECTORS)


@given(st.lists(st.text("ab c\n", max_size=30), max_size=8), shares, st.integers(0, 99))
def test_dropped_words_leave_a_part_of_the_words_in_order(
    texts: list[str], share: float, seed: int
) -> None:
    shorter = retrieval.drop_words(texts, share, generator(seed, "cues"))
    for text, left in zip(texts, shorter, strict=True):
        words = iter(text.split())
        assert all(word in words for word in left.split())
        assert bool(left) == bool(text.split())
        if share == 0:
            assert left == " ".join(text.split())
        if share == 1:
            assert len(left.split()) <= 1


def test_dropped_words_are_a_share_of_all() -> None:
    (left,) = retrieval.drop_words(["word " * 4000], 0.75, generator(1, "cues"))
    assert len(left.split()) == pytest.approx(1000, abs=110)


def brute(lattice: Any, queries: Any, asked: Any, stored: Any, phase: float, **how: Any) -> Any:
    rows = []
    for query, label in zip(queries, asked, strict=True):
        found = [stored[recall.row] == label for recall in lattice.retrieve(query, phase, **how)]
        relevant = (stored == label).sum()
        rows.append(
            {
                "precision": np.mean(found) if found else np.nan,
                "recall": sum(found) / relevant if relevant else np.nan,
                "hit": any(found),
            }
        )
    return pd.DataFrame(rows)


@given(
    st.integers(0, 99), st.integers(1, 30), shares, st.floats(0, 1), st.integers(1, 40)
)  # fmt: skip
def test_precision_and_recall_count_what_each_query_finds(
    seed: int, n: int, phase: float, tolerance: float, top_k: int
) -> None:
    rng = np.random.default_rng(seed)
    lattice = retrieval.lattice_of(VECTORS[:n], rng.random(n))
    stored, asked = rng.integers(4, size=n), rng.integers(6, size=5)
    queries = isotropic_units(5, 16, seed)
    found = retrieval.precision_recall(lattice, queries, asked, stored, phase, tolerance, top_k)
    expected = brute(lattice, queries, asked, stored, phase, tolerance=tolerance, top_k=top_k)
    pd.testing.assert_frame_equal(found, expected, check_dtype=False)
    both = found.dropna()
    assert both[["precision", "recall"]].ge(0).all(axis=None)
    assert both[["precision", "recall"]].le(1).all(axis=None)


def test_labels_may_be_of_any_type_that_compares() -> None:
    lattice = retrieval.lattice_of(VECTORS[:4], 0.1)
    stored = np.array(["a", "b", "a", "c"])
    found = retrieval.precision_recall(lattice, VECTORS[:2], ["a", "zz"], stored, 0.1, top_k=4)
    assert found["precision"].to_list() == [0.5, 0]
    assert found["recall"][0] == 1
    assert math.isnan(found["recall"][1])
    truth = retrieval.precision_recall(
        lattice, VECTORS[:1], [True], stored == "a", 0.1, top_k=1
    ).iloc[0]
    assert (truth["precision"], truth["recall"], truth["hit"]) == (1, 0.5, True)


@pytest.mark.parametrize(("queries", "rows"), [(2, 30), (3, 29)])
def test_each_query_and_each_row_needs_a_label(queries: int, rows: int) -> None:
    lattice = retrieval.lattice_of(VECTORS, 0.1)
    with pytest.raises(mlsdm.ParameterError, match="_labels: must have shape"):
        retrieval.precision_recall(lattice, VECTORS[:3], np.zeros(queries), np.zeros(rows), 0.1)


def test_right_recalls_say_which_cue_finds_its_own_row() -> None:
    lattice = retrieval.lattice_of(VECTORS, np.where(np.arange(30) == 2, 0.9, 0.1))
    cues = VECTORS[[0, 5, 2, 3]]
    assert retrieval.right_recalls(lattice, cues, 0.1).tolist() == [True, False, False, True]
    assert retrieval.right_recalls(lattice, cues, 0.1, 1.0, 30).all()


def test_the_originals_table_is_full_because_two_phases_are_all_it_has() -> None:
    groups = np.repeat([0, 1], 50)
    phases = np.array([0.1, 0.9])[groups]
    table = retrieval.tolerance_table(phases, groups, {0: 0.1, 1: 0.9}, [*TOLERANCES, 0.79])
    assert (table[["precision", "recall"]] == 1).all(axis=None)
    beyond = retrieval.tolerance_table(phases, groups, {0: 0.1, 1: 0.9}, [0.81]).iloc[0]
    assert (beyond["precision"], beyond["recall"]) == (0.5, 1)


def test_with_even_phases_the_tolerance_is_the_share_found() -> None:
    phases = (np.arange(2000) + 0.5) / 2000
    groups = (phases > 0.5).astype(int)
    table = retrieval.tolerance_table(phases, groups, {0: 0.25, 1: 0.75}, TOLERANCES)
    expected = np.minimum(1, 4 * np.array(TOLERANCES))
    np.testing.assert_allclose(table["recall"], expected, atol=2e-3)
    np.testing.assert_allclose(table["precision"], [1, 1, 1, 1, 1, 0.5 / 0.55], atol=2e-3)


def test_a_tolerance_that_finds_nothing_has_no_precision() -> None:
    table = retrieval.tolerance_table([0.5], [0], {0: 0.1}, [0.1, 0.5])
    assert math.isnan(table["precision"][0])
    assert table["recall"].to_list() == [0, 1]


def test_clusters_have_the_cosine_that_was_asked_for() -> None:
    for cosine in (0.0, 0.3, 0.9):
        stream, labels = cluster_stream(600, generator(3, "vectors"), n_clusters=5, cosine=cosine)
        within, between = retrieval.mean_cosines(stream.need_vectors(), labels)
        assert within == pytest.approx(cosine, abs=0.01)
        assert between == pytest.approx(0, abs=0.05)
        assert set(labels) == set(range(5))
        np.testing.assert_allclose(np.linalg.norm(stream.need_vectors(), axis=1), 1, rtol=1e-6)


def test_the_published_centroids_hardly_make_clusters() -> None:
    vectors = rhythm_stream(600).need_vectors()
    within, _ = retrieval.mean_cosines(vectors, np.arange(600) % 3)
    assert within == pytest.approx(1 / (1 + 0.09 * 384), abs=0.005)


def test_no_pairs_have_no_mean_cosine() -> None:
    within, between = retrieval.mean_cosines(VECTORS[:2], [0, 1])
    assert math.isnan(within)
    assert between == pytest.approx(float(VECTORS[0] @ VECTORS[1]), abs=1e-6)
    assert math.isnan(retrieval.mean_cosines(VECTORS[:3], [0, 0, 0])[1])


def test_every_event_of_the_clusters_passes_the_filter_and_the_seed_makes_them() -> None:
    stream, labels = cluster_stream(50, generator(4, "vectors"), dim=8)
    again, labels_again = cluster_stream(50, generator(4, "vectors"), dim=8)
    np.testing.assert_array_equal(stream.need_vectors(), again.need_vectors())
    assert labels.tolist() == labels_again.tolist()
    assert mlsdm.simulate(mlsdm.EngineParams(8), None, stream.moral_values).accepted.all()
    assert not stream.need_toxic().any()


BAD: list[tuple[Any, dict[str, Any], str]] = [
    (cluster_stream, {"n": -1, "rng": generator(1, "vectors")}, "cluster_stream.n"),
    (cluster_stream, {"n": 3, "rng": 7}, "cluster_stream.rng"),
    (cluster_stream, {"n": 3, "rng": generator(1, "vectors"), "cosine": 2}, "stream.cosine"),
    (cluster_stream, {"n": 3, "rng": generator(1, "vectors"), "n_clusters": 0}, "n_clusters"),
    (retrieval.noisy_cues, {"vectors": VECTORS, "noise": -1, "rng": None}, "noisy_cues.noise"),
    (retrieval.noisy_cues, {"vectors": VECTORS, "noise": 1, "rng": None}, "noisy_cues.rng"),
    (retrieval.drop_words, {"texts": ["a"], "share": 2, "rng": None}, "drop_words.share"),
    (retrieval.drop_words, {"texts": ["a"], "share": 1, "rng": None}, "drop_words.rng"),
]


@pytest.mark.parametrize(("function", "arguments", "match"), BAD)
def test_what_is_not_allowed_is_refused_by_name(function: Any, arguments: Any, match: str) -> None:
    with pytest.raises(mlsdm.ParameterError, match=match):
        function(**arguments)


def points(**columns: Any) -> pd.DataFrame:
    return pd.DataFrame({**columns, "mean": 0.5, "low": 0.4, "high": 0.7})


def test_recall_curves_draw_points_and_a_line_for_each_theory() -> None:
    table = points(noise=[1, 2, 1, 2], rows=[10, 10, 20, 20])
    lines = pd.DataFrame({"noise": [1, 2] * 3, "rows": [10] * 4 + [20] * 2})
    lines["theory"] = ["x", "x", "y", "y", "x", "x"]
    lines["recall"] = [0.9, 0.8, 0.7, 0.6, 0.5, 0.4]
    (axis,) = plots.recall_curves(table, lines).axes
    curves = [line for line in axis.lines if line.get_marker() == "None"]
    drawn = [curve.get_ydata().tolist() for curve in curves]
    assert [y for y in drawn if len(y) == 2] == [[0.9, 0.8], [0.7, 0.6], [0.5, 0.4]]
    names = [text.get_text() for text in axis.get_legend().get_texts()]
    assert names == ["10 rows", "20 rows", "x", "y"]


def test_recall_curves_without_theory_join_their_points() -> None:
    (axis,) = plots.recall_curves(points(noise=[1, 2], rows=["mine", "mine"])).axes
    assert axis.lines[0].get_linestyle() == "-"
    with pytest.raises(mlsdm.ParameterError, match=r"recall_curves\.points"):
        plots.recall_curves(points(noise=[1]))


def test_tolerance_curves_draw_both_measures_of_each_way_to_have_phases() -> None:
    table = pd.DataFrame({"phases": ["a", "a", "b", "b"], "tolerance": [0.1, 0.2] * 2})
    table["precision"], table["recall"] = [1, 0.9, 0.8, 0.7], [0.1, 0.2, 0.3, 0.4]
    recall, precision = plots.tolerance_curves(table).axes
    assert [line.get_ydata().tolist() for line in recall.lines] == [[0.1, 0.2], [0.3, 0.4]]
    assert [line.get_ydata().tolist() for line in precision.lines] == [[1, 0.9], [0.8, 0.7]]
    with pytest.raises(mlsdm.ParameterError, match=r"tolerance_curves\.table"):
        plots.tolerance_curves(table.drop(columns="recall"))


def test_noise_limits_draw_a_line_for_each_dimension() -> None:
    table = pd.DataFrame({"rows": [10, 100] * 2, "dim": [8, 8, 64, 64], "noise": [3, 2, 9, 8]})
    (axis,) = plots.noise_limits(table).axes
    assert [line.get_ydata().tolist() for line in axis.lines] == [[3, 2], [9, 8]]
    assert axis.get_xscale() == "log"
    with pytest.raises(mlsdm.ParameterError, match=r"noise_limits\.table"):
        plots.noise_limits(table[:0])
