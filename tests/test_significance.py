from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from mlsdm import ParameterError
from mlsdm.analysis.significance import (
    effect_size,
    holm,
    improvement,
    paired_improvement,
    seeds_needed,
    sign_flip,
)

differences = st.lists(st.integers(-6, 6), min_size=2, max_size=8)
probabilities = st.lists(st.floats(0, 1), max_size=12)


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@given(differences)
def test_flipping_signs_gives_the_p_value_of_all_patterns(values: list[int]) -> None:
    sums = [sum(pattern) for pattern in itertools.product(*((x, -x) for x in values))]
    tails = sum(s <= sum(values) for s in sums), sum(s >= sum(values) for s in sums)
    assert sign_flip(values, rng()) == pytest.approx(min(1.0, 2 * min(tails) / len(sums)))


@given(differences, st.sampled_from([-3.7, -1.0, 1e-9, 0.1, 1e9]), st.randoms())
def test_neither_scale_nor_sign_nor_order_changes_an_exact_p_value(
    values: list[int], scale: float, order: Any
) -> None:
    changed = [scale * value for value in order.sample(values, len(values))]
    assert sign_flip(changed, rng()) == pytest.approx(sign_flip(values, rng()))


def test_p_values_drawn_are_near_the_exact_ones() -> None:
    values = rng().normal(0.6, 1.0, size=12)
    exact, drawn = sign_flip(values, rng()), sign_flip(values, rng(), resamples=4000)
    assert exact * 2**12 == round(exact * 2**12)
    # Twice a binomial share of 4000 draws, at four times its spread.
    assert drawn == pytest.approx(exact, abs=4 * 2 * math.sqrt(exact / 2 / 4000))
    assert drawn != exact


def test_no_p_value_drawn_is_zero() -> None:
    assert sign_flip(np.full(40, 1.0), rng(), resamples=999) == pytest.approx(2 / 1000)


@pytest.mark.parametrize("values", [[3.0], [0.0, 0.0, 0.0], [2.0, np.nan], [-1.0, 1.0]])
def test_without_a_difference_to_see_p_is_1(values: Any) -> None:
    assert sign_flip(values, rng()) == 1.0


@pytest.mark.parametrize("seeds", [10, 25])
def test_p_values_are_uniform_under_the_null(seeds: int) -> None:
    """Of a skewed measure: its differences are symmetric if nothing differs."""
    source = np.random.default_rng(5)
    values = source.exponential(size=(600, seeds)) - source.exponential(size=(600, seeds))
    p = np.array([sign_flip(row, source, resamples=1999) for row in values])
    assert stats.kstest(p, "uniform").pvalue > 0.001
    low, high = stats.binom.interval(0.999, p.size, 0.05)
    assert low <= (p <= 0.05).sum() <= high


@pytest.mark.parametrize(
    ("tests", "level", "seeds"), [(1, 0.95, 6), (2, 0.95, 7), (10, 0.95, 9), (1, 0.75, 3)]
)
def test_so_many_seeds_are_needed(tests: int, level: float, seeds: int) -> None:
    assert seeds_needed(tests, level) == seeds
    enough, few = (sign_flip(np.arange(1, n + 1), rng()) for n in (seeds, seeds - 1))
    assert tests * enough <= 1 - level + 1e-12 < tests * few


def test_holm_as_by_hand() -> None:
    # In order 0.005 * 5, 0.01 * 4, 0.03 * 3, then 0.04 * 2 < 0.09, and 0.6.
    found = holm([0.01, 0.04, 0.03, 0.005, 0.6])
    assert found == pytest.approx([0.04, 0.09, 0.09, 0.025, 0.6])
    assert holm([0.5, 0.9]).tolist() == [1.0, 1.0]
    assert holm([]).size == 0


@given(probabilities)
def test_holm_keeps_the_order_and_lies_between_none_and_bonferroni(p: list[float]) -> None:
    found, values = holm(p), np.array(p)
    assert np.all(np.diff(found[np.argsort(values)]) >= 0)
    assert np.all((values <= found) & (found <= np.minimum(1, len(p) * values)))


@given(probabilities, st.randoms())
def test_holm_does_not_depend_on_the_order(p: list[float], order: Any) -> None:
    places = order.sample(range(len(p)), len(p))
    assert holm([p[place] for place in places]).tolist() == holm(p)[places].tolist()


def test_holm_errs_in_one_family_of_twenty() -> None:
    """One of ten independent tests is at most 0.005 with a chance of 1 - 0.995 ** 10."""
    families = np.random.default_rng(2).random((3000, 10))
    wrong = sum(holm(p).min() <= 0.05 for p in families)
    low, high = stats.binom.interval(0.999, 3000, 1 - 0.995**10)
    assert low <= wrong <= high


@pytest.mark.parametrize("p", [[-0.1], [1.1], [math.nan], [[0.5]], 0.5])
def test_p_values_lie_between_0_and_1(p: Any) -> None:
    with pytest.raises(ParameterError, match=r"^holm\.p_values: must be \(tests,\) numbers in"):
        holm(p)


def test_the_effect_is_in_standard_deviations_of_the_differences() -> None:
    assert effect_size([1.0, 2.0, 3.0, np.nan]) == pytest.approx(2.0)
    assert effect_size([-1.0, -2.0, -3.0]) == pytest.approx(-2.0)
    assert effect_size([-1.0, 1.0]) == 0.0
    for constant in ([0.0, 0.0], [5.0], [0.3 - 0.2, 0.4 - 0.3, 0.1]):
        assert math.isnan(effect_size(constant))


def test_the_bounds_of_paired_improvement_are_wilsons() -> None:
    found = paired_improvement([0.1, 2.0, 3.0, -4.0, 5.0, np.nan], level=0.9)
    wilson = stats.binomtest(4, 5).proportion_ci(0.9, method="wilson")
    assert found == pytest.approx((0.8, wilson.low, wilson.high, 5))
    assert paired_improvement([0.0, 0.0, 1.0]).mean == pytest.approx(2 / 3)


@given(differences)
def test_improvement_and_the_opposite_are_mirrored(values: list[int]) -> None:
    better, worse = paired_improvement(values), paired_improvement([-value for value in values])
    assert 0 <= better.low <= better.mean <= better.high <= 1
    assert worse[:3] == pytest.approx((1 - better.mean, 1 - better.high, 1 - better.low))


@pytest.mark.parametrize("seeds", [10, 50])
def test_paired_improvement_covers_95_percent_on_average(seeds: int) -> None:
    """Exactly: over all outcomes of each true probability."""
    found = [
        paired_improvement([1.0] * wins + [-1.0] * (seeds - wins)) for wins in range(seeds + 1)
    ]
    low, high = np.array([one[1:3] for one in found]).T
    true = np.linspace(0.02, 0.98, 97)[:, None]
    chances = stats.binom.pmf(np.arange(seeds + 1), seeds, true)
    cover = (chances * ((low <= true) & (true <= high))).sum(axis=1)
    assert cover.mean() == pytest.approx(0.95, abs=0.01)
    assert cover.min() > 0.83  # Brown, Cai and DasGupta 2001, doi:10.1214/ss/1009213286


@given(differences, differences)
def test_improvement_counts_pairs(ours: list[int], theirs: list[int]) -> None:
    found, opposite = improvement(ours, theirs), improvement(theirs, ours)
    pairs = [(a > b) + (a == b) / 2 for a in ours for b in theirs]
    assert found.mean == pytest.approx(np.mean(pairs))
    assert found.n == len(ours) + len(theirs)
    assert 0 <= found.low <= found.mean <= found.high <= 1
    assert found.low < found.high
    assert opposite[:3] == pytest.approx((1 - found.mean, 1 - found.high, 1 - found.low))


@pytest.mark.parametrize("shift", [0.0, 1.0])
def test_improvement_covers_95_percent(shift: float) -> None:
    source, hits = np.random.default_rng(9), 0
    true = stats.norm.cdf(shift / math.sqrt(2))
    for _ in range(1000):
        found = improvement(source.normal(shift, size=20), source.normal(size=30))
        hits += found.low <= true <= found.high
    low, high = stats.binom.interval(0.999, 1000, 0.95)
    assert low <= hits <= high


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: sign_flip([np.nan], rng()), r"^sign_flip\.differences: must hold a finite"),
        (lambda: sign_flip([1.0, 2.0], None), r"^sign_flip\.rng: must be a numpy"),
        (lambda: sign_flip([1.0, 2.0], rng(), 0), r"^sign_flip\.resamples: must be a whole"),
        (lambda: effect_size([[1.0]]), r"^effect_size\.differences: must have one dimension"),
        (lambda: improvement([], [1.0]), r"^improvement\.values: must hold a finite"),
        (lambda: improvement([1.0], [math.inf]), r"^improvement\.baseline: must hold a finite"),
        (lambda: improvement([1.0], [1.0], 95), r"^improvement\.level: must lie in \(0, 1\)"),
        (lambda: paired_improvement([1.0], 0.0), r"^paired_improvement\.level: must lie in"),
        (lambda: seeds_needed(0), r"^seeds_needed\.tests: must be a whole number"),
        (lambda: seeds_needed(1, 1.0), r"^seeds_needed\.level: must lie in"),
    ],
)
def test_what_cannot_be_is_refused(call: Any, said: str) -> None:
    with pytest.raises(ParameterError, match=said):
        call()
