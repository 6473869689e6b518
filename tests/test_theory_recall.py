"""The laws of recall beside lattices, at a corrected level; what they must obey, as properties."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from agreeing import LEVEL, agrees
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, special, stats
from support import isotropic_units

import mlsdm
from mlsdm.analysis import retrieval, theory
from mlsdm.analysis.theory import quadrature, recall
from mlsdm.rng import generator
from mlsdm.streams import cluster_stream

dims = st.integers(2, 400)


@given(st.floats(-1, 1), dims)
def test_the_law_of_a_cosine_is_symmetric(x: float, dim: int) -> None:
    assert theory.cosine_cdf(x, dim) + theory.cosine_cdf(-x, dim) == pytest.approx(1)


@pytest.mark.parametrize("dim", [2, 3, 16, 384])
def test_cosines_of_random_vectors_follow_the_law(dim: int) -> None:
    units = isotropic_units(8000, dim, seed=dim).astype(float)
    cosines = np.sum(units[::2] * units[1::2], axis=1)
    found = stats.kstest(cosines, lambda x: theory.cosine_cdf(x, dim))
    assert found.pvalue > LEVEL / 4


@given(st.integers(1, 5000), dims, st.data())
def test_the_expected_best_cosine_is_the_mean_of_its_law(
    rows: int, dim: int, data: st.DataObject
) -> None:
    rank = data.draw(st.integers(1, rows))
    x = np.linspace(-1, 1, 4001)
    by_parts = 1 - integrate.simpson(theory.best_cosine_cdf(x, rows, dim, rank), x=x)
    assert theory.best_cosine(rows, dim, rank) == pytest.approx(by_parts, abs=2e-4)


@given(st.integers(2, 10**6), dims)
def test_the_best_of_more_rows_is_better_and_the_second_best_worse(rows: int, dim: int) -> None:
    best = theory.best_cosine(rows, dim)
    assert -1e-12 <= theory.best_cosine(rows - 1, dim) <= best + 1e-12 < 1 + 1e-12
    assert theory.best_cosine(rows, dim, 2) < best


def test_best_cosines_of_a_lattice_are_the_expected_ones() -> None:
    dim, rows = 24, 60
    found = []
    for seed in range(150):
        vectors = isotropic_units(rows + 1, dim, seed)
        lattice = retrieval.lattice_of(vectors[:-1], 0.1)
        found.append([r.resonance for r in lattice.retrieve(vectors[-1], 0.1, top_k=5)])
    expected = [theory.best_cosine(rows, dim, rank) for rank in range(1, 6)]
    assert agrees(found, expected).all()


CASES = [
    # noise, rows, dim, top_k, share in phase
    (2.0, 40, 16, 1, 1.0),
    (6.0, 40, 64, 5, 1.0),
    (0.5, 40, 2, 1, 1.0),
    (1.0, 40, 4, 3, 0.3),
    (8.0, 40, 128, 1, 0.5),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_lattice_recalls_rightly_as_often_as_expected(case: Any) -> None:
    noise, rows, dim, top_k, share = case
    found = []
    for seed in range(60):
        rng = np.random.default_rng([seed, dim])
        vectors = isotropic_units(rows, dim, seed)
        cues = vectors + noise * rng.standard_normal(vectors.shape) / np.sqrt(dim)
        phases = np.where(rng.random(rows) < share, 0.1, 0.9)
        lattice = retrieval.lattice_of(vectors, phases)
        best, _ = lattice.retrieve_many(cues, 0.1, top_k=top_k)
        own = np.flatnonzero(phases < 0.5)
        found.append(np.mean((best[own] == own[:, None]).any(axis=1)) if own.size else np.nan)
    # The memory is the unit: its cues share its rows.
    expected = theory.right_recall(noise, rows, dim, top_k, share)
    p = stats.ttest_1samp(found, expected, nan_policy="omit").pvalue
    assert p > LEVEL / len(CASES)
    assert 0.05 < expected < 0.95


@pytest.mark.long
def test_right_recall_has_no_bias_that_thousands_of_memories_would_show() -> None:
    rng, found, expected = np.random.default_rng(11), [], []
    cases = [(noise, rows, dim) for rows, dim in ((30, 3), (30, 64), (100, 384), (400, 384))
             for noise in (0.15 * dim**0.5, 0.3 * dim**0.5, 0.6 * dim**0.5)]  # fmt: skip
    for noise, rows, dim in cases:
        shares = np.empty(1000)
        for i in range(len(shares)):
            vectors = isotropic_units(rows, dim, int(rng.integers(2**32)))
            lattice = retrieval.lattice_of(vectors, 0.1)
            cues = retrieval.noisy_cues(vectors, noise, rng)
            shares[i] = retrieval.right_recalls(lattice, cues, 0.1).mean()
        found.append(shares)
        expected.append(theory.right_recall(noise, rows, dim))
    assert agrees(np.transpose(found), expected).all()


@pytest.mark.parametrize(("noise", "dim"), [(0.3, 2), (1.0, 3), (3.0, 30), (20.0, 384)])
def test_the_own_cosine_follows_the_noncentral_t(noise: float, dim: int) -> None:
    slopes = np.array([-5.0, -1.5, -0.4, 0.0, 0.03, 0.7, 1.5, 40.0])
    centre = math.sqrt(dim) / noise
    found = recall._own_beyond(slopes, centre, dim - 1)
    known = stats.nct.sf(slopes * math.sqrt(dim - 1), dim - 1, centre)
    np.testing.assert_allclose(found, known, atol=1e-9)


@pytest.mark.parametrize("dim", [2, 3, 384, 32_767])
@pytest.mark.parametrize(("rows", "top_k", "share"), [(2, 1, 1.0), (10**6, 1, 0.5), (500, 40, 0.1)])
def test_a_finer_quadrature_changes_nothing(
    monkeypatch: pytest.MonkeyPatch, dim: int, rows: int, top_k: int, share: float
) -> None:
    noises = (0.05, 1.0, 5.0, 200.0)
    coarse = [theory.right_recall(noise, rows, dim, top_k, share) for noise in noises]
    monkeypatch.setattr(quadrature, "POINTS", 2 * quadrature.POINTS)
    monkeypatch.setattr(quadrature, "NODES", 2 * quadrature.NODES)
    fine = [theory.right_recall(noise, rows, dim, top_k, share) for noise in noises]
    np.testing.assert_allclose(coarse, fine, atol=1e-8)


@settings(max_examples=30)
@given(
    st.floats(0.01, 100), st.integers(2, 3000), dims, st.integers(1, 20), st.floats(0.01, 1)
)  # fmt: skip
def test_right_recall_falls_with_noise_and_load_and_rises_with_room(
    noise: float, rows: int, dim: int, top_k: int, share: float
) -> None:
    found = theory.right_recall(noise, rows, dim, top_k, share)
    slack = 1e-9
    assert 0 <= found <= 1
    assert theory.right_recall(2 * noise, rows, dim, top_k, share) <= found + slack
    assert theory.right_recall(noise, 2 * rows, dim, top_k, share) <= found + slack
    assert theory.right_recall(noise, rows, dim, top_k + 1, share) >= found - slack
    assert theory.right_recall(noise, rows, dim, top_k, share / 2) >= found - slack
    assert found >= theory.right_recall(noise, rows, dim, top_k) - slack


@given(st.integers(2, 3000), dims, st.integers(1, 20))
def test_hopeless_noise_leaves_chance_and_none_leaves_certainty(
    rows: int, dim: int, top_k: int
) -> None:
    chance = min(1.0, top_k / rows)
    assert theory.right_recall(1e7, rows, dim, top_k) == pytest.approx(chance, abs=1e-4)
    assert theory.right_recall(0, rows, dim, top_k) == 1
    assert theory.right_recall(1e-7, rows, dim, top_k) == pytest.approx(1, abs=1e-4)


def test_with_one_other_row_the_integral_is_known() -> None:
    """One other row beats the own one with P(cos > c); a double integral by brute force."""
    noise, dim = 1.5, 7
    w, y = np.meshgrid(np.linspace(-9, 15, 1201), np.linspace(0, 12, 1201), indexing="ij")
    centre = math.sqrt(dim) / noise
    cosine = w / np.hypot(w, y + 1e-300)
    value = special.betainc(3, 3, (1 + cosine) / 2)
    density = stats.norm.pdf(w - centre) * stats.chi.pdf(y, dim - 1)
    expected = integrate.simpson(integrate.simpson(value * density, x=y[0], axis=1), x=w[:, 0])
    assert theory.right_recall(noise, 2, dim) == pytest.approx(expected, abs=1e-6)


@settings(max_examples=12)
@given(st.floats(0.05, 0.95), st.integers(2, 3000), st.integers(2, 400))
def test_at_the_tolerable_noise_recall_is_what_was_asked(p: float, rows: int, dim: int) -> None:
    noise = theory.tolerable_noise(p, rows, dim)
    if math.isinf(noise):
        assert p <= 1 / rows + 1e-3
    else:
        assert theory.right_recall(noise, rows, dim) == pytest.approx(p, abs=1e-5)


@pytest.mark.parametrize(("noise", "cosine", "n_clusters"), [(4, 0.5, 5), (3, 0.8, 1), (6, 0, 1)])
def test_clustered_rows_are_recalled_about_as_often_as_expected(
    noise: float, cosine: float, n_clusters: int
) -> None:
    rows, dim, found = 200, 384, []
    own = np.arange(rows)
    for seed in range(12):
        stream, _ = cluster_stream(
            rows, generator(seed, "vectors"), n_clusters=n_clusters, cosine=cosine, dim=dim
        )
        vectors = stream.need_vectors()
        cues = retrieval.noisy_cues(vectors, noise, generator(seed, "cues"))
        lattice = retrieval.lattice_of(vectors, 0.1)
        found.append(retrieval.precision_recall(lattice, cues, own, own, 0.1, top_k=1).hit.mean())
    expected = theory.cluster_recall(noise, rows, dim, cosine, n_clusters)
    assert np.mean(found) == pytest.approx(expected, abs=0.03)
    assert 0.3 < expected < 0.9


@given(st.floats(0.5, 50), st.integers(2, 3000), st.integers(100, 400))
def test_without_a_common_direction_clusters_are_isotropic_rows(
    noise: float, rows: int, dim: int
) -> None:
    exact = theory.right_recall(noise, rows, dim)
    assert theory.cluster_recall(noise, rows, dim, 0.0) == pytest.approx(exact, abs=0.03)


@settings(max_examples=20)
@given(st.floats(0.5, 20), st.integers(2, 3000), st.floats(0, 0.9), st.integers(1, 30))
def test_closer_clusters_are_harder_to_recall_from(
    noise: float, rows: int, cosine: float, n_clusters: int
) -> None:
    found = theory.cluster_recall(noise, rows, 384, cosine, n_clusters)
    assert 0 <= found <= 1
    assert theory.cluster_recall(1.5 * noise, rows, 384, cosine, n_clusters) <= found + 1e-4
    if n_clusters == 1:
        alike = theory.cluster_recall(noise, rows, 384, (1 + cosine) / 2)
        assert alike <= found + 1e-4


def test_no_noise_leaves_clusters_certain() -> None:
    assert theory.cluster_recall(0, 100, 8, 0.5, 3) == 1


BAD = [
    (theory.cosine_cdf, (0.5, 1), "cosine_cdf.dim"),
    (theory.best_cosine, (5, 8, 6), "best_cosine.rank"),
    (theory.best_cosine_cdf, (0.5, 0, 8), "best_cosine_cdf.rows"),
    (theory.right_recall, (-1, 5, 8), "right_recall.noise"),
    (theory.right_recall, (1, 5, 1), "right_recall.dim"),
    (theory.right_recall, (1, 5, 8, 0), "right_recall.top_k"),
    (theory.right_recall, (1, 5, 8, 1, 2), "right_recall.phase_share"),
    (theory.tolerable_noise, (1.0, 5, 8), "tolerable_noise.probability"),
    (theory.cluster_recall, (1, 5, 8, 1.0), "cluster_recall.cosine: must be below 1"),
    (theory.cluster_recall, (1, 5, 8, 0.5, 0), "cluster_recall.n_clusters"),
]


@pytest.mark.parametrize(("function", "arguments", "match"), BAD)
def test_what_is_not_allowed_is_refused_by_name(function: Any, arguments: Any, match: str) -> None:
    with pytest.raises(mlsdm.ParameterError, match=match):
        function(*arguments)
