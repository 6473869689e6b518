"""The engine's levels, by the engine's own rule, against what is exact of them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlsdm import EngineParams, ParameterError
from mlsdm.analysis import forgetting
from mlsdm.analysis.forgetting import KINDS, log_ages, measure, measure_seeds, open_levels
from mlsdm.analysis.forgetting.measured import drawn
from mlsdm.engine.synapse import MultiLevelSynapticMemory, SynapseParams

ALWAYS = (1e-9, 1e-9)
shares = st.floats(0.0, 1.0)
decay = st.floats(0.01, 1.0)


@given(
    st.tuples(decay, decay, decay), st.tuples(shares, shares), st.integers(1, 40), st.integers(0, 9)
)
@settings(max_examples=30)
def test_open_levels_are_linear_with_the_response_that_is_read_off(
    decay: tuple[float, float, float], transfer: tuple[float, float], n: int, seed: int
) -> None:
    params = SynapseParams(decay=decay, transfer=transfer, threshold=ALWAYS)
    vectors = np.random.default_rng(seed).standard_normal((n, 6)).astype(np.float32)
    engine = MultiLevelSynapticMemory(params, dim=6)
    for vector in vectors:
        engine.update(vector)
    responses = open_levels(params).response(np.arange(n))
    expected = np.einsum("ak,ad->kd", responses, vectors[::-1])
    np.testing.assert_allclose(engine.levels, expected, atol=2e-5)


def test_what_is_measured_is_what_the_levels_hold() -> None:
    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((12, 5)).astype(np.float32)
    novel = rng.standard_normal((40, 5)).astype(np.float32)
    params = SynapseParams()
    found = measure(params, vectors, novel, [0, 3], burn_in=11)
    engine = MultiLevelSynapticMemory(params, dim=5)
    for vector in vectors:
        engine.update(vector)
    answers = novel[:8] @ engine.levels.T.astype(np.float64)
    expected = vectors[[11, 8]] @ engine.levels.T.astype(np.float64) - answers.mean(axis=0)
    np.testing.assert_allclose(found.signal, expected, rtol=1e-6)
    np.testing.assert_allclose(found.noise, np.cov(answers, rowvar=False), rtol=1e-6)


def test_open_levels_measured_agree_with_what_is_exact() -> None:
    params, ages = SynapseParams(threshold=ALWAYS), log_ages(150, 6)
    exact = open_levels(params).retention(ages, 64)
    found = forgetting.pooled(measure_seeds(params, range(3), ages, dim=64, events=3000))
    np.testing.assert_allclose(found.snr().snr, exact.snr().snr, atol=0.15)
    reach = 5.0 * np.sqrt(np.diag(exact.noise) * 2.0 / 9000)
    assert np.all(np.abs(found.signal - exact.signal) < reach)


def test_the_published_engine_is_one_leaky_integrator() -> None:
    """Of unit vectors of any direction no element reaches the gate."""
    ages = log_ages(20)
    params = EngineParams.published().synapse
    (found,) = measure_seeds(params, [3], ages, events=1500)
    assert not found.signal[:, 1:].any()
    assert not found.noise[1:].any()
    exact = forgetting.leaky(0.5).retention(ages, 384).snr(0)
    assert found.snr().lifetime() == pytest.approx(exact.lifetime(), rel=0.05)
    assert exact.lifetime() == pytest.approx(4.085, abs=0.001)


def test_the_norm_gate_holds_longer_and_leaves_the_third_level_empty() -> None:
    ages = log_ages(60)
    table = forgetting.lifetimes({"default": measure_seeds(SynapseParams(), range(2), ages)})
    lives = table.groupby("readout")["lifetime"].mean()
    assert lives["L3"] == 0.0
    assert lives["L1"] < 4.1
    assert 9.0 < lives["L2"] < 14.0
    assert lives["L2"] - 1.0 < lives["best"] < 14.0


@pytest.mark.parametrize("kind", KINDS)
def test_a_stream_is_of_unit_vectors_and_asks_with_others(kind: forgetting.Kind) -> None:
    vectors, novel, asked_for = drawn(kind, 450, 16, seed=2)
    assert vectors.shape == (450, 16)
    assert vectors.dtype == novel.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1.0, rtol=1e-5)
    assert np.max(vectors @ novel.T) < 1 - 1e-5
    same = np.all(vectors[1:] == vectors[:-1], axis=1)
    expected = {"isotropic": 0, "related": 0, "repeated": 9 * 49, "mixed": 2 * 9}[kind]
    assert same.sum() == expected
    assert asked_for.sum() == {"repeated": 9, "mixed": 2}.get(kind, 450)
    assert not np.any(same & asked_for[:-1])  # the last of its row


def test_every_kind_is_described() -> None:
    assert all(f'"{kind}": ' in str(measure_seeds.__doc__) for kind in KINDS)


def test_the_same_seed_measures_the_same_and_another_one_does_not() -> None:
    def signal(seed: int) -> np.ndarray:
        (found,) = measure_seeds(SynapseParams(), [seed], [0, 1], dim=8, events=200)
        return found.signal

    np.testing.assert_array_equal(signal(1), signal(1))
    assert not np.array_equal(signal(1), signal(2))


def test_bad_arguments_are_refused() -> None:
    vectors = np.ones((20, 3), np.float32)

    def refused(message: str, **changes: object) -> None:
        arguments = {"vectors": vectors, "novel": vectors, "ages": [0, 2], "burn_in": 5}
        with pytest.raises(ParameterError, match=message):
            measure(SynapseParams(), **(arguments | changes))  # type: ignore[arg-type]

    refused("measure.burn_in: must be a whole number in .2, 19.", burn_in=1)
    refused("measure.ages: must be whole ages", ages=[1.5])
    refused("measure.novel: must be finite", novel=np.full((2, 3), np.nan, np.float32))
    refused("measure.novel: must hold at least one vector", novel=vectors[:0])
    refused("measure.vectors: the synaptic levels would leave", vectors=vectors * np.float32(3e38))
    refused("measure.asked_for: must be .20,. bool", asked_for=np.ones(3, bool))
    refused("measure.asked_for: must hold an event of every age", asked_for=np.zeros(20, bool))
    with pytest.raises(ParameterError, match=r"did you mean 'mixed'"):
        measure_seeds(SynapseParams(), [0], [0], kind="mixd")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: measure_seeds(3, [0], [0]), "measure_seeds.params: must be SynapseParams"),
        (lambda: measure_seeds(SynapseParams(), 0, [0]), "measure_seeds.seeds: must be a sequence"),
        (lambda: forgetting.lifetimes([]), r"lifetimes.measured: must map names .* \(got list\)"),
        (lambda: forgetting.lifetimes({"a": [3]}), "measured: must be a sequence of Retention"),
        (lambda: forgetting.lifetimes({}, 0), "lifetimes.readouts: must be a sequence"),
    ],
)
def test_what_cannot_be_measured_is_refused(call, message) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ParameterError, match=message):
        call()


@pytest.mark.long
def test_the_norm_gate_pays_where_few_come_again_and_again() -> None:
    ages = log_ages(1152)
    engines = {"norm": SynapseParams(), "open": SynapseParams(threshold=ALWAYS)}
    lives = {
        name: [one.snr().lifetime() for one in measure_seeds(p, range(8), ages, kind="mixed")]
        for name, p in engines.items()
    }
    gains = np.subtract(lives["norm"], lives["open"])
    assert gains.mean() > 3 * gains.std(ddof=1) / np.sqrt(gains.size)
